//! The process: one supervised pipeline per stream, the HTTP listener, signals, and a stop in
//! order: producers are refused first, then what was accepted is delivered.

#![expect(clippy::disallowed_methods, reason = "a stop has a time limit")]

mod again;
mod door;
mod drain;
pub(crate) mod holdings;
mod listen;
mod lock;
mod orphans;
mod reload;
mod shared;
mod supervisor;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::{Config, StreamSettings};
use crate::disk::{Disk, HostDisk, Reserve, Shortage};
use crate::error::StreamError;
use crate::http::{self, ApiState, Limits, StreamInfo};
use crate::pipeline::{self, Status, StreamContext, Workers};
use crate::source::{Intake, Room};
use crate::telemetry::{Metrics, StatusSnapshot, StreamMetrics, StreamStatus as _};
use crate::transform::{CompilerProcess, EndsCompiling, Engine, Transforms};
pub(crate) use again::try_again;
pub(crate) use drain::{Drained, drain};
pub(crate) use lock::lock;
use supervisor::Supervisor;

/// One in so many bytes of the memory limit is for batches; the rest is for chunks, encoders,
/// checkpoints, uploads and requests.
const BATCHES_PART: u64 = 4;
/// One in so many bytes of the memory limit is for request bodies.
const BODIES_PART: u64 = 8;
/// One in so many bytes of the memory limit is for what is read ahead.
const READ_PART: u64 = 4;
/// Request bodies may take at least this much: two of the largest.
const BODIES_MIN: u64 = 16 << 20;
/// Every stream may hold at least this much in batches.
const BATCHES_MIN: usize = 8 << 20;

/// The end of `shutdown_grace` that is kept for giving leases back, a quarter of it at most.
const HAND_OVER: Duration = Duration::from_secs(10);

/// What the command line says beyond the config.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The file the config came from.
    pub config_path: PathBuf,
}

/// A running daemon.
pub struct Daemon {
    /// Where the HTTP API listens.
    pub address: SocketAddr,
    /// The streams' states by name.
    pub streams: BTreeMap<String, Arc<Status>>,
    /// The doors of the streams that take records from producers, by name.
    pub doors: BTreeMap<String, Arc<dyn Intake>>,
    supervisors: Vec<JoinHandle<bool>>,
    http: JoinHandle<std::io::Result<()>>,
    http_stop: CancellationToken,
    streams_stop: CancellationToken,
    /// Cancelled when a stop takes long: what others can go on with is left to them.
    hurry: CancellationToken,
    grace: Duration,
    _reloading: AbortOnDropHandle<()>,
    _compiling: Option<EndsCompiling>,
    /// Held for as long as the process uses the state folder.
    _lock: File,
}

/// Runs every stream of the config until the process is told to stop.
pub async fn run(config: Config, options: RunOptions) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let daemon = Daemon::start(config).await?;
    let url = format!("http://{}", daemon.address);
    tracing::info!(config = %options.config_path.display(), url, "accepting records");
    // Systemd may not be there: nobody is told then.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let asked = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = asked, "stopping: delivering what was accepted");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tokio::select! {
        stopped = daemon.stop() => stopped,
        _ = interrupt.recv() => anyhow::bail!("stopped at once by a second SIGINT: what is not published is safe in state_dir"),
    }
}

