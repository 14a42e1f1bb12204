//! What an instance may touch: the log, the origin of the records of its call, and its own memory.

#![expect(clippy::disallowed_methods, reason = "calls have time limits")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use firehose_wasm_meter::{Growth, Loops};
use wasmtime::component::{Linker, LinkerInstance};
use wasmtime::{ResourceLimiter, StoreContextMut};

use super::abi::{HOST, Level, Origin, PACKED, TYPES};
use super::fault::{GuestFault, OverMemory, OverTime, cut};
use super::observer::Observer;
use crate::position::Position;
use crate::record::Record;

/// A log line is cut after so many bytes.
const LINE_BYTES_MAX: usize = 4 << 10;
/// Bytes that an element of a table counts for.
const TABLE_ELEMENT_BYTES: usize = 16;
/// Memories of one instance of a component, however small: each takes 4 GiB of addresses, and mappings of
/// which a process may have some 65,000. A core module has one, those that are glued together share theirs.
const MEMORIES_MAX: usize = 100;
/// Tables of one instance of a component, however small.
const TABLES_MAX: usize = 1000;

/// A module's log: lines beyond its limit a second are counted, not written. Shared by all of its
/// instances.
pub(super) struct ModuleLog {
    observer: Observer,
    lines_per_second: u64,
    begun: Instant,
    /// The second that the counter counts, from `begun`.
    second: AtomicU64,
    lines: AtomicU64,
}

impl ModuleLog {
    pub(super) fn new(observer: Observer, lines_per_second: u64) -> Self {
        Self {
            observer,
            lines_per_second,
            begun: Instant::now(),
            second: AtomicU64::new(0),
            lines: AtomicU64::new(0),
        }
    }

    fn write(&self, level: Level, line: &str) {
        // Two instances may both see a new second and reset the counter; some lines more are no harm.
        let second = self.begun.elapsed().as_secs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.lines.store(0, Ordering::Relaxed);
        }
        if self.lines.fetch_add(1, Ordering::Relaxed) < self.lines_per_second {
            (self.observer.log)(level, cut(line, LINE_BYTES_MAX));
        } else {
            self.observer.metrics.suppressed_log_lines.add(1);
        }
    }
}

/// The data of a store: what the host knows about one instance.
pub(super) struct Host {
    log: Arc<ModuleLog>,
    stream: Arc<str>,
    /// Where the records of the call under way came from; empty between calls.
    origins: Origins,
    /// What clocks and random numbers of a call come from.
    pub(super) now_ms: i64,
    pub(super) random: fastrand::Rng,
    /// The last line that the guest logged as an error in the call under way.
    said: Option<String>,
    /// When the call under way has had its time.
    deadline: Option<Instant>,
    /// What loops do once they have used up their budget.
    loops: Loops,
    memory: usize,
    memory_peak: usize,
    memory_limit: usize,
    /// How many core instances there may be: each takes memory of the host.
    instances: usize,
}

/// Where the records of a call came from; its memory is used again by the next.
#[derive(Default)]
struct Origins {
    shard: String,
    /// Position, and where the partition key ends in `keys`.
    of: Vec<(Position, usize)>,
    keys: Vec<u8>,
}

impl Origins {
    fn set(&mut self, records: &[Record<'_>]) {
        self.of.clear();
        self.keys.clear();
        self.shard.clear();
        self.shard
            .push_str(records.first().map_or("", |record| record.shard));
        for record in records {
            self.keys.extend_from_slice(record.partition_key);
            self.of.push((record.position, self.keys.len()));
        }
    }

    /// Position and partition key of the record at `index`.
    fn of(&self, index: u32) -> Option<(Position, &[u8])> {
        let index = index as usize;
        let (position, end) = *self.of.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.of[before].1);
        Some((position, &self.keys[start..end]))
    }
}

