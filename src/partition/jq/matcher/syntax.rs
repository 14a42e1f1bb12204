//! A pattern's text to a tree.
//!
//! The grammar is that of `regex-syntax`; classes such as `\w` and the flag `i` mean ASCII only.
//! What it also knows, Unicode's classes and classes within classes, is refused.

use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassAsciiKind, ClassPerlKind, ClassSet, ClassSetItem, Flag, Flags,
    FlagsItemKind, GroupKind, Literal, RepetitionKind, RepetitionRange,
};

use super::class::{Class, Run};
use super::look::Look;

/// How deep groups, repetitions and alternatives may nest: what follows recurses as deep.
const NESTING_MAX: u32 = 64;

/// A pattern as a tree.
pub(super) struct Tree {
    pub root: Node,
    pub classes: Vec<Class>,
    /// The name of each group, if it has one; the first is the whole match.
    pub names: Vec<Option<String>>,
}

pub(super) enum Node {
    Empty,
    Char(char),
    /// A class by its index.
    Class(usize),
    Look(Look),
    Repeat {
        what: Box<Node>,
        min: u32,
        /// None for no bound.
        max: Option<u32>,
        greedy: bool,
    },
    /// A group that captures, by its index.
    Group(usize, Box<Node>),
    Concat(Vec<Node>),
    Either(Vec<Node>),
}

/// What flags can change.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::partition::jq) struct Options {
    /// `(?i)`, of ASCII letters.
    pub ignore_case: bool,
    /// `(?x)`
    pub ignore_whitespace: bool,
    /// `(?s)`
    pub dot_takes_line_ends: bool,
    lines: bool,
    crlf: bool,
    lazy: bool,
}

impl Tree {
    /// Parses a pattern; the error says what is wrong.
    pub(super) fn parse(pattern: &str, options: Options) -> Result<Self, String> {
        let mut parser = ParserBuilder::new();
        parser.ignore_whitespace(options.ignore_whitespace);
        let parsed = parser.nest_limit(NESTING_MAX).build().parse(pattern);
        let ast = parsed.map_err(|error| error.kind().to_string())?;
        let mut reader = Reader {
            options,
            classes: Vec::new(),
            names: vec![None],
        };
        let root = reader.node(&ast)?;
        Ok(Self {
            root,
            classes: reader.classes,
            names: reader.names,
        })
    }
}

struct Reader {
    /// Those that hold from here to the end of the group.
    options: Options,
    classes: Vec<Class>,
    names: Vec<Option<String>>,
}

impl Reader {
    fn node(&mut self, ast: &Ast) -> Result<Node, String> {
        Ok(match ast {
            Ast::Empty(_) => Node::Empty,
            Ast::Flags(set) => {
                self.set(&set.flags);
                Node::Empty
            }
            Ast::Literal(literal) => self.literal(literal),
            Ast::Dot(_) => self.class(self.dot()),
            Ast::Assertion(assertion) => Node::Look(self.look(&assertion.kind)),
            Ast::ClassPerl(class) => self.class(perl(&class.kind, class.negated)),
            Ast::ClassBracketed(class) => {
                let mut runs = Vec::new();
                let ClassSet::Item(item) = &class.kind else {
                    return Err("a class cannot be made of two others".into());
                };
                add(item, &mut runs)?;
                let mut found = Class::new(runs);
                if self.options.ignore_case {
                    found = found.without_case();
                }
                self.class(if class.negated {
                    found.negated()
                } else {
                    found
                })
            }
            Ast::ClassUnicode(_) => return Err(NO_UNICODE.into()),
            Ast::Repetition(repetition) => {
                let (min, max) = match &repetition.op.kind {
                    RepetitionKind::ZeroOrOne => (0, Some(1)),
                    RepetitionKind::ZeroOrMore => (0, None),
                    RepetitionKind::OneOrMore => (1, None),
                    RepetitionKind::Range(RepetitionRange::Exactly(n)) => (*n, Some(*n)),
                    RepetitionKind::Range(RepetitionRange::AtLeast(n)) => (*n, None),
                    RepetitionKind::Range(RepetitionRange::Bounded(n, m)) => (*n, Some(*m)),
                };
                Node::Repeat {
                    what: Box::new(self.node(&repetition.ast)?),
                    min,
                    max,
                    greedy: repetition.greedy != self.options.lazy,
                }
            }
            Ast::Group(group) => {
                let outer = self.options;
                let index = match &group.kind {
                    GroupKind::CaptureIndex(_) => Some(self.group(None)),
                    GroupKind::CaptureName { name, .. } => Some(self.group(Some(&name.name))),
                    GroupKind::NonCapturing(flags) => {
                        self.set(flags);
                        None
                    }
                };
                let inner = self.node(&group.ast)?;
                self.options = outer;
                match index {
                    Some(index) => Node::Group(index, Box::new(inner)),
                    None => inner,
                }
            }
            Ast::Alternation(of) => Node::Either(self.nodes(&of.asts)?),
            Ast::Concat(of) => Node::Concat(self.nodes(&of.asts)?),
        })
    }

    fn nodes(&mut self, asts: &[Ast]) -> Result<Vec<Node>, String> {
        asts.iter().map(|ast| self.node(ast)).collect()
    }

    fn group(&mut self, name: Option<&str>) -> usize {
        self.names.push(name.map(Into::into));
        self.names.len() - 1
    }

