//! Regular expressions whose searches burn fuel for all that they look at.
//!
//! An engine of our own since one that is called whole cannot be stopped, nor asked how far it has
//! looked: a search may read to the end of the text for a match of one character, and the next one
//! again. Syntax and meaning are those of jq 1.6, to which the tests hold it.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::meter::charge;
use program::Program;
pub(super) use search::Searches;
pub(super) use syntax::Options;

mod bracket;
mod class;
mod look;
mod program;
mod repeat;
mod search;
mod syntax;

/// Patterns that each thread keeps compiled, the last used first.
const KEPT: usize = 16;
/// One that has more bytes is not kept, whatever it took to make it.
const KEPT_BYTES: usize = 1 << 18;

thread_local! {
    static COMPILED: RefCell<Vec<Rc<Pattern>>> = const { RefCell::new(Vec::new()) };
}

/// A compiled pattern.
pub(super) struct Pattern {
    text: String,
    options: Options,
    program: Program,
}

/// Where a match and its groups are.
pub(super) struct Match(Vec<usize>);

impl Pattern {
    /// Compiles a pattern, or finds it among those that are kept: that takes the same fuel, so that
    /// a record's outcome does not depend on those before it.
    pub(super) fn new(text: &str, options: Options) -> Result<Rc<Self>, String> {
        charge(200 + 16 * text.len());
        let kept = COMPILED.with_borrow_mut(|kept| {
            let same = |pattern: &Rc<Self>| pattern.text == text && pattern.options == options;
            let at = kept.iter().position(same)?;
            kept[..=at].rotate_right(1);
            kept.first().cloned()
        });
        if let Some(pattern) = kept {
            pattern.program.pay();
            return Ok(pattern);
        }
        let program = Program::compile(text, options)?;
        let pattern = Rc::new(Self {
            text: text.into(),
            options,
            program,
        });
        if text.len() + pattern.program.size() <= KEPT_BYTES {
            COMPILED.with_borrow_mut(|kept| {
                kept.truncate(KEPT - 1);
                kept.insert(0, Rc::clone(&pattern));
            });
        }
        Ok(pattern)
    }

    /// The name of each group, if it has one; the first is the whole match.
    pub(super) fn names(&self) -> impl Iterator<Item = Option<&str>> {
        self.program.names.iter().map(Option::as_deref)
    }

    /// Begins to search a text.
    pub(super) fn searches(&self, text: &str) -> Searches {
        Searches::new(&self.program, text)
    }

    /// The first match from a byte on, which is where a character begins.
    pub(super) fn find(&self, text: &str, from: usize, searches: &Searches) -> Option<Match> {
        let mut slots = vec![0; 2 * self.program.names.len()];
        let found = searches.search(&self.program, text, from, &mut slots);
        found.then_some(Match(slots))
    }

    pub(super) fn is_match(&self, text: &str, searches: &Searches) -> bool {
        searches.search(&self.program, text, 0, &mut [])
    }
}

impl Match {
    /// The bytes of the whole match.
    pub(super) fn whole(&self) -> Range<usize> {
        self.group(0).unwrap_or_default()
    }

    /// The bytes of a group, if it is part of the match.
    pub(super) fn group(&self, index: usize) -> Option<Range<usize>> {
        let start = *self.0.get(2 * index)?;
        let end = *self.0.get(2 * index + 1)?;
        (end != usize::MAX && start != usize::MAX).then_some(start..end)
    }
}

#[cfg(test)]
mod tests;
