//! The compiled fast path: queries that only pick scalars by path run as one scan of the record.
//!
//! What compiles: one object construction (and an `event_time` beside it) whose values are plain
//! paths (`.a.b`, `.a["b"]`, `{a}`), with `// "default"`, `tostring`, `ascii_downcase`,
//! `ascii_upcase` and slices like `.ts[0:10]` behind them. The scan checks the whole record to be
//! JSON (unless told that somebody else will), and gives an answer only where the answer is plain;
//! everything odd (a key twice or with escapes, a value that is missing or no scalar) is left to
//! jaq, so both give one outcome.

use firehose_jq as jq;
use firehose_json::{RawNumber, RawString, Start, TextCursor, is_text};
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::{Opt, Part};
use memchr::memchr;
use memchr::memmem::Finder;

/// Compiled values.
#[derive(Debug)]
pub(super) struct Paths {
    /// A tree of the keys on all paths; the first node is the record.
    nodes: Vec<PathNode>,
    columns: Vec<Column>,
    /// How many different scalars the columns take.
    slots: usize,
    /// Finds each key of the paths, in its quotes, where scans may stop early.
    again: Option<Vec<Finder<'static>>>,
}

#[derive(Debug, Default)]
struct PathNode {
    children: Vec<(Box<[u8]>, usize)>,
    /// Where the scan puts the scalar found here, if a column ends here.
    slot: Option<usize>,
}

/// One value: where it is, and what is done with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Column {
    path: Vec<String>,
    steps: Vec<TextFilter>,
    slot: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TextFilter {
    /// `// "text"`.
    Default(String),
    ToString,
    Downcase,
    Upcase,
    /// `[from:to]`, in characters.
    Slice(usize, usize),
}

/// Most nodes of the tree: one bit each says that a record had it.
const NODES_MAX: usize = 64;
/// Most different paths.
const SLOTS_MAX: usize = 8;

