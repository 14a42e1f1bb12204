//! The making of one shared checkpoint: uploads, body, the conditional write; in this order, and each
//! for as long as it takes. Nothing of it is published here.

use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::super::super::event::Event;
use super::super::super::hurry::Hurry;
use super::super::super::outputs::Outputs;
use super::super::super::publish::publication::publication;
use super::body::SharedCheckpoint;
use super::{Body, KnownShard, Listed, Range};
use crate::checkpoint::SealedObject;
use crate::coordination::{BodyName, Lease, LeaseCheckpoint, LeaseReceipt, Lost};
use crate::destination::{self, Destination, Publication, PublishError, SentPart};
use crate::error::StreamError;
use crate::extent::Extent;
use crate::failpoint;
use crate::protocol::HandOver;
use crate::retry;
use crate::shard::Pending;
use crate::spool::Spool;

/// A lease, as a pipeline knows it: the chain of checkpoints of one shard.
pub trait LeaseLog: Debug + Send + Sync {
    /// Makes a checkpoint durable, the next after the one before; settles what a lost reply leaves open.
    fn commit<'a>(
        &'a self,
        checkpoint: &'a LeaseCheckpoint,
    ) -> Pending<'a, Result<LeaseReceipt<'a>, Lost>>;
}

impl LeaseLog for Lease {
    fn commit<'a>(
        &'a self,
        checkpoint: &'a LeaseCheckpoint,
    ) -> Pending<'a, Result<LeaseReceipt<'a>, Lost>> {
        Box::pin(Self::commit(self, checkpoint))
    }
}

/// Why one is not made, and will not be.
enum CheckpointFailure {
    /// Somebody else has the lease.
    Lost(Lost),
    /// The stream cannot go on.
    Failed(StreamError),
}

impl From<Lost> for CheckpointFailure {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<StreamError> for CheckpointFailure {
    fn from(error: StreamError) -> Self {
        Self::Failed(error)
    }
}

/// A shared checkpoint that is to be made.
pub(super) struct CheckpointTask {
    /// What it says, with what it still lists of those before it.
    pub(super) body: Body,
    /// The records of its objects.
    pub(super) range: Range,
    /// What it adds to the list, and takes from it.
    pub(super) draft: HandOver,
    /// The keys of bodies up to their random names.
    pub(super) bodies: String,
    pub(super) lease: Arc<dyn LeaseLog>,
    pub(super) destination: Destination,
    pub(super) outputs: Arc<Outputs>,
    pub(super) spool: Arc<Spool>,
    pub(super) events: UnboundedSender<Event>,
    /// Cuts a wait for the next attempt short.
    pub(super) at_once: Hurry,
}

impl CheckpointTask {
    /// Makes the checkpoint, and tells the pipeline.
    pub(super) async fn run(self) {
        let events = self.events.clone();
        let making = AbortOnDropHandle::new(tokio::spawn(self.make()));
        let event = match making.await {
            Ok(Ok(made)) => Event::SharedCheckpoint(Box::new(Ok(made))),
            Ok(Err(CheckpointFailure::Lost(lost))) => Event::SharedCheckpoint(Box::new(Err(lost))),
            Ok(Err(CheckpointFailure::Failed(error))) => Event::Failed(error),
            Err(panic) => Event::Failed(StreamError::State {
                action: "make a shared checkpoint",
                cause: panic.into(),
            }),
        };
        let _ = events.send(event);
    }

    async fn make(self) -> Result<SharedCheckpoint, CheckpointFailure> {
        let listed = self.prepare().await?;
        failpoint::hit("shared-prepared");
        let spool = Arc::clone(&self.spool);
        let made = self.commit(listed).await?;
        free(spool, made.durable.freed().to_vec());
        Ok(made)
    }

    /// Writes body and lease, when all bytes of what is added are at the destination.
    async fn commit(mut self, listed: Vec<Listed>) -> Result<SharedCheckpoint, CheckpointFailure> {
        self.body.listed.extend(listed.iter().cloned());
        let state = &self.body.state;
        let (position, ended, until_ms) = (state.position, state.ended, state.until_ms);
        let mut written = LeaseCheckpoint {
            body: None,
            position,
            ended,
            waiting: self.body.waiting(),
            until_ms,
        };
        // What the lease says is all that there is to know of a shard that is done.
        if !written.is_done() {
            written.body = Some(self.write_body().await);
        }
        let list = Listed::objects(&self.body.listed);
        let draft = self.draft.with_untold(self.body.untold.len());
        let transaction = draft.transaction(list)?;
        let receipt = self.lease.commit(&written).await?;
        failpoint::hit("shared-committed");
        let durable = transaction.leased(receipt)?;
        Ok(SharedCheckpoint {
            name: written.body,
            known: Box::new(KnownShard {
                state: self.body.state,
                source: self.body.source,
                newest_event: self.body.newest_event,
                untold: self.body.untold,
            }),
            listed,
            durable,
        })
    }

