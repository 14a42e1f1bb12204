//! What jq 1.6 does and jaq does otherwise, written in terms that mean the same to both.
//!
//! - jq updates at one path after the other; jaq from the inside out.
//! - An update of `reduce` and `foreach` with several outputs, or none.
//! - The order of outputs where several operands have several: jq varies the left one fastest.
//! - `//` keeps no `null` and `false` beside what it is looking for, also in paths.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Opt, Part, Path};

/// Variables that no query can name.
const NAMES: [&str; 8] = ["$ 0", "$ 1", "$ 2", "$ 3", "$ 4", "$ 5", "$ 6", "$ 7"];

pub(super) fn term(it: Term<&str>) -> Term<&str> {
    match it {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => it,
        Term::Str(format, parts) => string(format, parts),
        Term::Arr(inner) => Term::Arr(inner.map(|inner| boxed(*inner))),
        Term::Obj(entries) => {
            let entries = entries.into_iter();
            Term::Obj(
                entries
                    .map(|(key, value)| (term(key), value.map(term)))
                    .collect(),
            )
        }
        Term::Neg(inner) => Term::Neg(boxed(*inner)),
        Term::BinOp(left, op, right) => binary(term(*left), op, term(*right)),
        Term::Label(name, inner) => Term::Label(name, boxed(*inner)),
        Term::Fold(name, source, pattern, arguments) => {
            let arguments = arguments.into_iter().map(term).collect();
            fold(name, boxed(*source), self::pattern(pattern), arguments)
        }
        Term::TryCatch(inner, catch) => {
            Term::TryCatch(boxed(*inner), catch.map(|catch| boxed(*catch)))
        }
        Term::IfThenElse(branches, otherwise) => {
            let branches = branches.into_iter();
            let branches = branches.map(|(when, then)| (term(when), term(then)));
            Term::IfThenElse(
                branches.collect(),
                otherwise.map(|otherwise| boxed(*otherwise)),
            )
        }
        Term::Def(defs, inner) => {
            let defs = defs.into_iter().map(|def| Def {
                body: term(def.body),
                ..def
            });
            Term::Def(defs.collect(), boxed(*inner))
        }
        Term::Call(name, arguments) => call(name, arguments.into_iter().map(term).collect()),
        Term::Path(inner, path) => self::path(boxed(*inner), path),
    }
}

fn boxed(inner: Term<&str>) -> Box<Term<&str>> {
    Box::new(term(inner))
}

fn pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(_) => pattern,
        Pattern::Arr(inner) => Pattern::Arr(inner.into_iter().map(self::pattern).collect()),
        Pattern::Obj(entries) => {
            let entries = entries.into_iter();
            Pattern::Obj(
                entries
                    .map(|(key, inner)| (term(key), self::pattern(inner)))
                    .collect(),
            )
        }
    }
}

fn binary<'s>(left: Term<&'s str>, op: BinaryOp<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    let variable = || Term::Var(NAMES[0]);
    match op {
        BinaryOp::Update => Term::Call("_modify", vec![left, right]),
        BinaryOp::Assign => Term::Call("_assign", vec![left, right]),
        BinaryOp::UpdateMath(op) => update(left, BinaryOp::Math(op), right),
        BinaryOp::UpdateAlt => update(left, BinaryOp::Alt, right),
        BinaryOp::Math(_) | BinaryOp::Cmp(_) if !is_single(&left) && !is_single(&right) => {
            bind(right, NAMES[0], join(left, op, variable()))
        }
        BinaryOp::Alt if !is_single(&left) => {
            let none = Term::Call("!empty", Vec::new());
            let found = Term::IfThenElse(vec![(Term::Id, Term::Id)], Some(Box::new(none)));
            join(join(left, BinaryOp::Pipe(None), found), op, right)
        }
        BinaryOp::Pipe(Some(it)) => join(left, BinaryOp::Pipe(Some(pattern(it))), right),
        op => join(left, op, right),
    }
}

/// `left op= right`: an update for each output of `right`.
fn update<'s>(left: Term<&'s str>, op: BinaryOp<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    let new = join(Term::Id, op, Term::Var(NAMES[0]));
    bind(right, NAMES[0], Term::Call("_modify", vec![left, new]))
}

fn join<'s>(left: Term<&'s str>, op: BinaryOp<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(left), op, Box::new(right))
}

/// `value as $name | body`.
fn bind<'s>(value: Term<&'s str>, name: &'s str, body: Term<&'s str>) -> Term<&'s str> {
    join(value, BinaryOp::Pipe(Some(Pattern::Var(name))), body)
}

/// Binds the values to the names, the first value outermost.
fn bind_all<'s>(values: Vec<(Term<&'s str>, &'s str)>, body: Term<&'s str>) -> Term<&'s str> {
    let values = values.into_iter().rev();
    values.fold(body, |body, (value, name)| bind(value, name, body))
}

