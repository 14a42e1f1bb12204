//! Parsing: source records that are no JSON become JSON records, before transforms and partitions see them.
//!
//! Parsers are behind one port ([`ParserEntry`], [`Parse`]), each in a file of its own, and stand in one list ([`PARSERS`]). One
//! source record may come to many records, or to none; what does not parse fails alone.

use crate::config::ParserSettings;
use crate::failure::FailedRecord;
use crate::record::{Chunk, ChunkBuilder};

mod alb;
mod cloudfront;
mod cloudtrail;
mod cloudwatch_logs;
mod csv;
mod documents;
mod fields;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod grok;
mod gzip;
mod lines;
mod logfmt;
mod logs;
mod matcher;
mod own_fields;
mod port;
mod regex;
mod s3_access;
mod tokens;
mod vpc_flow_log;

use std::ops::Range;

use port::Collected;
pub use port::{BYTES_MAX, Fault, PARTS_MAX, Parse, ParserEntry, Parts};

/// The parsers that there are, in the order in which messages name them.
pub const PARSERS: &[&dyn ParserEntry] = &[
    &csv::CsvParserKind,
    &logfmt::LogfmtKind,
    &regex::RegexKind,
    &grok::GrokKind,
    &vpc_flow_log::LOGS,
    &alb::LOGS,
    &cloudfront::LOGS,
    &s3_access::LOGS,
    &cloudtrail::CloudTrailKind,
    &cloudwatch_logs::CloudWatchLogsKind,
];

/// A piece of a chunk ends when so many bytes have come out of it…
const PIECE_BYTES: usize = 1 << 20;
/// …or so many records.
const PIECE_PARTS: usize = 8 << 10;

/// The parser of a stream. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Parser {
    settings: ParserSettings,
}

/// A piece of a chunk, parsed.
#[derive(Debug)]
pub struct ParsedPiece {
    /// What came out, in order; numbered within each source record.
    pub outputs: Chunk,
    /// What did not parse.
    pub failed: Vec<FailedRecord>,
    /// What was left out on purpose.
    pub dropped: u64,
    /// The piece ends before this record of the chunk.
    pub end: usize,
}

impl Parser {
    /// That of these settings.
    pub const fn of(settings: ParserSettings) -> Self {
        Self { settings }
    }

    /// The word of its kind.
    pub fn word(&self) -> &'static str {
        self.settings.word()
    }

    /// What comes out of the records of `chunk` in `range`, until the piece is large enough or they end: of whole records,
    /// and of one at least.
    pub fn parse(&self, chunk: &Chunk, range: Range<usize>) -> ParsedPiece {
        let parser = self.parser();
        let bytes = (chunk.bytes() / chunk.len().max(1)).saturating_mul(2 * range.len());
        let mut out = Collected::with_room(range.len(), bytes.min(PIECE_BYTES));
        let mut end = range.start;
        for record in chunk.iter_from(range.start).take(range.len()) {
            if out.bytes() >= PIECE_BYTES || out.parts() >= PIECE_PARTS {
                break;
            }
            let mark = out.mark();
            let mut parts = Parts::of(&record, &mut out);
            let parsed =
                gzip::unpacked(record.data).and_then(|data| parser.parse(&data, &mut parts));
            if let Err(fault) = parsed {
                out.back_to(mark);
                out.fail(&record, fault);
            }
            end += 1;
        }
        ParsedPiece {
            outputs: out.builder.finish(),
            failed: out.failed,
            dropped: out.dropped,
            end,
        }
    }

    /// A chunk whose first record comes to more than may: nothing comes out of it but the failure.
    pub fn too_much(chunk: &Chunk, index: usize, message: String) -> ParsedPiece {
        let mut out = Collected::with_room(0, 0);
        out.fail(&chunk.record(index), Fault::too_much(message));
        ParsedPiece {
            outputs: ChunkBuilder::with_room(0, 0).finish(),
            failed: out.failed,
            dropped: 0,
            end: index + 1,
        }
    }

    fn parser(&self) -> &dyn Parse {
        let mut found = PARSERS
            .iter()
            .filter_map(|kind| kind.parser(&self.settings));
        // Settings come from the reader of the config, which reads them by the same list.
        found
            .next()
            .expect("settings are of a parser that is registered")
    }
}

#[cfg(test)]
mod tests;
