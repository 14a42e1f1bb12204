//! What a config of this build can name: the lists that the stages keep, for the reader of the config, which knows none
//! of them.

use crate::config::{Registry, StoreKind};
use crate::destination::STORES;
use crate::source::SOURCES;

/// All of it.
pub fn registry() -> Registry {
    let stores = STORES.iter().map(|store| *store as &'static dyn StoreKind);
    Registry {
        sources: SOURCES,
        stores: stores.collect(),
    }
}
