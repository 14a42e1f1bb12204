//! How much memory an answer of Kinesis takes, before and after it has come.

use super::page::Page;

/// Memory that the largest answer of Kinesis takes while it comes: 10 MiB of records, and what they
/// came as.
pub(super) const ANSWER_BYTES_MAX: u64 = 24 << 20;
/// An answer that is here takes so many times its bytes: its records are copied into chunks, and while
/// those are on their way transforms may copy them again.
const TIMES: u64 = 2;

/// Bytes of memory that a page takes, never more than the largest answer.
pub(super) fn taken_by(page: &Page) -> u64 {
    page.bytes().saturating_mul(TIMES).min(ANSWER_BYTES_MAX)
}
