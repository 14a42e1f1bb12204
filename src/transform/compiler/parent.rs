//! The parent: starts the child, hands it the module, waits for the answer for a while.

#![expect(clippy::disallowed_methods, reason = "compiling is bounded in time")]

use std::io::{self, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use firehose_wasm_meter::Loops;
use rustix::process::Signal;

use super::super::engine::PreparedComponent;
use super::super::fault::cut;
use super::{CompileTask, CompilerReply, NotCompiled, TEXT_BYTES_MAX, outcome_max, too_large};
use crate::config::{CompileLimits, display_duration};

/// Not the path by which the process was started: there may be another binary by now.
const SELF: &str = "/proc/self/exe";
/// More threads take more memory, and the other cores have the daemon's own work.
const THREADS_MAX: usize = 2;
/// By the clock it may take so many times as long as on the CPU: the machine may have other work.
const CLOCK: u32 = 4;
/// How often it is looked whether the child has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The exit code of a panic.
const PANICKED: i32 = 101;

/// What a child has done.
pub(in super::super) struct ChildResult {
    /// What it has compiled.
    pub(in super::super) prepared: PreparedComponent,
    /// Whether that was in the cache before.
    pub(in super::super) cached: bool,
    /// Why it is not there now.
    pub(in super::super) unkept: Option<String>,
}

/// Has a child compile a module.
/// As soon as `stopping` it is killed.
pub(in super::super) fn compile(
    file: &[u8],
    loops: Loops,
    limits: &CompileLimits,
    cache: Option<&Path>,
    stopping: &AtomicBool,
) -> Result<ChildResult, NotCompiled> {
    let task = CompileTask {
        cache: cache.map(Path::to_owned),
        patient: loops == Loops::Ask,
        memory: limits.memory,
        seconds: limits.timeout.as_secs().max(1),
    };
    let not_started = |error| NotCompiled::passing(format!("start a compiler ({SELF}): {error}"));
    let mut running = ChildProcess(spawn(&task).map_err(not_started)?);
    let said = running.talk(file, limits, stopping).map_err(not_started)?;
    match said.ended {
        ChildEnd::Itself(status) if status.success() => Ok(read(said.answer, limits)?),
        ChildEnd::Itself(status) => Err(post_mortem(status, &said.errors, limits)),
        ChildEnd::Late => Err(NotCompiled::passing(late_by_the_clock(limits))),
        ChildEnd::Stopped => Err(NotCompiled::passing("the process is stopping")),
    }
}

fn spawn(task: &CompileTask) -> io::Result<Child> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    Command::new(SELF)
        .arg0("firehose")
        .args(task.arguments())
        // It needs nothing of it, and secrets stand there.
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.min(THREADS_MAX).to_string())
        // What the allocator reserves, or keeps for later, counts as memory.
        .env("MIMALLOC_ARENA_RESERVE", "32M")
        .env("MIMALLOC_PURGE_DELAY", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// A child; killed when it is dropped.
struct ChildProcess(Child);

/// What a child has said, and how it has ended.
struct ChildOutput {
    answer: Vec<u8>,
    errors: Vec<u8>,
    ended: ChildEnd,
}

enum ChildEnd {
    Itself(ExitStatus),
    /// Killed: it took too long.
    Late,
    /// Killed: nobody waits for it any more.
    Stopped,
}

impl ChildProcess {
    /// An error says that it could not be talked to.
    fn talk(
        &mut self,
        file: &[u8],
        limits: &CompileLimits,
        stopping: &AtomicBool,
    ) -> io::Result<ChildOutput> {
        let (input, output) = (self.0.stdin.take(), self.0.stdout.take());
        let errors = self.0.stderr.take();
        thread::scope(|scope| {
            let talk = || -> io::Result<_> {
                let aside = thread::Builder::new;
                aside().spawn_scoped(scope, move || {
                    // A child that has ended does not read on; why it has is told elsewhere.
                    input.map(|mut input| input.write_all(file))
                })?;
                let most = outcome_max(limits) + TEXT_BYTES_MAX;
                let answer = aside().spawn_scoped(scope, move || some(output, most))?;
                let errors = aside().spawn_scoped(scope, move || some(errors, TEXT_BYTES_MAX))?;
                let ended = self.wait(limits.timeout * CLOCK, stopping)?;
                Ok((answer, errors, ended))
            };
            let talking = talk();
            // The threads that read wait for the end of its pipes.
            self.kill();
            let (answer, errors, ended) = talking?;
            Ok(ChildOutput {
                answer: answer.join().unwrap_or_default(),
                errors: errors.join().unwrap_or_default(),
                ended,
            })
        })
    }

    fn wait(&mut self, timeout: Duration, stopping: &AtomicBool) -> io::Result<ChildEnd> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(ChildEnd::Itself(status));
            }
            if stopping.load(Ordering::Relaxed) {
                return Ok(ChildEnd::Stopped);
            }
            if begun.elapsed() > timeout {
                return Ok(ChildEnd::Late);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Does nothing if it has ended.
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Up to `most` bytes; the rest is read and forgotten, so that the writer comes to its end.
fn some(from: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        // An answer that breaks off is not whole, which shows when it is read.
        let _ = from.by_ref().take(most).read_to_end(&mut bytes);
        let _ = io::copy(&mut from, &mut io::sink());
    }
    bytes
}

pub(super) fn read(mut answer: Vec<u8>, limits: &CompileLimits) -> anyhow::Result<ChildResult> {
    let garbled = || anyhow!("the compiler's answer cannot be read");
    let end = answer.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(garbled)?;
    match serde_json::from_slice(&answer[..end]).map_err(|_| garbled())? {
        CompilerReply::Compiled {
            kind,
            instances,
            cached,
            unkept,
            bytes,
        } => {
            answer.drain(..=end);
            if answer.len() as u64 != bytes {
                return Err(garbled());
            }
            let prepared = PreparedComponent {
                kind,
                instances,
                component: answer,
            };
            Ok(ChildResult {
                prepared,
                cached,
                unkept,
            })
        }
        CompilerReply::Refused(cause) if is_want_of_memory(&cause) => {
            Err(anyhow!(too_large(limits)))
        }
        CompilerReply::Refused(cause) => Err(anyhow!(cause)),
    }
}

/// Why a child has ended without an answer.
pub(super) fn post_mortem(
    status: ExitStatus,
    errors: &[u8],
    limits: &CompileLimits,
) -> NotCompiled {
    let errors = String::from_utf8_lossy(errors);
    let signal = status.signal();
    if is_want_of_memory(&errors) {
        return NotCompiled::of_module(too_large(limits));
    }
    if signal == Some(Signal::XCPU.as_raw()) {
        return NotCompiled::of_module(late(limits));
    }
    if signal == Some(Signal::KILL.as_raw()) {
        let cause = "compiling it was ended by SIGKILL: the machine may be short of memory";
        return NotCompiled::passing(cause);
    }
    let last = errors.lines().rfind(|line| !line.trim().is_empty());
    let last = cut(last.unwrap_or_default(), 500);
    if is_broken(status) && !is_want_of_others(&errors) {
        return NotCompiled::of_module(format!("the compiler broke on it ({status}): {last}"));
    }
    NotCompiled::passing(format!("the compiler has ended ({status}): {last}"))
}

/// Whether it has ended as what is broken does: by a panic, or a signal that tells of a fault in the code.
/// Whoever ends it from outside takes another signal, and with another code it has said why it cannot begin.
fn is_broken(status: ExitStatus) -> bool {
    let of_faults = [
        Signal::ABORT,
        Signal::BUS,
        Signal::FPE,
        Signal::ILL,
        Signal::SEGV,
        Signal::SYS,
        Signal::TRAP,
        Signal::XFSZ,
    ];
    status.code() == Some(PANICKED)
        || of_faults
            .iter()
            .any(|fault| status.signal() == Some(fault.as_raw()))
}

/// There are too many threads or open files on the machine.
fn is_want_of_others(said: &str) -> bool {
    let signs = ["Resource temporarily unavailable", "Too many open files"];
    signs.iter().any(|sign| said.contains(sign))
}

fn is_want_of_memory(said: &str) -> bool {
    let signs = [
        "memory allocation of",
        "Cannot allocate memory",
        "out of memory",
    ];
    signs.iter().any(|sign| said.contains(sign))
}

fn late(limits: &CompileLimits) -> String {
    format!(
        "compiling it takes longer than compile_timeout = \"{}\": raise that if the module is worth it",
        display_duration(limits.timeout)
    )
}

fn late_by_the_clock(limits: &CompileLimits) -> String {
    format!(
        "compiling it was given up after {CLOCK} times compile_timeout = \"{}\" by the clock: the machine is busy",
        display_duration(limits.timeout)
    )
}