    fn class(&mut self, class: Class) -> Node {
        self.classes.push(class);
        Node::Class(self.classes.len() - 1)
    }

    fn literal(&mut self, literal: &Literal) -> Node {
        if self.options.ignore_case && literal.c.is_ascii_alphabetic() {
            let both = Class::of([(literal.c, literal.c)]).without_case();
            return self.class(both);
        }
        Node::Char(literal.c)
    }

    fn dot(&self) -> Class {
        let ends: &[char] = match self.options {
            Options {
                dot_takes_line_ends: true,
                ..
            } => &[],
            Options { crlf: true, .. } => &['\n', '\r'],
            _ => &['\n'],
        };
        Class::of(ends.iter().map(|end| (*end, *end))).negated()
    }

    fn look(&self, kind: &AssertionKind) -> Look {
        match kind {
            AssertionKind::StartLine if self.options.lines && self.options.crlf => {
                Look::LineStartCrlf
            }
            AssertionKind::StartLine if self.options.lines => Look::LineStart,
            AssertionKind::StartLine | AssertionKind::StartText => Look::Start,
            AssertionKind::EndLine if self.options.lines && self.options.crlf => Look::LineEndCrlf,
            AssertionKind::EndLine if self.options.lines => Look::LineEnd,
            AssertionKind::EndLine | AssertionKind::EndText => Look::End,
            AssertionKind::WordBoundary => Look::Word,
            AssertionKind::NotWordBoundary => Look::NotWord,
            AssertionKind::WordBoundaryStart | AssertionKind::WordBoundaryStartAngle => {
                Look::WordStart
            }
            AssertionKind::WordBoundaryEnd | AssertionKind::WordBoundaryEndAngle => Look::WordEnd,
            AssertionKind::WordBoundaryStartHalf => Look::WordStartHalf,
            AssertionKind::WordBoundaryEndHalf => Look::WordEndHalf,
        }
    }

    fn set(&mut self, flags: &Flags) {
        let mut on = true;
        for item in &flags.items {
            let option = match &item.kind {
                FlagsItemKind::Negation => {
                    on = false;
                    continue;
                }
                FlagsItemKind::Flag(Flag::CaseInsensitive) => &mut self.options.ignore_case,
                FlagsItemKind::Flag(Flag::MultiLine) => &mut self.options.lines,
                FlagsItemKind::Flag(Flag::DotMatchesNewLine) => {
                    &mut self.options.dot_takes_line_ends
                }
                FlagsItemKind::Flag(Flag::SwapGreed) => &mut self.options.lazy,
                FlagsItemKind::Flag(Flag::CRLF) => &mut self.options.crlf,
                // The parser sees to white space, and there is no other Unicode.
                FlagsItemKind::Flag(Flag::IgnoreWhitespace | Flag::Unicode) => continue,
            };
            *option = on;
        }
    }
}

/// Adds the characters of a part of a class.
fn add(item: &ClassSetItem, into: &mut Vec<Run>) -> Result<(), String> {
    match item {
        ClassSetItem::Empty(_) => {}
        ClassSetItem::Literal(literal) => into.push((literal.c.into(), literal.c.into())),
        ClassSetItem::Range(range) => into.push((range.start.c.into(), range.end.c.into())),
        ClassSetItem::Ascii(class) => {
            into.extend_from_slice(ascii(&class.kind, class.negated).runs());
        }
        ClassSetItem::Perl(class) => {
            into.extend_from_slice(perl(&class.kind, class.negated).runs());
        }
        ClassSetItem::Unicode(_) => return Err(NO_UNICODE.into()),
        ClassSetItem::Bracketed(_) => return Err("a class cannot stand within another".into()),
        ClassSetItem::Union(union) => {
            for item in &union.items {
                add(item, into)?;
            }
        }
    }
    Ok(())
}

const NO_UNICODE: &str = "Unicode's classes are not supported";

fn perl(kind: &ClassPerlKind, negated: bool) -> Class {
    match kind {
        ClassPerlKind::Digit => ascii(&ClassAsciiKind::Digit, negated),
        ClassPerlKind::Space => ascii(&ClassAsciiKind::Space, negated),
        ClassPerlKind::Word => ascii(&ClassAsciiKind::Word, negated),
    }
}

fn ascii(kind: &ClassAsciiKind, negated: bool) -> Class {
    let ranges: &[(char, char)] = match kind {
        ClassAsciiKind::Alnum => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        ClassAsciiKind::Alpha => &[('A', 'Z'), ('a', 'z')],
        ClassAsciiKind::Ascii => &[('\0', '\x7f')],
        ClassAsciiKind::Blank => &[('\t', '\t'), (' ', ' ')],
        ClassAsciiKind::Cntrl => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        ClassAsciiKind::Digit => &[('0', '9')],
        ClassAsciiKind::Graph => &[('!', '~')],
        ClassAsciiKind::Lower => &[('a', 'z')],
        ClassAsciiKind::Print => &[(' ', '~')],
        ClassAsciiKind::Punct => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        ClassAsciiKind::Space => &[('\t', '\r'), (' ', ' ')],
        ClassAsciiKind::Upper => &[('A', 'Z')],
        ClassAsciiKind::Word => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        ClassAsciiKind::Xdigit => &[('0', '9'), ('A', 'F'), ('a', 'f')],
    };
    let class = Class::of(ranges.iter().copied());
    if negated { class.negated() } else { class }
}
