//! The end-to-end benchmark: records over HTTP in, objects at an S3 sink out, default guarantees.
//!
//! `cargo bench --bench end_to_end -- [--job JOB]... [--gb 1] [--reps 3] [--binary FILE]`
//!
//! Reports CPU-seconds (user + system) of the daemon per GB of input, its peak resident memory and
//! the size of the output. Producer and sink are processes of their own and are not counted. No
//! time counts before the output has been read back: rows, distinct ids and two sums.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]
#![expect(unreachable_pub, reason = "nothing outside can reach into a benchmark")]

#[expect(dead_code, clippy::unwrap_used, reason = "the tests need more of it")]
#[path = "../../tests/it/support/command.rs"]
mod command;
#[path = "../../tests/it/support/fetched.rs"]
mod fetched;
mod generator;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/it/support/needs.rs"]
mod needs;
#[path = "../../tests/it/support/process.rs"]
mod process;
mod producer;
#[path = "../../tests/it/support/python.rs"]
mod python;
mod sink;

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use generator::Truth;
use rustix::process::{Pid, Signal, kill_process};

#[derive(Parser)]
struct Arguments {
    /// These jobs only, in turns.
    #[arg(long, default_values = ["j1", "j2", "j3"])]
    job: Vec<Job>,
    /// Input in GB (1e9 bytes).
    #[arg(long, default_value_t = 1.0)]
    gb: f64,
    /// Repetitions; the jobs are interleaved inside, and the medians are reported.
    #[arg(long, default_value_t = 3)]
    reps: usize,
    /// The daemon; built by `cargo build --release` when missing.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// What cargo passes.
    #[arg(long, hide = true)]
    bench: bool,
    /// Become the sink, keeping objects in this directory.
    #[arg(long, hide = true)]
    sink: Option<PathBuf>,
    /// Become the producer: send `--input` to this address.
    #[arg(long, hide = true, requires = "input")]
    producer: Option<SocketAddr>,
    #[arg(long, hide = true)]
    input: Option<PathBuf>,
}

/// What is done to the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Job {
    /// Two jq keys and a date to gzip JSON.
    J1,
    /// Two jq keys and a date to zstd Parquet.
    J2,
    /// Passed through as gzip JSON.
    J3,
    /// J2 with a schema that lacks two of the sixteen columns: both fields are counted in each record.
    J2Unknown,
    /// J2 with a field that does not convert in one record of a thousand.
    J2Bad,
    /// J2 with a schema that is learned.
    J2Infer,
    /// J2 with the rows of each row group sorted by an integer.
    J2Sorted,
    /// J2 with a Bloom filter over a column whose values are all different.
    J2Bloom,
}

impl Job {
    /// Of how many records one does not convert.
    fn one_bad_in(self) -> Option<u64> {
        (self == Self::J2Bad).then_some(1000)
    }
}

/// One run of one job.
struct Run {
    job: Job,
    cpu_seconds: f64,
    user_share: f64,
    wall: Duration,
    peak_memory: u64,
    input: u64,
    output: u64,
    objects: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(root) = arguments.sink {
        return tokio::runtime::Runtime::new()?.block_on(sink::run(root));
    }
    if let (Some(address), Some(input)) = (arguments.producer, &arguments.input) {
        return producer::run(input, address, 4);
    }
    let binary = match arguments.binary {
        Some(binary) => binary.canonicalize()?,
        None => build()?,
    };
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    fs::create_dir_all(&dir)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some GB"
    )]
    let bytes = (arguments.gb * 1e9) as u64;
    let mut runs = Vec::new();
    for rep in 0..arguments.reps {
        for job in &arguments.job {
            let (input, truth) = generator::work_set(&dir, bytes, job.one_bad_in())?;
            if rep == 0 {
                say(&format!("{job:?}: input {truth:?}; load {}", load()))?;
            }
            let run = Bench {
                dir: &dir,
                binary: &binary,
                input: &input,
            }
            .run(*job, &truth)?;
            say(&line(&run))?;
            runs.push(run);
        }
    }
    say(&format!("load {}; medians:", load()))?;
    for job in arguments.job {
        let mut of_job: Vec<&Run> = runs.iter().filter(|run| run.job == job).collect();
        of_job.sort_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds));
        say(&line(of_job[of_job.len() / 2]))?;
    }
    Ok(())
}

/// The binary that the README's build gives. Cargo has built one for this benchmark too, but with
/// the failpoints of the tests; the plain one takes its place.
fn build() -> anyhow::Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked"])
        .status()?;
    ensure!(status.success(), "cargo build --release: {status}");
    Ok(PathBuf::from(env!("CARGO_BIN_EXE_firehose")))
}

struct Bench<'a> {
    dir: &'a Path,
    binary: &'a Path,
    input: &'a Path,
}

