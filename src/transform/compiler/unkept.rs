//! Why the cache has not kept what was compiled.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// Where wasmtime keeps code, in the folder of its cache.
const MODULES: &str = "modules";
/// How the names of files go on that are being written. One that is left behind, by a full disk or a kill,
/// stands in the way of the next attempt.
const UNFINISHED: &str = "wip-atomic-write-mod";
/// A file of ours, which shows whether there is room.
const PROBE: &str = "probe.wip-room";

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
    let probe = modules.join(PROBE);
    let written = File::create(&probe)
        .and_then(|mut file| io::copy(&mut io::repeat(0).take(bytes), &mut file));
    fs::remove_file(&probe)?;
    written.map(drop)
}

fn clear(dir: &Path) -> io::Result<()> {
    for file in fs::read_dir(dir)? {
        let file = file?.path();
        if file.extension().is_some_and(|end| end == UNFINISHED) {
            fs::remove_file(file)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::engine::{Code, Compiler, Engine};
    use super::*;

    fn load(dir: &Path) -> Code {
        let component = wat::parse_str("(component)").unwrap();
        let engine = Engine::start(Some(dir), Compiler::Here).unwrap();
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
}
