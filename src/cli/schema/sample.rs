//! Records of a sample: JSON texts one after the other, on lines of their own or not, and the elements of an array
//! around them. As much of the input is read as it takes, so that one that does not end will do.
//!
//! What is no JSON is told once for all lines up to the next that begins with a brace.

use std::io::{self, BufRead, BufReader, Read as _};

use flate2::bufread::MultiGzDecoder;
use memchr::memmem;

use firehose_json::{Dialect, TextCursor, is_white};

use super::super::lines::{refusal, without_mark};
use crate::record::RECORD_BYTES_MAX;

/// How gzip begins.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Bytes of a word, or of an escape: where only a part of one was read, that is said to be wrong, and not the end.
const TOKEN: usize = 8;

/// The grammar as columns have it, with the place of what is wrong.
#[derive(Clone, Copy, Debug)]
enum SampleDialect {}

impl Dialect for SampleDialect {
    const PAIRS: bool = false;
    const IS_BOUNDED: bool = true;
    type Error = Wrong;

    fn expected(at: usize, what: &'static str) -> Wrong {
        Wrong { at, what }
    }
}

#[derive(Clone, Copy, Debug)]
struct Wrong {
    at: usize,
    what: &'static str,
}

/// What a sample has next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SampleItem {
    /// A JSON text, and the line that it begins on.
    Record(u64, Vec<u8>),
    /// From that line on there is none, and why.
    Unreadable(u64, String),
}

/// The records of an input, read as they are asked for.
pub(super) struct SampleReader<R> {
    input: R,
    /// Bytes that may still be read.
    left: u64,
    /// What was read and is not done with.
    held: Vec<u8>,
    /// Where in it the next text begins, and on which line of the input that is.
    at: usize,
    line: u64,
    /// Inside of an array of records.
    in_array: bool,
    /// There is no more to read.
    is_ended: bool,
}

/// The input, or what is packed in it. Fails where it cannot be read.
pub(super) fn unpacked(mut input: Box<dyn BufRead>) -> io::Result<Box<dyn BufRead>> {
    let mut come = 0;
    while come < GZIP.len() && input.fill_buf()?.first() == Some(&GZIP[come]) {
        input.consume(1);
        come += 1;
    }
    let whole = GZIP[..come].chain(input);
    if come < GZIP.len() {
        return Ok(Box::new(whole));
    }
    let text = BufReader::new(MultiGzDecoder::new(whole));
    Ok(Box::new(without_mark(text)?))
}

impl<R: BufRead> SampleReader<R> {
    /// Reads no more than `bytes_max` of the input.
    pub(super) fn new(input: R, bytes_max: u64) -> Self {
        Self {
            input,
            left: bytes_max,
            held: Vec::new(),
            at: 0,
            line: 1,
            in_array: false,
            is_ended: false,
        }
    }

    /// Whether all bytes that may be read were read: the input may go on.
    pub(super) const fn is_cut(&self) -> bool {
        self.left == 0
    }

