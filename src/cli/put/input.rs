//! The lines to send, in batches.

use std::io::{BufRead, Read as _};

use bytes::Bytes;
use firehose_json::{self as json, BOM};
use tokio::sync::mpsc;

use super::super::lines::without_mark;
use crate::record::{RECORD_BYTES_MAX, REQUEST_RECORDS_MAX};

/// Reads batches ahead in a thread of its own: a read of standard input cannot be taken back, and
/// no runtime should wait for it.
pub(super) fn read_in_thread(
    input: impl BufRead + Send + 'static,
    batch_bytes: usize,
) -> mpsc::Receiver<Result<Bytes, String>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let (mut lines, mut carry) = (0, Vec::new());
        let mut input = match without_mark(input) {
            Ok(input) => input,
            Err(error) => {
                let told = format!("the input cannot be read: {error}");
                let _ = sender.blocking_send(Err(told));
                return;
            }
        };
        loop {
            let batch = read_batch(&mut input, batch_bytes, &mut lines, &mut carry);
            if batch.as_ref().is_ok_and(Vec::is_empty) {
                return;
            }
            let failed = batch.is_err();
            if sender.blocking_send(batch.map(Bytes::from)).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

/// Reads whole lines of together at most `batch_bytes`, or one longer line, and no more than a request may
/// have, each JSON text of a line counted: the stream may take it for a record. Empty at the end. `carry`
/// keeps the line that did not fit any more.
pub(super) fn read_batch(
    input: &mut impl BufRead,
    batch_bytes: usize,
    lines: &mut u64,
    carry: &mut Vec<u8>,
) -> Result<Vec<u8>, String> {
    // The longest record, a carriage return, a newline, and one byte to see that it is too long.
    const LINE_MAX: usize = RECORD_BYTES_MAX + 3;
    let mut batch = std::mem::take(carry);
    let mut records = if batch.is_empty() {
        0
    } else {
        json::pieces(&batch)
    };
    while batch.len() < batch_bytes && records < REQUEST_RECORDS_MAX {
        let before = batch.len();
        let read = input
            .by_ref()
            .take(LINE_MAX as u64)
            .read_until(b'\n', &mut batch)
            .map_err(|error| format!("the input cannot be read after line {lines}: {error}"))?;
        if read == 0 {
            break;
        }
        *lines += 1;
        let line = &batch[before..];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.strip_suffix(b"\r").unwrap_or(line).len() > RECORD_BYTES_MAX {
            return Err(format!(
                "line {lines} is longer than {RECORD_BYTES_MAX} bytes"
            ));
        }
        records += json::pieces(line);
        let is_full = batch.len() > batch_bytes || records > REQUEST_RECORDS_MAX;
        if is_full && before > 0 {
            *carry = batch.split_off(before);
            break;
        }
    }
    Ok(batch)
}

/// The batch as a body. A byte order mark is part of its first record here, as the file's own is
/// gone: the daemon takes none away behind an empty line.
pub(super) fn as_body(batch: Bytes) -> Bytes {
    if batch.starts_with(BOM) {
        [b"\n", &batch[..]].concat().into()
    } else {
        batch
    }
}

/// The batch without its first `records` records, which are in already.
pub(super) fn without_records(mut batch: Bytes, records: u64) -> Bytes {
    for _ in 0..records {
        loop {
            let end = memchr::memchr(b'\n', &batch).map_or(batch.len(), |at| at + 1);
            let line = batch.split_to(end);
            let record = line.strip_suffix(b"\n").unwrap_or(&line);
            let record = record.strip_suffix(b"\r").unwrap_or(record);
            if !record.is_empty() || batch.is_empty() {
                break;
            }
        }
    }
    batch
}
