//! Who gets memory, who waits for it, and who gives way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use proptest::prelude::*;
use tokio::sync::oneshot::Receiver;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ledger::{MISSES_MAX, Sum};
use super::pressing::SHARE_PATIENCE;
use super::*;

const KIB: usize = 1 << 10;
/// A guard against waiting for ever.
const WAIT: Duration = Duration::from_secs(30);

fn visitor(address: u8) -> Visitor {
    Visitor {
        address: Some(Ipv4Addr::new(192, 0, 2, address).into()),
        ..Visitor::default()
    }
}

/// So much for bodies that are not small.
fn large(all: usize, wait: Duration) -> Arc<BodyMemory> {
    BodyMemory::of(all, wait, None)
}

/// A body that arrives in pieces and holds all of them until it goes.
async fn arrive(bodies: Arc<BodyMemory>, from: u8, pieces: usize) -> Result<(), BodyError> {
    let mut hold = bodies.expect(visitor(from), false);
    for piece in 1..=pieces {
        tokio::task::yield_now().await;
        hold.grow_to(piece * KIB).await?;
    }
    hold.is_whole();
    Ok(())
}

#[tokio::test]
async fn bodies_that_are_half_here_do_not_wait_for_each_other() {
    for kib in [32, 100] {
        let bodies = large(kib * KIB, WAIT);
        let mut crowd = JoinSet::new();
        for _ in 0..100 {
            crowd.spawn(arrive(Arc::clone(&bodies), 1, 8));
        }
        for ended in crowd.join_all().await {
            ended.unwrap();
        }
        let now = bodies.lock();
        assert_eq!((now.held, now.waiting.len(), now.favoured), (0, 0, None));
        assert!(now.bodies.is_empty() && now.addresses.is_empty() && now.turns.is_empty());
    }
}

