//! Bodies of JSON: one value, an array of records, or values one after the other.

use std::ops::Range;

use firehose_json::{self as json, Texts};
use serde::de::IgnoredAny;

use super::content::{BATCH_BYTES_MAX, BODY_BYTES_MAX, ContentError};
use crate::buffer::Buffer;
use crate::record::{RECORD_BYTES_MAX, REQUEST_RECORDS_MAX};
use crate::source::PutBatch;

/// A body that is to be read when all of it is there.
#[derive(Debug)]
pub(super) struct Values {
    body: Buffer,
    /// The most bytes that the body can have.
    at_most: usize,
}

impl Values {
    /// For a body of at most `bytes`; room is made as it arrives.
    pub(super) fn of_at_most(bytes: usize) -> Self {
        Self {
            body: Buffer::default(),
            at_most: bytes,
        }
    }

    /// Takes the next piece of the decompressed body.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<(), ContentError> {
        if self.body.len() + piece.len() > BODY_BYTES_MAX {
            return Err(ContentError::TooLarge);
        }
        self.body.make_room(piece.len(), self.at_most);
        self.body.extend_from_slice(piece);
        Ok(())
    }

    /// Bytes fed so far.
    pub(super) fn fed(&self) -> usize {
        self.body.len()
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.body.capacity()
    }

    /// Checks the whole body. If it is a single array, its elements are the records; otherwise each value is one
    /// record, byte for byte.
    pub(super) fn check(self) -> Result<CheckedBody, ContentError> {
        let (mut count, mut bytes) = (0, 0);
        let mut array = None;
        for text in Texts::of(&self.body).map_err(|_| fault(&self.body))? {
            let text = text.map_err(|_| fault(&self.body))?;
            let is_array = self.body[text.start] == b'[';
            array = Some(text).filter(|_| is_array && count == 0);
            count += 1;
            if count > REQUEST_RECORDS_MAX {
                return Err(ContentError::TooManyRecords);
            }
        }
        if count == 0 {
            return Err(fault(&self.body));
        }
        let mut checked = CheckedBody {
            body: self.body,
            array,
            memory: 0,
        };
        count = 0;
        for text in checked.records() {
            if text.len() > RECORD_BYTES_MAX {
                let index = count as u64;
                let what = checked.array.as_ref().map_or("value", |_| "element");
                return Err(ContentError::ValueTooLong { index, what });
            }
            (count, bytes) = (count + 1, bytes + text.len());
            if count > REQUEST_RECORDS_MAX {
                return Err(ContentError::TooManyRecords);
            }
        }
        checked.memory = checked.body.capacity() + bytes + count * size_of::<u32>();
        Ok(checked)
    }
}

/// A body that is JSON, and all records of it short enough.
#[derive(Debug)]
pub(super) struct CheckedBody {
    body: Buffer,
    /// The array whose elements are the records, if the body is one array.
    array: Option<Range<usize>>,
    memory: usize,
}

impl CheckedBody {
    /// Bytes of memory that body and records take.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// The records as batches of at most 4 MiB.
    pub(super) fn batches(&self) -> Vec<PutBatch> {
        let mut batches: Vec<PutBatch> = Vec::new();
        for text in self.records() {
            let record = &self.body[text];
            let has_room = |batch: &PutBatch| {
                let offsets = (batch.len() + 1) * size_of::<u32>();
                batch.data.len() + record.len() + offsets <= BATCH_BYTES_MAX
            };
            if !batches.last().is_some_and(has_room) {
                batches.push(PutBatch::default());
            }
            if let Some(batch) = batches.last_mut() {
                batch.push(record);
            }
        }
        batches
    }

    fn records(&self) -> Box<dyn Iterator<Item = Range<usize>> + '_> {
        match self.array.clone() {
            Some(array) => {
                let start = array.start;
                let elements = json::elements(&self.body[array]);
                Box::new(elements.map(move |at| start + at.start..start + at.end))
            }
            None => Box::new(Texts::of(&self.body).into_iter().flatten().flatten()),
        }
    }
}

