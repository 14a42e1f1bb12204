//! Function arguments: the paths they lead to, and updates by them in jq's way.

use jaq_core::box_iter::box_once;
use jaq_core::{Cv, ValX, ValXs};

use super::super::JaqData;
use super::super::meter::{charge, charge_key, in_path};
use super::super::value::{Map, Value};

/// The paths, and the values there, of a function argument.
pub(super) fn paths(
    mut cv: Cv<'_, JaqData>,
) -> impl Iterator<Item = ValX<'_, (Vec<Value>, Value), Value>> {
    let (f, context) = cv.0.pop_fun();
    #[expect(
        clippy::default_trait_access,
        reason = "jaq's list of keys has no public name"
    )]
    let start = (cv.1, Default::default());
    let mut paths = in_path(|| f.paths((context, start)));
    std::iter::from_fn(move || {
        Some(in_path(|| paths.next())?.map(|(value, path)| {
            let mut keys: Vec<Value> = path.iter().cloned().collect();
            keys.reverse();
            (keys, value)
        }))
    })
}

/// Updates the values at all paths of one function argument by the first output of another, in
/// turn; where that has none, the value is deleted at once, so that the later paths of an array
/// point one further, as in jq 1.6.
pub(super) fn modify(mut cv: Cv<'_, JaqData>) -> ValXs<'_, Value> {
    let (update, context) = cv.0.pop_fun();
    let mut value = cv.1.clone();
    let found: Result<Vec<_>, _> = paths((cv.0, cv.1)).map(|found| Ok(found?.0)).collect();
    let found = match found {
        Ok(found) => found,
        Err(error) => return box_once(Err(error)),
    };
    let mut first = |old| update.run((context.clone(), old)).next().transpose();
    for path in found {
        match value.modify(&path, &mut first) {
            Ok(modified) => value = modified,
            Err(error) => return box_once(Err(error)),
        }
    }
    box_once(Ok(value))
}

/// The last output of a function argument, `null` if it has none: what is left of an update with
/// several outputs in `reduce`.
pub(super) fn last(mut cv: Cv<'_, JaqData>) -> ValXs<'_, Value> {
    let (f, context) = cv.0.pop_fun();
    let mut last = Value::Null;
    for output in f.run((context, cv.1)) {
        match output {
            Ok(output) => last = output,
            error => return box_once(error),
        }
    }
    box_once(Ok(last))
}

/// Replaces values from the inside out. Of several new values of a field the last one counts; where
/// there is none, the fields before it are lost, as in jq 1.6.
pub(super) fn walk(mut cv: Cv<'_, JaqData>) -> ValXs<'_, Value> {
    let (f, context) = cv.0.pop_fun();
    let mut outputs = |value| f.run((context.clone(), value)).collect();
    match walk_in(cv.1, &mut outputs) {
        Ok(outputs) => Box::new(outputs.into_iter().map(Ok)),
        Err(error) => box_once(Err(error)),
    }
}

type PathOutputs<'a> = ValX<'a, Vec<Value>, Value>;

fn walk_in<'a>(value: Value, f: &mut dyn FnMut(Value) -> PathOutputs<'a>) -> PathOutputs<'a> {
    charge(1);
    let inside = match value {
        Value::Array(array) => {
            let mut items = Vec::with_capacity(array.items.len());
            for item in &array.items {
                items.extend(walk_in(item.clone(), f)?);
            }
            Value::array(items)
        }
        Value::Object(object) => {
            let mut fields = Some(Map::default());
            for (key, value) in &object.entries {
                match walk_in(value.clone(), f)?.pop() {
                    None => fields = None,
                    Some(value) => {
                        let fields = fields.get_or_insert_default();
                        charge_key(key);
                        fields.insert(key.clone(), value);
                    }
                }
            }
            fields.map_or(Value::Null, Value::object)
        }
        value => value,
    };
    f(inside)
}
