//! Which shards there are, and which may be read: all parents to their ends, durably, before a child.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::client::ShardDescription;
use super::hash::{EVERYTHING, HashRange};
use crate::config::StartSettings;
use crate::shard::{ShardId, ShardStart, ShardState};

/// The shards of a stream as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Shards {
    known: BTreeMap<ShardId, Shard>,
}

#[derive(Debug)]
struct Shard {
    /// As the state had it at the start, or as it was found.
    state: ShardState,
    phase: Phase,
    range: HashRange,
    /// Found by this process: `latest` means now.
    is_fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not read yet.
    Waiting,
    /// Being read; or all given, and not durable yet.
    Reading,
    /// A durable checkpoint has all of it.
    Ended,
}

/// A shard that is to be read now.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub(super) id: ShardId,
    pub(super) state: ShardState,
    pub(super) range: HashRange,
    pub(super) is_fresh: bool,
}

/// What a listing has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListingChange {
    pub(super) found: Vec<(ShardId, ShardState)>,
    pub(super) forgotten: Vec<ShardId>,
}

impl Shards {
    /// As the last checkpoint left them.
    pub(super) fn new(states: BTreeMap<ShardId, ShardState>) -> Self {
        let known = states.into_iter().map(|(id, state)| {
            let phase = if state.ended {
                Phase::Ended
            } else {
                Phase::Waiting
            };
            let shard = Shard {
                state,
                phase,
                range: EVERYTHING,
                is_fresh: false,
            };
            (id, shard)
        });
        Self {
            known: known.collect(),
        }
    }

    /// Whether none is known: the stream was never read with this state.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes over what the stream lists. The first listing of all begins where the settings say;
    /// what is found later is the child of what was known, and begins at its beginning.
    pub(super) fn list(
        &mut self,
        listed: &[ShardDescription],
        start: StartSettings,
        now_ms: i64,
    ) -> ListingChange {
        let is_first = self.is_empty();
        let mut change = ListingChange::default();
        for shard in listed {
            if let Some(known) = self.known.get_mut(&shard.id) {
                known.range = shard.range;
                continue;
            }
            let start = match start {
                StartSettings::Latest if is_first => ShardStart::Latest(now_ms),
                StartSettings::Time(ms) if is_first => ShardStart::Time(ms),
                _ => ShardStart::TrimHorizon,
            };
            let state = ShardState {
                start,
                parents: shard.parents.clone(),
                // Nothing comes after now in it.
                ended: shard.is_closed && matches!(start, ShardStart::Latest(_)),
                ..ShardState::default()
            };
            change
                .found
                .push((ShardId::clone(&shard.id), state.clone()));
            let phase = if state.ended {
                Phase::Ended
            } else {
                Phase::Waiting
            };
            let shard_of = Shard {
                state,
                phase,
                range: shard.range,
                is_fresh: true,
            };
            self.known.insert(ShardId::clone(&shard.id), shard_of);
        }
        let listed: BTreeSet<&str> = listed.iter().map(|shard| &*shard.id).collect();
        let gone = |(id, shard): (&ShardId, &Shard)| {
            let gone = shard.phase == Phase::Ended && !listed.contains(&**id);
            gone.then(|| ShardId::clone(id))
        };
        change.forgotten = self.known.iter().filter_map(gone).collect();
        for id in &change.forgotten {
            self.known.remove(id);
        }
        change
    }

    /// Shards that may be read from now on; each is given once.
    pub(super) fn ready(&mut self) -> Vec<Ready> {
        let may_be_read = |shard: &Shard| {
            let mut parents = shard.state.parents.iter();
            let is_done = |parent: &String| {
                let parent = self.known.get(parent.as_str());
                parent.is_none_or(|parent| parent.phase == Phase::Ended)
            };
            shard.phase == Phase::Waiting && parents.all(is_done)
        };
        let ready = self.known.iter().filter(|(_, shard)| may_be_read(shard));
        let ready: Vec<ShardId> = ready.map(|(id, _)| ShardId::clone(id)).collect();
        let begin = |id: ShardId| {
            let shard = self.known.get_mut(&id)?;
            shard.phase = Phase::Reading;
            Some(Ready {
                id,
                state: shard.state.clone(),
                range: shard.range,
                is_fresh: shard.is_fresh,
            })
        };
        ready.into_iter().filter_map(begin).collect()
    }

    /// A durable checkpoint has all of the shard.
    pub(super) fn ended(&mut self, id: &str) {
        if let Some(shard) = self.known.get_mut(id) {
            shard.phase = Phase::Ended;
        }
    }

    /// Whether a shard has ended of which no child is known yet.
    pub(super) fn lacks_children(&self) -> bool {
        let parents = self.known.values().flat_map(|shard| &shard.state.parents);
        let parents: BTreeSet<&str> = parents.map(String::as_str).collect();
        let mut ended = self.known.iter();
        ended.any(|(id, shard)| shard.phase == Phase::Ended && !parents.contains(&**id))
    }
}

#[cfg(test)]
mod tests;
