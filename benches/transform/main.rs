//! What transforms cost: records through the whole host path (batching, call, outcome handling) on
//! one core, beside the same code compiled natively, with and without interruption.
//!
//! `cargo bench --bench transform -- [--rounds 9]`
//!
//! All contestants take turns inside each round; figures are medians over the rounds, ratios are
//! medians of the ratios of one round. The modules are those in the repository; the native code is
//! theirs too (`transforms/native`). A parser of the daemon's own is beside a module, too (`rows`).

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

mod rows;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use firehose::config::TransformSettings;
use firehose::position::Sequence;
use firehose::record::{Chunk, ChunkBuilder};
use firehose::transform::{Chain, CompilerProcess, Engine, Observer, Workshop};

#[derive(Parser)]
struct Arguments {
    /// Rounds; medians are reported.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// What cargo passes.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Records of a chunk: about 1 MiB, as the pipeline has it.
const RECORDS: usize = 2_300;
/// Chunks a measurement.
const CHUNKS: usize = 16;

/// JSON modules and their configs: one written with `serde_json` as most are, one that reads text.
const JOBS: [(&str, &str); 2] = [
    ("json-value", r#"{"name":"env","value":"production"}"#),
    ("flatten", "{}"),
];

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let records = records();
    let input = root.join("target/bench/transform.ndjson");
    std::fs::create_dir_all(root.join("target/bench"))?;
    std::fs::write(&input, records.join("\n"))?;
    let native = native(root)?;
    let chunk = chunk(&records);
    let (engine, free) = (
        Engine::start(None, CompilerProcess::Here)?,
        Engine::start_uninterruptible()?,
    );
    let pair = |module, config| -> anyhow::Result<[Arc<Chain>; 2]> {
        Ok([
            load(&engine, root, module, config)?,
            load(&free, root, module, config)?,
        ])
    };
    let [identity, identity_free] = pair("identity", "{}")?;
    let bytes: usize = records.iter().map(String::len).sum();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} records of {} bytes on average, {} rounds",
        records.len(),
        bytes / records.len(),
        arguments.rounds
    )?;
    for (module, config) in JOBS {
        let [chain, chain_free] = pair(module, config)?;
        let native = |processes| run_native(&native, module, config, &input, processes);
        let round = || -> anyhow::Result<Round> {
            Ok(Round {
                identity: host(&identity, &chunk, 1),
                identity_free: host(&identity_free, &chunk, 1),
                json: host(&chain, &chunk, 1),
                json_free: host(&chain_free, &chunk, 1),
                json_two: host(&chain, &chunk, 2),
                native: native(1)?,
                native_two: native(2)?,
            })
        };
        let rounds: anyhow::Result<Vec<Round>> = (0..arguments.rounds).map(|_| round()).collect();
        report(&mut out, module, &rounds?)?;
    }
    rows::compare(&mut out, &engine, root, arguments.rounds)
}

fn median<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn report(out: &mut impl std::io::Write, module: &str, rounds: &[Round]) -> std::io::Result<()> {
    let median = |figure: &dyn Fn(&Round) -> f64| median(rounds, figure);
    // The guest's own work is what is left when nothing interrupts and nothing is carried over.
    let own = |r: &Round| r.json_free - r.identity_free;
    let lines: [(String, f64, &str); 10] = [
        (
            "identity, ns a record".to_owned(),
            median(&|r| r.identity),
            "at most 200",
        ),
        (
            "identity, not interruptible".to_owned(),
            median(&|r| r.identity_free),
            "",
        ),
        (format!("{module}, ns a record"), median(&|r| r.json), ""),
        (
            format!("{module}, not interruptible"),
            median(&|r| r.json_free),
            "",
        ),
        (format!("{module}, native code"), median(&|r| r.native), ""),
        (
            format!("{module} / native"),
            median(&|r| r.json / r.native),
            "at most 1.5",
        ),
        (
            "host / the guest's own work".to_owned(),
            median(&|r| r.json / own(r) - 1.0),
            "at most 0.15",
        ),
        (
            "of it interruption".to_owned(),
            median(&|r| (r.json - r.json_free) / own(r)),
            "",
        ),
        (
            "two cores / one".to_owned(),
            median(&|r| 2.0 * r.json / r.json_two),
            "at least 1.8",
        ),
        (
            "the same of native code".to_owned(),
            median(&|r| 2.0 * r.native / r.native_two),
            "what the machine has",
        ),
    ];
    for (what, figure, goal) in lines {
        writeln!(out, "{what:<32}{figure:>10.2}   {goal}")?;
    }
    Ok(())
}

