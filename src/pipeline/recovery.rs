//! Recovery: opens what a stream has on disk, and claims its epoch at the destination.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::StreamContext;
use super::apply::SPOOL_RESERVE;
use super::event::Event;
use super::hurry::Hurry;
use super::log::{LocalLog, Log};
use super::outputs::Outputs;
use crate::checkpoint::{
    self, CheckpointStore, OpenBatch, SealedObject, StoreError, StoredState, aside,
};
use crate::config::{StoreSettings, StreamSettings};
use crate::destination::{Conditional, Destination, PublishError, Whose, caught};
use crate::disk::{DISK_IS_FULL, Disk};
use crate::error::{StreamError, put_back_export_or_discard, put_back_or_discard};
use crate::failpoint;
use crate::position::{MissingRange, Sequence};
use crate::registry;
use crate::retry;
use crate::shard::{ShardId, ShardState};
use crate::source::{Context, Handle, Known, Opened, Reader, UnreadRecords};
use crate::spool::{Spool, SpoolError};
use crate::telemetry::StreamMetrics;

/// Where damaged blocks of records are set aside.
pub const QUARANTINE_DIR: &str = "quarantine";

/// Where the spool is.
pub const SPOOL_DIR: &str = "spool";

/// What a stream has on disk, opened.
pub struct RecoveredState<L> {
    /// The source: told how far it is durable.
    pub source: Arc<dyn Handle>,
    /// Reads on just after the frontiers.
    pub reader: Box<dyn Reader>,
    /// The spool, cut back to what the checkpoint names.
    pub spool: Arc<Spool>,
    /// Where checkpoints go.
    pub log: L,
    /// What the stream writes, with the formats that its batches still name.
    pub outputs: Arc<Outputs>,
    /// How far the last checkpoint has each shard.
    pub shards: BTreeMap<ShardId, ShardState>,
    /// Its open batches.
    pub open: Vec<OpenBatch>,
    /// Its objects to be published.
    pub sealed: Vec<SealedObject>,
    /// What the source has accepted before.
    pub unread: Option<UnreadRecords>,
}

impl<L: Into<Log>> RecoveredState<L> {
    /// The same, whichever log it has.
    pub(super) fn with_log(self) -> RecoveredState<Log> {
        RecoveredState {
            log: self.log.into(),
            source: self.source,
            reader: self.reader,
            spool: self.spool,
            outputs: self.outputs,
            shards: self.shards,
            open: self.open,
            sealed: self.sealed,
            unread: self.unread,
        }
    }
}

/// What each opening writes anew: there must be room for it beside the reserve.
pub const REWRITTEN: &[&str] = &[checkpoint::STORE, checkpoint::MIRROR];

/// Bytes of the reserve of a stream: what the source wants to open on a full disk, a row group, and the growth of the checkpoint store's two copies.
pub fn reserve_bytes(settings: &StreamSettings) -> u64 {
    (settings.source.disk_reserve() + SPOOL_RESERVE).min(settings.spool_limit / 2)
}

/// Opens a stream's state on `disk`, whose root is the stream's own directory. On a full disk it
/// gives the reserve up. Blocks on the disk. Repeatable: it may die at any point and begin again.
pub fn open(
    settings: &StreamSettings,
    disk: &Arc<dyn Disk>,
    context: &StreamContext,
) -> Result<RecoveredState<LocalLog>, StreamError> {
    if let Err(error) = context.reserve.keep() {
        let stream = &settings.name;
        let is_full = context.reserve.is_given_up();
        if let Some(unsaid) = is_full
            .then(|| context.status.repeats().due(DISK_IS_FULL, ""))
            .flatten()
        {
            tracing::error!(stream, %error, unsaid, "{DISK_IS_FULL}");
        }
    }
    match open_state(settings, disk, context) {
        Err(StreamError::DiskFull { .. }) if context.reserve.give_up() => {
            open_state(settings, disk, context)
        }
        opened => opened,
    }
}

