//! Columns that are those of a table of the Glue Data Catalog.
//!
//! A task asks for the table, at the start and again and again; what it hears comes as an event. Columns that are others
//! than those in force are in force for all that is opened from then on: batches that are open end with the columns that
//! they have begun with, and the next checkpoint holds the new ones. They are what a later start begins with, whatever the
//! catalog says then. Only where there are none yet does the stream wait: it reads nothing, so that all that comes stays
//! in the source.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::AbortOnDropHandle;

use super::event::{Event, Told};
use super::formats::Formats;
use super::hurry::Hurry;
use super::{Pipeline, StreamContext};
use crate::aws::glue::{TableError, TableReader};
use crate::config::{AwsAccess, GlueTable, StreamSettings};
use crate::error::StreamError;
use crate::format::Columns;
use crate::retry;
use crate::schema::{SchemaVersion, TableVersion};
use crate::telemetry::TableAccount;

/// A line of the log that is said while it is true.
const UNREAD: &str = "the Glue table of the columns cannot be read, and is tried again";
/// However short the interval is, what fails is not tried more often.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Changes that a line of the log names; `schema history` has them all.
const TOLD_MAX: usize = 20;

/// The table whose columns data has.
pub(super) struct Given {
    account: TableAccount,
    /// It is not asked for any more where it never changes.
    _asking: Option<AbortOnDropHandle<()>>,
}

impl Given {
    /// Begins to ask; `None` where the columns are no table's. `at_once` cuts a wait for the next attempt short.
    pub(super) fn begin(
        settings: &StreamSettings,
        context: &StreamContext,
        formats: &Formats,
        events: &UnboundedSender<Event>,
        at_once: &Hurry,
    ) -> Option<Self> {
        let table = settings.format.table()?.clone();
        let account = TableAccount {
            name: table.identity(),
            read_ms: None,
            error: None,
        };
        context.status.set_table(account.clone());
        // A version never changes: once it is kept there is nothing to ask for.
        let is_settled = table.version.is_some() && formats.have_columns();
        let access = table.access(settings.destination.store.access());
        let asking = (!is_settled).then(|| {
            let asking = ask(table, access, events.clone(), at_once.clone());
            AbortOnDropHandle::new(tokio::spawn(asking))
        });
        Some(Self {
            account,
            _asking: asking,
        })
    }
}

/// Asks until nobody listens, or there is no more to be heard.
async fn ask(
    table: GlueTable,
    access: AwsAccess,
    events: UnboundedSender<Event>,
    mut at_once: Hurry,
) {
    let (mut reader, mut failed) = (None, 0);
    loop {
        let told = try_to_ask(&mut reader, &table, &access).await;
        failed = if told.is_ok() { 0 } else { failed + 1 };
        let is_settled = failed == 0 && table.version.is_some();
        if events.send(Event::Table(Box::new(told))).is_err() || is_settled {
            return;
        }
        let pause = match failed {
            0 => table.refresh,
            failed => retry::delay(failed, retry::PERMANENT_MAX).min(table.refresh.max(MIN_PAUSE)),
        };
        at_once.pause(pause).await;
    }
}

async fn try_to_ask(
    reader: &mut Option<TableReader>,
    table: &GlueTable,
    access: &AwsAccess,
) -> Result<Told, TableError> {
    let found = match reader.take() {
        Some(reader) => reader,
        None => TableReader::connect(table, access).await?,
    };
    let answer = reader.insert(found).ask().await?;
    let columns = Columns::parse(&answer.document).map_err(|fault| TableError {
        cause: format!("its columns cannot be taken: {fault}"),
        advice: fault.help,
    })?;
    Ok(Told {
        columns,
        version: answer.version,
    })
}

impl Pipeline {
    /// Takes what the catalog has said of the table.
    pub(super) fn hear_of_table(&mut self, told: Result<Told, TableError>) {
        let now_ms = self.context.clock.now_ms();
        let Some(given) = &mut self.given else {
            return;
        };
        let taken = told.and_then(|told| {
            let table = TableVersion {
                name: given.account.name.clone(),
                version: told.version,
            };
            let taken = self.outputs.formats.give(told.columns, table, now_ms);
            taken.map_err(|fault| TableError {
                cause: format!("its columns cannot be taken: {fault}"),
                advice: fault.help,
            })
        });
        match taken {
            Ok(news) => {
                given.account.read_ms = Some(now_ms);
                given.account.error = None;
                self.context.status.repeats().over(UNREAD);
                if let Some(version) = news {
                    self.tell_of_table(&version);
                    self.seal_data();
                }
            }
            Err(error) => {
                let cause = format!("Glue table {}: {error}", given.account.name);
                self.context.status.metrics().table_failures.add(1);
                let due = self.context.status.repeats().due(UNREAD, &cause);
                given.account.error = Some(cause);
                self.say_unread(due);
                // Nothing that a stop could wait for will come.
                self.ending |= self.stopping.has_begun() && !self.outputs.formats.have_columns();
            }
        }
        self.tell_account();
    }

    fn tell_account(&self) {
        if let Some(given) = &self.given {
            self.context.status.set_table(given.account.clone());
        }
    }

    fn say_unread(&self, due: Option<u64>) {
        let cause = self.given.as_ref();
        let cause = cause.and_then(|given| given.account.error.as_deref());
        let (Some(unsaid), Some(cause)) = (due, cause) else {
            return;
        };
        let stream = &self.settings.name;
        let meanwhile = if self.outputs.formats.have_columns() {
            "the columns stay as they are kept"
        } else {
            "no columns are kept: records are taken, and wait"
        };
        tracing::warn!(stream, cause, meanwhile, unsaid, "{UNREAD}");
    }

    /// Why records wait, where it is for columns.
    pub(super) fn awaited_columns(&self) -> Option<String> {
        let given = self.given.as_ref()?;
        if self.outputs.formats.have_columns() {
            return None;
        }
        let error = given.account.error.as_deref();
        Some(match error {
            Some(error) => format!("the columns of `glue_table` are not known: {error}"),
            None => format!(
                "the columns of `glue_table` are not known yet: Glue is being asked for {}",
                given.account.name
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
        let stream = &self.settings.name;
        let table = version.table.as_ref().map(ToString::to_string);
        let told = version.changes.iter().take(TOLD_MAX);
        let told: Vec<String> = told.map(ToString::to_string).collect();
        let (changes, more) = (told.join(", "), version.changes.len() - told.len());
        tracing::info!(
            stream,
            version = version.version,
            table,
            columns = version.hash(),
            changes,
            more,
            "the columns of the Glue table are in force"
        );
        let strange = formats.strange_rules();
        if !strange.is_empty() {
            let columns = strange.join(", ");
            tracing::warn!(
                stream,
                columns,
                "`on_conversion_error` or `column_to_json_key` names columns that the Glue table does not have"
            );
        }
    }
}
