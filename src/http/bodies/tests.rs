//! Who gets memory, who waits for it, and who gives way.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use tokio::task::JoinSet;

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

/// A body that arrives in pieces and holds all of them until it goes.
async fn arrive(bodies: Arc<Bodies>, from: u8, pieces: usize) -> Result<(), BodyError> {
    let mut hold = bodies.expect(visitor(from));
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
        let bodies = Bodies::new(kib * KIB, WAIT);
        let mut crowd = JoinSet::new();
        for _ in 0..100 {
            crowd.spawn(arrive(Arc::clone(&bodies), 1, 8));
        }
        for ended in crowd.join_all().await {
            ended.unwrap();
        }
        let now = bodies.lock();
        assert_eq!((now.held, now.waiting, now.favoured), (0, 0, None));
        assert!(now.bodies.is_empty());
    }
}

#[tokio::test]
async fn where_one_needs_more_than_is_kept_the_youngest_give_way_and_it_goes_on() {
    let bodies = Bodies::new(8 * KIB, WAIT);
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
    let bodies = Bodies::new(8 * KIB, WAIT);
    arrive(bodies, 1, 100).await.unwrap();
}

#[tokio::test]
async fn an_address_gets_its_share_of_what_another_one_has_taken() {
    let bodies = Bodies::new(64 * KIB, WAIT);
    let mut greedy = Vec::new();
    let mut held = 0;
    for _ in 0..16 {
        let mut hold = bodies.expect(visitor(1));
        let grown = tokio::time::timeout(Duration::ZERO, hold.grow_to(4 * KIB)).await;
        held += usize::from(grown.is_ok());
        greedy.push(hold);
    }
    assert_eq!(held, 9, "half of it, and one of what is kept");
    let oldest = greedy.remove(0);
    let told = tokio::spawn(async move { oldest.visitor.gives_way.cancelled().await });
    let mut modest = bodies.expect(visitor(2));
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
    let bodies = Bodies::new(8 * KIB, SHARE_PATIENCE * 2);
    let mut all = bodies.expect(visitor(1));
    all.grow_to(8 * KIB).await.unwrap();
    let mut more = bodies.expect(visitor(1));
    let refused = more.grow_to(KIB).await.unwrap_err();
    assert!(matches!(refused, BodyError::Busy), "{refused}");
    assert!(!all.visitor.gives_way.is_cancelled());
    // What is whole goes by itself; another address cannot hurry it.
    all.is_whole();
    let mut other = bodies.expect(visitor(2));
    let refused = other.grow_to(KIB).await.unwrap_err();
    assert!(matches!(refused, BodyError::Busy), "{refused}");
    assert!(!all.visitor.gives_way.is_cancelled());
    drop(all);
    other.grow_to(KIB).await.unwrap();
}

#[tokio::test]
async fn who_is_slow_gives_way_to_who_waits() {
    let bodies = Bodies::new(8 * KIB, WAIT);
    let mut slow = bodies.expect(visitor(1));
    slow.grow_to(8 * KIB).await.unwrap();
    slow.visitor.pulse.body_is_awaited(Duration::ZERO);
    let begun = Instant::now();
    let gone = tokio::spawn(async move {
        slow.visitor.gives_way.cancelled().await;
        drop(slow);
    });
    let mut next = bodies.expect(visitor(1));
    next.grow_to(KIB).await.unwrap();
    let waited = begun.elapsed();
    assert!(waited >= SLOW / 2, "it had its time: {waited:?}");
    gone.await.unwrap();
}

proptest! {
    #[test]
    fn never_more_is_held_than_there_is_and_what_is_kept_is_one_bodys(
        steps in proptest::collection::vec((0..12_u8, 0..3_u8, 1..40_usize), 1..120),
    ) {
        const ALL: usize = 100;
        const KEPT: usize = 40;
        let bodies = Bodies::new(ALL, WAIT);
        let mut holds: BTreeMap<u8, Hold> = BTreeMap::new();
        for (slot, what, bytes) in steps {
            if what == 0 {
                holds.remove(&slot);
                continue;
            }
            let hold = holds.entry(slot).or_insert_with(|| bodies.expect(visitor(slot % 3)));
            bodies.lock().claim(hold.number, bytes, ALL, KEPT);
            let now = bodies.lock();
            let held: usize = now.bodies.values().map(|body| body.bytes).sum();
            prop_assert_eq!(held, now.held);
            prop_assert!(held <= ALL);
            let others = now.bodies.iter().filter(|(number, _)| now.favoured != Some(**number));
            let others: usize = others.map(|(_, body)| body.bytes).sum();
            prop_assert!(others <= ALL - KEPT);
            prop_assert_eq!(now.waiting, now.bodies.values().filter(|body| body.is_waiting()).count());
        }
        holds.clear();
        prop_assert_eq!(bodies.lock().held, 0);
    }
}
