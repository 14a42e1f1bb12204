//! Arithmetic, order and conversions of query values.

use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use jaq_core::ValR;

use super::{
    EXACT, Error, Object, RawNumber, Value, charge, charge_key, deeper, entries_mut, items_mut,
};
use crate::natives::{to_int, to_long};

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<isize> for Value {
    fn from(value: isize) -> Self {
        let text = value.to_string();
        Self::raw_number(RawNumber {
            text: &text,
            integer: true,
        })
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::length(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::float(value)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<jaq_core::val::Range<Self>> for Value {
    fn from(range: jaq_core::val::Range<Self>) -> Self {
        let bounds = [("start", range.start), ("end", range.end)];
        let entries = bounds.into_iter().map(|(name, bound)| {
            (
                Bytes::from_static(name.as_bytes()),
                bound.unwrap_or_default(),
            )
        });
        Self::object(entries.collect())
    }
}

impl FromIterator<Self> for Value {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        let items = items.into_iter().inspect(|_| charge(1));
        Self::array(items.collect())
    }
}

type Math = jaq_core::ops::Math;

impl std::ops::Add for Value {
    type Output = ValR<Self>;

    fn add(self, other: Self) -> ValR<Self> {
        match (self, other) {
            (Self::Null, value) | (value, Self::Null) => Ok(value),
            (Self::Number(left), Self::Number(right)) => Ok(Self::float(left.float + right.float)),
            (Self::Text(left), Self::Text(right)) => {
                charge((left.len() + right.len()) / 16);
                Ok(Self::text([left, right].concat()))
            }
            (Self::Array(mut left), Self::Array(right)) => {
                charge(1 + right.items.len());
                let target = items_mut(&mut left);
                target.depth = target.depth.max(right.depth);
                target.items.extend(right.items.iter().cloned());
                Ok(Self::Array(left))
            }
            (Self::Object(mut left), Self::Object(right)) => {
                charge(1 + right.entries.len());
                let target = entries_mut(&mut left);
                target.depth = target.depth.max(right.depth);
                let entries = right.entries.iter();
                let entries = entries.inspect(|(key, _)| charge_key(key));
                target
                    .entries
                    .extend(entries.map(|(key, value)| (key.clone(), value.clone())));
                Ok(Self::Object(left))
            }
            (left, right) => Err(Error::math(left, Math::Add, right)),
        }
    }
}

impl std::ops::Sub for Value {
    type Output = ValR<Self>;

    fn sub(self, other: Self) -> ValR<Self> {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => Ok(Self::float(left.float - right.float)),
            (Self::Array(left), Self::Array(right)) => {
                let items = left.items.iter().filter(|item| !right.items.contains(item));
                Ok(Self::array(items.cloned().collect()))
            }
            (left, right) => Err(Error::math(left, Math::Sub, right)),
        }
    }
}

/// Merges objects at every depth, as `*` does.
fn merge(left: &mut Rc<Object>, right: &Object) {
    charge(1 + right.entries.len());
    let target = entries_mut(left);
    for (key, value) in &right.entries {
        charge_key(key);
        let depth = match (target.entries.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => {
                merge(inner, value);
                inner.depth
            }
            (Some(old), value) => {
                *old = value.clone();
                value.depth()
            }
            (None, value) => {
                target.entries.insert(key.clone(), value.clone());
                value.depth()
            }
        };
        target.depth = target.depth.max(deeper(depth));
    }
}

impl std::ops::Mul for Value {
    type Output = ValR<Self>;

    fn mul(self, other: Self) -> ValR<Self> {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => Ok(Self::float(left.float * right.float)),
            // As in jq 1.6: once, and again for each whole time above one; null for no time.
            (Self::Text(text), Self::Number(times)) | (Self::Number(times), Self::Text(text)) => {
                let Ok(more) = usize::try_from(to_int(times.float - 1.0)) else {
                    return Ok(Self::Null);
                };
                charge(text.len().saturating_mul(more) / 16 + 1);
                Ok(Self::text(text.repeat(more + 1)))
            }
            (Self::Object(mut left), Self::Object(right)) => {
                merge(&mut left, &right);
                Ok(Self::Object(left))
            }
            (left, right) => Err(Error::math(left, Math::Mul, right)),
        }
    }
}

impl std::ops::Div for Value {
    type Output = ValR<Self>;

