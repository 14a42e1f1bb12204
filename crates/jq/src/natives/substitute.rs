//! What `sub` and `gsub` make of the pieces of a text.

use jaq_core::box_iter::box_once;
use jaq_core::{Cv, Exn, ValXs};

use super::super::JaqData;
use super::super::meter::charge;
use super::super::value::{Error, Value};

/// Joins `[text before, named groups]` and the rest, with what a function argument makes of the
/// groups between. Where it has several outputs, there is a text for each choice, and the first
/// match varies fastest, as in jq.
pub(super) fn join(mut cv: Cv<'_, JaqData>) -> ValXs<'_, Value> {
    let (f, context) = cv.0.pop_fun();
    let Value::Array(pieces) = cv.1 else {
        return box_once(Err(Exn::from(Error::typ(cv.1, "array"))));
    };
    let mut parts: Vec<(Value, Vec<Value>)> = Vec::new();
    let mut rest = Value::Null;
    for piece in &pieces.items {
        let Value::Array(piece) = piece else {
            rest = piece.clone();
            continue;
        };
        let [before, groups] = piece.items.as_slice() else {
            continue;
        };
        match f.run((context.clone(), groups.clone())).collect() {
            Ok(outputs) => parts.push((before.clone(), outputs)),
            Err(error) => return box_once(Err(error)),
        }
    }
    let none = parts.iter().any(|(_, outputs)| outputs.is_empty());
    let mut choice = (!none).then(|| vec![0; parts.len()]);
    Box::new(std::iter::from_fn(move || {
        let chosen = choice.take()?;
        let text = text(&parts, &chosen, &rest).map_err(Exn::from);
        choice = next(&parts, chosen);
        Some(text)
    }))
}

fn text(parts: &[(Value, Vec<Value>)], chosen: &[usize], rest: &Value) -> Result<Value, Error> {
    let mut out = Vec::new();
    for ((before, outputs), at) in parts.iter().zip(chosen) {
        for part in [before, &outputs[*at]] {
            match part {
                Value::Null => {}
                Value::Text(text) => {
                    charge(1 + text.len() / 16);
                    out.extend_from_slice(text);
                }
                other => {
                    let message = format_args!("{other} cannot be put into a string");
                    return Err(Error::str(message));
                }
            }
        }
    }
    if let Value::Text(text) = rest {
        out.extend_from_slice(text);
    }
    Ok(Value::text(out))
}

/// The choice after one, the first part counting fastest; nothing after the last.
fn next(parts: &[(Value, Vec<Value>)], mut chosen: Vec<usize>) -> Option<Vec<usize>> {
    for (at, (_, outputs)) in chosen.iter_mut().zip(parts) {
        charge(1);
        *at += 1;
        if *at < outputs.len() {
            return Some(chosen);
        }
        *at = 0;
    }
    None
}