/// Where a body stops being JSON, and how.
fn fault(body: &[u8]) -> ContentError {
    let at = |offset: usize, cause: &str| {
        let line_start = memchr::memrchr(b'\n', &body[..offset]).map_or(0, |end| end + 1);
        ContentError::NotJson {
            line: 1 + memchr::memchr_iter(b'\n', &body[..offset]).count(),
            column: 1 + offset - line_start,
            cause: cause.to_owned(),
        }
    };
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(fault) => return at(fault.valid_up_to(), "no UTF-8"),
    };
    if text.trim_ascii().is_empty() {
        return at(0, "nothing");
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    if let Some(Err(fault)) = values.find(Result::is_err) {
        let said = fault.to_string();
        // The message ends with the place, which is told separately.
        let cause = said.split(" at line ").next().unwrap_or(&said);
        return ContentError::NotJson {
            line: fault.line(),
            column: fault.column(),
            cause: cause.to_owned(),
        };
    }
    let before = Texts::of(body).into_iter().flatten().map_while(Result::ok);
    let end = before.last().map_or(0, |text| text.end);
    at(end, "no line end between two values")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use firehose_json::strategies::any_json;

    fn read(body: &[u8]) -> Result<Vec<Vec<u8>>, ContentError> {
        let mut values = Values::of_at_most(body.len());
        values.feed(body)?;
        let checked = values.check()?;
        let batches = checked.batches();
        let bytes: usize = batches
            .iter()
            .map(|batch| batch.data.len() + 4 * batch.len())
            .sum();
        assert!(checked.memory() >= body.len() + bytes);
        let mut records = Vec::new();
        for batch in &batches {
            assert!(!batch.is_empty() && batch.data.len() + 4 * batch.len() <= BATCH_BYTES_MAX);
            let mut start = 0;
            for &end in &batch.ends {
                records.push(batch.data[start..end as usize].to_vec());
                start = end as usize;
            }
        }
        Ok(records)
    }

    fn texts(body: &str) -> Vec<String> {
        let records = read(body.as_bytes()).unwrap().into_iter();
        records
            .map(|record| String::from_utf8(record).unwrap())
            .collect()
    }

    #[test]
    fn an_array_is_its_elements_and_anything_else_is_itself() {
        assert_eq!(
            texts(" [ {\"a\" : 1} ,\n[2], null,\"x\" ] \n"),
            ["{\"a\" : 1}", "[2]", "null", "\"x\""]
        );
        assert_eq!(texts("[]"), [""; 0]);
        assert_eq!(
            texts("\n{\n  \"a\": [1, 2]\n}\n"),
            ["{\n  \"a\": [1, 2]\n}"]
        );
        assert_eq!(texts("5"), ["5"]);
        // As many clients send lines.
        assert_eq!(
            texts("{\"a\":1}\n\n{\"a\":2}\r\n"),
            ["{\"a\":1}", "{\"a\":2}"]
        );
        assert_eq!(texts("[1]\n[2]\n"), ["[1]", "[2]"]);
        assert_eq!(texts("1\n[2]"), ["1", "[2]"]);
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        for (body, place) in [
            ("", "nothing at line 1 column 1"),
            (" \n", "nothing at line 1 column 1"),
            (
                "{\"a\":1}\n{\"a\":",
                "EOF while parsing a value at line 2 column 5",
            ),
            ("[1,\n2,]", "expected value at line 2 column 3"),
            ("[{\"a\":1}", "EOF while parsing a list at line 1 column 8"),
            ("a,b\nc,d\n", "expected value at line 1 column 1"),
            ("{\"a\":1},", "expected value at line 1 column 8"),
            ("1 2", "no line end between two values at line 1 column 2"),
        ] {
            let error = read(body.as_bytes()).unwrap_err().to_string();
            let expected = format!("the body is not JSON: {place}; ");
            assert!(error.starts_with(&expected), "{error}");
        }
        let error = read(b"{\"a\":\"\n\"}").unwrap_err().to_string();
        assert!(
            error.starts_with("the body is not JSON: control character"),
            "{error}"
        );
        let error = read(b"{\"a\":\n\"\xff\"}").unwrap_err().to_string();
        assert!(error.contains("no UTF-8 at line 2 column 2"), "{error}");
    }

    #[test]
    fn a_record_that_is_too_long_is_named_by_its_index() {
        let longest = format!("\"{}\"", "x".repeat(RECORD_BYTES_MAX - 2));
        assert_eq!(texts(&format!("[1,{longest}]"))[1], longest);
        let long = longest.replacen('x', "xx", 1);
        for (body, what) in [
            (format!("[1,{long},2]"), "element"),
            (format!("1\n{long}"), "value"),
        ] {
            let error = read(body.as_bytes()).unwrap_err();
            assert_eq!(error, ContentError::ValueTooLong { index: 1, what });
        }
    }

    #[test]
    fn a_body_of_the_most_records_comes_in_batches_of_4_mib_and_one_more_is_refused() {
        let element = format!("\"{}\"", "x".repeat(100));
        let most = vec![&*element; REQUEST_RECORDS_MAX];
        let body = format!("[{}]", most.join(","));
        assert_eq!(read(body.as_bytes()).unwrap().len(), REQUEST_RECORDS_MAX);
        for more in [
            format!("[1,{}", &body[1..]),
            format!("1\n{}", most.join("\n")),
        ] {
            assert_eq!(read(more.as_bytes()), Err(ContentError::TooManyRecords));
        }
        assert_eq!(
            read(&vec![b' '; BODY_BYTES_MAX + 1]),
            Err(ContentError::TooLarge)
        );
    }

    proptest! {
        #[test]
        fn elements_come_out_as_they_were_written(
            values in proptest::collection::vec((any_json(), any::<bool>()), 0..6), white in "[ \t\r\n]{0,3}",
        ) {
            let write = |(value, pretty): &(serde_json::Value, bool)| {
                if *pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap()
            };
            let written: Vec<String> = values.iter().map(write).collect();
            let body = format!("{white}[{white}{}{white}]{white}", written.join(&format!("{white},{white}")));
            prop_assert_eq!(texts(&body), written);
        }
    }
}
