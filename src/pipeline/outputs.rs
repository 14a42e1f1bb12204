//! What a stream writes: for each lane its format, and where its objects go.

use std::collections::BTreeMap;
use std::sync::Arc;

use firehose_json as json;
use uuid::Uuid;

use super::formats::{Formats, to_be_mended};
use super::prefixes::{self, MadeUp, Prefixes, STREAM_VERSION};
use super::windows::LaneWindows;
use crate::checkpoint::{Lane, LaneStores, Target, Window};
use crate::config::StreamSettings;
use crate::error::StreamError;
use crate::failure::{ErrorOutputType, Failure};
use crate::format::{self, Format};
use crate::parse::Parser;
use crate::partition::{ErrorPrefix, PartitionFault, Partitioner, object_name};
use crate::record::{Chunk, Record};
use crate::schema::SchemaVersion;

/// The compiled outputs of one stream.
pub struct Outputs {
    stream: String,
    stores: LaneStores,
    windows: LaneWindows,
    /// Makes JSON of source records that are none.
    pub parser: Option<Parser>,
    /// Sorts records of the data lane.
    pub partitioner: Partitioner,
    /// Whether records that are several JSON texts are taken apart.
    deaggregates: bool,
    /// Whether what is no JSON text fails.
    only_json: bool,
    backup: Option<Partitioner>,
    error_prefix: ErrorPrefix,
    /// The error prefix as it is written.
    error_identity: String,
    /// What batches may name.
    pub(super) formats: Formats,
    backup_format: Option<u64>,
    error_format: u64,
}

impl Outputs {
    /// Compiles a stream's settings, the formats that batches from before still name, by their durable forms, and the
    /// versions of columns that were learned before.
    pub fn compile(
        settings: &StreamSettings,
        named: BTreeMap<u64, String>,
        versions: Vec<SchemaVersion>,
    ) -> Result<Self, StreamError> {
        let Prefixes {
            data: mut partitioner,
            errors: error_prefix,
            backup,
        } = prefixes::compile(settings, MadeUp::default()).map_err(|faults| refused(&faults))?;
        if settings.format.reads_json() {
            partitioner = partitioner.trusting_the_rest();
        }
        let destination = &settings.destination;
        let error_identity = destination.error_prefix.as_ref();
        let error_identity = error_identity.or(destination.prefix.as_ref());
        let error_identity = error_identity.cloned().unwrap_or_default();
        let formats = Formats::compile(&settings.format, named, versions)?;
        let error_format = formats.add(&format::of_errors())?;
        let backup_format = settings.backup.as_ref();
        let backup_format = backup_format
            .map(|backup| formats.add(&backup.format))
            .transpose()?;
        Ok(Self {
            stream: settings.name.clone(),
            stores: LaneStores::of(destination),
            windows: {
                let backup = settings.backup.as_ref().map(|backup| backup.buffering);
                LaneWindows::of(settings.buffering, backup, partitioner.zone())
            },
            parser: settings.parser.clone().map(Parser::of),
            partitioner,
            deaggregates: settings.takes_apart(),
            only_json: settings.only_json,
            backup,
            error_prefix,
            error_identity,
            formats,
            backup_format,
            error_format,
        })
    }

    /// The records of a chunk as keys and format see them: one that is wholly several JSON texts is as
    /// many records, each with its own bytes, which together are those of the one.
    pub fn deaggregated(&self, chunk: Arc<Chunk>) -> Arc<Chunk> {
        if self.deaggregates {
            chunk.cut(json::several)
        } else {
            chunk
        }
    }

    /// Whether the format takes a record at all, before it is staged.
    pub fn admit(&self, record: &Record<'_>) -> Result<(), Failure> {
        if !self.only_json || record.text.is_some() || json::is_one(record.data) {
            return Ok(());
        }
        Err(Failure::new(
            ErrorOutputType::FormatConversionFailed,
            "DataFormatConversion.ParseError",
            "Encountered malformed JSON. The record is not one JSON text.",
        ))
    }

    /// Whether source records are copied to the backup lane.
    pub const fn has_backup(&self) -> bool {
        self.backup.is_some()
    }

    /// The store that new batches of a lane go to.
    pub fn store(&self, lane: Lane) -> &str {
        self.stores.lane(lane)
    }

    /// The stores that new batches go to.
    pub const fn stores(&self) -> &LaneStores {
        &self.stores
    }

