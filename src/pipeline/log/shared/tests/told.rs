//! Where objects lie, told to a catalog that may be away: what it has not been told of goes from holder to holder.

use super::*;
use crate::catalog::fake::FakeCatalog;

/// Where an object lies, whose URL this is.
pub(super) fn place(object: &str) -> String {
    let end = object.rfind('/').unwrap() + 1;
    object[..end].to_owned()
}

/// Where objects of data lie.
pub(super) fn places(world: &World) -> BTreeSet<String> {
    let keys = world.bucket.held().keys("data/").into_iter();
    keys.map(|key| place(&format!("s3://lake/{key}"))).collect()
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.expect("it comes true");
}

/// Nothing is listed any more of a shard that has ended, and all its places wait.
fn waits_for_the_catalog(lease: &FakeLease) -> bool {
    let durable = lease.durable();
    let body = durable.last().and_then(|(_, body)| body.as_ref());
    body.is_some_and(|body| body.state.ended && body.listed.is_empty() && !body.untold.is_empty())
}

/// A holder that is killed once all that is left of its shard is for the catalog; the body that it leaves.
async fn leave_untold(world: &World, body: Option<BodyName>) -> (BodyName, Body) {
    let catalog = world.catalog.clone().unwrap();
    let (lease, abandoned) = world.lease(Fate::Durable, body.as_ref());
    let is_new = body.is_none();
    let taken = taken(
        Arc::clone(&lease) as Arc<dyn LeaseLog>,
        body.clone(),
        abandoned.clone(),
    );
    let asked = catalog.known().asked;
    let kill = async {
        if is_new {
            until(|| waits_for_the_catalog(&lease)).await;
        }
        // It does not end, however often the catalog does not answer.
        until(|| catalog.known().asked > asked + 3).await;
        abandoned.cancel();
    };
    let (held, ()) = tokio::join!(world.hold(taken, Duration::ZERO), kill);
    held.unwrap();
    let last = lease.durable().pop();
    if let Some((written, Some(found))) = last {
        return (written.body.unwrap(), found);
    }
    let name = body.unwrap();
    let bytes = world.bucket.held().objects[&name.key].1.clone();
    let found = Body::read(&bytes, name.crc64, "one", &name.key).unwrap();
    (name, found)
}

#[tokio::test]
async fn a_shard_that_has_ended_is_not_done_before_the_catalog_knows_all_its_places() {
    let records = records(10);
    let mut world = World::new(shard(&records)).await;
    let catalog = FakeCatalog::answering(0);
    world.catalog = Some(catalog.clone());
    let (name, body) = leave_untold(&world, None).await;
    let urls: BTreeSet<String> = body.untold.iter().map(|place| place.url.clone()).collect();
    assert_eq!(urls, places(&world));
    assert_eq!(urls.len(), 4);
    // Nor for the next, who has nothing else to do; nothing is forgotten meanwhile.
    let (name, again) = leave_untold(&world, Some(name)).await;
    assert_eq!(again.untold, body.untold);
    catalog.known().answers_one_of = 1;
    let (ended, lease) = world.live(Fate::Durable, Some(name), Duration::ZERO).await;
    ended.unwrap();
    let (last, _) = lease.durable().pop().unwrap();
    assert!(last.is_done() && last.body.is_none(), "{last:?}");
    assert_eq!(catalog.known().places, urls);
    assert_delivered(&world.bucket, &records);
}

#[tokio::test]
async fn without_a_catalog_places_stay_in_the_checkpoints_until_the_shard_has_ended() {
    let records = records(10);
    let mut open = shard(&records[..5]);
    open.is_closed = false;
    let mut world = World::new(open).await;
    world.catalog = Some(FakeCatalog::answering(0));
    let (name, left) = stop_once(&world, None, |body| !body.untold.is_empty()).await;
    assert!(!left.state.ended);
    assert_eq!(left.untold.len(), 4);

    // Another machine's config names none yet, or none any more.
    world.catalog = None;
    let more: Vec<&[u8]> = records[5..].iter().map(String::as_bytes).collect();
    let longer = world.fake.world().shards[0].clone();
    world.fake.world().shards[0] = longer.with(Clock::system().now_ms(), &more);
    let is_on = |body: &Body| body.state.position > left.state.position;
    let (name, kept) = stop_once(&world, Some(name), is_on).await;
    assert_eq!(kept.untold, left.untold);

    world.fake.world().shards[0].is_closed = true;
    let (ended, lease) = world.live(Fate::Durable, Some(name), Duration::ZERO).await;
    ended.unwrap();
    let (last, body) = lease.durable().pop().unwrap();
    assert_eq!((last.ended, last.waiting), (true, 4));
    assert_eq!(body.unwrap().untold, left.untold);
    // Nobody else would come to tell them.
    let (ended, lease) = world.live(Fate::Durable, last.body, Duration::ZERO).await;
    ended.unwrap();
    let (last, _) = lease.durable().pop().unwrap();
    assert!(last.is_done() && last.body.is_none(), "{last:?}");
    assert_delivered(&world.bucket, &records);
}

/// A holder that is stopped once its last checkpoint is such a one; the last that it leaves.
async fn stop_once(
    world: &World,
    body: Option<BodyName>,
    is_it: impl Fn(&Body) -> bool,
) -> (BodyName, Body) {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(HostDisk::new(dir.path()).unwrap());
    let settings = Arc::new(world.settings(Duration::ZERO));
    let context = world.context(&disk);
    let kinesis = world.fake.settings(StartSettings::TrimHorizon);
    let place = connect_shared(&settings, "table", &context).await.unwrap();
    let (lease, abandoned) = world.lease(Fate::Durable, body.as_ref());
    let taken = taken(Arc::clone(&lease) as Arc<dyn LeaseLog>, body, abandoned);
    let recovered = open_shared(&settings, &kinesis, disk, &context, place, taken);
    let recovered = recovered.await.unwrap();
    let source = Arc::clone(&recovered.source);
    let is_there = || {
        let durable = lease.durable();
        let last = durable.last().and_then(|(_, body)| body.as_ref());
        last.is_some_and(&is_it)
    };
    let stop = async {
        until(is_there).await;
        source.stop();
    };
    // However long the catalog does not answer.
    let stopped = async { tokio::join!(run(recovered, settings, context), stop) };
    let (ended, ()) = tokio::time::timeout(PATIENCE, stopped)
        .await
        .expect("it ends");
    ended.unwrap();
    let (written, body) = lease.durable().pop().unwrap();
    (written.body.unwrap(), body.unwrap())
}
