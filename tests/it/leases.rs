//! Leases against a real `DynamoDB` server, with somebody else's eyes on the table: who takes what, what
//! a checkpoint writes, and who is fenced off.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use firehose::clock::Clock;
use firehose::config::{AwsAccess, CoordinationSettings, Secret, StartSettings};
use firehose::coordination::{
    self, BodyName, KclCheckpoint, Lease, LeaseCheckpoint, LeaseContext, LeaseEvent,
};
use firehose::position::{Position, Sequence};
use firehose::shard::{ListedShard, Listing, Pending, ShardLister, ShardStart, SourceName};
use firehose::telemetry::{CoordinationMetrics, Metrics, SourceHealth};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::{PATIENCE, Site};
use crate::support::dynamodb::{Dynalite, LeaseTable};
use crate::support::proxy::{Fault, Proxy};

/// Short, and still several times what a request takes on a busy machine.
const FAILOVER: Duration = Duration::from_secs(4);

/// A stream whose shards the test names.
#[derive(Clone, Default)]
struct Shards(Arc<Mutex<Vec<ListedShard>>>);

impl Shards {
    fn of(ids: &[&str]) -> Self {
        let shards = Self::default();
        for id in ids {
            shards.add(id, &[]);
        }
        shards
    }

    fn add(&self, id: &str, parents: &[&str]) {
        self.0.lock().unwrap().push(ListedShard {
            id: id.into(),
            parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
            hash_keys: ("0".into(), "340282366920938463463374607431768211455".into()),
            is_closed: false,
        });
    }

    fn forget(&self, id: &str) {
        self.0.lock().unwrap().retain(|shard| &*shard.id != id);
    }
}

impl ShardLister for Shards {
    fn list(&self) -> Pending<'_, Result<Listing, String>> {
        let shards = self.0.lock().unwrap().clone();
        Box::pin(async move {
            Ok(Listing {
                source: SourceName {
                    arn: "arn:aws:kinesis:us-east-1:1:stream/clicks".into(),
                    created_ms: 1,
                },
                shards,
            })
        })
    }
}

/// One worker of the table, in this process.
struct Worker {
    stop: CancellationToken,
    events: mpsc::Receiver<LeaseEvent>,
    metrics: Arc<Metrics>,
    health: Arc<SourceHealth>,
    task: JoinHandle<()>,
}

fn settings(table: &LeaseTable, endpoint: &str) -> CoordinationSettings {
    CoordinationSettings {
        table: table.name.clone(),
        worker: None,
        failover: FAILOVER,
        access: AwsAccess {
            region: Some("us-east-1".into()),
            endpoint: Some(endpoint.into()),
            profile: None,
            access_key_id: Some("firehose-tests".into()),
            secret_access_key: Some(Secret("firehose-tests-secret".into())),
        },
    }
}

impl Worker {
    fn start(name: &str, settings: CoordinationSettings, shards: &Shards) -> Self {
        let (stop, metrics) = (CancellationToken::new(), Arc::new(Metrics::new().unwrap()));
        let (sender, events) = mpsc::channel(100);
        let health = Arc::<SourceHealth>::default();
        let means = LeaseContext {
            noun: "Kinesis stream",
            stream: "clicks".into(),
            start: StartSettings::TrimHorizon,
            clock: Clock::system(),
            metrics: CoordinationMetrics::new(&metrics, "clicks"),
            health: Arc::clone(&health),
            shards: Arc::new(shards.clone()),
        };
        let settings = CoordinationSettings {
            worker: Some(name.into()),
            ..settings
        };
        let task = tokio::spawn(coordination::run(settings, means, stop.clone(), sender));
        Self {
            stop,
            events,
            metrics,
            health,
            task,
        }
    }

    async fn take(&mut self) -> Arc<Lease> {
        let event = within(self.events.recv()).await;
        let Some(LeaseEvent::Taken(lease)) = event else {
            panic!("the task has ended");
        };
        lease
    }

