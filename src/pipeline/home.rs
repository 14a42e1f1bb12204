//! Recovery: opens what a stream has on disk, and claims its epoch at the destination.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::Surroundings;
use super::apply::SPOOL_RESERVE;
use super::event::Event;
use super::outputs::Outputs;
use crate::checkpoint::{OpenBatch, SealedObject, Store, StoreError};
use crate::clock::Clock;
use crate::config::{SourceSettings, StreamSettings};
use crate::destination::{Conditional, Destination, PublishError};
use crate::disk::{self, DISK_IS_FULL, Disk};
use crate::error::{StreamError, put_back_or_discard};
use crate::failpoint;
use crate::journal::{Journal, JournalError, JournalReader, JournalSettings, Known};
use crate::position::Position;
use crate::retry;
use crate::spool::{Spool, SpoolError};

/// A segment is at most this large…
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// …and at most this part of the journal's limit.
const SEGMENTS_MIN: u64 = 8;

/// What a stream has on disk, opened.
pub struct Home {
    /// The journal: the door for producers.
    pub journal: Journal,
    /// Reads on just after the frontier.
    pub reader: JournalReader,
    /// The spool, cut back to what the checkpoint names.
    pub spool: Arc<Spool>,
    /// The checkpoint store.
    pub store: Arc<Store>,
    /// What the stream writes, with the formats that its batches still name.
    pub outputs: Arc<Outputs>,
    /// The last checkpoint's frontier.
    pub frontier: Option<Position>,
    /// Its open batches.
    pub open: Vec<OpenBatch>,
    /// Its objects to be published.
    pub sealed: Vec<SealedObject>,
    /// Names this state folder for good.
    pub incarnation: Uuid,
    /// The epoch of this recovery.
    pub epoch: u32,
    /// When the state folder was created, in ms.
    pub created_ms: i64,
}

/// Bytes of the reserve of a stream: what a recovery may have to bring over from the last journal
/// segment, a row group, and the growth of the checkpoint store.
pub fn reserve_bytes(settings: &StreamSettings) -> u64 {
    let SourceSettings::DirectPut { journal_limit } = settings.source;
    (segment_bytes(journal_limit) + SPOOL_RESERVE).min(settings.spool_limit / 2)
}

fn segment_bytes(journal_limit: u64) -> u64 {
    SEGMENT_BYTES_MAX.min(journal_limit / SEGMENTS_MIN)
}

/// Opens a stream's state on `disk`, whose root is the stream's own directory. On a full disk it
/// gives the reserve up. Blocks on the disk. Repeatable: it may die at any point and begin again.
pub fn open(
    settings: &StreamSettings,
    disk: &Arc<dyn Disk>,
    around: &Surroundings,
) -> Result<Home, StreamError> {
    if let Err(error) = around.reserve.keep() {
        let stream = &settings.name;
        tracing::error!(stream, %error, "{DISK_IS_FULL}");
    }
    match open_state(settings, disk, &around.clock) {
        Err(StreamError::DiskFull { .. }) if around.reserve.give_up() => {
            open_state(settings, disk, &around.clock)
        }
        opened => opened,
    }
}

fn open_state(
    settings: &StreamSettings,
    disk: &Arc<dyn Disk>,
    clock: &Clock,
) -> Result<Home, StreamError> {
    failpoint::hit("recovery-start");
    let (store, recovered) = Store::open(&**disk, Path::new("checkpoint.redb"), clock.now_ms())
        .map_err(|error| store_error(&settings.name, "open the checkpoint store", &error))?;
    let outputs = Outputs::compile(settings, recovered.formats).map_err(|cause| {
        let advice = "mend the stream's settings".to_owned();
        StreamError::LoudStop { cause, advice }
    })?;
    let named = recovered.open.iter().flat_map(|batch| &batch.blocks);
    let named = named.flat_map(|block| &block.extents);
    let named = named.chain(recovered.sealed.iter().flat_map(|object| &object.extents));
    let spool = Spool::open(Arc::clone(disk), Path::new("spool"), named.copied());
    let spool = spool.map_err(|error| spool_error(&settings.name, error))?;
    let SourceSettings::DirectPut { journal_limit } = settings.source;
    let journal = JournalSettings {
        stream: settings.name.clone(),
        dir: "journal".into(),
        limit: journal_limit,
        segment_bytes: segment_bytes(journal_limit),
    };
    let known = Known {
        incarnation: recovered.incarnation,
        epoch: recovered.epoch,
        frontier: recovered.frontier.map(|frontier| frontier.sequence),
    };
    let opened = Journal::open(Arc::clone(disk), clock.clone(), journal, known)?;
    let missing: Vec<_> = opened
        .missing
        .iter()
        .map(|range| (range.first, range.last))
        .collect();
    store
        .begin_epoch(opened.epoch, &missing, &outputs.format_settings())
        .map_err(|error| store_error(&settings.name, "record the epoch", &error))?;
    Ok(Home {
        journal: opened.journal,
        reader: opened.reader,
        spool: Arc::new(spool),
        store: Arc::new(store),
        outputs: Arc::new(outputs),
        frontier: recovered.frontier,
        open: recovered.open,
        sealed: recovered.sealed,
        incarnation: recovered.incarnation,
        epoch: opened.epoch,
        created_ms: recovered.created_ms,
    })
}

