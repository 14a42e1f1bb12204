//! What a body may hold, and what can be wrong with it.

use crate::record::{RECORD_BYTES_MAX, REQUEST_RECORDS_MAX};

/// Largest body after decompression, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;
/// Largest batch handed to the intake, in bytes of records, before base64, and of their offsets: Firehose's own limit on a
/// request.
pub(super) const BATCH_BYTES_MAX: usize = 4 << 20;

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ContentError {
    /// A line is too long.
    #[error("line {line} is longer than {RECORD_BYTES_MAX} bytes")]
    LineTooLong {
        /// Its number, from 1.
        line: u64,
    },
    /// An element of the array, or a value of several, is too long.
    #[error("{what} {index} (counted from 0) is longer than {RECORD_BYTES_MAX} bytes")]
    ValueTooLong {
        /// Its number, from 0.
        index: u64,
        /// `element` or `value`.
        what: &'static str,
    },
    /// The body has too many records.
    #[error("the body has more than {REQUEST_RECORDS_MAX} records: send them in several requests")]
    TooManyRecords,
    /// The records of the body are too many texts, in a stream that takes them apart.
    #[error(
        "the records of the body are more than {REQUEST_RECORDS_MAX} JSON texts, each of which may become \
         a record in this stream (`deaggregate`): send them in several requests"
    )]
    TooManyTexts,
    /// The body is no JSON, though it is said to be.
    #[error(
        "the body is not JSON: {cause} at line {line} column {column}; application/json takes one \
         value, an array of records, or values one after the other; for lines of any kind send \
         another content type, such as text/plain"
    )]
    NotJson {
        /// Of the first byte that does not fit, from 1.
        line: usize,
        /// Bytes of the line up to it, from 1.
        column: usize,
        /// What does not fit.
        cause: String,
    },
    /// The body is too large.
    #[error("the body is larger than {BODY_BYTES_MAX} bytes after decompression")]
    TooLarge,
    /// The body does not decompress.
    #[error("the body does not decompress as {encoding}: {cause}")]
    Encoding {
        /// The content encoding.
        encoding: &'static str,
        /// What the decoder said.
        cause: String,
    },
}
