//! JSON text to query values.

use bytes::Bytes;
use firehose_json::{Malformed, RawString, Start, TextCursor, is_text};

use super::value::{Map, Value};

/// Values of one text: an empty array of three bytes takes some two hundred in memory.
const VALUES_MAX: usize = 1 << 20;

/// Why a text is not read.
#[derive(Debug)]
pub enum ReadError {
    /// It is not one JSON value, or nests too deep.
    Malformed,
    /// It has more than 2^20 values.
    TooMany,
}

impl From<Malformed> for ReadError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// Reads a text that is exactly one JSON value and nests at most as deep as records may; of a key
/// that occurs twice the last value counts, as in jq.
pub fn read(json: &[u8]) -> Result<Value, ReadError> {
    if !is_text(json) {
        return Err(ReadError::Malformed);
    }
    let mut cursor = TextCursor::new(json);
    // `skip` bounds the nesting, so the recursion in `value` is safe.
    cursor.skip(0)?;
    cursor.end()?;
    let mut cursor = TextCursor::new(json);
    let mut left = VALUES_MAX;
    value(&mut cursor, &mut left)
}

fn value(cursor: &mut TextCursor<'_>, left: &mut usize) -> Result<Value, ReadError> {
    *left = left.checked_sub(1).ok_or(ReadError::TooMany)?;
    Ok(match cursor.start()? {
        Start::Null => Value::Null,
        Start::Bool(value) => Value::Bool(value),
        Start::Number(raw) => Value::raw_number(raw),
        Start::String(raw) => Value::text(decoded(raw)?),
        Start::Array => {
            let mut items = Vec::new();
            if !cursor.eat(b']') {
                loop {
                    items.push(value(cursor, left)?);
                    if !cursor.eat(b',') {
                        break;
                    }
                }
                cursor.close(b']')?;
            }
            Value::array(items)
        }
        Start::Object => {
            let mut entries = Map::default();
            if !cursor.eat(b'}') {
                loop {
                    let key = decoded(cursor.key()?)?;
                    entries.insert(key, value(cursor, left)?);
                    if !cursor.eat(b',') {
                        break;
                    }
                }
                cursor.close(b'}')?;
            }
            Value::object(entries)
        }
    })
}

fn decoded(raw: RawString<'_>) -> Result<Bytes, Malformed> {
    if !raw.escaped {
        return Ok(Bytes::copy_from_slice(raw.text));
    }
    let mut text = Vec::with_capacity(raw.text.len());
    raw.decode(&mut text).map_err(|_| Malformed)?;
    Ok(text.into())
}
