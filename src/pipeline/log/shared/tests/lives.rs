//! Many holders of one lease, one after the other and at the same time: each dies at some checkpoint, or
//! is left to go on after another has taken the lease from it.

use super::*;
use crate::format::Columns;

/// Seeds of one run.
const SEEDS: u64 = 6;
/// Takes of the lease before the last.
const TAKES: u32 = 6;
/// Records that come between two of them.
const MORE: usize = 12;

/// What the lease's item says.
#[derive(Debug, Default)]
struct Item {
    fence: u64,
    last: LeaseCheckpoint,
}

/// One that has taken the lease.
#[derive(Debug)]
struct Holder {
    item: Arc<Mutex<Item>>,
    fence: u64,
    abandoned: CancellationToken,
    random: Mutex<fastrand::Rng>,
    /// It dies in this checkpoint of its own, before or after that is durable.
    dies_in: u32,
    made: tokio::sync::watch::Sender<u32>,
}

impl Holder {
    /// Takes the lease; gives what the take returns.
    fn take(item: &Arc<Mutex<Item>>, seed: u64, dies_in: u32) -> (Arc<Self>, LeaseCheckpoint) {
        let mut taken = item.lock().unwrap();
        taken.fence += 1;
        let holder = Self {
            item: Arc::clone(item),
            fence: taken.fence,
            abandoned: CancellationToken::new(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            dies_in,
            made: tokio::sync::watch::Sender::new(0),
        };
        (Arc::new(holder), taken.last.clone())
    }

    fn random(&self, below: u64) -> u64 {
        self.random.lock().unwrap().u64(..below)
    }

    /// The conditional write.
    fn write<'a>(&self, written: &'a LeaseCheckpoint) -> Result<LeaseReceipt<'a>, Lost> {
        let mut item = self.item.lock().unwrap();
        if item.fence != self.fence {
            let shard = "one".into();
            return Err(Lost { shard });
        }
        item.last = written.clone();
        Ok(LeaseReceipt::of_a_model(written))
    }
}

impl LeaseLog for Holder {
    fn commit<'a>(
        &'a self,
        written: &'a LeaseCheckpoint,
    ) -> Pending<'a, Result<LeaseReceipt<'a>, Lost>> {
        Box::pin(async {
            for _ in 0..self.random(50) {
                tokio::task::yield_now().await;
            }
            self.made.send_modify(|made| *made += 1);
            if *self.made.borrow() == self.dies_in {
                if self.random(2) == 0 {
                    let _ = self.write(written);
                }
                self.abandoned.cancel();
                std::future::pending::<()>().await;
            }
            self.write(written)
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dies_or_goes_on_too_long_every_record_is_visible_once() {
    let mut worlds = tokio::task::JoinSet::new();
    for seed in 0..SEEDS {
        worlds.spawn(pass_on(seed, seed % 2 == 1));
    }
    worlds.join_all().await;
}

/// Holders come and go. Where they learn columns, records ask for more of these under way.
async fn pass_on(seed: u64, learns: bool) {
    let mut random = fastrand::Rng::with_seed(seed);
    let count = MORE * (TAKES as usize + 1);
    let numbers = || (0..count as u64).map(|place| place * 11);
    let records = if learns {
        agreed::numbered(numbers())
    } else {
        records(count)
    };
    let mut coming = records.chunks(MORE);
    let mut open = shard(coming.next().unwrap());
    open.is_closed = false;
    let mut world = World::new(open).await;
    world.learns = learns;
    let catalog = FakeCatalog::answering(2);
    world.catalog = Some(catalog.clone());
    let world = Arc::new(world);
    let item = Arc::default();
    let mut lives = tokio::task::JoinSet::new();
    let begin = |lives: &mut tokio::task::JoinSet<_>, dies_in, seed| {
        let (holder, last) = Holder::take(&item, seed, dies_in);
        let mut made = holder.made.subscribe();
        let abandoned = holder.abandoned.clone();
        let taken = taken(holder, last.body, abandoned);
        let world = Arc::clone(&world);
        let life = lives.spawn(async move {
            let interval = Duration::from_millis(20);
            let lived = tokio::time::timeout(PATIENCE, world.hold(taken, interval)).await;
            lived.expect("it ends").unwrap();
        });
        (life, async move {
            // It may end before.
            let _ = made.wait_for(|made| *made > 0).await;
        })
    };
    for more in coming {
        let dies_in = random.u32(1..4);
        let (_, has_begun) = begin(&mut lives, dies_in, random.u64(..));
        has_begun.await;
        let more: Vec<&[u8]> = more.iter().map(String::as_bytes).collect();
        let mut stream = world.fake.world();
        let longer = stream.shards[0].clone();
        stream.shards[0] = longer.with(Clock::system().now_ms(), &more);
    }
    world.fake.world().shards[0].is_closed = true;
    let last = begin(&mut lives, u32::MAX, seed).0;
    while !last.is_finished() {
        lives.join_next().await.unwrap().unwrap();
    }
    // Those that do not know yet that they have lost it learn it by their next checkpoint.
    while let Some(ended) = lives.join_next().await {
        ended.unwrap();
    }
    assert!(item.lock().unwrap().last.is_done());
    assert_eq!(catalog.known().places, told::places(&world), "seed {seed}");
    if learns {
        let versions = agreed::agreed(&world).await;
        let delivered = agreed::delivered(&world, &versions);
        assert!(delivered.into_iter().eq(numbers()), "seed {seed}");
        // Whichever versions the objects have, and whoever has told last, the table takes the newest.
        let newest = Columns::parse(&versions.last().unwrap().columns).unwrap();
        let join = newest.joined_to(&catalog.known().columns, &[]);
        assert!(join.conflicts.is_empty(), "seed {seed}: {join:?}");
    } else {
        assert_delivered(&world.bucket, &records);
    }
}

#[tokio::test]
async fn a_stop_leaves_a_shard_as_it_is_where_the_bucket_wants_a_person() {
    let world = World::new(shard(&records(10))).await;
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(HostDisk::new(dir.path()).unwrap());
    let settings = Arc::new(world.settings(Duration::ZERO));
    let context = world.context(&disk);
    let kinesis = world.fake.settings(StartSettings::TrimHorizon);
    let place = connect_shared(&settings, "table", &context).await.unwrap();
    world.bucket.held().denied.insert("PUT".into());
    let (lease, abandoned) = world.lease(Fate::Durable, None);
    let taken = taken(Arc::clone(&lease) as Arc<dyn LeaseLog>, None, abandoned);
    let recovered = open_shared(&settings, &kinesis, disk, &context, place, taken);
    let recovered = recovered.await.unwrap();
    let source = Arc::clone(&recovered.source);
    let stop = async {
        while world.status.metrics().publish_retries.get() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        source.stop();
    };
    let stopped = async { tokio::join!(run(recovered, settings, context), stop) };
    let (ended, ()) = tokio::time::timeout(PATIENCE, stopped)
        .await
        .expect("it ends");
    ended.unwrap();
    assert!(lease.durable().is_empty(), "nothing was made durable");
    assert_eq!(world.bucket.held().keys("data/"), [""; 0]);
}
