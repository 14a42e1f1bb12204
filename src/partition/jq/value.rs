//! Values of partition queries: JSON as jq sees it, metered.
//!
//! jaq brings a value type of its own; this one exists because everything that makes, compares,
//! prints or iterates values must burn fuel ([`super::meter`]), and nesting must stay shallow
//! enough to be dropped and compared by recursion. It follows jq 1.6 where jaq's differs: numbers
//! are floats that keep the digits of large integers, objects have string keys only, and text is
//! always UTF-8.

use std::rc::Rc;

use bytes::Bytes;
use jaq_core::{Exn, ValR, ValX};

use super::meter::{charge, step_into_nothing, stop};
use crate::partition::json::RawNumber;
use crate::partition::number;

mod ops;

/// Deepest nesting of a value, twice what a record may have.
const DEPTH_MAX: u16 = 256;

pub(super) type Error = jaq_core::Error<Value>;
pub(super) type Map = jaq_json::Map<Bytes, Value>;

/// A JSON value.
#[derive(Clone, Debug, Default)]
pub(in crate::partition) enum Value {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    /// UTF-8.
    Text(Bytes),
    Array(Rc<Array>),
    Object(Rc<Object>),
}

/// A number, as jq 1.6 has it: a float.
#[derive(Clone, Debug)]
pub(in crate::partition) struct Number {
    pub(super) float: f64,
    /// The digits of an integer that a float may not hold exactly.
    digits: Option<Rc<str>>,
}

#[derive(Clone, Debug, Default)]
pub(in crate::partition) struct Array {
    depth: u16,
    pub(super) items: Vec<Value>,
}

#[derive(Clone, Debug, Default)]
pub(in crate::partition) struct Object {
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
    pub(in crate::partition) fn render(&self, out: &mut Vec<u8>) {
        match &self.digits {
            Some(digits) => out.extend_from_slice(digits.as_bytes()),
            None => number::render(self.float, out),
        }
    }

    pub(in crate::partition) fn float(&self) -> f64 {
        self.float
    }

