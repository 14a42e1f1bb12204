//! Encoding jobs: full blocks and sealed batches become final bytes, off the I/O threads.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use uuid::Uuid;

use super::quarantine::{self, Damaged};
use crate::batch::Block;
use crate::buffer::Buffer;
use crate::extent::Extent;
use crate::failure::ErrorOutputType;
use crate::format::{Encoder, Format, Head};
use crate::raw_sum::RawSum;
use crate::spool::Spool;
use crate::telemetry::{FieldCounts, Tally};

/// One job takes about so many raw bytes…
pub(super) const JOB_BYTES: usize = 1 << 20;
/// …or so many small batches.
pub(super) const JOB_WORKS: usize = 256;
/// Final bytes and error lines go to the spool in pieces of about this size.
const PIECE_BYTES: usize = 1 << 20;

/// One piece of encoding work, with everything it needs.
#[derive(Debug)]
pub(super) enum Work {
    /// A raw block of a batch whose blocks are encoded one by one.
    Block {
        /// The batch.
        id: Uuid,
        /// The block.
        serial: u32,
        /// Whether it is the object's first.
        first: bool,
        /// Its bytes.
        source: BlockBytes,
        /// How it is encoded.
        format: Format,
    },
    /// A run of raw blocks of an open batch.
    Run {
        /// The batch.
        id: Uuid,
        /// The blocks.
        serials: Vec<u32>,
        /// Bytes of the object before them.
        start: u64,
        /// Their bytes.
        sources: Vec<BlockBytes>,
        /// How they are encoded.
        format: Format,
    },
    /// All blocks of a sealed batch that are not final.
    Object {
        /// The batch.
        id: Uuid,
        /// Bytes of the object that are final.
        start: u64,
        /// What those are, and leave for the object's end.
        runs: Vec<Run>,
        /// Its raw blocks.
        sources: Vec<BlockBytes>,
        /// How they are encoded.
        format: Format,
    },
}

/// A run of row groups that is final.
#[derive(Debug)]
pub(super) struct Run {
    /// What it leaves for the object's end.
    pub(super) footer: BlockBytes,
    /// Its bytes.
    pub(super) extents: Vec<Extent>,
    /// Records in it; 0 where that is not known.
    pub(super) records: u64,
}

/// What of a batch waits to be encoded.
#[derive(Debug)]
pub(super) enum Piece {
    /// One block.
    Block(u32),
    /// Several blocks.
    Run(Vec<u32>),
    /// All that is left.
    Object,
}

/// The bytes of one block: a head in the spool and a rest in memory.
#[derive(Debug)]
pub(super) struct BlockBytes {
    pub(super) head: Vec<Extent>,
    pub(super) rest: Bytes,
    /// Its records.
    pub(super) records: u64,
}

impl BlockBytes {
    /// The bytes of a frozen block.
    pub(super) fn of(block: &Block) -> Self {
        let (head, rest) = block.parts();
        Self {
            head,
            rest,
            records: block.records,
        }
    }

    /// Bytes to be encoded.
    pub(super) fn len(&self) -> usize {
        self.rest.len()
            + self
                .head
                .iter()
                .map(|extent| extent.len as usize)
                .sum::<usize>()
    }

    pub(super) fn read(&self, spool: &Spool) -> io::Result<Bytes> {
        if self.head.is_empty() {
            return Ok(self.rest.clone());
        }
        let mut bytes = Buffer::of_len(self.len());
        let head = self.len() - self.rest.len();
        spool.read_all(&self.head, &mut bytes[..head])?;
        bytes[head..].copy_from_slice(&self.rest);
        Ok(Bytes::from_owner(bytes))
    }
}