    fn div(self, other: Self) -> ValR<Self> {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) if right.float != 0.0 => {
                Ok(Self::float(left.float / right.float))
            }
            (Self::Text(text), Self::Text(separator)) => {
                charge(text.len() / 16);
                let string = str::from_utf8(&text).unwrap_or("");
                let part = |part: &str| Self::text(text.slice_ref(part.as_bytes()));
                Ok(match str::from_utf8(&separator).unwrap_or("") {
                    _ if string.is_empty() => Self::array(Vec::new()),
                    "" => string.split_inclusive(|_| true).map(part).collect(),
                    separator => string.split(separator).map(part).collect(),
                })
            }
            (left, right) => Err(Error::math(left, Math::Div, right)),
        }
    }
}

impl std::ops::Rem for Value {
    type Output = ValR<Self>;

    /// Of whole parts that fit 64 bits, with the sign of the left side, as in jq 1.6.
    fn rem(self, other: Self) -> ValR<Self> {
        if let (Self::Number(left), Self::Number(right)) = (&self, &other) {
            let (left, right) = (to_long(left.float), to_long(right.float));
            if right != 0 {
                #[expect(clippy::cast_precision_loss, reason = "as in jq")]
                return Ok(Self::float(left.wrapping_rem(right) as f64));
            }
        }
        Err(Error::math(self, Math::Rem, other))
    }
}

impl std::ops::Neg for Value {
    type Output = ValR<Self>;

    fn neg(self) -> ValR<Self> {
        match self {
            Self::Number(number) => Ok(Self::float(-number.float)),
            other => Err(Error::typ(other, "number")),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    /// jq's order: null, false, true, numbers, strings, arrays, objects. NaN is less than any
    /// number, itself included.
    fn cmp(&self, other: &Self) -> Ordering {
        charge(1);
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left
                .float
                .partial_cmp(&right.float)
                .unwrap_or(if left.float.is_nan() {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }),
            (Self::Text(left), Self::Text(right)) => {
                charge(left.len().min(right.len()) / 64);
                left.cmp(right)
            }
            (Self::Array(left), Self::Array(right)) => left.items.cmp(&right.items),
            (Self::Object(left), Self::Object(right)) => {
                let sorted = |object: &Object| {
                    // Sorting compares each key with some others.
                    let others = 2 + object.entries.len().checked_ilog2().unwrap_or(0) as usize;
                    let length: usize = object.entries.keys().map(Bytes::len).sum();
                    charge(2 * object.entries.len() + length / 64 * others);
                    let mut keys: Vec<Bytes> = object.entries.keys().cloned().collect();
                    keys.sort_unstable();
                    keys
                };
                let (left_keys, right_keys) = (sorted(left), sorted(right));
                left_keys.cmp(&right_keys).then_with(|| {
                    let values = left_keys.iter().map(|key| left.entries.get(key));
                    values.cmp(right_keys.iter().map(|key| right.entries.get(key)))
                })
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.to_json()))
    }
}

impl jaq_std::ValT for Value {
    fn into_seq<S: FromIterator<Self>>(self) -> Result<S, Self> {
        match self {
            Self::Array(array) => {
                charge(array.items.len());
                Ok(Rc::unwrap_or_clone(array).items.into_iter().collect())
            }
            other => Err(other),
        }
    }

    fn is_int(&self) -> bool {
        self.as_isize().is_some()
    }

    fn as_isize(&self) -> Option<isize> {
        let Self::Number(number) = self else {
            return None;
        };
        #[expect(clippy::cast_possible_truncation, reason = "integers below 2^53")]
        let exact = || number.float as isize;
        (number.float.fract() == 0.0 && number.float.abs() <= EXACT).then(exact)
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number.float),
            _ => None,
        }
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        let Self::Text(text) = self else { return None };
        charge(1 + text.len() / 64);
        Some(text)
    }

    fn as_sub_str(&self, part: &[u8]) -> Self {
        match self {
            Self::Text(text) => Self::text(text.slice_ref(part)),
            other => other.clone(),
        }
    }

    fn from_utf8_bytes(text: impl AsRef<[u8]> + Send + 'static) -> Self {
        let text = text.as_ref();
        charge(text.len() / 16);
        Self::text(String::from_utf8_lossy(text).into_owned())
    }
}