/// Nanoseconds a record and core.
struct Round {
    identity: f64,
    identity_free: f64,
    json: f64,
    json_free: f64,
    json_two: f64,
    native: f64,
    native_two: f64,
}

/// Nested click events with a fixed seed, about 450 bytes each.
fn records() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(42);
    let record = |n: usize| {
        let id: String = std::iter::repeat_with(|| random.alphanumeric())
            .take(32)
            .collect();
        let agent: String = std::iter::repeat_with(|| random.alphabetic())
            .take(70)
            .collect();
        format!(
            "{{\"event_id\":\"{id}\",\"ts\":\"2026-11-22T10:00:{:02}.123Z\",\"event_type\":\"view\",\
             \"user\":{{\"id\":{},\"country\":\"AT\",\"plan\":\"free\",\"tags\":[\"a\",\"b\",\"c\"]}},\
             \"page\":{{\"url\":\"https://example.com/products/{}?ref=mail\",\"title\":\"Product {n}\"}},\
             \"device\":{{\"os\":\"linux\",\"model\":\"x1\",\"agent\":\"{agent}\"}},\
             \"geo\":{{\"region\":\"eu-central-1\",\"lat\":{:.5},\"lon\":{:.5}}},\
             \"value\":{:.2},\"session\":\"{id}\"}}",
            n % 60,
            random.u32(..),
            random.u32(..),
            random.f64() * 90.0,
            random.f64() * 180.0,
            random.f64() * 100.0,
        )
    };
    (0..RECORDS).map(record).collect()
}

fn chunk(records: &[String]) -> Chunk {
    let mut chunk = ChunkBuilder::with_room(0, 1 << 20);
    for (index, record) in (0..).zip(records) {
        chunk.push(record.as_bytes(), 1_795_000_000_000, Sequence(index));
    }
    chunk.finish()
}

fn load(engine: &Engine, root: &Path, module: &str, config: &str) -> anyhow::Result<Arc<Chain>> {
    let settings = TransformSettings {
        config: config.to_owned(),
        ..TransformSettings::of(root.join(format!("transforms/{module}.wasm")))
    };
    let observer = Observer::of_log(Arc::new(|_, _| {}))?;
    let chain = Chain::load(engine, "bench", &[settings], &[observer])?;
    Ok(Arc::new(chain))
}

/// Wall time on as many threads as cores are used, a record and core. The threads do nothing else.
fn host(chain: &Arc<Chain>, chunk: &Chunk, threads: usize) -> f64 {
    let work = || {
        let mut workshop = Workshop::new(Arc::clone(chain));
        let mut measure = |chunks: usize| {
            let begun = Instant::now();
            for _ in 0..chunks {
                let mut start = 0;
                while start < chunk.len() {
                    let piece = workshop.work(chunk, start..chunk.len());
                    assert!(piece.failed.is_empty(), "a record failed");
                    start = std::hint::black_box(piece).end;
                }
            }
            begun.elapsed()
        };
        measure(1); // the instance starts and its memory is touched
        measure(CHUNKS)
    };
    let times: Vec<Duration> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join =
            |thread: thread::ScopedJoinHandle<'_, Duration>| thread.join().expect("it works");
        threads.into_iter().map(join).collect()
    });
    let slowest = times.into_iter().max().unwrap_or_default();
    nanoseconds(slowest)
}

#[expect(clippy::cast_precision_loss, reason = "some thousand records")]
fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9 / (CHUNKS * RECORDS) as f64
}

/// Builds the guests' code for the machine at hand.
fn native(root: &Path) -> anyhow::Result<PathBuf> {
    let target = root.join("target/guests/native");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--package", "native"])
        .args(["--manifest-path", "transforms/Cargo.toml", "--target-dir"])
        .arg(&target)
        .current_dir(root)
        .status()?;
    ensure!(status.success(), "the native code does not build");
    Ok(target.join("release/native"))
}

/// As many processes at the same time; the slowest counts.
fn run_native(
    binary: &Path,
    module: &str,
    config: &str,
    input: &Path,
    processes: usize,
) -> anyhow::Result<f64> {
    let start = |_| {
        Command::new(binary)
            .args([module, config])
            .arg(input)
            .arg(CHUNKS.to_string())
            .stdout(Stdio::piped())
            .spawn()
    };
    let started: std::io::Result<Vec<_>> = (0..processes).map(start).collect();
    let mut slowest = 0.0_f64;
    for process in started? {
        let output = process.wait_with_output()?;
        ensure!(output.status.success(), "the native code failed");
        let figure = String::from_utf8(output.stdout)?;
        let figure: f64 = figure
            .trim()
            .parse()
            .context("the native code prints no number")?;
        slowest = slowest.max(figure);
    }
    Ok(slowest)
}
