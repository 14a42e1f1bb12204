//! Transforms: WebAssembly modules that change records on their way, in place of Firehose's Lambda.
//!
//! A stream's modules form a [`Chain`]. A worker takes records through it call by call, depth first,
//! so that memory stays bounded whatever the modules return. A module can fail a record, and break a
//! call; it cannot hang, crash or starve the daemon, nor touch anything but its records.

mod abi;
mod backoff;
mod compiled;
pub mod compiler;
mod component;
mod current;
mod engine;
mod fault;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod host;
mod instance;
mod module;
mod observer;
mod packed;
mod patient;
mod run;
mod sandbox;
mod shape;
mod trial;
mod turns;
mod versions;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::TransformSettings;
use crate::failure::{FailedRecord, Failure};
use crate::position::Position;
use crate::record::{Chunk, ChunkBuilder, Record};

pub use abi::{Level, Outcome, Output, Verdict};
pub use component::{ComponentKind, WIT, World};
pub use current::{Loaded, Reload, Transforms};
pub use engine::{CompilerProcess, EndsCompiling, Engine};
pub use fault::Cause;
pub use module::{LoadError, Module, ModuleInfo};
pub use observer::{LogSink, Observer};
use run::{InstanceSlot, Replaced};

/// A piece of a chunk ends when so many bytes have come out of it…
const PIECE_BYTES: usize = 4 << 20;
/// …or when it has taken so long: what is done can be delivered while a slow module goes on.
const PIECE_TIME: Duration = Duration::from_millis(500);
/// Bytes that may come out of the records of one call to the first module, all modules together, and
/// out of one record; more where a module's `output` allows more.
const EXPANSION_BYTES: usize = 32 << 20;

/// The modules of a stream, in order, as they were loaded together.
pub struct Chain {
    modules: Vec<Module>,
}

/// What a worker keeps from chunk to chunk: an instance of each module.
pub struct Workshop {
    chain: Arc<Chain>,
    slots: Vec<InstanceSlot>,
    numbers: Vec<Numbers>,
}

/// Is told what each module (by its index) makes of each record that it is given.
pub type Watch<'w> = dyn FnMut(usize, &Record<'_>, &Verdict) + 'w;

/// A piece of a chunk after the last module.
pub struct TransformedPiece {
    /// What came out, in order.
    pub outputs: Chunk,
    /// Records, and outputs of modules before the last, that failed.
    pub failed: Vec<FailedRecord>,
    /// Records, and outputs of modules before the last, that were left out on purpose.
    pub dropped: u64,
    /// The piece ends before this record of the chunk.
    pub end: usize,
}

impl Chain {
    /// Loads the modules of a stream, each with who observes it.
    pub fn load(
        engine: &Engine,
        stream: &str,
        settings: &[TransformSettings],
        observers: &[Observer],
    ) -> Result<Self, LoadError> {
        let load = |(settings, observer)| Module::load(engine, stream, settings, observer);
        let modules: Result<Vec<_>, _> = settings.iter().zip(observers).map(load).collect();
        Ok(Self { modules: modules? })
    }

    /// Modules that were tried out before.
    pub const fn of(modules: Vec<Module>) -> Self {
        Self { modules }
    }

    /// The modules.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Others have taken the place of its modules: what waits for one of them is given back.
    fn replace(&self) {
        for module in &self.modules {
            module.replace();
        }
    }

    fn expansion_max(&self) -> usize {
        let outputs = self.modules.iter().map(Module::output_limit);
        outputs.fold(EXPANSION_BYTES, usize::max)
    }
}

impl Workshop {
    /// A workshop without instances yet; they start when they are needed.
    pub fn new(chain: Arc<Chain>) -> Self {
        let slots = chain
            .modules
            .iter()
            .map(|_| InstanceSlot::default())
            .collect();
        let numbers = chain.modules.iter().map(|_| Numbers::default()).collect();
        Self {
            chain,
            slots,
            numbers,
        }
    }

    /// One with other modules in the places of this one's, for the records that come next: it goes on with the numbers
    /// of what comes out.
    #[must_use]
    pub fn replaced_by(&self, chain: Arc<Chain>) -> Self {
        let mut other = Self::new(chain);
        other.numbers.clone_from(&self.numbers);
        other
    }

    /// Whether it works with these modules.
    pub fn is_of(&self, chain: &Arc<Chain>) -> bool {
        Arc::ptr_eq(&self.chain, chain)
    }

    /// The most memory that an instance of each module has held, in bytes.
    pub fn memory_peaks(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().map(|slot| slot.memory_peak)
    }

