//! What jaq asks of a value: indexing, slicing and updates.

use super::{
    Error, Exn, Map, RawNumber, Rc, ValR, ValX, Value, bounds, charge, deeper, entries_mut,
    items_mut, slice_text, step_into_nothing, wrap,
};

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
