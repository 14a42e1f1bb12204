//! Shared checkpoints as a whole: a strict Kinesis, a bucket in memory, and a lease that looks at what
//! it is told to make durable.

mod agreed;
mod followed;
mod lives;
mod told;
mod waiting;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use super::*;
use crate::catalog::fake::FakeCatalog;
use crate::checkpoint::Lane;
use crate::clock::Clock;
use crate::config::StartSettings;
use crate::coordination::{KclCheckpoint, LeaseCheckpoint, LeaseReceipt, Resumed};
use crate::disk::{Disk, DiskOperation, HostDisk, TornDisk};
use crate::error::StreamError;
use crate::pipeline::log::tests::bucket::Bucket;
use crate::pipeline::log::tests::world::{World, assert_delivered, records, shard};
use crate::pipeline::run;
use crate::position::Position;
use crate::shard::{Pending, ShardStart};
use crate::telemetry::StreamStatus as _;

const PATIENCE: Duration = Duration::from_mins(1);

/// What happens when a checkpoint is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It becomes durable.
    Durable,
    /// Somebody else has the lease.
    Lost,
    /// It becomes durable, and the process dies before it learns of it.
    Dies,
}

/// A lease in memory.
#[derive(Debug)]
struct FakeLease {
    bucket: Arc<Bucket>,
    fate: Fate,
    abandoned: CancellationToken,
    /// What is told where objects lie.
    catalog: Option<FakeCatalog>,
    /// What it was taken with: the body, and what that lists.
    before: (Option<BodyName>, Vec<Listed>),
    durable: Mutex<Vec<(LeaseCheckpoint, Option<Body>)>>,
}

impl FakeLease {
    fn durable(&self) -> MutexGuard<'_, Vec<(LeaseCheckpoint, Option<Body>)>> {
        self.durable.lock().unwrap()
    }

    /// Everything that a checkpoint lists is there, whole and invisible, when it is written; what it
    /// lists no more is visible, and the catalog knows where, or will be told.
    fn judge(&self, written: &LeaseCheckpoint, body: Option<&Body>) {
        let held = self.bucket.held();
        let durable = self.durable();
        let listed = body.map_or(&[][..], |body| &body.listed);
        let untold = body.map_or(&[][..], |body| &body.untold);
        assert_eq!(listed.len() + untold.len(), written.waiting);
        let (preceding, kept) = match durable.last() {
            None => self.before.clone(),
            Some((written, body)) => {
                let listed = body.iter().flat_map(|body| body.listed.clone());
                (written.body.clone(), listed.collect())
            }
        };
        if let Some(BodyName { key, .. }) = preceding {
            assert!(held.objects.contains_key(&key), "removed too early");
        }
        let is_new = |one: &&Listed| !kept.contains(one);
        for Listed { object, parts, .. } in listed.iter().filter(is_new) {
            let upload = &held.uploads[object.upload_id.as_ref().unwrap()];
            let lens: Vec<u64> = upload
                .parts
                .values()
                .map(|part| part.len() as u64)
                .collect();
            assert_eq!(lens, parts.iter().map(|part| part.len).collect::<Vec<_>>());
            assert_eq!(lens.iter().sum::<u64>(), object.size);
            assert!(
                !held.objects.contains_key(&object.target.key),
                "published too early"
            );
            assert!(object.extents.is_empty(), "of this machine");
        }
        for Listed { object, .. } in kept.iter().filter(|one| !listed.contains(one)) {
            assert!(
                held.objects.contains_key(&object.target.key),
                "unlisted too early"
            );
            if let Some(catalog) = self.catalog.as_ref().filter(|_| object.lane == Lane::Data) {
                let place = told::place(&object.target.location());
                let is_kept = untold.iter().any(|untold| untold.url == place);
                assert!(
                    is_kept || catalog.known().places.contains(&place),
                    "{place}"
                );
            }
        }
    }
}

