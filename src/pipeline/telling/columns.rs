//! The columns of the catalog's table, brought up to those of the stream's objects where that is wanted.
//!
//! What they are is told with each group of places, since the catalog is asked for the table then anyway, and by itself
//! where they are others than those that the table was last found to have: at the start, and after each change. That is
//! when a checkpoint takes the change in, so that no table has columns that a restart could forget. What fails holds up
//! neither objects nor partitions, and is tried again.

use std::time::Duration;

use super::{Pipeline, Rest, Telling};
use crate::catalog::{CatalogError, TableDraft, TableWish};
use crate::clock::Moment;
use crate::config::StreamSettings;
use crate::format::Columns;
use crate::pipeline::drafted::{table_draft, table_objects, updates};
use crate::pipeline::outputs::Outputs;
use crate::schema::TableJoin;

/// Lines of the log that are said while they are true.
const NOT_BROUGHT_UP: &str =
    "the columns of the catalog's table are not brought up to the stream's, and are tried again";
const NOT_MADE: &str =
    "the catalog's table cannot be made of the columns that the stream has learned";
const CONFLICT: &str = "a column of the catalog's table has another type than in objects";
/// How long after columns were found to differ the table is looked at again: a person may have mended it.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// Columns that are named, of those that differ.
const NAMED_MAX: usize = 20;

/// How far the table's columns are told. A format is one by its hash, or by the number of the version of its columns where
/// daemons agree on these.
#[derive(Debug, Default)]
pub(super) struct ToldColumns {
    is_wanted: bool,
    /// Those of this format are the table's.
    known: Option<u64>,
    /// Those of this one it is being told.
    asked: Option<u64>,
    /// When the table is looked at again, whose columns differ.
    again: Option<Moment>,
    rest: Rest,
}

impl ToldColumns {
    /// Begins: nothing is known of the table yet.
    pub(super) fn of(settings: &StreamSettings) -> Self {
        Self {
            is_wanted: updates(settings),
            ..Self::default()
        }
    }

    /// Whether the table is to be told the columns of this format, though no place is to be told.
    pub(super) fn are_due(&self, of: Option<u64>, now: Moment) -> bool {
        let is_time = || self.again.is_some_and(|again| again <= now);
        of.is_some() && (of != self.known || is_time())
    }

    /// Whether they are left alone for a while, since telling them has failed.
    pub(super) fn rests(&self, now: Moment) -> bool {
        self.rest.lasts(now)
    }

    /// Takes note of what has become of those of a format.
    pub(super) fn heard(
        &mut self,
        asked: u64,
        told: &Result<TableJoin, CatalogError>,
        now: Moment,
    ) {
        if let Ok(join) = told {
            self.known = Some(asked);
            let differs = !join.conflicts.is_empty();
            self.again = differs.then(|| now.after(LOOK_AGAIN));
        }
        self.rest.after(told.as_ref().err(), now);
    }
}

impl Pipeline {
    /// Whether the table's columns are to be told, though no place is.
    pub(super) fn columns_are_due(&self) -> bool {
        let now = self.context.clock.moment();
        self.telling.columns.are_due(self.columns_to_tell(), now)
    }

    /// The format whose columns the table is to have, if it is time to tell it.
    fn columns_to_tell(&self) -> Option<u64> {
        let Telling { told, columns, .. } = &self.telling;
        if told.is_none() || !columns.is_wanted {
            return None;
        }
        let formats = &self.outputs.formats;
        let is_time = !columns.rests(self.context.clock.moment());
        if let Some(agreement) = self.log.agreement() {
            // A version is in the bucket before it is known here.
            let newest = agreement.number_in_force();
            return (is_time && newest > 0).then(|| newest.into());
        }
        let are_there = !self.settings.format.come_later() || formats.have_columns();
        (are_there && is_time && !formats.is_unsaved()).then(|| formats.data())
    }

    /// What the table is to be, beside its partitions.
    pub(super) fn wish(&mut self) -> TableWish {
        let of = self.columns_to_tell();
        self.telling.columns.asked = of;
        let columns = of.and_then(|_| self.columns());
        TableWish {
            draft: self.draft(),
            objects: columns.and_then(|columns| table_objects(&self.settings, columns)),
        }
    }

    /// The table as it is made where it is missing and that is wanted. What keeps it from being made the config has said
    /// at the start, but for columns that are learned.
    fn draft(&self) -> Option<TableDraft> {
        let settings = self.settings.catalog.as_ref();
        settings.filter(|catalog| catalog.creates())?;
        let draft = table_draft(&self.settings, self.columns()?);
        let (stream, repeats) = (&self.settings.name, self.context.status.repeats());
        if let Err(cause) = &draft
            && let Some(unsaid) = repeats.due(NOT_MADE, cause)
        {
            tracing::warn!(stream, cause, unsaid, "{NOT_MADE}");
        }
        draft.ok()
    }

    /// The columns of the objects: where daemons agree on these the newest that are known here, though those of this
    /// pipeline's objects may be earlier ones.
    fn columns(&self) -> Option<Columns> {
        let Outputs { formats, .. } = &*self.outputs;
        let versions = match self.log.agreement() {
            Some(agreement) => agreement.in_force(),
            None => formats.history(),
        };
        match versions.last() {
            Some(version) => {
                let columns = Columns::parse(&version.columns).ok()?;
                Some(columns.with_unknown_of(&self.settings.format.columns()?.rules))
            }
            None => Columns::of_settings(self.settings.format.columns()?).ok(),
        }
    }

    /// Takes over what has become of the table's columns. `None`: nothing was heard.
    pub(super) fn apply_told_columns(&mut self, told: Option<Result<TableJoin, CatalogError>>) {
        let now = self.context.clock.moment();
        let (Some(asked), Some(told)) = (self.telling.columns.asked.take(), told) else {
            return;
        };
        self.telling.columns.heard(asked, &told, now);
        match told {
            Ok(join) => self.columns_are_told(&join),
            Err(error) => self.columns_are_not_told(&error),
        }
    }

    fn columns_are_told(&mut self, join: &TableJoin) {
        let (stream, repeats) = (&self.settings.name, self.context.status.repeats());
        let Some(told) = &mut self.telling.told else {
            return;
        };
        let table = &told.standing.name;
        told.standing.conflicting = join.conflicts.len() as u64;
        let named = join.conflicts.iter().take(NAMED_MAX);
        let named: Vec<String> = named.map(ToString::to_string).collect();
        if named.is_empty() {
            repeats.over(CONFLICT);
        }
        for cause in &named {
            if let Some(unsaid) = repeats.due(CONFLICT, cause) {
                tracing::warn!(stream, table, cause, unsaid, "{CONFLICT}");
            }
        }
        repeats.over(NOT_BROUGHT_UP);
        (told.standing.conflicts, told.standing.columns_error) = (named, None);
        // Whoever sees what was changed sees what was not.
        self.report_catalog();
        if let Some(told) = &self.telling.told {
            told.metrics.widened.add(join.changes.len() as u64);
        }
    }

    fn columns_are_not_told(&mut self, error: &CatalogError) {
        self.catalog_failed(&error.code);
        let (stream, repeats) = (&self.settings.name, self.context.status.repeats());
        let Some(told) = &mut self.telling.told else {
            return;
        };
        let cause = error.to_string();
        if let Some(unsaid) = repeats.due_alike(NOT_BROUGHT_UP, &cause) {
            tracing::warn!(stream, cause, unsaid, "{NOT_BROUGHT_UP}");
        }
        told.standing.columns_error = Some(cause);
    }
}
