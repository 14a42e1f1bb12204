//! Shards that are pushed to a registered consumer.

use super::*;

pub(super) fn fan_out(fake: &Fake, start: StartSettings, known: Known) -> Reading {
    let mut settings = fake.settings(start);
    settings.consumer = consumer();
    Reading::with(settings, known, 1)
}

pub(super) fn consumer() -> ConsumerSettings {
    ConsumerSettings::FanOut {
        name: "firehose-clicks".into(),
    }
}

#[tokio::test]
async fn a_consumer_is_registered_and_subscribes_again_and_again_to_the_end_of_each_shard() {
    let now = now_ms();
    let parent = FakeShard::new("parent", &[]).with(now, &[b"1", b"2", b"3", b"4", b"5"]);
    let fake = Fake::start(vec![parent]).await;
    fake.world().registering = 2;
    let mut reading = fan_out(&fake, StartSettings::TrimHorizon, Known::default());
    reading.until(|reading| reading.given.len() == 5).await;
    let count = |reading: &Reading| reading.metrics.requests.get();
    assert_eq!(count(&reading), 1);
    // The subscription has come to its end; the next goes on where it was, and then the shard ends.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let step = tokio::time::timeout(Duration::from_millis(100), reading.step());
        let _ = step.await;
    }
    {
        let mut world = fake.world();
        let parent = world.shards[0].clone().with(now, &[b"6"]).closed();
        world.shards[0] = parent;
        let child = FakeShard::new("child", &["parent"]).with(now, &[b"c"]);
        world.shards.push(child);
    }
    reading.until(|reading| reading.given.len() == 7).await;
    assert_eq!(reading.texts(), ["1", "2", "3", "4", "5", "6", "c"]);
    assert!(reading.shards["parent"].ended);
    assert_eq!(reading.metrics.retention_gaps.get(), 0);
    // No subscription of a shard before the service allows it.
    assert_eq!(fake.world().violations, 0);
    assert_eq!(fake.world().answered, 0, "nothing was asked for by polling");
}

#[tokio::test]
async fn a_fan_out_that_is_not_taken_holds_one_subscription_a_shard_and_loses_nothing() {
    let now = now_ms();
    let large = vec![b'x'; 1 << 20];
    let records: Vec<&[u8]> = vec![&large; 12];
    let fake = Fake::start(vec![FakeShard::new("one", &[]).with(now, &records)]).await;
    let mut reading = fan_out(&fake, StartSettings::TrimHorizon, Known::default());
    reading.until(|reading| reading.given.len() == 1).await;
    // Far longer than the subscription lives.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(fake.world().subscriptions, 1);
    reading.until(|reading| reading.given.len() == 12).await;
    assert_eq!(fake.world().violations, 0);
}

#[tokio::test]
async fn a_fan_out_that_begins_at_the_latest_gives_nothing_older_after_its_first_subscription() {
    let old = FakeShard::new("one", &[]).with(now_ms() - 60_000, &[b"old", b"older"]);
    let fake = Fake::start(vec![old]).await;
    fake.world().faults.extend([
        ("SubscribeToShard", "LimitExceededException"),
        ("SubscribeToShard", "ResourceInUseException"),
    ]);
    let mut reading = fan_out(&fake, StartSettings::Latest, Known::default());
    // More than one subscription without a record: each goes on behind what the last one saw.
    let begun = Instant::now();
    while fake.world().subscriptions < 2 {
        assert!(begun.elapsed() < PATIENCE);
        let step = tokio::time::timeout(Duration::from_millis(100), reading.step());
        let _ = step.await;
    }
    {
        let mut world = fake.world();
        let shard = world.shards[0].clone().with(now_ms(), &[b"new"]);
        world.shards[0] = shard;
    }
    reading.until(|reading| !reading.given.is_empty()).await;
    assert_eq!(reading.texts(), ["new"]);
    assert_eq!(reading.metrics.throttles.get(), 1);
    assert_eq!(fake.world().violations, 0);
}

#[tokio::test]
async fn subscriptions_that_end_at_once_are_told_of() {
    let shard = FakeShard::new("one", &[]).with(now_ms(), &[b"1"]);
    let fake = Fake::start(vec![shard]).await;
    fake.world().silent = 3;
    let mut reading = fan_out(&fake, StartSettings::TrimHorizon, Known::default());
    reading.until_told("it ended at once").await;
    assert_eq!(fake.world().silent, 0);
    reading.until(|reading| reading.given.len() == 1).await;
    assert_eq!(reading.health.stall(), None);
}
