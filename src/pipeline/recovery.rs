//! Recovery: opens what a stream has on disk. What it claims at the destination is in `claim`.

pub(super) mod state;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::StreamContext;
use super::apply::SPOOL_RESERVE;
use super::log::{LocalLog, Log};
use super::outputs::Outputs;
use crate::checkpoint::{self, CheckpointStore, StoredState, aside};
use crate::config::{StoreSettings, StreamSettings};
use crate::disk::{DISK_IS_FULL, Disk};
use crate::error::StreamError;
use crate::failpoint;
use crate::position::Sequence;
use crate::registry;
use crate::source::{Known, Opened};
use crate::spool::Spool;
use state::{RecoveredState, count_lost, source_context, spool_error, store_error};

/// Where damaged blocks of records are set aside.
pub const QUARANTINE_DIR: &str = "quarantine";

/// Where the spool is.
pub const SPOOL_DIR: &str = "spool";

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
            newest_event: self.newest_event,
            open: self.open,
            sealed: self.sealed,
            untold: self.untold,
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
            .map_err(|error| store_error(&settings.name, "open the checkpoint store", error))?;
    for damage in &recovered.damaged {
        context.status.metrics().copies_mended.add(1);
        tracing::error!(
            stream = settings.name,
            damage,
            "one copy of the checkpoint store was damaged, and is mended from the other: see to the disk"
        );
    }
    aside::settle(&**disk, &recovered.sealed)
        .map_err(|error| StreamError::of_disk("look after what was moved aside", error))?;
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
        .map_err(|error| store_error(&settings.name, "record the epoch", error))?;
    Ok(RecoveredState {
        source,
        reader,
        spool: Arc::new(spool),
        log: LocalLog::new(store, recovered.incarnation, epoch, recovered.created_ms),
        outputs: Arc::new(outputs),
        shards: recovered.shards,
        newest_event: recovered.newest_event,
        open: recovered.open,
        sealed: recovered.sealed,
        untold: recovered.untold,
        unread,
    })
}

/// Gives `store` the name that it has now, where a state from an earlier version names it otherwise.
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

/// Opens the source, unless the state is of a source of another kind.
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
