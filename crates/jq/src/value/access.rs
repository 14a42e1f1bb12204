//! Indexing, slicing and iterating query values.

use std::rc::Rc;

use bytes::Bytes;
use jaq_core::path::Opt;
use jaq_core::{Exn, ValR, ValT as _, ValX};

use super::{Error, Map, Object, RawNumber, Value, charge, charge_key};
use crate::meter::step_into_nothing;
use crate::natives::to_int;

impl Value {
    /// Where a value is found in another: characters in text as bytes and apart, runs of items in
    /// an array; elsewhere what stands there under it.
    pub(crate) fn indices(self, wanted: &Self) -> ValR<Self> {
        let found: Vec<usize> = match (&self, wanted) {
            // jq runs on for ever.
            (Self::Text(_), Self::Text(wanted)) if wanted.is_empty() => Vec::new(),
            (Self::Text(text), Self::Text(wanted)) => {
                charge((text.len() + wanted.len()) / 16);
                memchr::memmem::find_iter(text, wanted).collect()
            }
            (Self::Array(_), Self::Array(wanted)) if wanted.items.is_empty() => Vec::new(),
            (Self::Array(array), Self::Array(wanted)) => {
                let windows = array.items.windows(wanted.items.len()).enumerate();
                windows
                    .filter(|(_, window)| *window == wanted.items)
                    .map(|(at, _)| at)
                    .collect()
            }
            (Self::Array(array), wanted) => {
                let items = array.items.iter().enumerate();
                items
                    .filter(|(_, item)| *item == wanted)
                    .map(|(at, _)| at)
                    .collect()
            }
            _ => return self.index(wanted),
        };
        Ok(Self::array(found.into_iter().map(Self::length).collect()))
    }
}

/// Where an index, counted from the end if it is negative, points; it may be beyond the end.
pub(super) fn place(index: f64, length: usize) -> Option<usize> {
    let index = to_int(index);
    let Ok(from_end) = usize::try_from(index.unsigned_abs()) else {
        return None;
    };
    if index < 0 {
        length.checked_sub(from_end)
    } else {
        Some(from_end)
    }
}

/// The bounds that an object names as a slice; null stands for an open one, and both must be there.
pub(super) fn slice_range(slice: &Object) -> Result<std::ops::Range<Option<&Value>>, Error> {
    let bound = |name: &[u8]| slice.entries.get(name);
    match (bound(b"start"), bound(b"end")) {
        (start @ Some(_), end @ Some(_)) => Ok(start..end),
        _ => Err(Error::str("a slice must have a start and an end")),
    }
}

/// The bounds of a slice of `length` elements: floor of the start, ceiling of the end, as in jq.
pub(super) fn bounds(
    range: &std::ops::Range<Option<&Value>>,
    length: usize,
) -> Result<(usize, usize), Error> {
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
            charge_key(&key);
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
            (Self::Null, Self::Text(_) | Self::Number(_) | Self::Object(_)) => {
                step_into_nothing();
                Ok(Self::Null)
            }
            (Self::Object(object), Self::Text(key)) => {
                charge_key(key);
                Ok(object.entries.get(key).cloned().unwrap_or_default())
            }
            // As in jq 1.6, nothing stands between two items.
            (Self::Array(_), Self::Number(index)) if index.float.fract() != 0.0 => Ok(Self::Null),
            (Self::Array(array), Self::Number(index)) => {
                let at = place(index.float, array.items.len());
                Ok(at
                    .and_then(|at| array.items.get(at))
                    .cloned()
                    .unwrap_or_default())
            }
            (value @ Self::Array(_), Self::Array(_)) => value.indices(index),
            (value @ (Self::Array(_) | Self::Text(_)), Self::Object(slice)) => {
                value.range(slice_range(slice)?)
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

    // Updates of queries are rewritten to calls of our own; nothing is left that comes here.
    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        opt: Opt,
        _: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        opt.fail(self, no_update)
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        _: &Self,
        opt: Opt,
        _: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        opt.fail(self, no_update)
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        _: jaq_core::val::Range<&Self>,
        opt: Opt,
        _: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        opt.fail(self, no_update)
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

fn no_update<'a>(value: Value) -> Exn<'a, Value> {
    Exn::from(Error::typ(value, "updatable value"))
}
