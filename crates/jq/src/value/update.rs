//! Setting, replacing and deleting parts of query values along paths, as jq 1.6 does.

use std::rc::Rc;

use jaq_core::{Exn, ValT as _, ValX};

use super::access::{bounds, place, slice_range};
use super::{
    DEPTH_MAX, Error, Map, Value, charge, charge_key, deeper, entries_mut, items_mut, stop,
};

/// What becomes of the value at the end of a path: nothing if it is deleted.
type Update<'u, 'a> = &'u mut dyn FnMut(Value) -> ValX<'a, Option<Value>, Value>;

impl Value {
    /// Puts a value under a key, an index or a slice.
    fn set(self, key: &Self, new: Self) -> Result<Self, Error> {
        charge(1);
        match (self, key) {
            (Self::Null, Self::Text(_)) => Self::object(Map::default()).set(key, new),
            (Self::Null, Self::Number(_) | Self::Object(_)) => {
                Self::array(Vec::new()).set(key, new)
            }
            (Self::Object(mut object), Self::Text(key)) => {
                charge_key(key);
                let target = entries_mut(&mut object);
                target.depth = target.depth.max(deeper(new.depth()));
                target.entries.insert(key.clone(), new);
                Ok(Self::Object(object))
            }
            (Self::Array(mut array), Self::Number(index)) => {
                let at = place(index.float, array.items.len())
                    .ok_or_else(|| Error::str("Out of bounds negative array index"))?;
                charge(at.saturating_sub(array.items.len()));
                let target = items_mut(&mut array);
                target.depth = target.depth.max(deeper(new.depth()));
                if at >= target.items.len() {
                    target.items.resize(at + 1, Self::Null);
                }
                target.items[at] = new;
                Ok(Self::Array(array))
            }
            (Self::Array(array), Self::Object(slice)) => {
                let (start, end) = bounds(&slice_range(slice)?, array.items.len())?;
                let Self::Array(new) = new else {
                    let message = "A slice of an array can only be assigned another array";
                    return Err(Error::str(message));
                };
                charge(array.items.len() + new.items.len());
                let mut items = Rc::unwrap_or_clone(array).items;
                items.splice(start..end, new.items.iter().cloned());
                Ok(Self::array(items))
            }
            (value, key) => Err(Error::index(value, key.clone())),
        }
    }

    /// The value under a key, and whether it was taken out, to put another there.
    fn take(&mut self, key: &Self) -> Result<(Self, bool), Error> {
        let place = match (&mut *self, key) {
            (Self::Object(object), Self::Text(key)) => {
                charge_key(key);
                entries_mut(object).entries.get_mut(key)
            }
            (Self::Array(array), Self::Number(index)) if index.float.fract() == 0.0 => {
                let at = place(index.float, array.items.len());
                at.and_then(|at| items_mut(array).items.get_mut(at))
            }
            _ => None,
        };
        charge(1);
        match place {
            Some(place) => Ok((std::mem::take(place), true)),
            None => Ok((self.clone().index(key)?, false)),
        }
    }

    pub(crate) fn set_path(self, path: &Self, new: Self) -> Result<Self, Error> {
        let Self::Array(path) = path else {
            return Err(Error::str("Path must be specified as an array"));
        };
        let mut new = Some(new);
        let set = &mut |_| Ok(new.take());
        let error = |error: Exn<'_, Self>| error.get_err().unwrap_or_else(|_| Error::str("break"));
        self.modify(&path.items, set).map_err(error)
    }

    /// Replaces the value at a path.
    pub(crate) fn modify<'a>(self, path: &[Self], update: Update<'_, 'a>) -> ValX<'a, Self, Self> {
        if path.len() > usize::from(DEPTH_MAX) {
            stop("the query makes a value that nests too deep");
        }
        let (value, deleted) = self.modify_at(path, update)?;
        if deleted {
            return Ok(value.delete(vec![Self::array(path.to_vec())])?);
        }
        Ok(value)
    }

