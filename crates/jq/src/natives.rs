//! What queries can call: jaq's library without what is impure or unbounded, and our own parts.

use jaq_core::box_iter::box_once;
use jaq_core::load::parse::Def;
use jaq_core::native::{Filter, Fun, bome, unary, v};
use jaq_core::{Bind, Cv, Exn, Native, RunPtr, ValXs};

use super::JaqData;
use super::value::{Error, Value};

mod arrays;
mod json;
mod math;
mod paths;
mod regex;
mod substitute;
mod text;
mod time;

pub(super) use math::{to_int, to_long};

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

/// The definitions that queries see: jaq's, but for those that ours replace.
pub(super) fn defs() -> impl Iterator<Item = Def<&'static str>> {
    let ours = jaq_core::load::parse(include_str!("definitions.jq"), |parser| parser.defs());
    let ours = ours.unwrap_or_default();
    // Others of jaq's call its own `error`.
    let signatures = ours.iter().map(|def| (def.name, def.args.len()));
    let mut replaced: Vec<_> = signatures.filter(|(name, _)| *name != "error").collect();
    // What is built on a regular expression of jaq's.
    replaced.extend([("scan_", 2), ("scan", 2), ("capture_of_match", 0)]);
    let natives: Vec<_> = own().iter().map(|(name, ..)| *name).collect();
    jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .filter(move |def| !refused(def.name) && !natives.contains(&def.name))
        .filter(move |def| !replaced.contains(&(def.name, def.args.len())))
        .chain(ours)
}

fn refused(name: &str) -> bool {
    REFUSED.iter().any(|(refused, _)| *refused == name)
}

/// The native functions that those definitions and queries call.
pub(super) fn funs() -> impl Iterator<Item = Fun<JaqData>> {
    let own = own();
    let names: Vec<_> = own.iter().map(|(name, ..)| *name).collect();
    let theirs = jaq_core::funs().chain(jaq_std::funs());
    let theirs = theirs.filter_map(move |(name, arguments, fun)| match name {
        "debug_empty" | "stderr_empty" | "matches" | "split_matches" | "split_" => None,
        "limit" => Some(("_limit", arguments, fun)),
        name if refused(name) || names.contains(&name) => None,
        name => Some((name, arguments, fun)),
    });
    theirs.chain(
        own.into_iter()
            .map(|(name, arguments, run)| (name, arguments, Native::<JaqData>::new(run))),
    )
}

fn own() -> Vec<Filter<RunPtr<JaqData>>> {
    let mut own = of_values();
    own.extend(of_text());
    own.extend(of_numbers());
    own.extend(of_times());
    own
}

fn function() -> Box<[Bind]> {
    [Bind::Fun(())].into()
}

/// Calls what takes three values.
fn ternary<T>(mut cv: Cv<'_, JaqData>, f: impl FnOnce(Value, Value, Value) -> T) -> T {
    let last = cv.0.pop_var();
    f(cv.1, cv.0.pop_var(), last)
}

/// Whether a value is a number of some kind.
fn is_number<'a>(value: &Value, kind: impl FnOnce(f64) -> bool) -> ValXs<'a, Value> {
    let is = matches!(value, Value::Number(number) if kind(number.float()));
    bome(Ok(Value::Bool(is)))
}