/// What came of a piece of work.
#[derive(Debug)]
pub(super) enum Done {
    /// A block's final bytes.
    Block {
        /// The batch.
        id: Uuid,
        /// The block they take the place of.
        serial: u32,
        /// The bytes.
        encoded: Bytes,
        /// What the object's end wants to know of them.
        raw_sum: Option<RawSum>,
        /// What of them was damaged: all, or nothing.
        damaged: Vec<Damaged>,
    },
    /// The final bytes of a run, in the spool already (not yet synced).
    Run {
        /// The batch.
        id: Uuid,
        /// The blocks they take the place of.
        serials: Vec<u32>,
        /// Where the bytes lie; nowhere when no record fitted.
        extents: Vec<Extent>,
        /// Where their footer lies.
        footer: Vec<Extent>,
        /// Records that did not fit.
        failed: Vec<FailedLines>,
        /// Blocks that were damaged, and are in none of these.
        damaged: Vec<Damaged>,
    },
    /// An object's last bytes, in the spool already (not yet synced).
    Object {
        /// The batch.
        id: Uuid,
        /// Whether there is no record in it.
        is_empty: bool,
        /// Where the bytes lie.
        extents: Vec<Extent>,
        /// Records that did not fit.
        failed: Vec<FailedLines>,
        /// Blocks that were damaged, and are in none of these.
        damaged: Vec<Damaged>,
    },
}

/// Error lines of one type, in the spool already.
#[derive(Debug)]
pub(super) struct FailedLines {
    /// The type.
    pub output_type: ErrorOutputType,
    /// Arrival of the first record.
    pub arrival_ms: i64,
    /// Number of lines.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where the lines lie, and how many lie there.
    pub extents: Vec<(Extent, u64)>,
    /// Why the records failed.
    pub tally: Tally,
    pending: Vec<u8>,
}

/// Formats that encoders are kept of.
const FORMATS_MAX: usize = 8;

/// Encoders that no worker uses just now, by format.
#[derive(Debug, Default)]
pub struct EncoderPool(Mutex<HashMap<u64, Vec<EncodeBench>>>);

/// What a worker needs to encode: all of it is used again.
#[derive(Debug)]
struct EncodeBench {
    encoder: Encoder,
    /// Room for an encoded block.
    out: Vec<u8>,
}

impl EncoderPool {
    fn take(&self, hash: u64, format: &Format) -> EncodeBench {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = pool.get_mut(&hash).and_then(Vec::pop);
        idle.unwrap_or_else(|| EncodeBench {
            encoder: format.encoder(),
            out: Vec::new(),
        })
    }

    fn give(&self, hash: u64, bench: EncodeBench) {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() >= FORMATS_MAX && !pool.contains_key(&hash) {
            // Columns that were learned are widened: what is no more in force comes back seldom.
            pool.clear();
        }
        pool.entry(hash).or_default().push(bench);
    }
}

/// Does the work, one piece after the other. `hash` names the format, the same for all pieces. `fields` is told what of the
/// records has found no column.
pub(super) fn run(
    works: Vec<Work>,
    hash: u64,
    pool: &EncoderPool,
    spool: &Arc<Spool>,
    fields: &FieldCounts,
    now_ms: i64,
) -> io::Result<Vec<Done>> {
    let Some(Work::Block { format, .. } | Work::Run { format, .. } | Work::Object { format, .. }) =
        works.first()
    else {
        return Ok(Vec::new());
    };
    let format = format.clone();
    let mut bench = pool.take(hash, &format);
    let done = works
        .into_iter()
        .map(|work| encode(work, &mut bench, spool, now_ms))
        .collect();
    fields.add(format.take_fields(&mut bench.encoder));
    pool.give(hash, bench);
    done
}

fn encode(work: Work, bench: &mut EncodeBench, spool: &Spool, now_ms: i64) -> io::Result<Done> {
    let EncodeBench { encoder, out } = bench;
    let mut damaged = Vec::new();
    match work {
        Work::Block {
            id,
            serial,
            first,
            source,
            format,
        } => {
            let raw = quarantine::read(id, &source, spool, &mut damaged)?;
            out.clear();
            let raw_sum = format.encode_block(encoder, first, &raw, out)?;
            Ok(Done::Block {
                id,
                serial,
                encoded: Bytes::copy_from_slice(out),
                raw_sum,
                damaged,
            })
        }
        Work::Run {
            id,
            serials,
            start,
            sources,
            format,
        } => {
            let mut out = EncodedOutput::new(spool, now_ms);
            let (bytes, failed) = (&mut out.bytes, &mut out.failed);
            let (_, footer) = format.encode_run(
                encoder,
                start,
                &mut reading(id, sources, spool, &mut damaged),
                bytes,
                &mut |record, why| failed.add(record, &why),
            )?;
            let (extents, failed) = out.finish()?;
            Ok(Done::Run {
                id,
                serials,
                extents,
                footer: spool.append(footer.as_deref().as_slice())?,
                failed,
                damaged,
            })
        }
        Work::Object {
            id,
            start,
            runs,
            sources,
            format,
        } => {
            let mut footers = Vec::new();
            for run in &runs {
                footers.extend(quarantine::footer(id, run, spool, &mut damaged)?);
            }
            let head = Head {
                len: start,
                footers,
            };
            let mut out = EncodedOutput::new(spool, now_ms);
            let (bytes, failed) = (&mut out.bytes, &mut out.failed);
            let records = format.encode_object(
                encoder,
                &head,
                &mut reading(id, sources, spool, &mut damaged),
                bytes,
                &mut |record, why| failed.add(record, &why),
            )?;
            let (extents, failed) = out.finish()?;
            Ok(Done::Object {
                id,
                is_empty: records == 0 && head.footers.is_empty(),
                extents,
                failed,
                damaged,
            })
        }
    }
}

