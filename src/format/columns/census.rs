//! Which members of records no field takes, which fields they lack, which columns became null, and which took a value of
//! another kind: counted as records, each of which counts once for a path, whether it becomes a row or fails further on.
//!
//! It costs a comparison or two where one of these is so, and nothing where none is.

use std::collections::HashMap;
use std::mem;

use super::builder::{Cells, ColumnBuilder, StructBuilder};
use crate::telemetry::fields::PATHS_MAX;
use crate::telemetry::{FieldFate, FieldTally};

/// Bytes of a name that is told apart.
const NAME_MAX: usize = 200;

/// The record that is read, and how many names may still be told apart.
#[derive(Debug)]
pub(super) struct Census {
    /// Counts records; the first is 1.
    record: u64,
    names_left: usize,
}

impl Default for Census {
    fn default() -> Self {
        Self {
            record: 0,
            names_left: PATHS_MAX,
        }
    }
}

impl Census {
    /// All names are forgotten, and as many may be told apart as before any.
    pub(super) fn forget(&mut self) {
        self.names_left = PATHS_MAX;
    }

    /// Another record begins.
    pub(super) fn begin(&mut self) {
        self.record += 1;
    }
}

/// Records of which something is so.
#[derive(Debug, Default)]
pub(super) struct RecordCount {
    records: u64,
    /// The last of them.
    last: u64,
}

impl RecordCount {
    /// It is so of the record that is read.
    #[inline]
    pub(super) fn note(&mut self, census: &Census) {
        self.records += u64::from(self.last != census.record);
        self.last = census.record;
    }

    /// How many since this was asked last.
    fn take(&mut self) -> u64 {
        mem::take(&mut self.records)
    }
}

/// Members of an object that no field takes, by name.
///
/// Records look alike: a guess (the name that came after this one last time) is nearly always right.
#[derive(Debug, Default)]
pub(super) struct UnknownNames {
    known: Vec<UnknownName>,
    by_name: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
    /// The one that came last.
    last: usize,
    others: RecordCount,
}

#[derive(Debug)]
struct UnknownName {
    name: Box<[u8]>,
    seen: RecordCount,
    /// Which one came after it last time.
    follower: usize,
}

impl UnknownNames {
    /// Whether the name is the one that is likely next; then the record that is read has a member of it.
    #[inline]
    pub(super) fn is_next(&mut self, name: &[u8], census: &Census) -> bool {
        let guess = self.known.get(self.last).map_or(0, |last| last.follower);
        let Some(known) = self.known.get_mut(guess) else {
            return false;
        };
        let is_it = *known.name == *name;
        if is_it {
            known.seen.note(census);
            self.last = guess;
        }
        is_it
    }

    /// The record that is read has a member of this name, which was not the next one.
    pub(super) fn note(&mut self, name: &[u8], census: &mut Census) {
        match self.find(name, census) {
            Some(index) => {
                self.known[index].seen.note(census);
                self.last = index;
            }
            None => self.others.note(census),
        }
    }

    /// Where a name stands that was not the next one; a new one takes a place if there is one left.
    fn find(&mut self, name: &[u8], census: &mut Census) -> Option<usize> {
        let found = self.by_name.get(name).copied();
        let index = match found {
            Some(index) => index,
            None if census.names_left > 0 && name.len() <= NAME_MAX => {
                census.names_left -= 1;
                let index = self.known.len();
                self.by_name.insert(name.into(), index);
                self.known.push(UnknownName {
                    name: name.into(),
                    seen: RecordCount::default(),
                    follower: 0,
                });
                index
            }
            None => return None,
        };
        self.known[self.last].follower = index;
        Some(index)
    }
}

impl StructBuilder {
    /// Moves the counts into `tally`, and forgets the names: odd ones would else keep out those that come later for good.
    /// `path` leads here, and is left as it was.
    pub(super) fn tally(&mut self, path: &mut String, tally: &mut FieldTally) {
        let start = path.len();
        let point = if start == 0 { "" } else { "." };
        let UnknownNames {
            known, mut others, ..
        } = mem::take(&mut self.unknown);
        for UnknownName { name, mut seen, .. } in known {
            path.push_str(point);
            path.push_str(&String::from_utf8_lossy(&name));
            tally.add(FieldFate::Unknown, Some(path), seen.take());
            path.truncate(start);
        }
        tally.add(FieldFate::Unknown, None, others.take());
        path.push_str("[]");
        tally.add(FieldFate::Unknown, Some(path), self.surplus.take());
        path.truncate(start);
        for (index, column) in self.columns.iter_mut().enumerate() {
            path.push_str(point);
            path.push_str(self.names.declared(index));
            tally.add(FieldFate::Missing, Some(path), column.missing.take());
            tally.add(FieldFate::Nulled, Some(path), column.nulled.take());
            column.tally(path, tally);
            path.truncate(start);
        }
    }
}

impl ColumnBuilder {
    /// The same for values of a column, and what is inside of it.
    fn tally(&mut self, path: &mut String, tally: &mut FieldTally) {
        let start = path.len();
        tally.add(FieldFate::Coerced, Some(path), self.coerced.take());
        match &mut self.cells {
            Cells::Struct(group) => group.tally(path, tally),
            Cells::List { item, .. } => {
                path.push_str("[]");
                item.tally(path, tally);
            }
            Cells::Map { value, .. } => {
                path.push_str("[]");
                value.tally(path, tally);
            }
            _ => {}
        }
        path.truncate(start);
    }
}