impl LeaseLog for FakeLease {
    fn commit<'a>(
        &'a self,
        written: &'a LeaseCheckpoint,
    ) -> Pending<'a, Result<LeaseReceipt<'a>, Lost>> {
        Box::pin(async {
            if self.fate == Fate::Lost {
                let shard = "one".into();
                return Err(Lost { shard });
            }
            let body = written.body.as_ref().map(|name| {
                let bytes = self.bucket.held().objects[&name.key].1.clone();
                Body::read(&bytes, name.crc64, "one", &name.key).unwrap()
            });
            self.judge(written, body.as_ref());
            self.durable().push((written.clone(), body));
            if self.fate == Fate::Dies {
                self.abandoned.cancel();
                std::future::pending::<()>().await;
            }
            Ok(LeaseReceipt::of_a_model(written))
        })
    }
}

impl World {
    /// A lease that was taken with this body, and what ends its holder.
    fn lease(&self, fate: Fate, body: Option<&BodyName>) -> (Arc<FakeLease>, CancellationToken) {
        let before = body.and_then(|BodyName { key, crc64 }| {
            let bytes = self.bucket.held().objects.get(key)?.1.clone();
            Body::read(&bytes, *crc64, "one", key).ok()
        });
        let abandoned = CancellationToken::new();
        let lease = FakeLease {
            bucket: Arc::clone(&self.bucket),
            catalog: self.catalog.clone(),
            before: (body.cloned(), before.map_or(Vec::new(), |body| body.listed)),
            fate,
            abandoned: abandoned.clone(),
            durable: Mutex::default(),
        };
        (Arc::new(lease), abandoned)
    }

    /// One process that holds the lease, from what it was taken with.
    async fn live(
        &self,
        fate: Fate,
        body: Option<BodyName>,
        interval: Duration,
    ) -> (Result<(), StreamError>, Arc<FakeLease>) {
        let (lease, abandoned) = self.lease(fate, body.as_ref());
        let taken = taken(Arc::clone(&lease) as Arc<dyn LeaseLog>, body, abandoned);
        let lived = tokio::time::timeout(PATIENCE, self.hold(taken, interval)).await;
        let state = || (self.status.snapshot(), self.bucket.held().asked.clone());
        let lived = lived.unwrap_or_else(|_| panic!("it does not end: {:?}", state()));
        (lived, lease)
    }

    /// The pipeline of a lease, on a machine of its own.
    async fn hold(&self, taken: Taken, interval: Duration) -> Result<(), StreamError> {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(HostDisk::new(dir.path()).unwrap());
        self.hold_on(disk, taken, interval).await
    }

    async fn hold_on(
        &self,
        disk: Arc<dyn Disk>,
        taken: Taken,
        interval: Duration,
    ) -> Result<(), StreamError> {
        let settings = Arc::new(self.settings(interval));
        let context = self.context(&disk);
        let kinesis = self.fake.settings(StartSettings::TrimHorizon);
        let place = connect_shared(&settings, "table", &context).await?;
        let recovered = open_shared(&settings, &kinesis, disk, &context, place, taken).await?;
        run(recovered, settings, context).await
    }
}

/// What the take of a lease has returned.
fn taken(lease: Arc<dyn LeaseLog>, body: Option<BodyName>, abandoned: CancellationToken) -> Taken {
    Taken {
        lease,
        shard: "one".into(),
        resumed: Resumed {
            body,
            checkpoint: KclCheckpoint::TrimHorizon,
            start: ShardStart::TrimHorizon,
            parents: Vec::new(),
        },
        table: "table".into(),
        failover: Duration::from_millis(10),
        abandoned,
    }
}

