//! `firehose transform bench`: how fast a module is in the daemon's host, on records of one's own.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use clap::Args;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::super::CommandError;
use super::super::lines::{Length, next_line, open, refusal};
use super::host::{CompiledModule, HostArgs};
use super::inspect::compiled;
use crate::position::Sequence;
use crate::record::{Chunk, ChunkBuilder};
use crate::transform::{Chain, TransformedPiece, Workshop};

/// Records go through the module in chunks of about so many bytes, as they come out of the journal.
const CHUNK_BYTES: usize = 1 << 20;
/// Instances that are started to see how long that takes.
const STARTS: u32 = 20;

/// Arguments of `transform bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Records, one a line, that are repeated; `-` reads standard input.
    input: PathBuf,
    /// How long to measure.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Threads, each with an instance of its own, as the daemon has them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

/// Measures.
pub(super) fn run(
    args: &BenchArgs,
    config: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let host = CompiledModule::compile(&args.host, config)?;
    let tried = host.module.try_out().map_err(anyhow::Error::from);
    host.log.write(err)?;
    tried?;
    let chunks = read(&args.input)?;
    let start = start_time(&host)?;
    let chain = Arc::new(Chain::of(vec![host.module.clone()]));
    let facts = RunCounts::of(&mut Workshop::new(Arc::clone(&chain)), &chunks);
    let time = Duration::from_secs(u64::from(args.seconds));
    let runs = thread::scope(|scope| {
        let work = || ThreadRun::of(Workshop::new(Arc::clone(&chain)), &chunks, time);
        let threads: Vec<_> = (0..args.threads).map(|_| scope.spawn(work)).collect();
        let ended = threads.into_iter().map(|thread| thread.join().ok());
        ended.collect::<Option<Vec<ThreadRun>>>()
    });
    let runs = runs.ok_or_else(|| anyhow!("a thread panicked"))?;
    host.log.write(err)?;
    let measured = Measured {
        compile: host.module.about().compile_time,
        cached: host.module.about().cached,
        start,
        speed: Speed::of(&facts, &runs),
        memory: runs.iter().map(|run| run.memory).max().unwrap_or(0),
    };
    if args.json {
        writeln!(out, "{}", to_json(&facts, &measured))?;
    } else {
        write_text(&facts, &measured, out)?;
    }
    Ok(())
}

/// All records of the input, in chunks.
fn read(path: &Path) -> anyhow::Result<Vec<Chunk>> {
    let mut input = open(path)?;
    let empty = || ChunkBuilder::with_room(0, CHUNK_BYTES);
    let (mut chunks, mut chunk, mut next) = (Vec::new(), empty(), Sequence(0));
    let (mut number, mut line) = (0_u64, Vec::new());
    while let Some(length) = next_line(&mut input, &mut line)? {
        number += 1;
        match length {
            Length::Empty => continue,
            Length::TooLong => bail!("line {number}: {}", refusal()),
            Length::Fits => chunk.push(&line, 0, next),
        }
        next = next.plus(1);
        if chunk.bytes() >= CHUNK_BYTES {
            chunks.push(std::mem::replace(&mut chunk, empty()).finish());
        }
    }
    if !chunk.is_empty() {
        chunks.push(chunk.finish());
    }
    if chunks.is_empty() {
        bail!("{} has no records", path.display());
    }
    Ok(chunks)
}

/// How long an instance takes until it has its config.
fn start_time(host: &CompiledModule) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    for _ in 0..STARTS {
        host.module.try_out()?;
    }
    Ok(begun.elapsed() / STARTS)
}

/// What is the same on any machine.
#[derive(Default)]
struct RunCounts {
    records: u64,
    bytes: u64,
    calls: u64,
    call_records_max: usize,
    outputs: u64,
    output_bytes: u64,
    dropped: u64,
    failed: u64,
}

impl RunCounts {
    fn of(workshop: &mut Workshop, chunks: &[Chunk]) -> Self {
        let mut facts = Self::default();
        for chunk in chunks {
            facts.records += chunk.len() as u64;
            facts.bytes += chunk.bytes() as u64;
            let calls = workshop.call_sizes(chunk);
            facts.calls += calls.len() as u64;
            facts.call_records_max = calls.into_iter().fold(facts.call_records_max, usize::max);
        }
        each_piece(workshop, chunks, |piece| {
            facts.outputs += piece.outputs.len() as u64;
            facts.output_bytes += piece.outputs.bytes() as u64;
            facts.dropped += piece.dropped;
            facts.failed += piece.failed.len() as u64;
        });
        facts
    }
}