#[tokio::test]
async fn where_one_needs_more_than_is_kept_the_youngest_give_way_and_it_goes_on() {
    let bodies = large(8 * KIB, WAIT);
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        crowd.spawn(arrive(Arc::clone(&bodies), 1, 8));
    }
    let ended = crowd.join_all().await;
    let went_on = ended.iter().filter(|ended| ended.is_ok()).count();
    assert!(went_on > 0, "{ended:?}");
    for ended in ended {
        assert!(
            matches!(ended, Ok(()) | Err(BodyError::GaveWay)),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn one_alone_may_have_it_all_and_more_is_not_waited_for() {
    let bodies = large(8 * KIB, WAIT);
    arrive(bodies, 1, 100).await.unwrap();
}

#[tokio::test]
async fn an_address_gets_its_share_of_what_another_one_has_taken() {
    let bodies = large(64 * KIB, WAIT);
    let mut greedy = Vec::new();
    let mut held = 0;
    for _ in 0..16 {
        let mut hold = bodies.expect(visitor(1), false);
        let grown = tokio::time::timeout(Duration::ZERO, hold.grow_to(4 * KIB)).await;
        held += usize::from(grown.is_ok());
        greedy.push(hold);
    }
    assert_eq!(held, 9, "half of it, and one of what is kept");
    let oldest = greedy.remove(0);
    let told = tokio::spawn(async move { oldest.visitor.gives_way.cancelled().await });
    let mut modest = bodies.expect(visitor(2), false);
    let begun = Instant::now();
    modest.grow_to(4 * KIB).await.unwrap();
    let waited = begun.elapsed();
    assert!(waited >= SHARE_PATIENCE, "{waited:?}");
    told.await.unwrap();
    for hold in greedy {
        assert!(!hold.visitor.gives_way.is_cancelled(), "one was enough");
    }
}

#[tokio::test]
async fn who_has_its_share_makes_nobody_give_way() {
    let bodies = large(8 * KIB, SHARE_PATIENCE * 2);
    let mut all = bodies.expect(visitor(1), false);
    all.grow_to(8 * KIB).await.unwrap();
    let mut more = bodies.expect(visitor(1), false);
    let refused = more.grow_to(KIB).await.unwrap_err();
    assert!(matches!(refused, BodyError::Busy), "{refused}");
    assert!(!all.visitor.gives_way.is_cancelled());
    // What is whole goes by itself; another address cannot hurry it.
    all.is_whole();
    let mut other = bodies.expect(visitor(2), false);
    let refused = other.grow_to(KIB).await.unwrap_err();
    assert!(matches!(refused, BodyError::Busy), "{refused}");
    assert!(!all.visitor.gives_way.is_cancelled());
    drop(all);
    other.grow_to(KIB).await.unwrap();
}

#[tokio::test]
async fn who_is_slow_gives_way_to_who_waits() {
    let bodies = large(8 * KIB, WAIT);
    let mut slow = bodies.expect(visitor(1), false);
    slow.grow_to(8 * KIB).await.unwrap();
    slow.visitor.activity.body_is_awaited(Duration::ZERO);
    let begun = Instant::now();
    let gone = tokio::spawn(async move {
        slow.visitor.gives_way.cancelled().await;
        drop(slow);
    });
    let mut next = bodies.expect(visitor(1), false);
    next.grow_to(KIB).await.unwrap();
    let waited = begun.elapsed();
    assert!(
        waited >= Duration::from_secs(1),
        "it had its time: {waited:?}"
    );
    gone.await.unwrap();
}

#[tokio::test]
async fn small_ones_are_let_in_where_one_has_all_the_rest() {
    let bodies = BodyMemory::new(16 * KIB, SHARE_PATIENCE);
    let mut all = bodies.expect(visitor(1), false);
    all.grow_to(100 * KIB).await.unwrap();
    let mut large = bodies.expect(visitor(1), false);
    let refused = large.grow_to(KIB / 4).await.unwrap_err();
    assert!(matches!(refused, BodyError::Busy), "{refused}");
    for _ in 0..100 {
        let mut small = bodies.expect(visitor(1), true);
        for bytes in [1, KIB / 4, KIB] {
            small.grow_to(bytes).await.unwrap();
        }
    }
    // They wait for each other there.
    let mut small = bodies.expect(visitor(1), true);
    small.grow_to(KIB).await.unwrap();
    let mut next = bodies.expect(visitor(1), true);
    let refused = next.grow_to(1).await.unwrap_err();
    assert!(matches!(refused, BodyError::Busy), "{refused}");
    drop((all, large, small, next));
    for part in [&bodies, bodies.small.as_ref().unwrap()] {
        let now = part.lock();
        assert_eq!((now.held, now.bodies.len()), (0, 0));
    }
}

#[tokio::test]
async fn small_ones_take_of_the_rest_what_nobody_waits_for() {
    let bodies = BodyMemory::new(16 * KIB, SHARE_PATIENCE);
    let mut crowd = Vec::new();
    for _ in 0..5 {
        let mut small = bodies.expect(visitor(1), true);
        small.grow_to(KIB).await.unwrap();
        crowd.push(small);
    }
    assert_eq!(bodies.lock().held, 5 * KIB);
    // What one that is large needs of it is not taken by those that come after it.
    let mut all = bodies.expect(visitor(1), false);
    let waits = tokio::spawn(async move { all.grow_to(15 * KIB).await });
    while bodies.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    crowd.remove(0);
    let mut small = bodies.expect(visitor(1), true);
    small.grow_to(KIB).await.unwrap();
    assert_eq!(bodies.lock().held, 4 * KIB);
    crowd.clear();
    waits.await.unwrap().unwrap();
}

/// They wait for each other, and for one that takes its time but is not slow.
#[tokio::test]
async fn one_that_takes_its_time_does_not_stand_in_the_way_of_all_others() {
    for (is_favoured, pieces) in [(true, 3), (false, 6)] {
        let bodies = large(8 * KIB, WAIT);
        let mut long = bodies.expect(visitor(1), false);
        if is_favoured {
            long.grow_to(5 * KIB).await.unwrap();
            assert_eq!(bodies.lock().favoured, Some(long.number));
        } else {
            long.grow_to(KIB).await.unwrap();
        }
        let mut crowd = JoinSet::new();
        for _ in 0..6 {
            crowd.spawn(arrive(Arc::clone(&bodies), 1, pieces));
        }
        let ended = crowd.join_all().await;
        let went_on = ended.iter().filter(|ended| ended.is_ok()).count();
        assert!(went_on > 0, "{is_favoured}: {ended:?}");
        let gave_way = |ended: &&Result<(), BodyError>| matches!(ended, Err(BodyError::GaveWay));
        assert_eq!(
            went_on + ended.iter().filter(gave_way).count(),
            6,
            "{ended:?}"
        );
        assert!(!long.visitor.gives_way.is_cancelled(), "{is_favoured}");
    }
}

#[tokio::test]
async fn who_waits_in_a_crowd_is_looked_at_when_it_may_fit_and_else_now_and_then() {
    const CROWD: usize = 2000;
    let bodies = large(8 * KIB, WAIT);
    let mut all = bodies.expect(visitor(1), false);
    all.grow_to(8 * KIB).await.unwrap();
    all.is_whole();
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        crowd.spawn(arrive(Arc::clone(&bodies), 1, 1));
    }
    while bodies.lock().waiting.len() < CROWD {
        tokio::task::yield_now().await;
    }
    bodies.lock().looks = 0;
    drop(all);
    for ended in crowd.join_all().await {
        ended.unwrap();
    }
    let looks = bodies.lock().looks;
    println!("{CROWD} bodies that wait are served with {looks} looks");
    assert!(looks <= 4 * CROWD, "{looks} looks");
}

/// The running sums, counted anew.
fn recount(now: &Ledger) {
    let mut sums: HashMap<_, Sum> = HashMap::new();
    let mut waiting = BTreeSet::new();
    for (number, body) in &now.bodies {
        let sum = sums.entry(body.visitor.address).or_default();
        sum.bodies += 1;
        sum.bytes += body.bytes;
        if body.waiting().is_some() {
            sum.waiting.insert(*number);
            waiting.insert(*number);
        }
    }
    let waits = sums.iter().filter(|(_, sum)| !sum.waiting.is_empty());
    let turns: BTreeSet<_> = waits.map(|(of, sum)| (sum.bytes, *of)).collect();
    let held: usize = sums.values().map(|sum| sum.bytes).sum();
    assert_eq!(now.held, held);
    assert_eq!(now.addresses, sums);
    assert_eq!((&now.waiting, &now.turns), (&waiting, &turns));
}

proptest! {
    #[test]
    fn never_more_is_held_than_there_is_and_what_is_kept_is_one_bodys(
        steps in proptest::collection::vec((0..30_u8, 0..9_u8, 1..40_usize), 1..200),
    ) {
        const ALL: usize = 100;
        const KEPT: usize = ALL / 2;
        let bodies = large(ALL, WAIT);
        let mut holds: BTreeMap<u8, (Hold, Option<Receiver<()>>)> = BTreeMap::new();
        for (slot, what, bytes) in steps {
            let before = bodies.lock().waiting.clone();
            bodies.lock().looks = 0;
            match (what, holds.get_mut(&slot)) {
                (0 | 1, _) => drop(holds.remove(&slot)),
                (2, Some((hold, waits))) => {
                    *waits = None;
                    bodies.lock().give_up(hold.number);
                }
                (3, Some((_, waits))) => *waits = None, // it goes away as it waits
                (4, Some((hold, _))) => hold.is_whole(),
                (5, _) => {
                    bodies.lock().watch();
                }
                _ => {
                    let hold = || (bodies.expect(visitor(slot % 5), false), None);
                    let (hold, waits) = holds.entry(slot).or_insert_with(hold);
                    *waits = bodies.lock().claim(hold.number, bytes);
                }
            }
            let now = bodies.lock();
            recount(&now);
            prop_assert!(now.held <= ALL);
            let others = now.bodies.iter().filter(|(number, _)| now.favoured != Some(**number));
            let others: usize = others.map(|(_, body)| body.bytes).sum();
            prop_assert!(others <= ALL - KEPT);
            // One look for each that waits no longer, and some for those that do not fit.
            let served = before.difference(&now.waiting).count() + 1;
            prop_assert!(now.looks <= served + MISSES_MAX + 2, "{} looks", now.looks);
        }
        holds.clear();
        let now = bodies.lock();
        recount(&now);
        prop_assert_eq!((now.held, now.favoured, now.bodies.len()), (0, None, 0));
    }
}
