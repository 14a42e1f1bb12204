//! Keeps a stream running that several machines share: a pipeline for each shard whose lease is held,
//! begun when it is taken, and given back when it has ended.

#![expect(
    clippy::disallowed_methods,
    reason = "what is given up stays ours for a moment"
)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::checkpoint::{MIRROR, STORE};
use crate::config::{CoordinationSettings, SourceSettings, StreamSettings};
use crate::coordination::{self, Lease, LeaseContext, LeaseEvent};
use crate::destination::Destination;
use crate::disk::Disk;
use crate::error::{StreamError, with_causes};
use crate::pipeline::{self, LeaseLog, SCRATCH, SharedPlace, StreamContext, Taken};
use crate::registry;
use crate::shard::ShardId;
use crate::source::Shareable;
use crate::telemetry::{CoordinationMetrics, StreamState};

/// Time for a pipeline to come to rest once its lease must go.
const LAST_MOMENT: Duration = Duration::from_secs(1);

const DAY_MS: i64 = 86_400_000;

/// A shared stream.
pub(super) struct SharedStream {
    pub(super) settings: Arc<StreamSettings>,
    pub(super) coordination: CoordinationSettings,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) context: StreamContext,
    /// Time runs short: leases are given back as they are.
    pub(super) hurry: CancellationToken,
}