    /// Where the intervals of each lane begin and end that are counted by the clock.
    pub(super) const fn windows(&self) -> &LaneWindows {
        &self.windows
    }

    /// Text of the error prefix before its first expression: where marker objects live.
    pub fn marker_head(&self) -> &str {
        self.error_prefix.literal_head()
    }

    /// The format of new batches of a lane.
    pub fn lane_format(&self, lane: Lane) -> u64 {
        match lane {
            Lane::Backup => self.backup_format.unwrap_or_else(|| self.formats.data()),
            Lane::Data => self.formats.data(),
            Lane::Error(_) => self.error_format,
        }
    }

    /// The partition under which a batch is kept that opens now. Each error type has one partition,
    /// named by the error prefix.
    pub fn identity<'a>(&'a self, lane: Lane, routed: &'a str) -> &'a str {
        match lane {
            Lane::Error(_) => &self.error_identity,
            Lane::Data | Lane::Backup => routed,
        }
    }

    /// Whether an open batch from before may take more records: one that opens now would have the
    /// same store, format, prefix and window (C7). Where the prefix of data has changed, no record finds it.
    pub(super) fn is_current(
        &self,
        (lane, identity): (Lane, &str),
        target: &Target,
        (arrival_ms, window): (i64, Option<Window>),
    ) -> bool {
        let same_prefix = match lane {
            Lane::Data => true,
            Lane::Backup => *identity == *self.backup_identity(),
            Lane::Error(_) => *identity == *self.error_identity,
        };
        let same_store = target.store == self.store(lane);
        let same_window = window == self.windows.find(lane, arrival_ms);
        same_prefix && same_store && same_window && target.format == self.lane_format(lane)
    }

    /// A format by its hash. The checkpoint store keeps every format that a batch names, so one
    /// that is missing is a fault of ours.
    pub fn format(&self, hash: u64) -> Option<Format> {
        self.formats.get(hash)
    }

    /// Fixes where a batch that opens now will be published.
    pub fn target(&self, lane: Lane, identity: &str, arrival_ms: i64, id: Uuid) -> Target {
        let format = self.lane_format(lane);
        let prefix = match (lane, &self.backup) {
            (Lane::Error(output_type), _) => self.error_prefix.open_prefix(output_type, arrival_ms),
            (Lane::Backup, Some(backup)) => backup.open_prefix(identity.as_bytes(), arrival_ms),
            _ => self
                .partitioner
                .open_prefix(identity.as_bytes(), arrival_ms),
        };
        let extension = match lane {
            Lane::Error(_) => "",
            Lane::Data => self.formats.extension(),
            Lane::Backup => self.format(format).map_or("", |format| format.extension()),
        };
        let zone = self.partitioner.zone();
        let name = object_name(
            &self.stream,
            STREAM_VERSION,
            arrival_ms,
            id,
            extension,
            zone,
        );
        Target {
            store: self.store(lane).to_owned(),
            key: prefix + &name,
            format,
            is_late: lane == Lane::Data && Partitioner::is_late(identity),
        }
    }

    /// The partition of every backup record.
    pub fn backup_identity(&self) -> String {
        let record = Record::new(b"", 0, crate::position::Position::default());
        let mut identity = Vec::new();
        if let Some(backup) = &self.backup {
            // A prefix without keys asks nothing of the record, so this cannot fail.
            let _ = backup.partition(&mut backup.scratch(), &record, &mut identity);
        }
        String::from_utf8(identity).unwrap_or_default()
    }
}

