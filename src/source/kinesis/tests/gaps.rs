//! What the stream has forgotten before it was read is told, whenever and however that comes to light.

use super::fan_out::fan_out;
use super::*;
use crate::shard::ShardStart;

/// Longer ago than the stream keeps records.
const LONG_MS: i64 = RETENTION_MS + 3_600_000;

/// A reader that knows of shard `one` what `state` says, and reads it to its last record.
async fn read(fake: &Fake, state: ShardState, texts: &[&str]) -> Reading {
    let known = Known {
        shards: [("one".into(), state)].into(),
        ..Known::default()
    };
    let mut reading = Reading::of(fake, StartSettings::TrimHorizon, known, 1);
    let is_read = |reading: &Reading| reading.given.len() == texts.len();
    reading.until(is_read).await;
    assert_eq!(reading.texts(), texts);
    reading
}

async fn serving(arrival_ms: i64, forgotten: usize) -> Fake {
    let mut shard = FakeShard::new("one", &[]).with(arrival_ms, &[b"1", b"2", b"3", b"4", b"5"]);
    shard.forgotten = forgotten;
    Fake::start(vec![shard]).await
}

fn gaps(reading: &Reading) -> u64 {
    reading.metrics.retention_gaps.get()
}

#[tokio::test]
async fn records_that_the_stream_forgot_before_they_were_read_are_counted_and_the_rest_is_given() {
    let (now, known) = (now_ms(), |until_ms| Known {
        shards: [("one".into(), at("2", until_ms))].into(),
        ..Known::default()
    });
    let mut shard = FakeShard::new("one", &[]).with(now, &[b"1", b"2", b"3", b"4", b"5"]);
    shard.forgotten = 3;
    let fake = Fake::start(vec![shard]).await;
    let long_ago = now - RETENTION_MS - 60_000;
    let start = StartSettings::TrimHorizon;
    let mut reading = Reading::of(&fake, start, known(long_ago), 1);
    reading.until(|reading| reading.given.len() == 2).await;
    assert_eq!(reading.texts(), ["4", "5"]);
    assert_eq!(reading.metrics.retention_gaps.get(), 1);
    // All that is forgotten had been read: an idle shard is no gap.
    let mut reading = Reading::of(&fake, start, known(now - 60_000), 1);
    reading.until(|reading| reading.given.len() == 2).await;
    assert_eq!(reading.metrics.retention_gaps.get(), 0);
}

#[tokio::test]
async fn a_shard_that_is_gone_before_its_end_was_read_is_a_gap_and_lets_its_children_be_read() {
    let now = now_ms();
    let child = FakeShard::new("child", &["gone"]).with(now, &[b"c"]);
    let fake = Fake::start(vec![child]).await;
    let known = Known {
        shards: [("gone".into(), at("7", now - 2 * RETENTION_MS))].into(),
        ..Known::default()
    };
    let mut reading = Reading::of(&fake, StartSettings::Latest, known, 1);
    reading.until(|reading| reading.given.len() == 1).await;
    assert_eq!(reading.metrics.retention_gaps.get(), 1);
    assert!(reading.shards.get("gone").is_none_or(|gone| gone.ended));
}

/// Sparse shards answer so, far from their end.
#[tokio::test]
async fn a_first_answer_without_records_hides_no_gap() {
    let fake = serving(now_ms() - 60_000, 3).await;
    fake.world().pages.extend([(0, 0); 3]);
    let reading = read(&fake, at("2", now_ms() - LONG_MS), &["4", "5"]).await;
    assert_eq!(gaps(&reading), 1);
    // Nor does it make one.
    fake.world().shards[0].forgotten = 1;
    fake.world().pages.extend([(0, 0); 3]);
    let reading = read(&fake, at("2", now_ms() - LONG_MS), &["3", "4", "5"]).await;
    assert_eq!(gaps(&reading), 0);
}

#[tokio::test]
async fn what_is_forgotten_of_a_shard_that_has_given_nothing_yet_is_told_once() {
    let fake = serving(now_ms() - 60_000, 3).await;
    let begun = ShardState {
        until_ms: Some(now_ms() - LONG_MS),
        ..ShardState::default()
    };
    let latest = ShardState {
        start: ShardStart::Latest(now_ms() - LONG_MS),
        ..ShardState::default()
    };
    for state in [begun, latest] {
        let faults = [("GetRecords", "ExpiredIteratorException"); 2];
        fake.world().faults.extend(faults);
        let reading = read(&fake, state, &["4", "5"]).await;
        assert_eq!(gaps(&reading), 1);
    }
    // Of what arrived before the first start nobody has missed anything.
    let start = ShardStart::Time(now_ms() - LONG_MS);
    for start in [ShardStart::TrimHorizon, start] {
        let state = ShardState {
            start,
            ..ShardState::default()
        };
        assert_eq!(gaps(&read(&fake, state, &["4", "5"]).await), 0);
    }
}

