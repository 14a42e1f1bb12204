//! Why a record failed, and the error object line it becomes (contract: Firehose's error records).

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::position::Position;
use crate::record::Record;

/// The stage a record failed in: the value of `!{firehose:error-output-type}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ErrorOutputType {
    /// A transform failed the record.
    ProcessingFailed,
    /// The record does not fit the format's schema.
    FormatConversionFailed,
    /// The partition keys or event time could not be had from the record.
    MetadataExtractionFailed,
    /// One partition more than `max_open_partitions` under `on_partition_limit = "error"`.
    ActivePartitionExceeded,
    /// The store took the record's object and refused the record.
    DestinationFailed,
}

impl ErrorOutputType {
    /// All types, for metrics and tests.
    pub const ALL: [Self; 5] = [
        Self::ProcessingFailed,
        Self::FormatConversionFailed,
        Self::MetadataExtractionFailed,
        Self::ActivePartitionExceeded,
        Self::DestinationFailed,
    ];

    /// Firehose's exact spelling (the styles are mixed there too). The last is ours: Firehose has a word for each
    /// service that refuses records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProcessingFailed => "processing-failed",
            Self::FormatConversionFailed => "format-conversion-failed",
            Self::MetadataExtractionFailed => "metadata-extraction-failed",
            Self::ActivePartitionExceeded => "activePartitionExceeded",
            Self::DestinationFailed => "destination-failed",
        }
    }
}

/// What is known of a failure in a transform beyond code and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformFailure {
    /// The module, as the config names it.
    pub module: Arc<str>,
    /// What went wrong, in our own words beside Firehose's `errorCode`, e.g. `Transform.Timeout`.
    pub code: &'static str,
}

/// A failed record's reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stage, which names the error prefix.
    pub output_type: ErrorOutputType,
    /// Machine-readable code in Firehose's style, e.g. `DataFormatConversion.ParseError`.
    pub code: Cow<'static, str>,
    /// One sentence for the person who reads the error object.
    pub message: Cow<'static, str>,
    /// For a failure in a transform.
    pub transform: Option<TransformFailure>,
}

/// A failed record, with the bytes that the failing stage was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRecord {
    data: Vec<u8>,
    arrival_ms: i64,
    position: Position,
    output: Option<u32>,
    text: Option<u32>,
    /// Why it failed.
    pub failure: Failure,
    /// How often it was tried.
    pub attempts: u32,
}

impl FailedRecord {
    /// A record that has failed.
    pub fn of(record: &Record<'_>, failure: Failure, attempts: u32) -> Self {
        Self {
            data: record.data.to_vec(),
            arrival_ms: record.arrival_ms,
            position: record.position,
            output: record.output,
            text: record.text,
            failure,
            attempts,
        }
    }

    /// The bytes that the failing stage was given.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The record.
    pub fn record(&self) -> Record<'_> {
        Record {
            output: self.output,
            text: self.text,
            ..Record::new(&self.data, self.arrival_ms, self.position)
        }
    }
}

impl Failure {
    /// A failure with a fixed code and a message.
    pub fn new(
        output_type: ErrorOutputType,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            output_type,
            code: Cow::Borrowed(code),
            message: message.into(),
            transform: None,
        }
    }

    /// Appends the record's line for an error object: one JSON document and a newline.
    ///
    /// `rawData` of the line is the record as the failing stage had it: for a failure in a transform the source's; for
    /// a later one what the transforms made of it, and then `outputIndex` tells which of their outputs it is, so that a
    /// replay neither transforms it again nor doubles its siblings. Where the record was several JSON texts, `rawData`
    /// is one of them, and `textIndex` tells which one: position, output and text together identify it. Conversion
    /// failures name their fields `lastErrorCode` and `lastErrorMessage`, all others `errorCode` and `errorMessage`, as
    /// Firehose does. Times are numbers of milliseconds.
    pub fn write_line(&self, record: &Record<'_>, attempts: u32, now_ms: i64, out: &mut Vec<u8>) {
        let mut line = self.line(record.data, record.arrival_ms, attempts, now_ms);
        line.insert(
            "sequenceNumber".into(),
            record.position.sequence.to_string().into(),
        );
        line.insert(
            "subSequenceNumber".into(),
            record.position.sub_sequence.into(),
        );
        if let Some(output) = record.output {
            line.insert("outputIndex".into(), output.into());
        }
        if let Some(text) = record.text {
            line.insert("textIndex".into(), text.into());
        }
        if let Some(TransformFailure { module, code }) = &self.transform {
            line.insert("transform".into(), module.as_ref().into());
            line.insert("transformErrorCode".into(), (*code).into());
        }
        end_line(&line, out);
    }

    /// Appends the line of a record that the store of its object has refused: `data` is what the object had of it.
    /// Which record of the source that was is known no more, and of its arrival only that of the object's first.
    pub fn write_refused(&self, data: &[u8], arrival_ms: i64, now_ms: i64, out: &mut Vec<u8>) {
        end_line(&self.line(data, arrival_ms, 1, now_ms), out);
    }

    /// What every line says.
    fn line(&self, data: &[u8], arrival_ms: i64, attempts: u32, now_ms: i64) -> Map<String, Value> {
        let (code, message) = match self.output_type {
            ErrorOutputType::FormatConversionFailed => ("lastErrorCode", "lastErrorMessage"),
            _ => ("errorCode", "errorMessage"),
        };
        let raw_data = base64::engine::general_purpose::STANDARD.encode(data);
        let mut line = Map::new();
        line.insert("rawData".into(), raw_data.into());
        line.insert(code.into(), self.code.as_ref().into());
        line.insert(message.into(), self.message.as_ref().into());
        line.insert("attemptsMade".into(), attempts.into());
        line.insert("arrivalTimestamp".into(), arrival_ms.into());
        line.insert("attemptEndingTimestamp".into(), now_ms.into());
        line
    }
}

fn end_line(line: &Map<String, Value>, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, line).expect("strings and numbers always serialise");
    out.push(b'\n');
}