fn of_values() -> Vec<Filter<RunPtr<JaqData>>> {
    vec![
        ("range", v(3), |mut cv| {
            let (by, to, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
            arrays::range(from, to, by)
        }),
        ("_count", v(2), |cv| {
            ternary(cv, |_, from, to| arrays::count(from, to))
        }),
        ("path", function(), |cv| {
            Box::new(paths::paths(cv).map(|found| Ok(Value::array(found?.0))))
        }),
        ("path_value", function(), |cv| {
            let pair = |(path, value)| Value::array(vec![Value::array(path), value]);
            Box::new(paths::paths(cv).map(move |found| found.map(pair)))
        }),
        ("_modify", [Bind::Fun(()), Bind::Fun(())].into(), |cv| {
            paths::modify(cv)
        }),
        ("walk", function(), |cv| paths::walk(cv)),
        ("_last", function(), |cv| paths::last(cv)),
        ("setpath", v(2), |cv| {
            box_once(ternary(cv, |value, path, new| value.set_path(&path, new)).map_err(Exn::from))
        }),
        ("delpaths", v(1), |cv| {
            unary(cv, |value, paths| value.delete_paths(&paths))
        }),
        ("length", v(0), |cv| bome(arrays::length(cv.1))),
        ("reverse", v(0), |cv| bome(arrays::reverse(cv.1))),
        ("_flatten", v(1), |cv| {
            unary(cv, |value, depth| arrays::flatten(&value, &depth))
        }),
        ("_sort_by", v(1), |cv| {
            unary(cv, |value, keys| arrays::sort_by(&value, &keys))
        }),
        ("contains", v(1), |cv| {
            unary(cv, |value, part| {
                if arrays::same_kind(&value, &part) {
                    return Ok(Value::Bool(arrays::contains(&value, &part)));
                }
                let message =
                    format_args!("{value} and {part} cannot have their containment checked");
                Err(Error::str(message))
            })
        }),
        ("has", v(1), |cv| {
            unary(cv, |value, key| arrays::has(&value, &key))
        }),
        ("indices", v(1), |cv| {
            unary(cv, |value, part| value.indices(&part))
        }),
        ("bsearch", v(1), |cv| {
            unary(cv, |value, wanted| arrays::bsearch(value, &wanted))
        }),
    ]
}

fn of_text() -> Vec<Filter<RunPtr<JaqData>>> {
    vec![
        ("tojson", v(0), |cv| bome(Ok(Value::text(cv.1.to_json())))),
        ("fromjson", v(0), |cv| bome(json::parse(&cv.1))),
        ("tonumber", v(0), |cv| bome(json::number(cv.1))),
        ("implode", v(0), |cv| bome(text::implode(&cv.1))),
        ("ltrimstr", v(1), |cv| {
            unary(cv, |value, start| Ok(text::without_start(value, &start)))
        }),
        ("rtrimstr", v(1), |cv| {
            unary(cv, |value, end| Ok(text::without_end(value, &end)))
        }),
        ("@csv", v(0), |cv| bome(text::row(&cv.1, &text::CSV))),
        ("@tsv", v(0), |cv| bome(text::row(&cv.1, &text::TSV))),
        ("escape_html", v(0), |cv| {
            bome(text::escape(&cv.1, text::HTML))
        }),
        ("escape_sh", v(0), |cv| {
            bome(text::escape(&cv.1, text::SHELL))
        }),
        ("encode_uri", v(0), |cv| bome(text::uri(&cv.1))),
        ("decode_base64", v(0), |cv| bome(text::decode_base64(&cv.1))),
        ("_match", v(2), |cv| {
            bome(ternary(cv, |text, pattern, flags| {
                regex::matches(&text, &pattern, &flags)
            }))
        }),
        ("_test", v(2), |cv| {
            bome(ternary(cv, |text, pattern, flags| {
                regex::test(&text, &pattern, &flags)
            }))
        }),
        ("_split", v(2), |cv| {
            bome(ternary(cv, |text, pattern, flags| {
                regex::split(&text, &pattern, &flags)
            }))
        }),
        ("_join_pieces", function(), |cv| substitute::join(cv)),
        ("_pieces", v(2), |cv| {
            bome(ternary(cv, |text, pattern, flags| {
                regex::pieces(&text, &pattern, &flags)
            }))
        }),
    ]
}

/// A function from one number to another.
macro_rules! number {
    ($name:literal, $f:expr) => {
        ($name, v(0), |cv| {
            bome(math::of_number(&cv.1, |number| Value::from($f(number))))
        })
    };
}

/// A function of two numbers that does not look at what comes in.
macro_rules! numbers {
    ($name:literal, $f:expr) => {
        ($name, v(2), |cv| {
            bome(ternary(cv, |_, left, right| {
                math::of_numbers(&left, &right, $f)
            }))
        })
    };
}

fn of_numbers() -> Vec<Filter<RunPtr<JaqData>>> {
    vec![
        ("nan", v(0), |_| bome(Ok(Value::float(f64::NAN)))),
        ("infinite", v(0), |_| bome(Ok(Value::float(f64::INFINITY)))),
        ("isnan", v(0), |cv| is_number(&cv.1, f64::is_nan)),
        ("isinfinite", v(0), |cv| is_number(&cv.1, f64::is_infinite)),
        ("isnormal", v(0), |cv| is_number(&cv.1, f64::is_normal)),
        number!("floor", f64::floor),
        number!("ceil", f64::ceil),
        number!("round", f64::round),
        number!("nearbyint", f64::round_ties_even),
        number!("rint", f64::round_ties_even),
        number!("logb", math::logb),
        number!("significand", math::significand),
        ("frexp", v(0), |cv| {
            let pair = |(part, exponent)| [Value::float(part), Value::float(f64::from(exponent))];
            bome(math::of_number(&cv.1, |number| {
                pair(math::frexp(number)).into_iter().collect()
            }))
        }),
        ("lgamma_r", v(0), |cv| {
            let pair = |(log, sign)| [Value::float(log), Value::float(f64::from(sign))];
            bome(math::of_number(&cv.1, |number| {
                pair(libm::lgamma_r(number)).into_iter().collect()
            }))
        }),
        numbers!("ldexp", math::ldexp),
        numbers!("scalb", math::scalb),
        numbers!("scalbln", math::scalbln),
    ]
}

fn of_times() -> Vec<Filter<RunPtr<JaqData>>> {
    vec![
        ("gmtime", v(0), |cv| bome(time::gmtime(&cv.1))),
        ("mktime", v(0), |cv| bome(time::mktime(&cv.1))),
        ("strftime", v(1), |cv| {
            unary(cv, |value, format| time::strftime(value, &format))
        }),
        ("strptime", v(1), |cv| {
            unary(cv, |value, format| time::strptime(&value, &format))
        }),
    ]
}

/// The value of a key of an object.
pub fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => object.entries.get(key.as_bytes()),
        _ => None,
    }
}

/// The entries of an object.
pub fn entries(value: &Value) -> Option<impl Iterator<Item = (&[u8], &Value)>> {
    match value {
        Value::Object(object) => Some(object.entries.iter().map(|(key, value)| (&**key, value))),
        _ => None,
    }
}
