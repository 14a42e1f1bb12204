//! Where the checkpoints of a shared stream lie: its destination, and what the daemons have agreed on there.

#![expect(
    clippy::disallowed_methods,
    reason = "a destination that does not answer is asked again"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::super::StreamContext;
use super::super::super::agreement::{Chain, ChainError, SchemaAgreement};
use super::super::super::claim::tell_of_overwriting;
use super::super::super::outputs::Outputs;
use crate::config::StreamSettings;
use crate::destination::{Conditional, Destination};
use crate::error::StreamError;
use crate::retry;
use crate::schema::SchemaVersion;
use crate::telemetry::StreamState;

/// The destination of a shared stream, once it can be used. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedPlace {
    pub(super) destination: Destination,
    /// With whom columns are learned, where they are.
    pub(super) agreement: Option<Arc<SchemaAgreement>>,
}

impl SharedPlace {
    /// The destination.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }
}

/// Connects to the destination of a shared stream, for as long as it takes. Where columns are learned, those are read
/// that were agreed on, and a store that cannot hold an agreement is a loud stop.
pub async fn connect_shared(
    settings: &StreamSettings,
    table: &str,
    context: &StreamContext,
) -> Result<SharedPlace, StreamError> {
    let outputs = Outputs::compile(settings, BTreeMap::new(), Vec::new())?;
    let (head, mut attempt) = (outputs.marker_head(), 0);
    loop {
        let error = match try_to_connect(settings, (head, table), context).await {
            Ok(place) => {
                context.status.set_state(StreamState::Running);
                return Ok(place);
            }
            Err(ChainError::Stop(error)) => return Err(error),
            Err(ChainError::Store(error)) => error,
        };
        attempt += 1;
        let (stream, cause) = (&settings.name, error.to_string());
        if let Some(unsaid) = context.status.repeats().due_alike("destination", &cause) {
            tracing::warn!(stream, cause, unsaid, "destination not ready");
        }
        context.status.set_state(StreamState::Stalled { cause });
        tokio::time::sleep(retry::delay(attempt, retry::TRANSIENT_MAX)).await;
    }
}

async fn try_to_connect(
    settings: &StreamSettings,
    (head, table): (&str, &str),
    context: &StreamContext,
) -> Result<SharedPlace, ChainError> {
    let destination = Destination::connect(&settings.destination.store).await?;
    let probe_key = format!("{head}.firehose/{table}/probe");
    let conditional = destination.probe(&probe_key).await?;
    tell_of_overwriting(&settings.name, &destination, conditional);
    let agreement = if settings.format.sample().is_some() {
        if conditional == Conditional::No {
            return Err(ChainError::Stop(cannot_agree(&destination)));
        }
        let chain = Chain::of(destination.clone(), head, table);
        let (clock, status) = (context.clock.clone(), Arc::clone(&context.status));
        let agreement = SchemaAgreement::open(chain, &settings.name, clock, status);
        Some(Arc::new(agreement.await?))
    } else {
        None
    };
    Ok(SharedPlace {
        destination,
        agreement,
    })
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
/// first. Asked once, of the destination alone.
pub async fn agreed_versions(
    settings: &StreamSettings,
    table: &str,
) -> Result<Vec<SchemaVersion>, StreamError> {
    let outputs = Outputs::compile(settings, BTreeMap::new(), Vec::new())?;
    let read = async {
        let destination = Destination::reopen(&settings.destination.store).await?;
        let chain = Chain::of(destination, outputs.marker_head(), table);
        chain.newest().await
    };
    read.await.map_err(|error| match error {
        ChainError::Stop(error) => error,
        ChainError::Store(error) => StreamError::State {
            action: "read the columns that the daemons have agreed on",
            cause: Box::new(error),
        },
    })
}
