//! What queries can call: jaq's library without what is impure or unbounded, and our own parts.

use jaq_core::box_iter::box_once;
use jaq_core::load::parse::Def;
use jaq_core::native::{Filter, Fun, bome, run, unary, v};
use jaq_core::{Bind, Cv, DataT, Exn, RunPtr, ValX, ValXs};

use super::meter::{charge, in_path};
use super::read::read;
use super::value::{Error, Value};
use crate::nesting;
use crate::partition::event_time;

/// Functions that jq has and a partition query cannot call, each with the reason.
pub(super) const REFUSED: [(&str, &str); 18] = [
    ("now", CLOCK),
    ("localtime", ZONE),
    ("strflocaltime", ZONE),
    ("env", MACHINE),
    ("$ENV", MACHINE),
    ("get_search_list", MACHINE),
    ("input_filename", MACHINE),
    ("input_line_number", INPUT),
    ("input", INPUT),
    ("inputs", INPUT),
    ("$__prog_args", MACHINE),
    ("debug", OUTPUT),
    ("stderr", OUTPUT),
    ("halt", HALT),
    ("halt_error", HALT),
    ("jn", BESSEL),
    ("yn", BESSEL),
    ("rand", "the same record must always get the same keys"),
];
const CLOCK: &str = "the same record must get the same keys whenever it is read; \
                     use !{timestamp:…} for the arrival time";
const ZONE: &str = "the result would depend on the machine; set partitioning.time_zone instead";
const MACHINE: &str = "the result would depend on the machine";
const INPUT: &str = "a query sees one record at a time";
const OUTPUT: &str = "a query has nowhere to print to";
const HALT: &str = "a query cannot stop the daemon; use error(\"…\") to fail the record";
const BESSEL: &str = "its time has no bound";

/// Names that only our own definitions call.
pub(super) const INNER: [&str; 12] = [
    "decode_base64",
    "limit_to",
    "gmtime_of",
    "strftime_of",
    "in_calendar",
    "regex_matches",
    "regex_split_matches",
    "regex_split",
    "meter_regex",
    "strip_left",
    "strip_right",
    "is_text",
];

/// Definitions of ours that come before and after jaq's: regular expressions burn fuel by the size
/// of pattern and text, and what jq 1.6 has and jaq lacks.
const BEFORE: &str = "
def matches($re; $flags): meter_regex($re) | regex_matches($re; $flags);
def split_matches($re; $flags): meter_regex($re) | regex_split_matches($re; $flags);
def split_($re; $flags): meter_regex($re) | regex_split($re; $flags);
def gmtime: in_calendar | gmtime_of;
def strftime($format): in_calendar | strftime_of($format);
def ltrimstr($x): if is_text and ($x | is_text) then strip_left($x) else . end;
def rtrimstr($x): if is_text and ($x | is_text) then strip_right($x) else . end;
def limit($n; f): limit_to($n; f);
";
const AFTER: &str = r#"
def leaf_paths: paths(scalars);
def recurse_down: recurse;
def todate: strftime("%Y-%m-%dT%H:%M:%SZ");
def delpaths($paths): reduce ($paths | sort | reverse[]) as $path (.; getpath($path) |= empty);
def del(f): delpaths([path(f)]);
def limit($n; f): if $n < 0 then f else limit_to(if $n == 0 then 1 else $n end; f) end;
def join($between): [.[] | if type == "null" then ""
    elif type == "boolean" or type == "number" then tostring else . end]
  | if . == [] then "" else reduce .[1:][] as $part ("" + .[0]; . + ($between + $part)) end;
def IN(s): any(s == .; .);
def IN(source; s): any(source == s; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] |= $row);
def INDEX(f): INDEX(.[]; f);
def from_entries: reduce .[] as $x ({};
  . + { ($x | if .key == null then .k // .name // .Name // .K // .Key else .key end
        | if type == "string" then . else tojson end):
        ($x | if has("value") then .value elif has("Value") then .Value else .v end) });
def with_entries(f): to_entries | map(f) | from_entries;
def @csv: map(if type == "number" then tostring
  elif type == "boolean" then tostring
  elif type == "null" then ""
  elif type == "string" then "\"" + (split("\"") | join("\"\"")) + "\""
  else error("\(type) cannot be csv-formatted, only strings, numbers and booleans can") end) | join(",");
