//! Records laid one after the other: the delimiters of `json`, the bare bytes of `raw`.

use memchr::{memchr2, memchr2_iter};

use crate::config::Delimiter;

/// How records follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One record, one line.
    Lines,
    /// Bytes as they came, then this text (which may be empty).
    Followed(Box<[u8]>),
}

impl Layout {
    /// The layout of `json` with this delimiter.
    pub(super) fn json(delimiter: &Delimiter) -> Self {
        match delimiter {
            Delimiter::Newline => Self::Lines,
            Delimiter::None => Self::raw(),
            Delimiter::Text(text) => Self::Followed(text.as_bytes().into()),
        }
    }

    /// The layout of `raw`.
    pub(super) fn raw() -> Self {
        Self::Followed(Box::default())
    }

    /// Appends one record and what follows it.
    ///
    /// The delimiter also follows the last record, so that blocks can be concatenated. For `Lines`
    /// line ends of the record itself are dropped and line feeds and carriage returns inside it
    /// become spaces: in valid JSON they stand between tokens only, and one record stays one line.
    pub(super) fn append(&self, data: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Lines => append_line(data, out),
            Self::Followed(text) => {
                out.extend_from_slice(data);
                out.extend_from_slice(text);
            }
        }
    }
}

fn append_line(data: &[u8], out: &mut Vec<u8>) {
    let kept = data
        .iter()
        .rposition(|byte| !matches!(byte, b'\n' | b'\r'))
        .map_or(0, |at| at + 1);
    let line = &data[..kept];
    let start = out.len();
    out.reserve(line.len() + 1);
    out.extend_from_slice(line);
    if memchr2(b'\n', b'\r', line).is_some() {
        for at in memchr2_iter(b'\n', b'\r', line) {
            out[start + at] = b' ';
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Delimiter, Layout};

    fn laid(delimiter: &Delimiter, records: &[&str]) -> String {
        let layout = Layout::json(delimiter);
        let mut out = Vec::new();
        for record in records {
            layout.append(record.as_bytes(), &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_one_line_however_it_came() {
        let records = ["{\"a\":1}", "{\"a\":2}\r\n", "{\n  \"a\":\r\n3\n}\n\n", ""];
        let expected = "{\"a\":1}\n{\"a\":2}\n{   \"a\":  3 }\n\n";
        assert_eq!(laid(&Delimiter::Newline, &records), expected);
    }

    #[test]
    fn other_delimiters_leave_the_record_as_it_came() {
        assert_eq!(laid(&Delimiter::None, &["abc\n", "d"]), "abc\nd");
        assert_eq!(
            laid(&Delimiter::Text("##".into()), &["abc\n", "d"]),
            "abc\n##d##"
        );
    }

    proptest! {
        #[test]
        fn lines_are_as_many_as_records(records in proptest::collection::vec("[a\r\n ]{0,12}", 0..20)) {
            let records: Vec<&str> = records.iter().map(String::as_str).collect();
            let text = laid(&Delimiter::Newline, &records);
            prop_assert_eq!(text.bytes().filter(|&byte| byte == b'\n').count(), records.len());
            prop_assert!(!text.contains('\r'));
        }
    }
}
