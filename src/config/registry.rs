//! What a config file can name: handed to its reader, which knows none of it.

use std::fmt::{self, Debug};

use super::StoreKind;
use crate::source::Kind;

/// The kinds of everything that a word of the file chooses.
pub struct Registry {
    /// What `type` of `[stream.X.source]` can be, in the order in which messages name it.
    pub sources: &'static [&'static dyn Kind],
    /// What `type` of a destination can be, in the same order.
    pub stores: Vec<&'static dyn StoreKind>,
}

impl Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.sources.iter().map(|source| source.word());
        let stores = self.stores.iter().map(|store| store.word());
        formatter
            .debug_list()
            .entries(sources.chain(stores))
            .finish()
    }
}