fn open_state(
    settings: &StreamSettings,
    disk: &Arc<dyn Disk>,
    context: &StreamContext,
) -> Result<RecoveredState<LocalLog>, StreamError> {
    failpoint::hit("recovery-start");
    let clock = &context.clock;
    let (store, mut recovered) =
        CheckpointStore::open(&**disk, Path::new(checkpoint::STORE), clock.now_ms())
            .map_err(|error| store_error(&settings.name, "open the checkpoint store", &error))?;
    for damage in &recovered.damaged {
        context.status.metrics().copies_mended.add(1);
        tracing::error!(
            stream = settings.name,
            damage,
            "one copy of the checkpoint store was damaged, and is mended from the other: see to the disk"
        );
    }
    aside::settle(&**disk, &recovered.sealed)
        .map_err(|error| StreamError::of_disk("look after what was moved aside", &error))?;
    let mut named = std::mem::take(&mut recovered.formats);
    let open = recovered.open.iter().map(|batch| batch.target.format);
    let sealed = recovered.sealed.iter().map(|object| object.target.format);
    let used: HashSet<u64> = open.chain(sealed).collect();
    named.retain(|hash, _| used.contains(hash));
    let versions = std::mem::take(&mut recovered.schemas);
    let outputs = Outputs::compile(settings, named, versions)?;
    for store in settings.destination.stores() {
        rename(&mut recovered, store);
    }
    let spool = Spool::open(Arc::clone(disk), Path::new(SPOOL_DIR), recovered.extents());
    let spool = spool.map_err(|error| spool_error(&settings.name, error))?;
    let spool = spool.with_quarantine(QUARANTINE_DIR.into(), Some(Arc::clone(&context.reserve)));
    let Opened {
        handle: source,
        reader,
        epoch,
        lost,
        doubtful,
        unread,
    } = open_source(settings, disk, context, &recovered)?;
    let metrics = context.status.metrics();
    for range in &lost {
        count_lost(metrics, *range);
    }
    metrics.journal_doubtful.add(doubtful);
    let lost: Vec<(Sequence, Sequence)> = lost.iter().map(|lost| (lost.first, lost.last)).collect();
    store
        .begin_epoch(epoch, &lost, &outputs.formats.rows())
        .map_err(|error| store_error(&settings.name, "record the epoch", &error))?;
    Ok(RecoveredState {
        source,
        reader,
        spool: Arc::new(spool),
        log: LocalLog::new(store, recovered.incarnation, epoch, recovered.created_ms),
        outputs: Arc::new(outputs),
        shards: recovered.shards,
        open: recovered.open,
        sealed: recovered.sealed,
        unread,
    })
}

/// Names of stores in a state from an earlier version: those that mean `store` get the name that it has now.
fn rename(recovered: &mut StoredState, store: &StoreSettings) {
    let now = store.name();
    let open = recovered.open.iter_mut().map(|batch| &mut batch.target);
    let sealed = recovered.sealed.iter_mut();
    let sealed = sealed.map(|object| &mut object.target);
    for target in open.chain(sealed) {
        if target.store != now && store.has_name(&target.store) {
            now.clone_into(&mut target.store);
        }
    }
}

/// Counts records that are lost in the source; of some it is not known whether there were any.
pub(super) fn count_lost(metrics: &StreamMetrics, range: MissingRange) {
    match range.records() {
        0 => metrics.journal_doubtful.add(1),
        records => metrics.journal_lost.add(records),
    }
}

/// What a stream's source needs of the process. `disk` is the stream's own directory.
pub(super) fn source_context(
    stream: &str,
    disk: &Arc<dyn Disk>,
    context: &StreamContext,
) -> Context {
    Context {
        stream: stream.to_owned(),
        clock: context.clock.clone(),
        disk: Arc::clone(disk),
        metrics: Arc::clone(&context.metrics),
        health: Arc::clone(context.status.source()),
        room: context.read_room.clone(),
    }
}

/// Opens the source, if the state is of it as far as its kind goes.
fn open_source(
    settings: &StreamSettings,
    disk: &Arc<dyn Disk>,
    context: &StreamContext,
    recovered: &StoredState,
) -> Result<Opened, StreamError> {
    let (stream, kind) = (&settings.name, settings.source.kind());
    if let Some(name) = &recovered.source
        && !kind.owns(name)
    {
        return Err(other_source(stream, &name.arn));
    }
    for (other, local) in registry::local_records() {
        // It may hold accepted records that no checkpoint has passed.
        let holds = || {
            disk.list(Path::new(local.dir()))
                .is_ok_and(|files| !files.is_empty())
        };
        if other.word() != kind.word() && holds() {
            return Err(other_source(stream, other.noun()));
        }
    }
    let known = Known {
        incarnation: recovered.incarnation,
        epoch: recovered.epoch,
        source: recovered.source.clone(),
        shards: recovered.shards.clone(),
    };
    registry::source(&settings.source).open(known, source_context(stream, disk, context))
}

/// What is open in the state came from elsewhere: positions in one source mean nothing in another.
fn other_source(stream: &str, of: &str) -> StreamError {
    StreamError::LoudStop {
        cause: format!("the state of stream {stream} is of another source: {of}"),
        advice: format!(
            "name that source again, or deliver what the state holds with `firehose state drain \
             {stream}` while it is named, and give it up with `firehose state discard {stream} --yes`"
        ),
    }
}

/// Another daemon's store needs that daemon; a damaged row a person. The rest may pass.
pub(super) fn store_error(stream: &str, action: &'static str, error: &StoreError) -> StreamError {
    let cause = error.to_string();
    match error {
        StoreError::Version { .. } => StreamError::LoudStop {
            cause,
            advice: "run the version of the daemon that wrote it; stopped by SIGTERM it delivers what is \
                     open, and a later version can go on from there"
                .to_owned(),
        },
        StoreError::Row { .. } | StoreError::Damaged(_) => StreamError::LoudStop {
            cause,
            advice: put_back_export_or_discard(stream),
        },
        StoreError::Database(_) => StreamError::of_state(action, false, cause),
        StoreError::Full(_) => StreamError::of_state(action, true, cause),
    }
}

