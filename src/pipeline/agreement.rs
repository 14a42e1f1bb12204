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
use crate::failpoint;
use crate::format::Columns;
use crate::schema::SchemaVersion;
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

    /// Whether there is a version.
    pub(super) fn has_columns(&self) -> bool {
        !self.known().is_empty()
    }

    /// Reads what others have put since. After an error it may be called again.
    pub(super) async fn catch_up(&self) -> Result<(), ChainError> {
        loop {
            let newest = self.known().last().cloned();
            let number = newest.as_ref().map_or(0, |newest| newest.version) + 1;
            let Some(version) = self.chain.read(number).await? else {
                return Ok(());
            };
            self.chain.check(newest.as_ref(), &version)?;
            self.learn(&version);
        }
    }

    /// Begins to agree on columns that take what records have.
    pub(super) fn propose(self: &Arc<Self>, learner: Learner, seen: Columns) -> Proposing {
        let newest = self.known().last().cloned();
        Proposing {
            agreement: Arc::clone(self),
            proposal: Proposal::new(learner, seen, newest),
        }
    }

    /// Another pipeline here may have read it before.
    fn learn(&self, version: &SchemaVersion) {
        let mut known = self.known();
        if known.last().map_or(0, |newest| newest.version) >= version.version {
            return;
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
            }
            if let Some(newest) = proposal.newest() {
                agreement.learn(newest);
            }
        }
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
