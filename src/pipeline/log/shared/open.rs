//! What a taken lease goes on from: the body that its item names, and an empty spool.

#![expect(
    clippy::disallowed_methods,
    reason = "a shard that cannot be taken over is tried again"
)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::super::StreamContext;
use super::super::super::agreement::ChainError;
use super::super::super::outputs::Outputs;
use super::super::super::recovery::state::{RecoveredState, source_context, spool_error};
use super::{Body, KnownShard, LeaseLog, SharedLog, SharedPlace};
use crate::checkpoint::Lane;
use crate::config::StreamSettings;
use crate::coordination::{BodyName, Resumed};
use crate::destination::{Destination, PublishError};
use crate::disk::Disk;
use crate::error::StreamError;
use crate::retry;
use crate::schema::SchemaVersion;
use crate::shard::ShardId;
use crate::source::{Only, Opened, Shareable};
use crate::spool::Spool;
use crate::telemetry::StreamState;

/// A lease that was taken.
#[derive(Debug)]
pub struct Taken {
    /// Takes the checkpoints that are made from now on.
    pub lease: Arc<dyn LeaseLog>,
    /// The shard.
    pub shard: ShardId,
    /// What the write has returned that took it.
    pub resumed: Resumed,
    /// The lease table's name.
    pub table: String,
    /// A lease that is not renewed for so long is lost.
    pub failover: Duration,
    /// Cancelled when the lease is lost or must go.
    pub abandoned: CancellationToken,
}

/// Opens what the lease on a shard leads to. `disk` is the stream's directory.
pub async fn open_shared(
    settings: &Arc<StreamSettings>,
    shared_source: &dyn Shareable,
    disk: Arc<dyn Disk>,
    context: &StreamContext,
    place: SharedPlace,
    taken: Taken,
) -> Result<RecoveredState<SharedLog>, StreamError> {
    let SharedPlace {
        destination,
        agreement,
    } = place;
    let versions = match &agreement {
        Some(agreement) => {
            // Of a shard's objects none goes back to narrower columns when another machine takes it.
            ask_the_chain(|| agreement.catch_up(), context, &taken).await?;
            agreement.in_force()
        }
        None => Vec::new(),
    };
    let source_context = source_context(&settings.name, &disk, context);
    let opening = tokio::task::spawn_blocking({
        let (settings, shard) = (Arc::clone(settings), ShardId::clone(&taken.shard));
        move || open_scratch(&settings, disk, &shard, versions)
    });
    let opened = opening.await.unwrap_or_else(|panic| {
        Err(StreamError::State {
            action: "open the spool",
            cause: panic.into(),
        })
    });
    let (outputs, spool) = opened?;
    let body = match &taken.resumed.body {
        Some(name) => Some(read_body(name, &destination, context, &taken).await?),
        None => None,
    };
    let pin = body.as_ref().and_then(|body| body.schema.as_ref());
    if let (Some(agreement), Some(pin)) = (&agreement, pin) {
        ask_the_chain(|| agreement.hold_to(pin), context, &taken).await?;
    }
    let (state, told) = taken.resumed.state(body.as_ref().map(|body| &body.state));
    if let Some(told) = told {
        tracing::error!(stream = settings.name, shard = &*taken.shard, "{told}");
    }
    let newest_event = body.as_ref().and_then(|body| body.newest_event);
    let (source, listed, untold) = body.map_or((None, Vec::new(), Vec::new()), |body| {
        (body.source, body.listed, body.untold)
    });
    let is_elsewhere =
        |listed: &&super::Listed| listed.object.target.store != outputs.store(Lane::Data);
    if let Some(other) = listed.iter().find(is_elsewhere) {
        let (key, store) = (&other.object.target.key, &other.object.target.store);
        return Err(StreamError::LoudStop {
            cause: format!(
                "{key} waits to be published in {store}, not in {}",
                outputs.store(Lane::Data)
            ),
            advice: "name that bucket again until all that was prepared there is published".into(),
        });
    }
    let only = Only {
        shard: ShardId::clone(&taken.shard),
        state: state.clone(),
        source: source.clone(),
    };
    // Of one that has ended there is nothing left but to publish, and to tell the catalog.
    let Opened { handle, reader, .. } = shared_source.open_shard(only, source_context);
    let (head, table, shard) = (outputs.marker_head(), &taken.table, &taken.shard);
    let log = SharedLog {
        stream: settings.name.clone(),
        bodies: format!("{head}.firehose/{table}/{shard}/"),
        known: KnownShard {
            state: state.clone(),
            source,
            newest_event,
            untold: untold.clone(),
        },
        body: taken.resumed.body,
        shard: taken.shard,
        listed,
        gathered: HashMap::new(),
        making: None,
        lasting_error: None,
        begun: Instant::now(),
        removing: JoinSet::new(),
        lease: taken.lease,
        abandoned: taken.abandoned,
        destination,
        agreement,
    };
    Ok(RecoveredState {
        source: handle,
        reader,
        spool: Arc::new(spool),
        shards: [(ShardId::clone(&log.shard), state)].into(),
        newest_event,
        log,
        outputs: Arc::new(outputs),
        open: Vec::new(),
        sealed: Vec::new(),
        untold,
        unread: None,
    })
}

