//! Compiles a pattern's tree to a program.

use super::super::meter::charge;
use super::class::{CharRange, Class};
use super::look::Look;
use super::syntax::{Node, Options, Tree};

/// How many steps and visits of nodes a pattern may become, its repetitions written out, and what
/// its classes take.
const EFFORT_MAX: usize = 1 << 18;
/// Bound on steps times slots of groups: what a search may have in memory.
const SLOTS_MAX: usize = 1 << 20;

/// The index of an instruction.
pub(super) type At = u32;

/// An instruction. One that goes on names the instruction behind it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Instruction {
    Char(char, At),
    Class(u32, At),
    /// Both ways, the first one rather.
    Split(At, At),
    Look(Look, At),
    /// Keeps the place in a slot: even numbers are starts of groups, odd ones their ends.
    Keep(usize, At),
    Match,
}

/// A compiled pattern.
pub(super) struct Program {
    pub steps: Vec<Instruction>,
    pub start: At,
    pub classes: Vec<Class>,
    pub names: Vec<Option<String>>,
    /// What compiling it took.
    pub effort: usize,
    /// Whether it matches at the start of a text only.
    pub anchored: bool,
    /// Whether a match has to be longer than nothing.
    pub not_empty: bool,
    /// Which bytes a match can begin with; none if it may be empty.
    pub first: Option<Box<[bool; 256]>>,
}

impl Program {
    pub(super) fn compile(pattern: &str, options: Options) -> Result<Self, String> {
        let tree = Tree::parse(pattern, options)?;
        let mut writer = ProgramWriter {
            steps: vec![Instruction::Match],
            effort: tree.effort,
        };
        let whole = writer.group(0, &tree.root, Ends::both(0));
        pay(tree.effort, writer.effort);
        let start = whole.ok_or("the pattern is too large")?.moved;
        if writer.steps.len() * 2 * tree.names.len() > SLOTS_MAX {
            return Err("the pattern has too many groups for its size".into());
        }
        let mut program = Self {
            steps: writer.steps,
            start,
            classes: tree.classes,
            names: tree.names,
            effort: writer.effort,
            anchored: false,
            not_empty: options.not_empty,
            first: None,
        };
        program.look_ahead();
        Ok(program)
    }

    /// Burns what compiling it burns.
    pub(super) fn pay(&self) {
        pay(0, self.effort);
    }

    /// Bytes of memory that it has, about.
    pub(super) fn size(&self) -> usize {
        let runs: usize = self.classes.iter().map(|class| class.runs().len()).sum();
        let names: usize = self.names.iter().flatten().map(String::len).sum();
        size_of_val(&*self.steps)
            + size_of_val(&*self.classes)
            + runs * size_of::<CharRange>()
            + size_of_val(&*self.names)
            + names
    }

    /// Finds out how a match can begin.
    fn look_ahead(&mut self) {
        let mut first = Some(Box::new([false; 256]));
        let mut anchored = true;
        let mut seen = vec![false; self.steps.len()];
        // Many steps may share a class.
        let mut marked = vec![false; self.classes.len()];
        // Steps, and whether a match that comes there can only be at the start.
        let mut open = vec![(self.start, false)];
        while let Some((at, bound)) = open.pop() {
            if std::mem::replace(&mut seen[at as usize], true) {
                // If it was bound when it was first seen, it no longer is.
                anchored &= bound;
                continue;
            }
            match self.steps[at as usize] {
                Instruction::Split(one, other) => open.extend([(one, bound), (other, bound)]),
                Instruction::Look(look, then) => open.push((then, bound || look == Look::Start)),
                Instruction::Keep(_, then) => open.push((then, bound)),
                Instruction::Char(char, _) => {
                    anchored &= bound;
                    if let Some(first) = &mut first {
                        first[usize::from(char.encode_utf8(&mut [0; 4]).as_bytes()[0])] = true;
                    }
                }
                Instruction::Class(class, _) => {
                    anchored &= bound;
                    let class = class as usize;
                    if let Some(first) = first.as_mut().filter(|_| !marked[class]) {
                        self.classes[class].first_bytes(first);
                        marked[class] = true;
                    }
                }
                Instruction::Match => {
                    anchored &= bound;
                    first = None;
                }
            }
        }
        self.first = first;
        self.anchored = anchored;
    }
}

/// Burns the fuel of an effort, of which some is paid: the same whatever was paid when.
pub(super) fn pay(paid: usize, effort: usize) {
    charge(effort / 2 - paid / 2);
}

/// Writes steps from the last to the first, so that each knows what is behind it. Nothing is
/// returned where the program would be too large.
struct ProgramWriter {
    steps: Vec<Instruction>,
    effort: usize,
}

