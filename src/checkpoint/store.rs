//! The checkpoint store of one delivery stream.

mod copies;
mod formats;
mod marks;
mod overlay;
mod pair;
mod places;
mod receipt;
mod shards;
mod state;

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::{
    Database, Key, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    Value, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{LaneStores, NamedUpload, PlaceChanges};
use crate::disk::{self, Disk};
use crate::failpoint;
use crate::position::Sequence;
use copies::{Copies, Newest};
use formats::{FORMATS, SCHEMAS};
use pair::{Backend, Pair};
use places::PLACES;
pub use receipt::StoreReceipt;
use shards::{FRONTIERS, SHARDS};
pub use state::{Commit, StoredState};

/// Facts about the store itself: JSON values by name.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// [`OpenBatch`](super::OpenBatch) by object id.
const OPEN: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("open");
/// [`SealedObject`](super::SealedObject) by object id.
const SEALED: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("sealed");
/// Ranges of the journal that were lost to damage: first to last sequence number.
const MISSING: TableDefinition<'_, u64, u64> = TableDefinition::new("missing");

/// Version of the tables above. A greater one is refused, and version 1 while batches are open: its blocks
/// are gzip members, and lack what makes them one.
const VERSION: u32 = 3;
/// The first version with two copies, and with numbers of transactions.
const VERSION_OF_COPIES: u32 = 3;
/// The name in [`META`] of the time of the newest event.
const NEWEST_EVENT: &str = "newest_event";
/// The name in [`META`] of the number of the transaction.
const SEQUENCE: &str = "sequence";
/// Page cache of the database, in bytes.
const CACHE_BYTES: usize = 8 << 20;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed; the outcome of what was asked is unknown.
    #[error("checkpoint store")]
    Database(#[source] Box<dyn Error + Send + Sync>),
    /// The disk is full; the outcome of what was asked is unknown.
    #[error("checkpoint store")]
    Full(#[source] io::Error),
    /// A row cannot be read.
    #[error("checkpoint store: row {row} is damaged")]
    Row {
        /// Table and key.
        row: String,
        /// What the decoder said.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The database is damaged as a whole.
    #[error("checkpoint store is damaged")]
    Damaged(#[source] Box<dyn Error + Send + Sync>),
    /// Another version of the daemon wrote it.
    #[error("checkpoint store has version {found}, this daemon writes {VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
}

macro_rules! database_error {
    ($($error:ident)*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                match redb::Error::from(error) {
                    redb::Error::Io(error) => Self::from(error),
                    redb::Error::Corrupted(cause) => Self::Damaged(cause.into()),
                    error => Self::Database(error.into()),
                }
            }
        }
    )*};
}
database_error!(DatabaseError TransactionError TableError StorageError CommitError);

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            _ if disk::is_full(&error) => Self::Full(error),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Self::Damaged(error.into())
            }
            _ => Self::Database(error.into()),
        }
    }
}

/// The checkpoint store of one delivery stream.
#[derive(Debug)]
pub struct CheckpointStore {
    database: Database,
    /// The files under it; `None`: it is only read.
    pair: Option<Arc<Pair>>,
}

