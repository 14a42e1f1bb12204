//! Records that producers have packed: what logs to a subscription sends is, and what lies in a bucket.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::port::{BYTES_MAX, Fault};

/// What gzip begins with. No text that is UTF-8 does.
const MAGIC: &[u8] = &[0x1f, 0x8b];

/// The record, unpacked where it is gzip: no more of it than a record may come to.
pub(super) fn unpacked(record: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    if !record.starts_with(MAGIC) {
        return Ok(Cow::Borrowed(record));
    }
    let mut unpacked = Vec::new();
    let most = BYTES_MAX as u64 + 1;
    let mut decoder = MultiGzDecoder::new(record).take(most);
    if let Err(error) = decoder.read_to_end(&mut unpacked) {
        return Err(Fault::gzip(format!("the record is no whole gzip: {error}")));
    }
    if unpacked.len() > BYTES_MAX {
        let message = format!("the record unpacks to more than {} MiB", BYTES_MAX >> 20);
        return Err(Fault::gzip(message));
    }
    Ok(Cow::Owned(unpacked))
}
