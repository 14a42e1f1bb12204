//! A table of the Glue Data Catalog whose columns a stream has: it is asked for again and again, and how that goes is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::status::Status;
use crate::aws::glue::{TableError, TableReader};
use crate::config::{AwsAccess, GlueTable, StreamSettings};
use crate::format::{Columns, FormatFault};
use crate::retry;
use crate::telemetry::TableAccount;

/// A line of the log that is said while it is true.
const UNREAD: &str = "the Glue table of the columns cannot be read, and is tried again";
/// However short the interval is, what fails is not tried more often.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// What a table says that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Its columns, without partition keys.
    pub columns: Columns,
    /// The catalog's number of its version.
    pub version: Option<String>,
    /// When the table was made, in milliseconds since the Unix epoch, where the catalog says it.
    pub created_ms: Option<i64>,
}

/// Asks for one table.
#[derive(Debug)]
pub(super) struct TableAsker {
    table: GlueTable,
    access: AwsAccess,
    reader: Option<TableReader>,
    /// How often in a row it was in vain.
    failed: u32,
}

impl TableAsker {
    /// Of the table that the stream's format names; `None`: it names none.
    pub(super) fn of(settings: &StreamSettings) -> Option<Self> {
        let table = settings.format.table()?.clone();
        Some(Self {
            access: table.access(settings.destination.store.access()),
            table,
            reader: None,
            failed: 0,
        })
    }

    /// Asks, once.
    pub(super) async fn ask(&mut self) -> Result<Told, TableError> {
        let told = self.try_to_ask().await;
        self.failed = if told.is_ok() { 0 } else { self.failed + 1 };
        told
    }

    async fn try_to_ask(&mut self) -> Result<Told, TableError> {
        let found = match self.reader.take() {
            Some(reader) => reader,
            None => TableReader::connect(&self.table, &self.access).await?,
        };
        let answer = self.reader.insert(found).ask().await?;
        let columns = Columns::parse(&answer.document).map_err(|fault| untakeable(&fault))?;
        Ok(Told {
            columns,
            version: answer.version,
            created_ms: answer.created_ms,
        })
    }

    /// How long nothing is to be asked now. `None`: a version never changes, so there is no more to be heard.
    pub(super) fn pause(&self) -> Option<Duration> {
        let GlueTable {
            version, refresh, ..
        } = &self.table;
        match self.failed {
            0 if version.is_some() => None,
            0 => Some(*refresh),
            failed => {
                let most = (*refresh).max(MIN_PAUSE);
                Some(retry::delay(failed, retry::PERMANENT_MAX).min(most))
            }
        }
    }
}

/// Columns that the format cannot have.
pub(super) fn untakeable(fault: &FormatFault) -> TableError {
    TableError {
        cause: format!("its columns cannot be taken: {fault}"),
        advice: fault.help.clone(),
    }
}

/// How the table is read, for the outside.
#[derive(Debug)]
pub(super) struct TableStanding {
    stream: String,
    status: Arc<Status>,
    account: Mutex<TableAccount>,
}

impl TableStanding {
    /// Of the table that the stream's format names; `None`: it names none.
    pub(super) fn of(settings: &StreamSettings, status: &Arc<Status>) -> Option<Self> {
        let account = TableAccount {
            name: settings.format.table()?.identity(),
            read_ms: None,
            error: None,
        };
        status.set_table(account.clone());
        Some(Self {
            stream: settings.name.clone(),
            status: Arc::clone(status),
            account: Mutex::new(account),
        })
    }

    /// What tells the table from others.
    pub(super) fn name(&self) -> String {
        self.account().name.clone()
    }

    /// Why it cannot be read, where that is so.
    pub(super) fn error(&self) -> Option<String> {
        self.account().error.clone()
    }

    /// It was read, and its columns can be had.
    pub(super) fn went_well(&self, now_ms: i64) {
        self.status.repeats().over(UNREAD);
        let mut account = self.account();
        (account.read_ms, account.error) = (Some(now_ms), None);
        self.status.set_table(account.clone());
    }

    /// It was not. `has_columns`: those that are kept stay in force.
    pub(super) fn failed(&self, error: &TableError, has_columns: bool) {
        let mut account = self.account();
        let cause = format!("Glue table {}: {error}", account.name);
        account.error = Some(cause.clone());
        self.status.set_table(account.clone());
        drop(account);
        self.status.metrics().table_failures.add(1);
        let Some(unsaid) = self.status.repeats().due(UNREAD, &cause) else {
            return;
        };
        let meanwhile = if has_columns {
            "the columns stay as they are kept"
        } else {
            "no columns are kept: records are taken, and wait"
        };
        let stream = &self.stream;
        tracing::warn!(stream, cause, meanwhile, unsaid, "{UNREAD}");
    }

    fn account(&self) -> MutexGuard<'_, TableAccount> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