    /// Towards minus infinity; what no index can be is beyond all of them.
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
    fn floor(&self) -> i64 {
        self.float.floor() as i64
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

    fn indices(&self, wanted: &Self) -> Result<Vec<usize>, Error> {
        match (self, wanted) {
            (Self::Text(_), Self::Text(wanted)) if wanted.is_empty() => Ok(Vec::new()),
            (Self::Text(text), Self::Text(wanted)) => {
                // Like jq 1.6, in bytes; overlapping.
                charge(text.len() * (1 + wanted.len() / 16) / 16);
                let windows = text.windows(wanted.len()).enumerate();
                Ok(windows
                    .filter(|(_, window)| *window == &**wanted)
                    .map(|(at, _)| at)
                    .collect())
            }
            (Self::Array(_), Self::Array(wanted)) if wanted.items.is_empty() => Ok(Vec::new()),
            (Self::Array(array), Self::Array(wanted)) => {
                let windows = array.items.windows(wanted.items.len()).enumerate();
                Ok(windows
                    .filter(|(_, window)| *window == wanted.items)
                    .map(|(at, _)| at)
                    .collect())
            }
            (Self::Array(array), wanted) => {
                let items = array.items.iter().enumerate();
                Ok(items
                    .filter(|(_, item)| *item == wanted)
                    .map(|(at, _)| at)
                    .collect())
            }
            (other, wanted) => Err(Error::index(other.clone(), wanted.clone())),
        }
    }

    pub(super) fn indices_of(&self, wanted: &Self) -> ValR<Self> {
        Ok(Self::array(
            self.indices(wanted)?
                .into_iter()
                .map(Self::length)
                .collect(),
        ))
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

/// Where an index counted from the end, if negative, points.
fn wrap(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let index = if index < 0 {
        index.checked_add(length)?
    } else {
        index
    };
    (0..length)
        .contains(&index)
        .then(|| usize::try_from(index).ok())?
}

/// The bounds of a slice of `length` elements: floor of the start, ceiling of the end, as in jq.
fn bounds(range: &std::ops::Range<Option<&Value>>, length: usize) -> Result<(usize, usize), Error> {
    let clip = |bound: f64| {
        let bound = if bound < 0.0 {
            bound + length_float(length)
        } else {
            bound
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let bound = bound.max(0.0) as usize;
        bound.min(length)
    };
    let number = |value: Option<&Value>, default: f64| match value {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Number(number)) => Ok(number.float),
        Some(other) => Err(Error::typ(other.clone(), "integer")),
    };
    let start = clip(number(range.start, 0.0)?.floor());
    let end = clip(number(range.end, length_float(length))?.ceil());
    Ok((start, end.max(start)))
}

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
fn length_float(length: usize) -> f64 {
    length as f64
}

/// The part of a text between two characters.
fn slice_text(
    text: &Bytes,
    range: &std::ops::Range<Option<&Value>>,
) -> Result<(usize, usize), Error> {
    charge(text.len() / 16);
    let string = str::from_utf8(text).unwrap_or("");
    let (start, end) = bounds(range, string.chars().count())?;
    let byte = |char: usize| {
        string
            .char_indices()
            .nth(char)
            .map_or(string.len(), |(at, _)| at)
    };
    Ok((byte(start), byte(end)))
}

impl jaq_core::ValT for Value {
    fn from_num(text: &str) -> ValR<Self> {
        let integer = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-');
        Ok(Self::raw_number(RawNumber { text, integer }))
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(iter: I) -> ValR<Self> {
        let mut entries = Map::default();
        for (key, value) in iter {
            let Self::Text(key) = key else {
                return Err(Error::typ(key, "object key"));
            };
            charge(1);
            entries.insert(key, value);
        }
        Ok(Self::object(entries))
    }

    fn key_values(self) -> jaq_core::box_iter::BoxIter<'static, ValR<(Self, Self), Self>> {
        match self {
            Self::Array(array) => {
                charge(array.items.len());
                let items = Rc::unwrap_or_clone(array).items.into_iter().enumerate();
                Box::new(items.map(|(index, item)| {
                    charge(1);
                    Ok((Self::length(index), item))
                }))
            }
            Self::Object(object) => {
                charge(2 * object.entries.len());
                let entries = Rc::unwrap_or_clone(object).entries.into_iter();
                Box::new(entries.map(|(key, value)| {
                    charge(1);
                    Ok((Self::Text(key), value))
                }))
            }
            other => Box::new(std::iter::once(Err(Error::typ(
                other,
                "iterable (array or object)",
            )))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR<Self>>> {
        Box::new(self.key_values().map(|entry| entry.map(|(_, value)| value)))
    }

    fn index(self, index: &Self) -> ValR<Self> {
        charge(1);
        match (self, index) {
            (Self::Null, _) => {
                step_into_nothing();
                Ok(Self::Null)
            }
            (Self::Object(object), Self::Text(key)) => {
                Ok(object.entries.get(key).cloned().unwrap_or_default())
            }
            // As in jq 1.6, nothing stands between two items.
            (Self::Array(_), Self::Number(index)) if index.float.fract() != 0.0 => Ok(Self::Null),
            (Self::Array(array), Self::Number(index)) => {
                let item = wrap(index.floor(), array.items.len()).map(|at| array.items[at].clone());
                Ok(item.unwrap_or_default())
            }
            (value @ Self::Array(_), Self::Array(_)) => value.indices_of(index),
            (value @ (Self::Array(_) | Self::Text(_)), Self::Object(range)) => {
                let range = range.entries.get(&b"start"[..])..range.entries.get(&b"end"[..]);
                value.range(range)
            }
            (value, index) => Err(Error::index(value, index.clone())),
        }
    }

    fn range(self, range: jaq_core::val::Range<&Self>) -> ValR<Self> {
        step_into_nothing();
        match self {
            Self::Null => Ok(Self::Null),
            Self::Text(text) => {
                let (start, end) = slice_text(&text, &range)?;
                Ok(Self::text(text.slice(start..end)))
            }
            Self::Array(array) => {
                let (start, end) = bounds(&range, array.items.len())?;
                charge(end - start);
                Ok(Self::array(array.items[start..end].to_vec()))
            }
            other => Err(Error::typ(other, "rangeable (array or string)")),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        opt: jaq_core::path::Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        match self {
            Self::Array(array) => {
                charge(array.items.len());
                let items = Rc::unwrap_or_clone(array).items.into_iter();
                Ok(Self::array(items.flat_map(f).collect::<Result<_, _>>()?))
            }
            Self::Object(object) => {
                charge(2 * object.entries.len());
                let mut entries = Map::default();
                for (key, value) in Rc::unwrap_or_clone(object).entries {
                    if let Some(value) = f(value).next() {
                        entries.insert(key, value?);
                    }
                }
                Ok(Self::object(entries))
            }
            other => opt.fail(other, |value| {
                Exn::from(Error::typ(value, "iterable (array or object)"))
            }),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        index: &Self,
        opt: jaq_core::path::Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        charge(1);
        match (self, index) {
            (value @ (Self::Array(_) | Self::Text(_)), Self::Object(range)) => {
                let range = range.entries.get(&b"start"[..])..range.entries.get(&b"end"[..]);
                value.map_range(range, opt, f)
            }
            (Self::Null, Self::Text(key)) => {
                let value = f(Self::Null).next().transpose()?;
                Ok(Self::object(
                    value
                        .map(|value| (key.clone(), value))
                        .into_iter()
                        .collect(),
                ))
            }
            (Self::Null, Self::Number(_)) => Self::array(Vec::new()).map_index(index, opt, f),
            (Self::Object(mut object), Self::Text(key)) => {
                let target = entries_mut(&mut object);
                let old = target
                    .entries
                    .get_mut(key)
                    .map(std::mem::take)
                    .unwrap_or_default();
                if let Some(new) = f(old).next().transpose()? {
                    target.depth = target.depth.max(deeper(new.depth()));
                    target.entries.insert(key.clone(), new);
                } else {
                    charge(target.entries.len());
                    target.entries.shift_remove(key);
                }
                Ok(Self::Object(object))
            }
            (Self::Array(mut array), Self::Number(index)) => {
                let length = array.items.len();
                let beyond = || {
                    usize::try_from(index.floor())
                        .ok()
                        .filter(|at| *at >= length)
                };
                let Some(at) = wrap(index.floor(), length).or_else(beyond) else {
                    let error = Error::str("out of bounds negative array index");
                    return opt.fail(Self::Array(array), |_| Exn::from(error));
                };
                let target = items_mut(&mut array);
                if at >= length {
                    let Some(new) = f(Self::Null).next().transpose()? else {
                        return Ok(Self::Array(array));
                    };
                    charge(at - length);
                    target.items.resize(at, Self::Null);
                    target.depth = target.depth.max(deeper(new.depth()));
                    target.items.push(new);
                    return Ok(Self::Array(array));
                }
                let old = std::mem::take(&mut target.items[at]);
                if let Some(new) = f(old).next().transpose()? {
                    target.depth = target.depth.max(deeper(new.depth()));
                    target.items[at] = new;
                } else {
                    charge(target.items.len());
                    target.items.remove(at);
                }
                Ok(Self::Array(array))
            }
            (value, index) => {
                opt.fail(value, |value| Exn::from(Error::index(value, index.clone())))
            }
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: jaq_core::val::Range<&Self>,
        opt: jaq_core::path::Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        let Self::Array(array) = self else {
            return opt.fail(self, |value| Exn::from(Error::typ(value, "array")));
        };
        let (start, end) = bounds(&range, array.items.len())?;
        charge(array.items.len());
        let part = Self::array(array.items[start..end].to_vec());
        let mut items = array.items.clone();
        let new = match f(part).next().transpose()? {
            Some(Self::Array(new)) => Rc::unwrap_or_clone(new).items,
            None => Vec::new(),
            Some(other) => return Err(Exn::from(Error::typ(other, "array"))),
        };
        charge(new.len());
        items.splice(start..end, new);
        Ok(Self::array(items))
    }

    fn as_bool(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    fn into_string(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text),
            other => Self::text(other.to_json()),
        }
    }
}