impl CheckpointStore {
    /// Opens the store at `path` of `disk`, creating it where it is missing, and reads what it holds.
    ///
    /// What it holds is written into fresh files, which take the place of the old ones when they are
    /// durable. After a failed fsync a file shows bytes that the disk may not have, to later
    /// processes too, and no second fsync brings them there; whatever is seen once is durable now.
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        now_ms: i64,
    ) -> Result<(Self, StoredState), StoreError> {
        let copies = Copies::of(path);
        let old = copies.newest(disk)?;
        let sequence = old.as_ref().map_or(0, |old| old.sequence);
        let pair = Arc::new(Pair::new(copies.fresh(disk)?, sequence));
        let store = Self {
            database: Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create_with_backend(Backend(Arc::clone(&pair)))?,
            pair: Some(pair),
        };
        let damaged = if let Some(old) = old {
            store.copy(&old.store)?;
            old.damaged
        } else {
            store.create_tables(now_ms)?;
            Vec::new()
        };
        copies.replace(disk)?;
        let mut recovered = store.read()?;
        recovered.damaged = damaged;
        Ok((store, recovered))
    }

    /// Takes over all rows of another store, durably.
    fn copy(&self, other: &Self) -> Result<(), StoreError> {
        let read = other.database.begin_read()?;
        self.write(|write| {
            copy_table(&read, write, META)?;
            copy_table(&read, write, FRONTIERS)?;
            copy_table(&read, write, SHARDS)?;
            copy_table(&read, write, OPEN)?;
            copy_table(&read, write, SEALED)?;
            copy_table(&read, write, FORMATS)?;
            copy_table(&read, write, SCHEMAS)?;
            copy_table(&read, write, MISSING)?;
            copy_table(&read, write, PLACES)?;
            put_meta(write, "version", &VERSION)
        })
    }

    /// What the store at `path` of `disk` holds, told without changing it.
    pub fn peek(disk: &dyn Disk, path: &Path) -> Result<StoredState, StoreError> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is none");
        let newest = Copies::of(path).newest(disk)?;
        let Newest { store, damaged, .. } = newest.ok_or_else(missing)?;
        Ok(StoredState {
            damaged,
            ..store.read()?
        })
    }

    /// How many damaged places were read from the other copy since it was last asked.
    pub fn take_mended(&self) -> u64 {
        self.pair.as_ref().map_or(0, |pair| pair.take_mended())
    }

    /// One transaction, with the next number, durable in both copies.
    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        change(&write)?;
        if let Some(pair) = &self.pair {
            put_meta(&write, SEQUENCE, &pair.next())?;
        }
        Ok(write.commit()?)
    }

    /// See [`commit`](Self::commit); with what changes of what the catalog is to be told: a place is durable with the
    /// publication that is the first there.
    pub fn commit_with<'a>(
        &self,
        commit: &'a Commit,
        places: &PlaceChanges,
    ) -> Result<StoreReceipt<'a>, StoreError> {
        self.write(|write| {
            if let Some(source) = &commit.source {
                put_meta(write, "source", source)?;
            }
            if let Some(newest) = &commit.newest_event {
                put_meta(write, NEWEST_EVENT, newest)?;
            }
            shards::write(write, commit)?;
            let mut open = write.open_table(OPEN)?;
            for id in &commit.closed {
                open.remove(id.as_u128())?;
            }
            for batch in &commit.open {
                open.insert(batch.id.as_u128(), encode(batch).as_slice())?;
            }
            let mut sealed = write.open_table(SEALED)?;
            for object in &commit.sealed {
                sealed.insert(object.id.as_u128(), encode(object).as_slice())?;
            }
            for id in &commit.published {
                sealed.remove(id.as_u128())?;
            }
            let mut missing = write.open_table(MISSING)?;
            for (first, last) in &commit.missing {
                missing.insert(first.0, last.0)?;
            }
            formats::write(write, &commit.formats)?;
            formats::write_versions(write, &commit.schemas)?;
            places::write(write, places)?;
            failpoint::hit("checkpoint-before-commit");
            Ok(())
        })?;
        failpoint::hit("checkpoint-after-commit");
        Ok(StoreReceipt::of(commit))
    }

    /// Records the epoch of a recovery, the journal ranges that it found missing, and all format
    /// settings that batches name or will name.
    pub fn begin_epoch(
        &self,
        epoch: u32,
        missing: &[(Sequence, Sequence)],
        formats: &[(u64, String)],
    ) -> Result<(), StoreError> {
        self.write(|write| {
            put_meta(write, "epoch", &epoch)?;
            let mut table = write.open_table(MISSING)?;
            for (first, last) in missing {
                table.insert(first.0, last.0)?;
            }
            formats::write(write, formats)
        })
    }

    /// The uploads that were begun in other stores than these, and that [`CheckpointStore::retarget`] will
    /// forget.
    pub fn uploads_elsewhere(&self, stores: &LaneStores) -> Result<Vec<NamedUpload>, StoreError> {
        let mut uploads = self.read()?.uploads();
        uploads.retain(|upload| !stores.names(&upload.store));
        Ok(uploads)
    }

    /// Sends everything that waits for another store to that of its lane instead (C7). Returns the number of
    /// open batches and sealed objects moved.
    pub fn retarget(&self, stores: &LaneStores) -> Result<(usize, usize), StoreError> {
        let recovered = self.read()?;
        let mut open = recovered.open;
        open.retain(|batch| !stores.names(&batch.target.store));
        let mut sealed = recovered.sealed;
        sealed.retain(|object| !stores.names(&object.target.store));
        for batch in &mut open {
            (stores.lane(batch.lane)).clone_into(&mut batch.target.store);
            // An upload belongs to the bucket that it was begun in.
            batch.upload_id = None;
        }
        for object in &mut sealed {
            (stores.lane(object.lane)).clone_into(&mut object.target.store);
            object.upload_id = None;
        }
        let moved = (open.len(), sealed.len());
        self.commit(&Commit {
            open,
            sealed,
            ..Commit::default()
        })?;
        Ok(moved)
    }

    fn create_tables(&self, now_ms: i64) -> Result<(), StoreError> {
        self.write(|write| {
            put_meta(write, "version", &VERSION)?;
            put_meta(write, "incarnation", &Uuid::new_v4())?;
            put_meta(write, "created_ms", &now_ms)?;
            write.open_table(FRONTIERS)?;
            write.open_table(SHARDS)?;
            write.open_table(OPEN)?;
            write.open_table(SEALED)?;
            write.open_table(FORMATS)?;
            write.open_table(MISSING)?;
            Ok(())
        })
    }

    /// The version it was written by, and the number of the last transaction; 0 where there is none. A later version is
    /// an error, and version 1 with open batches.
    fn version(&self) -> Result<(u32, u64), StoreError> {
        let empty = || StoreError::Damaged("it is empty".into());
        let read = self.database.begin_read()?;
        let meta = match read.open_table(META) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Err(empty()),
            meta => meta?,
        };
        let found = meta.get("version")?.ok_or_else(empty)?;
        let found = decode("meta/version", found.value())?;
        let has_open = || Ok::<_, StoreError>(read.open_table(OPEN)?.first()?.is_some());
        if found > VERSION || (found < 2 && has_open()?) {
            return Err(StoreError::Version { found });
        }
        let sequence = meta.get(SEQUENCE)?;
        let sequence = sequence.map_or(Ok(0), |value| decode("meta/sequence", value.value()))?;
        Ok((found, sequence))
    }

    fn read(&self) -> Result<StoredState, StoreError> {
        let read = self.database.begin_read()?;
        let meta = read.open_table(META)?;
        let get = |name: &'static str| -> Result<Option<Vec<u8>>, StoreError> {
            Ok(meta.get(name)?.map(|value| value.value().to_vec()))
        };
        let mut recovered = StoredState {
            incarnation: decode("meta/incarnation", &get("incarnation")?.unwrap_or_default())?,
            epoch: get("epoch")?.map_or(Ok(0), |value| decode("meta/epoch", &value))?,
            created_ms: decode("meta/created_ms", &get("created_ms")?.unwrap_or_default())?,
            source: get("source")?
                .map(|value| decode("meta/source", &value))
                .transpose()?,
            newest_event: get(NEWEST_EVENT)?
                .map(|value| decode("meta/newest_event", &value))
                .transpose()?,
            shards: shards::read(&read)?,
            open: Vec::new(),
            sealed: Vec::new(),
            formats: formats::read(&read)?,
            schemas: formats::read_versions(&read)?,
            untold: places::read(&read)?,
            missing: Vec::new(),
            damaged: Vec::new(),
        };
        for row in read.open_table(OPEN)?.iter()? {
            let (id, value) = row?;
            recovered
                .open
                .push(decode(&format!("open/{:x}", id.value()), value.value())?);
        }
        for row in read.open_table(SEALED)?.iter()? {
            let (id, value) = row?;
            recovered
                .sealed
                .push(decode(&format!("sealed/{:x}", id.value()), value.value())?);
        }
        for row in read.open_table(MISSING)?.iter()? {
            let (first, last) = row?;
            recovered
                .missing
                .push((Sequence(first.value()), Sequence(last.value())));
        }
        Ok(recovered)
    }
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    write: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), StoreError> {
    let mut to = write.open_table(table)?;
    let from = match read.open_table(table) {
        // Stores of earlier versions do not have the table.
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        from => from?,
    };
    for row in from.iter()? {
        let (key, value) = row?;
        to.insert(key.value(), value.value())?;
    }
    Ok(())
}

fn put_meta(
    write: &WriteTransaction,
    name: &str,
    value: &impl Serialize,
) -> Result<(), StoreError> {
    write
        .open_table(META)?
        .insert(name, encode(value).as_slice())?;
    Ok(())
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("rows are plain data")
}

fn decode<T: DeserializeOwned>(row: &str, value: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(value).map_err(|error| StoreError::Row {
        row: row.to_owned(),
        cause: error.into(),
    })
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