pub(super) fn spool_error(stream: &str, error: SpoolError) -> StreamError {
    match error {
        SpoolError::Io(error) => StreamError::of_disk("open the spool", &error),
        missing @ SpoolError::Missing { .. } => StreamError::LoudStop {
            cause: missing.to_string(),
            advice: put_back_or_discard(stream),
        },
    }
}

/// What is claimed at the destination before anything is published: this epoch of this state.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Key of the marker object.
    pub key: String,
    /// Its body; holds a random number, so that only this claim can have written it.
    pub body: Vec<u8>,
    /// Key of the object that is put twice, to see whether the store refuses to overwrite.
    pub probe_key: String,
}

impl Claim {
    /// The claim of one recovery of the state `incarnation`, below `head` at the destination.
    pub(super) fn new(
        head: &str,
        incarnation: Uuid,
        epoch: u32,
        stream: &str,
        now_ms: i64,
    ) -> Self {
        let body = serde_json::json!({
            "stream": stream, "epoch": epoch, "claimedAt": now_ms, "claim": Uuid::new_v4(),
        });
        let claims = claims(head, incarnation);
        Self {
            key: format!("{claims}{epoch}"),
            body: body.to_string().into_bytes(),
            probe_key: format!("{claims}probe"),
        }
    }
}

/// What the keys of an incarnation's claims begin with, before the number of the epoch: of the first, unless
/// the destination was not there, [`FIRST_EPOCH`].
pub(super) fn claims(marker_head: &str, incarnation: Uuid) -> String {
    format!("{marker_head}.firehose/{incarnation}/")
}

/// The epoch in which a state begins.
pub(super) const FIRST_EPOCH: u32 = 1;

/// Claims the epoch at each store of the stream, until the handle is dropped: at data's first, so that of two copies of
/// a state only one ever claims the others, which do not wait for each other.
pub(super) fn claim_all(
    settings: &StreamSettings,
    epoch: &Claim,
    named: &HashSet<Uuid>,
    events: &UnboundedSender<Event>,
    at_once: &Hurry,
) -> AbortOnDropHandle<()> {
    let claims = settings.destination.stores().into_iter().map(|store| {
        let (stream, store, events) = (settings.name.clone(), store.clone(), events.clone());
        let at_once = at_once.clone();
        claim(stream, store, epoch.clone(), named.clone(), events, at_once)
    });
    let mut claims: VecDeque<_> = claims.collect();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let Some(first) = claims.pop_front() else {
            return;
        };
        if first.await {
            claims
                .into_iter()
                .collect::<JoinSet<bool>>()
                .join_all()
                .await;
        }
    }))
}

/// Opens a store of the stream and claims the epoch there, for as long as it takes; `at_once` cuts a wait for the
/// next attempt short. False: somebody else has claimed it.
async fn claim(
    stream: String,
    store: StoreSettings,
    claim: Claim,
    named: HashSet<Uuid>,
    events: UnboundedSender<Event>,
    mut at_once: Hurry,
) -> bool {
    let mut attempt = 0;
    loop {
        let event = match caught(try_claim(&stream, &store, &claim, &named)).await {
            Ok((destination, conditional)) => Event::Claimed {
                store: store.name(),
                destination,
                conditional,
            },
            Err(PublishError::Foreign { cause, advice, .. }) => {
                Event::Failed(StreamError::LoudStop { cause, advice })
            }
            Err(error) => {
                attempt += 1;
                if events
                    .send(Event::ClaimStalled(store.name(), error))
                    .is_err()
                {
                    return false;
                }
                let pause = retry::delay(attempt, retry::TRANSIENT_MAX);
                at_once.pause(pause).await;
                continue;
            }
        };
        let is_ours = matches!(event, Event::Claimed { .. });
        let _ = events.send(event);
        return is_ours;
    }
}

pub(super) async fn try_claim(
    stream: &str,
    store: &StoreSettings,
    claim: &Claim,
    named: &HashSet<Uuid>,
) -> Result<(Destination, Conditional), PublishError> {
    let destination = Destination::connect(store).await?;
    if !destination.claim(&claim.key, &claim.body).await? {
        return Err(PublishError::Foreign {
            whose: Whose::Anothers,
            cause: format!(
                "{} of {} exists: another daemon has recovered from a copy of this state folder",
                claim.key,
                destination.describe()
            ),
            advice: format!(
                "run one daemon a state folder; after restoring a backup of it, stop the daemon \
                 and run `firehose state discard {stream} --yes`: its records may have been published by its \
                 other copy"
            ),
        });
    }
    destination.recover(named).await?;
    let conditional = destination.probe(&claim.probe_key).await?;
    Ok((destination, conditional))
}

/// Warns where the destination would overwrite what others have written.
pub(super) fn tell_of_overwriting(
    stream: &str,
    destination: &Destination,
    conditional: Conditional,
) {
    if conditional == Conditional::No {
        let store = destination.describe();
        tracing::warn!(
            stream,
            store,
            "the store ignores If-None-Match: a foreign object under one of our keys would be \
             overwritten; our own keys still never repeat"
        );
    }
}
