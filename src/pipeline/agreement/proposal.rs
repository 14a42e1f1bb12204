//! What one daemon does so that a version is in force which takes what its records have: a state machine that asks nobody.
//! Who drives it carries out its steps, and may repeat one that was not answered.
//!
//! A daemon that knows version N puts its own N + 1, or reads the N + 1 that another has put before it, and begins again
//! from that: what it needs may be in it already. So there is one version of each number, each takes what those before it
//! take, and in the end what the records have is taken, as far as columns ever take it. Columns of a table are no wider than
//! those before them: they replace them, in the order in which the catalog has had them. What is in `model_tests` and in
//! `table_model_tests` looks at every order of these steps.

use uuid::Uuid;

use super::super::formats::Learner;
use super::chain;
use super::table::TableWanted;
use crate::format::Columns;
use crate::schema::{SchemaVersion, TableVersion};

/// What a daemon wants of the columns, and how far it is.
#[derive(Clone)]
pub(super) struct Proposal {
    wanted: Wanted,
    /// The newest version that it knows.
    newest: Option<SchemaVersion>,
    /// The stream's name, which versions say.
    stream: String,
    stage: Stage,
}

/// What the columns are to be.
#[derive(Clone)]
pub(super) enum Wanted {
    /// So wide that they take what records have, one after the other.
    Seen(Learner, Vec<Columns>),
    /// Those of a table.
    Table(TableWanted),
}

#[derive(Clone)]
enum Stage {
    /// What others have put is read first, up to the end.
    CatchingUp,
    /// It is to be seen whether the newest version takes it.
    Comparing,
    /// The next version is being put, with these bytes, until it is known what came of it.
    Putting(SchemaVersion, Vec<u8>),
    /// The next version is being read. It is there, unless no column comes of what was seen, for this reason.
    Reading(Option<String>),
    /// Nothing is to be done any more.
    Ended(Ended),
    /// What was drafted is no version that others could go on from, for this reason.
    Unfit(String),
}

/// What has come of it: the newest version takes what there is to be taken. The error says why there is no version at all.
pub(super) type Ended = Result<(), String>;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Put these bytes as the version of this number, where there is none. Of an attempt without an answer nothing is
    /// known: it is made again, with the same bytes.
    Put(u32, Vec<u8>),
    /// Read the version of this number.
    Read(u32),
    /// Nothing.
    End(Ended),
    /// Nothing, and a person must see why: a version of this daemon's own would stop all others.
    Refuse(String),
}

impl Proposal {
    /// Begins with the newest version that is known here.
    pub(super) const fn new(wanted: Wanted, newest: Option<SchemaVersion>, stream: String) -> Self {
        let stage = match wanted {
            Wanted::Seen(..) => Stage::Comparing,
            // What another daemon has put is in force, whatever this one has heard.
            Wanted::Table(_) => Stage::CatchingUp,
        };
        Self {
            wanted,
            newest,
            stream,
            stage,
        }
    }

    /// The newest version that is known to be there.
    pub(super) const fn newest(&self) -> Option<&SchemaVersion> {
        self.newest.as_ref()
    }

    /// What the catalog has said of a table that is older than what is in force, and what is.
    pub(super) fn passed_over(&self) -> Option<(&TableVersion, &TableVersion)> {
        match &self.wanted {
            Wanted::Seen(..) => None,
            Wanted::Table(wanted) => wanted.passed_over(),
        }
    }

    /// The step to be taken now; the same until its answer has come. A version that is drafted gets this time, and its
    /// bytes what tells them from those of others.
    pub(super) fn step(&mut self, claim: Uuid, now_ms: i64) -> Step {
        let newest = self.newest.as_ref();
        if let Stage::Comparing = self.stage {
            let next = match &self.wanted {
                Wanted::Seen(learner, seen) => learner.next(newest, seen, now_ms),
                Wanted::Table(wanted) => Ok(wanted.next(newest, now_ms)),
            };
            self.stage = match next {
                Ok(Some(version)) => {
                    let body = chain::body(&version, claim, &self.stream);
                    // As whoever reads it will.
                    match chain::read(&body, version.version, &self.stream)
                        .map_err(|misread| misread.cause)
                        .and_then(|read| chain::follows(newest, &read))
                    {
                        Ok(()) => Stage::Putting(version, body),
                        Err(why) => Stage::Unfit(why),
                    }
                }
                Ok(None) => Stage::Ended(Ok(())),
                // Records of others may have had columns.
                Err(why) => Stage::Reading(Some(why)),
            };
        }
        let number = newest.map_or(0, |newest| newest.version) + 1;
        match &self.stage {
            Stage::Putting(_, body) => Step::Put(number, body.clone()),
            Stage::CatchingUp | Stage::Reading(_) | Stage::Comparing => Step::Read(number),
            Stage::Ended(ended) => Step::End(ended.clone()),
            Stage::Unfit(why) => Step::Refuse(why.clone()),
        }
    }

    /// What came of putting the version: it is there, or that of another is.
    pub(super) fn put(&mut self, is_there: bool) {
        let stage = std::mem::replace(&mut self.stage, Stage::Reading(None));
        match stage {
            Stage::Putting(version, _) if is_there => {
                self.learn(version);
                self.stage = Stage::Comparing;
            }
            Stage::Putting(..) => {}
            other => self.stage = other,
        }
    }

    /// What came of reading the version. The error says why nobody can go on from it.
    pub(super) fn read(&mut self, found: Option<SchemaVersion>) -> Result<(), String> {
        if let Some(version) = found {
            chain::follows(self.newest.as_ref(), &version)?;
            self.learn(version);
            if !matches!(self.stage, Stage::CatchingUp) {
                self.stage = Stage::Comparing;
            }
            return Ok(());
        }
        match &mut self.stage {
            Stage::CatchingUp => {
                self.stage = Stage::Comparing;
                Ok(())
            }
            Stage::Reading(Some(why)) => {
                self.stage = Stage::Ended(Err(std::mem::take(why)));
                Ok(())
            }
            _ => Err("it was there, and is gone".to_owned()),
        }
    }

    fn learn(&mut self, version: SchemaVersion) {
        if let Wanted::Table(wanted) = &mut self.wanted {
            wanted.learn(&version);
        }
        self.newest = Some(version);
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod table_model_tests;
