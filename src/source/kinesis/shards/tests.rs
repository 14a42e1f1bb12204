//! Splits and merges: no child before its parents' ends are durable.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn listed(id: &str, parents: &[&str], is_closed: bool) -> ShardDescription {
    ShardDescription {
        id: id.into(),
        parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
        range: EVERYTHING,
        is_closed,
    }
}

fn ids(ready: &[Ready]) -> Vec<&str> {
    ready.iter().map(|ready| &*ready.id).collect()
}

#[test]
fn children_wait_for_the_durable_end_of_all_parents_and_begin_at_the_beginning() {
    let mut shards = Shards::default();
    let first = [listed("a", &[], false), listed("b", &[], false)];
    shards.list(&first, StartSettings::Time(5), 9);
    let ready = shards.ready();
    assert_eq!(ids(&ready), ["a", "b"]);
    assert!(
        ready
            .iter()
            .all(|ready| ready.state.start == ShardStart::Time(5))
    );
    assert!(shards.ready().is_empty(), "each is given once");
    // `a` was split, and one half merged with `b`, before anybody looked again.
    let later = [
        listed("a", &[], true),
        listed("b", &[], true),
        listed("c", &["a"], false),
        listed("d", &["a"], true),
        listed("e", &["d", "b"], false),
    ];
    let change = shards.list(&later, StartSettings::Time(5), 9);
    assert_eq!(change.found.len(), 3);
    assert!(shards.ready().is_empty());
    shards.ended("a");
    let ready = shards.ready();
    assert_eq!(ids(&ready), ["c", "d"]);
    assert!(
        ready
            .iter()
            .all(|ready| ready.state.start == ShardStart::TrimHorizon)
    );
    shards.ended("d");
    assert!(shards.ready().is_empty(), "`b` is not at its end");
    shards.ended("b");
    assert_eq!(ids(&shards.ready()), ["e"]);
    assert!(!shards.lacks_children());
    shards.ended("e");
    assert!(shards.lacks_children());
}

#[test]
fn latest_passes_over_closed_shards_and_only_at_the_first_start() {
    let mut shards = Shards::default();
    let first = [listed("old", &[], true), listed("young", &["old"], false)];
    let change = shards.list(&first, StartSettings::Latest, 9);
    let states: Vec<_> = change.found.iter().map(|(_, state)| state.ended).collect();
    assert_eq!(states, [true, false]);
    let ready = shards.ready();
    assert_eq!(ids(&ready), ["young"]);
    assert_eq!(
        (ready[0].state.start, ready[0].is_fresh),
        (ShardStart::Latest(9), true)
    );
    let mut again = Shards::new(change.found.into_iter().collect());
    let later = [&first[..], &[listed("child", &["young"], false)]].concat();
    again.list(&later, StartSettings::Latest, 99);
    let ready = again.ready();
    assert_eq!(ids(&ready), ["young"]);
    assert_eq!(
        (ready[0].state.start, ready[0].is_fresh),
        (ShardStart::Latest(9), false)
    );
    again.ended("young");
    assert_eq!(again.ready()[0].state.start, ShardStart::TrimHorizon);
}

#[test]
fn an_ended_shard_is_forgotten_with_the_stream_and_one_that_is_not_read_is_kept() {
    let mut shards = Shards::default();
    let both = [listed("a", &[], true), listed("b", &["a"], false)];
    shards.list(&both, StartSettings::TrimHorizon, 0);
    shards.ready();
    let without = [listed("b", &["a"], false)];
    assert_eq!(
        shards
            .list(&without, StartSettings::TrimHorizon, 0)
            .forgotten,
        []
    );
    shards.ended("a");
    let change = shards.list(&without, StartSettings::TrimHorizon, 0);
    assert_eq!(change.forgotten, ["a".into()]);
    assert_eq!(ids(&shards.ready()), ["b"]);
}

/// A stream that is split and merged at random, and a reader that restarts at random.
#[derive(Clone, Debug)]
enum Step {
    Split(prop::sample::Index),
    Merge(prop::sample::Index, prop::sample::Index),
    /// All that may be read is; so many of it become durable.
    Read(usize),
    List,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        index().prop_map(Step::Split),
        (index(), index()).prop_map(|(one, other)| Step::Merge(one, other)),
        (0_usize..4).prop_map(Step::Read),
        Just(Step::List),
        Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..60)
}

#[derive(Default)]
struct Stream {
    listed: Vec<ShardDescription>,
}

impl Stream {
    fn open(&self) -> Vec<usize> {
        (0..self.listed.len())
            .filter(|index| !self.listed[*index].is_closed)
            .collect()
    }

    fn close_for(&mut self, parents: &BTreeSet<usize>, children: usize) {
        let names: Vec<String> = parents
            .iter()
            .map(|index| self.listed[*index].id.to_string())
            .collect();
        for index in parents {
            self.listed[*index].is_closed = true;
        }
        for _ in 0..children {
            let id = format!("shardId-{:012}", self.listed.len());
            let parents: Vec<&str> = names.iter().map(String::as_str).collect();
            self.listed.push(listed(&id, &parents, false));
        }
    }
}

proptest! {
    #[test]
    fn every_shard_is_read_once_a_life_after_its_parents(steps in steps()) {
        let mut stream = Stream { listed: vec![listed("shardId-000000000000", &[], false)] };
        let (mut shards, mut durable) = (Shards::default(), BTreeMap::<ShardId, ShardState>::new());
        let mut begun: BTreeSet<ShardId> = BTreeSet::new();
        // At last everything is read.
        let last = (0..200).flat_map(|_| [Step::List, Step::Read(9)]);
        for step in steps.into_iter().chain(last) {
            match step {
                Step::Split(index) => {
                    let open = stream.open();
                    stream.close_for(&BTreeSet::from([open[index.index(open.len())]]), 2);
                }
                Step::Merge(one, other) => {
                    let open = stream.open();
                    let pair = [one, other].map(|index| open[index.index(open.len())]);
                    stream.close_for(&pair.into(), 1);
                }
                Step::List => {
                    let change = shards.list(&stream.listed, StartSettings::TrimHorizon, 0);
                    durable.extend(change.found);
                }
                Step::Restart => {
                    shards = Shards::new(durable.clone());
                    begun.clear();
                }
                Step::Read(count) => {
                    for ready in shards.ready() {
                        for parent in &ready.state.parents {
                            prop_assert!(durable[parent.as_str()].ended, "{} before {parent}", ready.id);
                        }
                        prop_assert!(begun.insert(ready.id.clone()), "{} twice", ready.id);
                    }
                    let is_closed = |id: &str| stream.listed.iter().any(|shard| &*shard.id == id && shard.is_closed);
                    for id in begun.iter().filter(|id| is_closed(id)).take(count) {
                        if let Some(state) = durable.get_mut(id) {
                            state.ended = true;
                            shards.ended(id);
                        }
                    }
                    begun.retain(|id| !durable[id].ended);
                }
            }
        }
        for shard in &stream.listed {
            prop_assert_eq!(durable[&shard.id].ended, shard.is_closed, "{}", shard.id);
        }
    }
}
