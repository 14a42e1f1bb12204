//! The table against the stream: which shards lack an item, which items are needed no more, and which
//! leases there is something to do for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::decisions::{self, Item as _};
use super::item::{KclCheckpoint, LeaseItem};
use super::watch::Age;
use super::writes::NewLease;
use crate::config::StartSettings;
use crate::shard::{Listing, ShardId};

/// What brings the table up to the stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LeasePlan {
    pub(super) add: Vec<NewLease>,
    pub(super) delete: Vec<LeaseItem>,
}

/// Compares the table with what the stream lists. Where nothing has been read yet the first shards
/// begin where the settings say; a shard that is found later is the child of one that was known, and
/// begins at its beginning. (Every worker adds all items before it takes any, so an item that was
/// touched says that the first listing is complete.) `ages` are of the same items.
pub(super) fn plan(
    items: &[LeaseItem],
    ages: &[Age],
    listing: &Listing,
    start: StartSettings,
    now_ms: i64,
) -> LeasePlan {
    let known: BTreeSet<&str> = items.iter().map(|item| &*item.shard).collect();
    let is_first = items.iter().all(LeaseItem::is_untouched);
    // A shard that was over at the first start says nothing of its children.
    let begun = items.iter().filter(|item| !item.was_closed());
    let begun: BTreeSet<&str> = begun.map(|item| &*item.shard).collect();
    let mut plan = LeasePlan::default();
    for shard in &listing.shards {
        if known.contains(&*shard.id) {
            continue;
        }
        let mut parents = shard.parents.iter();
        let has_known_parent = parents.any(|parent| begun.contains(&**parent));
        let (checkpoint, start_ms) = match start {
            _ if !is_first || has_known_parent => (KclCheckpoint::TrimHorizon, None),
            StartSettings::TrimHorizon => (KclCheckpoint::TrimHorizon, None),
            // Nothing comes after now in it.
            StartSettings::Latest if shard.is_closed => (KclCheckpoint::ShardEnd, Some(now_ms)),
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
    let is_over = |(item, age): &(&LeaseItem, &Age)| {
        let is_listed = listed.contains(&*item.shard);
        decisions::may_go(&item.facts(), **age == Age::Alive, is_listed)
    };
    if !listed.is_empty() {
        let over = items.iter().zip(ages).filter(is_over);
        plan.delete = over.map(|(item, _)| item.clone()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::item::tests::lease;
    use crate::shard::{ListedShard, SourceName};

    fn listing(shards: &[(&str, &[&str])]) -> Listing {
        let listed = |(id, parents): &(&str, &[&str])| ListedShard {
            id: (*id).into(),
            parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
            hash_keys: ("0".into(), "1".into()),
            is_closed: *id == "closed",
        };
        Listing {
            source: SourceName {
                arn: "arn".into(),
                created_ms: 1,
            },
            shards: shards.iter().map(listed).collect(),
        }
    }

    fn begins(plan: &LeasePlan) -> Vec<(&str, KclCheckpoint, Option<i64>)> {
        let begin = |lease: &'_ NewLease| (lease.checkpoint, lease.start_ms);
        let all = plan.add.iter();
        all.map(|lease| (&*lease.shard, begin(lease).0, begin(lease).1))
            .collect()
    }

    fn ended(shard: &str, waiting: usize) -> LeaseItem {
        LeaseItem {
            checkpoint: KclCheckpoint::ShardEnd,
            number: Some(3),
            waiting,
            ..lease(shard)
        }
    }

    #[test]
    fn the_first_shards_begin_where_the_settings_say_and_later_ones_at_their_beginning() {
        use KclCheckpoint::{AtTimestamp, Latest, ShardEnd, TrimHorizon};
        let first = listing(&[("a", &["gone"]), ("b", &[])]);
        let plan_of = |items: &[LeaseItem], start| plan(items, &[], &first, start, 7);
        let fresh = plan_of(&[], StartSettings::Latest);
        assert_eq!(
            begins(&fresh),
            [("a", Latest, Some(7)), ("b", Latest, Some(7))]
        );
        let at_time = plan_of(&[], StartSettings::Time(3));
        assert_eq!(begins(&at_time)[0], ("a", AtTimestamp, Some(3)));
        // A worker that died on the way has added one of them.
        let untouched = LeaseItem {
            checkpoint: Latest,
            ..lease("a")
        };
        let half = plan_of(&[untouched], StartSettings::Latest);
        assert_eq!(begins(&half), [("b", Latest, Some(7))]);
        let shards = listing(&[("closed", &[]), ("b", &["closed"])]);
        let at_once = plan(&[], &[], &shards, StartSettings::Latest, 7);
        let begun = [("closed", ShardEnd, Some(7)), ("b", Latest, Some(7))];
        assert_eq!(begins(&at_once), begun);
        let closed = LeaseItem {
            checkpoint: ShardEnd,
            start_ms: Some(7),
            ..lease("closed")
        };
        let half = plan(&[closed], &[Age::Free], &shards, StartSettings::Latest, 9);
        assert_eq!(begins(&half), [("b", Latest, Some(9))]);
        let read = LeaseItem {
            number: Some(1),
            ..lease("a")
        };
        let later = plan_of(&[read], StartSettings::Latest);
        assert_eq!(begins(&later), [("b", TrimHorizon, None)]);
        let parent = LeaseItem {
            checkpoint: Latest,
            ..lease("gone")
        };
        let child = plan_of(&[parent], StartSettings::Latest);
        assert_eq!(begins(&child)[0], ("a", TrimHorizon, None));
    }

    #[test]
    fn an_item_goes_when_its_list_is_empty_and_the_stream_has_forgotten_the_shard() {
        let listed = listing(&[("there", &[])]);
        let held = LeaseItem {
            owner: Some("w".into()),
            ..ended("held", 0)
        };
        let items = [
            ended("there", 0),
            ended("listing", 1),
            ended("done", 0),
            held.clone(),
            lease("unread"),
        ];
        let plan_of = |listed, age| {
            let mut ages = [Age::Free; 5];
            ages[3] = age;
            plan(&items, &ages, listed, StartSettings::TrimHorizon, 0).delete
        };
        assert_eq!(plan_of(&listed, Age::Alive), [ended("done", 0)]);
        assert_eq!(plan_of(&listed, Age::Free), [ended("done", 0), held]);
        assert!(plan_of(&listing(&[]), Age::Free).is_empty());
    }

    #[test]
    fn a_shard_waits_for_its_parents_and_an_ended_one_for_its_list() {
        let child = |shard: &str, parent: &str| LeaseItem {
            parents: vec![parent.to_owned()],
            ..lease(shard)
        };
        let items = [
            lease("open"),
            child("waits", "open"),
            ended("ended", 0),
            child("may", "ended"),
            child("orphan", "forgotten"),
            child("early", "unknown"),
            ended("listing", 2),
        ];
        let listed = BTreeSet::from(["unknown".into()]);
        let open = open(&items, &listed).into_iter();
        let open: Vec<&str> = open.map(|item| &*item.shard).collect();
        assert_eq!(open, ["open", "may", "orphan", "listing"]);
    }
}
