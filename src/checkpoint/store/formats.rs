//! Rows of formats, and of the versions that columns have had which were learned.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{StoreError, decode, encode};
use crate::schema::SchemaVersion;

/// Durable form of a format's settings by its hash. None is ever removed: an object that was moved aside may name it when
/// it comes back.
pub(super) const FORMATS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("formats");
/// [`SchemaVersion`] by its number.
pub(super) const SCHEMAS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("schemas");

/// Adds formats that batches name from now on.
pub(super) fn write(write: &WriteTransaction, formats: &[(u64, String)]) -> Result<(), StoreError> {
    let mut table = write.open_table(FORMATS)?;
    for (hash, form) in formats {
        table.insert(hash, form.as_bytes())?;
    }
    Ok(())
}

/// Adds versions, oldest first, and lets go of those that are too old to be kept.
pub(super) fn write_versions(
    write: &WriteTransaction,
    versions: &[SchemaVersion],
) -> Result<(), StoreError> {
    let Some(newest) = versions.last() else {
        return Ok(());
    };
    let mut table = write.open_table(SCHEMAS)?;
    for version in versions {
        table.insert(version.version, encode(version).as_slice())?;
    }
    let kept_from = (newest.version + 1).saturating_sub(SchemaVersion::KEPT);
    table.retain_in(..kept_from, |_, _| false)?;
    Ok(())
}

/// The durable forms by hash.
pub(super) fn read(read: &ReadTransaction) -> Result<BTreeMap<u64, String>, StoreError> {
    let mut formats = BTreeMap::new();
    for row in read.open_table(FORMATS)?.iter()? {
        let (hash, value) = row?;
        let form = String::from_utf8(value.value().to_vec());
        let form = form.map_err(|cause| StoreError::Row {
            row: format!("formats/{:x}", hash.value()),
            cause: cause.into(),
        })?;
        formats.insert(hash.value(), form);
    }
    Ok(formats)
}

/// All versions that are kept, oldest first.
pub(super) fn read_versions(read: &ReadTransaction) -> Result<Vec<SchemaVersion>, StoreError> {
    // A store of an earlier version has no such table before it is opened to be written.
    let table = match read.open_table(SCHEMAS) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table?,
    };
    let mut versions = Vec::new();
    for row in table.iter()? {
        let (number, value) = row?;
        versions.push(decode(
            &format!("schemas/{}", number.value()),
            value.value(),
        )?);
    }
    Ok(versions)
}
