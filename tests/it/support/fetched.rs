//! Packages that the tests fetch once and keep under `target/`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The folder of that name with the packages of a list, installed by `install` where they are not, or
/// where the list was another one.
pub fn fetched(
    name: &str,
    packages: &[&str],
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target")
        .join(name);
    let fault = |error: io::Error| format!("{}: {error}", dir.display());
    fs::create_dir_all(&dir).map_err(fault)?;
    // Two test processes may want it at once.
    let lock = File::create(dir.join("lock")).map_err(fault)?;
    lock.lock().map_err(fault)?;
    let stamp = dir.join("packages");
    let wanted = packages.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(dir);
    }
    install(&dir)?;
    fs::write(stamp, wanted).map_err(fault)?;
    Ok(dir)
}
