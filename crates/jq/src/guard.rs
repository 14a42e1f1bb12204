//! What can be said about a query before it runs: whether it parses, what it calls that it must
//! not, which keys it returns.

use std::ops::Range;

use firehose_nearest::nearest;
use jaq_core::compile::Undefined;
use jaq_core::load::lex::{Lexer, StrPart, Token};
use jaq_core::load::parse::{BinaryOp, Def, Expect, Parser, Pattern, Term};
use jaq_core::load::span;
use jaq_core::path::Part;

use super::natives::{self, REFUSED};
use crate::fault::QueryFault;

/// A key of the object that a query returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultKey {
    /// Its name.
    pub name: String,
    /// Bytes of the query.
    pub at: Range<usize>,
}

/// A query that may be compiled.
pub(super) struct CheckedQuery<'q> {
    pub(super) term: Term<&'q str>,
    /// The keys of the object it returns, where they can be told.
    pub(super) keys: Option<Vec<ResultKey>>,
}

/// Parses a query and refuses what has no place in it; returns the keys, too, if they can be told.
pub(super) fn check(text: &str) -> Result<CheckedQuery<'_>, Vec<QueryFault>> {
    let term = parse(text)?;
    let mut faults = Vec::new();
    walk(&term, &mut |name, _, _| {
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            let message = format!("a query cannot call \"{name}\"");
            faults.push(QueryFault::at(span(text, name), message).help(*why));
        }
    });
    recursion(text, &term, &mut faults);
    if faults.is_empty() {
        let keys = keys(text, &term);
        Ok(CheckedQuery { term, keys })
    } else {
        Err(faults)
    }
}

/// Parses a query.
pub fn parse(text: &str) -> Result<Term<&str>, Vec<QueryFault>> {
    let at = |found: &str| {
        let start = span(text, found).start;
        start..(start + found.chars().next().map_or(0, char::len_utf8)).max(start)
    };
    let tokens = Lexer::new(text).lex().map_err(|errors| {
        let fault = |(expected, found): &(jaq_core::load::lex::Expect<&str>, &str)| {
            let message = format!("expected {}", expected.as_str());
            QueryFault::at(at(found), message)
        };
        errors.iter().map(fault).collect::<Vec<_>>()
    })?;
    Parser::new(&tokens).parse(Parser::term).map_err(|errors| {
        let fault = |(expected, found): &(Expect<&str>, Option<&Token<&str>>)| {
            let found = Token::opt_as_str(*found, text);
            let what = if found.is_empty() { "the end" } else { found };
            let message = format!("expected {}, found {what}", expected.as_str());
            QueryFault::at(span(text, found), message)
        };
        errors.iter().map(fault).collect()
    })
}

/// Faults for names that nothing defines.
pub(super) fn undefined<P>(
    text: &str,
    errors: &jaq_core::compile::Errors<&str, P>,
) -> Vec<QueryFault> {
    let errors = errors.iter().flat_map(|(_, errors)| errors);
    let fault = |(name, kind): &(&str, Undefined)| {
        let what = match kind {
            Undefined::Filter(0) => format!("no function \"{name}\" without arguments is known"),
            Undefined::Filter(1) => format!("no function \"{name}\" with one argument is known"),
            Undefined::Filter(count) => {
                format!("no function \"{name}\" with {count} arguments is known")
            }
            other => format!("no {} \"{name}\" is known", other.as_str()),
        };
        // A name that is not the query's would be one of our own definitions'.
        let written = text.as_bytes().as_ptr_range().contains(&name.as_ptr());
        if !written {
            return QueryFault::whole(what);
        }
        let fault = QueryFault::at(span(text, name), what);
        match nearest(name, names()) {
            Some(word) if matches!(kind, Undefined::Filter(_)) => {
                fault.help(format!("did you mean \"{word}\"?"))
            }
            _ => fault,
        }
    };
    errors.map(fault).collect()
}

fn names() -> Vec<&'static str> {
    let natives = natives::funs().map(|(name, ..)| name);
    let mut names: Vec<_> = natives.chain(natives::defs().map(|def| def.name)).collect();
    names.retain(|name| !name.starts_with('_'));
    names.sort_unstable();
    names.dedup();
    names
}

type Visit<'v, 's> = dyn FnMut(&'s str, usize, &[Def<&'s str>]) + 'v;

