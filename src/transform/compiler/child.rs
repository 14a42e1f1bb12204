//! The child: binds itself, compiles what comes on its standard input, and answers.

#![expect(
    clippy::disallowed_methods,
    reason = "compiling is bounded in time, by a process that watches itself"
)]

use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firehose_wasm_meter::Loops;
use rustix::process::{self, Resource, Rlimit, Signal};

use super::super::engine::{Code, CompilerProcess, Engine};
use super::super::fault::cut;
use super::{ChildResult, CompileTask, CompilerReply, TEXT_BYTES_MAX, outcome_max, unkept};
use crate::config::display_size;

/// The daemon's own work comes first.
const NICE: i32 = 10;
/// How long the child waits, at its end, for the cache to tidy up.
const TIDYING: Duration = Duration::from_secs(5);
/// How often it is looked whether that is done.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Compiles what comes on `input` and answers on `out`. An error is for the parent's eyes: a fault of the
/// module is no error, but an answer.
pub fn serve(task: &CompileTask, input: &mut dyn Read, out: &mut dyn Write) -> anyhow::Result<()> {
    bind(task)?;
    let mut file = Vec::new();
    input.read_to_end(&mut file)?;
    // What fails here would fail for every module.
    let engine = Engine::start(task.cache.as_deref(), CompilerProcess::Here)?;
    let (answer, component) = match compile(engine, task, &file) {
        Ok(done) => {
            let ChildResult {
                prepared,
                cached,
                unkept,
            } = done;
            let answer = CompilerReply::Compiled {
                kind: prepared.kind,
                instances: prepared.instances,
                cached,
                unkept,
                bytes: prepared.component.len() as u64,
            };
            (answer, prepared.component)
        }
        Err(error) => {
            let cause = format!("{error:#}");
            let most = usize::try_from(TEXT_BYTES_MAX / 8)?; // escaped it may be six times as long
            (
                CompilerReply::Refused(cut(&cause, most).to_owned()),
                Vec::new(),
            )
        }
    };
    serde_json::to_writer(&mut *out, &answer)?;
    out.write_all(b"\n")?;
    out.write_all(&component)?;
    Ok(out.flush()?)
}

/// Binds the process to its limits. Without them it does nothing.
fn bind(task: &CompileTask) -> anyhow::Result<()> {
    // At the first limit of CPU time comes SIGXCPU, which tells why; at the second SIGKILL.
    let (memory, seconds) = (task.memory, task.seconds);
    for (resource, name, soft, hard) in [
        (Resource::Data, "memory (RLIMIT_DATA)", memory, memory),
        (Resource::Cpu, "CPU time (RLIMIT_CPU)", seconds, seconds + 1),
        (Resource::Fsize, "file sizes (RLIMIT_FSIZE)", memory, memory),
        (Resource::Core, "core dumps (RLIMIT_CORE)", 0, 0),
    ] {
        let allowed = process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit {
            current: Some(soft.min(allowed)),
            maximum: Some(hard.min(allowed)),
        };
        process::setrlimit(resource, limit)
            .with_context(|| format!("the compiler cannot limit its {name}"))?;
    }
    // Nobody waits for the answer of a child whose parent is gone.
    process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("the compiler cannot tie itself to the daemon")?;
    // Neither is needed, and a container may forbid them. Where memory runs out this process goes first.
    let _ = process::nice(NICE);
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// Compiles the module, or finds that it was compiled before.
fn compile(engine: Engine, task: &CompileTask, file: &[u8]) -> anyhow::Result<ChildResult> {
    let limits = task.limits();
    let loops = if task.patient {
        Loops::Ask
    } else {
        Loops::GiveUp
    };
    let prepared = engine.prepare(file, loops, &limits)?;
    let (component, found) = engine.load(&prepared.component)?;
    let code = component.image_range();
    let most = outcome_max(&limits);
    let code_bytes = code.end.addr() - code.start.addr();
    for (what, bytes) in [
        ("a component", prepared.component.len()),
        ("machine code", code_bytes),
    ] {
        ensure!(
            bytes as u64 <= most,
            "it becomes {what} of {bytes} bytes; with compile_memory = \"{}\" it may have {most}",
            display_size(limits.memory)
        );
    }
    let before = threads();
    drop((component, engine));
    if found == Code::Kept {
        let begun = Instant::now();
        // The cache keeps its size within bounds on a thread that ends with it, and is nobody's to join.
        while threads() >= before && begun.elapsed() < TIDYING {
            thread::sleep(LOOK_EVERY);
        }
    }
    let unkept = (found == Code::Unkept).then(|| match &task.cache {
        Some(dir) => unkept::cause(dir, code_bytes as u64),
        None => unkept::nowhere(),
    });
    Ok(ChildResult {
        prepared,
        cached: found == Code::Cached,
        unkept,
    })
}

/// Threads of this process.
fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
