//! `firehose demo`: one command that shows data arriving. An embedded stream, a sample producer,
//! partitioned Parquet in a local folder; no cloud, no account.

mod clicks;

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::HumanBytes;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{CommandError, runtime};
use crate::clock::Clock;
use crate::config;
use crate::daemon::Daemon;
use crate::pipeline::{Landed, Status};
use crate::registry::registry;
use crate::source::{Intake, PutBatch};
use clicks::Clicks;

/// The demo's stream.
const STREAM: &str = "demo";
/// Its configuration.
const CONFIG: &str = include_str!("demo/firehose.toml");
/// Its transform module.
const MODULE: &[u8] = include_bytes!("../../transforms/redact.wasm");
/// What a person may send.
const EVENT: &str = r#"{"event_id":"mine","event_type":"hello","ts":"2026-01-01T00:00:00Z"}"#;
/// The producer sends this often.
const SEND_EVERY: Duration = Duration::from_millis(100);

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where objects and state go.
    #[arg(long, value_name = "DIR", default_value = "data/demo")]
    pub dir: PathBuf,
    /// Records a second.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Stop after so many seconds; until Ctrl-C when left out.
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Where the HTTP API listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4585")]
    pub listen: SocketAddr,
}

/// Runs the demo until Ctrl-C, or for as long as it was asked to.
pub fn run(args: &DemoArgs, out: &mut dyn Write) -> Result<(), CommandError> {
    let module = lay_module(&args.dir)?;
    let environment = |name: &str| match name {
        "DEMO_MODULE" => Some(module.display().to_string()),
        "DEMO_DIR" => Some(args.dir.display().to_string()),
        "DEMO_LISTEN" => Some(args.listen.to_string()),
        _ => None,
    };
    // Named as if it stood in the working directory, where a relative `--dir` begins.
    let loaded = config::parse(
        CONFIG,
        Path::new("firehose.toml"),
        &environment,
        &registry(),
    )?;
    runtime()?.block_on(show(args, loaded.config, out))?;
    Ok(())
}

/// Puts the module where the demo's other files are, and says where that is from any folder.
fn lay_module(dir: &Path) -> anyhow::Result<PathBuf> {
    let module = std::path::absolute(dir)?.join("redact.wasm");
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    fs::write(&module, MODULE).with_context(|| format!("write {}", module.display()))?;
    Ok(module)
}

async fn show(args: &DemoArgs, config: config::Config, out: &mut dyn Write) -> anyhow::Result<()> {
    // Listened to from here on: a listener made anew for each object would miss what comes between.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let daemon = Daemon::start(config).await?;
    let (status, door) = (daemon.streams.get(STREAM), daemon.doors.get(STREAM));
    let (status, door) = status.zip(door).context("the demo's stream is missing")?;
    let (status, door) = (Arc::clone(status), Arc::clone(door));
    let mut landed = status.landed();
    introduce(args, daemon.address, out)?;
    let stop = CancellationToken::new();
    let (opened, mut is_open) = oneshot::channel();
    let producer = tokio::spawn(produce(door, args.rate, opened, stop.clone()));
    let mut is_invited = false;
    let end = async {
        match args.seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    loop {
        tokio::select! {
            // In order: the invitation ends with the words that objects are listed under.
            biased;
            _ = &mut is_open, if !is_invited => {
                is_invited = true;
                invite(daemon.address, out)?;
            },
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = &mut end => break,
            object = landed.recv() => match object {
                Ok(object) => tell(&object, out)?,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
        }
    }
    writeln!(out, "\nstopping: what is open is sealed and published …")?;
    stop.cancel();
    let sent = producer.await?;
    let stopped = daemon.stop().await;
    while let Ok(object) = landed.try_recv() {
        tell(&object, out)?;
    }
    conclude(&status, sent, out)?;
    stopped
}

fn introduce(args: &DemoArgs, address: SocketAddr, out: &mut dyn Write) -> io::Result<()> {
    let (rate, dir) = (args.rate, args.dir.display());
    writeln!(
        out,
        "\
A sample producer sends {rate} click events a second; one in a hundred is bad.
  objects   {dir}/lake/clicks/event_type=…/year=…/month=…/day=…/
  failures  {dir}/lake/errors/
  transform {dir}/redact.wasm, a WebAssembly module, hashes user.email
  status    http://{address}/  /readyz  /metrics"
    )?;
    out.flush()
}

/// What a person may do once the stream takes records, which it does not before its module is compiled.
fn invite(address: SocketAddr, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "
Send your own:
  curl --data-binary '{EVENT}' \\
    http://{address}/streams/{STREAM}/records
or lines of a file or of standard input, and hear what fails:
  echo '{EVENT}' |
    firehose put {STREAM} --url http://{address}
AWS SDKs and the AWS CLI find Amazon Data Firehose's API at http://{address}; docs/src/sending.md has examples.

Ctrl-C stops and delivers what is left. What lands:"
    )?;
    out.flush()
}

fn tell(object: &Landed, out: &mut dyn Write) -> io::Result<()> {
    let Landed {
        key,
        records,
        bytes,
        age,
    } = object;
    let (size, age) = (HumanBytes(*bytes).to_string(), age.as_secs_f64());
    writeln!(
        out,
        "{records:>7} records {size:>11}  {age:>4.1} s old  {key}"
    )?;
    out.flush()
}

fn conclude(status: &Status, sent: ProducerCounts, out: &mut dyn Write) -> io::Result<()> {
    let metrics = status.metrics();
    let failed: u64 = metrics.failed_totals().iter().sum();
    let (objects, delivered) = (
        metrics.delivered_objects.get(),
        metrics.delivered_records.get(),
    );
    let (accepted, refused) = (sent.accepted, sent.refused);
    writeln!(
        out,
        "\nproduced {accepted} records ({refused} refused), read {}; delivered {delivered} in data \
         objects and {failed} in error objects: {objects} objects in all",
        metrics.read_records.get(),
    )
}

/// What the producer was told.
#[derive(Clone, Copy, Debug, Default)]
struct ProducerCounts {
    accepted: usize,
    refused: usize,
}

/// Sends `rate` records a second until `stop`; tells `opened` when the first batch, be it empty, is taken.
async fn produce(
    door: Arc<dyn Intake>,
    rate: u32,
    opened: oneshot::Sender<()>,
    stop: CancellationToken,
) -> ProducerCounts {
    let mut opened = Some(opened);
    let (mut clicks, mut sent, start) = (Clicks::new(), ProducerCounts::default(), Instant::now());
    let mut tick = tokio::time::interval(SEND_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let clock = Clock::system();
    while !stop.is_cancelled() {
        tick.tick().await;
        let due = start.elapsed().as_millis() * u128::from(rate) / 1000;
        let due = usize::try_from(due).unwrap_or(usize::MAX);
        let mut batch = PutBatch::default();
        // After a pause (a suspended laptop) the producer does not catch up all at once.
        let missing = due
            .saturating_sub(sent.accepted + sent.refused)
            .min(rate as usize);
        for _ in 0..missing {
            batch.push(clicks.next(clock.now_ms()).as_bytes());
        }
        let count = batch.len();
        match door.append(batch).await {
            Ok(accepted) => {
                sent.accepted += accepted.count;
                if let Some(opened) = opened.take() {
                    let _ = opened.send(());
                }
            }
            Err(_) => sent.refused += count,
        }
    }
    sent
}
