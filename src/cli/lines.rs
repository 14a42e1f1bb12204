//! Records from a file of lines, as the API's line-wise door reads them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::Context as _;
use firehose_json::BOM;

use crate::record::RECORD_BYTES_MAX;

/// Opens a file, past a byte order mark at its head; `-` is standard input.
pub(super) fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(without_mark(io::stdin().lock())?));
    }
    let name = path.display();
    let file = File::open(path).with_context(|| format!("{name} cannot be opened"))?;
    let file =
        without_mark(BufReader::new(file)).with_context(|| format!("{name} cannot be read"))?;
    Ok(Box::new(file))
}

/// The input without a byte order mark at its head, which belongs to the file and not to its first
/// line. Waits for no more bytes than it takes to tell.
pub(super) fn without_mark<R: BufRead>(mut input: R) -> io::Result<impl BufRead + use<R>> {
    let mut come = 0;
    while come < BOM.len() && input.fill_buf()?.first() == Some(&BOM[come]) {
        input.consume(1);
        come += 1;
    }
    let head = if come < BOM.len() { &BOM[..come] } else { &[] };
    Ok(head.chain(input))
}

/// What is said of a line that is too long.
pub(super) fn refusal() -> String {
    format!("the record is larger than {RECORD_BYTES_MAX} bytes")
}

/// What kind of line was read.
pub(super) enum Length {
    /// It has nothing, and is no record.
    Empty,
    /// A record.
    Fits,
    /// More than the API accepts.
    TooLong,
}

/// Reads the next line as the API's line-wise door does: without its line feed and one carriage
/// return before it. Of a line that is too long no more than a record's bytes are kept.
pub(super) fn next_line(
    input: &mut impl BufRead,
    line: &mut Vec<u8>,
) -> io::Result<Option<Length>> {
    /// A record, a carriage return, a line feed.
    const READ_MAX: u64 = RECORD_BYTES_MAX as u64 + 2;
    line.clear();
    if input.by_ref().take(READ_MAX).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    let is_whole = line.pop_if(|last| *last == b'\n').is_some();
    let is_cut = !is_whole && line.len() as u64 == READ_MAX;
    if is_cut {
        input.skip_until(b'\n')?;
    }
    line.pop_if(|last| *last == b'\r');
    Ok(Some(if line.is_empty() {
        Length::Empty
    } else if is_cut || line.len() > RECORD_BYTES_MAX {
        Length::TooLong
    } else {
        Length::Fits
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::without_mark;

    #[test]
    fn a_byte_order_mark_goes_at_the_head_of_the_input_only() {
        for (input, expected) in [
            (&b"\xef\xbb\xbf{}\n"[..], &b"{}\n"[..]),
            (b"\xef\xbb\xbf\xef\xbb\xbfa", b"\xef\xbb\xbfa"),
            (b"\xef\xbb\xbf", b""),
            (b"\xef\xbba", b"\xef\xbba"),
            (b"\xef", b"\xef"),
            (b"a\xef\xbb\xbf", b"a\xef\xbb\xbf"),
            (b"", b""),
        ] {
            for piece in 1..5 {
                let input = std::io::BufReader::with_capacity(piece, input);
                let mut read = Vec::new();
                without_mark(input).unwrap().read_to_end(&mut read).unwrap();
                assert_eq!(read, expected);
            }
        }
    }
}
