//! What the tests of both logs stand on: a strict Kinesis with one shard, a bucket in memory, and the settings of a
//! stream between them.

use std::sync::Arc;
use std::time::Duration;

use super::bucket::Bucket;
use crate::budget::Budget;
use crate::catalog::fake::FakeCatalog;
use crate::clock::Clock;
use crate::config::{
    Align, BufferingSettings, CatalogSettings, DestinationSettings, FormatSettings, GlueTable,
    KeyValues, PartitioningSettings, StartSettings, StreamSettings,
};
use crate::disk::{Disk, Reserve, Shortage};
use crate::format::{Compression, Delimiter, JsonSettings};
use crate::pipeline::tests::learned;
use crate::pipeline::{KnownPlaces, Status, StreamContext, Workers};
use crate::source::Room;
use crate::source::kinesis::fake::{Fake, FakeShard};
use crate::telemetry::{Metrics, StreamMetrics};

/// For batches, in bytes.
const MEMORY: usize = 2 << 20;

pub(in crate::pipeline::log) struct World {
    pub(in crate::pipeline::log) fake: Fake,
    pub(in crate::pipeline::log) bucket: Arc<Bucket>,
    pub(in crate::pipeline::log) status: Arc<Status>,
    /// What intervals are counted from.
    pub(in crate::pipeline::log) align: Align,
    /// Data is rows of columns that are learned.
    pub(in crate::pipeline::log) learns: bool,
    /// Data is rows of the columns of this table.
    pub(in crate::pipeline::log) follows: Option<GlueTable>,
    /// By how much an event may be late, where partitions are hours of `t`.
    pub(in crate::pipeline::log) watermark: Option<Duration>,
    /// What is told where objects lie.
    pub(in crate::pipeline::log) catalog: Option<FakeCatalog>,
}

impl World {
    pub(in crate::pipeline::log) async fn new(shard: FakeShard) -> Self {
        let metrics = Metrics::new().unwrap();
        Self {
            fake: Fake::start(vec![shard]).await,
            bucket: Arc::new(Bucket::start().await),
            status: Arc::new(Status::new(
                StreamMetrics::new(&metrics, "clicks"),
                Clock::system(),
            )),
            align: Align::Record,
            learns: false,
            follows: None,
            watermark: None,
            catalog: None,
        }
    }

    pub(in crate::pipeline::log) fn settings(&self, interval: Duration) -> StreamSettings {
        let events = self.watermark.map(|_| "t=!{eventTime:yyyyDDDHH}/");
        let prefix = format!(
            "data/!{{partitionKeyFromQuery:k}}/{}",
            events.unwrap_or_default()
        );
        StreamSettings {
            name: "clicks".into(),
            source: self.fake.settings(StartSettings::TrimHorizon).into(),
            parser: None,
            transforms: Vec::new(),
            deaggregate: true,
            partitioning: PartitioningSettings {
                query: Some("{k: .k}".into()),
                event_time: events.map(|_| ".t".into()),
                key_values: KeyValues::Escaped,
                ..PartitioningSettings::default()
            },
            watermark: self.watermark,
            buffering: BufferingSettings {
                align: self.align,
                ..BufferingSettings::new(1 << 20, interval)
            },
            format: if let Some(table) = &self.follows {
                learned::rows_of_table(table.clone())
            } else if self.learns {
                learned::rows()
            } else {
                FormatSettings::new(JsonSettings {
                    compression: Compression::None,
                    delimiter: Delimiter::Newline,
                })
            },
            only_json: false,
            destination: DestinationSettings {
                store: self.bucket.settings().into(),
                errors: None,
                backup: None,
                prefix: Some(prefix),
                late_prefix: events.map(|_| "late/".into()),
                error_prefix: Some("errors/!{firehose:error-output-type}/".into()),
            },
            backup: None,
            catalog: self.catalog.clone().map(CatalogSettings::from),
            spool_limit: 64 << 20,
        }
    }

    pub(in crate::pipeline::log) fn context(&self, disk: &Arc<dyn Disk>) -> StreamContext {
        let workers = Workers::start(2).unwrap();
        StreamContext {
            clock: Clock::system(),
            workers: workers.clone(),
            routing: workers,
            encoders: Arc::default(),
            transforms: None,
            memory: Arc::new(Budget::new(MEMORY, 1, 0).share()),
            reserve: Arc::new(Reserve::new(Arc::clone(disk), 1, &[], Shortage::default())),
            status: Arc::clone(&self.status),
            metrics: Arc::new(Metrics::new().unwrap()),
            read_room: Room::new(64 << 20),
            known_places: KnownPlaces::default(),
        }
    }
}

pub(in crate::pipeline::log) fn records(count: usize) -> Vec<String> {
    let record = |id: usize| match id % 5 {
        // It has no key.
        4 => format!(r#"{{"id":"{id:03}"}}"#),
        key => format!(r#"{{"k":"{key}","id":"{id:03}"}}"#),
    };
    (0..count).map(record).collect()
}

pub(in crate::pipeline::log) fn shard(records: &[String]) -> FakeShard {
    let records: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    let now_ms = Clock::system().now_ms();
    FakeShard::new("one", &[]).with(now_ms, &records).closed()
}

/// Every record is visible once: those with a key as they are, the others among the errors.
pub(in crate::pipeline::log) fn assert_delivered(bucket: &Bucket, records: &[String]) {
    let held = bucket.held();
    let (mut good, bad): (Vec<&String>, Vec<&String>) =
        records.iter().partition(|record| record.contains("\"k\""));
    good.sort();
    assert!(
        held.lines("data/").iter().eq(good),
        "{:?}",
        held.lines("data/")
    );
    let errors = held.keys("errors/").into_iter();
    let errors = errors.filter(|key| !key.contains(".firehose"));
    let lines = errors.map(|key| held.lines(&key).len());
    assert_eq!(lines.sum::<usize>(), bad.len());
}
