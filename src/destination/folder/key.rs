//! Keys as paths below a folder.

use std::path::Path;

use super::STAGING_DIR;
use crate::config::Keys;
use crate::destination::PublishError;

/// Longest name of a file or folder on Linux file systems, in bytes.
const NAME_MAX: usize = 255;
/// Longest path that the system takes, in bytes, without the NUL that ends it.
const PATH_MAX: usize = 4095;

/// The keys below a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathKeys {
    /// Bytes of the folder's own path.
    root: usize,
}

impl PathKeys {
    /// The keys below that folder.
    pub(super) fn below(root: &Path) -> Self {
        Self {
            root: root.as_os_str().len(),
        }
    }

    /// The key as a relative path that stays below the folder and names exactly one file.
    pub(super) fn check(self, key: &str) -> Result<&Path, PublishError> {
        match self.take(key) {
            Ok(()) => Ok(Path::new(key)),
            Err(fault) => Err(PublishError::Permanent {
                cause: format!("the key {key:?} is no file name below a folder: {fault}"),
                advice: "change the prefix; an object that has its key already is moved aside by `firehose state \
                         discard STREAM --object KEY`"
                    .into(),
            }),
        }
    }
}

impl Keys for PathKeys {
    fn short(&self) -> usize {
        PATH_MAX.saturating_sub(self.root + 1).min(NAME_MAX)
    }

    fn take(&self, key: &str) -> Result<(), String> {
        if key.is_empty() {
            return Err("the key is empty".to_owned());
        }
        for (index, name) in key.split('/').enumerate() {
            name_of_file(name, index == 0)?;
        }
        match self.root + 1 + key.len() {
            bytes if bytes > PATH_MAX => Err(format!(
                "the path has {bytes} bytes in UTF-8, the system takes {PATH_MAX}"
            )),
            _ => Ok(()),
        }
    }
}

/// Whether a part of a key between slashes can be the name of a file or folder.
fn name_of_file(name: &str, is_first: bool) -> Result<(), String> {
    Err(match name {
        "" if is_first => "it begins with a slash".to_owned(),
        "" => "a part between slashes is empty, and a folder has no such names".to_owned(),
        "." | ".." => "a part between slashes is `.` or `..`".to_owned(),
        STAGING_DIR if is_first => format!("`{STAGING_DIR}` is where unfinished objects are kept"),
        nul if nul.contains('\0') => "it holds a NUL".to_owned(),
        long if long.len() > NAME_MAX => format!(
            "a part between slashes has {} bytes in UTF-8, a file system takes {NAME_MAX}",
            long.len()
        ),
        _ => return Ok(()),
    })
}