    /// The value with the replacement; whether there was none, so that the old value, or null in
    /// its place, is to be deleted.
    fn modify_at<'a>(
        mut self,
        path: &[Self],
        update: Update<'_, 'a>,
    ) -> ValX<'a, (Self, bool), Self> {
        let Some((key, rest)) = path.split_first() else {
            return Ok(update(self)?.map_or((Self::Null, true), |new| (new, false)));
        };
        let (old, taken) = self.take(key)?;
        let (new, deleted) = old.modify_at(rest, update)?;
        let value = if deleted && !taken {
            self
        } else {
            self.set(key, new)?
        };
        Ok((value, deleted))
    }

    pub(crate) fn delete_paths(self, paths: &Self) -> Result<Self, Error> {
        let Self::Array(paths) = paths else {
            return Err(Error::str("Paths must be specified as an array"));
        };
        charge(paths.items.len());
        self.delete(paths.items.clone())
    }

    fn delete(self, mut paths: Vec<Self>) -> Result<Self, Error> {
        paths.sort();
        let mut keys = Vec::with_capacity(paths.len());
        for path in &paths {
            match path {
                Self::Array(path) => keys.push(&*path.items),
                other => {
                    let message = format_args!("Path must be specified as array, not {other}");
                    return Err(Error::str(message));
                }
            }
        }
        match keys.first() {
            None => Ok(self),
            Some([]) => Ok(Self::Null),
            Some(_) => self.delete_sorted(&keys),
        }
    }

    /// Deletes what sorted paths, none of them empty, lead to: the deeper first.
    fn delete_sorted(mut self, paths: &[&[Self]]) -> Result<Self, Error> {
        let mut here = Vec::new();
        let mut rest = paths;
        while let Some(([key, inner @ ..], _)) = rest.split_first() {
            charge(1);
            let count = rest.iter().take_while(|path| path.first() == Some(key));
            // NaN is not equal even to itself.
            let (group, others) = rest.split_at(count.count().max(1));
            rest = others;
            if inner.is_empty() {
                here.push(key);
                continue;
            }
            let value = self.clone().index(key)?;
            if !matches!(value, Self::Null) {
                let inner: Vec<&[Self]> = group.iter().map(|path| &path[1..]).collect();
                self = self.set(key, value.delete_sorted(&inner)?)?;
            }
        }
        self.delete_keys(&here)
    }

    fn delete_keys(self, keys: &[&Self]) -> Result<Self, Error> {
        if keys.is_empty() {
            return Ok(self);
        }
        charge(keys.len());
        match self {
            Self::Null => Ok(Self::Null),
            Self::Array(array) => {
                let length = array.items.len();
                charge(length);
                let mut deleted = vec![false; length];
                for key in keys {
                    let range = match key {
                        Self::Number(index) => place(index.float, length)
                            .filter(|at| *at < length)
                            .map_or(0..0, |at| at..at + 1),
                        Self::Object(slice) => {
                            let (start, end) = bounds(&slice_range(slice)?, length)?;
                            charge(end - start);
                            start..end
                        }
                        other => return Err(cannot_delete(other, "an array")),
                    };
                    deleted[range].fill(true);
                }
                let items = array.items.iter().zip(deleted);
                let left = items.filter(|(_, deleted)| !deleted);
                Ok(Self::array(left.map(|(item, _)| item.clone()).collect()))
            }
            Self::Object(mut object) => {
                let target = entries_mut(&mut object);
                for key in keys {
                    let Self::Text(key) = key else {
                        return Err(cannot_delete(key, "an object"));
                    };
                    charge(target.entries.len() / 16);
                    charge_key(key);
                    target.entries.shift_remove(key);
                }
                Ok(Self::Object(object))
            }
            other => Err(cannot_delete(keys[0], &other.to_string())),
        }
    }
}

fn cannot_delete(key: &Value, whence: &str) -> Error {
    Error::str(format_args!("cannot delete {key} from {whence}"))
}
