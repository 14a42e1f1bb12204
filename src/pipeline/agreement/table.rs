//! The columns of a Glue table, as daemons that share a stream have them together.
//!
//! Of the pipelines of one process one asks the catalog for all. What it has said is put as the next version, unless the
//! version in force has these columns, or is later than the answer: two daemons ask at different times, and an answer may
//! be long under way. Which of two is later the catalog says itself, by when the table was made and by the number of the
//! version. Where it says neither, an answer is later than a version that was known here when it was asked for.

#![expect(
    clippy::disallowed_methods,
    reason = "the catalog is asked again after a while"
)]

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::super::followed::{TableAsker, TableStanding, Told, untakeable};
use super::super::formats::{Learner, row};
use super::super::status::Status;
use crate::aws::glue::TableError;
use crate::clock::Clock;
use crate::config::StreamSettings;
use crate::format::Columns;
use crate::schema::{SchemaVersion, TableVersion};

/// The table that the daemons follow, for all pipelines of this process.
#[derive(Debug)]
pub(in crate::pipeline) struct FollowedTable {
    learner: Learner,
    identity: String,
    is_fixed: bool,
    standing: Arc<TableStanding>,
    clock: Clock,
    /// Whoever has it asks for all, when it is time.
    asking: tokio::sync::Mutex<(TableAsker, Due)>,
    /// The last answer, and how many there were before it.
    heard: Mutex<(u64, Option<Heard>)>,
}

/// When the catalog is to be asked next.
#[derive(Clone, Copy, Debug)]
enum Due {
    Now,
    At(Instant),
    /// A version never changes.
    Never,
}

/// What has come of asking the catalog.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Heard {
    /// What it has said, where it has.
    answer: Option<(Columns, TableVersion)>,
    /// The newest version that was known here before it was asked.
    known: u32,
}

impl FollowedTable {
    /// The table that the stream's format names; `None`: it names none.
    pub(in crate::pipeline) fn of(
        settings: &StreamSettings,
        learner: &Learner,
        clock: &Clock,
        status: &Arc<Status>,
    ) -> Option<Self> {
        let table = settings.format.table()?;
        Some(Self {
            learner: learner.clone(),
            identity: table.identity(),
            is_fixed: table.version.is_some(),
            standing: Arc::new(TableStanding::of(settings, status)?),
            clock: clock.clone(),
            asking: tokio::sync::Mutex::new((TableAsker::of(settings)?, Due::Now)),
            heard: Mutex::default(),
        })
    }

    /// How it is read.
    pub(super) const fn standing(&self) -> &Arc<TableStanding> {
        &self.standing
    }

    /// Whether a version has its columns.
    pub(super) fn has_made(&self, version: &SchemaVersion) -> bool {
        version.is_of_table(&self.identity)
    }

    /// What has come of asking for it, of `seen` times that somebody knows the next, or a later one. `known`: the newest
    /// version here, and whether one of the table is in force.
    pub(super) async fn hear(
        &self,
        seen: u64,
        known: impl Fn() -> (u32, bool) + Send,
    ) -> (u64, Heard) {
        if let Some(heard) = self.heard_since(seen) {
            return heard;
        }
        let mut asking = self.asking.lock().await;
        if let Some(heard) = self.heard_since(seen) {
            return heard;
        }
        let (asker, due) = &mut *asking;
        match *due {
            Due::Now => {}
            Due::At(due) => tokio::time::sleep_until(due).await,
            Due::Never => std::future::pending().await,
        }
        let (newest, has_columns) = known();
        let told = asker.ask().await.and_then(|told| self.taken(told));
        let answer = match told {
            Ok(answer) => {
                self.standing.went_well(self.clock.now_ms());
                Some(answer)
            }
            Err(error) => {
                self.standing.failed(&error, has_columns);
                None
            }
        };
        *due = asker
            .pause()
            .map_or(Due::Never, |pause| Due::At(Instant::now() + pause));
        let mut last = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = Heard {
            answer,
            known: newest,
        };
        *last = (last.0 + 1, Some(heard.clone()));
        (last.0, heard)
    }

    /// What the format can have of what the catalog says.
    fn taken(&self, told: Told) -> Result<(Columns, TableVersion), TableError> {
        let columns = self.learner.of_table(told.columns);
        let version = TableVersion {
            name: self.identity.clone(),
            version: told.version,
            created_ms: told.created_ms,
        };
        Ok((columns.map_err(|fault| untakeable(&fault))?, version))
    }

