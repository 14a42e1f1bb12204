//! What a destination holds, told object by object; nothing there is changed.

use std::io;

use super::{Folder, PublishError, S3};
use crate::config::StoreSettings;

/// An object as its destination lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its whole key, or its path below the folder.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// When it was written, in ms since 1970, by the destination's clock.
    pub modified_ms: i64,
}

/// Takes what is found, one after the other.
pub(super) type Take<'a> = dyn FnMut(Found) -> io::Result<()> + 'a;

/// Why a list is not whole.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The destination does not tell.
    #[error(transparent)]
    Store(#[from] PublishError),
    /// What was found could not be taken.
    #[error(transparent)]
    Taken(#[from] io::Error),
}

/// Gives `take` each object whose key begins with `head`, in no order. For commands: it blocks on a folder. A
/// folder that is not there is an error, and is not made; links below it are not followed.
pub async fn list(store: &StoreSettings, head: &str, take: &mut Take<'_>) -> Result<(), ListError> {
    match store {
        StoreSettings::Folder { path } => Folder::list(path, head, take),
        StoreSettings::S3(settings) => S3::connect(settings).await?.list(head, take).await,
    }
}
