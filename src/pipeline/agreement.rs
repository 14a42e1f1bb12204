//! Columns that the daemons which share a stream learn, or read of a Glue table: one chain of versions for all, in the bucket.
//!
//! A version is in the bucket before a record is applied with it. So a checkpoint never lists an object of a version that
//! the others cannot know, whoever dies when: a version that nobody has used yet is harmless. What one has to do for a
//! version is in `proposal`, where the versions lie in `chain`, what a table has to do with it in `table`; here is what the
//! pipelines of one process know of them together.

mod chain;
mod proposal;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::followed::TableStanding;
use super::formats::Learner;
use super::status::Status;
use crate::clock::Clock;
use crate::error::StreamError;
use crate::failpoint;
use crate::format::Columns;
use crate::schema::{SchemaPin, SchemaVersion};
use chain::Misread;
pub(super) use chain::{Chain, ChainError, Newest};
use proposal::{Ended, Proposal, Step, Wanted};
pub(super) use table::{FollowedTable, Heard};

/// Changes that a line of the log names; `schema history` has them all.
const TOLD_MAX: usize = 20;
/// A line of the log that is said while it is true.
const OLDER: &str = "the catalog says an older version of the table than the daemons have agreed on: it is not taken";

/// What the daemons have agreed on, as far as this process knows it.
#[derive(Debug)]
pub(super) struct SchemaAgreement {
    stream: String,
    chain: Chain,
    clock: Clock,
    /// The stream's, which all its pipelines here have in common.
    status: Arc<Status>,
    known: Mutex<Known>,
    /// The table whose columns they are, where they are one's.
    table: Option<FollowedTable>,
}