#[tokio::test]
async fn a_shard_that_is_read_more_slowly_than_the_stream_forgets_is_a_gap_without_a_restart() {
    let long_ago = now_ms() - LONG_MS;
    let fake = serving(long_ago, 0).await;
    fake.world().pages.extend([(1, 2)]);
    let reading = read(&fake, ShardState::default(), &["1", "3", "4", "5"]).await;
    assert_eq!(gaps(&reading), 1);
    // One answer a record, all of them from beyond the retention, and none of them gone.
    let fake = serving(long_ago, 0).await;
    fake.world().pages.extend([(1, 0); 10]);
    let reading = read(&fake, ShardState::default(), &["1", "2", "3", "4", "5"]).await;
    assert_eq!(gaps(&reading), 0);
}

#[tokio::test]
async fn a_child_that_has_waited_for_too_long_for_its_parent_has_a_gap() {
    let now = now_ms();
    let parent = FakeShard::new("parent", &[]).with(now, &[b"p"]);
    let fake = Fake::start(vec![parent]).await;
    let mut reading = Reading::fresh(&fake);
    reading.until(|reading| !reading.given.is_empty()).await;
    {
        let mut world = fake.world();
        world.shards[0].is_closed = true;
        let mut child = FakeShard::new("child", &["parent"]).with(now, &[b"1", b"2"]);
        child.forgotten = 1;
        world.shards.push(child);
    }
    // Its end is not durable before that.
    let long = u64::try_from(LONG_MS).unwrap();
    reading.clock.advance(Duration::from_millis(long));
    reading.until(|reading| reading.given.len() == 2).await;
    assert_eq!(reading.texts(), ["p", "2"]);
    assert_eq!(gaps(&reading), 1);
}

#[tokio::test]
async fn what_is_forgotten_between_two_subscriptions_is_a_gap() {
    let shard = FakeShard::new("one", &[]).with(now_ms(), &[b"1", b"2"]);
    let fake = Fake::start(vec![shard]).await;
    let mut reading = fan_out(&fake, StartSettings::TrimHorizon, Known::default());
    reading.until(|reading| reading.given.len() == 2).await;
    let cut = |records: &[&[u8]], forgotten| {
        let mut world = fake.world();
        let mut shard = world.shards[0].clone().with(now_ms(), records);
        // The one that runs ends, and the next is refused for as long as it takes.
        (shard.subscribed_at, shard.forgotten) = (None, forgotten);
        world.shards[0] = shard;
        let refused = ("SubscribeToShard", "AccessDeniedException");
        world.faults.extend(std::iter::repeat_n(refused, 1000));
    };
    let long = u64::try_from(LONG_MS).unwrap();
    for (records, forgotten, given, expected) in [
        (&[&b"3"[..], b"4", b"5"][..], 4, 3, 1),
        (&[&b"6"[..]][..], 4, 4, 1),
    ] {
        cut(records, forgotten);
        reading.until_told("AccessDenied").await;
        reading.clock.advance(Duration::from_millis(long));
        fake.world().faults.clear();
        reading.until(|reading| reading.given.len() == given).await;
        assert_eq!(gaps(&reading), expected);
    }
    assert_eq!(reading.texts(), ["1", "2", "5", "6"]);
    assert_eq!(fake.world().violations, 0);
}

#[tokio::test]
async fn a_subscription_that_ends_before_the_first_record_is_followed_by_one_behind_it() {
    let fake = serving(now_ms() - 60_000, 3).await;
    // The first one gives nothing for as long as it lives.
    fake.world().pages.extend([(0, 0); 1000]);
    let known = Known {
        shards: [("one".into(), at("2", now_ms() - LONG_MS))].into(),
        ..Known::default()
    };
    let mut reading = fan_out(&fake, StartSettings::TrimHorizon, known);
    let mut froms = Vec::new();
    let has_subscribed = async |count| {
        while fake.world().subscriptions < count {
            tokio::task::yield_now().await;
        }
        fake.world().subscribed_from.clone()
    };
    for count in [1, 2] {
        tokio::select! {
            from = has_subscribed(count) => froms.push(from),
            () = async { while reading.step().await.is_ok() {} } => panic!("it goes on"),
        }
    }
    fake.world().pages.clear();
    reading.until(|reading| reading.given.len() == 2).await;
    assert_eq!(reading.texts(), ["4", "5"]);
    let froms: Vec<_> = froms
        .iter()
        .map(|from| (from["Type"].as_str(), from["SequenceNumber"].as_str()))
        .collect();
    let expected = [("AT_SEQUENCE_NUMBER", "2"), ("AFTER_SEQUENCE_NUMBER", "3")];
    assert_eq!(
        froms,
        expected.map(|(kind, number)| (Some(kind), Some(number)))
    );
    // And what is gone comes to light all the same.
    assert_eq!(gaps(&reading), 1);
    assert_eq!(fake.world().violations, 0);
}
