//! What lies in a folder.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{Folder, STAGING_DIR, refused};
use crate::destination::listing::{ListError, ListedObject, Take};

impl Folder {
    /// See [`crate::destination::list`].
    pub(super) fn list(root: &Path, head: &str, take: &mut Take<'_>) -> Result<(), ListError> {
        let there = fs::metadata(root);
        there.map_err(|error| refused(&format!("listing {}", root.display()), &error))?;
        walk(root, "", head, take)
    }
}

/// Goes through the folder whose keys begin with `above`. One folder of each level is open at a time.
fn walk(dir: &Path, above: &str, head: &str, take: &mut Take<'_>) -> Result<(), ListError> {
    let failed = |error| refused(&format!("listing {}", dir.display()), &error);
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(dir) {
        Err(error) if is_gone(&error) => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // Keys are UTF-8; the rest is not ours.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // Of a link, not of what it leads to.
        let found = match entry.metadata() {
            Err(error) if is_gone(&error) => continue,
            found => found.map_err(failed)?,
        };
        let key = format!("{above}{name}");
        if found.is_dir() {
            let below = format!("{key}/");
            let may_hold = below.starts_with(head) || head.starts_with(&below);
            if may_hold && key != STAGING_DIR {
                walk(&entry.path(), &below, head, take)?;
            }
        } else if found.is_file() && key.starts_with(head) {
            let modified = found.modified().map_err(failed)?;
            let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
            take(ListedObject {
                key,
                size: found.len(),
                modified_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            })?;
        }
    }
    Ok(())
}