/// Definitions that call themselves are refused: their function arguments can nest without bound
/// on the heap, and dropping such a nest overflows the stack. (A query has only functions that
/// come before it in the text, so no other call leads back.)
fn recursion(text: &str, term: &Term<&str>, faults: &mut Vec<QueryFault>) {
    walk(term, &mut |_, _, defs| {
        for def in defs {
            walk(&def.body, &mut |name, count, _| {
                if name == def.name && count == def.args.len() {
                    let message = format!("the definition of \"{name}\" calls itself");
                    let fault = QueryFault::at(span(text, name), message);
                    faults.push(
                        fault.help("loop with reduce, foreach, limit, until, while or recurse"),
                    );
                }
            });
        }
    });
}

/// Visits the names of all functions and variables that a term uses, with the number of their
/// arguments, and its groups of definitions (under an empty name).
fn walk<'s>(term: &Term<&'s str>, visit: &mut Visit<'_, 's>) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) => {}
        Term::Str(format, parts) => {
            if let Some(format) = format {
                visit(format, 0, &[]);
            }
            for part in parts {
                if let StrPart::Term(term) = part {
                    walk(term, visit);
                }
            }
        }
        Term::Arr(inner) => walk_all(inner.as_deref(), visit),
        Term::Obj(entries) => {
            for (key, value) in entries {
                walk(key, visit);
                walk_all(value, visit);
            }
        }
        Term::Neg(inner) | Term::Label(_, inner) => walk(inner, visit),
        Term::BinOp(left, op, right) => {
            walk(left, visit);
            if let BinaryOp::Pipe(Some(pattern)) = op {
                walk_pattern(pattern, visit);
            }
            walk(right, visit);
        }
        Term::Fold(_, source, pattern, arguments) => {
            walk(source, visit);
            walk_pattern(pattern, visit);
            walk_all(arguments, visit);
        }
        Term::TryCatch(inner, catch) => {
            walk(inner, visit);
            walk_all(catch.as_deref(), visit);
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, branch) in branches {
                walk(condition, visit);
                walk(branch, visit);
            }
            walk_all(otherwise.as_deref(), visit);
        }
        Term::Def(defs, inner) => {
            visit("", 0, defs);
            walk_all(defs.iter().map(|def| &def.body), visit);
            walk(inner, visit);
        }
        Term::Call(name, arguments) => {
            visit(name, arguments.len(), &[]);
            walk_all(arguments, visit);
        }
        Term::Var(name) => visit(name, 0, &[]),
        Term::Path(inner, path) => {
            walk(inner, visit);
            for (part, _) in &path.0 {
                match part {
                    Part::Index(index) => walk(index, visit),
                    Part::Range(from, to) => {
                        walk_all(from.iter().chain(to), visit);
                    }
                }
            }
        }
    }
}

fn walk_all<'t, 's: 't>(
    terms: impl IntoIterator<Item = &'t Term<&'s str>>,
    visit: &mut Visit<'_, 's>,
) {
    for term in terms {
        walk(term, visit);
    }
}

fn walk_pattern<'s>(pattern: &Pattern<&'s str>, visit: &mut Visit<'_, 's>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(patterns) => {
            for inner in patterns {
                walk_pattern(inner, visit);
            }
        }
        Pattern::Obj(entries) => {
            for (key, inner) in entries {
                walk(key, visit);
                walk_pattern(inner, visit);
            }
        }
    }
}

/// The keys of the object that a term returns, if it is plain which.
fn keys(text: &str, term: &Term<&str>) -> Option<Vec<ResultKey>> {
    match term {
        Term::Obj(entries) => {
            let mut found: Vec<ResultKey> = Vec::new();
            for (key, _) in entries {
                let (name, at) = literal_key(text, key)?;
                found.retain(|known| known.name != name);
                found.push(ResultKey { name, at });
            }
            Some(found)
        }
        Term::BinOp(_, BinaryOp::Pipe(_), right) | Term::Def(_, right) => keys(text, right),
        _ => None,
    }
}

/// A key written as a name, a plain string or `$name`.
fn literal_key(text: &str, key: &Term<&str>) -> Option<(String, Range<usize>)> {
    if let Term::Var(name) = key {
        return Some((name.strip_prefix('$')?.into(), span(text, name)));
    }
    let name = literal(key)?;
    let at = match key {
        Term::Str(_, parts) => match parts.as_slice() {
            [StrPart::Str(written)] => span(text, written),
            _ => 0..text.len(),
        },
        _ => 0..text.len(),
    };
    Some((name, at))
}

/// The text of a string literal.
pub fn literal(term: &Term<&str>) -> Option<String> {
    let Term::Str(None, parts) = term else {
        return None;
    };
    parts.iter().try_fold(String::new(), |mut text, part| {
        match part {
            StrPart::Str(part) => text.push_str(part),
            StrPart::Char(char) => text.push(*char),
            StrPart::Term(_) => return None,
        }
        Some(text)
    })
}
