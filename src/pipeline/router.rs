//! From the source to the pipeline: chunks are read, parsed, transformed and routed on several cores, and
//! handed on in order.

mod parsed;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use firehose_json as json;
use tokio::sync::mpsc;
use tokio::sync::oneshot::error::RecvError;

use super::StreamContext;
use super::outputs::Outputs;
use super::route::{Routed, Routing, Stretch};
use super::workers::Workers;
use crate::clock::Clock;
use crate::error::StreamError;
use crate::partition::PartitionScratch;
use crate::record::Chunk;
use crate::source::{Read, Reader};
use crate::transform::{Transforms, Workshop};

/// Bytes of records in a chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// What is in a stretch, texts of records each by itself, but for one record that alone has more. A chunk
/// has no more records than that.
const STRETCH_RECORDS: usize = json::TEXTS_MAX;
/// Routed stretches that may wait for the pipeline.
const READY: usize = 2;

type Handed = Result<Routed, StreamError>;

/// Starts reading; the receiver ends when the source has ended.
pub(super) fn start(
    reader: Box<dyn Reader>,
    outputs: Arc<Outputs>,
    context: &StreamContext,
) -> mpsc::Receiver<Handed> {
    let bench = Bench::new(outputs, context);
    let (routing, mut in_order) = mpsc::channel(bench.workers.threads());
    let (ready, routed) = mpsc::channel(READY);
    let failed = ready.clone();
    tokio::spawn(async move {
        if let Err(error) = read(reader, Arc::new(bench), &routing).await {
            let _ = failed.send(Err(error)).await;
        }
    });
    tokio::spawn(async move {
        while let Some(stretches) = in_order.recv().await {
            let mut stretches: mpsc::Receiver<Handed> = stretches;
            while let Some(routed) = stretches.recv().await {
                if ready.send(routed).await.is_err() {
                    return;
                }
            }
        }
    });
    routed
}

/// Reads chunk after chunk; as many as there are threads are worked on at a time.
async fn read(
    mut reader: Box<dyn Reader>,
    bench: Arc<Bench>,
    routing: &mpsc::Sender<mpsc::Receiver<Handed>>,
) -> Result<(), StreamError> {
    while let Some(read) = reader.next(CHUNK_BYTES).await? {
        let Read {
            lost: mut missing,
            chunk,
            mut event,
        } = read;
        let (stretches, in_order) = mpsc::channel(1);
        if routing.send(in_order).await.is_err() {
            return Ok(());
        }
        let (bench, chunk) = (Arc::clone(&bench), Arc::new(chunk));
        let of_len = chunk.len();
        tokio::spawn(async move {
            let mut start = 0;
            loop {
                let worked = bench.stretch(&chunk, start).await.map(|(mut routed, end)| {
                    routed.missing = std::mem::take(&mut missing);
                    start = end;
                    if start >= of_len {
                        routed.event = event.take();
                    }
                    routed
                });
                let handed = worked.map_err(|_| StreamError::State {
                    action: "transform and route records",
                    cause: "the job panicked".into(),
                });
                let failed = handed.is_err();
                if stretches.send(handed).await.is_err() || failed || start >= chunk.len() {
                    return;
                }
            }
        });
    }
    Ok(())
}

/// How far a job has come, and the index at which its stretch ends.
enum Worked {
    Routed(Box<Routed>, usize),
    Unfinished(Box<Routing>, usize),
}

/// What the work on chunks needs, and keeps from chunk to chunk.
struct Bench {
    outputs: Arc<Outputs>,
    transforms: Option<Arc<Transforms>>,
    workers: Workers,
    clock: Clock,
    scratches: Idle<PartitionScratch>,
    workshops: Idle<Workshop>,
}

impl Bench {
    fn new(outputs: Arc<Outputs>, context: &StreamContext) -> Self {
        Self {
            outputs,
            transforms: context.transforms.clone(),
            workers: context.routing.clone(),
            clock: context.clock.clone(),
            scratches: Idle::default(),
            workshops: Idle::default(),
        }
    }

    /// Works on the records of a chunk from index `start` on, up to the index that is returned. Where
    /// queries are slow that is one job after the other, so that other streams have their turns.
    async fn stretch(
        self: &Arc<Self>,
        chunk: &Arc<Chunk>,
        start: usize,
    ) -> Result<(Routed, usize), RecvError> {
        let (bench, chunk) = (Arc::clone(self), Arc::clone(chunk));
        let begin = move || bench.advance(bench.begin(&chunk, start));
        let mut worked = self.workers.run(begin).await?;
        loop {
            match worked {
                Worked::Routed(routed, end) => return Ok((*routed, end)),
                Worked::Unfinished(routing, end) => {
                    let bench = Arc::clone(self);
                    let go_on = move || bench.advance((routing, end));
                    worked = self.workers.run(go_on).await?;
                }
            }
        }
    }

    fn begin(&self, chunk: &Arc<Chunk>, start: usize) -> (Box<Routing>, usize) {
        let mut range = start..chunk.len();
        let stretch = loop {
            let stretch = self.stretched(Arc::clone(chunk), range);
            let Range { start, end } = stretch.range;
            if stretch.data.len() <= STRETCH_RECORDS || end - start < 2 {
                break stretch;
            }
            range = start..start + (end - start) / 2;
        };
        let end = stretch.range.end;
        let routing = Routing::begin(stretch, &self.outputs, self.clock.now_ms());
        (Box::new(routing), end)
    }

    /// What is to be routed of the records in `range`, or of the first ones.
    fn stretched(&self, chunk: Arc<Chunk>, range: Range<usize>) -> Stretch {
        let mut stretch = match (&self.outputs.parser, &self.transforms) {
            _ if range.is_empty() => Stretch::of(chunk, range),
            (Some(parser), transforms) => {
                let transforms = transforms.as_deref();
                parsed::stretch(parser, transforms, &self.workshops, chunk, range)
            }
            (None, Some(transforms)) => self.transform(transforms, chunk, range),
            (None, None) => Stretch::of(chunk, range),
        };
        stretch.data = self.outputs.deaggregated(stretch.data);
        stretch
    }

    fn advance(&self, (mut routing, end): (Box<Routing>, usize)) -> Worked {
        let scratch = self.scratches.take();
        let mut scratch = scratch.unwrap_or_else(|| self.outputs.partitioner.scratch());
        let is_done = routing.advance(&self.outputs, &mut scratch);
        self.scratches.put(scratch);
        if is_done {
            Worked::Routed(Box::new(routing.finish(&self.outputs)), end)
        } else {
            Worked::Unfinished(routing, end)
        }
    }

    fn transform(
        &self,
        transforms: &Transforms,
        chunk: Arc<Chunk>,
        range: Range<usize>,
    ) -> Stretch {
        let piece = loop {
            let chain = transforms.current();
            // Workshops of modules that were replaced end here.
            let workshop = self.workshops.take().filter(|idle| idle.is_of(&chain));
            let mut workshop = workshop.unwrap_or_else(|| Workshop::new(chain));
            let piece = workshop.work(&chunk, range.clone());
            self.workshops.put(workshop);
            // Without a record if the modules were replaced: there are new ones.
            if piece.end > range.start {
                break piece;
            }
        };
        Stretch {
            source: chunk,
            range: range.start..piece.end,
            data: Arc::new(piece.outputs),
            failed: piece.failed,
            dropped: piece.dropped,
        }
    }
}

/// Things that no thread uses at the moment.
struct Idle<T>(Mutex<Vec<T>>);

impl<T> Default for Idle<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Idle<T> {
    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, thing: T) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(thing);
    }
}