impl Bench<'_> {
    fn run(&self, job: Job, truth: &Truth) -> anyhow::Result<Run> {
        let work = self.dir.join("run");
        if work.exists() {
            fs::remove_dir_all(&work)?;
        }
        let lake = work.join("lake");
        fs::create_dir_all(&lake)?;
        let myself = std::env::current_exe()?;
        let sink = Command::new(&myself)
            .arg("--sink")
            .arg(&lake)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut sink = KilledOnDrop(sink);
        let mut port = String::new();
        BufReader::new(sink.0.stdout.take().context("piped")?).read_line(&mut port)?;

        let address = free_address()?;
        fs::write(
            work.join("firehose.toml"),
            settings(job, address, port.trim()),
        )?;
        let log = fs::File::create(work.join("firehose.log"))?;
        let daemon = Command::new(self.binary)
            .args(["run", "--config", "firehose.toml"])
            .current_dir(&work)
            .envs([("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "SK")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut daemon = KilledOnDrop(daemon);
        while TcpStream::connect(address).is_err() {
            ensure!(
                daemon.0.try_wait()?.is_none(),
                "the daemon ended: see {}",
                work.display()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        let begun = Instant::now();
        let mut producer = Command::new(myself);
        producer
            .arg("--producer")
            .arg(address.to_string())
            .arg("--input")
            .arg(self.input);
        ensure!(
            producer.status()?.success(),
            "the producer failed: see {}",
            work.display()
        );

        let before = cpu_of_ended_children()?;
        kill_process(Pid::from_child(&daemon.0), Signal::TERM)?;
        let mut peak_memory = 0;
        let status = loop {
            peak_memory = process::peak_memory(daemon.0.id()).unwrap_or(peak_memory);
            if let Some(status) = daemon.0.try_wait()? {
                break status;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let wall = begun.elapsed();
        ensure!(
            status.success(),
            "the daemon ended with {status}: see {}",
            work.display()
        );
        let after = cpu_of_ended_children()?;
        let [user, system] = [after[0] - before[0], after[1] - before[1]];

        let found = check(&lake)?;
        ensure!(
            ["rows", "bad", "user_ids", "latencies"].map(|figure| &found[figure])
                == [truth.rows, truth.bad, truth.user_ids, truth.latencies]
                    .map(serde_json::Value::from)
                    .each_ref(),
            "the output is wrong: {found} instead of {truth:?}"
        );
        Ok(Run {
            job,
            cpu_seconds: user + system,
            user_share: user / (user + system),
            wall,
            peak_memory,
            input: truth.bytes,
            output: found["bytes"].as_u64().context("bytes")?,
            objects: found["objects"].as_u64().context("objects")?,
        })
    }
}

fn settings(job: Job, address: SocketAddr, sink_port: &str) -> String {
    let partitioning = "[stream.bench.partitioning]\n\
                        query = '{event_type: .event_type, region: .region}'\n\
                        event_time = '.ts'\n";
    let hive = "data/event_type=!{partitionKeyFromQuery:event_type}/\
                region=!{partitionKeyFromQuery:region}/\
                year=!{eventTime:yyyy}/month=!{eventTime:MM}/day=!{eventTime:dd}/";
    let (partitioning, prefix) = match job {
        Job::J3 => ("", "data/"),
        _ => (partitioning, hive),
    };
    let parquet = |schema, layout| {
        format!("type = \"parquet\"\ncompression = \"zstd\"\nschema = \"{schema}\"\n{layout}")
    };
    let format = match job {
        Job::J1 | Job::J3 => "type = \"json\"\ncompression = \"gzip\"".to_owned(),
        Job::J2 | Job::J2Bad => parquet(generator::SCHEMA, ""),
        Job::J2Unknown => parquet(generator::SCHEMA_WITHOUT_TWO, ""),
        Job::J2Infer => parquet("infer", ""),
        Job::J2Sorted => parquet(generator::SCHEMA, "sorted_by = [\"latency_ms\"]"),
        Job::J2Bloom => parquet(generator::SCHEMA, "bloom_filter_columns = [\"event_id\"]"),
    };
    format!(
        r#"state_dir = "state"
memory_limit = "256MiB"
shutdown_grace = "600s"

[http]
listen = "{address}"

[stream.bench.source]
type = "direct-put"

{partitioning}
[stream.bench.buffering]
size = "128MiB"
interval = "900s"

[stream.bench.format]
{format}

[stream.bench.destination]
type = "s3"
bucket = "bench"
region = "us-east-1"
endpoint = "http://127.0.0.1:{sink_port}"
prefix = "{prefix}"
error_prefix = "errors/!{{firehose:error-output-type}}/"
"#
    )
}

/// Reads the output back with `DuckDB`.
fn check(lake: &Path) -> anyhow::Result<serde_json::Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/end_to_end/check.py");
    let output = Command::new(python::python())
        .arg(script)
        .arg(lake)
        .output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the output is wrong: {complaint}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// User and system seconds of the children that have been waited for, by the kernel's accounts.
fn cpu_of_ended_children() -> anyhow::Result<[f64; 2]> {
    const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ, fixed in Linux's ABI
    let stat = fs::read_to_string("/proc/self/stat")?;
    // Fields 16 and 17 (proc_pid_stat(5)); the name in field 2 may hold anything but a last `)`.
    let (_, fields) = stat.rsplit_once(')').context("a name in parentheses")?;
    let mut fields = fields.split_whitespace().skip(13);
    let mut next = || -> anyhow::Result<f64> {
        Ok(fields.next().context("too few fields")?.parse::<f64>()? / TICKS_PER_SECOND)
    };
    Ok([next()?, next()?])
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn line(run: &Run) -> String {
    format!(
        "{:?}: {:6.2} CPU-s/GB ({:.0} % user), {:6.1} s wall, {:4} MB peak, {:5.1} MB out in {} \
         objects, ratio {:.2}",
        run.job,
        run.cpu_seconds / (run.input as f64 / 1e9),
        run.user_share * 100.0,
        run.wall.as_secs_f64(),
        run.peak_memory / 1_000_000,
        run.output as f64 / 1e6,
        run.objects,
        run.input as f64 / run.output as f64,
    )
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
