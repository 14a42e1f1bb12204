//! A real browser without a window: the machine's Chromium or Chrome, or Debian's, unpacked under `target/` and not
//! installed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use super::command::{attempt, succeed};
use super::fetched::fetched;
use super::needs::needs;

const PACKAGES: &[&str] = &["chromium-headless-shell"];

/// apt works on lists of its own, so that old or missing ones do not matter, nor who asks.
const UNPACK: &str = r#"
set -eu
rm -rf apt usr etc var
mkdir -p apt/lists/partial apt/archives/partial
apt="-qq -o Dir::State::Lists=$PWD/apt/lists -o Dir::Cache=$PWD/apt -o Dir::Cache::Archives=$PWD/apt/archives"
apt="$apt -o APT::Sandbox::User= -o Debug::NoLocking=1"
apt-get $apt update || true
apt-get $apt --yes --reinstall --no-install-recommends --download-only install "$@"
for package in apt/archives/*.deb; do dpkg-deb -x "$package" .; done
rm -rf apt
"#;

/// The program, and where the libraries are that came with it.
static BROWSER: LazyLock<(PathBuf, Option<OsString>)> = LazyLock::new(|| {
    needs(&["chromium"]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "google-chrome"];
    let mut places = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
    if let Some(installed) = places.find(|place| place.is_file()) {
        return (installed, None);
    }
    let unpacked = fetched("browser", PACKAGES, |dir| {
        let mut unpack = Command::new("sh");
        unpack
            .current_dir(dir)
            .args(["-c", UNPACK, "sh"])
            .args(PACKAGES);
        attempt(&mut unpack).map(drop)
    });
    let dir = unpacked.unwrap_or_else(|why| panic!("{why}"));
    let program = dir.join("usr/lib/chromium/chromium-headless-shell");
    (program, Some(libraries(&dir)))
});

/// The document that a page has become once its scripts have come to rest, or so much time of its own has passed.
/// Every name leads to this machine.
pub fn visit(url: &str, time: Duration) -> String {
    let (program, libraries) = &*BROWSER;
    let profile = tempfile::tempdir().unwrap();
    let printed = succeed(
        // A guard against waiting for ever.
        Command::new("timeout")
            .arg("60")
            .arg(program)
            .envs(
                libraries
                    .iter()
                    .map(|libraries| ("LD_LIBRARY_PATH", libraries)),
            )
            .arg("--headless")
            // Root of a container has no sandbox to give.
            .args(["--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--host-resolver-rules=MAP * 127.0.0.1", "--no-proxy-server"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--virtual-time-budget={}", time.as_millis()))
            .args(["--dump-dom", url]),
    );
    String::from_utf8(printed).unwrap()
}

/// Where Debian puts libraries, below a folder, and what has some of its own.
fn libraries(dir: &Path) -> OsString {
    let below = |dir: &Path| {
        let entries = std::fs::read_dir(dir).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let mut found = below(&dir.join("usr/lib"));
    found.retain(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    let inner: Vec<PathBuf> = found.iter().flat_map(|path| below(path)).collect();
    std::env::join_paths(found.into_iter().chain(inner)).unwrap()
}
