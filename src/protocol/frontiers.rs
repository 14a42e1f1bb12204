//! How far each shard of the source has been applied.

use std::collections::{BTreeMap, BTreeSet};

use super::must;
use crate::error::StreamError;
use crate::position::{Position, Sequence};
use crate::shard::{ShardId, ShardState, SourceName};
use crate::source::SourceEvent;

/// The shards of a stream's source, and what has changed since the last checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frontiers {
    shards: BTreeMap<ShardId, ShardState>,
    changed: BTreeSet<ShardId>,
    forgotten: Vec<ShardId>,
    source: Option<SourceName>,
    /// Ranges of the journal that are lost to damage, first to last.
    missing: Vec<(Sequence, Sequence)>,
    /// Something waits for the next checkpoint: the end of a shard, or its beginning.
    urgent: bool,
}

/// What a checkpoint is to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Changes {
    /// Shards as they are now.
    pub shards: Vec<(ShardId, ShardState)>,
    /// Shards that are no more.
    pub forgotten: Vec<ShardId>,
    /// The source's name, when it has become known.
    pub source: Option<SourceName>,
    /// Ranges of the journal that turned out to be lost to damage, first to last.
    pub missing: Vec<(Sequence, Sequence)>,
}

impl Frontiers {
    /// As the last checkpoint left them.
    pub fn new(shards: BTreeMap<ShardId, ShardState>) -> Self {
        Self {
            shards,
            ..Self::default()
        }
    }

    /// Every record of the shard up to `position` has been applied.
    pub(super) fn advance(&mut self, shard: &str, position: Position) -> Result<(), StreamError> {
        let before = self.shards.get(shard).and_then(|state| state.position);
        must(
            "C2: positions of a shard rise",
            before < Some(position),
            || format!("{shard} goes from {before:?} to {position:?}"),
        )?;
        self.change(&shard.into(), |state| state.position = Some(position));
        Ok(())
    }

    /// Ranges of the journal before what is applied next turned out to be lost.
    pub(super) fn lose(&mut self, missing: impl IntoIterator<Item = (Sequence, Sequence)>) {
        self.missing.extend(missing);
    }

    /// Takes over what has become known.
    pub(super) fn learn(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Named(source) => self.source = Some(source),
            SourceEvent::Found(found) => {
                self.urgent = true;
                for (shard, state) in found {
                    self.change(&shard, |of| *of = state);
                }
            }
            SourceEvent::Until(shard, until_ms) => {
                self.change(&shard, |state| state.until_ms = Some(until_ms));
            }
            SourceEvent::Ended(shard) => {
                self.urgent = true;
                self.change(&shard, |state| state.ended = true);
            }
            SourceEvent::Forgotten(shards) => {
                for shard in &shards {
                    self.shards.remove(shard);
                    self.changed.remove(shard);
                }
                self.forgotten.extend(shards);
            }
        }
    }

    fn change(&mut self, shard: &ShardId, change: impl FnOnce(&mut ShardState)) {
        change(self.shards.entry(ShardId::clone(shard)).or_default());
        self.changed.insert(ShardId::clone(shard));
    }

    /// All shards that have not ended are read up to what had arrived then, in ms.
    pub fn read_until_ms(&self) -> Option<i64> {
        let open = self.shards.values().filter(|state| !state.ended);
        open.filter_map(|state| state.until_ms).min()
    }

    /// Whether a checkpoint would hold anything new.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
            || !self.forgotten.is_empty()
            || self.source.is_some()
            || !self.missing.is_empty()
    }

    /// Whether a checkpoint should be made at once.
    pub const fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// What has changed, for a checkpoint.
    pub(super) fn take(&mut self) -> Changes {
        self.urgent = false;
        let changed = std::mem::take(&mut self.changed).into_iter();
        let shards = changed.filter_map(|shard| {
            let state = self.shards.get(&shard)?.clone();
            Some((shard, state))
        });
        Changes {
            shards: shards.collect(),
            forgotten: std::mem::take(&mut self.forgotten),
            source: self.source.take(),
            missing: std::mem::take(&mut self.missing),
        }
    }
}
