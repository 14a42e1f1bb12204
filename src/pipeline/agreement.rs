//! Columns that are learned by the daemons that share a stream: one chain of versions for all, in the bucket.
//!
//! A version is in the bucket before a record is applied with it. So a checkpoint never lists an object of a version that
//! the others cannot know, whoever dies when: a version that nobody has used yet is harmless. What one has to do for a
//! version is in `proposal`, where the versions lie in `chain`; here is what the pipelines of one process know of them
//! together.

mod chain;
mod proposal;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::formats::Learner;
use super::status::Status;
use crate::clock::Clock;
use crate::error::StreamError;
use crate::failpoint;
use crate::format::Columns;
use crate::schema::{SchemaPin, SchemaVersion};
pub(super) use chain::{Chain, ChainError, Newest};
use proposal::{Ended, Proposal, Step};

/// Changes that a line of the log names; `schema history` has them all.
const TOLD_MAX: usize = 20;

/// What the daemons have agreed on, as far as this process knows it.
#[derive(Debug)]
pub(super) struct SchemaAgreement {
    stream: String,
    chain: Chain,
    clock: Clock,
    /// The stream's, which all its pipelines here have in common.
    status: Arc<Status>,
    /// The last versions, oldest first.
    versions: Mutex<Vec<SchemaVersion>>,
}

/// A version that is being agreed on.
pub(super) struct Proposing {
    agreement: Arc<SchemaAgreement>,
    proposal: Proposal,
}

impl SchemaAgreement {
    /// Begins with what was found.
    pub(super) fn new(
        chain: Chain,
        found: Newest,
        stream: &str,
        clock: Clock,
        status: Arc<Status>,
    ) -> Self {
        status.set_schema(found.versions.clone());
        Self {
            stream: stream.to_owned(),
            chain,
            clock,
            status,
            versions: Mutex::new(found.versions),
        }
    }

    /// The last versions, oldest first.
    pub(super) fn versions(&self) -> Vec<SchemaVersion> {
        self.known().clone()
    }

    /// The number of the newest version that is known here; 0: there is none yet.
    pub(super) fn newest_number(&self) -> u32 {
        self.known().last().map_or(0, |newest| newest.version)
    }

    /// Whether there is a version.
    pub(super) fn has_columns(&self) -> bool {
        !self.known().is_empty()
    }

    /// The newest version that is known here, for a checkpoint: nothing that it lists has columns of a later one.
    pub(super) fn pin(&self) -> Option<SchemaPin> {
        self.known().last().map(SchemaVersion::pin)
    }

    /// Looks whether the chain still has what a checkpoint was made with. It is caught up with. After an error of the store
    /// it may be called again.
    pub(super) async fn hold_to(&self, pin: &SchemaPin) -> Result<(), ChainError> {
        let newest = self.newest_number();
        if self.chain.holds(pin, newest).await? {
            let (stream, SchemaPin { version, hash }) = (&self.stream, pin);
            tracing::warn!(
                stream,
                version,
                hash,
                "a version of the columns is given up"
            );
        }
        Ok(())
    }

    /// Reads what others have put since. After an error it may be called again.
    pub(super) async fn catch_up(&self) -> Result<(), ChainError> {
        let mut found = Newest::after(self.versions());
        let caught_up = self.chain.find(&mut found).await;
        for version in &found.versions {
            self.learn(version);
        }
        caught_up
    }

    /// Begins to agree on columns that take what records have.
    pub(super) fn propose(self: &Arc<Self>, learner: Learner, seen: Columns) -> Proposing {
        let newest = self.known().last().cloned();
        Proposing {
            agreement: Arc::clone(self),
            proposal: Proposal::new(learner, seen, newest, self.chain.stream().to_owned()),
        }
    }

    /// Another pipeline here may have read it before.
    fn learn(&self, version: &SchemaVersion) {
        let mut known = self.known();
        let newest = known.last().map_or(0, |newest| newest.version);
        if newest >= version.version {
            return;
        }
        // Far behind, only the last ones were read.
        if newest + 1 < version.version {
            known.clear();
        }
        chain::keep(&mut known, version.clone());
        self.status.set_schema(known.clone());
        tell(&self.stream, version);
    }

    fn known(&self) -> MutexGuard<'_, Vec<SchemaVersion>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proposing {
    /// Goes on until there is a version that takes what there is to be taken. The inner error says why there is none at all;
    /// after one of the store it may be called again.
    pub(super) async fn advance(&mut self) -> Result<Ended, ChainError> {
        let Self {
            agreement,
            proposal,
        } = self;
        let chain = &agreement.chain;
        loop {
            match proposal.step(Uuid::new_v4(), agreement.clock.now_ms()) {
                Step::Put(number, body) => {
                    chain.still_has(proposal.newest()).await?;
                    failpoint::hit("version-before-put");
                    proposal.put(chain.claim(number, &body).await?);
                    failpoint::hit("version-after-put");
                }
                Step::Read(number) => {
                    let found = chain.read(number).await?;
                    let broken = proposal.read(found).err();
                    broken.map_or(Ok(()), |cause| Err(chain.broken(number, &cause)))?;
                }
                Step::End(ended) => return Ok(ended),
                Step::Refuse(why) => return Err(unfit(&why).into()),
            }
            if let Some(newest) = proposal.newest() {
                agreement.learn(newest);
            }
        }
    }
}

/// A version that no daemon could go on from is never put.
fn unfit(why: &str) -> StreamError {
    StreamError::LoudStop {
        cause: format!(
            "the columns cannot be widened to what records have: of the next version, {why}"
        ),
        advice:
            "declare the columns in `infer_columns`, and report this: it is a fault of the daemon"
                .into(),
    }
}

/// Says what columns there are from now on.
pub(super) fn tell(stream: &str, version: &SchemaVersion) {
    let SchemaVersion {
        version: number,
        changes,
        ..
    } = version;
    if changes.is_empty() {
        let columns = version.hash();
        tracing::info!(stream, version = number, columns, "columns are learned");
        return;
    }
    let told = changes.iter().take(TOLD_MAX);
    let told: Vec<String> = told.map(ToString::to_string).collect();
    let (changes, more) = (told.join(", "), changes.len() - told.len());
    tracing::warn!(
        stream,
        version = number,
        changes,
        more,
        "columns are widened"
    );
}
