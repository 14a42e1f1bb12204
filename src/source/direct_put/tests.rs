//! The journal behind the port, on a disk that can lose what it holds.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::{DIR, DirectPut};
use crate::disk::{Disk, OpenMode, TornDisk};
use crate::source::promises::{self, Lane, Life, World, record};
use crate::source::{Known, Opened, PutBatch, SourceSettings};

/// Its journal's limit; segments are an eighth of it.
const LIMIT: u64 = 1 << 20;

struct Torn(TornDisk);

impl World for Torn {
    async fn new() -> Self {
        Self(TornDisk::new(0))
    }

    /// A journal is one shard.
    fn widen(&self) -> bool {
        false
    }

    fn source(&self) -> SourceSettings {
        DirectPut {
            journal_limit: LIMIT,
        }
        .into()
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.0.clone())
    }

    async fn put(&self, opened: &Opened, _: Lane, records: &[Vec<u8>]) -> bool {
        let intake = opened.handle.intake().unwrap();
        for record in records {
            let mut batch = PutBatch::default();
            batch.push(record);
            if intake.append(batch).await.is_err() {
                return false;
            }
        }
        true
    }

    /// A fault of the disk ends the run, and its recovery waits.
    fn fail(&self) -> bool {
        false
    }

    fn mend(&self) {}

    /// Flips a bit of each.
    fn lose(&self, records: Range<usize>, _: &mut Known) {
        for number in records {
            let wanted = record(number, 100);
            let damaged = self.0.list(Path::new(DIR)).unwrap().iter().any(|name| {
                let path = Path::new(DIR).join(name);
                let file = self.0.open(&path, OpenMode::Existing).unwrap();
                let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
                file.read_exact_at(&mut bytes, 0).unwrap();
                let found = memchr::memmem::find(&bytes, &wanted);
                found.is_some_and(|at| self.0.rot(&path, at as u64, 0x80).is_ok())
            });
            assert!(damaged, "record {number} is in the journal");
        }
    }

    fn is_told(&self, life: &Life) -> bool {
        let lost = life.lost.iter().map(|range| range.records());
        lost.sum::<u64>() == 3
    }

    fn estrange(&self, known: &mut Known) {
        known.incarnation = Uuid::from_u128(8);
    }

    fn held(&self, life: &Life) -> (u64, u64) {
        (life.opened.handle.disk_bytes(), LIMIT)
    }

    fn large(&self) -> usize {
        160 << 10
    }
}

promises::all!(Torn);
