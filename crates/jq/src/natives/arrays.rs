//! Arrays and objects: containment, membership, flattening, search, ranges.

use bytes::Bytes;
use jaq_core::box_iter::box_once;
use jaq_core::{Exn, ValXs};

use super::super::meter::{charge, charge_key};
use super::super::value::{Error, Value};
use super::math::to_int;

pub(super) fn range<'a>(from: Value, to: Value, by: Value) -> ValXs<'a, Value> {
    let zero = Value::float(0.0);
    let (up, down) = (by > zero, by < zero);
    let mut at = Some(from);
    Box::new(std::iter::from_fn(move || {
        charge(1);
        let value = at.take()?;
        if !(up && value < to || down && value > to) {
            return None;
        }
        Some(match value.clone() + by.clone() {
            Ok(next) => {
                at = Some(next);
                Ok(value)
            }
            Err(error) => Err(Exn::from(error)),
        })
    }))
}

/// `range` with two bounds takes numbers only.
pub(super) fn count<'a>(from: Value, to: Value) -> ValXs<'a, Value> {
    if let (Value::Number(_), Value::Number(_)) = (&from, &to) {
        range(from, to, Value::float(1.0))
    } else {
        box_once(Err(Exn::from(Error::str("Range bounds must be numeric"))))
    }
}

pub(super) fn length(value: Value) -> Result<Value, Error> {
    Ok(match value {
        Value::Null => Value::length(0),
        Value::Bool(_) => return Err(Error::str(format_args!("{value} has no length"))),
        Value::Number(number) => Value::float(number.float().abs()),
        Value::Text(text) => {
            charge(text.len() / 64);
            Value::length(str::from_utf8(&text).map_or(0, |text| text.chars().count()))
        }
        Value::Array(array) => Value::length(array.items.len()),
        Value::Object(object) => Value::length(object.entries.len()),
    })
}

/// Like jq 1.6, which defines `reverse` by `length`: whatever has length 0 becomes an empty array.
pub(super) fn reverse(value: Value) -> Result<Value, Error> {
    match &value {
        Value::Array(array) => Ok(array.items.iter().rev().cloned().collect()),
        _ if is_empty(&value)? => Ok(Value::array(Vec::new())),
        _ => Err(Error::typ(value, "array")),
    }
}

/// Replaces arrays by their items, down to a depth. A depth that is negative or no whole number
/// never counts down to zero, so it has no end.
pub(super) fn flatten(value: &Value, depth: &Value) -> Result<Value, Error> {
    fn into(items: &[Value], depth: &Value, out: &mut Vec<Value>) -> Result<(), Error> {
        for item in items {
            charge(1);
            match item {
                Value::Array(inner) if *depth != Value::float(0.0) => {
                    let deeper = (depth.clone() - Value::float(1.0))?;
                    into(&inner.items, &deeper, out)?;
                }
                item => out.push(item.clone()),
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    match value {
        Value::Array(array) => into(&array.items, depth, &mut out)?,
        Value::Object(object) => {
            for item in object.entries.values() {
                into(std::slice::from_ref(item), depth, &mut out)?;
            }
        }
        other => return Err(Error::typ(other.clone(), "iterable (array or object)")),
    }
    Ok(Value::array(out))
}

/// Sorts items by the keys that stand at their places in another array.
pub(super) fn sort_by(value: &Value, keys: &Value) -> Result<Value, Error> {
    match (value, keys) {
        (Value::Array(array), Value::Array(keys)) if array.items.len() == keys.items.len() => {
            charge(array.items.len());
            let mut pairs: Vec<_> = keys.items.iter().zip(&array.items).collect();
            pairs.sort_by_key(|(key, _)| *key);
            Ok(pairs.into_iter().map(|(_, item)| item.clone()).collect())
        }
        _ => Err(Error::typ(value.clone(), "array")),
    }
}

/// Whether a value holds all of another; text holds what is in it.
pub(super) fn contains(value: &Value, part: &Value) -> bool {
    charge(1);
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            let found = |(key, part): (&Bytes, _)| {
                charge_key(key);
                let value = value.entries.get(key);
                value.is_some_and(|value| contains(value, part))
            };
            part.entries.iter().all(found)
        }
        (Value::Array(value), Value::Array(part)) => {
            let found = |part| value.items.iter().any(|value| contains(value, part));
            part.items.iter().all(found)
        }
        (Value::Text(value), Value::Text(part)) => {
            charge((value.len() + part.len()) / 16);
            memchr::memmem::find(value, part).is_some()
        }
        (value, part) => value == part,
    }
}

/// Booleans are two kinds in jq.
pub(super) fn same_kind(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left == right,
        _ => std::mem::discriminant(left) == std::mem::discriminant(right),
    }
}

pub(super) fn has(value: &Value, key: &Value) -> Result<Value, Error> {
    match (value, key) {
        (Value::Null, _) => Ok(Value::Bool(false)),
        (Value::Object(object), Value::Text(key)) => {
            charge_key(key);
            Ok(Value::Bool(object.entries.contains_key(key)))
        }
        (Value::Array(array), Value::Number(index)) => {
            let index = usize::try_from(to_int(index.float()));
            let inside = index.is_ok_and(|index| index < array.items.len());
            Ok(Value::Bool(inside))
        }
        _ => Err(Error::index(value.clone(), key.clone())),
    }
}

/// The index of a value in a sorted array, or -1 minus the index where it would be inserted; in an unsorted array,
/// what jq's binary search comes to.
pub(super) fn bsearch(value: Value, wanted: &Value) -> Result<Value, Error> {
    let Value::Array(array) = &value else {
        return if is_empty(&value)? {
            Ok(Value::float(-1.0))
        } else {
            Err(Error::typ(value, "array"))
        };
    };
    let (mut start, mut end) = (0, array.items.len());
    while start < end {
        let middle = start + (end - 1 - start) / 2;
        let item = &array.items[middle];
        if item == wanted {
            return Ok(Value::length(middle));
        }
        if end - start == 1 {
            break;
        }
        if item < wanted {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    let before = array.items.get(start).is_some_and(|item| item < wanted);
    -Value::length(start + 1 + usize::from(before))
}

/// Whether `length` gives 0: for null, 0, "", [] and {}.
fn is_empty(value: &Value) -> Result<bool, Error> {
    let length = length(value.clone())?;
    Ok(matches!(length, Value::Number(length) if length.float() == 0.0))
}
