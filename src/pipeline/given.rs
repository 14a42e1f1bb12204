//! Columns that are those of a table of the Glue Data Catalog.
//!
//! A task asks for the table, at the start and again and again; what it hears comes as an event. Columns that are others
//! than those in force are in force for all that is opened from then on: batches that are open end with the columns that
//! they have begun with, and the next checkpoint holds the new ones. They are what a later start begins with, whatever the
//! catalog says then. Only where there are none yet does the stream wait: it reads nothing, so that all that comes stays
//! in the source. Where daemons share the stream they agree on what the catalog says before it is in force: see
//! [`super::agreeing`].

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::AbortOnDropHandle;

use super::agreement::{Heard, SchemaAgreement, tell};
use super::event::Event;
use super::followed::{TableAsker, TableStanding, Told, untakeable};
use super::formats::Formats;
use super::hurry::Hurry;
use super::{Pipeline, StreamContext};
use crate::aws::glue::TableError;
use crate::config::StreamSettings;
use crate::error::StreamError;
use crate::schema::{SchemaVersion, TableVersion};

/// The table whose columns data has.
pub(super) struct Given {
    standing: Arc<TableStanding>,
    /// It is not asked for any more where it never changes.
    _asking: Option<AbortOnDropHandle<()>>,
}

impl Given {
    /// Begins to ask; `None` where the columns are no table's. `at_once` cuts a wait for the next attempt short.
    pub(super) fn begin(
        settings: &StreamSettings,
        context: &StreamContext,
        formats: &Formats,
        agreement: Option<Arc<SchemaAgreement>>,
        (events, at_once): (&UnboundedSender<Event>, &Hurry),
    ) -> Option<Self> {
        // A version never changes: once it is kept there is nothing to ask for.
        let is_settled = settings.format.table()?.version.is_some() && formats.have_columns();
        let events = events.clone();
        let shared = agreement.and_then(|agreement| {
            let standing = Arc::clone(agreement.standing()?);
            Some((agreement, standing))
        });
        let (standing, asking) = if let Some((agreement, standing)) = shared {
            let asking = (!is_settled).then(|| tokio::spawn(listen(agreement, events)));
            (standing, asking)
        } else {
            let (asker, at_once) = (TableAsker::of(settings)?, at_once.clone());
            let asking = (!is_settled).then(|| tokio::spawn(ask(asker, events, at_once)));
            let standing = TableStanding::of(settings, &context.status)?;
            (Arc::new(standing), asking)
        };
        Some(Self {
            standing,
            _asking: asking.map(AbortOnDropHandle::new),
        })
    }
}

/// Asks until nobody listens, or there is no more to be heard.
async fn ask(mut asker: TableAsker, events: UnboundedSender<Event>, mut at_once: Hurry) {
    loop {
        let told = asker.ask().await;
        if events.send(Event::Table(Box::new(told))).is_err() {
            return;
        }
        let Some(pause) = asker.pause() else {
            return;
        };
        at_once.pause(pause).await;
    }
}

/// Passes on what comes of asking, which the pipelines of a process do together.
async fn listen(agreement: Arc<SchemaAgreement>, events: UnboundedSender<Event>) {
    let mut seen = 0;
    loop {
        let (number, heard) = agreement.hear(seen).await;
        seen = number;
        if events.send(Event::Heard(Box::new(heard))).is_err() {
            return;
        }
    }
}

impl Pipeline {
    /// Takes what the catalog has said of the table.
    pub(super) fn hear_of_table(&mut self, told: Result<Told, TableError>) {
        let now_ms = self.context.clock.now_ms();
        let Some(given) = &self.given else {
            return;
        };
        let formats = &self.outputs.formats;
        let taken = told.and_then(|told| {
            let table = TableVersion {
                name: given.standing.name(),
                version: told.version,
                created_ms: told.created_ms,
            };
            let taken = formats.give(told.columns, table, now_ms);
            taken.map_err(|fault| untakeable(&fault))
        });
        match taken {
            Ok(news) => {
                given.standing.went_well(now_ms);
                if let Some(version) = news {
                    self.tell_of_table(&version);
                    self.seal_data();
                }
            }
            Err(error) => {
                given.standing.failed(&error, formats.have_columns());
                // Nothing that a stop could wait for will come.
                self.ending |= self.stopping.has_begun() && !formats.have_columns();
            }
        }
    }

    /// Takes what the catalog has said of the table to the other daemons, and what they have put.
    pub(super) fn heard_of_table(&mut self, heard: Heard) {
        if let Some(agreeing) = &mut self.agreeing {
            agreeing.hear(heard);
        }
    }

    /// Why records wait, where it is for columns.
    pub(super) fn awaited_columns(&self) -> Option<String> {
        let given = self.given.as_ref()?;
        if self.outputs.formats.have_columns() {
            return None;
        }
        let agreeing = self.agreeing.as_ref();
        let unagreed = agreeing.and_then(|agreeing| agreeing.lasting_error());
        Some(match (given.standing.error(), unagreed) {
            (Some(error), _) => format!("the columns of `glue_table` are not known: {error}"),
            (None, Some(unagreed)) => format!(
                "the columns of `glue_table` are not agreed on yet: {}",
                unagreed.error
            ),
            (None, None) => format!(
                "the columns of `glue_table` are not known yet: Glue is being asked for {}",
                given.standing.name()
            ),
        })
    }

    /// Whether another chunk may be taken.
    pub(super) fn may_read(&self) -> bool {
        !self.ending && self.awaited_columns().is_none() && self.has_room()
    }

    /// What a stop leaves in the source for want of columns.
    pub(super) fn left_without_columns(&self) -> Option<StreamError> {
        let cause = self.awaited_columns()?;
        let waits = self.backlog.as_ref()?.waits_since().is_some();
        waits.then(|| StreamError::LoudStop {
            cause: format!("records cannot be delivered: {cause}"),
            advice: "all is safe in state_dir, and delivered once that is mended and firehose runs"
                .to_owned(),
        })
    }

    fn tell_of_table(&self, version: &SchemaVersion) {
        let formats = &self.outputs.formats;
        self.context.status.set_schema(formats.history());
        tell(&self.settings.name, version);
        self.tell_of_strange_rules();
    }
}