/// What is known here of the chain.
#[derive(Debug)]
struct Known {
    /// The last versions, oldest first.
    versions: Vec<SchemaVersion>,
    /// The last one that has the columns of the table, where they are one's. What others, who have another config, put behind
    /// it is not in force here.
    ours: Option<SchemaVersion>,
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
        table: Option<FollowedTable>,
        (stream, clock): (&str, Clock),
        status: Arc<Status>,
    ) -> Self {
        status.set_schema(found.versions.clone());
        let versions = found.versions;
        let is_ours =
            |newest: &&SchemaVersion| table.as_ref().is_some_and(|table| table.has_made(newest));
        let ours = versions.last().filter(is_ours).cloned();
        Self {
            stream: stream.to_owned(),
            chain,
            clock,
            status,
            known: Mutex::new(Known { versions, ours }),
            table,
        }
    }

    /// The last versions, oldest first, up to the one in force; none where none is.
    pub(super) fn in_force(&self) -> Vec<SchemaVersion> {
        let known = self.known();
        if self.table.is_none() {
            return known.versions.clone();
        }
        let Some(ours) = &known.ours else {
            return Vec::new();
        };
        let versions = known.versions.iter();
        let before = versions.filter(|version| version.version < ours.version);
        before.chain([ours]).cloned().collect()
    }

    /// The number of the version in force; 0: there is none yet.
    pub(super) fn number_in_force(&self) -> u32 {
        self.in_force().last().map_or(0, |newest| newest.version)
    }

    /// Whether there is a version.
    pub(super) fn has_columns(&self) -> bool {
        !self.known().versions.is_empty()
    }

    /// How the table is read whose columns they are, where they are one's.
    pub(super) fn standing(&self) -> Option<&Arc<TableStanding>> {
        self.table.as_ref().map(FollowedTable::standing)
    }

    /// What the catalog says of the table next, of which `seen` answers are known to who asks. It never comes where there
    /// is no more to be heard.
    pub(super) async fn hear(&self, seen: u64) -> (u64, Heard) {
        let known = || {
            let known = self.known();
            (known.newest(), known.ours.is_some())
        };
        match &self.table {
            Some(table) => table.hear(seen, known).await,
            None => std::future::pending().await,
        }
    }

    /// The newest version that is known here, for a checkpoint: nothing that it lists has columns of a later one.
    pub(super) fn pin(&self) -> Option<SchemaPin> {
        let known = self.known();
        known.versions.last().map(|newest| self.chain.pin(newest))
    }

    /// Looks whether the chain still has what a checkpoint was made with. It is caught up with. After an error of the store
    /// it may be called again.
    pub(super) async fn hold_to(&self, pin: &SchemaPin) -> Result<(), ChainError> {
        let newest = self.known().newest();
        if self.chain.holds(pin, newest).await? {
            let (stream, SchemaPin { version, hash, .. }) = (&self.stream, pin);
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
        let mut found = Newest::after(self.known().versions.clone());
        let caught_up = self.chain.find(&mut found).await;
        for version in &found.versions {
            self.learn(version);
        }
        caught_up
    }

    /// Begins to agree on columns that take what records have, one after the other.
    pub(super) fn propose(self: &Arc<Self>, learner: Learner, seen: Vec<Columns>) -> Proposing {
        let newest = self.known().versions.last().cloned();
        self.begin(Wanted::Seen(learner, seen), newest)
    }

    /// Begins to agree on what the catalog has said, or to look what others have put. `None`: no table is followed.
    pub(super) fn propose_heard(self: &Arc<Self>, heard: Heard) -> Option<Proposing> {
        // Both of one moment: a version that is learned between them would never be looked at.
        let (ours, newest) = {
            let known = self.known();
            (known.ours.clone(), known.versions.last().cloned())
        };
        let wanted = self.table.as_ref()?.wanted(heard, ours);
        Some(self.begin(Wanted::Table(wanted), newest))
    }

    fn begin(self: &Arc<Self>, wanted: Wanted, newest: Option<SchemaVersion>) -> Proposing {
        let stream = self.chain.stream().to_owned();
        Proposing {
            agreement: Arc::clone(self),
            proposal: Proposal::new(wanted, newest, stream),
        }
    }

    /// Another pipeline here may have read it before.
    fn learn(&self, version: &SchemaVersion) {
        let mut known = self.known();
        let newest = known.newest();
        if newest >= version.version {
            return;
        }
        // Far behind, only the last ones were read.
        if newest + 1 < version.version {
            known.versions.clear();
        }
        chain::keep(&mut known.versions, version.clone());
        if self
            .table
            .as_ref()
            .is_some_and(|table| table.has_made(version))
        {
            known.ours = Some(version.clone());
        }
        self.status.set_schema(known.versions.clone());
        tell(&self.stream, version);
    }

    /// Says where the catalog has said what is older than what is in force.
    fn tell_of_older(&self, proposal: &Proposal) {
        let Some((told, agreed)) = proposal.passed_over() else {
            self.status.repeats().over(OLDER);
            return;
        };
        let (told, agreed) = (told.to_string(), agreed.to_string());
        if let Some(unsaid) = self.status.repeats().due(OLDER, &told) {
            tracing::warn!(stream = self.stream, told, agreed, unsaid, "{OLDER}");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The number of the newest version; 0: there is none.
    fn newest(&self) -> u32 {
        self.versions.last().map_or(0, |newest| newest.version)
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
                    let broken = proposal.read(found).err().map(Misread::changed);
                    broken.map_or(Ok(()), |misread| Err(chain.broken(number, &misread)))?;
                }
                Step::End(ended) => {
                    agreement.tell_of_older(proposal);
                    return Ok(ended);
                }
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
    let told = changes.iter().take(TOLD_MAX);
    let told: Vec<String> = told.map(ToString::to_string).collect();
    let (changes, more) = (told.join(", "), changes.len() - told.len());
    let columns = version.hash();
    if let Some(table) = &version.table {
        let table = table.to_string();
        tracing::info!(
            stream,
            version = number,
            table,
            columns,
            changes,
            more,
            "the columns of the Glue table are in force"
        );
    } else if changes.is_empty() {
        tracing::info!(stream, version = number, columns, "columns are learned");
    } else {
        tracing::warn!(
            stream,
            version = number,
            changes,
            more,
            "columns are widened"
        );
    }
}
