//! What a format is to the rest of the program: how records become an object, in one of three shapes.
//!
//! Records come one by one and are staged in raw blocks, which go to the disk as they fill. In `Shape::Blocks` a raw block
//! becomes final bytes by itself, and the object is a head, its blocks one after the other, and an end. In the others
//! records are staged in frames that keep what a failure needs to name them, since one may turn out not to fit when it is
//! encoded: in `Shape::Runs` many blocks at a time, at the end with a footer about them all, in `Shape::Whole` at the seal.

use std::any::Any;
use std::fmt::{self, Debug};
use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::columns::Row;
use super::{Format, frame};
use crate::config::{FormatKind, FormatSettings};
use crate::failure::Failure;
use crate::raw_sum::RawSum;
use crate::record::Record;
use crate::telemetry::FieldTally;

/// So many raw bytes are worth a run of `Shape::Runs`.
pub const RUN_BYTES: u64 = 64 << 20;

/// A kind of format that compiles its settings.
pub trait Compiler: FormatKind {
    /// Compiles them. `None`: they are of another kind. The fault says which bytes of the schema are wrong and why.
    fn compile(&self, settings: &FormatSettings) -> Option<Result<Format, FormatFault>>;
}

/// What is wrong with the settings of a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FormatFault {
    /// Bytes of the schema text the fault is about.
    pub at: Option<Range<usize>>,
    /// What is wrong and what is allowed.
    pub message: String,
    /// A suggestion, such as the nearest right word.
    pub help: Option<String>,
}

/// How raw blocks become final bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Each raw block becomes final bytes at once.
    Blocks,
    /// A run of raw blocks becomes final bytes at once; what it leaves for the object's end is kept.
    Runs,
    /// The object is encoded when all of its raw blocks are known.
    Whole,
}

/// What of an object is final already, in `Shape::Runs`.
#[derive(Debug, Default)]
pub struct Head {
    /// Its length in bytes.
    pub len: u64,
    /// The footers of its runs, in order.
    pub footers: Vec<Bytes>,
}

/// A compiled format: immutable, shared by all workers of a stream. It implements the methods of its shape; the others
/// have nothing to say, or fail with `InvalidInput`, as they do for the encoder of another format.
pub trait Encode: Debug + Send + Sync {
    /// How raw blocks become final bytes.
    fn shape(&self) -> Shape;

    /// Ending of the object's name, dot included; Firehose's own where Firehose has the format.
    fn extension(&self) -> &'static str;

    /// Value of the object's `Content-Type`: Firehose sends this one for all that it has.
    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }

    /// Value of the object's `Content-Encoding`, as Firehose sets it.
    fn content_encoding(&self) -> Option<&'static str> {
        // Firehose was seen to send a codec's name for columns, too; such a file as such is not encoded.
        None
    }

    /// Appends a record to a raw block: what will be encoded for `Shape::Blocks`, a frame otherwise.
    fn stage(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        frame::append(record, out);
    }

    /// A worker's scratch for this format. It fits no other format.
    fn encoder(&self) -> Encoder {
        Encoder::new(())
    }

    /// What opens an object: it stands before its first block or run.
    fn head(&self) -> &'static [u8] {
        &[]
    }

    /// Appends the final bytes of one raw block of `Shape::Blocks`; `first` tells that it opens the object. Returns what
    /// is to be known of it at the object's end, if anything.
    fn encode_block(
        &self,
        _encoder: &mut Encoder,
        _first: bool,
        _raw: &[u8],
        _out: &mut Vec<u8>,
    ) -> io::Result<Option<RawSum>> {
        Err(misfit())
    }

    /// What [`Encode::encode_block`] has returned beside these bytes, the object's head before the first
    /// block included. Fails with `InvalidData` where they are none of its.
    fn block_sum(&self, _first: bool, _encoded: &[u8]) -> io::Result<Option<RawSum>> {
        Ok(None)
    }

    /// The last bytes of an object of `Shape::Blocks` whose blocks have left `sums`, in order. Whether there are any does
    /// not depend on the sums.
    fn end(&self, _sums: &[RawSum]) -> Vec<u8> {
        Vec::new()
    }

    /// Encodes a run of raw blocks of `Shape::Runs`, which `next` yields in order, for an object of which `start`
    /// bytes are final. Returns the number of records in it, and its footer, to be kept for the
    /// object's end; none when no record fitted, and nothing was written then.
    ///
    /// `out` and `failed` as for [`Encode::encode_object`]. Fails with `InvalidData` for a damaged frame.
    fn encode_run(
        &self,
        _encoder: &mut Encoder,
        _start: u64,
        _next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        _out: &mut dyn io::Write,
        _failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<(u64, Option<Bytes>)> {
        Err(misfit())
    }

    /// Encodes the rest of an object of `Shape::Runs` or `Shape::Whole`, after `head`, from the raw blocks that `next`
    /// yields in order.
    ///
    /// `out` takes the object's bytes in pieces, and is flushed behind each part that can be delivered without the others;
    /// `failed` gets each record that does not fit, with its reason. Returns the number of records in the rest: with 0 and
    /// no head, nothing that was written to `out` is an object. Fails with `InvalidData` for a damaged frame.
    fn encode_object(
        &self,
        _encoder: &mut Encoder,
        _head: &Head,
        _next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        _out: &mut dyn io::Write,
        _failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<u64> {
        Err(misfit())
    }

    /// Which fields and columns of the records that it has encoded did not find each other, since it was asked last; nothing
    /// for formats without columns.
    fn take_fields(&self, _encoder: &mut Encoder) -> FieldTally {
        FieldTally::default()
    }

    /// Reads the footer of an object of `Shape::Runs` back from its last bytes; it has `size`. `None`: that takes more of
    /// them, or there is none. `whole` says to read also what helps readers and can be missed. Fails with `InvalidData`
    /// for what is no footer.
    fn footer(
        &self,
        _tail: &Bytes,
        _size: u64,
        _whole: bool,
    ) -> io::Result<Option<Box<dyn Footer>>> {
        Ok(None)
    }

    /// The rows that the record becomes, as they will be read back, and what gets lost on the way; none
    /// for formats without columns. Fails as `encode_object` would fail the record.
    fn rows(&self, _encoder: &mut Encoder, _record: &Record<'_>) -> Result<Vec<Row>, Failure> {
        Ok(Vec::new())
    }
}

/// The footer of an object of `Shape::Runs`, read back: an object that has lost bytes goes on without the parts that lay
/// there.
pub trait Footer: Debug {
    /// Where in the object each part lies, and how many rows it has.
    fn parts(&self) -> Vec<(Range<u64>, u64)>;

    /// Writes the footer that stands at `offset` of the object and describes the parts of which `kept` is true, by their
    /// number.
    fn write(
        &self,
        kept: &dyn Fn(usize) -> bool,
        offset: u64,
        out: &mut dyn io::Write,
    ) -> io::Result<()>;
}

/// A worker's scratch, such as a compressor and buffers: reused from block to block.
pub struct Encoder {
    scratch: Box<dyn Any + Send>,
}

impl Encoder {
    /// That of a format.
    pub fn new(scratch: impl Any + Send) -> Self {
        Self {
            scratch: Box::new(scratch),
        }
    }

    /// The scratch as the format's own type. Fails with `InvalidInput` where it is another format's.
    pub fn get<T: Any>(&mut self) -> io::Result<&mut T> {
        self.scratch.downcast_mut().ok_or_else(misfit)
    }
}

impl Debug for Encoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Encoder").finish_non_exhaustive()
    }
}

fn misfit() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the encoder or the call does not fit the format",
    )
}