impl Daemon {
    /// Opens every stream's state and starts to accept records.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let lock = lock(&config.state_dir)?;
        let listener = listen::listen(config.http.listen, !config.http.keys.is_empty()).await?;
        let spool_limits = config.streams.values().map(|stream| stream.spool_limit);
        let connections = listen::room_for(config.http.connections, spool_limits);
        let common = Common::new(&config)?;
        let (clock, metrics) = (common.clock.clone(), Arc::clone(&common.metrics));
        let looking = tokio::task::spawn_blocking({
            let (config, clock, metrics) = (config.clone(), clock.clone(), Arc::clone(&metrics));
            move || {
                let orphans = orphans::find(&config, &metrics, &clock);
                (orphans, orphans::withheld(&config))
            }
        });
        let (orphans, mut withheld) = looking.await?;
        let (streams_stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let (mut infos, mut supervisors) = (Vec::new(), Vec::new());
        let (mut streams, mut doors) = (BTreeMap::new(), BTreeMap::new());
        let transforms = config
            .streams
            .iter()
            .filter_map(|(name, settings)| Some((name.clone(), common.transforms(settings)?)));
        let transforms = transforms.collect();
        reload::first(&transforms).await;
        for (name, settings) in config.streams {
            let modules = transforms.get(&name).cloned();
            let withheld = withheld.remove(&name);
            let supervisor = common.open(&config.state_dir, settings.clone(), modules, withheld);
            let supervisor = supervisor.await?;
            let status = supervisor.status();
            infos.push(StreamInfo {
                name: name.clone(),
                created_at_ms: supervisor.created_ms(),
                settings,
                intake: supervisor.door(),
                status: Arc::clone(&status) as _,
                metrics: status.metrics().clone(),
            });
            doors.extend(supervisor.door().map(|door| (name.clone(), door)));
            streams.insert(name, status);
            supervisors.push(tokio::spawn(
                supervisor.run(streams_stop.clone(), hurry.clone()),
            ));
        }
        let bodies = (config.memory_limit / BODIES_PART).max(BODIES_MIN);
        let limits = Limits {
            body_memory: usize::try_from(bodies)?,
            connections,
            ..Limits::default()
        };
        let state = ApiState::new(infos, clock, metrics, limits)
            .with_orphans(orphans)
            .with_hosts(config.http.hosts)
            .with_keys(&config.http.keys);
        let http_stop = CancellationToken::new();
        let reloading = tokio::spawn(reload::watch(transforms, reload::hangups()?));
        Ok(Self {
            address: listener.local_addr()?,
            streams,
            doors,
            supervisors,
            http: tokio::spawn(http::serve(listener, Arc::new(state), http_stop.clone())),
            http_stop,
            streams_stop,
            hurry,
            grace: config.shutdown_grace,
            _reloading: AbortOnDropHandle::new(reloading),
            _compiling: common.engine.as_ref().map(Engine::ends_compiling),
            _lock: lock,
        })
    }

    /// Refuses producers, delivers what was accepted, and returns when all is published. An error
    /// says that something is left; it is safe in the state folder and goes on at the next start.
    pub async fn stop(self) -> anyhow::Result<()> {
        let grace = self.grace;
        let stopping = async {
            self.http_stop.cancel();
            let _ = self.http.await;
            self.streams_stop.cancel();
            let mut clean = true;
            for supervisor in self.supervisors {
                clean &= supervisor.await.unwrap_or(false);
            }
            clean
        };
        let hurry = self.hurry;
        let _hurrying = AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(grace.saturating_sub(HAND_OVER.min(grace / 4))).await;
            hurry.cancel();
        }));
        match tokio::time::timeout(grace, stopping).await {
            Ok(true) => Ok(()),
            Ok(false) => anyhow::bail!("not everything is delivered: {}", causes(&self.streams)),
            Err(_) => anyhow::bail!(
                "not everything was published within shutdown_grace ({grace:?}): {}. The rest is safe in \
                 state_dir and is published after the next start",
                left(&self.streams)
            ),
        }
    }
}

/// The engine for transforms, if any stream has some.
fn engine(config: &Config) -> anyhow::Result<Option<Engine>> {
    let wanted = config
        .streams
        .values()
        .any(|stream| !stream.transforms.is_empty());
    let cache = config.state_dir.join(COMPILED);
    wanted
        .then(|| Engine::start(Some(&cache), CompilerProcess::of_daemon()))
        .transpose()
}

/// Bytes that each stream which is read ahead may hold until they are in batches.
fn read_bytes(config: &Config) -> u64 {
    let reads_ahead = |stream: &&StreamSettings| stream.source.room_bytes() > 0;
    let streams = config.streams.values().filter(reads_ahead).count() as u64;
    config.memory_limit / READ_PART / streams.max(1)
}