    /// What is next; nothing at the end, or where no more bytes may be read. Fails where the input cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<SampleItem>> {
        // A text that is not whole yet is looked at again when there is twice as much of it.
        let mut enough = 1;
        loop {
            self.pass_between();
            let text = &self.held[self.at..];
            if text.len() < enough && !self.is_ended {
                self.read_more()?;
                continue;
            }
            if text.is_empty() {
                return Ok(None);
            }
            let mut cursor = TextCursor::<SampleDialect>::of(text);
            let Err(wrong) = cursor.skip(0) else {
                let (data, line) = (cursor.since(0).to_owned(), self.line);
                self.go_to(self.at + data.len());
                let is_small = data.len() <= RECORD_BYTES_MAX;
                let large = || SampleItem::Unreadable(line, refusal());
                let record = is_small.then_some(SampleItem::Record(line, data));
                return Ok(Some(record.unwrap_or_else(large)));
            };
            let is_open = wrong.at + TOKEN >= text.len();
            let is_large = text.len() > 2 * RECORD_BYTES_MAX;
            if is_open && !is_large && !self.is_ended {
                enough = 2 * text.len();
                continue;
            }
            if is_open && self.is_cut() {
                return Ok(None);
            }
            let why = if is_large {
                refusal()
            } else {
                format!(
                    "is not JSON: {} was expected at byte {}",
                    wrong.what, wrong.at
                )
            };
            let line = self.line;
            self.resume()?;
            return Ok(Some(SampleItem::Unreadable(line, why)));
        }
    }

    /// Steps over what stands between records.
    fn pass_between(&mut self) {
        let mut at = self.at;
        while let Some(byte) = self.held.get(at) {
            match byte {
                byte if is_white(*byte) => {}
                b'[' if !self.in_array => self.in_array = true,
                b',' if self.in_array => {}
                b']' if self.in_array => self.in_array = false,
                _ => break,
            }
            at += 1;
        }
        self.go_to(at);
    }

    /// Goes to the next line that begins with a brace, or to the end.
    fn resume(&mut self) -> io::Result<()> {
        self.in_array = false;
        loop {
            if let Some(end) = memmem::find(&self.held[self.at..], b"\n{") {
                self.go_to(self.at + end + 1);
                return Ok(());
            }
            // The last byte may be the line end in front of the brace.
            self.go_to(self.held.len().saturating_sub(1).max(self.at));
            if self.is_ended {
                self.go_to(self.held.len());
                return Ok(());
            }
            self.read_more()?;
        }
    }

    fn go_to(&mut self, at: usize) {
        let passed = memchr::memchr_iter(b'\n', &self.held[self.at..at]).count();
        self.line += passed as u64;
        self.at = at;
    }

    /// Reads what is there behind what is held, and lets go of what is done with.
    fn read_more(&mut self) -> io::Result<()> {
        self.held.drain(..self.at);
        self.at = 0;
        let found = self.input.fill_buf()?;
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let read = found.len().min(left);
        self.held.extend_from_slice(&found[..read]);
        self.input.consume(read);
        self.left -= read as u64;
        self.is_ended = read == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor, Write as _};

    use flate2::write::GzEncoder;

    use super::*;

    /// What a sample has, read in pieces of so many bytes: records as text, and `!LINE` where there is none.
    fn told(input: &[u8], piece: usize, bytes_max: u64) -> Vec<String> {
        let input = BufReader::with_capacity(piece, input);
        let mut sample = SampleReader::new(input, bytes_max);
        let mut told = Vec::new();
        while let Some(next) = sample.next().unwrap() {
            told.push(match next {
                SampleItem::Record(line, data) => {
                    format!("{line}:{}", String::from_utf8(data).unwrap())
                }
                SampleItem::Unreadable(line, _) => format!("!{line}"),
            });
        }
        told
    }

    #[test]
    fn records_are_found_however_they_stand() {
        for (input, expected) in [
            ("", &[][..]),
            ("\n \n", &[]),
            (
                "{\"a\":1}\n\n{\"a\":2}\r\n{\"a\":3}",
                &["1:{\"a\":1}", "3:{\"a\":2}", "4:{\"a\":3}"],
            ),
            ("{} {}{}\n{}", &["1:{}", "1:{}", "1:{}", "2:{}"]),
            (
                "{\n \"a\": [\n true ]\n}\n{}",
                &["1:{\n \"a\": [\n true ]\n}", "5:{}"],
            ),
            (
                "[{\"a\":1},\n {}\n]\n[{}]",
                &["1:{\"a\":1}", "2:{}", "4:{}"],
            ),
            ("[[1]]", &["1:[1]"]),
            ("1 \"x\"\nnull", &["1:1", "1:\"x\"", "2:null"]),
            (
                "hello\nworld\n{\"a\":1}\n{\"a\"}\n{}",
                &["!1", "3:{\"a\":1}", "!4", "5:{}"],
            ),
            ("{\"a\":tru}\n{}", &["!1", "2:{}"]),
            ("{\"a\":1\n{}", &["!1", "2:{}"]),
            ("{}\n{\"a\":", &["1:{}", "!2"]),
            (
                "{\"a\":\"\\ud83d\\ude00\",\"b\":false}",
                &["1:{\"a\":\"\\ud83d\\ude00\",\"b\":false}"],
            ),
        ] {
            for piece in 1..input.len().max(2) {
                assert_eq!(
                    told(input.as_bytes(), piece, 1 << 20),
                    expected,
                    "{input:?} by {piece}"
                );
            }
        }
    }

    /// An input that does not end, of which only the first bytes are needed.
    struct Endless(bool);

    impl io::Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            assert!(std::mem::take(&mut self.0), "nothing else was needed");
            into[..3].copy_from_slice(b"{}\n");
            Ok(3)
        }
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        let input = "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n";
        for (bytes_max, expected) in [(0, 0), (6, 0), (7, 1), (12, 1), (15, 2), (1000, 3)] {
            let told = told(input.as_bytes(), 4, bytes_max);
            assert_eq!(told.len(), expected, "{bytes_max}: {told:?}");
            assert!(told.iter().all(|record| !record.starts_with('!')));
        }
        // A record is taken when it is there, though the input does not end.
        let mut sample = SampleReader::new(BufReader::new(Endless(true)), 1 << 20);
        assert_eq!(
            sample.next().unwrap(),
            Some(SampleItem::Record(1, b"{}".to_vec()))
        );
    }

    #[test]
    fn a_record_that_is_too_large_is_none() {
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(RECORD_BYTES_MAX));
        let open = format!("{{\"a\":\"{}", "x".repeat(3 * RECORD_BYTES_MAX));
        for input in [format!("{large}\n{{}}"), format!("{open}\n{{}}")] {
            assert_eq!(told(input.as_bytes(), 8192, u64::MAX), ["!1", "2:{}"]);
        }
    }

    #[test]
    fn gzip_is_unpacked_and_all_else_is_taken_as_it_is() {
        let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"\xef\xbb\xbf{}").unwrap();
        // Two members are one file.
        let packed = packed.finish().unwrap().repeat(2);
        let twice = b"{}\xef\xbb\xbf{}".to_vec();
        for (input, expected) in [
            (packed, twice),
            (b"{}".to_vec(), b"{}".to_vec()),
            (b"\x1f{}".to_vec(), b"\x1f{}".to_vec()),
            (Vec::new(), Vec::new()),
        ] {
            let mut text = Vec::new();
            let input = unpacked(Box::new(BufReader::with_capacity(1, Cursor::new(input))));
            input.unwrap().read_to_end(&mut text).unwrap();
            assert_eq!(text, expected);
        }
    }
}
