//! A pattern's text to a tree.
//!
//! The grammar is that of jq 1.6, Oniguruma with its Perl syntax (`ONIG_SYNTAX_PERL_NT`). What
//! cannot be followed in steps in proportion to the text, and what is rare, is refused by name: a
//! pattern that meant something else here would put records under wrong keys.

use super::class::Class;
use super::look::Look;
use super::program::pay;
use super::repeat::repeat;

/// How deep groups may nest: what follows recurses as deep.
const NESTING_MAX: usize = 64;
/// How many quantifiers may stand behind one another.
const QUANTIFIERS_MAX: usize = 8;
/// The largest number of repetitions.
const TIMES_MAX: u32 = 100_000;

/// A pattern as a tree.
pub(super) struct Tree {
    pub root: Node,
    pub classes: Vec<Class>,
    /// The name of each group, if it has one; the first is the whole match.
    pub names: Vec<Option<String>>,
    /// What its classes took, which is paid.
    pub effort: usize,
}

#[derive(Debug)]
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
pub(crate) struct Options {
    /// `(?i)`
    pub ignore_case: bool,
    /// `(?x)`
    pub ignore_whitespace: bool,
    /// `(?s)`
    pub dot_takes_line_ends: bool,
    /// Only what is longer than nothing is a match.
    pub not_empty: bool,
    /// `(?m)`
    lines: bool,
}

impl Tree {
    /// Parses a pattern; the error says what is wrong.
    pub(super) fn parse(pattern: &str, options: Options) -> Result<Self, String> {
        let mut parser = PatternParser {
            rest: pattern,
            options,
            depth: 0,
            classes: Vec::new(),
            names: vec![None],
            effort: 0,
        };
        let root = parser.either()?;
        if !parser.rest.is_empty() {
            return Err("a `)` has no `(` before it; write `\\)` for the character".into());
        }
        Ok(Self {
            root,
            classes: parser.classes,
            names: parser.names,
            effort: parser.effort,
        })
    }
}

/// A parser at a place of a pattern.
pub(super) struct PatternParser<'p> {
    pub rest: &'p str,
    /// Those that hold from here to the end of the group.
    pub options: Options,
    depth: usize,
    classes: Vec<Class>,
    names: Vec<Option<String>>,
    effort: usize,
}

