//! What a config of this build can name: the lists of what stands behind ports, for the reader of the config, which knows
//! none of them. The sources are listed here, since their port is below them and names none; parsers, stores,
//! formats and catalogs where theirs is.

use crate::catalog::CATALOGS;
use crate::config::{
    CatalogKind, FormatKind, ParserKind, Registry, SourceKind, SourceSettings, StoreKind,
};
use crate::destination::STORES;
use crate::format::{self, ABSENT, FORMATS};
use crate::parse::PARSERS;
use crate::shard::SourceName;
use crate::source::{self, LocalRecords, Source, SourceEntry};

/// All kinds of sources, in the order in which messages name them: the one place where each is registered.
pub const SOURCES: &[&dyn SourceEntry] = &[&source::direct_put::KIND, &source::kinesis::KIND];

/// All of it.
pub fn registry() -> Registry {
    let sources = SOURCES.iter().map(|kind| *kind as &'static dyn SourceKind);
    let parsers = PARSERS
        .iter()
        .map(|parser| *parser as &'static dyn ParserKind);
    let stores = STORES.iter().map(|store| *store as &'static dyn StoreKind);
    let formats = FORMATS
        .iter()
        .map(|format| *format as &'static dyn FormatKind);
    let catalogs = CATALOGS
        .iter()
        .map(|catalog| *catalog as &'static dyn CatalogKind);
    Registry {
        sources: sources.collect(),
        parsers: parsers.collect(),
        stores: stores.collect(),
        formats: formats.collect(),
        catalogs: catalogs.collect(),
        absent_formats: ABSENT,
        stream_format: format::of_streams,
        backup_format: format::of_backups,
    }
}

/// The source that has these settings.
///
/// # Panics
///
/// Where they are of no source that is registered: settings come from the reader of the config, which has the same list.
pub fn source(settings: &SourceSettings) -> &dyn Source {
    let mut found = SOURCES.iter().filter_map(|kind| kind.source(settings));
    found
        .next()
        .expect("settings are of a source that is registered")
}

/// The kind that owns a name in a state; `None`: this version knows none.
pub fn source_kind_of(name: &SourceName) -> Option<&'static dyn SourceEntry> {
    SOURCES.iter().copied().find(|kind| kind.owns(name))
}

/// All kinds that keep records under a stream's directory, each with what it keeps.
pub fn local_records() -> impl Iterator<Item = (&'static dyn SourceEntry, &'static dyn LocalRecords)>
{
    SOURCES
        .iter()
        .filter_map(|kind| Some((*kind, kind.local()?)))
}
