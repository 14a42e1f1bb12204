//! Bodies of records as producers may send them.

pub use super::api::fuzz::api_body;
use super::content::{BODY_BYTES_MAX, ContentError};
use super::decoding::{BodyRecords, ContentKind, Decoding};
use crate::record::{RECORD_BYTES_MAX, REQUEST_RECORDS_MAX};
use crate::source::PutBatch;

/// The body of `POST /streams/NAME/records`, behind a byte that says how it is encoded and what it is said to
/// be, and one that says in what pieces it arrives: these change nothing.
pub fn records_body(bytes: &[u8]) {
    let Some(([how, piece], body)) = bytes.split_first_chunk::<2>().map(|(at, body)| (*at, body))
    else {
        return;
    };
    let encoding = [&b""[..], b"gzip", b"zstd"][usize::from(how % 3)];
    let kind = if how & 0x80 == 0 {
        ContentKind::Lines
    } else {
        ContentKind::Json
    };
    if body.is_empty() {
        return; // no body is none of any encoding
    }
    let whole = records(encoding, kind, body, body.len());
    let pieces = records(encoding, kind, body, 1 + usize::from(piece));
    assert_eq!(whole.as_ref().ok(), pieces.as_ref().ok(), "in pieces");
    let Ok(records) = whole else { return };
    assert!(records.len() <= REQUEST_RECORDS_MAX, "too many records");
    let bytes: usize = records.iter().map(Vec::len).sum();
    assert!(bytes <= BODY_BYTES_MAX, "records of {bytes} bytes");
    let longest = records.iter().map(Vec::len).max();
    assert!(longest.is_none_or(|longest| longest <= RECORD_BYTES_MAX));
    if kind == ContentKind::Lines {
        let is_line = |record: &Vec<u8>| !record.is_empty() && !record.contains(&b'\n');
        assert!(records.iter().all(is_line), "a record that is no line");
    }
}

fn records(
    encoding: &[u8],
    kind: ContentKind,
    body: &[u8],
    piece: usize,
) -> Result<Vec<Vec<u8>>, ContentError> {
    let decoding = Decoding::new(encoding, kind, body.len());
    let mut decoding = decoding.expect("the encoding is one of ours");
    for mut rest in body.chunks(piece) {
        while !rest.is_empty() {
            let taken = decoding.feed(rest)?;
            rest = &rest[taken..];
        }
    }
    let batches = match decoding.finish()?.into_records() {
        BodyRecords::Lines(lines) => lines.finish()?,
        BodyRecords::Values(values) => values.check()?.batches(),
    };
    let records = batches.iter().flat_map(PutBatch::records);
    Ok(records.map(<[u8]>::to_vec).collect())
}
