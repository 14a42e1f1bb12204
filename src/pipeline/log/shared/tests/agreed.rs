//! Columns that holders of several shards learn at once: one chain of them in the bucket, whoever dies, and every object has
//! one of its versions.

use super::*;
use crate::config::{BufferingSettings, StreamSettings};
use crate::format::Columns;
use crate::pipeline::log::shared::agreed_versions;
use crate::pipeline::log::tests::bucket::Held;
use crate::pipeline::tests::learned::{ids_of_rows, new_field};
use crate::schema::SchemaVersion;
use crate::source::Handle;

pub(super) const SCHEMA: &str = "errors/.firehose/table/schema/";

/// Records of these numbers, some of which have fields that none had before.
pub(super) fn numbered(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    let record = |id: u64| {
        let more = new_field(id).map_or_else(String::new, |new| format!(r#","{new}":{id}"#));
        format!(r#"{{"id":{id},"k":"{}"{more}}}"#, id % 2)
    };
    numbers.map(record).collect()
}

/// A shard of its own, beside those that have the bucket already.
pub(super) async fn learning(records: &[String], beside: Option<&World>) -> World {
    let mut world = World::new(shard(records)).await;
    world.learns = true;
    if let Some(other) = beside {
        world.bucket = Arc::clone(&other.bucket);
    }
    world
}

pub(super) async fn agreed(world: &World) -> Vec<SchemaVersion> {
    let settings = world.settings(Duration::ZERO);
    agreed_versions(&settings, "table").await.unwrap()
}

/// The numbers of all records that are visible, sorted. Each object has the columns of a version.
pub(super) fn delivered(world: &World, versions: &[SchemaVersion]) -> Vec<u64> {
    let header = |version: &SchemaVersion| {
        let columns = Columns::parse(&version.columns).unwrap();
        columns.names().collect::<Vec<_>>().join(",")
    };
    let headers: Vec<String> = versions.iter().map(header).collect();
    let held = world.bucket.held();
    let mut ids = Vec::new();
    for key in held.keys("data/") {
        let text = String::from_utf8(held.objects[&key].1.to_vec()).unwrap();
        let first = text.lines().next().unwrap().to_owned();
        assert!(headers.contains(&first), "{first} is none of {headers:?}");
        ids.extend(ids_of_rows(&text));
    }
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holders_that_learn_at_once_agree_on_one_chain_and_each_object_has_a_version_of_it() {
    let (even, odd) = (0..700).partition::<Vec<u64>, _>(|id| id % 4 < 2);
    let even = learning(&numbered(even.into_iter()), None).await;
    let odd = learning(&numbered(odd.into_iter()), Some(&even)).await;
    let interval = Duration::from_millis(20);
    let ((died, lease), (ended, _)) = tokio::join!(
        even.live(Fate::Dies, None, interval),
        odd.live(Fate::Durable, None, interval)
    );
    died.unwrap();
    ended.unwrap();
    let body = lease
        .durable()
        .last()
        .and_then(|(last, _)| last.body.clone());
    let (ended, _) = even.live(Fate::Durable, body, interval).await;
    ended.unwrap();
    let first = agreed(&even).await.len();
    assert!(first <= 2, "of the same fields: {first}");
    // What comes later has more fields, for both of them at once.
    for from in [1000, 2000] {
        let one = learning(&numbered(from..from + 100), Some(&even)).await;
        let other = learning(&numbered(from + 300..from + 400), Some(&even)).await;
        let ((ended, _), (other_ended, _)) = tokio::join!(
            one.live(Fate::Durable, None, interval),
            other.live(Fate::Durable, None, interval)
        );
        ended.unwrap();
        other_ended.unwrap();
    }
    let versions = agreed(&even).await;
    assert!(versions.len() >= first + 2, "{versions:#?}");
    assert_eq!(versions, agreed(&odd).await);
    let numbers: Vec<u32> = versions.iter().map(|version| version.version).collect();
    assert!(
        numbers
            .iter()
            .copied()
            .eq(1..=u32::try_from(numbers.len()).unwrap()),
        "{numbers:?}"
    );
    assert_eq!(even.bucket.held().keys(SCHEMA).len(), numbers.len());
    let all = [0..700, 1000..1100, 1300..1400, 2000..2100, 2300..2400];
    assert!(
        delivered(&even, &versions)
            .into_iter()
            .eq(all.into_iter().flatten())
    );
    // Who comes later begins with the newest, and what it needs is in it.
    let before = even.bucket.held().keys("data/");
    let late = learning(&numbered(700..701), Some(&even)).await;
    let (ended, _) = late.live(Fate::Durable, None, interval).await;
    ended.unwrap();
    assert_eq!(agreed(&even).await, versions);
    even.bucket
        .held()
        .objects
        .retain(|key, _| !before.contains(key));
    assert_eq!(delivered(&even, &versions[versions.len() - 1..]), [700]);
}

/// A pipeline that has its bucket.
pub(super) struct Holding {
    source: Arc<dyn Handle>,
    pub(super) lease: Arc<FakeLease>,
    pub(super) running: Pending<'static, Result<(), StreamError>>,
}

impl Holding {
    /// Runs until it ends, which `drive` brings about.
    pub(super) async fn until_ended(self, drive: impl Future<Output = ()>) -> Arc<FakeLease> {
        let both = async { tokio::join!(self.running, drive) };
        let ended = tokio::time::timeout(PATIENCE, both).await;
        ended.expect("it ends").0.unwrap();
        self.lease
    }
}

/// One whose bucket does as it is told from now on: it takes nothing, or the credentials may not.
async fn hindered(world: &World, hinder: impl Fn(&mut Held)) -> Holding {
    holding(world, world.settings(Duration::ZERO), hinder).await
}

pub(super) async fn holding(
    world: &World,
    settings: StreamSettings,
    hinder: impl Fn(&mut Held),
) -> Holding {
    let disk: Arc<dyn Disk> = Arc::new(TornDisk::new(1));
    let settings = Arc::new(settings);
    let context = world.context(&disk);
    let kinesis = world.fake.settings(StartSettings::TrimHorizon);
    let place = connect_shared(&settings, "table", &context).await.unwrap();
    hinder(&mut world.bucket.held());
    let (lease, abandoned) = world.lease(Fate::Durable, None);
    let taken = taken(Arc::clone(&lease) as Arc<dyn LeaseLog>, None, abandoned);
    let recovered = open_shared(&settings, &kinesis, disk, &context, place, taken);
    let recovered = recovered.await.unwrap();
    Holding {
        source: Arc::clone(&recovered.source),
        lease,
        running: Box::pin(run(recovered, settings, context)),
    }
}

/// Waits until a version was put in vain.
pub(super) async fn until_in_vain(world: &World, times: u64) {
    while world.status.metrics().publish_retries.get() < times {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let applied = world.status.metrics().read_records.get();
    assert_eq!(applied, 0, "they are applied");
    assert_eq!(world.bucket.held().keys(SCHEMA), [""; 0]);
}

#[tokio::test]
async fn what_waits_for_columns_is_applied_when_the_bucket_has_them_and_not_before() {
    let world = learning(&numbered(0..40), None).await;
    let refuse = |held: &mut Held| held.refused.extend(["PUT".into()]);
    let holding = hindered(&world, refuse).await;
    let allow = async {
        until_in_vain(&world, 2).await;
        world.bucket.held().refused.clear();
    };
    holding.until_ended(allow).await;
    let versions = agreed(&world).await;
    assert_eq!(versions.len(), 1);
    assert!(delivered(&world, &versions).into_iter().eq(0..40));
}

#[tokio::test]
async fn a_stop_leaves_what_waits_for_columns_where_the_bucket_wants_a_person() {
    let world = learning(&numbered(0..40), None).await;
    let deny = |held: &mut Held| held.denied.extend(["PUT".into()]);
    let holding = hindered(&world, deny).await;
    let source = Arc::clone(&holding.source);
    let stop = async {
        until_in_vain(&world, 1).await;
        source.stop();
    };
    let lease = holding.until_ended(stop).await;
    assert!(lease.durable().is_empty(), "nothing was made durable");
    world.bucket.held().denied.clear();
    let (ended, _) = world.live(Fate::Durable, None, Duration::ZERO).await;
    ended.unwrap();
    let versions = agreed(&world).await;
    assert!(delivered(&world, &versions).into_iter().eq(0..40));
}

/// Waits until Kinesis has answered so many requests for records.
async fn until_answered(world: &World, answered: usize) {
    while world.fake.world().answered < answered {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until Kinesis has answered so many requests for records, and then until so many more were put or read in vain.
async fn until_held(world: &World, answered: usize) {
    until_answered(world, answered).await;
    let vain = world.status.metrics().publish_retries.get();
    until_in_vain(world, vain + 2).await;
}

#[tokio::test]
async fn what_comes_behind_a_sample_of_junk_has_the_columns_that_come_of_it() {
    const JUNK: usize = 50;
    // No partition, and no columns; the first of them fills a batch of errors.
    let junk = std::iter::repeat_n(r#"{"k":null}"#.to_owned(), JUNK);
    let records: Vec<String> = junk.chain(numbered(0..40)).collect();
    let world = learning(&records, None).await;
    world.fake.world().pages = [(JUNK, 0)].into();
    let interval = Duration::from_hours(1);
    let settings = StreamSettings {
        buffering: BufferingSettings::new(1 << 10, interval),
        ..world.settings(interval)
    };
    let holding = holding(&world, settings, |_| ()).await;
    world.bucket.held().refused.insert("GET".into());
    let allow = async {
        until_held(&world, 2).await;
        world.bucket.held().refused.clear();
    };
    holding.until_ended(allow).await;
    let versions = agreed(&world).await;
    assert_eq!(versions.len(), 1);
    assert!(delivered(&world, &versions).into_iter().eq(0..40));
    let held = world.bucket.held();
    let errors = held.keys("errors/").into_iter();
    let errors = errors.filter(|key| !key.contains(".firehose"));
    let lines: usize = errors.map(|key| held.lines(&key).len()).sum();
    assert_eq!(lines, JUNK);
}

#[tokio::test]
async fn a_stop_leaves_a_sample_that_is_not_full_to_whoever_takes_the_shard() {
    let world = learning(&numbered(0..10), None).await;
    world.fake.world().shards[0].is_closed = false;
    let holding = hindered(&world, |_| ()).await;
    let source = Arc::clone(&holding.source);
    let stop = async {
        until_answered(&world, 2).await;
        source.stop();
    };
    let lease = holding.until_ended(stop).await;
    let is_passed = |(written, _): &(LeaseCheckpoint, _)| written.position.is_some();
    assert!(!lease.durable().iter().any(is_passed), "they are applied");
    assert_eq!(world.bucket.held().keys(SCHEMA), [""; 0]);
    world.fake.world().shards[0].is_closed = true;
    let (ended, _) = world.live(Fate::Durable, None, Duration::ZERO).await;
    ended.unwrap();
    let versions = agreed(&world).await;
    assert_eq!(versions.len(), 1);
    assert!(delivered(&world, &versions).into_iter().eq(0..10));
}

#[tokio::test]
async fn a_sample_of_a_shard_that_is_forgotten_under_way_is_learned_from_and_delivered() {
    let world = learning(&numbered(0..10), None).await;
    world.fake.world().shards[0].is_closed = false;
    let forget = async {
        until_answered(&world, 2).await;
        world.fake.world().shards.clear();
    };
    let lease = hindered(&world, |_| ()).await.until_ended(forget).await;
    let is_early =
        |(written, _): &(LeaseCheckpoint, _)| written.ended && written.position.is_none();
    assert!(
        !lease.durable().iter().any(is_early),
        "an end without its records"
    );
    let versions = agreed(&world).await;
    assert!(delivered(&world, &versions).into_iter().eq(0..10));
}

#[tokio::test]
async fn a_store_that_overwrites_or_a_version_that_was_changed_is_a_loud_stop() {
    let stop = async |world: &World| {
        let (ended, _) = world.live(Fate::Durable, None, Duration::ZERO).await;
        match ended {
            Err(StreamError::LoudStop { cause, .. }) => cause,
            other => panic!("{other:?}"),
        }
    };
    let world = learning(&numbered(0..10), None).await;
    world.bucket.held().overwrites = true;
    let told = stop(&world).await;
    assert!(told.contains("does not honour If-None-Match"), "{told}");
    world.bucket.held().overwrites = false;
    let (ended, _) = world.live(Fate::Durable, None, Duration::ZERO).await;
    ended.unwrap();
    let key = format!("{SCHEMA}0000000001");
    let changed = {
        let mut held = world.bucket.held();
        let (id, body) = held.objects[&key].clone();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let changed = text.replace("id bigint", "id string");
        assert_ne!(changed, text);
        held.objects.insert(key.clone(), (id, changed.into()));
        text
    };
    let told = stop(&world).await;
    assert!(
        told.contains(&key) && told.contains("its columns are"),
        "{told}"
    );
    let later = changed.replacen("\"version\":1", "\"version\":2", 1);
    let object = (String::new(), later.into());
    world.bucket.held().objects.insert(key, object);
    let told = stop(&world).await;
    assert!(told.contains("layout 2"), "{told}");
}

#[tokio::test]
async fn a_lease_that_is_lost_while_versions_are_put_in_vain_leaves_all_to_the_next_holder() {
    let world = learning(&numbered(0..40), None).await;
    let refuse = |held: &mut Held| held.refused.extend(["PUT".into()]);
    let holding = hindered(&world, refuse).await;
    let abandoned = holding.lease.abandoned.clone();
    let lose = async {
        until_in_vain(&world, 1).await;
        abandoned.cancel();
    };
    let lease = holding.until_ended(lose).await;
    assert!(lease.durable().is_empty(), "nothing was made durable");
    world.bucket.held().refused.clear();
    let (ended, _) = world.live(Fate::Durable, None, Duration::ZERO).await;
    ended.unwrap();
    let versions = agreed(&world).await;
    assert_eq!(versions.len(), 1);
    assert!(delivered(&world, &versions).into_iter().eq(0..40));
}

/// A shard with three versions behind it, and the body of the last checkpoint that was made with them.
async fn with_three_versions() -> (World, BodyName) {
    let mut open = shard(&[]);
    open.is_closed = false;
    let mut world = World::new(open).await;
    world.learns = true;
    let mut body = None;
    for from in [0, 1000, 2000] {
        let more = numbered(from..from + 100);
        let more: Vec<&[u8]> = more.iter().map(String::as_bytes).collect();
        let longer = world.fake.world().shards[0].clone();
        world.fake.world().shards[0] = longer.with(Clock::system().now_ms(), &more);
        // It dies when that is durable, before the shard's end.
        let (ended, lease) = world.live(Fate::Dies, body.take(), Duration::ZERO).await;
        ended.unwrap();
        let (last, written) = lease.durable().last().cloned().unwrap();
        body = last.body;
        let pinned = written.and_then(|body| body.schema).unwrap();
        let newest = agreed(&world).await.pop().unwrap();
        assert_eq!(
            (pinned.version, pinned.hash),
            (newest.version, newest.hash())
        );
        assert_eq!(pinned.chain.as_deref(), Some(SCHEMA));
    }
    assert_eq!(agreed(&world).await.len(), 3);
    (world, body.unwrap())
}

#[tokio::test]
async fn a_version_that_is_gone_or_another_is_a_loud_stop_of_a_shard_with_a_checkpoint() {
    let (world, body) = with_three_versions().await;
    let open_below = async |error_prefix: &str| {
        let disk: Arc<dyn Disk> = Arc::new(TornDisk::new(1));
        let mut settings = world.settings(Duration::ZERO);
        settings.destination.error_prefix = Some(error_prefix.into());
        let settings = Arc::new(settings);
        let context = world.context(&disk);
        let kinesis = world.fake.settings(StartSettings::TrimHorizon);
        let place = connect_shared(&settings, "table", &context).await?;
        let (lease, abandoned) = world.lease(Fate::Durable, Some(&body));
        let taken = taken(lease as Arc<dyn LeaseLog>, Some(body.clone()), abandoned);
        let opened = open_shared(&settings, &kinesis, disk, &context, place, taken);
        opened.await.map(drop)
    };
    let open = async || open_below("errors/!{firehose:error-output-type}/").await;
    open().await.unwrap();
    let all: Vec<(String, (String, axum::body::Bytes))> = {
        let held = world.bucket.held();
        let keys = held.keys(SCHEMA).into_iter();
        keys.map(|key| (key.clone(), held.objects[&key].clone()))
            .collect()
    };
    let stops = |ended: Result<(), StreamError>, key: &str| match ended {
        Err(StreamError::LoudStop { cause, advice }) => {
            assert!(cause.contains(key), "{key}: {cause}");
            advice
        }
        other => panic!("{key}: {other:?}"),
    };
    for (key, object) in &all {
        world.bucket.held().objects.remove(key);
        let advice = stops(open().await, &format!("{key} is gone"));
        assert!(advice.contains("expiration"), "{advice}");
        world
            .bucket
            .held()
            .objects
            .insert(key.clone(), object.clone());
        open().await.unwrap();
    }
    // They are looked for elsewhere.
    let advice = stops(
        open_below("failed/").await,
        "failed/.firehose/table/schema/",
    );
    let told = format!("copy what is below {SCHEMA} to failed/.firehose/table/schema/");
    assert!(
        advice.contains(&told) && !advice.contains("expiration"),
        "{advice}"
    );
    // The last one is another: of the same number, and as good.
    let (key, (id, bytes)) = &all[2];
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut link: serde_json::Value = serde_json::from_str(&text).unwrap();
    let columns = link["schema"]["columns"].as_str().unwrap().to_owned() + ", other int";
    link["hash"] = crate::schema::hash(&columns).into();
    link["schema"]["columns"] = columns.into();
    let other = (id.clone(), link.to_string().into());
    world.bucket.held().objects.insert(key.clone(), other);
    stops(open().await, &format!("{key} has the columns"));
    // Somebody gives it up, and all the others.
    for (key, _) in &all {
        world.bucket.held().objects.remove(key);
    }
    let advice = stops(open().await, &format!("{} is gone", all[0].0));
    let given_up = advice.rsplit(' ').next().unwrap().to_owned();
    assert!(given_up.starts_with(key), "{advice}");
    let empty = (String::new(), axum::body::Bytes::new());
    world.bucket.held().objects.insert(given_up, empty);
    open().await.unwrap();
}

#[tokio::test]
async fn of_many_versions_the_last_are_found() {
    let world = learning(&numbered(0..1), None).await;
    for count in [1_u32, 2, 3, 64, 127, 130] {
        for number in 1..=count {
            let columns: Vec<String> = (1..=number)
                .map(|column| format!("c{column} int"))
                .collect();
            let columns = columns.join(", ");
            let schema = serde_json::json!({"version": number, "at_ms": 7, "columns": columns});
            let hash = crate::schema::hash(&columns);
            let claim = uuid::Uuid::nil();
            let link =
                serde_json::json!({"version": 1, "claim": claim, "hash": hash, "schema": schema});
            let object = (String::new(), link.to_string().into());
            let key = format!("{SCHEMA}{number:010}");
            world.bucket.held().objects.insert(key, object);
        }
        let versions = agreed(&world).await;
        let numbers = versions.iter().map(|version| version.version);
        let first = (count + 1).saturating_sub(SchemaVersion::KEPT).max(1);
        assert!(numbers.eq(first..=count), "of {count}");
    }
}