/// The spool of a shard, emptied: nothing in it counts.
fn open_scratch(
    settings: &StreamSettings,
    disk: Arc<dyn Disk>,
    shard: &str,
    versions: Vec<SchemaVersion>,
) -> Result<(Outputs, Spool), StreamError> {
    let outputs = Outputs::compile(settings, BTreeMap::new(), versions)?;
    let spool = Spool::open(disk, &scratch(shard), std::iter::empty());
    let spool = spool.map_err(|error| spool_error(&settings.name, error))?;
    Ok((outputs, spool))
}

/// Where the pipelines of a shared stream spool, below the stream's directory. Nothing there is ever
/// needed by a later process.
pub const SCRATCH: &str = "shared";

/// Where one of them does. The name of a shard comes from a table that others write to, so it is no
/// path yet.
pub fn scratch(shard: &str) -> PathBuf {
    let name = shard.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
        _ => format!("_{byte:02x}"),
    });
    Path::new(SCRATCH).join(name.collect::<String>())
}

/// Reads the body that the item names, for as long as it takes.
async fn read_body(
    name: &BodyName,
    destination: &Destination,
    context: &StreamContext,
    taken: &Taken,
) -> Result<Body, StreamError> {
    let (mut attempt, mut is_missing) = (0, false);
    loop {
        let pause = match destination.read_body(&name.key).await {
            Ok(Some(bytes)) => return Body::read(&bytes, name.crc64, &taken.shard, &name.key),
            Ok(None) if is_missing => {
                return Err(StreamError::LoudStop {
                    cause: format!(
                        "the lease of {} names the checkpoint {}, which is not in {}",
                        taken.shard,
                        name.key,
                        destination.describe()
                    ),
                    advice: "name the bucket that the shard was delivered to before, or put the \
                             object back"
                        .into(),
                });
            }
            // Whoever has taken the lease since has written another; that is known by then.
            Ok(None) => {
                is_missing = true;
                taken.failover
            }
            Err(error) => {
                attempt += 1;
                say_unread("the last checkpoint", &error, context, taken);
                pause_after(&error, attempt)
            }
        };
        wait(pause, taken).await?;
    }
}

/// Asks for what others have agreed on, for as long as it takes and the lease is held.
async fn ask_the_chain<F>(
    ask: impl Fn() -> F,
    context: &StreamContext,
    taken: &Taken,
) -> Result<(), StreamError>
where
    F: Future<Output = Result<(), ChainError>>,
{
    let mut attempt = 0;
    loop {
        let answer = tokio::select! {
            answer = ask() => answer,
            () = taken.abandoned.cancelled() => return Err(held_no_more()),
        };
        let error = match answer {
            Ok(()) => return Ok(()),
            Err(ChainError::Stop(error)) => return Err(error),
            Err(ChainError::Store(error)) => error,
        };
        attempt += 1;
        say_unread("what columns were agreed on", &error, context, taken);
        wait(pause_after(&error, attempt), taken).await?;
    }
}

/// So long nothing is asked again.
pub(super) fn pause_after(error: &PublishError, attempt: u32) -> Duration {
    let most = if error.may_pass() {
        retry::TRANSIENT_MAX
    } else {
        retry::PERMANENT_MAX
    };
    retry::delay(attempt, most)
}

fn say_unread(what: &'static str, error: &PublishError, context: &StreamContext, taken: &Taken) {
    let cause = error.to_string();
    if let Some(unsaid) = context.status.repeats().due_alike(what, &cause) {
        let shard = &*taken.shard;
        tracing::warn!(shard, cause, unsaid, "{what} is not read yet");
    }
    context.status.set_state(StreamState::Stalled { cause });
}

fn held_no_more() -> StreamError {
    StreamError::State {
        action: "read the last checkpoint of a shard",
        cause: "the lease is held no more".into(),
    }
}

/// Waits for the next attempt, while the lease is held.
async fn wait(pause: Duration, taken: &Taken) -> Result<(), StreamError> {
    tokio::select! {
        () = tokio::time::sleep(pause) => Ok(()),
        () = taken.abandoned.cancelled() => Err(held_no_more()),
    }
}

#[cfg(test)]
mod tests {
    use super::scratch;

    #[test]
    fn no_name_of_a_shard_leaves_the_folder() {
        let path = |shard| scratch(shard).display().to_string();
        assert_eq!(path("shardId-000000000001"), "shared/shardId-000000000001");
        assert_eq!(path("../a"), "shared/_2e_2e_2fa");
        assert_ne!(path("_2e"), path("."));
    }
}
