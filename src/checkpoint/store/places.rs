//! Rows of places in which objects were published and of which the stream's catalog has not been told yet.

use redb::{ReadTransaction, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{StoreError, decode, encode};
use crate::checkpoint::{PlaceChanges, UntoldPlace};

/// [`UntoldPlace`] by its URL.
pub(super) const PLACES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("catalog_places");

/// Adds places that are to be told, and takes those away that were.
pub(super) fn write(write: &WriteTransaction, changes: &PlaceChanges) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut table = write.open_table(PLACES)?;
    for place in &changes.told {
        table.remove(place.as_str())?;
    }
    for place in &changes.untold {
        table.insert(place.url.as_str(), encode(place).as_slice())?;
    }
    Ok(())
}

/// All that are to be told, by their URLs.
pub(super) fn read(read: &ReadTransaction) -> Result<Vec<UntoldPlace>, StoreError> {
    // A store of an earlier version, or one that was never told of any, has no such table.
    let table = match read.open_table(PLACES) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table?,
    };
    let mut places = Vec::new();
    for row in table.iter()? {
        let (url, value) = row?;
        places.push(decode(
            &format!("catalog_places/{}", url.value()),
            value.value(),
        )?);
    }
    Ok(places)
}
