//! What a config of this build can name: the lists that the stages keep, for the reader of the config, which knows none
//! of them.

use crate::config::Registry;
use crate::source::SOURCES;

/// All of it.
pub fn registry() -> Registry {
    Registry { sources: SOURCES }
}