impl Host {
    pub(super) fn new(
        log: Arc<ModuleLog>,
        stream: Arc<str>,
        memory_limit: usize,
        instances: usize,
        loops: Loops,
    ) -> Self {
        Self {
            log,
            stream,
            origins: Origins::default(),
            now_ms: 0,
            random: fastrand::Rng::with_seed(0),
            said: None,
            deadline: None,
            loops,
            memory: 0,
            memory_peak: 0,
            memory_limit,
            instances,
        }
    }

    /// Before a call: time and randomness of the sandbox come from the record (modules that ask for
    /// them get one at a time), so that it has the same outcome wherever and whenever it is made.
    pub(super) fn begin(&mut self, records: &[Record<'_>]) {
        self.said = None;
        self.origins.set(records);
        if let Some(first) = records.first() {
            self.now_ms = first.arrival_ms;
            let Position {
                sequence,
                sub_sequence,
            } = first.position;
            let output = first.output.map_or(0, |output| u64::from(output) + 1);
            let seed = sequence.folded()
                ^ u64::from(sub_sequence).rotate_left(32)
                ^ output.rotate_left(48);
            self.random = fastrand::Rng::with_seed(seed);
        }
    }

    /// What begins now may take so long.
    pub(super) fn allow(&mut self, timeout: Duration) {
        self.deadline = Instant::now().checked_add(timeout);
    }

    /// After a call that broke: the last error that the guest logged in it.
    pub(super) fn said(&mut self) -> Option<String> {
        self.said.take()
    }

    /// Bytes of memory that the instance holds.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// The most that it has held.
    pub(super) fn memory_peak(&self) -> usize {
        self.memory_peak
    }

    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        let wanted = self.memory + desired.saturating_sub(current);
        if wanted > self.memory_limit {
            let limit = self.memory_limit;
            return Err(OverMemory { wanted, limit }.into());
        }
        self.memory = wanted;
        self.memory_peak = self.memory_peak.max(wanted);
        Ok(true)
    }
}

/// Memories and tables of the instance together stay below its limit; beyond it the call ends. It is
/// asked, too, whether the call may go on (`firehose_wasm_meter`).
impl ResourceLimiter for Host {
    fn instances(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        match Growth::of(current, desired) {
            Growth::GivenUp if self.loops == Loops::GiveUp => {
                return Err(OverTime::GaveUp.into());
            }
            Growth::Question if self.deadline.is_some_and(|at| at <= Instant::now()) => {
                return Err(OverTime::Timeout.into());
            }
            // In the patient version no loop of ours gives up: the guest itself wants so much.
            Growth::Question | Growth::GivenUp => return Ok(false),
            Growth::Real => {}
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // the module's own limit, which it reckons with
        }
        self.grow(current, desired)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        self.grow(bytes(current), bytes(desired))
    }
}

/// Offers the interfaces of the contract.
pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.instance(TYPES)?;
    linker.instance(PACKED)?;
    let mut host = linker.instance(HOST)?;
    link_log(&mut host)?;
    link_origin(&mut host)
}

fn link_log(host: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    host.func_wrap(
        "log",
        |mut store: StoreContextMut<'_, Host>, (level, message): (Level, String)| {
            let host = store.data_mut();
            host.log.write(level, &message);
            if level == Level::Error {
                host.said = Some(message);
            }
            Ok(())
        },
    )
}

fn link_origin(host: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    host.func_wrap(
        "origin-of",
        |store: StoreContextMut<'_, Host>, (index,): (u32,)| {
            let host = store.data();
            let (position, key) = host.origins.of(index).ok_or(GuestFault(
                "origin-of: the call has no record of that index",
            ))?;
            let key = String::from_utf8_lossy(key);
            Ok((Origin {
                delivery_stream: host.stream.to_string(),
                shard: host.origins.shard.clone(),
                sequence_number: position.sequence.to_string(),
                sub_sequence_number: position.sub_sequence,
                partition_key: (!key.is_empty()).then(|| key.into_owned()),
            },))
        },
    )
}
