//! What is certain about a query's outputs before any record has come.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Opt, Part};

use super::guard::literal;

/// Kinds of values, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kinds(u8);

impl Kinds {
    const NONE: Self = Self(0);
    const NULL: Self = Self(1);
    const BOOL: Self = Self(2);
    const NUMBER: Self = Self(4);
    const TEXT: Self = Self(8);
    const ARRAY: Self = Self(16);
    const OBJECT: Self = Self(32);
    const ANY: Self = Self(63);

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// In words, for the sentence "it returns …".
    fn words(self) -> String {
        let names = [
            (Self::NULL, "null"),
            (Self::BOOL, "a boolean"),
            (Self::NUMBER, "a number"),
            (Self::TEXT, "text"),
            (Self::ARRAY, "an array"),
            (Self::OBJECT, "an object"),
        ];
        let words = names.into_iter().filter(|(kind, _)| self.has(*kind));
        let words: Vec<&str> = words.map(|(_, name)| name).collect();
        if words.is_empty() {
            return "nothing".to_owned();
        }
        words.join(" or ")
    }
}

/// Why no record can ever get its keys from a query, if that is certain.
pub fn never_keys(term: &Term<&str>) -> Option<String> {
    let kinds = kinds(term);
    if !kinds.has(Kinds::OBJECT) {
        let returns = kinds.words();
        return Some(format!(
            "the query must return an object of keys, and returns {returns}"
        ));
    }
    if always_many(term) {
        return Some("the query returns more than one value for every record".to_owned());
    }
    let Term::Obj(entries) = last(term) else {
        return None;
    };
    entries.iter().find_map(|(key, value)| {
        let kinds = self::kinds(value.as_ref()?);
        let is_key = kinds.has(Kinds::BOOL.or(Kinds::NUMBER).or(Kinds::TEXT));
        let name = literal(key).filter(|_| !is_key)?;
        let returns = kinds.words();
        Some(format!(
            "the key \"{name}\" must be text, a number or a boolean, and is {returns}"
        ))
    })
}

/// Why no record can ever have an event time, if that is certain.
pub fn never_time(term: &Term<&str>) -> Option<String> {
    let kinds = kinds(term);
    if !kinds.has(Kinds::NUMBER.or(Kinds::TEXT)) {
        let returns = kinds.words();
        return Some(format!(
            "an event time is text or a number, and this returns {returns}"
        ));
    }
    always_many(term).then(|| "it returns more than one value for every record".to_owned())
}

/// Whether a term has the same outputs whatever the record is.
pub fn is_constant(term: &Term<&str>) -> bool {
    match term {
        Term::Num(_) => true,
        Term::Str(_, parts) => parts.iter().all(|part| match part {
            StrPart::Term(term) => is_constant(term),
            _ => true,
        }),
        Term::Arr(inner) => inner.as_deref().is_none_or(is_constant),
        Term::Neg(inner) => is_constant(inner),
        Term::Obj(entries) => entries
            .iter()
            .all(|(key, value)| is_constant(key) && value.as_ref().is_some_and(is_constant)),
        Term::BinOp(left, BinaryOp::Pipe(None), right) => {
            is_constant(left) && (matches!(**right, Term::Id) || is_constant(right))
        }
        Term::BinOp(
            left,
            BinaryOp::Comma
            | BinaryOp::Alt
            | BinaryOp::Or
            | BinaryOp::And
            | BinaryOp::Math(_)
            | BinaryOp::Cmp(_),
            right,
        ) => is_constant(left) && is_constant(right),
        Term::Call(name, arguments) => {
            arguments.is_empty() && matches!(*name, "null" | "true" | "false" | "nan")
        }
        _ => false,
    }
}

/// The term whose outputs are the query's.
fn last<'t, 's>(term: &'t Term<&'s str>) -> &'t Term<&'s str> {
    match term {
        Term::BinOp(_, BinaryOp::Pipe(_), right) => last(right),
        Term::Def(_, inner) => last(inner),
        other => other,
    }
}

/// The kinds that outputs of a term can have.
fn kinds(term: &Term<&str>) -> Kinds {
    match term {
        Term::Num(_) | Term::Neg(_) => Kinds::NUMBER,
        Term::Str(..) => Kinds::TEXT,
        Term::Arr(_) => Kinds::ARRAY,
        Term::Obj(_) => Kinds::OBJECT,
        Term::BinOp(left, op, right) => match op {
            BinaryOp::Pipe(None) if matches!(**right, Term::Id) => kinds(left),
            BinaryOp::Pipe(_) => kinds(right),
            BinaryOp::Comma | BinaryOp::Alt | BinaryOp::Math(Math::Add) => {
                kinds(left).or(kinds(right))
            }
            BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) => Kinds::BOOL,
            BinaryOp::Math(Math::Sub) => Kinds::NUMBER.or(Kinds::ARRAY),
            BinaryOp::Math(Math::Div) => Kinds::NUMBER.or(Kinds::ARRAY).or(Kinds::TEXT),
            BinaryOp::Math(Math::Rem) => Kinds::NUMBER,
            _ => Kinds::ANY,
        },
        Term::TryCatch(inner, catch) => {
            kinds(inner).or(catch.as_deref().map_or(Kinds::NONE, kinds))
        }
        Term::IfThenElse(branches, otherwise) => {
            // Without `else` the input itself comes out.
            let otherwise = otherwise.as_deref().map_or(Kinds::ANY, kinds);
            let branches = branches.iter().map(|(_, branch)| kinds(branch));
            branches.fold(otherwise, Kinds::or)
        }
        // A definition may give a known name another meaning.
        Term::Def(_, inner) => match last(inner) {
            Term::Call(..) => Kinds::ANY,
            _ => of_definition(inner),
        },
        Term::Call(name, arguments) => of_call(name, arguments.len()),
        _ => Kinds::ANY,
    }
}