/// Reads one block after the other; those that are damaged are passed over.
fn reading(
    id: Uuid,
    sources: Vec<BlockBytes>,
    spool: &Spool,
    damaged: &mut Vec<Damaged>,
) -> impl FnMut() -> io::Result<Option<Bytes>> {
    let mut sources = sources.into_iter();
    move || {
        for source in sources.by_ref() {
            let bytes = quarantine::read(id, &source, spool, damaged)?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

/// What comes of encoding raw blocks: final bytes, and lines of what did not fit.
struct EncodedOutput<'a> {
    bytes: SpoolWriter<'a>,
    failed: Failed<'a>,
}

impl<'a> EncodedOutput<'a> {
    const fn new(spool: &'a Spool, now_ms: i64) -> Self {
        Self {
            bytes: SpoolWriter {
                spool,
                pending: Vec::new(),
                extents: Vec::new(),
            },
            failed: Failed {
                spool,
                now_ms,
                lines: Vec::new(),
                fault: None,
            },
        }
    }

    fn finish(mut self) -> io::Result<(Vec<Extent>, Vec<FailedLines>)> {
        self.bytes.flush()?;
        Ok((self.bytes.extents, self.failed.finish()?))
    }
}

/// Writes to the spool in pieces.
struct SpoolWriter<'a> {
    spool: &'a Spool,
    pending: Vec<u8>,
    extents: Vec<Extent>,
}

impl Write for SpoolWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.extents.extend(self.spool.append(&[&self.pending])?);
            self.pending.clear();
        }
        Ok(())
    }
}

/// Error lines of the records that did not fit, by type.
struct Failed<'a> {
    spool: &'a Spool,
    now_ms: i64,
    lines: Vec<FailedLines>,
    fault: Option<io::Error>,
}

impl Failed<'_> {
    fn add(&mut self, record: &crate::record::Record<'_>, why: &crate::failure::Failure) {
        let output_type = why.output_type;
        let index = self
            .lines
            .iter()
            .position(|lines| lines.output_type == output_type);
        let index = index.unwrap_or_else(|| {
            self.lines.push(FailedLines {
                output_type,
                arrival_ms: record.arrival_ms,
                records: 0,
                bytes: 0,
                extents: Vec::new(),
                tally: Tally::default(),
                pending: Vec::new(),
            });
            self.lines.len() - 1
        });
        let lines = &mut self.lines[index];
        let before = lines.pending.len();
        why.write_line(record, 1, self.now_ms, &mut lines.pending);
        lines.tally.add(why, record.data);
        lines.records += 1;
        lines.bytes += (lines.pending.len() - before) as u64;
        if lines.pending.len() >= PIECE_BYTES
            && let Err(error) = lines.flush(self.spool)
        {
            self.fault.get_or_insert(error);
        }
    }

    fn finish(mut self) -> io::Result<Vec<FailedLines>> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        for lines in &mut self.lines {
            lines.flush(self.spool)?;
        }
        Ok(self.lines)
    }
}

impl FailedLines {
    fn flush(&mut self, spool: &Spool) -> io::Result<()> {
        if !self.pending.is_empty() {
            let before: u64 = self.extents.iter().map(|(_, records)| records).sum();
            let extents = spool.append(&[&self.pending])?.into_iter();
            let counted = extents.map(|extent| (extent, self.records - before));
            self.extents.extend(counted);
            self.pending.clear();
        }
        Ok(())
    }
}
