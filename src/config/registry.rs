//! What a config file can name: handed to its reader, which knows none of it.

use std::fmt::{self, Debug};

use firehose_nearest::fold;

use super::{
    CatalogKind, FormatKind, FormatSettings, ParserKind, SourceKind, StoreKind, format_keys,
};

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

impl Registry {
    /// The word of Firehose's that folds to this, as it is written there, and what stands for it here, in the words of the
    /// kind that has it.
    pub(super) fn translation(&self, folded: &str) -> Option<(&'static str, &'static str)> {
        let stores = self.stores.iter().flat_map(|store| store.translations());
        let formats = self.formats.iter().flat_map(|kind| kind.translations());
        let parsers = self.parsers.iter().flat_map(|kind| kind.translations());
        let mut all = stores.chain(formats).chain(parsers);
        all.find(|(theirs, _)| fold(theirs) == folded).copied()
    }

    /// The keys of all kinds, and the table that each belongs to. Of a key that several have the first is meant.
    pub(super) fn where_keys_belong(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let stores = self.stores.iter().flat_map(|store| store.keys());
        let formats = self.formats.iter().flat_map(|kind| format_keys(*kind));
        let parsers = self.parsers.iter().flat_map(|kind| kind.keys());
        let sources = self.sources.iter().flat_map(|kind| kind.keys());
        let catalogs = self.catalogs.iter().flat_map(|kind| kind.keys());
        let stores = stores.map(|key| (*key, "in [stream.NAME.destination]"));
        let formats = formats.map(|key| (*key, "in [stream.NAME.format]"));
        let parsers = parsers.map(|key| (*key, "in [stream.NAME.parse]"));
        let sources = sources.flat_map(|keys| *keys);
        let sources = sources.map(|key| (*key, "in [stream.NAME.source]"));
        let catalogs = catalogs.map(|key| (*key, "in [stream.NAME.catalog]"));
        let own = stores.chain(formats).chain(parsers);
        own.chain(sources).chain(catalogs)
    }

    /// Whether a folded word is of destinations: in another table it would be of a destination of its own.
    pub(super) fn is_of_destinations(&self, folded: &str) -> bool {
        let mut stores = self.stores.iter();
        matches!(folded, "destination" | "store")
            || stores.any(|store| {
                let theirs = store.translations().iter().map(|(theirs, _)| *theirs);
                let ours = store.keys().iter().copied().chain([store.word()]);
                ours.chain(theirs).any(|word| fold(word) == folded)
            })
    }
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
