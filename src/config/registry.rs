//! What a config file can name: handed to its reader, which knows none of it.

use crate::source::Kind;

/// The kinds of everything that a word of the file chooses.
#[derive(Clone, Copy)]
pub struct Registry {
    /// What `type` of `[stream.X.source]` can be, in the order in which messages name it.
    pub sources: &'static [&'static dyn Kind],
}
