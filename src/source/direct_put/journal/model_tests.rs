//! Random lives of a journal on a disk that forgets and tears: appends in groups, reads,
//! releases, failing calls, lost power, recovery after recovery; held against a plain model.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::disk::{DiskOperation, TornDisk};

const SEGMENT_BYTES: u64 = 16 << 10;
const LIMIT: u64 = 4 * SEGMENT_BYTES;

#[derive(Clone, Debug)]
enum Step {
    /// Batches that wait together: bytes of each record of each batch.
    Append(Vec<Vec<usize>>),
    /// Reads what there is, in chunks of at most so many bytes.
    Read(usize),
    /// Checkpoints what was read, and releases it.
    Release,
    /// The nth call of that kind from here on fails.
    Fail(DiskOperation, u64, ErrorKind),
    /// The power goes after so many more calls.
    PowerOff(u64),
}

/// One process: its steps, and the seed of the crash that ends it (none: it stops in order).
#[derive(Clone, Debug)]
struct Life {
    /// The power goes already while the journal is opened, after so many calls.
    power_at_open: Option<u64>,
    steps: Vec<Step>,
    crash: Option<u64>,
}

fn step() -> impl Strategy<Value = Step> {
    let records = prop::collection::vec(prop_oneof![0..40_usize, 100..3_000_usize], 1..5);
    let operation = prop::sample::select(vec![
        DiskOperation::Write,
        DiskOperation::Sync,
        DiskOperation::Create,
        DiskOperation::Rename,
        DiskOperation::SyncDir,
    ]);
    let kind = prop::sample::select(vec![ErrorKind::Other, ErrorKind::StorageFull]);
    prop_oneof![
        6 => prop::collection::vec(records, 1..6).prop_map(Step::Append),
        3 => (1..8_000_usize).prop_map(Step::Read),
        3 => Just(Step::Release),
        1 => (operation, 1..4_u64, kind).prop_map(|(operation, nth, kind)| Step::Fail(operation, nth, kind)),
        1 => (0..12_u64).prop_map(Step::PowerOff),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    (
        prop::option::weighted(0.2, 0..12_u64),
        prop::collection::vec(step(), 0..14),
        prop::option::weighted(0.8, any::<u64>()),
    )
        .prop_map(|(power_at_open, steps, crash)| Life {
            power_at_open,
            steps,
            crash,
        })
}

/// What the producer was told about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Accepted(Sequence),
    Refused,
    Unknown,
}

/// The world outside of the journal: producers, and the checkpoint store.
struct World {
    disk: TornDisk,
    /// The largest epoch that was opened successfully.
    epoch: u32,
    frontier: Option<Sequence>,
    /// Record id → what was told.
    answers: Vec<Answer>,
    /// Everything delivered, in order; what lies beyond the frontier is forgotten at a crash.
    delivered: Vec<(Sequence, u32)>,
    /// Which record a sequence number stood for, ever.
    meaning: HashMap<Sequence, u32>,
}

impl World {
    fn open(&mut self) -> Result<OpenedJournal, JournalError> {
        let known = JournalCheckpoint {
            incarnation: Uuid::from_u128(9),
            epoch: self.epoch,
            frontier: self.frontier,
        };
        let settings = JournalSettings {
            stream: "model".to_owned(),
            dir: PathBuf::from("streams/model"),
            limit: LIMIT,
            segment_bytes: SEGMENT_BYTES,
            idle: Duration::from_hours(1),
        };
        let opened = Journal::open(
            Arc::new(self.disk.clone()),
            Clock::manual(5),
            settings,
            known,
        )?;
        assert!(opened.epoch > self.epoch);
        self.epoch = opened.epoch;
        assert_eq!(opened.missing, []);
        Ok(opened)
    }

    async fn live(&mut self, life: Life) {
        if let Some(calls) = life.power_at_open {
            self.disk.power_off_after(calls);
        }
        match self.open() {
            Ok(opened) => self.run(opened, &life.steps).await,
            Err(JournalError::Io { .. }) => {} // the power is off, or a call failed: try again
            Err(stop) => panic!("{stop}"),
        }
        if self.disk.is_off() || life.crash.is_some() {
            self.disk = self.disk.crash(life.crash.unwrap_or(0));
        }
        self.disk.mend();
        let frontier = self.frontier;
        self.delivered
            .retain(|(sequence, _)| Some(*sequence) <= frontier);
    }