impl PatternParser<'_> {
    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut rest = self.rest.chars();
        let next = rest.next();
        self.rest = rest.as_str();
        next
    }

    /// Whether a text comes next, which is then behind.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads alternatives.
    fn either(&mut self) -> Result<Node, String> {
        let mut ways = vec![self.sequence()?];
        while self.eat("|") {
            ways.push(self.sequence()?);
        }
        Ok(if ways.len() == 1 {
            ways.swap_remove(0)
        } else {
            Node::Either(ways)
        })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut nodes = Vec::new();
        loop {
            self.skip()?;
            if matches!(self.peek(), None | Some('|' | ')')) {
                break;
            }
            if let Some(node) = self.atom()? {
                nodes.push(self.repeated(node)?);
            }
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.swap_remove(0),
            _ => Node::Concat(nodes),
        })
    }

    /// Skips comments, and white space where it counts for nothing.
    fn skip(&mut self) -> Result<(), String> {
        loop {
            let ignored = self.options.ignore_whitespace;
            if self.eat("(?#") {
                while !self.eat(")") {
                    self.eat("\\");
                    self.next().ok_or("a comment is not closed")?;
                }
            } else if ignored && self.eat("#") {
                while !matches!(self.next(), None | Some('\n')) {}
            } else if !(ignored && [" ", "\t", "\n", "\r", "\x0c"].iter().any(|c| self.eat(c))) {
                return Ok(());
            }
        }
    }

    /// A node with the quantifiers behind it.
    fn repeated(&mut self, mut node: Node) -> Result<Node, String> {
        for _ in 0..=QUANTIFIERS_MAX {
            self.skip()?;
            let Some((min, max)) = self.times()? else {
                return Ok(node);
            };
            let greedy = !self.eat("?");
            if greedy && self.eat("+") {
                return Err("possessive quantifiers (`a++`) are not supported".into());
            }
            if matches!(node, Node::Look(_)) {
                return Err("what is repeated matches no characters".into());
            }
            node = repeat(node, min, max, greedy);
        }
        Err("too many quantifiers stand behind one another".into())
    }

    /// Reads how often what is before is repeated, if that stands here.
    fn times(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let times = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.interval(),
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(times))
    }

    /// Reads `{2}`, `{2,}` or `{2,3}`; any other brace is a character.
    fn interval(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let Some((inside, rest)) = self.rest[1..].split_once('}') else {
            return Ok(None);
        };
        let (min, max) = inside.split_once(',').unwrap_or((inside, inside));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if min.is_empty() || !is_number(min) || !is_number(max) {
            return Ok(None);
        }
        let number = |text: &str| {
            let number = text.parse().ok().filter(|number| *number <= TIMES_MAX);
            number.ok_or(format!("more than {TIMES_MAX} repetitions"))
        };
        let min = number(min)?;
        let max = Some(max).filter(|max| !max.is_empty());
        let max = max.map(number).transpose()?;
        if max.is_some_and(|max| max < min) {
            return Err("a quantifier ends below where it begins".into());
        }
        self.rest = rest;
        Ok(Some((min, max)))
    }

    /// Reads a character, a class, an anchor or a group; nothing for flags.
    fn atom(&mut self) -> Result<Option<Node>, String> {
        if self.times()?.is_some() {
            return Err("a quantifier has nothing before it".into());
        }
        Ok(Some(match self.next() {
            Some('.') if self.options.dot_takes_line_ends => self.class(Class::any()),
            Some('.') => self.class(Class::any_but_line_end()),
            Some('^') if self.options.lines => Node::Look(Look::LineStart),
            Some('^') => Node::Look(Look::Start),
            Some('$') if self.options.lines => Node::Look(Look::LineEnd),
            Some('$') => Node::Look(Look::LastLineEnd),
            Some('[') => {
                let class = self.bracket()?;
                self.class(class)
            }
            Some('(') => return self.group(),
            Some('\\') => self.escape()?,
            Some(char) => self.literal(char),
            None => Node::Empty,
        }))
    }

    /// Burns what classes take, before they take it.
    pub(super) fn pay(&mut self, effort: usize) {
        pay(self.effort, self.effort + effort);
        self.effort += effort;
    }

    pub(super) fn class(&mut self, class: Class) -> Node {
        self.pay(class.runs().len() / 8);
        self.classes.push(class);
        Node::Class(self.classes.len() - 1)
    }

    /// A class with the other cases of its characters, where they do not matter.
    pub(super) fn with_cases(&mut self, class: Class) -> Class {
        if !self.options.ignore_case {
            return class;
        }
        self.pay(class.case_effort());
        class.without_case()
    }

    fn literal(&mut self, char: char) -> Node {
        if !self.options.ignore_case {
            return Node::Char(char);
        }
        let class = self.with_cases(Class::of([(char, char)]));
        if class.is_one() {
            return Node::Char(char);
        }
        self.class(class)
    }

    /// Reads what stands behind a backslash.
    fn escape(&mut self) -> Result<Node, String> {
        let letter = self.next().ok_or("the pattern ends in a backslash")?;
        if let Some(class) = Class::of_letter_alone(letter) {
            return Ok(self.class(class));
        }
        let look = match letter {
            'A' => Look::Start,
            'Z' => Look::LastLineEnd,
            'z' => Look::End,
            'b' => Look::Word,
            'B' => Look::NotWord,
            'N' => return Ok(self.class(Class::any_but_line_end())),
            'O' => return Ok(self.class(Class::any())),
            '1'..='9' => return Err("back-references are not supported".into()),
            'k' | 'g' if matches!(self.peek(), Some('<' | '\'')) => {
                return Err("references to groups are not supported".into());
            }
            'G' | 'K' | 'Q' | 'R' | 'X' | 'Y' | 'c' | 'p' | 'P' | 'y' => {
                return Err(format!("`\\{letter}` is not supported"));
            }
            letter => {
                let char = self.escaped(letter, "0")?;
                return Ok(self.literal(char));
            }
        };
        Ok(Node::Look(look))
    }

    /// The character that a letter behind a backslash stands for, with the digits behind it; which
    /// digits begin one in base 8 is told.
    pub(super) fn escaped(&mut self, letter: char, octal: &str) -> Result<char, String> {
        Ok(match letter {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'f' => '\x0c',
            'a' => '\x07',
            'e' => '\x1b',
            'x' | 'o' if self.eat("{") => {
                let radix = if letter == 'x' { 16 } else { 8 };
                let digits = self.rest.split_once('}');
                let (digits, rest) = digits.ok_or("a `{` behind a backslash is not closed")?;
                let code = u32::from_str_radix(digits, radix).ok();
                let code = code.filter(|_| !digits.starts_with('+'));
                self.rest = rest;
                code.and_then(char::from_u32)
                    .ok_or(format!("`\\{letter}{{{digits}}}` is no character"))?
            }
            'x' => byte(self.digits(2, 16), 16)?,
            _ if octal.contains(letter) => {
                let mut digits = String::from(letter);
                digits.push_str(self.digits(2, 8));
                byte(&digits, 8)?
            }
            other => other,
        })
    }

    /// Reads so many digits at most.
    fn digits(&mut self, length: usize, radix: u32) -> &str {
        let is_digit = |char: &char| char.is_digit(radix);
        let length = self.rest.chars().take(length).take_while(is_digit).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        digits
    }

    /// Reads what stands behind an opening parenthesis.
    fn group(&mut self) -> Result<Option<Node>, String> {
        let outer = self.options;
        let mut index = None;
        if self.eat("?<=") || self.eat("?<!") || self.eat("?=") || self.eat("?!") {
            return Err("look-around is not supported".into());
        } else if self.eat("?<") {
            index = Some(self.named('>')?);
        } else if self.eat("?'") {
            index = Some(self.named('\'')?);
        } else if self.eat("?") {
            if self.flags()? {
                return Ok(None);
            }
        } else if self.rest.starts_with('*') {
            return Err("`(*…)` is not supported".into());
        } else {
            index = Some(self.name(None));
        }
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(format!("groups nest deeper than {NESTING_MAX}"));
        }
        let inner = self.either()?;
        if !self.eat(")") {
            return Err("a `(` is not closed; write `\\(` for the character".into());
        }
        self.depth -= 1;
        self.options = outer;
        Ok(Some(match index {
            Some(index) => Node::Group(index, Box::new(inner)),
            None => inner,
        }))
    }

    fn name(&mut self, name: Option<String>) -> usize {
        self.names.push(name);
        self.names.len() - 1
    }

    /// Reads the name of a group.
    fn named(&mut self, end: char) -> Result<usize, String> {
        let (name, rest) = self.rest.split_once(end).ok_or("a name is not closed")?;
        let is_word = |char: char| char.is_alphanumeric() || char == '_';
        if !name.chars().all(is_word) || name.is_empty() || name.starts_with(char::is_numeric) {
            return Err(format!("`{name}` cannot name a group"));
        }
        if self.names.iter().flatten().any(|other| other == name) {
            return Err(format!("two groups are named `{name}`"));
        }
        self.rest = rest;
        Ok(self.name(Some(name.into())))
    }

    /// Sets flags; says whether they hold to the end of the group that they stand in, rather than
    /// being those of one of their own.
    fn flags(&mut self) -> Result<bool, String> {
        let mut on = true;
        loop {
            match self.next() {
                Some('-') => on = false,
                Some('i') => self.options.ignore_case = on,
                Some('x') => self.options.ignore_whitespace = on,
                Some('s') => self.options.dot_takes_line_ends = on,
                Some('m') => self.options.lines = on,
                Some(':') => return Ok(false),
                Some(')') => return Ok(true),
                Some('>') => return Err("atomic groups (`(?>…)`) are not supported".into()),
                Some(other) => return Err(format!("`(?…{other}` is not supported")),
                None => return Err("a `(` is not closed".into()),
            }
        }
    }
}

/// A character of ASCII by its digits; none are a NUL.
fn byte(digits: &str, radix: u32) -> Result<char, String> {
    let code = u32::from_str_radix(digits, radix).unwrap_or(0);
    let char = char::from_u32(code).filter(char::is_ascii);
    char.ok_or("a byte beyond ASCII: write the character itself, or `\\x{…}`".into())
}
