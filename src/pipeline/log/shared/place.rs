//! Where the checkpoints of a shared stream lie: its destination, and what the daemons have agreed on there.

#![expect(
    clippy::disallowed_methods,
    reason = "a destination that does not answer is asked again"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::super::StreamContext;
use super::super::super::agreement::{Chain, ChainError, FollowedTable, Newest, SchemaAgreement};
use super::super::super::claim::tell_of_overwriting;
use super::super::super::outputs::Outputs;
use super::open::pause_after;
use crate::config::StreamSettings;
use crate::destination::{Conditional, Destination, PublishError};
use crate::error::StreamError;
use crate::retry;
use crate::schema::SchemaVersion;
use crate::telemetry::StreamState;

/// A command asks so often again.
const ASKED_AGAIN: u32 = 4;

/// The destination of a shared stream, once it can be used. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedPlace {
    pub(super) destination: Destination,
    /// With whom columns are agreed on, where the config does not say them.
    pub(super) agreement: Option<Arc<SchemaAgreement>>,
}

impl SharedPlace {
    /// The destination.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }
}

/// Connects to the destination of a shared stream, for as long as it takes. Where columns are learned, or a table's, those
/// are read that were agreed on, and a store that cannot hold an agreement is a loud stop.
pub async fn connect_shared(
    settings: &StreamSettings,
    table: &str,
    context: &StreamContext,
) -> Result<SharedPlace, StreamError> {
    let outputs = Outputs::compile(settings, BTreeMap::new(), Vec::new())?;
    let (head, mut attempt) = (outputs.marker_head(), 0);
    let probe_key = format!("{head}.firehose/{table}/probe");
    let (destination, conditional) = loop {
        match try_to_connect(settings, &probe_key).await {
            Ok(connected) => break connected,
            Err(error) => wait_out(&error, &mut attempt, settings, context).await,
        }
    };
    tell_of_overwriting(&settings.name, &destination, conditional);
    let agreement = if settings.format.come_later() {
        if conditional == Conditional::No {
            return Err(cannot_agree(&destination));
        }
        let chain = Chain::of(destination.clone(), head, table, stream_of(settings));
        let (learner, clock, status) = (outputs.formats.learner(), &context.clock, &context.status);
        let table = FollowedTable::of(settings, learner, clock, status);
        Some(Arc::new(
            open_agreement(chain, table, settings, context).await?,
        ))
    } else {
        None
    };
    context.status.set_state(StreamState::Running);
    Ok(SharedPlace {
        destination,
        agreement,
    })
}

async fn try_to_connect(
    settings: &StreamSettings,
    probe_key: &str,
) -> Result<(Destination, Conditional), PublishError> {
    let destination = Destination::connect(&settings.destination.store).await?;
    let conditional = destination.probe(probe_key).await?;
    Ok((destination, conditional))
}

/// Reads what was agreed on, for as long as it takes.
async fn open_agreement(
    chain: Chain,
    table: Option<FollowedTable>,
    settings: &StreamSettings,
    context: &StreamContext,
) -> Result<SchemaAgreement, StreamError> {
    let (mut found, mut attempt) = (Newest::default(), 0);
    loop {
        let before = found.progress();
        let error = match chain.find(&mut found).await {
            Ok(()) => break,
            Err(ChainError::Stop(error)) => return Err(error),
            Err(ChainError::Store(error)) => error,
        };
        if found.progress() != before {
            attempt = 0;
        }
        wait_out(&error, &mut attempt, settings, context).await;
    }
    let of = (&*settings.name, context.clock.clone());
    let status = Arc::clone(&context.status);
    Ok(SchemaAgreement::new(chain, found, table, of, status))
}

/// Tells of a failed attempt, and waits for the next.
async fn wait_out(
    error: &PublishError,
    attempt: &mut u32,
    settings: &StreamSettings,
    context: &StreamContext,
) {
    *attempt += 1;
    let (stream, cause) = (&settings.name, error.to_string());
    if let Some(unsaid) = context.status.repeats().due_alike("destination", &cause) {
        tracing::warn!(stream, cause, unsaid, "destination not ready");
    }
    context.status.set_state(StreamState::Stalled { cause });
    tokio::time::sleep(pause_after(error, *attempt)).await;
}

/// The name of the stream that the daemons share.
fn stream_of(settings: &StreamSettings) -> &str {
    settings.source.stream().unwrap_or(&settings.name)
}

/// Two daemons could each put a version under one number there.
fn cannot_agree(destination: &Destination) -> StreamError {
    StreamError::LoudStop {
        cause: format!(
            "daemons that share a stream cannot agree on columns in {}: it does not honour If-None-Match",
            destination.describe()
        ),
        advice: "declare the columns: `firehose schema infer` finds them for a sample; or name a store that does".into(),
    }
}

/// The columns that the daemons of a shared stream with the lease table `table` have agreed on: the last versions, oldest
/// first. The destination alone is asked, and a few times again where it may answer then.
pub async fn agreed_versions(
    settings: &StreamSettings,
    table: &str,
) -> Result<Vec<SchemaVersion>, StreamError> {
    let outputs = Outputs::compile(settings, BTreeMap::new(), Vec::new())?;
    let failed = |error: PublishError| StreamError::State {
        action: "read the columns that the daemons have agreed on",
        cause: Box::new(error),
    };
    let destination = Destination::reopen(&settings.destination.store).await;
    let (destination, stream) = (destination.map_err(failed)?, stream_of(settings));
    let chain = Chain::of(destination, outputs.marker_head(), table, stream);
    let (mut found, mut attempt) = (Newest::default(), 0);
    loop {
        match chain.find(&mut found).await {
            Ok(()) => return Ok(found.versions),
            Err(ChainError::Store(error)) if error.may_pass() && attempt < ASKED_AGAIN => {}
            Err(ChainError::Store(error)) => return Err(failed(error)),
            Err(ChainError::Stop(error)) => return Err(error),
        }
        attempt += 1;
        tokio::time::sleep(retry::delay(attempt, retry::TRANSIENT_MAX)).await;
    }
}