fn string<'s>(
    format: Option<&'s str>,
    parts: Vec<StrPart<&'s str, Term<&'s str>>>,
) -> Term<&'s str> {
    let mut names = NAMES.iter();
    let mut values = Vec::new();
    let mut parts: Vec<_> = parts
        .into_iter()
        .map(|part| match part {
            StrPart::Term(inner) => StrPart::Term(term(inner)),
            part => part,
        })
        .collect();
    let several = |part: &&mut StrPart<&str, Term<&str>>| matches!(part, StrPart::Term(inner) if !is_single(inner));
    // The first may stay where it is.
    for part in parts.iter_mut().filter(several).skip(1) {
        if let (StrPart::Term(inner), Some(name)) = (part, names.next()) {
            values.push((std::mem::replace(inner, Term::Var(name)), *name));
        }
    }
    values.reverse();
    bind_all(values, Term::Str(format, parts))
}

fn path<'s>(inner: Box<Term<&'s str>>, path: Path<Term<&'s str>>) -> Term<&'s str> {
    let mut names = NAMES.iter();
    let mut values = Vec::new();
    let mut keep = |key: Term<&'s str>| {
        let key = term(key);
        match names.next() {
            Some(name) if !is_single(&key) => {
                values.push((key, *name));
                Term::Var(*name)
            }
            _ => key,
        }
    };
    let mut parts = Vec::new();
    for (part, opt) in path.0.into_iter().rev() {
        let part = match part {
            Part::Index(key) => Part::Index(keep(key)),
            Part::Range(from, to) => Part::Range(from.map(&mut keep), to.map(&mut keep)),
        };
        parts.push((part, opt));
    }
    parts.reverse();
    bind_all(values, Term::Path(inner, Path(parts)))
}

/// Functions of jq that are written in C: their first argument varies fastest.
const NATIVE: [&str; 17] = [
    "atan2",
    "copysign",
    "drem",
    "fdim",
    "fma",
    "fmax",
    "fmin",
    "fmod",
    "hypot",
    "ldexp",
    "nextafter",
    "nexttoward",
    "pow",
    "remainder",
    "scalb",
    "scalbln",
    "setpath",
];

fn call<'s>(name: &'s str, mut arguments: Vec<Term<&'s str>>) -> Term<&'s str> {
    let mut values = Vec::new();
    if NATIVE.contains(&name) {
        let several = arguments.iter_mut().filter(|argument| !is_single(argument));
        for (argument, name) in several.zip(NAMES) {
            values.push((std::mem::replace(argument, Term::Var(name)), name));
        }
    }
    values.reverse();
    bind_all(values, Term::Call(name, arguments))
}

/// The state after an update is its last output, or null; `foreach` tells of all.
fn fold<'s>(
    name: &'s str,
    source: Box<Term<&'s str>>,
    pattern: Pattern<&'s str>,
    arguments: Vec<Term<&'s str>>,
) -> Term<&'s str> {
    let pipe = |left, right| join(left, BinaryOp::Pipe(None), right);
    let array = |inner| Term::Arr(Some(Box::new(inner)));
    let part = |part| Term::Path(Box::new(Term::Id), Path(vec![(part, Opt::Essential)]));
    let mut arguments = arguments.into_iter();
    let arguments = match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(init), Some(update), None) if name == "reduce" && !is_single(&update) => {
            vec![init, Term::Call("_last", vec![update])]
        }
        (Some(init), Some(update), extract) if name == "foreach" && !is_single(&update) => {
            let state = Term::Neg(Box::new(Term::Num("1")));
            vec![
                pipe(init, array(Term::Id)),
                array(pipe(part(Part::Index(state)), update)),
                pipe(part(Part::Range(None, None)), extract.unwrap_or_default()),
            ]
        }
        (init, update, extract) => init
            .into_iter()
            .chain(update)
            .chain(extract)
            .chain(arguments)
            .collect(),
    };
    Term::Fold(name, source, pattern, arguments)
}

/// Whether a term surely has one output, or fails.
fn is_single(term: &Term<&str>) -> bool {
    match term {
        Term::Id | Term::Num(_) | Term::Var(_) | Term::Arr(_) => true,
        Term::Recurse
        | Term::Break(_)
        | Term::Label(..)
        | Term::TryCatch(..)
        | Term::Def(..)
        | Term::Call(..)
        | Term::Fold(..)
        | Term::BinOp(_, BinaryOp::Comma, _) => false,
        Term::Str(_, parts) => parts.iter().all(|part| match part {
            StrPart::Term(inner) => is_single(inner),
            _ => true,
        }),
        Term::Obj(entries) => {
            let single = |value: &Option<Term<&str>>| value.as_ref().is_none_or(is_single);
            entries
                .iter()
                .all(|(key, value)| is_single(key) && single(value))
        }
        Term::Neg(inner) => is_single(inner),
        Term::BinOp(left, _, right) => is_single(left) && is_single(right),
        Term::IfThenElse(branches, otherwise) => {
            let mut branches = branches.iter();
            let single =
                |(when, then): &(Term<&str>, Term<&str>)| is_single(when) && is_single(then);
            branches.all(single) && otherwise.as_deref().is_none_or(is_single)
        }
        Term::Path(inner, path) => {
            let single = |(part, opt): &(Part<Term<&str>>, Opt)| {
                matches!(opt, Opt::Essential)
                    && match part {
                        Part::Index(key) => is_single(key),
                        Part::Range(None, None) => false,
                        Part::Range(from, to) => from.iter().chain(to).all(is_single),
                    }
            };
            is_single(inner) && path.0.iter().all(single)
        }
    }
}
