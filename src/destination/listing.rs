//! What a destination holds, told object by object.

use std::io;

use super::PublishError;

/// An object as its destination lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its whole key, or its path below the folder.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// When it was written, in ms since 1970, by the destination's clock.
    pub modified_ms: i64,
}

/// Takes what is found, one after the other.
pub type Take<'a> = dyn FnMut(ListedObject) -> io::Result<()> + Send + 'a;

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
