//! Records laid one after the other: the delimiters of `json` and `raw`.

use firehose_json as json;
use memchr::memchr2;

use super::delimiter::Delimiter;
use crate::record::Record;

/// How records follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// What follows each record; may be empty.
    delimiter: Box<[u8]>,
    /// Whether a JSON text becomes one line.
    lines: bool,
}

impl Layout {
    /// The layout of `json` with this delimiter.
    pub(super) fn json(delimiter: &Delimiter) -> Self {
        let layout = Self::raw(delimiter);
        let lines = layout.delimiter.contains(&b'\n');
        Self { lines, ..layout }
    }

    /// The layout of `raw` with this delimiter.
    pub(super) fn raw(delimiter: &Delimiter) -> Self {
        let delimiter = match delimiter {
            Delimiter::Newline => b"\n",
            Delimiter::None => &b""[..],
            Delimiter::Text(text) => text.as_bytes(),
        };
        Self {
            delimiter: delimiter.into(),
            lines: false,
        }
    }

    /// Appends one record and what follows it, which also follows the last one, so that blocks can be
    /// concatenated.
    ///
    /// Where delimiters end lines a record that is one JSON text becomes one line: its line ends stand
    /// between tokens, where they become spaces, or at its ends, where they go. All other bytes are
    /// not ours to change. A record without line ends is not looked at.
    pub(super) fn append(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let data = record.data;
        out.reserve(data.len() + self.delimiter.len());
        let folds = self.lines && memchr2(b'\n', b'\r', data).is_some();
        if folds && (record.text.is_some() || json::is_one(data)) {
            append_folded(data, out);
        } else {
            out.extend_from_slice(data);
        }
        out.extend_from_slice(&self.delimiter);
    }
}

/// Appends a JSON text as one line. In strings there are no line ends.
fn append_folded(text: &[u8], out: &mut Vec<u8>) {
    let ink = |&byte: &u8| !json::is_white(byte);
    let start = text.iter().position(ink).unwrap_or(text.len());
    let end = text.iter().rposition(ink).map_or(start, |last| last + 1);
    let from = out.len();
    out.extend_from_slice(&text[start..end]);
    for byte in &mut out[from..] {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Delimiter, Layout, Record};
    use crate::position::Position;
    use firehose_json::strategies::any_json;

    fn laid(layout: &Layout, records: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for data in records {
            layout.append(&Record::new(data, 0, Position::default()), &mut out);
        }
        out
    }

    #[test]
    fn a_json_text_is_one_line_however_it_came_and_all_else_is_carried_as_it_is() {
        for (record, line) in [
            (&b"{\"a\":1}"[..], &b"{\"a\":1}\n"[..]),
            (b"{\"a\":1}\n", b"{\"a\":1}\n"),
            (b"\r\n {\"a\":1} \r\n\n", b"{\"a\":1}\n"),
            (b"{\n  \"a\":\r\n3\n}\n\n", b"{   \"a\":  3 }\n"),
            (b" {\"a\": 1} ", b" {\"a\": 1} \n"),
            (b"12\n", b"12\n"),
            // No JSON.
            (b"", b"\n"),
            (b"\n", b"\n\n"),
            (b"text\n", b"text\n\n"),
            (b"a,b\r\nc,d\r\n", b"a,b\r\nc,d\r\n\n"),
            (b"{\"a\":\"x\ny\"}", b"{\"a\":\"x\ny\"}\n"),
            (b"{\"a\":1\n", b"{\"a\":1\n\n"),
            (b"\x1f\x8b\x08\n\r\0", b"\x1f\x8b\x08\n\r\0\n"),
            (b"{\"a\":\"\xff\"\n}", b"{\"a\":\"\xff\"\n}\n"),
            // Several texts that nobody has taken apart.
            (b"{\"a\":1}\n{\"a\":2}\n", b"{\"a\":1}\n{\"a\":2}\n\n"),
        ] {
            let newline = Layout::json(&Delimiter::Newline);
            assert_eq!(
                laid(&newline, &[record]).escape_ascii().to_string(),
                line.escape_ascii().to_string()
            );
            // A text of the user's that ends lines is as good.
            let text = Layout::json(&Delimiter::Text("\n".into()));
            assert_eq!(laid(&text, &[record]), line);
            let raw = Layout::raw(&Delimiter::Newline);
            assert_eq!(laid(&raw, &[record]), [record, b"\n"].concat());
        }
    }

    #[test]
    fn other_delimiters_leave_the_record_as_it_came() {
        let records: [&[u8]; 2] = [b"{\n}\n", b"d"];
        assert_eq!(laid(&Layout::json(&Delimiter::None), &records), b"{\n}\nd");
        let text = Delimiter::Text("##".into());
        assert_eq!(laid(&Layout::json(&text), &records), b"{\n}\n##d##");
        let crlf = Delimiter::Text("\r\n".into());
        assert_eq!(laid(&Layout::json(&crlf), &records), b"{ }\r\nd\r\n");
    }

    proptest! {
        #[test]
        fn values_are_as_many_lines_and_read_back_the_same(
            values in proptest::collection::vec((any_json(), any::<bool>(), "[ \t\r\n]{0,3}"), 0..6),
        ) {
            let layout = Layout::json(&Delimiter::Newline);
            let (mut out, mut compact) = (Vec::new(), Vec::new());
            for (value, pretty, white) in &values {
                let text = if *pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
                let record = format!("{white}{}{white}", text.unwrap());
                layout.append(&Record::new(record.as_bytes(), 0, Position::default()), &mut out);
                let read: serde_json::Value = serde_json::from_str(&record).unwrap();
                compact.push(read);
            }
            let lines: Vec<&[u8]> = out.split_inclusive(|&byte| byte == b'\n').collect();
            prop_assert_eq!(lines.len(), values.len());
            for (line, value) in lines.iter().zip(compact) {
                let read: serde_json::Value = serde_json::from_slice(line).unwrap();
                prop_assert_eq!(read, value);
            }
        }

        #[test]
        fn bytes_that_are_no_json_come_out_as_they_went_in(
            data in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let layout = Layout::json(&Delimiter::Newline);
            prop_assume!(!firehose_json::is_one(&data));
            prop_assert_eq!(laid(&layout, &[&data]), [&data[..], b"\n"].concat());
        }
    }
}