/// Takes all records through the module.
fn each_piece(workshop: &mut Workshop, chunks: &[Chunk], mut see: impl FnMut(TransformedPiece)) {
    for chunk in chunks {
        let mut start = 0;
        while start < chunk.len() {
            let piece = workshop.work(chunk, start..chunk.len());
            start = piece.end;
            see(piece);
        }
    }
}

/// What one thread has done.
struct ThreadRun {
    rounds: u64,
    took: Duration,
    memory: usize,
}

impl ThreadRun {
    /// Whole rounds, until the time is over.
    fn of(mut workshop: Workshop, chunks: &[Chunk], time: Duration) -> Self {
        let (begun, mut rounds) = (Instant::now(), 0);
        while begun.elapsed() < time {
            each_piece(&mut workshop, chunks, drop);
            rounds += 1;
        }
        Self {
            rounds,
            took: begun.elapsed(),
            memory: workshop.memory_peaks().max().unwrap_or(0),
        }
    }
}

struct Measured {
    compile: Duration,
    /// Whether that was reading what had been compiled before.
    cached: bool,
    start: Duration,
    speed: Speed,
    memory: usize,
}

/// Records and bytes a second.
struct Speed {
    threads: usize,
    rounds: u64,
    /// Of one thread, on average.
    records: f64,
    bytes: f64,
}

impl Speed {
    #[expect(clippy::cast_precision_loss, reason = "a speed has no 52 bits")]
    fn of(facts: &RunCounts, runs: &[ThreadRun]) -> Self {
        let rounds: u64 = runs.iter().map(|run| run.rounds).sum();
        let seconds: f64 = runs.iter().map(|run| run.took.as_secs_f64()).sum();
        let rate = |each: u64| each as f64 * rounds as f64 / seconds;
        Self {
            threads: runs.len(),
            rounds,
            records: rate(facts.records),
            bytes: rate(facts.bytes),
        }
    }

    fn ns(&self) -> f64 {
        1e9 / self.records
    }
}

fn to_json(facts: &RunCounts, measured: &Measured) -> Value {
    let Measured {
        compile,
        cached,
        start,
        speed,
        memory,
    } = measured;
    json!({
        "records": facts.records, "bytes": facts.bytes,
        "calls": facts.calls, "callRecordsMax": facts.call_records_max,
        "outputs": facts.outputs, "outputBytes": facts.output_bytes,
        "dropped": facts.dropped, "failed": facts.failed,
        "threads": speed.threads, "rounds": speed.rounds, "nsPerRecord": speed.ns(),
        "recordsPerSecondAndThread": speed.records, "bytesPerSecondAndThread": speed.bytes,
        "memory": memory, "compileSeconds": compile.as_secs_f64(), "compileCached": cached,
        "startSeconds": start.as_secs_f64(),
    })
}

fn write_text(facts: &RunCounts, measured: &Measured, out: &mut dyn Write) -> io::Result<()> {
    let Measured {
        compile,
        cached,
        start,
        speed,
        memory,
    } = measured;
    let Speed {
        threads, rounds, ..
    } = speed;
    let (records, bytes) = (facts.records, HumanBytes(facts.bytes));
    writeln!(
        out,
        "records   {records} of together {bytes}, {rounds} rounds"
    )?;
    let (calls, at_most) = (facts.calls, facts.call_records_max);
    writeln!(
        out,
        "calls     {calls} a round, of {at_most} records at most"
    )?;
    let output_bytes = HumanBytes(facts.output_bytes);
    writeln!(
        out,
        "outcomes  {} outputs of together {output_bytes}, {} dropped, {} failed",
        facts.outputs, facts.dropped, facts.failed
    )?;
    let (ns, thousands, megabytes) = (speed.ns(), speed.records / 1e3, speed.bytes / 1e6);
    let noun = if *threads == 1 { "thread" } else { "threads" };
    writeln!(
        out,
        "speed     {ns:.0} ns a record; {thousands:.1} thousand records/s and {megabytes:.1} MB/s a \
         core, {threads} {noun}"
    )?;
    let memory = HumanBytes(*memory as u64);
    writeln!(
        out,
        "instance  {memory} of memory at most, starts in {start:.1?}"
    )?;
    writeln!(out, "compiled  {}", compiled(*compile, *cached))
}
