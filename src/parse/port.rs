//! What a parser is to the rest of the program: the bytes of a record in, JSON records out, or why there are none.

use std::borrow::Cow;
use std::fmt::Debug;

use firehose_json::TEXTS_MAX;

use crate::config::{ParserKind, ParserSettings};
use crate::failure::{ErrorOutputType, FailedRecord, Failure};
use crate::record::{ChunkBuilder, Record};

/// Records, failures and drops that one source record may come to: as many as of JSON texts.
pub const PARTS_MAX: usize = TEXTS_MAX;
/// Bytes that one source record may come to.
pub const BYTES_MAX: usize = 32 << 20;
/// Bytes of a value that a message quotes.
const QUOTED_MAX: usize = 64;
/// What a failure is counted as, beside its bytes and its message.
const FAILED_BYTES: usize = size_of::<FailedRecord>();

/// A kind of parser that finds its own settings.
pub trait ParserEntry: ParserKind {
    /// The parser that these settings are. `None`: they are of another kind.
    fn parser<'s>(&self, settings: &'s ParserSettings) -> Option<&'s dyn Parse>;
}

/// A parser with its settings: asked from many threads at once.
pub trait Parse: Debug + Send + Sync {
    /// Puts what comes out of a record into `parts`, in order. A part that fails by itself is put there too; the error
    /// says that the record fails whole, and then nothing that was put counts.
    fn parse(&self, record: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault>;
}

/// Why a record, or a part of one, is not parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    code: &'static str,
    message: Cow<'static, str>,
}

impl Fault {
    /// It is not what the parser takes.
    pub(super) fn mismatch(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: "Parse.Mismatch",
            message: message.into(),
        }
    }

    /// It is no text.
    pub(super) const fn not_utf8() -> Self {
        Self {
            code: "Parse.NotUtf8",
            message: Cow::Borrowed("the text is not UTF-8"),
        }
    }

    /// It cannot be unpacked.
    pub(super) fn gzip(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: "Parse.Gzip",
            message: message.into(),
        }
    }

    /// More comes out of it than may.
    pub(super) fn too_much(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: "Parse.OutputLimit",
            message: message.into(),
        }
    }

    pub(super) fn into_failure(self) -> Failure {
        Failure {
            output_type: ErrorOutputType::ProcessingFailed,
            code: Cow::Borrowed(self.code),
            message: self.message,
            transform: None,
        }
    }
}

/// A value as a message quotes it: its beginning.
pub(super) fn quoted(value: &str) -> String {
    let end = value.floor_char_boundary(QUOTED_MAX);
    let more = if end < value.len() { "…" } else { "" };
    format!("\"{}{more}\"", &value[..end])
}

/// What comes out of one source record.
pub struct Parts<'p> {
    source: &'p Record<'p>,
    out: &'p mut Collected,
    /// How much there was before the record.
    begin: Mark,
}

/// What has come out of some records.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) builder: ChunkBuilder,
    pub(super) failed: Vec<FailedRecord>,
    failed_bytes: usize,
    pub(super) dropped: u64,
}

/// How much has come out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    outputs: usize,
    failed: usize,
    failed_bytes: usize,
    dropped: u64,
    bytes: usize,
}

impl Collected {
    pub(super) fn with_room(records: usize, bytes: usize) -> Self {
        Self {
            builder: ChunkBuilder::with_room(records, bytes),
            failed: Vec::new(),
            failed_bytes: 0,
            dropped: 0,
        }
    }

    /// Bytes of all that has come out.
    pub(super) fn bytes(&self) -> usize {
        self.builder.bytes() + self.failed_bytes
    }

    /// How many things have come out.
    pub(super) fn parts(&self) -> usize {
        let dropped = usize::try_from(self.dropped).unwrap_or(usize::MAX);
        (self.builder.len() + self.failed.len()).saturating_add(dropped)
    }

    pub(super) fn fail(&mut self, record: &Record<'_>, fault: Fault) {
        let failed = FailedRecord::of(record, fault.into_failure(), 1);
        self.failed_bytes += FAILED_BYTES + record.data.len() + failed.failure.message.len();
        self.failed.push(failed);
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            outputs: self.builder.len(),
            failed: self.failed.len(),
            failed_bytes: self.failed_bytes,
            dropped: self.dropped,
            bytes: self.bytes(),
        }
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        self.builder.truncate(mark.outputs);
        self.failed.truncate(mark.failed);
        self.failed_bytes = mark.failed_bytes;
        self.dropped = mark.dropped;
    }
}

impl<'p> Parts<'p> {
    pub(super) fn of(source: &'p Record<'p>, out: &'p mut Collected) -> Self {
        let begin = out.mark();
        Self { source, out, begin }
    }

    /// A record that comes out: in the order of the calls they are numbered from 0. The error: that is too much.
    pub fn put(&mut self, data: &[u8]) -> Result<(), Fault> {
        let number = self.out.builder.len() - self.begin.outputs;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let builder = &mut self.out.builder;
        builder.push_output(self.source, number, data, Vec::new());
        self.check()
    }

    /// A part of the record that fails by itself: its bytes, and which of the record's lines or texts it is, from 0.
    pub fn fail(&mut self, data: &[u8], index: usize, fault: Fault) -> Result<(), Fault> {
        let part = Record {
            data,
            text: Some(u32::try_from(index).unwrap_or(u32::MAX)),
            ..*self.source
        };
        self.out.fail(&part, fault);
        self.check()
    }

    /// A part of which nothing comes out, on purpose.
    pub fn leave_out(&mut self) -> Result<(), Fault> {
        self.out.dropped += 1;
        self.check()
    }

    /// How much has come out, to go [`Parts::back_to`].
    pub(super) fn mark(&self) -> Mark {
        self.out.mark()
    }

    /// Forgets what has come out since.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.out.back_to(mark);
    }

    /// Fails where the record has come to more than it may: a fault of the whole record.
    fn check(&self) -> Result<(), Fault> {
        let now = self.out.mark();
        let parts = (now.outputs - self.begin.outputs) + (now.failed - self.begin.failed);
        let dropped = usize::try_from(now.dropped - self.begin.dropped).unwrap_or(usize::MAX);
        if parts.saturating_add(dropped) > PARTS_MAX {
            let message = format!("the record holds more than {PARTS_MAX} records");
            return Err(Fault::too_much(message));
        }
        if now.bytes - self.begin.bytes > BYTES_MAX {
            let message = format!("the record comes to more than {} MiB", BYTES_MAX >> 20);
            return Err(Fault::too_much(message));
        }
        Ok(())
    }
}
