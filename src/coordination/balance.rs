//! Which leases a worker takes: KCL's balance. Every worker looks at the whole table and decides for
//! itself; that two want the same lease is settled by the conditional write. Pure.

use std::collections::BTreeMap;

use super::watch::Age;
use crate::shard::ShardId;

/// A lease that has something to be done for, or that somebody is doing it for.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) shard: &'a ShardId,
    pub(super) owner: Option<&'a str>,
    pub(super) age: Age,
    /// This process has it in its hands, whatever the table says.
    pub(super) is_held: bool,
}

impl Candidate<'_> {
    fn is_available(&self) -> bool {
        self.age > Age::Alive && !self.is_held
    }
}

/// The shards whose leases worker `me` is to take now, in this order.
pub(super) fn choose(
    me: &str,
    leases: &[Candidate<'_>],
    random: &mut fastrand::Rng,
) -> Vec<ShardId> {
    let mut loads: BTreeMap<&str, usize> = BTreeMap::from([(me, 0)]);
    for lease in leases {
        let owner = lease.owner.filter(|_| lease.age == Age::Alive);
        if let Some(owner) = if lease.is_held { Some(me) } else { owner } {
            *loads.entry(owner).or_default() += 1;
        }
    }
    let target = leases.len().div_ceil(loads.len()).max(1);
    let mut available: Vec<&Candidate<'_>> =
        leases.iter().filter(|lease| lease.is_available()).collect();
    random.shuffle(&mut available);
    let id = |lease: &Candidate<'_>| ShardId::clone(lease.shard);
    // Nobody has wanted them for long: whoever is there takes them.
    let (old, fresh): (Vec<_>, Vec<_>) = available
        .into_iter()
        .partition(|lease| lease.age == Age::VeryOld);
    let need = target.saturating_sub(loads[me] + old.len());
    if old.is_empty() && fresh.is_empty() {
        return steal(me, leases, &loads, need, target, random);
    }
    old.into_iter()
        .chain(fresh.into_iter().take(need))
        .map(id)
        .collect()
}

/// Leases of the worker that has most, where it has more than its part, or all others have theirs and
/// `me` lacks more than one. KCL steals one at a time. Here it is a part of what is beyond the victim's
/// part: were all workers to steal so many, none of them would take what another lacks.
fn steal(
    me: &str,
    leases: &[Candidate<'_>],
    loads: &BTreeMap<&str, usize>,
    need: usize,
    target: usize,
    random: &mut fastrand::Rng,
) -> Vec<ShardId> {
    let others = loads.iter().filter(|(worker, _)| **worker != me);
    let Some((most_loaded, load)) = others.max_by_key(|(_, load)| **load) else {
        return Vec::new();
    };
    let may_steal = (need > 0 && *load > target) || (need > 1 && *load == target);
    let theirs = leases.iter().filter(|lease| {
        may_steal && !lease.is_held && lease.age == Age::Alive && lease.owner == Some(*most_loaded)
    });
    let count = need.min(load.saturating_sub(target)) / loads.len();
    let stolen = random.choose_multiple(theirs, count.max(1));
    stolen
        .into_iter()
        .map(|lease| ShardId::clone(lease.shard))
        .collect()
}

/// Leaves `appetite` of the chosen leases, and those that are unwanted: nobody else has come for them,
/// so that without this worker nothing would go on.
pub(super) fn restrain(
    chosen: &mut Vec<ShardId>,
    mut appetite: usize,
    is_unwanted: impl Fn(&ShardId) -> bool,
) {
    chosen.retain(|shard| {
        if is_unwanted(shard) {
            return true;
        }
        let is_left = appetite > 0;
        appetite = appetite.saturating_sub(1);
        is_left
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table, and what every worker knows of it: everything, but for how long an owner is dead.
    #[derive(Debug, Clone)]
    struct Fleet {
        shards: Vec<ShardId>,
        owners: Vec<Option<usize>>,
        names: Vec<String>,
    }

    impl Fleet {
        fn new(workers: usize, owners: Vec<Option<usize>>) -> Self {
            Self {
                shards: (0..owners.len())
                    .map(|number| format!("shard-{number}").into())
                    .collect(),
                owners,
                names: (0..workers).map(|number| format!("w{number}")).collect(),
            }
        }

        /// One worker's round, in which all that it chooses are taken.
        fn round(&mut self, me: usize, dead: Option<usize>, random: &mut fastrand::Rng) -> usize {
            let candidates: Vec<_> = self
                .shards
                .iter()
                .zip(&self.owners)
                .map(|(shard, owner)| Candidate {
                    shard,
                    owner: owner.map(|owner| &*self.names[owner]),
                    age: match owner {
                        Some(owner) if Some(*owner) != dead => Age::Alive,
                        _ => Age::Free,
                    },
                    is_held: *owner == Some(me),
                })
                .collect();
            let chosen = choose(&self.names[me], &candidates, random);
            for shard in &chosen {
                let at = self.shards.iter().position(|known| known == shard).unwrap();
                assert_ne!(self.owners[at], Some(me), "taken from oneself");
                self.owners[at] = Some(me);
            }
            chosen.len()
        }

        fn loads(&self, living: impl Iterator<Item = usize>) -> Vec<usize> {
            let load = |worker| {
                let owned = self.owners.iter();
                owned.filter(|owner| **owner == Some(worker)).count()
            };
            living.map(load).collect()
        }
    }

    proptest! {
        /// From any table, with or without a dead worker, it comes to rest; then each lease has a
        /// living owner, and nobody has more than one beyond another.
        #[test]
        fn a_fleet_comes_to_rest_in_balance(
            workers in 1_usize..6,
            owners in prop::collection::vec(prop::option::of(0_usize..6), 0..150),
            has_dead: bool,
            seed: u64,
        ) {
            let dead = (has_dead && workers > 1).then_some(0);
            let owners = owners.into_iter().map(|owner| owner.filter(|owner| *owner < workers));
            let mut fleet = Fleet::new(workers, owners.collect());
            let mut random = fastrand::Rng::with_seed(seed);
            let living = || (0..workers).filter(|worker| Some(*worker) != dead);
            let mut rounds = 0;
            while living().map(|me| fleet.round(me, dead, &mut random)).sum::<usize>() > 0 {
                rounds += 1;
                prop_assert!(rounds < 100, "no rest: {fleet:?}");
            }
            prop_assert!(fleet.owners.iter().all(|owner| owner.is_some() && *owner != dead));
            let loads = fleet.loads(living());
            let most = loads.iter().max().copied().unwrap_or(0);
            let least = loads.iter().min().copied().unwrap_or(0);
            prop_assert!(most - least <= 1, "{loads:?}");
        }
    }

    fn candidate<'a>(shard: &'a ShardId, owner: Option<&'a str>, age: Age) -> Candidate<'a> {
        Candidate {
            shard,
            owner,
            age,
            is_held: false,
        }
    }

    #[test]
    fn a_part_of_what_is_too_much_is_stolen_and_nothing_while_others_are_free() {
        let shards: Vec<ShardId> = ["a", "b", "c", "d"].map(Into::into).to_vec();
        let mut random = fastrand::Rng::with_seed(1);
        let theirs: Vec<_> = shards
            .iter()
            .map(|shard| candidate(shard, Some("other"), Age::Alive))
            .collect();
        assert_eq!(choose("me", &theirs, &mut random).len(), 1);
        let mut one_free = theirs.clone();
        one_free[2] = candidate(&shards[2], Some("dead"), Age::Free);
        assert_eq!(choose("me", &one_free, &mut random), [shards[2].clone()]);
        let mut held = theirs;
        held[0].is_held = true;
        held[1].is_held = true;
        assert!(choose("me", &held, &mut random).is_empty());

        // Two workers have 150 each; of the 50 beyond the part of one, a third of them at a time.
        let shards: Vec<ShardId> = (0..300).map(|n| n.to_string().into()).collect();
        let of = |n: usize| Some(if n < 150 { "one" } else { "other" });
        let many: Vec<_> = (0..300)
            .map(|n| candidate(&shards[n], of(n), Age::Alive))
            .collect();
        assert_eq!(choose("me", &many, &mut random).len(), 16);
    }

    #[test]
    fn a_worker_of_little_appetite_takes_few_leases_and_all_that_are_unwanted() {
        let chosen: Vec<ShardId> = ["a", "b", "c", "d"].map(Into::into).to_vec();
        for (appetite, left) in [
            (0, vec!["b"]),
            (1, vec!["a", "b"]),
            (usize::MAX, vec!["a", "b", "c", "d"]),
        ] {
            let mut restrained = chosen.clone();
            restrain(&mut restrained, appetite, |shard| &**shard == "b");
            let restrained: Vec<&str> = restrained.iter().map(|shard| &**shard).collect();
            assert_eq!(restrained, left);
        }
    }

    #[test]
    fn what_nobody_has_wanted_for_long_is_taken_beyond_ones_part() {
        let shards: Vec<ShardId> = ["a", "b", "c", "d"].map(Into::into).to_vec();
        let mut leases: Vec<_> = shards
            .iter()
            .map(|shard| candidate(shard, None, Age::VeryOld))
            .collect();
        leases[0] = candidate(&shards[0], Some("other"), Age::Alive);
        let mut random = fastrand::Rng::with_seed(1);
        assert_eq!(choose("me", &leases, &mut random).len(), 3);
    }
}
