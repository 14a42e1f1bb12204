//! `[stream.X.source]` with `type = "direct-put"`.

use std::path::Path;

use super::local::LocalJournal;
use super::segment_bytes;
use crate::config::{
    Asked, AwsSource, GIB, MIB, SourceKind, SourceSettings, SourceSpec, StreamType, TIB, Table,
};
use crate::error::StreamError;
use crate::shard::SourceName;
use crate::source::{Context, Known, LocalRecords, Opened, Source, SourceEntry};

const DEFAULT_JOURNAL_LIMIT: u64 = 4 * GIB;
/// The least that a journal may have.
const JOURNAL_LIMIT_MIN: u64 = MIB;

/// What `SOURCES` registers.
pub const KIND: DirectPutKind = DirectPutKind;

/// The kind of sources that producers put records into by Firehose's API.
#[derive(Debug)]
pub struct DirectPutKind;

/// The Direct PUT API and its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectPut {
    /// Bound on the journal's bytes on disk; producers are refused when it is full.
    pub journal_limit: u64,
}

impl SourceKind for DirectPutKind {
    fn word(&self) -> &'static str {
        "direct-put"
    }

    fn keys(&self) -> &'static [&'static [&'static str]] {
        &[&["journal_limit"]]
    }

    fn read(&self, table: &mut Table<'_>, _: &str, _: &Path) -> Option<SourceSettings> {
        let limit = table.size("journal_limit", JOURNAL_LIMIT_MIN..=64 * TIB);
        let journal_limit = limit.map_or(DEFAULT_JOURNAL_LIMIT, |limit| limit.value);
        Some(DirectPut { journal_limit }.into())
    }

    fn noun(&self) -> &'static str {
        "Direct PUT"
    }

    fn owns(&self, _: &SourceName) -> bool {
        false
    }

    fn of_state(&self, _: Option<&SourceName>, local_bytes: u64) -> SourceSettings {
        let journal_limit = local_bytes.max(JOURNAL_LIMIT_MIN);
        DirectPut { journal_limit }.into()
    }
}

impl SourceEntry for DirectPutKind {
    fn source<'a>(&self, settings: &'a SourceSettings) -> Option<&'a dyn Source> {
        settings.get::<DirectPut>().map(|own| own as &dyn Source)
    }

    fn local(&self) -> Option<&'static dyn LocalRecords> {
        Some(&LocalJournal)
    }
}

impl SourceSpec for DirectPut {
    fn kind(&self) -> &'static dyn SourceKind {
        &KIND
    }

    fn summary(&self) -> String {
        KIND.word().to_owned()
    }

    fn does(&self) -> String {
        "takes records by Direct PUT".to_owned()
    }

    fn aws(&self, _: &Asked<'_>) -> AwsSource {
        AwsSource {
            stream_type: StreamType::Put,
            source: None,
        }
    }

    fn put_elsewhere(&self) -> Option<&'static str> {
        None
    }

    fn disk_limit(&self) -> u64 {
        self.journal_limit
    }

    fn disk_reserve(&self) -> u64 {
        segment_bytes(self.journal_limit)
    }
}

impl Source for DirectPut {
    fn open(&self, known: Known, context: Context) -> Result<Opened, StreamError> {
        super::open(self.journal_limit, &known, context)
    }
}
