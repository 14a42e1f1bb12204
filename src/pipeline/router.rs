//! From the source to the pipeline: chunks are read, routed on several cores, and handed on in
//! order.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::outputs::Outputs;
use super::route::{Routed, route};
use super::workers::Workers;
use crate::clock::Clock;
use crate::error::StreamError;
use crate::journal::JournalReader;
use crate::partition::Scratch;

/// Bytes of records in a chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// Routed chunks that may wait for the pipeline.
const CHUNKS_READY: usize = 2;

/// Starts reading; the receiver ends when the source has ended.
pub(super) fn start(
    reader: JournalReader,
    outputs: Arc<Outputs>,
    workers: Workers,
    clock: Clock,
) -> mpsc::Receiver<Result<Routed, StreamError>> {
    let (routing, mut in_order) = mpsc::channel(workers.threads());
    let (ready, routed) = mpsc::channel(CHUNKS_READY);
    let failed = ready.clone();
    tokio::spawn(async move {
        if let Err(error) = read(reader, outputs, workers, clock, &routing).await {
            let _ = failed.send(Err(error)).await;
        }
    });
    tokio::spawn(async move {
        while let Some(job) = in_order.recv().await {
            let job: oneshot::Receiver<Routed> = job;
            let routed = job.await.map_err(|_| StreamError::State {
                action: "route records",
                cause: "the job panicked".to_owned(),
            });
            if ready.send(routed).await.is_err() {
                return;
            }
        }
    });
    routed
}

async fn read(
    mut reader: JournalReader,
    outputs: Arc<Outputs>,
    workers: Workers,
    clock: Clock,
    routing: &mpsc::Sender<oneshot::Receiver<Routed>>,
) -> Result<(), StreamError> {
    let idle: Arc<Mutex<Vec<Scratch>>> = Arc::default();
    loop {
        let Some(chunk) = reader.next(CHUNK_BYTES).await? else {
            return Ok(());
        };
        let missing = reader.take_missing();
        let (outputs, idle, now_ms) = (Arc::clone(&outputs), Arc::clone(&idle), clock.now_ms());
        let job = workers.run(move || {
            let scratch = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut scratch = scratch.unwrap_or_else(|| outputs.partitioner.scratch());
            let mut routed = route(&outputs, &mut scratch, chunk, now_ms);
            routed.missing = missing;
            idle.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(scratch);
            routed
        });
        if routing.send(job).await.is_err() {
            return Ok(());
        }
    }
}