impl SharedStream {
    /// Runs until `stop`, then until all leases are given back. False: a shard has stopped loudly. An
    /// error comes before any lease is taken.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<bool, StreamError> {
        self.check_state()?;
        self.clear(SCRATCH.into()).await?;
        let table = &self.coordination.table;
        let connecting = pipeline::connect_shared(&self.settings, table, &self.context);
        let place = tokio::select! {
            connected = connecting => connected?,
            () = stop.cancelled() => return Ok(true),
        };
        let _looking = AbortOnDropHandle::new(tokio::spawn(look_at_rules(
            self.settings.name.clone(),
            self.settings.source.clone(),
            place.destination().clone(),
        )));
        let (events, mut taken) = mpsc::channel(1);
        let leases = coordination::run(
            self.coordination.clone(),
            self.lease_context(),
            stop,
            events,
        );
        let (mut holding, mut clean) = (JoinSet::new(), true);
        tokio::pin!(leases);
        loop {
            tokio::select! {
                () = &mut leases => break,
                Some(LeaseEvent::Taken(lease)) = taken.recv() => {
                    let (stream, place) = (Arc::clone(&self), place.clone());
                    holding.spawn(async move { stream.hold(lease, place).await });
                }
                Some(ended) = holding.join_next() => clean &= ended.unwrap_or(false),
            }
        }
        while let Some(ended) = holding.join_next().await {
            clean &= ended.unwrap_or(false);
        }
        Ok(clean)
    }

    fn source(&self) -> &dyn Shareable {
        let shared = registry::source(&self.settings.source).shared();
        shared.expect("only a source that is shared comes here")
    }

    fn lease_context(&self) -> LeaseContext {
        let source = self.source();
        let (context, stream) = (&self.context, &self.settings.name);
        LeaseContext {
            stream: stream.clone(),
            noun: self.settings.source.kind().noun(),
            start: source.start(),
            clock: context.clock.clone(),
            metrics: CoordinationMetrics::new(&context.metrics, stream),
            health: Arc::clone(context.status.source()),
            shards: source.lister(),
        }
    }

    /// What one machine has of a stream means nothing to the others.
    fn check_state(&self) -> Result<(), StreamError> {
        let holds = |dir: &str, wanted: &dyn Fn(&String) -> bool| {
            let files = self.disk.list(Path::new(dir));
            files.is_ok_and(|files| files.iter().any(wanted))
        };
        let stream = &self.settings.name;
        let mut locals = registry::local_records();
        if holds("", &|file| file == STORE || file == MIRROR)
            || locals.any(|(_, local)| holds(local.dir(), &|_| true))
        {
            return Err(StreamError::LoudStop {
                cause: format!(
                    "state_dir holds positions and records of stream {stream} from when this machine \
                     read it alone"
                ),
                advice: format!(
                    "deliver them with `firehose state drain {stream}` and give them up with `firehose \
                     state discard {stream} --yes`: the machines then begin at `start`. Or remove `coordination`"
                ),
            });
        }
        Ok(())
    }

    /// Runs the pipeline of one shard, and gives the lease back. False: it has stopped loudly.
    async fn hold(&self, lease: Arc<Lease>, place: SharedPlace) -> bool {
        let context = StreamContext {
            memory: Arc::new(self.context.memory.part()),
            status: self.context.status.part(),
            ..self.context.clone()
        };
        let status = Arc::clone(&context.status);
        let (stream, shard) = (&self.settings.name, ShardId::clone(lease.shard()));
        let shard = &*shard;
        let clean = match self.run_pipeline(&lease, place, context).await {
            Ok(()) => true,
            Err(StreamError::LoudStop { cause, advice }) => {
                tracing::error!(
                    stream,
                    shard,
                    cause,
                    advice,
                    "the shard has stopped: a person must decide"
                );
                status.set_state(StreamState::Stopped { cause, advice });
                status.holds_something();
                // Held on: another machine would find the same. Whoever takes it away has decided.
                tokio::select! {
                    () = lease.lost().cancelled() => true,
                    () = lease.wanted_back().cancelled() => false,
                }
            }
            Err(error) => {
                let cause = with_causes(&error);
                if lease.lost().is_cancelled() || self.hurry.is_cancelled() {
                    tracing::debug!(stream, shard, cause, "the shard is held no more");
                } else {
                    // Services that do not answer are waited for: the fault is this machine's.
                    let rest_s = lease.failed(cause.clone()).as_secs();
                    tracing::error!(
                        stream,
                        shard,
                        cause,
                        rest_s,
                        "the shard is left to other machines, and for so long this one takes only what \
                         no other wants"
                    );
                }
                true
            }
        };
        if !self.hurry.is_cancelled()
            && let Err(error) = self.clear(pipeline::scratch(shard)).await
        {
            let error = with_causes(&error);
            tracing::debug!(stream, shard, %error, "spooled bytes stay behind");
        }
        if !lease.lost().is_cancelled() {
            lease.release().await;
        }
        clean
    }

    /// Removes what nobody works with any more.
    async fn clear(&self, dir: PathBuf) -> Result<(), StreamError> {
        let disk = Arc::clone(&self.disk);
        let clearing = tokio::task::spawn_blocking(move || disk.remove_dir_all(&dir));
        let cleared = clearing
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)));
        cleared.map_err(|error| StreamError::of_disk("clear the spool", error))
    }

    async fn run_pipeline(
        &self,
        lease: &Arc<Lease>,
        place: SharedPlace,
        context: StreamContext,
    ) -> Result<(), StreamError> {
        let abandoned = CancellationToken::new();
        let _abandoning = AbortOnDropHandle::new(tokio::spawn({
            let (lost, hurry) = (lease.lost().clone(), self.hurry.clone());
            let abandoned = abandoned.clone();
            async move {
                tokio::select! {
                    () = lost.cancelled() => {}
                    () = hurry.cancelled() => {}
                }
                abandoned.cancel();
            }
        }));
        let taken = Taken {
            lease: Arc::clone(lease) as Arc<dyn LeaseLog>,
            shard: ShardId::clone(lease.shard()),
            resumed: lease.resumed().clone(),
            table: self.coordination.table.clone(),
            failover: self.coordination.failover,
            abandoned,
        };
        let (settings, disk) = (&self.settings, Arc::clone(&self.disk));
        let opening = pipeline::open_shared(settings, self.source(), disk, &context, place, taken);
        let recovered = tokio::select! {
            opened = opening => opened?,
            () = lease.wanted_back().cancelled() => return Ok(()),
        };
        let source = Arc::clone(&recovered.source);
        let _stopping = AbortOnDropHandle::new(tokio::spawn({
            let (source, wanted) = (Arc::clone(&source), lease.wanted_back().clone());
            async move {
                wanted.cancelled().await;
                source.stop();
            }
        }));
        let result = tokio::select! {
            result = pipeline::run(recovered, Arc::clone(settings), context) => result,
            () = self.out_of_time() => Ok(()),
        };
        source.stop();
        result
    }

    /// Nothing is waited for any more: what is on its way is for others to settle.
    async fn out_of_time(&self) {
        self.hurry.cancelled().await;
        tokio::time::sleep(LAST_MOMENT).await;
    }
}

/// Warns where the bucket gives up prepared uploads while the stream still has their records. Where
/// one of the two does not tell, nothing is said.
async fn look_at_rules(stream: String, source: SourceSettings, destination: Destination) {
    let Some(shared) = registry::source(&source).shared() else {
        return;
    };
    let (Some(days), Ok(retention_ms)) = (
        destination.gives_up_uploads_after().await,
        shared.retention_ms().await,
    ) else {
        return;
    };
    if i64::from(days) * DAY_MS < retention_ms {
        tracing::error!(
            stream,
            days,
            retention_ms,
            bucket = destination.describe(),
            "a lifecycle rule of the bucket aborts incomplete uploads before the stream forgets their \
             records: what no machine publishes in that time is lost from the bucket. Give the rule \
             more days"
        );
    }
}
