//! Why the cache has not kept what was compiled.

#![expect(
    clippy::disallowed_methods,
    reason = "the cache of compiled modules is a folder"
)]

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::process;

/// Where wasmtime keeps code, in the folder of its cache.
const MODULES: &str = "modules";
/// How the names of files go on that are being written. One that is left behind, by a full disk or a kill,
/// stands in the way of the next attempt.
const UNFINISHED: &str = "wip-atomic-write-mod";
/// How the names of files of ours go on, which show whether there is room.
const PROBE: &str = "wip-room";

/// Tells why so many bytes could not be kept in the cache in `dir`, and clears away what is left of attempts.
/// That may be another process's at work, which then has to try again.
pub(super) fn cause(dir: &Path, bytes: u64) -> String {
    let modules = dir.join(MODULES);
    let cause = match find(&modules, bytes) {
        Err(error) => error.to_string(),
        Ok(()) => "what stood in the way is cleared away".to_owned(),
    };
    told(&modules.display().to_string(), &cause)
}

/// Where there is no cache.
pub(super) fn nowhere() -> String {
    told("no folder", "there is no cache")
}

fn told(place: &str, cause: &str) -> String {
    format!("the compiled code cannot be kept: {place}: {cause}")
}

fn find(modules: &Path, bytes: u64) -> io::Result<()> {
    fs::create_dir_all(modules)?;
    for compiler in fs::read_dir(modules)? {
        let compiler = compiler?.path();
        if compiler.is_dir() {
            clear(&compiler)?;
        }
    }
    let probe = modules.join(format!("probe-{}.{PROBE}", process::id()));
    let mut file = File::create(&probe)?;
    // At once, so that nothing is left of it if this process is killed.
    remove(&probe)?;
    io::copy(&mut io::repeat(0).take(bytes), &mut file).map(drop)
}

/// Another process may have done it.
fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn clear(dir: &Path) -> io::Result<()> {
    for file in fs::read_dir(dir)? {
        let file = file?.path();
        if file.extension().is_some_and(|end| end == UNFINISHED) {
            remove(&file)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::engine::{Code, CompilerProcess, Engine};
    use super::*;

    fn load(dir: &Path) -> Code {
        let component = wat::parse_str("(component)").unwrap();
        let engine = Engine::start(Some(dir), CompilerProcess::Here).unwrap();
        engine.load(&component).unwrap().1
    }

    #[test]
    fn what_an_interrupted_write_has_left_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!([load(dir), load(dir)], [Code::Kept, Code::Cached]);
        let compiler = fs::read_dir(dir.join(MODULES)).unwrap().next().unwrap();
        for file in fs::read_dir(compiler.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_none() {
                fs::rename(&file, file.with_extension(UNFINISHED)).unwrap();
            }
        }
        assert_eq!([load(dir), load(dir)], [Code::Unkept; 2]);
        let said = cause(dir, 1000);
        let is_told = said.contains("cleared away") && said.contains(dir.to_str().unwrap());
        assert!(is_told, "{said}");
        assert_eq!([load(dir), load(dir)], [Code::Kept, Code::Cached]);
    }

    #[test]
    fn what_cannot_be_written_is_told_with_the_systems_reason() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::write(dir.join(MODULES), "").unwrap();
        assert_eq!(load(dir), Code::Unkept);
        let said = cause(dir, 1000);
        assert!(said.contains("exists"), "{said}");
    }

    #[test]
    fn that_no_file_can_be_made_is_told_with_the_systems_reason() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let modules = dir.join(MODULES);
        // Nobody can make a file there, whoever it is.
        std::os::unix::fs::symlink("/sys", &modules).unwrap();
        let reason = File::create(modules.join("file")).unwrap_err().to_string();
        let said = cause(dir, 1000);
        assert!(said.ends_with(&reason), "{said}, for {reason}");
    }

    #[test]
    fn children_that_look_for_room_at_once_are_not_in_each_others_way() {
        let dir = tempfile::tempdir().unwrap();
        let modules = dir.path().join(MODULES);
        fs::create_dir(&modules).unwrap();
        // As another has it there, of which it is not known whether it is at work.
        fs::create_dir(modules.join("probe.wip-room")).unwrap();
        fs::create_dir(modules.join("probe-0.wip-room")).unwrap();
        let said = cause(dir.path(), 1000);
        assert!(said.contains("cleared away"), "{said}");
        assert_eq!(
            fs::read_dir(&modules).unwrap().count(),
            2,
            "nothing is left"
        );
    }
}
