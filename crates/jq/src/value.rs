//! Values of partition queries: JSON as jq sees it, metered.
//!
//! jaq brings a value type of its own; this one exists because everything that makes, compares,
//! prints or iterates values must burn fuel ([`super::meter`]), and nesting must stay shallow
//! enough to be dropped and compared by recursion. It follows jq 1.6 where jaq's differs: numbers
//! are floats that keep the digits of large integers, objects have string keys only, and text is
//! always UTF-8.

use std::rc::Rc;

use bytes::Bytes;
use firehose_json::RawNumber;

use super::meter::{charge, charge_key, stop};
use crate::number;

mod access;
mod ops;
mod update;

/// Deepest nesting of a value, twice what a record may have.
const DEPTH_MAX: u16 = 256;

pub(super) type Error = jaq_core::Error<Value>;
pub(super) type Map = jaq_json::Map<Bytes, Value>;

/// A JSON value.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, which is UTF-8.
    Text(Bytes),
    /// An array.
    Array(Rc<Array>),
    /// An object.
    Object(Rc<Object>),
}

/// A number, as jq 1.6 has it: a float.
#[derive(Clone, Debug)]
pub struct Number {
    pub(super) float: f64,
    /// The digits of an integer that a float may not hold exactly.
    digits: Option<Rc<str>>,
}

/// The items of an array.
#[derive(Clone, Debug, Default)]
pub struct Array {
    depth: u16,
    pub(super) items: Vec<Value>,
}

/// The members of an object.
#[derive(Clone, Debug, Default)]
pub struct Object {
    depth: u16,
    pub(super) entries: Map,
}

/// Integers up to this size are exact as floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Number {
    fn new(float: f64) -> Self {
        Self {
            float,
            digits: None,
        }
    }

    pub(super) fn from_raw(raw: RawNumber<'_>) -> Self {
        let float = raw.float();
        let digits = (raw.integer && float.abs() >= EXACT).then(|| raw.text.into());
        Self { float, digits }
    }

    /// Appends the number as jq prints it.
    pub fn render(&self, out: &mut Vec<u8>) {
        match &self.digits {
            Some(digits) => out.extend_from_slice(digits.as_bytes()),
            None => number::render(self.float, out),
        }
    }

    /// Its value; what a float cannot hold exactly is rounded.
    pub fn float(&self) -> f64 {
        self.float
    }
}

impl Value {
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        charge(1 + text.len() / 16);
        Self::Text(text)
    }

    pub(super) fn float(float: f64) -> Self {
        Self::Number(Number::new(float))
    }

    #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
    pub(super) fn length(length: usize) -> Self {
        Self::float(length as f64)
    }

    pub(super) fn raw_number(raw: RawNumber<'_>) -> Self {
        Self::Number(Number::from_raw(raw))
    }

    pub(super) fn array(items: Vec<Self>) -> Self {
        charge(1 + items.len());
        let depth = deeper(items.iter().map(Self::depth).max().unwrap_or(0));
        Self::Array(Rc::new(Array { depth, items }))
    }

    pub(super) fn object(entries: Map) -> Self {
        charge(1 + entries.len());
        let depth = deeper(entries.values().map(Self::depth).max().unwrap_or(0));
        Self::Object(Rc::new(Object { depth, entries }))
    }

    fn depth(&self) -> u16 {
        match self {
            Self::Array(array) => array.depth,
            Self::Object(object) => object.depth,
            _ => 0,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(false) => 1,
            Self::Bool(true) => 2,
            Self::Number(_) => 3,
            Self::Text(_) => 4,
            Self::Array(_) => 5,
            Self::Object(_) => 6,
        }
    }

    /// Appends the value as JSON text, without white space.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        charge(1);
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(number) => number.render(out),
            Self::Text(text) => write_string(text, out),
            Self::Array(array) => {
                out.push(b'[');
                for (index, item) in array.items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            Self::Object(object) => {
                out.push(b'{');
                for (index, (key, value)) in object.entries.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_string(key, out);
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_json(&mut out);
        out
    }
}

fn deeper(depth: u16) -> u16 {
    if depth >= DEPTH_MAX {
        stop("the query makes a value that nests too deep");
    }
    depth + 1
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    charge(text.len() / 16);
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..=0x1f | 0x7f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// The array's own items, copied if somebody else holds them too.
fn items_mut(array: &mut Rc<Array>) -> &mut Array {
    charge(if Rc::strong_count(array) > 1 {
        array.items.len()
    } else {
        0
    });
    Rc::make_mut(array)
}

fn entries_mut(object: &mut Rc<Object>) -> &mut Object {
    charge(if Rc::strong_count(object) > 1 {
        2 * object.entries.len()
    } else {
        0
    });
    Rc::make_mut(object)
}