    /// How many records of `chunk` go into each call to the first module.
    pub fn call_sizes(&self, chunk: &Chunk) -> Vec<usize> {
        let records: Vec<Record<'_>> = chunk.iter().collect();
        let (mut sizes, mut start) = (Vec::new(), 0);
        while let Some(module) = self.chain.modules.first().filter(|_| start < records.len()) {
            let size = run::call_len(module, &records[start..]);
            sizes.push(size);
            start += size;
        }
        sizes
    }

    /// Takes the records of `chunk` in `range` through all modules, until the piece is large enough or
    /// they end. Where the modules were replaced it may end sooner, and have no record. Where the range begins amid what
    /// was one source record, the records before it must have been worked on here.
    pub fn work(&mut self, chunk: &Chunk, range: Range<usize>) -> TransformedPiece {
        self.work_into(Out::of(chunk, range.start, None), chunk, range)
    }

    /// The same under the eyes of `watch`.
    pub fn work_watched<'w>(
        &mut self,
        chunk: &Chunk,
        start: usize,
        watch: &'w mut Watch<'w>,
    ) -> TransformedPiece {
        self.work_into(
            Out::of(chunk, start, Some(watch)),
            chunk,
            start..chunk.len(),
        )
    }

    fn work_into(
        &mut self,
        mut out: Out<'_>,
        chunk: &Chunk,
        range: Range<usize>,
    ) -> TransformedPiece {
        let chain = Arc::clone(&self.chain);
        #[expect(clippy::disallowed_methods, reason = "a piece ends after a while")]
        let begun = Instant::now();
        let Range {
            start: mut end,
            end: last,
        } = range;
        if !chunk.goes_on(end) {
            self.numbers.fill(Numbers::default());
        }
        let Some(first) = chain.modules.first() else {
            unreachable!("a chain has modules")
        };
        while end < last && out.bytes() < PIECE_BYTES && begun.elapsed() < PIECE_TIME {
            let next = chunk.iter_from(end).take(last - end);
            let ahead: Vec<Record<'_>> = next.take(run::CALL_RECORDS).collect();
            let records = &ahead[..run::call_len(first, &ahead)];
            let (mark, numbers) = (out.mark(), self.numbers.clone());
            let Ok(done) = self.feed_or_single_out(&chain, records, &mut out) else {
                out.back_to(mark);
                self.numbers = numbers;
                break;
            };
            end += done;
        }
        TransformedPiece {
            outputs: out.builder.finish(),
            failed: out.failed,
            dropped: out.dropped,
            end,
        }
    }

    /// What one module makes of records, with nothing after it.
    pub fn step(&mut self, module: usize, records: &Chunk) -> Vec<Verdict> {
        let chain = Arc::clone(&self.chain);
        let records: Vec<Record<'_>> = records.iter().collect();
        let (module, slot) = (&chain.modules[module], &mut self.slots[module]);
        let mut verdicts = Vec::with_capacity(records.len());
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let (call, after) = rest.split_at(run::call_len(module, rest));
            // Whoever goes by steps replaces no modules.
            let (Ok(()) | Err(Replaced)) = run::run(module, slot, call, &mut verdicts);
            rest = after;
        }
        verdicts
    }

    /// Feeds records to the chain; if more comes out of them than may, one by one until the piece is large enough, and
    /// then the record of which too much comes fails. Returns how many it has fed.
    fn feed_or_single_out(
        &mut self,
        chain: &Chain,
        records: &[Record<'_>],
        out: &mut Out<'_>,
    ) -> Result<usize, Replaced> {
        let module = match self.feed_within(chain, records, out) {
            Ok(()) => return Ok(records.len()),
            Err(Halted::Replaced) => return Err(Replaced),
            Err(Halted::Expanded { module }) => module,
        };
        if let [record] = records {
            let failure = fault::expansion(chain.modules[module].name(), chain.expansion_max());
            out.fail(record, failure, 1);
            return Ok(1);
        }
        let mut done = 0;
        for record in records.chunks(1) {
            // Each may give as much as all of a call: without this, hundreds of them would stand in memory at once.
            if done > 0 && out.bytes() >= PIECE_BYTES {
                break;
            }
            done += self.feed_or_single_out(chain, record, out)?;
        }
        Ok(done)
    }

    /// Feeds records to the chain, or leaves `out` as it was.
    fn feed_within(
        &mut self,
        chain: &Chain,
        records: &[Record<'_>],
        out: &mut Out<'_>,
    ) -> Result<(), Halted> {
        let (mark, numbers) = (out.mark(), self.numbers.clone());
        out.limit = out.bytes() + chain.expansion_max();
        let fed = self.feed(chain, 0, records, out);
        if fed.is_err() {
            out.back_to(mark);
            self.numbers = numbers;
        }
        fed
    }

    fn feed(
        &mut self,
        chain: &Chain,
        stage: usize,
        records: &[Record<'_>],
        out: &mut Out<'_>,
    ) -> Result<(), Halted> {
        let module = &chain.modules[stage];
        let is_last = stage + 1 == chain.modules.len();
        let mut rest = records;
        let mut verdicts = Vec::new();
        while !rest.is_empty() {
            let (call, after) = rest.split_at(run::call_len(module, rest));
            rest = after;
            run::run(module, &mut self.slots[stage], call, &mut verdicts)?;
            let mut between = ChunkBuilder::with_room(call.len(), 0);
            for (record, verdict) in call.iter().zip(verdicts.drain(..)) {
                if let Some(watch) = &mut out.watch {
                    watch(stage, record, &verdict);
                }
                let numbers = &mut self.numbers[stage];
                let builder = if is_last {
                    &mut out.builder
                } else {
                    &mut between
                };
                let mut push = |output: Output| {
                    let number = numbers.next(record.position);
                    builder.push_output(record, number, &output.data, output.keys);
                };
                match verdict {
                    Ok(Outcome::Ok(output)) => push(output),
                    Ok(Outcome::Many(outputs)) if !outputs.is_empty() => {
                        outputs.into_iter().for_each(push);
                    }
                    Ok(_) => out.dropped += 1,
                    Err((failure, attempts)) => out.fail(record, failure, attempts),
                }
            }
            if out.bytes() > out.limit {
                return Err(Halted::Expanded { module: stage });
            }
            if !is_last {
                let between = between.finish();
                let records: Vec<Record<'_>> = between.iter().collect();
                self.feed(chain, stage + 1, &records, out)?;
            }
        }
        Ok(())
    }
}

/// Why records are not through all modules.
enum Halted {
    /// More came out of this one than may.
    Expanded {
        module: usize,
    },
    Replaced,
}

impl From<Replaced> for Halted {
    fn from(_: Replaced) -> Self {
        Self::Replaced
    }
}

/// Numbers the outputs of each source record at one stage: they come in order, though not always in one call.
#[derive(Clone, Copy, Default)]
struct Numbers {
    of: Option<Position>,
    next: u32,
}

impl Numbers {
    fn next(&mut self, of: Position) -> u32 {
        if self.of != Some(of) {
            *self = Self {
                of: Some(of),
                next: 0,
            };
        }
        self.next += 1;
        self.next - 1
    }
}

/// What has come out of a piece so far.
struct Out<'w> {
    builder: ChunkBuilder,
    failed: Vec<FailedRecord>,
    failed_bytes: usize,
    dropped: u64,
    /// Bytes that may have come out until the records under way are through.
    limit: usize,
    watch: Option<&'w mut Watch<'w>>,
}

impl<'w> Out<'w> {
    /// Nothing yet, with room for what comes out of the records from `start` on where they become a
    /// little larger.
    fn of(chunk: &Chunk, start: usize, watch: Option<&'w mut Watch<'w>>) -> Self {
        let records = chunk.len() - start;
        let bytes = chunk.bytes() / chunk.len().max(1) * records;
        Self {
            builder: ChunkBuilder::with_room(records, (bytes + bytes / 8).min(PIECE_BYTES)),
            failed: Vec::new(),
            failed_bytes: 0,
            dropped: 0,
            limit: 0,
            watch,
        }
    }

    fn bytes(&self) -> usize {
        self.builder.bytes() + self.failed_bytes
    }

    fn fail(&mut self, record: &Record<'_>, failure: Failure, attempts: u32) {
        self.failed_bytes += record.data.len() + failure.message.len();
        self.failed
            .push(FailedRecord::of(record, failure, attempts));
    }

    fn mark(&self) -> (usize, usize, usize, u64) {
        let outputs = self.builder.len();
        (outputs, self.failed.len(), self.failed_bytes, self.dropped)
    }

    fn back_to(&mut self, (outputs, failed, failed_bytes, dropped): (usize, usize, usize, u64)) {
        self.builder.truncate(outputs);
        self.failed.truncate(failed);
        self.failed_bytes = failed_bytes;
        self.dropped = dropped;
    }
}

#[cfg(test)]
mod tests;