/// What faults mean to the stream: those of the system may pass.
pub(super) fn refused(faults: &[PartitionFault]) -> StreamError {
    let messages = |faults: Vec<&PartitionFault>| {
        let messages: Vec<_> = faults.iter().map(|fault| &*fault.message).collect();
        messages.join("; ")
    };
    let (passing, own): (Vec<_>, _) = faults.iter().partition(|fault| fault.is_transient);
    if own.is_empty() {
        return StreamError::State {
            action: "compile the stream's queries",
            cause: messages(passing).into(),
        };
    }
    to_be_mended(&messages(own))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::position::{Position, Sequence};
    use crate::record::ChunkBuilder;
    use crate::source::PutBatch;

    fn outputs(lines: &str) -> Outputs {
        let text = format!(
            "[stream.c]\nsource.type = \"direct-put\"\ndestination.type = \"folder\"\n\
             destination.path = \"out\"\n{lines}"
        );
        let loaded = crate::config::parse(
            text,
            Path::new("firehose.toml"),
            &|_| None,
            &crate::registry::registry(),
        );
        let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
        Outputs::compile(&loaded.config.streams["c"], BTreeMap::new(), Vec::new()).unwrap()
    }

    #[test]
    fn records_are_taken_apart_where_it_matters_and_left_alone_elsewhere() {
        let keys = "partitioning.query = \"{k: .k}\"\ndestination.prefix = \
                    \"!{partitionKeyFromQuery:k}/\"\ndestination.error_prefix = \"errors/\"";
        let time = "partitioning.event_time = \".t\"\ndestination.prefix = \"!{eventTime:yyyy}/\"\n\
                    destination.error_prefix = \"errors/\"";
        let set = "transform = [{ module = \"m.wasm\" }]\ndestination.prefix = \
                   \"!{partitionKeyFromLambda:k}/\"\ndestination.error_prefix = \"errors/\"";
        for (lines, count) in [
            ("", 3),
            ("deaggregate = \"off\"", 1),
            ("format.type = \"raw\"", 1),
            ("format = { type = \"raw\", delimiter = \"newline\" }", 1),
            ("format.delimiter = \"none\"", 1),
            ("format.delimiter = \"##\"", 3),
            ("format = { delimiter = \"none\", not_json = \"fail\" }", 3),
            ("format = { type = \"parquet\", schema = \"n int\" }", 3),
            (&format!("format.type = \"raw\"\n{keys}"), 3),
            (&format!("format.type = \"raw\"\n{time}"), 3),
            (&format!("deaggregate = \"off\"\n{keys}"), 1),
            (&format!("format.type = \"raw\"\n{set}"), 3),
        ] {
            let mut chunk = ChunkBuilder::with_room(0, 0);
            chunk.push(b"{\"n\":1}\n[2]{\"n\":3}\n", 5, Sequence(7));
            let outputs = outputs(lines);
            // Settings tell by the text of the prefix what the compiled one knows.
            let is_static = outputs.partitioner.is_static();
            assert!(is_static || outputs.deaggregates || count == 1, "{lines}");
            let chunk = outputs.deaggregated(Arc::new(chunk.finish()));
            assert_eq!(chunk.len(), count, "{lines}");
        }
    }

    proptest! {
        #[test]
        fn the_door_counts_as_many_records_as_are_routed(
            records in vec(vec(select(&["{}", "[1]", "{\"a\":[{}]}", "1", "\"x\"", "\n", "\r", " ", "{", ","][..]), 0..12), 0..12),
        ) {
            let mut batch = PutBatch::default();
            for record in &records {
                batch.push(record.concat().as_bytes());
            }
            let counted: usize = batch.records().map(json::pieces).sum();
            let ends = batch.ends.iter().map(|&end| end as usize);
            let arena = Bytes::copy_from_slice(&batch.data);
            let chunk = Chunk::adopt(arena, ends, 5, Sequence(7));
            prop_assert_eq!(outputs("").deaggregated(Arc::new(chunk)).len(), counted);
        }
    }

    #[test]
    fn what_the_system_refuses_is_tried_again_and_what_the_settings_say_is_to_be_mended() {
        let fault = |is_transient| PartitionFault {
            field: crate::partition::PartitionSetting::Query,
            at: None,
            message: format!("of system: {is_transient}"),
            help: None,
            is_transient,
        };
        let passing = refused(&[fault(true)]);
        assert!(matches!(passing, StreamError::State { .. }), "{passing}");
        let StreamError::LoudStop { cause, .. } = refused(&[fault(true), fault(false)]) else {
            panic!("the settings are at fault");
        };
        assert_eq!(cause, "of system: false");
    }

    #[test]
    fn what_is_no_json_text_is_admitted_unless_it_is_to_fail() {
        let (lax, strict) = (outputs(""), outputs("format.not_json = \"fail\""));
        for (data, is_json) in [
            (&b"{\"a\":\n1}\n"[..], true),
            (b"null", true),
            (b"text", false),
            (b"", false),
            (b"{\"a\":1}{\"a\":2}", false),
            (b"\xef\xbb\xbf{}", false),
        ] {
            let record = Record::new(data, 0, Position::default());
            assert_eq!(lax.admit(&record), Ok(()));
            let admitted = strict.admit(&record);
            assert_eq!(admitted.is_ok(), is_json, "{data:?}");
            if let Err(failure) = admitted {
                assert_eq!(failure.output_type, ErrorOutputType::FormatConversionFailed);
            }
        }
    }
}
