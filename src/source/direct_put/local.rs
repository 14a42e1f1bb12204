//! The journal as it lies there, for those who look without opening it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::{DIR, journal, of_journal};
use crate::disk::Disk;
use crate::source::{Known, LocalBacklog, LocalError, LocalRecords, Salvaged, TakeRecord};

/// The journal of any stream.
#[derive(Debug)]
pub(super) struct LocalJournal;

impl LocalRecords for LocalJournal {
    fn dir(&self) -> &'static str {
        DIR
    }

    fn peek(
        &self,
        disk: &Arc<dyn Disk>,
        stream: &str,
        known: &Known,
        enough: u64,
    ) -> Result<LocalBacklog, LocalError> {
        let held = journal::peek(disk, Path::new(DIR), stream, of_journal(known), enough)?;
        Ok(held)
    }

    fn salvage(&self, disk: &dyn Disk, take: &mut TakeRecord<'_>) -> io::Result<Salvaged> {
        journal::salvage(disk, Path::new(DIR), take)
    }

    fn incarnation(&self, disk: &dyn Disk) -> io::Result<Option<Uuid>> {
        journal::incarnation(disk, Path::new(DIR))
    }
}
