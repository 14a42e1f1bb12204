//! Records of JSON documents that hold other records: a document is taken apart whole, or fails. Where a record is
//! several documents one after the other, as objects of gzip members are, each stands by itself.

use firehose_json::{Malformed, RawString, TextCursor, is_text, several};

use super::port::{Fault, Parts};

/// What takes a document apart.
pub(super) type TakeApart<'t> = dyn Fn(&[u8], &mut Parts<'_>) -> Result<(), Fault> + 't;

/// Parses a record.
pub(super) fn parse(
    take_apart: &TakeApart<'_>,
    record: &[u8],
    parts: &mut Parts<'_>,
) -> Result<(), Fault> {
    if !is_text(record) {
        return Err(Fault::not_utf8());
    }
    let mut ends = Vec::new();
    several(record, &mut ends);
    if ends.is_empty() {
        return take_apart(record, parts);
    }
    let mut start = 0;
    for (index, end) in ends.into_iter().enumerate() {
        let (document, mark) = (&record[start..end], parts.mark());
        if let Err(fault) = take_apart(document, parts) {
            parts.back_to(mark);
            parts.fail(document, index, fault)?;
        }
        start = end;
    }
    Ok(())
}

/// Calls `member` with each name and value of a JSON object, as they are written. The text is UTF-8, and nothing follows
/// the object.
pub(super) fn members<'t>(
    object: &'t [u8],
    mut member: impl FnMut(&'t [u8], &'t [u8]),
) -> Result<(), Malformed> {
    let mut cursor = TextCursor::new(object);
    if !cursor.eat(b'{') {
        return Err(Malformed);
    }
    if !cursor.eat(b'}') {
        loop {
            let RawString { text: name, .. } = cursor.key()?;
            cursor.token();
            let start = cursor.at();
            cursor.skip(1)?;
            member(name, cursor.since(start));
            if !cursor.eat(b',') {
                cursor.close(b'}')?;
                break;
            }
        }
    }
    cursor.end()
}