    /// What is to be done about an answer, while `ours` is in force.
    pub(super) fn wanted(&self, heard: Heard, ours: Option<SchemaVersion>) -> TableWanted {
        TableWanted {
            identity: self.identity.clone(),
            is_fixed: self.is_fixed,
            heard,
            ours,
        }
    }

    fn heard_since(&self, seen: u64) -> Option<(u64, Heard)> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, last) = &*heard;
        let last = last.as_ref().filter(|_| *number > seen)?;
        Some((*number, last.clone()))
    }
}

/// What one daemon does about an answer of the catalog.
#[derive(Clone, Debug)]
pub(super) struct TableWanted {
    identity: String,
    /// The version of the table is named, and never changes.
    is_fixed: bool,
    heard: Heard,
    /// The last version that has the table's columns, where one is in force.
    ours: Option<SchemaVersion>,
}

impl TableWanted {
    /// Takes note of a version of the chain.
    pub(super) fn learn(&mut self, version: &SchemaVersion) {
        if version.is_of_table(&self.identity) {
            self.ours = Some(version.clone());
        }
    }

    /// The version that is to come after the newest, with what the catalog has said. `None`: what is in force does.
    pub(super) fn next(
        &self,
        newest: Option<&SchemaVersion>,
        now_ms: i64,
    ) -> Option<SchemaVersion> {
        let (columns, table) = self.heard.answer.as_ref()?;
        let text = columns.to_config();
        if let Some(ours) = &self.ours
            && (self.is_fixed || ours.columns == text || !self.is_later_than(ours))
        {
            return None;
        }
        let before = newest.and_then(|newest| Columns::parse(&newest.columns).ok());
        let changes = before.map_or_else(Vec::new, |before| before.changes_to(columns));
        Some(SchemaVersion {
            version: newest.map_or(0, |newest| newest.version) + 1,
            at_ms: now_ms,
            columns: text,
            changes: changes.into_iter().map(row).collect(),
            table: Some(table.clone()),
        })
    }

    /// What the catalog has said that is older than what is in force, and what is: for people.
    pub(super) fn passed_over(&self) -> Option<(&TableVersion, &TableVersion)> {
        let ((_, told), ours) = (self.heard.answer.as_ref()?, self.ours.as_ref()?);
        let agreed = ours.table.as_ref()?;
        (order(told, agreed) == Some(Ordering::Less)).then_some((told, agreed))
    }

    /// Whether the answer is later than a version of the same table. Where the catalog does not say it, the answer is older
    /// than what was not known yet when it was asked for, or may be.
    fn is_later_than(&self, ours: &SchemaVersion) -> bool {
        let told = self.heard.answer.as_ref().map(|(_, table)| table);
        match told
            .zip(ours.table.as_ref())
            .and_then(|(told, ours)| order(told, ours))
        {
            Some(order) => order == Ordering::Greater,
            None => ours.version <= self.heard.known,
        }
    }
}

#[cfg(test)]
impl TableWanted {
    /// What is to be done about an answer that was asked for when `known` was the newest version.
    pub(super) fn of_a_model(
        answer: (Columns, TableVersion),
        known: u32,
        ours: Option<SchemaVersion>,
    ) -> Self {
        Self {
            identity: answer.1.name.clone(),
            is_fixed: false,
            heard: Heard {
                answer: Some(answer),
                known,
            },
            ours,
        }
    }
}

/// Which of two versions of one table the catalog has made later, where it says that. `None`: it does not.
fn order(one: &TableVersion, other: &TableVersion) -> Option<Ordering> {
    // A table that was dropped and made again begins to count anew.
    let made = one.created_ms.zip(other.created_ms);
    let made = made.map(|(one, other)| one.cmp(&other));
    // They are numbers, as texts.
    let number = |of: &TableVersion| of.version.as_ref()?.parse::<u64>().ok();
    let numbers = || Some(number(one)?.cmp(&number(other)?));
    let is_told = |order: &Ordering| *order != Ordering::Equal;
    made.filter(is_told).or_else(|| numbers().filter(is_told))
}

#[cfg(test)]
mod tests;
