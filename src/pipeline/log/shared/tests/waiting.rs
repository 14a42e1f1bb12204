//! What waits until columns are agreed on, and what it says of them.

use super::agreed::{agreed, delivered, holding, learning, numbered};
use super::*;
use crate::pipeline::log::tests::bucket::Held;
use crate::schema::SchemaVersion;

fn columns(versions: &[SchemaVersion]) -> Vec<&str> {
    versions.iter().map(|version| &*version.columns).collect()
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_odd_value_hides_no_new_fields_of_the_others_that_wait() {
    let first: Vec<String> = (0..60)
        .map(|id| format!(r#"{{"id":{id},"k":"0","o":{{"a":1}}}}"#))
        .collect();
    let world = learning(&first, None).await;
    let (ended, _) = world.live(Fate::Durable, None, Duration::ZERO).await;
    ended.unwrap();
    let late = [
        r#"{"id":60,"k":"0","o":{"a":1,"b":2}}"#,
        r#"{"id":61,"k":"0","o":5,"z":1}"#,
        r#"{"id":62,"k":"0","o":{"c":3}}"#,
    ];
    let late = learning(&late.map(str::to_owned), Some(&world)).await;
    late.fake.world().pages = [(1, 0), (1, 0), (1, 0)].into();
    let refuse = |held: &mut Held| held.refused.extend(["PUT".into()]);
    let holding = holding(&late, late.settings(Duration::ZERO), refuse).await;
    let allow = async {
        until(|| late.fake.world().answered >= 3).await;
        let vain = late.status.metrics().publish_retries.get();
        until(|| late.status.metrics().publish_retries.get() >= vain + 2).await;
        late.bucket.held().refused.clear();
    };
    holding.until_ended(allow).await;
    let versions = agreed(&world).await;
    let expected = [
        "id bigint, k string, o struct<a:bigint>",
        "id bigint, k string, o struct<a:bigint,b:bigint>",
        "id bigint, k string, o struct<a:bigint,b:bigint,c:bigint>, z bigint",
    ];
    assert_eq!(columns(&versions), expected);
}

#[tokio::test]
async fn a_checkpoint_cuts_no_sample_short() {
    const JUNK: usize = 50;
    let junk = std::iter::repeat_n(r#"{"k":null}"#.to_owned(), JUNK);
    let records: Vec<String> = junk.chain(numbered(0..10)).collect();
    let world = learning(&records, None).await;
    {
        let mut kinesis = world.fake.world();
        kinesis.shards[0].is_closed = false;
        kinesis.pages = [(JUNK, 0)].into();
    }
    let interval = Duration::from_millis(300);
    let holding = holding(&world, world.settings(interval), |_| ()).await;
    let end = async {
        // The junk is delivered, by a checkpoint that was made while the others were held.
        until(|| {
            let keys = world.bucket.held().keys("errors/");
            keys.iter().any(|key| !key.contains(".firehose"))
        })
        .await;
        let more = [r#"{"id":11,"k":"1","late":1}"#.as_bytes()];
        let longer = world.fake.world().shards[0].clone();
        let longer = longer.with(Clock::system().now_ms(), &more);
        world.fake.world().shards[0] = longer.closed();
    };
    holding.until_ended(end).await;
    let versions = agreed(&world).await;
    assert_eq!(versions.len(), 1, "{versions:#?}");
    assert!(versions[0].columns.contains("late bigint"), "{versions:#?}");
    assert!(
        delivered(&world, &versions)
            .into_iter()
            .eq((0..10).chain([11]))
    );
}
