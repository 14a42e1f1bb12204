//! Which keys a destination can take, whoever asks: publishing, sorting of records, `check`.

use std::path::{Path, PathBuf};

use crate::config::StoreSettings;

/// Longest object key S3 takes, in bytes of UTF-8.
const S3_KEY_MAX: usize = 1024;
/// Longest name of a file or folder on Linux file systems, in bytes.
const NAME_MAX: usize = 255;
/// Longest path that the system takes, in bytes, without the NUL that ends it.
const PATH_MAX: usize = 4095;
/// Where a folder keeps objects that are being written.
pub(super) const STAGING_DIR: &str = ".firehose-tmp";

/// The keys that a destination can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Paths below a folder.
    Folder {
        /// Bytes of the folder's own path.
        root: usize,
    },
    /// Keys of an S3-compatible bucket.
    S3,
}

impl Keys {
    /// The keys of a store.
    pub fn of(store: &StoreSettings) -> Self {
        match store {
            StoreSettings::Folder { path } => Self::below(&real(path)),
            StoreSettings::S3(_) => Self::S3,
        }
    }

    /// The keys below a folder.
    pub(super) fn below(root: &Path) -> Self {
        Self::Folder {
            root: root.as_os_str().len(),
        }
    }

    /// Bytes up to which every key is taken that begins with no dot and has no part that is empty, `.` or
    /// `..`.
    pub fn short(self) -> usize {
        match self {
            Self::Folder { root } => PATH_MAX.saturating_sub(root + 1).min(NAME_MAX),
            Self::S3 => S3_KEY_MAX,
        }
    }

    /// Whether an object may be given that key. The error says why not.
    pub fn take(self, key: &str) -> Result<(), String> {
        match self {
            // Clients and stores resolve them, or refuse them.
            Self::S3 if key.split('/').any(|name| matches!(name, "." | "..")) => {
                Err("a part between slashes is `.` or `..`".to_owned())
            }
            _ => self.hold(key),
        }
    }

    /// Whether the destination can hold an object that has that key already, perhaps from a version that gave
    /// what [`Keys::take`] refuses: of that the store is the judge. The error says why not.
    pub(super) fn hold(self, key: &str) -> Result<(), String> {
        match self {
            _ if key.is_empty() => Err("the key is empty".to_owned()),
            Self::S3 => match key.len() {
                ..=S3_KEY_MAX => Ok(()),
                bytes => Err(format!(
                    "the key has {bytes} bytes in UTF-8, S3 takes {S3_KEY_MAX}"
                )),
            },
            Self::Folder { root } => {
                for (index, name) in key.split('/').enumerate() {
                    name_of_file(name, index == 0)?;
                }
                match root + 1 + key.len() {
                    bytes if bytes > PATH_MAX => Err(format!(
                        "the path has {bytes} bytes in UTF-8, the system takes {PATH_MAX}"
                    )),
                    _ => Ok(()),
                }
            }
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

/// The path of a folder that may not be there yet, without symbolic links as far as it is.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = path.ancestors().find_map(|existing| {
        let real = existing.canonicalize().ok()?;
        Some(real.join(path.strip_prefix(existing).ok()?))
    });
    found.unwrap_or(path)
}
