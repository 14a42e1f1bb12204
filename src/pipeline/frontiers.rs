//! How far each shard of the source has been applied.

use std::collections::{BTreeMap, BTreeSet};

use crate::position::Position;
use crate::shard::{ShardId, ShardState, SourceName};
use crate::source::News;

/// The shards of a stream's source, and what has changed since the last checkpoint.
#[derive(Debug, Default)]
pub(super) struct Frontiers {
    shards: BTreeMap<ShardId, ShardState>,
    changed: BTreeSet<ShardId>,
    forgotten: Vec<ShardId>,
    source: Option<SourceName>,
    /// Something waits for the next checkpoint: the end of a shard, or its beginning.
    urgent: bool,
}

/// What a checkpoint is to hold.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Shards as they are now.
    pub shards: Vec<(ShardId, ShardState)>,
    /// Shards that are no more.
    pub forgotten: Vec<ShardId>,
    /// The source's name, when it has become known.
    pub source: Option<SourceName>,
}

impl Frontiers {
    /// As the last checkpoint left them.
    pub(super) fn new(shards: BTreeMap<ShardId, ShardState>) -> Self {
        Self {
            shards,
            ..Self::default()
        }
    }

    /// Every record of the shard up to `position` has been applied.
    pub(super) fn advance(&mut self, shard: &str, position: Position) {
        self.change(&shard.into(), |state| {
            debug_assert!(state.position < Some(position), "positions rise");
            state.position = Some(position);
        });
    }

    /// Takes over what has become known.
    pub(super) fn learn(&mut self, news: News) {
        match news {
            News::Named(source) => self.source = Some(source),
            News::Found(found) => {
                self.urgent = true;
                for (shard, state) in found {
                    self.change(&shard, |of| *of = state);
                }
            }
            News::Until(shard, until_ms) => {
                self.change(&shard, |state| state.until_ms = Some(until_ms));
            }
            News::Ended(shard) => {
                self.urgent = true;
                self.change(&shard, |state| state.ended = true);
            }
            News::Forgotten(shards) => {
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
    pub(super) fn read_until_ms(&self) -> Option<i64> {
        let open = self.shards.values().filter(|state| !state.ended);
        open.filter_map(|state| state.until_ms).min()
    }

    /// Whether a checkpoint would hold anything new.
    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty() || !self.forgotten.is_empty() || self.source.is_some()
    }

    /// Whether a checkpoint should be made at once.
    pub(super) const fn is_urgent(&self) -> bool {
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
        }
    }
}