/// A scalar found in a record.
#[derive(Clone, Copy, Debug, Default)]
enum FoundScalar<'a> {
    /// Missing or null.
    #[default]
    Nothing,
    Bool(bool),
    Number(RawNumber<'a>),
    Text(RawString<'a>),
}

/// The scan found something that jaq must judge.
#[derive(Debug)]
pub(super) struct Odd;

/// An event time as it stands in a record.
#[derive(Debug)]
pub(super) enum Scalar {
    Number(f64),
    Text,
}

/// The values of a query that only picks, by name.
pub(super) fn query_columns(text: &str) -> Option<Vec<(String, Column)>> {
    let term = jq::parse(text).ok()?;
    let Term::Obj(entries) = &term else {
        return None;
    };
    let mut columns: Vec<(String, Column)> = Vec::new();
    for (key, value) in entries {
        let name = jq::literal(key)?;
        if columns.iter().any(|(known, _)| *known == name) {
            return None;
        }
        let column = match value {
            Some(value) => column(value)?,
            None => Column {
                path: vec![name.clone()],
                ..Column::default()
            },
        };
        columns.push((name, column));
    }
    Some(columns)
}

/// An event time that only picks.
pub(super) fn event_time_column(text: &str) -> Option<Column> {
    column(&jq::parse(text).ok()?)
}

fn column(term: &Term<&str>) -> Option<Column> {
    match term {
        Term::Path(inner, path) => {
            let mut column = match &**inner {
                Term::Id => Column::default(),
                inner => column(inner)?,
            };
            for (part, opt) in &path.0 {
                match (part, opt) {
                    (Part::Index(index), Opt::Essential) if column.steps.is_empty() => {
                        column.path.push(jq::literal(index)?);
                    }
                    (Part::Range(from, to), Opt::Essential) if from.is_some() || to.is_some() => {
                        let from = from.as_ref().map_or(Some(0), index)?;
                        let to = to.as_ref().map_or(Some(usize::MAX), index)?;
                        column.steps.push(TextFilter::Slice(from, to));
                    }
                    _ => return None,
                }
            }
            (!column.path.is_empty()).then_some(column)
        }
        Term::BinOp(left, BinaryOp::Alt, right) => {
            let mut column = column(left)?;
            column.steps.push(TextFilter::Default(jq::literal(right)?));
            Some(column)
        }
        Term::BinOp(left, BinaryOp::Pipe(None), right) => {
            let mut column = column(left)?;
            pipe(right, &mut column.steps)?;
            Some(column)
        }
        _ => None,
    }
}

/// What stands behind `|`.
fn pipe(term: &Term<&str>, steps: &mut Vec<TextFilter>) -> Option<()> {
    match term {
        Term::Call(name, arguments) if arguments.is_empty() => steps.push(match *name {
            "tostring" => TextFilter::ToString,
            "ascii_downcase" => TextFilter::Downcase,
            "ascii_upcase" => TextFilter::Upcase,
            _ => return None,
        }),
        Term::BinOp(left, BinaryOp::Pipe(None), right) => {
            pipe(left, steps)?;
            pipe(right, steps)?;
        }
        Term::Path(inner, path) if matches!(**inner, Term::Id) => match path.0.as_slice() {
            [(Part::Range(from, to), Opt::Essential)] if from.is_some() || to.is_some() => {
                let from = from.as_ref().map_or(Some(0), index)?;
                steps.push(TextFilter::Slice(
                    from,
                    to.as_ref().map_or(Some(usize::MAX), index)?,
                ));
            }
            _ => return None,
        },
        _ => return None,
    }
    Some(())
}

fn index(term: &Term<&str>) -> Option<usize> {
    match term {
        Term::Num(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok()
        }
        _ => None,
    }
}

impl Paths {
    /// Joins the paths of all columns into one tree.
    pub(super) fn new(columns: Vec<Column>) -> Option<Self> {
        let mut paths = Self {
            nodes: vec![PathNode::default()],
            columns,
            slots: 0,
            again: None,
        };
        for column in &mut paths.columns {
            let mut node = 0;
            for key in &column.path {
                let known = paths.nodes[node].children.iter();
                let known = known.clone().find(|(name, _)| **name == *key.as_bytes());
                node = if let Some((_, child)) = known {
                    *child
                } else {
                    let child = paths.nodes.len();
                    paths.nodes.push(PathNode::default());
                    paths.nodes[node]
                        .children
                        .push((key.as_bytes().into(), child));
                    child
                };
            }
            let slot = *paths.nodes[node].slot.get_or_insert(paths.slots);
            paths.slots = paths.slots.max(slot + 1);
            column.slot = slot;
        }
        (paths.nodes.len() <= NODES_MAX && paths.slots <= SLOTS_MAX).then_some(paths)
    }

    /// Lets scans stop as soon as all scalars are found, where the rest cannot hold another value
    /// for them. It need not be JSON.
    pub(super) fn stop_early(&mut self) {
        let names = self.nodes.iter().flat_map(|node| &node.children);
        let quoted = names.map(|(name, _)| [b"\"", &**name, b"\""].concat());
        self.again = Some(quoted.map(|key| Finder::new(&key).into_owned()).collect());
    }

    /// Whether the rest of a record may name a key of the paths once more: jq takes the last.
    fn may_repeat(&self, rest: &[u8]) -> bool {
        let Some(again) = &self.again else {
            return true;
        };
        memchr(b'\\', rest).is_some() || again.iter().any(|key| key.find(rest).is_some())
    }

    /// A row to scan a record into.
    pub(super) fn row<'a>(&self) -> ScannedRecord<'_, 'a> {
        ScannedRecord {
            paths: self,
            seen: 0,
            left: self.slots,
            to_end: self.again.is_none(),
            found: [FoundScalar::Nothing; SLOTS_MAX],
        }
    }
}

/// What a scan found.
pub(super) struct ScannedRecord<'p, 'a> {
    paths: &'p Paths,
    /// A bit for each node that the record has.
    seen: u64,
    /// Scalars not yet found.
    left: usize,
    /// Whether the scan goes on to the end of the record although all scalars are found.
    to_end: bool,
    found: [FoundScalar<'a>; SLOTS_MAX],
}

impl<'a> ScannedRecord<'_, 'a> {
    /// Scans a record.
    pub(super) fn scan(&mut self, record: &'a [u8]) -> Result<(), Odd> {
        if !is_text(record) {
            return Err(Odd);
        }
        let mut cursor = TextCursor::new(record);
        match cursor.start() {
            Ok(Start::Object) => self.object(&mut cursor, 0, 1)?,
            _ => return Err(Odd),
        }
        if !self.is_done() {
            return cursor.end().map_err(|_| Odd);
        }
        if !self.paths.may_repeat(cursor.rest()) {
            return Ok(());
        }
        *self = self.paths.row();
        self.to_end = true;
        self.scan(record)
    }

    /// Whether all is found and the rest need not be scanned.
    fn is_done(&self) -> bool {
        self.left == 0 && !self.to_end
    }

