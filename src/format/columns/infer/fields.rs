//! The members of objects at one place, in the order of first sight.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::seen::SeenValues;

/// Names, and what was seen under each. Names that differ in ASCII case are one, as they are in columns.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Member>", into = "Vec<Member>")]
pub(super) struct Members {
    list: Vec<Member>,
    /// Where in the list a name is, in small letters.
    by_name: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
}

/// A name as it was first spelled, and what was seen under it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) seen: SeenValues,
}

impl Members {
    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.list.iter()
    }

    /// Where a name is.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let found = self.by_name.get(name);
        let found = found.or_else(|| self.by_name.get(&*name.to_ascii_lowercase()));
        found.copied()
    }

    /// What was seen under the name with that number.
    pub(super) fn at(&mut self, index: usize) -> &mut SeenValues {
        &mut self.list[index].seen
    }

    /// Appends a name that is not there yet; its number.
    pub(super) fn push(&mut self, name: String, seen: SeenValues) -> usize {
        let index = self.list.len();
        let lower = name.to_ascii_lowercase().into_bytes().into_boxed_slice();
        self.by_name.insert(lower, index);
        self.list.push(Member { name, seen });
        index
    }
}

impl IntoIterator for Members {
    type Item = Member;
    type IntoIter = std::vec::IntoIter<Member>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl From<Vec<Member>> for Members {
    fn from(list: Vec<Member>) -> Self {
        let mut fields = Self::default();
        for Member { name, seen } in list {
            // No state that was stored by this code has a name twice.
            if fields.find(name.as_bytes()).is_none() {
                fields.push(name, seen);
            }
        }
        fields
    }
}

impl From<Members> for Vec<Member> {
    fn from(fields: Members) -> Self {
        fields.list
    }
}
