//! Which field a member's name means.

use std::collections::HashMap;

/// The names of a struct's fields, found without regard to ASCII case.
///
/// Records of one stream look alike: a guess (the field that followed the previous one last time,
/// in the spelling it had then) is nearly always right and costs one comparison.
#[derive(Debug)]
pub(super) struct FieldNames {
    declared: Vec<Box<str>>,
    by_name: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
    /// How each field was spelled last, where that is the same inside and outside of quotes.
    spellings: Vec<Option<Box<[u8]>>>,
    /// Which field came last time after each field (shifted by one: the first entry is the start).
    followers: Vec<usize>,
    lower: Vec<u8>,
}

impl FieldNames {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let declared: Vec<Box<str>> = names.map(Into::into).collect();
        let lower = |name: &str| name.to_ascii_lowercase().into_bytes().into_boxed_slice();
        Self {
            by_name: declared
                .iter()
                .enumerate()
                .map(|(index, name)| (lower(name), index))
                .collect(),
            spellings: declared
                .iter()
                .map(|name| spelling(name.as_bytes()))
                .collect(),
            followers: (0..=declared.len())
                .map(|index| index % declared.len().max(1))
                .collect(),
            declared,
            lower: Vec::new(),
        }
    }

    /// The name as declared.
    pub(super) fn declared(&self, index: usize) -> &str {
        &self.declared[index]
    }

    /// The field that is likely next after `previous` in the same object, and how it was spelled.
    #[inline]
    pub(super) fn guess(&self, previous: Option<usize>) -> Option<(usize, &[u8])> {
        let guess = self.followers[previous.map_or(0, |index| index + 1)];
        Some((guess, self.spellings[guess].as_deref()?))
    }

    /// The field that `key` means; `previous` is the field found before it in the same object.
    pub(super) fn find(&mut self, key: &[u8], previous: Option<usize>) -> Option<usize> {
        let found = if let Some(&index) = self.by_name.get(key) {
            index
        } else {
            self.lower.clear();
            self.lower.extend(key.iter().map(u8::to_ascii_lowercase));
            *self.by_name.get(self.lower.as_slice())?
        };
        self.followers[previous.map_or(0, |index| index + 1)] = found;
        if self.spellings[found].as_deref() != Some(key) {
            self.spellings[found] = spelling(key);
        }
        Some(found)
    }
}

fn spelling(key: &[u8]) -> Option<Box<[u8]>> {
    let plain = key
        .iter()
        .all(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    plain.then(|| key.into())
}