    async fn run(&mut self, opened: OpenedJournal, steps: &[Step]) {
        let OpenedJournal {
            journal,
            mut reader,
            ..
        } = opened;
        let mut waiting = Vec::new();
        for step in steps {
            match step {
                Step::Append(batches) => {
                    for sizes in batches {
                        waiting.push(self.append(&journal, sizes));
                    }
                    // Let them all reach the queue, but do not wait for the answers.
                    tokio::task::yield_now().await;
                }
                Step::Read(max_bytes) => self.read(&mut reader, *max_bytes).await,
                Step::Release => {
                    self.frontier = self
                        .delivered
                        .last()
                        .map(|(sequence, _)| *sequence)
                        .max(self.frontier);
                    if let Some(frontier) = self.frontier {
                        let released = journal.release(frontier);
                        assert!(
                            released.is_ok()
                                || self.disk.is_off()
                                || steps.iter().any(|step| matches!(step, Step::Fail(..)))
                        );
                    }
                }
                Step::Fail(operation, nth, kind) => self.disk.fail(*operation, *nth, *kind),
                Step::PowerOff(calls) => self.disk.power_off_after(*calls),
            }
            assert!(
                journal.bytes() <= LIMIT + 2 * SEGMENT_BYTES,
                "{} bytes",
                journal.bytes()
            );
        }
        journal.stop();
        for (ids, appending) in waiting {
            let answer = appending.await.unwrap();
            for (offset, id) in ids.enumerate() {
                self.answers[id] = match &answer {
                    Ok(accepted) => Answer::Accepted(accepted.first.plus(offset as u64)),
                    Err(Refused::Disk { cause, .. }) if cause.contains("unknown") => {
                        Answer::Unknown
                    }
                    Err(_) => Answer::Refused,
                };
            }
        }
        journal.stopped().await;
        self.read(&mut reader, 1 << 20).await;
    }

    fn append(
        &mut self,
        journal: &Journal,
        sizes: &[usize],
    ) -> (
        std::ops::Range<usize>,
        tokio::task::JoinHandle<Result<Accepted, Refused>>,
    ) {
        let mut batch = PutBatch::default();
        let start = self.answers.len();
        for size in sizes {
            let id = u32::try_from(self.answers.len()).unwrap();
            batch.push(&content(id, *size));
            self.answers.push(Answer::Unknown);
        }
        let journal = journal.clone();
        let appending = tokio::spawn(async move { journal.append(batch).await });
        (start..self.answers.len(), appending)
    }

    async fn read(&mut self, reader: &mut JournalReader, max_bytes: usize) {
        loop {
            let chunk = match reader.available(max_bytes).await {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => chunk,
                Err(error) => {
                    assert!(self.disk.is_off(), "{error}");
                    break;
                }
            };
            assert!(chunk.len() == 1 || chunk.bytes() <= max_bytes);
            for record in chunk.iter() {
                let id = u32::from_le_bytes(record.data[..4].try_into().unwrap());
                assert!(record.data == content(id, record.data.len() - 4), "torn");
                let sequence = record.position.sequence.narrow().unwrap();
                let before = self.delivered.last().map(|(sequence, _)| *sequence);
                assert!(
                    before.max(self.frontier) < Some(sequence),
                    "in order, beyond the frontier"
                );
                assert_eq!(
                    *self.meaning.entry(sequence).or_insert(id),
                    id,
                    "one meaning"
                );
                self.delivered.push((sequence, id));
            }
        }
        assert_eq!(reader.take_missing(), []);
    }

    fn judge(&self) {
        let mut times = vec![Vec::new(); self.answers.len()];
        for (sequence, id) in &self.delivered {
            times[*id as usize].push(*sequence);
        }
        for (id, (answer, times)) in self.answers.iter().zip(times).enumerate() {
            match answer {
                Answer::Accepted(sequence) => assert_eq!(times, [*sequence], "accepted {id}"),
                Answer::Refused => assert_eq!(times, [], "refused {id}"),
                Answer::Unknown => assert!(times.len() <= 1, "unknown {id}: {times:?}"),
            }
        }
    }
}

/// A record: its id, then bytes that depend on it.
fn content(id: u32, size: usize) -> Vec<u8> {
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.extend((0..size).map(|index| (index as u64 * 31 + u64::from(id) * 7).to_le_bytes()[0]));
    bytes
}

proptest! {
    #[test]
    fn every_accepted_record_is_delivered_once_in_order_whatever_happens_to_disk_and_process(
        seed in any::<u64>(),
        lives in prop::collection::vec(life(), 1..7),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World {
                disk: TornDisk::new(seed),
                epoch: 0,
                frontier: None,
                answers: Vec::new(),
                delivered: Vec::new(),
                meaning: HashMap::new(),
            };
            for life in lives {
                world.live(life).await;
            }
            world.disk = world.disk.crash(seed);
            let opened = world.open().unwrap();
            world.run(opened, &[]).await;
            world.judge();
        });
    }
}