impl From<JournalError> for StreamError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::LoudStop { cause, advice } => Self::LoudStop { cause, advice },
            JournalError::Io { ref source, .. } => {
                let full = disk::is_full(source);
                Self::of_state("use the journal", full, error.to_string())
            }
        }
    }
}

/// A newer daemon's store needs a newer daemon; a damaged row a person. The rest may pass.
pub(super) fn store_error(stream: &str, action: &'static str, error: &StoreError) -> StreamError {
    let cause = error.to_string();
    match error {
        StoreError::Version { .. } => StreamError::LoudStop {
            cause,
            advice: "run the version of the daemon that wrote it, or a later one".to_owned(),
        },
        StoreError::Row { .. } | StoreError::Damaged(_) => StreamError::LoudStop {
            cause,
            advice: put_back_or_discard(stream),
        },
        StoreError::Database(_) => StreamError::of_state(action, false, cause),
        StoreError::Full(_) => StreamError::of_state(action, true, cause),
    }
}

fn spool_error(stream: &str, error: SpoolError) -> StreamError {
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
    /// The claim of one recovery.
    pub fn of(home: &Home, stream: &str, now_ms: i64) -> Self {
        let (head, incarnation, epoch) = (home.outputs.marker_head(), home.incarnation, home.epoch);
        let body = serde_json::json!({
            "stream": stream, "epoch": epoch, "claimedAt": now_ms, "claim": Uuid::new_v4(),
        });
        Self {
            key: format!("{head}.firehose/{incarnation}/{epoch}"),
            body: body.to_string().into_bytes(),
            probe_key: format!("{head}.firehose/{incarnation}/probe"),
        }
    }
}

/// Opens the destination and claims the epoch there, for as long as it takes.
pub(super) async fn claim(
    settings: Arc<StreamSettings>,
    claim: Claim,
    named: std::collections::HashSet<Uuid>,
    events: UnboundedSender<Event>,
) {
    let mut attempt = 0;
    loop {
        let event = match try_claim(&settings, &claim, &named).await {
            Ok((destination, conditional)) => Event::Claimed {
                destination,
                conditional,
            },
            Err(PublishError::Foreign { cause, advice }) => {
                Event::Failed(StreamError::LoudStop { cause, advice })
            }
            Err(error) => {
                attempt += 1;
                if events.send(Event::ClaimStalled(error.to_string())).is_err() {
                    return;
                }
                tokio::time::sleep(retry::delay(attempt, retry::TRANSIENT_MAX)).await;
                continue;
            }
        };
        let _ = events.send(event);
        return;
    }
}

async fn try_claim(
    settings: &StreamSettings,
    claim: &Claim,
    named: &std::collections::HashSet<Uuid>,
) -> Result<(Destination, Conditional), PublishError> {
    let destination = Destination::connect(&settings.destination.store).await?;
    if !destination.claim(&claim.key, &claim.body).await? {
        return Err(PublishError::Foreign {
            cause: format!(
                "{} of {} exists: another daemon has recovered from a copy of this state folder",
                claim.key,
                destination.describe()
            ),
            advice: format!(
                "run one daemon a state folder; after restoring a backup of it, stop the daemon \
                 and run `firehose state discard {}`: its records may have been published by its \
                 other copy",
                settings.name
            ),
        });
    }
    destination.recover(named).await?;
    let conditional = destination.probe(&claim.probe_key).await?;
    Ok((destination, conditional))
}