    async fn write_body(&self) -> BodyName {
        let bytes = Bytes::from(self.body.to_bytes());
        let name = BodyName {
            key: format!("{}{}", self.bodies, Uuid::new_v4()),
            crc64: crc_fast::crc64_nvme(&bytes),
        };
        let (mut attempt, mut at_once) = (0, self.at_once.clone());
        while let Err(error) = self.destination.put_body(&name.key, bytes.clone()).await {
            wait_out(error, &mut attempt, &self.events, &mut at_once).await;
        }
        failpoint::hit("shared-body-written");
        name
    }

    /// Brings all bytes of the objects to the destination, so many at a time as it takes.
    async fn prepare(&self) -> Result<Vec<Listed>, StreamError> {
        let mut sealed = self.draft.objects().iter().cloned();
        let mut preparing: JoinSet<Result<Listed, StreamError>> = JoinSet::new();
        let mut listed = Vec::new();
        loop {
            while preparing.len() < self.destination.in_flight_max()
                && let Some(object) = sealed.next()
            {
                let one = publication(&object, &self.outputs, &self.spool);
                let (destination, events) = (self.destination.clone(), self.events.clone());
                let at_once = self.at_once.clone();
                let range = self.range;
                preparing.spawn(async move {
                    let (upload_id, parts) = prepare(&destination, one, &events, at_once).await?;
                    let object = SealedObject {
                        upload_id,
                        extents: Vec::new(),
                        ..object
                    };
                    Ok(Listed {
                        object,
                        parts,
                        range,
                    })
                });
            }
            match preparing.join_next().await {
                Some(Ok(one)) => listed.push(one?),
                // It has panicked: so does this task, and no checkpoint is made of less than all.
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                None => return Ok(listed),
            }
        }
    }
}

/// The bytes that are at the destination need not be here.
fn free(spool: Arc<Spool>, extents: Vec<Extent>) {
    tokio::task::spawn_blocking(move || {
        if let Err(error) = spool.free(&extents) {
            tracing::debug!(%error, "spooled bytes stay behind");
        }
    });
}

/// The spooled bytes of an object, and why they could not be read.
struct Watched {
    bytes: Arc<dyn destination::Body>,
    fault: Mutex<Option<StreamError>>,
}

impl Watched {
    fn fault(&self) -> MutexGuard<'_, Option<StreamError>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl destination::Body for Watched {
    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.bytes.read(offset, len).map_err(|error| {
            // Of what the store makes of it nothing is told.
            let kind = error.kind();
            *self.fault() = Some(StreamError::of_disk("read the spool", error));
            kind.into()
        })
    }
}

/// Brings an object's bytes to the destination: its upload, and the parts of it. What cannot be read
/// here any more is read again from the source.
async fn prepare(
    destination: &Destination,
    mut object: Publication,
    events: &UnboundedSender<Event>,
    mut at_once: Hurry,
) -> Result<(Option<String>, Vec<SentPart>), StreamError> {
    let mut attempt = 0;
    let watched = Arc::new(Watched {
        bytes: object.body,
        fault: Mutex::default(),
    });
    object.body = Arc::clone(&watched) as Arc<dyn destination::Body>;
    loop {
        match destination.prepare(&mut object).await {
            Ok(parts) => return Ok((object.upload_id, parts)),
            Err(error) => {
                let fault = watched.fault().take();
                fault.map_or(Ok(()), Err)?;
                wait_out(error, &mut attempt, events, &mut at_once).await;
            }
        }
    }
}

/// Tells of a failed attempt, and waits for the next; `at_once` cuts that short.
async fn wait_out(
    error: PublishError,
    attempt: &mut u32,
    events: &UnboundedSender<Event>,
    at_once: &mut Hurry,
) {
    let most = if error.may_pass() {
        retry::TRANSIENT_MAX
    } else {
        retry::PERMANENT_MAX
    };
    let _ = events.send(Event::CheckpointDelayed(error));
    *attempt += 1;
    at_once.pause(retry::delay(*attempt, most)).await;
}

/// Removes a body that no lease names, or will name. Where that fails it stays behind.
pub(super) async fn remove_body(destination: Destination, BodyName { key, .. }: BodyName) {
    if let Err(error) = destination.remove_body(&key).await {
        tracing::debug!(key, %error, "a checkpoint's body stays behind");
    }
}
