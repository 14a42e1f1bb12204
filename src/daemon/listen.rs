//! The address that is listened on, and the descriptors for who connects there.

use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::anyhow;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;

use crate::{http, spool};

/// Descriptors for everything but connections and spools: a stream's journal and uploads, and the process'
/// own.
const OF_A_STREAM: u64 = 64;
const OF_THE_PROCESS: u64 = 128;
/// Connections that are let in however few descriptors there are.
const CONNECTIONS_MIN: usize = 8;

/// Listens on `address`, for everybody or for those who have keys.
pub(super) async fn listen(address: SocketAddr, has_keys: bool) -> anyhow::Result<TcpListener> {
    let listening = TcpListener::bind(address).await;
    if listening.is_ok() && !address.ip().to_canonical().is_loopback() {
        if has_keys {
            tracing::info!(
                %address,
                "listening beyond this machine: whoever has a key may write records, and whoever reaches it read what \
                 is shown of them; nothing is encrypted, so that tokens can be overheard on the way, and what is \
                 signed can be read, and sent again while its signature lasts"
            );
        } else {
            tracing::info!(
                %address,
                "listening beyond this machine: whoever reaches it may write records and read what is shown of them; \
                 requests are neither authenticated nor encrypted"
            );
        }
    }
    listening.map_err(|error| {
        anyhow!(
            "cannot listen on {address}: {error} ({})",
            advice(address, &error)
        )
    })
}

/// What to do about an address that cannot be had.
fn advice(address: SocketAddr, error: &std::io::Error) -> String {
    let port = address.port();
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "another process, maybe another firehose, listens there: `ss -ltnp sport = :{port}` names it. Stop \
             it, or set another `listen` in [http] (demo: --listen)"
        ),
        ErrorKind::PermissionDenied if port < 1024 => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE: set \
             a `listen` in [http] with a port from 1024 on (demo: --listen)"
                .to_owned()
        }
        ErrorKind::AddrNotAvailable => format!(
            "no interface of this machine has the address {}: set `listen` in [http] (demo: --listen) to one \
             that it has, 127.0.0.1 for this machine only, 0.0.0.0 for all",
            address.ip()
        ),
        _ => "set another `listen` in [http] (demo: --listen)".to_owned(),
    }
}

/// Raises the limit of open files as far as it may be raised, and returns how many connections of those
/// `wanted` it has room for beside what streams need whose spools may have `spool_limits` bytes.
pub(super) fn room_for(wanted: usize, spool_limits: impl Iterator<Item = u64>) -> usize {
    let of_streams: u64 = spool_limits
        .map(|limit| OF_A_STREAM + limit / spool::FILE_BYTES_MAX)
        .sum();
    let rest = OF_THE_PROCESS + of_streams + http::KEPT as u64;
    let open_files = raised();
    let room = room(wanted, rest, open_files);
    if room < wanted {
        tracing::warn!(
            connections = wanted,
            served = room,
            open_files,
            "the limit of open files leaves no room for all `connections` of [http]: raise it (systemd: \
             LimitNOFILE, shells: ulimit -n), or ask for fewer"
        );
    }
    room
}

fn room(wanted: usize, rest: u64, open_files: Option<u64>) -> usize {
    let Some(open_files) = open_files else {
        return wanted;
    };
    let left = usize::try_from(open_files.saturating_sub(rest)).unwrap_or(usize::MAX);
    wanted.min(left.max(CONNECTIONS_MIN))
}

/// The limit of open files, the soft one raised to the hard one; `None`: there is none.
fn raised() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            current
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_streams() {
        assert_eq!(room(1024, 256, None), 1024);
        assert_eq!(room(1024, 256, Some(1 << 20)), 1024);
        assert_eq!(room(1024, 256, Some(1024)), 768);
        assert_eq!(room(1024, 256, Some(64)), CONNECTIONS_MIN);
        assert_eq!(room(4, 256, Some(64)), 4);
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_had_is_named_with_the_way_out() {
        let told = |error: anyhow::Error| format!("{error:#}");
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = told(listen(address, false).await.unwrap_err());
        assert!(
            error.starts_with(&format!("cannot listen on {address}: ")),
            "{error}"
        );
        assert!(
            error.contains("another process, maybe another firehose"),
            "{error}"
        );
        // TEST-NET-1: no machine has it.
        let error = told(
            listen("192.0.2.1:4585".parse().unwrap(), false)
                .await
                .unwrap_err(),
        );
        assert!(
            error.contains("no interface of this machine has the address 192.0.2.1"),
            "{error}"
        );
        let denied = std::io::Error::from(ErrorKind::PermissionDenied);
        let advice = advice("0.0.0.0:80".parse().unwrap(), &denied);
        assert!(advice.contains("below 1024"), "{advice}");
    }
}
