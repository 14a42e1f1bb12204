//! What no column takes, as one JSON text: an object of the members that are left over.
//!
//! Left over inside of a column, they stand in an object under its name: `{"user":{"mail":"x"}}`. Of items of an array the
//! name is their index, of values of a map their key, so that every step of a path is a name. The text is built from the
//! inside out: what a value has left over is enclosed once the value has been read.

use std::borrow::Cow;
use std::collections::HashSet;

use firehose_json::RawString;

use super::builder::{Cells, ColumnBuilder};
use super::cursor;

/// The text of the row being read.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Members, a comma behind each.
    members: Vec<u8>,
}

impl Kept {
    /// Where the next member will stand.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Forgets what was kept since.
    pub(super) fn cut(&mut self, mark: usize) {
        self.members.truncate(mark);
    }

    /// Takes a member, whose value is valid JSON.
    pub(super) fn push(&mut self, name: RawString<'_>, value: &[u8]) {
        self.push_named(name.text, value);
    }

    /// The same of an item, whose index is its name.
    pub(super) fn push_item(&mut self, index: usize, value: &[u8]) {
        self.push_named(index.to_string().as_bytes(), value);
    }

    fn push_named(&mut self, name: &[u8], value: &[u8]) {
        self.members.push(b'"');
        self.members.extend_from_slice(name);
        self.members.extend_from_slice(b"\":");
        cursor::compact(value, &mut self.members);
        self.members.push(b',');
    }

    /// Encloses what was kept since `mark`, if anything was, under a name as it stands between quotes.
    pub(super) fn enclose(&mut self, mark: usize, name: &[u8]) {
        if self.members.len() == mark {
            return;
        }
        self.members.pop();
        self.members.extend_from_slice(b"},");
        let opening = [b"\"", name, b"\":{"].concat();
        self.members.splice(mark..mark, opening);
    }

    /// The same under a name that may have to be escaped.
    pub(super) fn enclose_named(&mut self, mark: usize, name: &str) {
        if self.members.len() > mark {
            let quoted = serde_json::Value::from(name).to_string();
            self.enclose(mark, &quoted.as_bytes()[1..quoted.len() - 1]);
        }
    }

    /// Appends the text of all that was kept, which is forgotten then.
    fn take(&mut self, out: &mut Vec<u8>) {
        self.members.pop();
        out.push(b'{');
        out.append(&mut self.members);
        out.push(b'}');
    }
}

impl ColumnBuilder {
    /// Takes what was kept of a row: a text where anything was, else a null.
    pub(super) fn take_kept(&mut self, kept: &mut Kept) {
        match &mut self.cells {
            Cells::Text { strings, .. } if kept.len() > 0 => {
                kept.take(&mut strings.bytes);
                strings.close();
                self.validity.append_non_null();
            }
            _ => self.push_null(),
        }
    }
}

/// The members that one object has left over: of those with one name the last counts, as everywhere.
#[derive(Debug, Default)]
pub(super) struct Leftover<'a> {
    /// Where each begins.
    members: Vec<(MemberName<'a>, usize)>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum MemberName<'a> {
    Unknown(Cow<'a, [u8]>),
    /// That of a field, which has left something over.
    Declared(usize),
}

impl<'a> MemberName<'a> {
    pub(super) fn of(name: RawString<'a>) -> Self {
        let mut decoded = Vec::new();
        // What cannot be decoded has failed before.
        Self::Unknown(if name.escaped && name.decode(&mut decoded).is_ok() {
            decoded.into()
        } else {
            name.text.into()
        })
    }
}

impl<'a> Leftover<'a> {
    /// A member begins at this place.
    pub(super) fn note(&mut self, name: MemberName<'a>, mark: usize) {
        self.members.push((name, mark));
    }

    /// Forgets all members but the last of each name, once the object has been read.
    pub(super) fn close(&self, kept: &mut Kept) {
        if self.members.len() < 2 {
            return;
        }
        let mut seen = HashSet::new();
        let mut end = kept.len();
        for (name, start) in self.members.iter().rev() {
            if !seen.insert(name) {
                kept.members.drain(*start..end);
            }
            end = *start;
        }
    }
}
