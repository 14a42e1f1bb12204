//! Where the daemon listens: as `--url` says, or the config file, or as it does by default.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use axum::http::Uri;

use super::PutError;
use crate::config;

/// The file that `run` reads when it is told of no other.
pub(super) const CONFIG_FILE: &str = "firehose.toml";
/// Where a daemon listens whose file says nothing else.
const DEFAULT_URL: &str = "http://127.0.0.1:4585";

/// The daemon's URL, without a slash at its end. Of a config file only `listen` is looked at: it is the
/// daemon's, and may need an environment that is not here.
pub(super) fn find(url: Option<&str>, config: Option<&Path>) -> Result<String, PutError> {
    match (url, config) {
        (Some(url), _) => of_url(url),
        (None, Some(path)) => of_config(path),
        (None, None) if Path::new(CONFIG_FILE).exists() => of_config(Path::new(CONFIG_FILE)),
        (None, None) => Ok(DEFAULT_URL.to_owned()),
    }
}

fn of_url(url: &str) -> Result<String, PutError> {
    let wrong = |why: &str| {
        let url = match url.rsplit_once('@') {
            Some((_, host)) => format!("…@{host}"),
            None => url.to_owned(),
        };
        PutError::Usage(format!(
            "--url {url}: {why}; write http://HOST:PORT or HOST:PORT (the daemon itself speaks no TLS)"
        ))
    };
    let full = match url.split_once("://") {
        Some(("http" | "HTTP", _)) => url.to_owned(),
        Some((scheme, _)) => return Err(wrong(&format!("{scheme}:// cannot be spoken"))),
        None => format!("http://{url}"),
    };
    let full = full.trim_end_matches('/');
    if full.contains('@') {
        return Err(wrong(
            "it names a user; a key is said by FIREHOSE_KEY_ID and FIREHOSE_KEY_SECRET",
        ));
    }
    let parsed: Uri = full.parse().map_err(|error| wrong(&format!("{error}")))?;
    if parsed.scheme().is_none() || parsed.host().is_none_or(str::is_empty) {
        return Err(wrong("it names no host"));
    }
    if parsed.query().is_some() {
        return Err(wrong("it has a query"));
    }
    Ok(full.to_owned())
}

fn of_config(path: &Path) -> Result<String, PutError> {
    let environment = |name: &str| std::env::var(name).ok();
    let listen = config::listen(path, &environment).map_err(|faults| {
        PutError::Usage(format!(
            "{faults}\nwhere the daemon listens is not known; say it with --url http://HOST:PORT"
        ))
    })?;
    of_listen(listen).ok_or_else(|| {
        PutError::Usage(format!(
            "{} lets the daemon pick its port (listen = \"{listen}\"): its log says which; say it with \
             --url http://HOST:PORT",
            path.display()
        ))
    })
}

/// Who listens on all addresses listens on the machine's own, too.
fn of_listen(mut listen: SocketAddr) -> Option<String> {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    (listen.port() != 0).then(|| format!("http://{listen}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_lack_its_scheme_and_must_have_a_host() {
        for (given, url) in [
            ("http://127.0.0.1:4590/", "http://127.0.0.1:4590"),
            ("127.0.0.1:4590", "http://127.0.0.1:4590"),
            ("localhost:4590", "http://localhost:4590"),
            ("[::1]:4590", "http://[::1]:4590"),
            ("box", "http://box"),
            ("http://proxy/firehose", "http://proxy/firehose"),
        ] {
            assert_eq!(find(Some(given), None).unwrap(), url);
        }
        for wrong in [
            "https://box:1",
            "ftp://box",
            "http://",
            "",
            ":4585",
            "a b",
            "box/?x",
        ] {
            let error = find(Some(wrong), None).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong}");
            assert!(error.to_string().contains("http://HOST:PORT"), "{error}");
        }
    }

    #[test]
    fn the_config_file_tells_where_its_daemon_listens_whatever_else_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("firehose.toml");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            find(None, Some(&path))
        };
        for (listen, url) in [
            ("127.0.0.1:4590", "http://127.0.0.1:4590"),
            ("0.0.0.0:4590", "http://127.0.0.1:4590"),
            ("[::]:4590", "http://[::1]:4590"),
            ("${NO_SUCH_VARIABLE:-10.0.0.7:1}", "http://10.0.0.7:1"),
        ] {
            // A secret that only the daemon has is nobody's business here.
            let text =
                format!("x = 1\n[http]\nlisten = \"{listen}\"\n[stream.c]\ny = \"${{SECRET}}\"\n");
            assert_eq!(said(&text).unwrap(), url);
        }
        assert_eq!(said("").unwrap(), DEFAULT_URL);
        for (text, told) in [
            ("[http]\nlisten = \"127.0.0.1:0\"", "pick its port"),
            ("[http]\nlisten = 4590", "`listen` is an integer"),
            ("[http", "not TOML"),
        ] {
            let error = said(text).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let error = error.to_string();
            assert!(error.contains(told) && error.contains("--url"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        let error = find(None, Some(&path)).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
        assert_eq!(find(Some("box:1"), Some(&path)).unwrap(), "http://box:1");
    }
}