    async fn take_all(&mut self, count: usize) -> Vec<Arc<Lease>> {
        let mut leases = Vec::new();
        while leases.len() < count {
            leases.push(self.take().await);
        }
        leases
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.expect("it has waited for long enough")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn names(leases: &[Arc<Lease>]) -> BTreeSet<String> {
    leases
        .iter()
        .map(|lease| lease.shard().to_string())
        .collect()
}

fn written(body: &str, sequence: u64, waiting: usize) -> LeaseCheckpoint {
    LeaseCheckpoint {
        body: Some(BodyName {
            key: body.into(),
            crc64: u64::MAX - sequence,
        }),
        position: Some(Position {
            sequence: Sequence(sequence).into(),
            sub_sequence: 2,
        }),
        ended: false,
        waiting,
        until_ms: Some(1_000),
    }
}

const LAST: LeaseCheckpoint = LeaseCheckpoint {
    body: None,
    position: None,
    ended: true,
    waiting: 0,
    until_ms: None,
};

#[test]
fn a_fresh_table_is_made_and_a_checkpoint_is_what_kcl_understands() {
    let (table, shards) = (Dynalite::shared().table(), Shards::of(&["a"]));
    shards.add("b", &["a"]);
    runtime().block_on(async {
        let settings = settings(&table, &table.endpoint);
        let mut worker = Worker::start("one", settings.clone(), &shards);
        let lease = worker.take().await;
        assert_eq!(&**lease.shard(), "a");
        assert_eq!(lease.resumed().checkpoint, KclCheckpoint::TrimHorizon);
        assert_eq!(
            (&lease.resumed().body, lease.resumed().start),
            (&None, ShardStart::TrimHorizon)
        );
        within(lease.commit(&written("body-1", 10, 2)))
            .await
            .unwrap();
        let item = table.items()["a"].clone();
        for (name, value) in [
            ("leaseOwner", "one"),
            ("checkpoint", "10"),
            ("checkpointSubSequenceNumber", "2"),
            ("ownerSwitchesSinceCheckpoint", "0"),
            ("firehoseFence", "1"),
            ("firehoseCheckpoint", "1"),
            ("firehoseBody", "body-1"),
            ("firehoseWaiting", "2"),
            ("startingHashKey", "0"),
        ] {
            assert_eq!(item[name], value, "{name}: {item}");
        }
        assert_eq!(table.items()["b"]["parentShardId"], json!(["a"]));
        assert_eq!(table.attribute("b", "checkpoint"), "TRIM_HORIZON");
        // The shard ends with a list; its child is read all the same.
        let ended = LeaseCheckpoint {
            ended: true,
            ..written("body-2", 11, 1)
        };
        within(lease.commit(&ended)).await.unwrap();
        let child = worker.take().await;
        assert_eq!(&**child.shard(), "b");
        assert_eq!(child.resumed().parents, ["a"]);
        within(lease.commit(&LAST)).await.unwrap();
        lease.release().await;
        let item = table.items()["a"].clone();
        assert_eq!(item["checkpoint"], "SHARD_END");
        assert!(
            item.get("firehoseBody").is_none() && item.get("leaseOwner").is_none(),
            "{item}"
        );
        // The stream forgets the shard, and so does the table, when shards are listed next.
        shards.forget("a");
        drop(lease);
        child.release().await;
        drop(child);
        within(async {
            while table.items().get("a").is_some() {
                let again = worker.take().await;
                again.release().await;
            }
        })
        .await;
        let listing = Box::pin(coordination::list(&settings));
        let listed = within(listing).await.unwrap().items;
        assert_eq!(listed.len(), 1);
        assert!(
            worker
                .metrics
                .render()
                .contains("firehose_shared_checkpoints_total{stream=\"clicks\"} 3")
        );
        worker.stop.cancel();
        while let Some(LeaseEvent::Taken(lease)) = within(worker.events.recv()).await {
            lease.release().await;
        }
        within(worker.task).await.unwrap();
        assert_eq!(table.attribute("b", "leaseOwner"), "");
    });
}

#[test]
fn who_takes_over_goes_on_from_the_last_checkpoint_and_fences_the_one_before() {
    let (table, shards) = (Dynalite::shared().table(), Shards::of(&["a"]));
    runtime().block_on(async {
        let settings = settings(&table, &table.endpoint);
        let mut dying = Worker::start("dying", settings.clone(), &shards);
        let zombie = dying.take().await;
        within(zombie.commit(&written("body-1", 10, 2)))
            .await
            .unwrap();
        // It renews no more, but it still stands there.
        dying.task.abort();
        let mut heir = Worker::start("heir", settings, &shards);
        let lease = heir.take().await;
        let resumed = lease.resumed();
        assert_eq!(resumed.body, written("body-1", 10, 2).body);
        let Some(position) = written("", 10, 0).position else {
            panic!("a position is written");
        };
        assert_eq!(resumed.checkpoint, KclCheckpoint::At(position));
        within(zombie.commit(&written("body-2", 20, 0)))
            .await
            .unwrap_err();
        assert!(zombie.lost().is_cancelled());
        zombie.release().await;
        let item = table.items()["a"].clone();
        assert_eq!(
            (&item["leaseOwner"], &item["firehoseFence"]),
            (&json!("heir"), &json!("2"))
        );
        assert_eq!(
            (&item["firehoseBody"], &item["firehoseCheckpoint"]),
            (&json!("body-1"), &json!("1"))
        );
        within(lease.commit(&written("body-3", 15, 0)))
            .await
            .unwrap();
        assert_eq!(table.attribute("a", "checkpoint"), "15");
        heir.stop.cancel();
        within(lease.wanted_back().cancelled()).await;
        lease.release().await;
        within(heir.task).await.unwrap();
    });
}

#[test]
fn a_kcl_worker_that_takes_a_lease_is_respected_and_its_checkpoint_is_where_we_go_on() {
    let (table, shards) = (Dynalite::shared().table(), Shards::of(&["a"]));
    table.create();
    table.set(
        "leader",
        &json!({"entityType": "LEADER", "ownerId": "java"}),
    );
    runtime().block_on(async {
        let mut worker = Worker::start("ours", settings(&table, &table.endpoint), &shards);
        let lease = worker.take().await;
        within(lease.commit(&written("body-1", 10, 1)))
            .await
            .unwrap();
        let kcl = json!({"leaseOwner": "java", "leaseCounter": 1000, "checkpoint": "12",
            "checkpointSubSequenceNumber": 0, "checkpointOwner": "ours"});
        table.set("a", &kcl);
        within(lease.lost().cancelled()).await;
        within(lease.commit(&written("body-2", 20, 0)))
            .await
            .unwrap_err();
        drop(lease);
        // It dies: its counter stands still.
        let lease = worker.take().await;
        let (state, told) = lease.resumed().state(None);
        assert_eq!(state.position.unwrap().sequence, Sequence(12).into());
        assert!(told.is_some());
        assert_eq!(lease.resumed().body, written("body-1", 10, 1).body);
        assert_eq!(table.attribute("a", "checkpointOwner"), "");
        assert_eq!(table.attribute("leader", "ownerId"), "java");
        let page = worker.metrics.render();
        assert!(
            page.contains("firehose_leases_lost_total{stream=\"clicks\"} 1"),
            "{page}"
        );
        assert!(
            page.contains("firehose_leases_taken_total{stream=\"clicks\"} 2"),
            "{page}"
        );
    });
}

#[test]
fn a_checkpoint_is_written_once_however_many_replies_are_lost() {
    let server = Dynalite::shared();
    let (table, shards) = (server.table(), Shards::of(&["a"]));
    runtime().block_on(async {
        let mix = [
            (Fault::ResetAfter, 25),
            (Fault::ResetBefore, 5),
            (Fault::InternalError, 5),
        ];
        let proxy = Proxy::start(server.address(), 7, &mix);
        let mut worker = Worker::start("one", settings(&table, &proxy.endpoint()), &shards);
        let lease = worker.take().await;
        for number in 1..=30 {
            let body = format!("body-{number}");
            within(lease.commit(&written(&body, number, 0)))
                .await
                .unwrap();
        }
        assert_eq!(table.attribute("a", "firehoseCheckpoint"), "30");
        assert_eq!(table.attribute("a", "firehoseBody"), "body-30");
        assert!(!lease.lost().is_cancelled());
    });
}

#[test]
fn leases_are_spread_over_who_is_there_and_handed_over_by_who_leaves() {
    let ids = ["a", "b", "c", "d", "e", "f"];
    let (table, shards) = (Dynalite::shared().table(), Shards::of(&ids));
    runtime().block_on(async {
        let settings = settings(&table, &table.endpoint);
        let mut one = Worker::start("one", settings.clone(), &shards);
        let mut first = one.take_all(6).await;
        let mut two = Worker::start("two", settings, &shards);
        let second = two.take_all(3).await;
        for lease in first
            .iter()
            .filter(|lease| names(&second).contains(&**lease.shard()))
        {
            within(lease.lost().cancelled()).await;
        }
        first.retain(|lease| !lease.lost().is_cancelled());
        assert_eq!(first.len(), 3);
        // A stop asks for all of them; they are free for others at once.
        one.stop.cancel();
        let left = names(&first);
        for lease in first {
            within(lease.wanted_back().cancelled()).await;
            within(lease.release()).await;
        }
        within(one.task).await.unwrap();
        let third = two.take_all(3).await;
        assert_eq!(names(&third), left);
        assert!(
            two.metrics
                .render()
                .contains("firehose_leases{stream=\"clicks\"} 6")
        );
    });
}

#[test]
fn a_worker_that_has_failed_leaves_the_lease_to_others_and_takes_what_none_of_them_wants() {
    let (table, shards) = (Dynalite::shared().table(), Shards::of(&["a"]));
    runtime().block_on(async {
        let settings = settings(&table, &table.endpoint);
        let mut sick = Worker::start("sick", settings.clone(), &shards);
        let (mut begun, mut rest) = (Instant::now(), Duration::ZERO);
        for time in 1..=2 {
            // Nobody else is there.
            let lease = sick.take().await;
            assert!(begun.elapsed() >= rest, "it rests");
            begun = Instant::now();
            rest = lease.failed("no room".into());
            assert_eq!(rest, FAILOVER * time);
            lease.release().await;
        }
        assert_eq!(sick.health.stall().unwrap(), "no room");
        let mut well = Worker::start("well", settings, &shards);
        let lease = well.take().await;
        assert_eq!(lease.failed("a hiccup".into()), FAILOVER);
        lease.release().await;
        let lease = within(async {
            tokio::select! {
                lease = sick.take() => lease,
                lease = well.take() => lease,
            }
        });
        let lease = lease.await;
        within(lease.commit(&written("body-1", 10, 0)))
            .await
            .unwrap();
        // One of them has shown that it is well, and nothing is wanted of the other.
        within(async {
            while sick
                .health
                .stall()
                .or_else(|| well.health.stall())
                .is_some()
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}

#[test]
fn the_state_of_a_shared_stream_is_listed_from_the_table_alone() {
    let table = Dynalite::shared().table();
    table.create();
    let common = json!({"leaseCounter": 3, "checkpointSubSequenceNumber": 2});
    for (shard, owner, checkpoint, waiting) in [
        ("shardId-0", None, "SHARD_END", 2),
        ("shardId-1", Some("java"), "4711", 0),
    ] {
        table.set(shard, &common);
        let told = json!({"checkpoint": checkpoint, "firehoseWaiting": waiting,
            "leaseOwner": owner, "parentShardId": ["shardId-9"]});
        table.set(shard, &told);
    }
    table.set("shardId-2", &common);
    let lines = table.lines(&table.endpoint);
    let site = Site::new(&format!(
        r#"
[stream.clicks.source]
type = "kinesis"
stream = "clicks"
region = "us-east-1"
access_key_id = "firehose-tests"
secret_access_key = "firehose-tests-secret"
{lines}
[stream.clicks.destination]
type = "s3"
bucket = "lake"
"#
    ));
    let listed = site.command(&["state", "list"]).done();
    let expected = format!(
        "clicks (shared by lease table {})\n   2 shards, 1 read to the end; 2 objects wait \
         to be published\n   open partitions are in no table: the status page of each daemon counts its \
         own\n   shardId-0 of nobody: ended, after shardId-9, 2 \
         objects wait\n   shardId-1 of java: 4711, record 2 of the aggregate, after shardId-9\n   \
         the lease of shardId-2 has no readable checkpoint: mend the item\n",
        table.name
    );
    assert_eq!(listed, expected);
    assert!(!site.path("data").exists(), "nothing of it is kept here");
}
