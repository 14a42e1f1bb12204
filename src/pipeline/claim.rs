//! The epoch of a recovery, claimed at the destination before anything is published.

use std::collections::{HashSet, VecDeque};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::event::Event;
use super::hurry::Hurry;
use crate::config::{StoreSettings, StreamSettings};
use crate::destination::{Conditional, Destination, PublishError, Whose, caught};
use crate::error::StreamError;
use crate::retry;

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

/// What the keys of an incarnation's claims begin with; behind it stands the number of the epoch. The first claim is that
/// of [`FIRST_EPOCH`], unless the destination could not be reached in that epoch.
pub(super) fn claims(marker_head: &str, incarnation: Uuid) -> String {
    format!("{marker_head}.firehose/{incarnation}/")
}

/// The epoch in which a state begins.
pub(super) const FIRST_EPOCH: u32 = 1;

/// Claims the epoch at each store of the stream, until the handle is dropped. The store of data comes first, so that of two
/// daemons with copies of one state only one goes on to the other stores, which do not wait for each other.
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