/// The kinds below definitions: only those that no name decides.
fn of_definition(term: &Term<&str>) -> Kinds {
    match last(term) {
        plain @ (Term::Num(_) | Term::Str(..) | Term::Arr(_) | Term::Obj(_)) => kinds(plain),
        _ => Kinds::ANY,
    }
}

fn of_call(name: &str, arguments: usize) -> Kinds {
    match (name, arguments) {
        ("empty", 0) | ("error", 0 | 1) => Kinds::NONE,
        ("null", 0) => Kinds::NULL,
        ("not" | "true" | "false" | "any" | "all" | "isnan" | "isinfinite" | "isnormal", 0)
        | ("has" | "contains" | "inside" | "startswith" | "endswith" | "test" | "isempty", 1) => {
            Kinds::BOOL
        }
        (
            "length" | "utf8bytelength" | "tonumber" | "floor" | "ceil" | "round" | "sqrt"
            | "mktime" | "fromdate" | "fromdateiso8601" | "nan" | "infinite",
            0,
        ) => Kinds::NUMBER,
        (
            "tostring" | "tojson" | "type" | "ascii_downcase" | "ascii_upcase" | "todate"
            | "implode",
            0,
        )
        | ("strftime", 1) => Kinds::TEXT,
        ("keys" | "keys_unsorted" | "to_entries" | "explode" | "sort" | "unique", 0)
        | ("map" | "split" | "sort_by" | "group_by" | "unique_by", 1) => Kinds::ARRAY,
        _ => Kinds::ANY,
    }
}

/// Whether a term has more than one output for every record that it does not fail.
fn always_many(term: &Term<&str>) -> bool {
    match last(term) {
        Term::BinOp(left, BinaryOp::Comma, right) => has_output(left) && has_output(right),
        _ => false,
    }
}

/// Whether a term has an output for every record that it does not fail.
fn has_output(term: &Term<&str>) -> bool {
    match term {
        Term::Id | Term::Num(_) | Term::Arr(_) => true,
        Term::Str(None, parts) => !parts.iter().any(|part| matches!(part, StrPart::Term(_))),
        Term::Obj(entries) => entries
            .iter()
            .all(|(key, value)| literal(key).is_some() && value.as_ref().is_none_or(has_output)),
        Term::Path(inner, path) => {
            let is_index = |(part, opt): &(Part<Term<&str>>, Opt)| {
                matches!(opt, Opt::Essential)
                    && matches!(part, Part::Index(index) if has_output(index))
            };
            has_output(inner) && path.0.iter().all(is_index)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::parse;
    use super::{is_constant, never_keys, never_time};

    #[test]
    fn what_can_never_be_an_object_of_keys_is_told_and_nothing_else() {
        for (query, told) in [
            ("\"x\"", "returns text"),
            ("7", "returns a number"),
            ("-.a", "returns a number"),
            ("[.a]", "returns an array"),
            ("null", "returns null"),
            (".a | length?", "returns a number"),
            (".a | tostring", "returns text"),
            (".a == 1 and .b", "returns a boolean"),
            ("if .a then \"x\" else 1 end", "returns a number or text"),
            ("try .a.b catch 1 | keys", "returns an array"),
            ("empty", "returns nothing"),
            ("{a: .a}, {b: .b}", "more than one value"),
            ("{a: [.a]}", "the key \"a\" must be"),
            (".x | {k: {b: 1}}", "the key \"k\" must be"),
            ("{a: null}", "the key \"a\" must be"),
        ] {
            let term = parse(query).unwrap();
            let why = never_keys(&term).unwrap_or_else(|| panic!("{query} is let through"));
            assert!(why.contains(told), "{query}: {why}");
        }
        for query in [
            ".",
            "{a}",
            "{a: .a}",
            "{a: (.a // null)}",
            "{a: .a.b[0:2]}",
            ".a",
            "if .a then {a: 1} end",
            "if .a then {a: 1} else \"x\" end",
            "{a: 1} + {b: 2}",
            ".a // \"x\"",
            "def length: {a: 1}; length",
            "def f: {a: 1}; .x | f",
            "\"{\\\"a\\\":1}\" | fromjson",
            "(select(.a) | {a: 1}), (select(.b) | {b: 1})",
            "[.] | .[0]",
            "reduce .[] as $x ({}; .a = $x)",
            "..",
        ] {
            let term = parse(query).unwrap();
            assert_eq!(never_keys(&term), None, "{query}");
        }
    }

    #[test]
    fn what_can_never_be_a_time_is_told_and_nothing_else() {
        for path in ["{a: .ts}", "[.ts]", "true", ".a == .b", "null", ".a, .b"] {
            let term = parse(path).unwrap();
            assert!(never_time(&term).is_some(), "{path}");
        }
        for path in [".ts", ".ts / 1000", ".a // .b", "\"x\"", ".ts | tonumber"] {
            let term = parse(path).unwrap();
            assert_eq!(never_time(&term), None, "{path}");
        }
    }

    #[test]
    fn a_constant_looks_at_no_record() {
        for (query, constant) in [
            ("{a: 1, b: \"x\"}", true),
            ("{a: null}", true),
            ("1 + 2", true),
            ("{a: .a}", false),
            ("{a}", false),
            ("\"\\(.a)\"", false),
            ("length", false),
        ] {
            let term = parse(query).unwrap();
            assert_eq!(is_constant(&term), constant, "{query}");
        }
    }
}
