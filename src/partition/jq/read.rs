//! JSON text to query values.

use bytes::Bytes;

use super::value::{Map, Value};
use crate::json::{Cursor, Malformed, RawString, Start, is_text};

/// Reads a text that is exactly one JSON value and nests at most as deep as records may; of a key
/// that occurs twice the last value counts, as in jq.
pub(in crate::partition) fn read(json: &[u8]) -> Result<Value, Malformed> {
    // The cursor's own bound on nesting guards the recursion below.
    if !is_text(json) {
        return Err(Malformed);
    }
    let mut cursor = Cursor::new(json);
    cursor.skip(0)?;
    cursor.end()?;
    let mut cursor = Cursor::new(json);
    value(&mut cursor)
}

fn value(cursor: &mut Cursor<'_>) -> Result<Value, Malformed> {
    Ok(match cursor.start()? {
        Start::Null => Value::Null,
        Start::Bool(value) => Value::Bool(value),
        Start::Number(raw) => Value::raw_number(raw),
        Start::String(raw) => Value::text(decoded(raw)),
        Start::Array => {
            let mut items = Vec::new();
            if !cursor.eat(b']') {
                loop {
                    items.push(value(cursor)?);
                    if !cursor.eat(b',') {
                        break;
                    }
                }
                cursor.expect(b']')?;
            }
            Value::array(items)
        }
        Start::Object => {
            let mut entries = Map::default();
            if !cursor.eat(b'}') {
                loop {
                    let key = decoded(cursor.key()?);
                    entries.insert(key, value(cursor)?);
                    if !cursor.eat(b',') {
                        break;
                    }
                }
                cursor.expect(b'}')?;
            }
            Value::object(entries)
        }
    })
}

fn decoded(raw: RawString<'_>) -> Bytes {
    if !raw.escaped {
        return Bytes::copy_from_slice(raw.text);
    }
    let mut text = Vec::with_capacity(raw.text.len());
    raw.decode(&mut text);
    text.into()
}
