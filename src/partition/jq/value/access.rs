//! Indexing, slicing, iterating and updating query values.

use std::rc::Rc;

use bytes::Bytes;
use jaq_core::path::Opt;
use jaq_core::{Exn, ValR, ValX};

use super::{Array, Error, Map, RawNumber, Value, charge, deeper, entries_mut, items_mut};
use crate::partition::jq::meter::step_into_nothing;

impl Value {
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

    pub(in crate::partition) fn indices_of(&self, wanted: &Self) -> ValR<Self> {
        Ok(Self::array(
            self.indices(wanted)?
                .into_iter()
                .map(Self::length)
                .collect(),
        ))
    }
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

/// Replaces the item at an index by what `f` makes of it. Like jq, writes beyond the end, with
/// nulls between.
fn map_item<'a, I: Iterator<Item = ValX<'a, Value>>>(
    mut array: Rc<Array>,
    index: i64,
    opt: Opt,
    f: impl Fn(Value) -> I,
) -> ValX<'a, Value> {
    let length = array.items.len();
    let beyond = || usize::try_from(index).ok().filter(|at| *at >= length);
    let Some(at) = wrap(index, length).or_else(beyond) else {
        let error = Error::str("out of bounds negative array index");
        return opt.fail(Value::Array(array), |_| Exn::from(error));
    };
    let target = items_mut(&mut array);
    let old = target
        .items
        .get_mut(at)
        .map(std::mem::take)
        .unwrap_or_default();
    match f(old).next().transpose()? {
        Some(new) => {
            target.depth = target.depth.max(deeper(new.depth()));
            if at < length {
                target.items[at] = new;
            } else {
                charge(at - length);
                target.items.resize(at, Value::Null);
                target.items.push(new);
            }
        }
        None if at < length => {
            charge(length);
            target.items.remove(at);
        }
        None => {}
    }
    Ok(Value::Array(array))
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
        opt: Opt,
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
        opt: Opt,
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
            (Self::Array(array), Self::Number(index)) => map_item(array, index.floor(), opt, f),
            (value, index) => {
                opt.fail(value, |value| Exn::from(Error::index(value, index.clone())))
            }
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: jaq_core::val::Range<&Self>,
        opt: Opt,
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
