//! Where commands keep compiled modules: large ones take ten seconds to compile.
//!
//! In the user's own cache, never in the daemon's under `state_dir`: these commands leave the state
//! alone, and what they find there is run, so nobody else may have written it (the daemon often runs
//! as another user). A cache is a help and no more: where there can be none, modules are compiled anew.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::transform::{CompilerProcess, Engine};

/// An engine with the user's cache, if that can be had.
pub(super) fn engine() -> anyhow::Result<Engine> {
    // Unit tests leave nothing in the home of whoever runs them.
    let dir = (!cfg!(test)).then(|| dir(|name| std::env::var_os(name)));
    engine_in(dir.flatten().as_deref())
}

fn engine_in(dir: Option<&Path>) -> anyhow::Result<Engine> {
    let cached = dir.and_then(|dir| Some((start(Some(dir)).ok()?, dir)));
    match cached {
        Some((engine, dir)) if is_ours(dir) => Ok(engine),
        _ => start(None),
    }
}

fn start(dir: Option<&Path>) -> anyhow::Result<Engine> {
    Engine::start(dir, CompilerProcess::of_command())
}

/// Whether nobody else can write there. `sudo` may leave root with the home of somebody.
fn is_ours(dir: &Path) -> bool {
    std::fs::metadata(dir).is_ok_and(|found| {
        found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
    })
}

/// The place that the XDG base directories give it. A relative path is to be ignored, they say.
fn dir(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| {
        env(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
    Some(cache?.join("firehose/compiled"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_place_is_the_users_own() {
        let of = |cache: Option<&'static str>, home: Option<&'static str>| {
            dir(move |name| if name == "HOME" { home } else { cache }.map(OsString::from))
        };
        let under = |path: &str| Some(PathBuf::from(path));
        assert_eq!(of(Some("/c"), Some("/h")), under("/c/firehose/compiled"));
        assert_eq!(of(None, Some("/h")), under("/h/.cache/firehose/compiled"));
        assert_eq!(
            of(Some("c"), Some("/h")),
            under("/h/.cache/firehose/compiled")
        );
        assert_eq!(of(Some(""), None), None);
    }

    #[test]
    fn what_others_may_write_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        engine_in(Some(&cache)).unwrap();
        assert!(is_ours(&cache));
        std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o770)).unwrap();
        assert!(!is_ours(&cache));
    }

    #[test]
    fn a_place_that_cannot_be_used_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        engine_in(Some(&file.join("below"))).unwrap();
        // Root may write here all the same.
        let locked = dir.path().join("locked");
        std::fs::create_dir(&locked).unwrap();
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o500)).unwrap();
        engine_in(Some(&locked.join("below"))).unwrap();
        engine_in(None).unwrap();
    }
}