/// Where a way goes on, or begins: whether it has taken a character in the repetition that it is in
/// is told apart, since one that takes none is the last, as in Oniguruma.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    empty: At,
    moved: At,
}

impl Ends {
    fn both(at: At) -> Self {
        let (empty, moved) = (at, at);
        Self { empty, moved }
    }

    fn differ(self) -> bool {
        self.empty != self.moved
    }
}

impl ProgramWriter {
    /// Counts what repetitions might do for ever.
    fn work(&mut self) -> Option<()> {
        self.effort += 1;
        (self.effort <= EFFORT_MAX).then_some(())
    }

    fn add(&mut self, step: Instruction) -> Option<At> {
        self.work()?;
        self.steps.push(step);
        At::try_from(self.steps.len() - 1).ok()
    }

    /// Adds a step that takes no character.
    fn add_to(&mut self, ends: Ends, step: impl Fn(At) -> Instruction) -> Option<Ends> {
        let moved = self.add(step(ends.moved))?;
        let empty = if ends.differ() {
            self.add(step(ends.empty))?
        } else {
            moved
        };
        Some(Ends { empty, moved })
    }

    fn split(&mut self, into: Ends, past: Ends, greedy: bool) -> Option<Ends> {
        let moved = self.add(split(into.moved, past.moved, greedy))?;
        let empty = if into.differ() || past.differ() {
            self.add(split(into.empty, past.empty, greedy))?
        } else {
            moved
        };
        Some(Ends { empty, moved })
    }

    /// The steps at which a node begins, if others are behind it.
    fn node(&mut self, node: &Node, then: Ends) -> Option<Ends> {
        self.work()?;
        match node {
            Node::Empty => Some(then),
            Node::Char(char) => self
                .add(Instruction::Char(*char, then.moved))
                .map(Ends::both),
            Node::Class(class) => {
                let class = u32::try_from(*class).ok()?;
                self.add(Instruction::Class(class, then.moved))
                    .map(Ends::both)
            }
            Node::Look(look) => self.add_to(then, |then| Instruction::Look(*look, then)),
            Node::Group(index, inner) => self.group(*index, inner, then),
            Node::Concat(nodes) => {
                let mut nodes = nodes.iter().rev();
                nodes.try_fold(then, |then, node| self.node(node, then))
            }
            Node::Either(nodes) => {
                let (last, others) = nodes.split_last()?;
                let last = self.node(last, then)?;
                let mut others = others.iter().rev();
                others.try_fold(last, |after, node| {
                    let start = self.node(node, then)?;
                    self.split(start, after, true)
                })
            }
            Node::Repeat {
                what,
                min,
                max,
                greedy,
            } => {
                let (start, left) = match max {
                    Some(max) => (self.up_to(what, max - min, *greedy, then)?, *min),
                    None => self.any_number(what, *min, *greedy, then)?,
                };
                (0..left).try_fold(start, |then, _| self.node(what, then))
            }
        }
    }

    fn group(&mut self, index: usize, inner: &Node, then: Ends) -> Option<Ends> {
        let end = self.add_to(then, |then| Instruction::Keep(2 * index + 1, then))?;
        let start = self.node(inner, end)?;
        self.add_to(start, |start| Instruction::Keep(2 * index, start))
    }

    fn up_to(&mut self, what: &Node, count: u32, greedy: bool, then: Ends) -> Option<Ends> {
        (0..count).try_fold(then, |next, _| {
            let start = self.node(what, next)?;
            self.split(start, then, greedy)
        })
    }

    /// So many or more; and how often it must stand before.
    fn any_number(
        &mut self,
        what: &Node,
        min: u32,
        greedy: bool,
        then: Ends,
    ) -> Option<(Ends, u32)> {
        let again = self.add(Instruction::Match)?;
        let mut once = |past: At| {
            let ends = Ends {
                empty: past,
                moved: again,
            };
            // A repetition begins without a character of its own.
            Some(self.node(what, ends)?.empty)
        };
        let moved = once(then.moved)?;
        let empty = if then.differ() {
            once(then.empty)?
        } else {
            moved
        };
        self.steps[again as usize] = split(moved, then.moved, greedy);
        let start = Ends { empty, moved };
        match min.checked_sub(1) {
            Some(left) => Some((start, left)),
            None if then.differ() => {
                let empty = self.add(split(empty, then.empty, greedy))?;
                let moved = again;
                Some((Ends { empty, moved }, 0))
            }
            None => Some((Ends::both(again), 0)),
        }
    }
}

fn split(into: At, past: At, greedy: bool) -> Instruction {
    if greedy {
        Instruction::Split(into, past)
    } else {
        Instruction::Split(past, into)
    }
}
