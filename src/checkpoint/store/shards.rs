//! Rows of shards: how far each has been applied.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{Commit, StoreError, decode, encode};
use crate::position::{Position, Sequence};
use crate::shard::{JOURNAL, ShardId, ShardState};

/// The journal's frontier: sequence number and sub-sequence number.
pub(super) const FRONTIERS: TableDefinition<'_, &str, (u64, u32)> =
    TableDefinition::new("frontiers");
/// [`ShardState`] by shard, of sources with many.
pub(super) const SHARDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("shards");

/// The journal's frontier has a table of its own, as it had before there were other sources.
pub(super) fn write(write: &WriteTransaction, commit: &Commit) -> Result<(), StoreError> {
    let mut shards = write.open_table(SHARDS)?;
    for (shard, state) in &commit.shards {
        if &**shard != JOURNAL {
            shards.insert(&**shard, encode(state).as_slice())?;
        } else if let Some(position) = state.position
            && let Some(Sequence(number)) = position.sequence.narrow()
        {
            let value = (number, position.sub_sequence);
            write.open_table(FRONTIERS)?.insert(JOURNAL, value)?;
        }
    }
    for shard in &commit.forgotten {
        shards.remove(&**shard)?;
    }
    Ok(())
}

/// How far each shard has been applied.
pub(super) fn read(read: &ReadTransaction) -> Result<BTreeMap<ShardId, ShardState>, StoreError> {
    let mut shards = BTreeMap::new();
    for row in read.open_table(FRONTIERS)?.iter()? {
        let (shard, value) = row?;
        let (sequence, sub_sequence) = value.value();
        let position = Position {
            sub_sequence,
            ..Position::of(Sequence(sequence))
        };
        let state = ShardState {
            position: Some(position),
            ..ShardState::default()
        };
        shards.insert(ShardId::from(shard.value()), state);
    }
    // A store of the first version has no such table before it is opened to be written.
    let table = match read.open_table(SHARDS) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(shards),
        table => table?,
    };
    for row in table.iter()? {
        let (shard, value) = row?;
        let state = decode(&format!("shards/{}", shard.value()), value.value())?;
        shards.insert(ShardId::from(shard.value()), state);
    }
    Ok(shards)
}
