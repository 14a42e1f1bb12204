//! What a config file can name: handed to its reader, which knows none of it.

use std::fmt::{self, Debug};

use super::{CatalogKind, FormatKind, FormatSettings, ParserKind, SourceKind, StoreKind};

/// The kinds of everything that a word of the file chooses.
pub struct Registry {
    /// What `type` of `[stream.X.source]` can be, in the order in which messages name it.
    pub sources: Vec<&'static dyn SourceKind>,
    /// What `type` of `[stream.X.parse]` can be, in the same order.
    pub parsers: Vec<&'static dyn ParserKind>,
    /// What `type` of a destination can be, in the same order.
    pub stores: Vec<&'static dyn StoreKind>,
    /// What `type` of a format can be, in the same order; the first is that of a table that names none.
    pub formats: Vec<&'static dyn FormatKind>,
    /// What `type` of `[stream.X.catalog]` can be, in the same order.
    pub catalogs: Vec<&'static dyn CatalogKind>,
    /// Formats that people look for and that are not there: the word, and why, with what to write instead.
    pub absent_formats: &'static [(&'static str, [&'static str; 2])],
    /// The format of a stream that says nothing about it.
    pub stream_format: fn() -> FormatSettings,
    /// The format of a backup that says nothing about it.
    pub backup_format: fn() -> FormatSettings,
}

impl Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.sources.iter().map(|source| source.word());
        let parsers = self.parsers.iter().map(|parser| parser.word());
        let stores = self.stores.iter().map(|store| store.word());
        let formats = self.formats.iter().map(|format| format.word());
        let catalogs = self.catalogs.iter().map(|catalog| catalog.word());
        formatter
            .debug_list()
            .entries(
                sources
                    .chain(parsers)
                    .chain(stores)
                    .chain(formats)
                    .chain(catalogs),
            )
            .finish()
    }
}
