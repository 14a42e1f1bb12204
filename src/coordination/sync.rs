//! The table against the stream: which shards lack an item, which items are needed no more, and which
//! leases there is something to do for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::item::{KclCheckpoint, LeaseItem};
use super::writes::NewLease;
use crate::config::StartSettings;
use crate::shard::{Listing, ShardId};

/// What brings the table up to the stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) add: Vec<NewLease>,
    pub(super) delete: Vec<LeaseItem>,
}

/// Compares the table with what the stream lists. Where nothing has been read yet the first shards
/// begin where the settings say; a shard that is found later is the child of one that was known, and
/// begins at its beginning. (Every worker adds all items before it takes any, so an item that was
/// touched says that the first listing is complete.)
pub(super) fn plan(
    items: &[LeaseItem],
    listing: &Listing,
    start: StartSettings,
    now_ms: i64,
) -> Plan {
    let known: BTreeSet<&str> = items.iter().map(|item| &*item.shard).collect();
    let is_first = items.iter().all(LeaseItem::is_untouched);
    let mut plan = Plan::default();
    for shard in &listing.shards {
        if known.contains(&*shard.id) {
            continue;
        }
        let has_known_parent = shard.parents.iter().any(|parent| known.contains(&**parent));
        let (checkpoint, start_ms) = match start {
            _ if !is_first || has_known_parent => (KclCheckpoint::TrimHorizon, None),
            StartSettings::TrimHorizon => (KclCheckpoint::TrimHorizon, None),
            StartSettings::Latest => (KclCheckpoint::Latest, Some(now_ms)),
            StartSettings::Time(ms) => (KclCheckpoint::AtTimestamp, Some(ms)),
        };
        plan.add.push(NewLease {
            shard: ShardId::clone(&shard.id),
            checkpoint,
            start_ms,
            parents: shard.parents.clone(),
            hash_keys: shard.hash_keys.clone(),
        });
    }
    let listed: BTreeSet<&str> = listing.shards.iter().map(|shard| &*shard.id).collect();
    let is_over = |item: &&LeaseItem| {
        item.is_done() && item.owner.is_none() && !listed.contains(&*item.shard)
    };
    if !listed.is_empty() {
        plan.delete = items.iter().filter(is_over).cloned().collect();
    }
    plan
}

/// The leases that there is something to do for: a shard is to be read, whose parents have been read
/// to their ends, or an ended shard's list is to be published. A parent that neither stream nor table
/// has any more is done.
pub(super) fn open<'a>(items: &'a [LeaseItem], listed: &BTreeSet<ShardId>) -> Vec<&'a LeaseItem> {
    let ended: BTreeMap<&str, bool> = items
        .iter()
        .map(|item| (&*item.shard, item.has_ended()))
        .collect();
    let is_done = |parent: &String| match ended.get(&**parent) {
        Some(has_ended) => *has_ended,
        None => !listed.contains(&**parent),
    };
    items
        .iter()
        .filter(|item| {
            if item.has_ended() {
                item.waiting > 0
            } else {
                item.parents.iter().all(is_done)
            }
        })
        .collect()
}