/// Why streams do not go on, and what a person can do.
fn causes(streams: &BTreeMap<String, Arc<Status>>) -> String {
    let stopped = streams.iter().filter_map(|(name, status)| {
        let state = status.snapshot().state;
        let cause = state.cause()?;
        let advice = state.advice().map(|advice| format!(" ({advice})"));
        Some(format!("{name}: {cause}{}", advice.unwrap_or_default()))
    });
    stopped.collect::<Vec<_>>().join("; ")
}

/// What a stop that has taken too long was waiting for.
fn left(streams: &BTreeMap<String, Arc<Status>>) -> String {
    let left = streams.iter().filter_map(|(name, status)| {
        let StatusSnapshot {
            state,
            sealed_waiting: waiting,
            open_partitions: open,
            ..
        } = status.snapshot();
        let cause = state.cause().map(|cause| format!(": {cause}"));
        let is_left = waiting + open > 0 || cause.is_some();
        let cause = cause.unwrap_or_default();
        is_left.then(|| format!("{name}: {waiting} objects and {open} open batches{cause}"))
    });
    let left: Vec<_> = left.collect();
    if left.is_empty() {
        return "requests or leases were still under way".to_owned();
    }
    left.join("; ")
}

/// What all streams of the process share.
struct Common {
    clock: Clock,
    metrics: Arc<Metrics>,
    workers: Workers,
    /// What the batches of all streams may take.
    budget: Budget,
    shortage: Shortage,
    /// Where a stream has transforms.
    engine: Option<Engine>,
    /// What each stream that is read ahead may have read and not in batches yet.
    read_bytes: u64,
    /// What holds a stream up for longer is an alarm.
    stalled_after: Duration,
}

/// Compiled modules are kept here, in `state_dir`. No stream can have this name.
const COMPILED: &str = "compiled~";

impl Common {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let batches = usize::try_from(config.memory_limit / BATCHES_PART)?;
        Ok(Self {
            clock: Clock::system(),
            metrics: Arc::new(Metrics::new()?),
            workers: Workers::start(std::thread::available_parallelism()?.get())?,
            budget: Budget::new(batches, config.streams.len(), BATCHES_MIN),
            shortage: Shortage::default(),
            engine: engine(config)?,
            read_bytes: read_bytes(config),
            stalled_after: config.stalled_after,
        })
    }

    /// Opens the state of one stream, unless there is a reason not to begin.
    async fn open(
        &self,
        state_dir: &Path,
        settings: StreamSettings,
        transforms: Option<Arc<Transforms>>,
        withheld: Option<StreamError>,
    ) -> anyhow::Result<Supervisor> {
        let name = &settings.name;
        let workers = self.workers.another();
        // A module may take its time, and cannot be taken off a thread between two records.
        let routing = match transforms {
            None => workers.clone(),
            Some(_) => Workers::start(workers.threads())?,
        };
        let disk: Arc<dyn Disk> = Arc::new(HostDisk::private(state_dir.join(name))?);
        let bytes = pipeline::reserve_bytes(&settings);
        let reserve = Reserve::new(
            Arc::clone(&disk),
            bytes,
            pipeline::REWRITTEN,
            self.shortage.clone(),
        );
        let status = Status::new(StreamMetrics::new(&self.metrics, name), self.clock.clone())
            .with_patience(self.stalled_after);
        let context = StreamContext {
            clock: self.clock.clone(),
            workers,
            transforms,
            memory: Arc::new(self.budget.share()),
            reserve: Arc::new(reserve),
            status: Arc::new(status),
            metrics: Arc::clone(&self.metrics),
            routing,
            encoders: Arc::default(),
            read_room: Room::new(self.read_bytes.max(settings.source.room_bytes())),
            known_places: pipeline::KnownPlaces::default(),
        };
        Ok(Supervisor::open(Arc::new(settings), disk, context, withheld).await)
    }

    /// The transforms of a stream, if it has some; they are not loaded yet.
    fn transforms(&self, settings: &StreamSettings) -> Option<Arc<Transforms>> {
        let modules = &settings.transforms;
        let engine = self.engine.as_ref().filter(|_| !modules.is_empty())?;
        let transforms = Transforms::new(engine, &settings.name, modules, &self.metrics);
        Some(Arc::new(transforms))
    }
}
