//! What a config of this build can name: the lists that the stages keep, for the reader of the config, which knows none
//! of them.

use crate::config::{FormatKind, Registry, StoreKind};
use crate::destination::STORES;
use crate::format::{self, FORMATS};
use crate::source::SOURCES;

/// All of it.
pub fn registry() -> Registry {
    let stores = STORES.iter().map(|store| *store as &'static dyn StoreKind);
    let formats = FORMATS
        .iter()
        .map(|format| *format as &'static dyn FormatKind);
    Registry {
        sources: SOURCES,
        stores: stores.collect(),
        formats: formats.collect(),
        stream_format: format::of_streams,
        backup_format: format::of_backups,
    }
}
