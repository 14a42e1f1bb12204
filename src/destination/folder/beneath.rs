//! Folders below the destination's own, entered name by name and never through a symbolic link: what
//! somebody has put there must not lead objects elsewhere.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::destination::PublishError;

/// Permissions of a new folder, before the umask.
const MODE: Mode = Mode::from_raw_mode(0o777);

/// Opens the folder at `path` below `root`. `NotADirectory` where a name of it is a file or a link.
fn open(root: &Path, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = rustix::fs::open(root, flags, Mode::empty())?;
    for name in names(path) {
        dir = rustix::fs::openat(&dir, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(dir)
}

/// Gives the file at `from` the name `path` below `root`, which must be free.
pub(super) fn link(from: &Path, root: &Path, path: &Path) -> io::Result<()> {
    let dir = open(root, path.parent().unwrap_or(Path::new("")))?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    Ok(rustix::fs::linkat(CWD, from, &dir, name, AtFlags::empty())?)
}

/// Creates the folder at `path` below `root` with all above it; `created` is told of each that is new.
pub(super) fn create(root: &Path, path: &Path, mut created: impl FnMut(&Path)) -> io::Result<()> {
    let mut above = root.to_owned();
    let mut at = Path::new("").to_owned();
    for name in names(path) {
        let dir = open(root, &at)?;
        above.push(name);
        at.push(name);
        match rustix::fs::mkdirat(&dir, name, MODE) {
            Ok(()) => created(&above),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Fails where the way from `root` to the file at `path` below it leads through a symbolic link, and says
/// through which. What is not there yet is no link.
pub(super) fn is_without_links(root: &Path, path: &Path) -> Result<(), PublishError> {
    let mut at = root.to_owned();
    let parent = path.parent().unwrap_or(Path::new(""));
    for name in names(parent) {
        at.push(name);
        match std::fs::symlink_metadata(&at) {
            Ok(found) if found.is_symlink() => return Err(is_link(&at)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(super::at(&at, &error)),
        }
    }
    Ok(())
}

/// The folder at `path` is none, but a link to somewhere.
pub(super) fn is_link(path: &Path) -> PublishError {
    PublishError::Permanent {
        cause: format!(
            "{} is a symbolic link, and links are not followed",
            path.display()
        ),
        advice:
            "put a folder in its place; only the destination's `path` itself may lead elsewhere"
                .into(),
    }
}

fn names(path: &Path) -> impl Iterator<Item = &std::ffi::OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}
