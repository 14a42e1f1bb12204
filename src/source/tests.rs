//! The smallest source, which `docs/src/design/ports.md` has word for word, held to the promises as all others are.

mod queue;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use self::queue::{KIND, Queue};
use super::promises::{self, Lane, Life, World};
use super::{Context, Known, Opened, SourceEntry as _, SourceSettings};
use crate::config;
use crate::disk::{Disk, TornDisk};
use crate::error::StreamError;
use crate::registry::registry;

/// A queue, by its name.
struct Queued(String);

impl World for Queued {
    async fn new() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// A queue is one shard.
    fn widen(&self) -> bool {
        false
    }

    /// As its own config says.
    fn source(&self) -> SourceSettings {
        let config = format!(
            "[stream.c]\nsource = {{ type = \"queue\", name = \"{}\" }}\n\
             destination = {{ type = \"folder\", path = \"lake\" }}\n",
            self.0
        );
        let mut registry = registry();
        registry.sources.push(&KIND);
        let read = config::parse(config, Path::new("firehose.toml"), &|_| None, &registry).unwrap();
        read.config.streams["c"].source.clone()
    }

    fn open(&self, known: Known, context: Context) -> Result<Opened, StreamError> {
        KIND.source(&self.source()).unwrap().open(known, context)
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(TornDisk::new(0))
    }

    /// A record's own number begins it.
    async fn put(&self, _: &Opened, _: Lane, records: &[Vec<u8>]) -> bool {
        for record in records {
            let number = record.first_chunk().copied().map(u64::from_le_bytes);
            Queue::open(&self.0).put(number.unwrap(), record.clone());
        }
        true
    }

    /// Memory has no faults that pass.
    fn fail(&self) -> bool {
        false
    }

    fn mend(&self) {}

    fn lose(&self, records: Range<usize>, _: &mut Known) {
        for number in records {
            Queue::open(&self.0).lose(number as u64);
        }
    }

    fn is_told(&self, life: &Life) -> bool {
        let lost = life.lost.iter().map(|range| range.records());
        lost.sum::<u64>() == 3
    }

    fn estrange(&self, known: &mut Known) {
        known.source.as_mut().unwrap().created_ms -= 1;
    }

    /// It reads nothing ahead.
    fn held(&self, _: &Life) -> (u64, u64) {
        (0, 0)
    }

    fn large(&self) -> usize {
        1_000
    }
}

promises::all!(Queued);