#[tokio::test]
async fn a_checkpoint_lists_what_was_sealed_and_nothing_is_published_before_it_is_durable() {
    let records = records(50);
    let world = World::new(shard(&records)).await;
    let (ended, lease) = world.live(Fate::Durable, None, Duration::ZERO).await;
    ended.unwrap();
    assert_delivered(&world.bucket, &records);
    let durable = lease.durable();
    // Each object is listed when it is new; four keys and one error type, at most so often.
    let mut listed = BTreeSet::new();
    let mut count = 0;
    for (_, body) in durable.iter() {
        let body = body.iter().flat_map(|body| &body.listed);
        for one in body.filter(|one| listed.insert(one.object.id)) {
            count += one.object.records;
            assert!(one.range.after < one.range.up_to, "{:?}", one.range);
        }
    }
    assert_eq!(count, 50);
    let (last, body) = durable.last().unwrap();
    assert!(last.ended && last.waiting == 0 && last.body.is_none() && body.is_none());
    let held = world.bucket.held();
    assert!(held.uploads.is_empty());
    assert_eq!(
        held.keys("errors/.firehose/table/one/"),
        [""; 0],
        "bodies are removed"
    );
}

#[tokio::test]
async fn whoever_has_lost_the_lease_publishes_nothing_and_aborts_nothing() {
    let records = records(10);
    let world = World::new(shard(&records)).await;
    let (ended, _) = world.live(Fate::Lost, None, Duration::ZERO).await;
    ended.unwrap();
    let held = world.bucket.held();
    assert_eq!(held.keys("data/"), [""; 0]);
    assert!(
        !held.uploads.is_empty(),
        "what was prepared is left as it is"
    );
    let is_end = |(method, _): &(String, String)| method == "DELETE";
    assert!(!held.asked.iter().any(is_end), "{:?}", held.asked);
}

#[tokio::test]
async fn the_next_holder_publishes_the_list_and_reads_on_behind_it() {
    let records = records(20);
    let world = World::new(shard(&records[..10])).await;
    let (ended, dead) = world.live(Fate::Dies, None, Duration::ZERO).await;
    ended.unwrap();
    assert_eq!(world.bucket.held().keys("data/"), [""; 0]);
    let (written, _) = dead.durable().pop().unwrap();
    assert!(written.position.is_some() && written.waiting > 0);
    let more: Vec<&[u8]> = records[10..].iter().map(String::as_bytes).collect();
    let longer = world.fake.world().shards[0].clone();
    world.fake.world().shards[0] = longer.with(Clock::system().now_ms(), &more);
    let (ended, _) = world
        .live(Fate::Durable, written.body, Duration::ZERO)
        .await;
    ended.unwrap();
    assert_delivered(&world.bucket, &records);
}

#[tokio::test]
async fn what_another_application_has_read_is_left_to_it_and_the_list_is_published_all_the_same() {
    let records = records(20);
    let world = World::new(shard(&records[..10])).await;
    let (_, dead) = world.live(Fate::Dies, None, Duration::ZERO).await;
    let (written, _) = dead.durable().pop().unwrap();
    let more: Vec<&[u8]> = records[10..].iter().map(String::as_bytes).collect();
    let longer = world.fake.world().shards[0].clone();
    world.fake.world().shards[0] = longer.with(Clock::system().now_ms(), &more);
    let (lease, abandoned) = world.lease(Fate::Durable, written.body.as_ref());
    let mut taken = taken(lease, written.body, abandoned);
    taken.resumed.checkpoint = KclCheckpoint::At(Position {
        sequence: "15".parse().unwrap(),
        sub_sequence: 0,
    });
    let held = tokio::time::timeout(PATIENCE, world.hold(taken, Duration::ZERO)).await;
    held.expect("it ends").unwrap();
    let ours: Vec<String> = [&records[..10], &records[15..]].concat();
    assert_delivered(&world.bucket, &ours);
}

#[tokio::test]
async fn a_listed_upload_that_has_vanished_stops_the_shard_and_is_named_with_its_records() {
    let records = records(10);
    let world = World::new(shard(&records)).await;
    let (_, dead) = world.live(Fate::Dies, None, Duration::ZERO).await;
    let (written, body) = dead.durable().pop().unwrap();
    world.bucket.held().uploads.clear();
    let (ended, _) = world
        .live(Fate::Durable, written.body, Duration::ZERO)
        .await;
    let Err(StreamError::LoudStop { cause, .. }) = ended else {
        panic!("{ended:?}");
    };
    let listed = body.unwrap().listed;
    let is_named = |one: &Listed| {
        let upload = one.object.upload_id.as_ref().unwrap();
        cause.contains(&format!(
            "upload {upload} of s3://lake/{}",
            one.object.target.key
        )) && cause.contains(&one.range.to_string())
    };
    assert!(listed.iter().any(is_named), "{cause}");
}