    /// Reads the object of a node, of which the bracket has been read, at a nesting of `depth`.
    fn object(
        &mut self,
        cursor: &mut TextCursor<'a>,
        node: usize,
        depth: usize,
    ) -> Result<(), Odd> {
        let children = &self.paths.nodes[node].children;
        if cursor.eat(b'}') {
            return Ok(());
        }
        loop {
            let key = cursor.key().map_err(|_| Odd)?;
            if key.escaped {
                return Err(Odd);
            }
            match children.iter().find(|(name, _)| **name == *key.text) {
                Some((_, child)) => {
                    self.child(cursor, *child, depth)?;
                    if self.is_done() {
                        return Ok(());
                    }
                }
                None => cursor.skip(depth).map_err(|_| Odd)?,
            }
            if !cursor.eat(b',') {
                return cursor.close(b'}').map_err(|_| Odd);
            }
        }
    }

    fn child(&mut self, cursor: &mut TextCursor<'a>, node: usize, depth: usize) -> Result<(), Odd> {
        if self.seen & (1 << node) != 0 {
            return Err(Odd);
        }
        self.seen |= 1 << node;
        let PathNode { children, slot } = &self.paths.nodes[node];
        let found = match cursor.start().map_err(|_| Odd)? {
            Start::Null => return Ok(()),
            Start::Object if slot.is_none() => return self.object(cursor, node, depth + 1),
            Start::Object | Start::Array => return Err(Odd),
            Start::Bool(value) => FoundScalar::Bool(value),
            Start::Number(number) => FoundScalar::Number(number),
            Start::String(text) => FoundScalar::Text(text),
        };
        match slot {
            Some(slot) if children.is_empty() => {
                self.found[*slot] = found;
                self.left -= 1;
            }
            _ => return Err(Odd),
        }
        Ok(())
    }

    /// Appends the text of a column, as a partition key.
    pub(super) fn text(&self, column: usize, out: &mut Vec<u8>) -> Result<(), Odd> {
        let start = out.len();
        match self.scalar(column, out)? {
            Scalar::Number(_) | Scalar::Text if out.len() > start => Ok(()),
            _ => Err(Odd),
        }
    }

    /// Appends a column's text, or a number as jq prints it.
    pub(super) fn scalar(&self, column: usize, out: &mut Vec<u8>) -> Result<Scalar, Odd> {
        let Column { slot, steps, .. } = &self.paths.columns[column];
        let start = out.len();
        let mut found = self.found[*slot];
        let mut text = false;
        if let FoundScalar::Text(raw) = found {
            raw.decode(out).map_err(|_| Odd)?;
            text = true;
        }
        for step in steps {
            match (step, text, found) {
                (
                    TextFilter::Default(default),
                    false,
                    FoundScalar::Nothing | FoundScalar::Bool(false),
                ) => {
                    out.extend_from_slice(default.as_bytes());
                    text = true;
                }
                (TextFilter::Default(_), ..)
                | (TextFilter::ToString, true, _)
                | (TextFilter::Slice(..), false, FoundScalar::Nothing) => {}
                (TextFilter::ToString, false, found) => {
                    match found {
                        FoundScalar::Nothing => out.extend_from_slice(b"null"),
                        found => found.render(out),
                    }
                    text = true;
                }
                (TextFilter::Downcase, true, _) => out[start..].make_ascii_lowercase(),
                (TextFilter::Upcase, true, _) => out[start..].make_ascii_uppercase(),
                (TextFilter::Slice(from, to), true, _) => slice(out, start, *from, *to)?,
                _ => return Err(Odd),
            }
            if text {
                found = FoundScalar::Nothing;
            }
        }
        match (text, found) {
            (true, _) => Ok(Scalar::Text),
            (false, FoundScalar::Number(number)) => {
                jq::print_number(&number, out);
                Ok(Scalar::Number(number.float()))
            }
            (false, FoundScalar::Bool(_)) => {
                found.render(out);
                Ok(Scalar::Text)
            }
            _ => Err(Odd),
        }
    }
}

impl FoundScalar<'_> {
    fn render(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(number) => jq::print_number(number, out),
            Self::Nothing | Self::Text(_) => {}
        }
    }
}

/// Cuts the text from `start` on to the characters between two places.
fn slice(out: &mut Vec<u8>, start: usize, from: usize, to: usize) -> Result<(), Odd> {
    let text = &out[start..];
    let (from, to) = if text.is_ascii() {
        (from.min(text.len()), to.min(text.len()))
    } else {
        let text = std::str::from_utf8(text).map_err(|_| Odd)?;
        let byte = |char| {
            text.char_indices()
                .nth(char)
                .map_or(text.len(), |(at, _)| at)
        };
        (byte(from), byte(to))
    };
    out.truncate(start + to.max(from));
    out.drain(start..start + from);
    Ok(())
}

#[cfg(test)]
mod tests;
