//! Which field a member's name means.

use std::collections::HashMap;

use super::schema::Field;
use crate::config::NameRules;

/// The names of a struct's fields, found by the rules of the settings: without regard to ASCII case, where nothing else is
/// said.
///
/// Records of one stream look alike: a guess (the field that followed the previous one last time,
/// in the spelling it had then) is nearly always right and costs one comparison.
#[derive(Debug)]
pub(super) struct FieldNames {
    declared: Vec<Box<str>>,
    /// The names of their members, where these have other ones.
    keys: Vec<Box<str>>,
    case_sensitive: bool,
    dots_to_underscores: bool,
    by_name: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
    /// How each field was spelled last, in its quotes and with the colon right after it: where the name is the same
    /// inside and outside of quotes.
    spellings: Vec<Option<Box<[u8]>>>,
    /// Which field came last time after each field (shifted by one: the first entry is the start).
    followers: Vec<usize>,
    lower: Vec<u8>,
}

impl FieldNames {
    pub(super) fn new(fields: &[Field], rules: &NameRules) -> Self {
        let names = fields.iter().map(|field| field.name.as_str());
        let keys: Vec<Box<str>> = names
            .clone()
            .map(|name| rules.json_key(name).into())
            .collect();
        let found_as = |key: &str| {
            let found_as = if rules.case_sensitive {
                key.to_owned()
            } else {
                key.to_ascii_lowercase()
            };
            found_as.into_bytes().into_boxed_slice()
        };
        Self {
            declared: names.map(Into::into).collect(),
            case_sensitive: rules.case_sensitive,
            dots_to_underscores: rules.dots_to_underscores,
            by_name: (0..)
                .zip(&keys)
                .map(|(at, key)| (found_as(key), at))
                .collect(),
            spellings: keys.iter().map(|key| spelling(key.as_bytes())).collect(),
            followers: (0..=keys.len())
                .map(|index| index % keys.len().max(1))
                .collect(),
            keys,
            lower: Vec::new(),
        }
    }

    /// The name as declared.
    pub(super) fn declared(&self, index: usize) -> &str {
        &self.declared[index]
    }

    /// The name of its member.
    pub(super) fn key(&self, index: usize) -> &str {
        &self.keys[index]
    }

    /// The field that is likely next after `previous` in the same object, and how it was spelled, with quotes and
    /// colon.
    #[inline]
    pub(super) fn guess(&self, previous: Option<usize>) -> Option<(usize, &[u8])> {
        let guess = self.followers[previous.map_or(0, |index| index + 1)];
        Some((guess, self.spellings[guess].as_deref()?))
    }

    /// The field that `key` means; `previous` is the field found before it in the same object.
    pub(super) fn find(&mut self, key: &[u8], previous: Option<usize>) -> Option<usize> {
        let found = match self.by_name.get(key) {
            Some(&index) => index,
            None => self.find_folded(key)?,
        };
        self.followers[previous.map_or(0, |index| index + 1)] = found;
        let spelled = self.spellings[found].as_deref();
        if spelled.and_then(|spelled| spelled.get(1..spelled.len() - 2)) != Some(key) {
            self.spellings[found] = spelling(key);
        }
        Some(found)
    }

    /// The same of a name that is not spelled as it would be found.
    fn find_folded(&mut self, key: &[u8]) -> Option<usize> {
        let has_dots = self.dots_to_underscores && key.contains(&b'.');
        if self.case_sensitive && !has_dots {
            return None;
        }
        self.lower.clear();
        self.lower.extend_from_slice(key);
        if !self.case_sensitive {
            self.lower.make_ascii_lowercase();
            if let Some(&index) = self.by_name.get(self.lower.as_slice()) {
                return Some(index);
            }
        }
        if !has_dots {
            return None;
        }
        let dots = self.lower.iter_mut().filter(|byte| **byte == b'.');
        dots.for_each(|byte| *byte = b'_');
        self.by_name.get(self.lower.as_slice()).copied()
    }
}

fn spelling(key: &[u8]) -> Option<Box<[u8]>> {
    let plain = key
        .iter()
        .all(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    plain.then(|| [b"\"", key, b"\":"].concat().into())
}