#[tokio::test]
async fn a_body_that_is_missing_or_another_stops_the_shard() {
    let world = World::new(shard(&records(1))).await;
    let (_, dead) = world.live(Fate::Dies, None, Duration::ZERO).await;
    let name = dead.durable()[0].0.body.clone().unwrap();
    for (key, crc64, told) in [
        (
            "errors/.firehose/table/one/none",
            name.crc64,
            "which is not in",
        ),
        (&name.key, name.crc64 ^ 1, "CRC-64"),
    ] {
        let key = key.to_owned();
        let body = Some(BodyName { key, crc64 });
        let (ended, _) = world.live(Fate::Durable, body, Duration::ZERO).await;
        let Err(StreamError::LoudStop { cause, .. }) = ended else {
            panic!("{ended:?}");
        };
        assert!(cause.contains(told), "{cause}");
    }
    assert_eq!(world.bucket.held().keys("data/"), [""; 0]);
}

#[tokio::test]
async fn a_bucket_that_takes_nothing_holds_the_checkpoint_up_and_is_told() {
    let records = records(10);
    let world = World::new(shard(&records)).await;
    let refuse = async {
        while world.fake.world().answered == 0 {
            tokio::task::yield_now().await;
        }
        world.bucket.held().refused.insert("PUT".into());
        while world.status.metrics().publish_retries.get() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.bucket.held().keys("data/"), [""; 0]);
        world.bucket.held().refused.clear();
    };
    let life = world.live(Fate::Durable, None, Duration::from_secs(1));
    let ((ended, _), ()) = tokio::join!(life, refuse);
    ended.unwrap();
    assert_delivered(&world.bucket, &records);
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_spooled_and_listed_whole() {
    let pad = "x".repeat(3000);
    let record = |id: usize| format!(r#"{{"k":"{}","id":"{id:04}","pad":"{pad}"}}"#, id % 3);
    let records: Vec<String> = (0..2500).map(record).collect();
    let world = World::new(shard(&records)).await;
    let (ended, lease) = world
        .live(Fate::Durable, None, Duration::from_hours(1))
        .await;
    ended.unwrap();
    assert_delivered(&world.bucket, &records);
    // When one batch is full, all are sealed.
    let objects = world.bucket.held().keys("data/").len();
    assert!(objects >= 6 && objects % 3 == 0, "{objects} objects");
    let added = lease
        .durable()
        .iter()
        .filter(|(one, _)| one.waiting > 0)
        .count();
    assert!(added * 3 >= objects, "{added} checkpoints");
}

#[tokio::test]
async fn what_this_machine_has_damaged_is_left_to_whoever_holds_the_shard_next() {
    // One object: reads of two at a time would share the damage.
    let records = records(1);
    let world = World::new(shard(&records)).await;
    let (lease, abandoned) = world.lease(Fate::Durable, None);
    let disk = TornDisk::new(1);
    // Once it may be damaged on its way.
    for nth in 1..=2 {
        disk.fail(DiskOperation::Read, nth, std::io::ErrorKind::InvalidData);
    }
    let taken = taken(lease, None, abandoned);
    let holding = world.hold_on(Arc::new(disk), taken, Duration::ZERO);
    let held = tokio::time::timeout(PATIENCE, holding).await;
    let ended = held.expect("it does not try again for ever");
    assert!(matches!(ended, Err(StreamError::State { .. })), "{ended:?}");
    assert_eq!(world.bucket.held().keys("data/"), [""; 0]);
    let (ended, _) = world.live(Fate::Durable, None, Duration::ZERO).await;
    ended.unwrap();
    assert_delivered(&world.bucket, &records);
}