def @tsv: map(if type == "null" then ""
  elif type == "array" or type == "object" then error("\(type) cannot be tsv-formatted")
  else tostring | split("\\") | join("\\\\") | split("\t") | join("\\t")
    | split("\n") | join("\\n") | split("\r") | join("\\r") end) | join("\t");
"#;

/// The definitions that queries see.
pub(super) fn defs() -> impl Iterator<Item = Def<&'static str>> {
    let ours = |text: &'static str| {
        let parsed = jaq_core::load::parse(text, |parser| parser.defs());
        parsed.unwrap_or_default().into_iter()
    };
    let theirs = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    let replaced = |name| refused(name) || matches!(name, "nan" | "infinite");
    ours(BEFORE)
        .chain(theirs.filter(move |def| !replaced(def.name)))
        .chain(ours(AFTER))
}

fn refused(name: &str) -> bool {
    REFUSED.iter().any(|(refused, _)| *refused == name)
}

/// The native functions that those definitions and queries call.
pub(super) fn funs<D: for<'a> DataT<V<'a> = Value>>() -> impl Iterator<Item = Fun<D>> {
    let core = jaq_core::funs().filter_map(|(name, arguments, fun)| match name {
        "range" | "path" | "path_value" => None,
        "limit" => Some(("limit_to", arguments, fun)),
        name => Some((name, arguments, fun)),
    });
    let std = jaq_std::funs().filter_map(|(name, arguments, fun)| {
        let name = match name {
            "debug_empty" | "stderr_empty" | "decode_base64" => return None,
            name if refused(name) => return None,
            "matches" => "regex_matches",
            "split_matches" => "regex_split_matches",
            "split_" => "regex_split",
            "gmtime" => "gmtime_of",
            "strftime" => "strftime_of",
            "ltrimstr" => "strip_left",
            "rtrimstr" => "strip_right",
            name => name,
        };
        Some((name, arguments, fun))
    });
    core.chain(std).chain(own().into_vec().into_iter().map(run))
}

fn own<D: for<'a> DataT<V<'a> = Value>>() -> Box<[Filter<RunPtr<D>>]> {
    Box::new([
        ("range", v(3), |mut cv| {
            let (by, to, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
            range(&from, &to, &by)
        }),
        ("path", [Bind::Fun(())].into(), |cv| {
            Box::new(paths(cv).map(|found| Ok(found?.0)))
        }),
        ("path_value", [Bind::Fun(())].into(), |cv| {
            let pair = |(path, value)| Value::array(vec![path, value]);
            Box::new(paths(cv).map(move |found| found.map(pair)))
        }),
        ("meter_regex", v(1), |cv| {
            unary(cv, |text, pattern| {
                let length = |value: &Value| match value {
                    Value::Text(text) => text.len(),
                    _ => 0,
                };
                charge(200 + length(&pattern).saturating_mul(16 + length(&text) / 256));
                Ok(text)
            })
        }),
        ("in_calendar", v(0), |cv| bome(in_calendar(cv.1))),
        ("nan", v(0), |_| bome(Ok(Value::float(f64::NAN)))),
        ("infinite", v(0), |_| bome(Ok(Value::float(f64::INFINITY)))),
        ("is_text", v(0), |cv| {
            bome(Ok(Value::Bool(matches!(cv.1, Value::Text(_)))))
        }),
        ("tojson", v(0), |cv| bome(Ok(Value::text(cv.1.to_json())))),
        ("fromjson", v(0), |cv| bome(from_json(cv.1))),
        ("decode_base64", v(0), |cv| bome(decode_base64(&cv.1))),
        ("length", v(0), |cv| bome(length(cv.1))),
        ("contains", v(1), |cv| {
            unary(cv, |value, part| contains(&value, &part).map(Value::Bool))
        }),
        ("has", v(1), |cv| unary(cv, |value, key| has(&value, &key))),
        ("indices", v(1), |cv| {
            unary(cv, |value, part| value.indices_of(&part))
        }),
        ("bsearch", v(1), |cv| {
            unary(cv, |value, wanted| match &value {
                Value::Array(array) => Ok(match array.items.binary_search(&wanted) {
                    Ok(found) => Value::length(found),
                    Err(place) => (-Value::length(place + 1))?,
                }),
                _ => Err(Error::typ(value, "array")),
            })
        }),
    ])
}

/// The paths, and the values there, of a function argument.
fn paths<'a, D: DataT<V<'a> = Value>>(
    mut cv: Cv<'a, D>,
) -> impl Iterator<Item = ValX<'a, (Value, Value), Value>> {
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
            (Value::array(keys), value)
        }))
    })
}

fn range<'a>(from: &Value, to: &Value, by: &Value) -> ValXs<'a, Value> {
    let (Value::Number(from), Value::Number(to), Value::Number(by)) = (from, to, by) else {
        return box_once(Err(Exn::from(Error::str("range bounds must be numeric"))));
    };
    let (mut at, to, by) = (from.float, to.float, by.float);
    Box::new(std::iter::from_fn(move || {
        charge(1);
        let inside = if by > 0.0 {
            at < to
        } else {
            by < 0.0 && at > to
        };
        let value = Value::float(at);
        at += by;
        inside.then_some(Ok(value))
    }))
}

fn from_json(value: Value) -> Result<Value, Error> {
    let Value::Text(text) = &value else {
        return Err(Error::typ(value, "string"));
    };
    charge(text.len() / 8);
    if nesting::exceeds(text, nesting::NESTING_MAX) {
        return Err(Error::str("the JSON text nests too deep"));
    }
    read(text).map_err(|_| Error::str(format_args!("cannot parse {value} as JSON")))
}

/// Text ends at its padding, or without one; bits beyond the last byte count for nothing.
fn decode_base64(value: &Value) -> Result<Value, Error> {
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
    use jaq_std::ValT as _;
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone),
    );
    let text = value.try_as_utf8_bytes()?;
    let text = text.split(|byte| *byte == b'=').next().unwrap_or_default();
    let decoded = LENIENT
        .decode(text)
        .map_err(|_| Error::str(format_args!("{value} is no base64")))?;
    Ok(Value::from_utf8_bytes(decoded))
}

/// Lets times pass that jaq can calculate with: its arithmetic on others overflows.
fn in_calendar(value: Value) -> Result<Value, Error> {
    match &value {
        Value::Number(time) if event_time::from_number_of_seconds(time.float()).is_none() => Err(
            Error::str(format_args!("{value} is no time of the years 1 to 9999")),
        ),
        _ => Ok(value),
    }
}

fn length(value: Value) -> Result<Value, Error> {
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

fn contains(value: &Value, part: &Value) -> Result<bool, Error> {
    charge(1);
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            for (key, part) in &part.entries {
                match value.entries.get(key) {
                    Some(value) if contains(value, part)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Value::Array(value), Value::Array(part)) => {
            for part in &part.items {
                let mut found = false;
                for value in &value.items {
                    if same_kind(value, part) && contains(value, part)? {
                        found = true;
                        break;
                    }
                }
                if !found {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Text(value), Value::Text(part)) => {
            charge((value.len() + part.len()) / 16);
            Ok(memchr::memmem::find(value, part).is_some())
        }
        (value, part) if same_kind(value, part) => Ok(value == part),
        (value, part) => Err(Error::str(format_args!(
            "{value} and {part} cannot have their containment checked"
        ))),
    }
}

fn same_kind(left: &Value, right: &Value) -> bool {
    use Value::Bool;
    matches!((left, right), (Bool(_), Bool(_)))
        || std::mem::discriminant(left) == std::mem::discriminant(right)
}

fn has(value: &Value, key: &Value) -> Result<Value, Error> {
    match (value, key) {
        (Value::Object(object), Value::Text(key)) => {
            Ok(Value::Bool(object.entries.contains_key(key)))
        }
        (Value::Array(array), Value::Number(index)) => {
            let inside = index.float() >= 0.0
                && Value::float(index.float()) < Value::length(array.items.len());
            Ok(Value::Bool(inside))
        }
        _ => Err(Error::index(value.clone(), key.clone())),
    }
}

/// The value of a key of an object.
pub(in crate::partition) fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => object.entries.get(key.as_bytes()),
        _ => None,
    }
}

/// The entries of an object.
pub(in crate::partition) fn entries(
    value: &Value,
) -> Option<impl Iterator<Item = (&[u8], &Value)>> {
    match value {
        Value::Object(object) => Some(object.entries.iter().map(|(key, value)| (&**key, value))),
        _ => None,
    }
}
