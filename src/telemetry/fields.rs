//! Fields of records that do not find their columns, and columns that do not find their fields: how many records, by path.
//! A member that was renamed by whoever sends it shows here twice, under both names.
//!
//! It is bounded, whatever the records hold: the paths of a stream, and the characters of a path.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::printable::printable;

/// At most so many paths of each fate are told apart; records with further ones are counted together.
pub const PATHS_MAX: usize = 256;
/// Characters of a path.
const PATH_CHARS: usize = 200;
/// The path under which all further paths are counted together. A member of exactly this name is counted here, too.
pub(super) const OTHER: &str = "(other)";

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldFate {
    /// No column takes it.
    Unknown,
    /// It is not there, and its column is null for that.
    Missing,
    /// Its value does not fit, and its column is null for that.
    Nulled,
    /// Its value is of another kind than its column, which takes it all the same.
    Coerced,
}

impl FieldFate {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Missing, Self::Nulled, Self::Coerced];

    /// One word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Missing => "missing",
            Self::Nulled => "nulled",
            Self::Coerced => "coerced",
        }
    }
}

/// Records by what became of a field of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCount {
    /// What became of it.
    pub fate: FieldFate,
    /// Its path, the same for all items of an array and all keys of a map: `lines[].price`. Printable.
    pub path: String,
    /// How many records.
    pub records: u64,
}

/// What one piece of work has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldTally(Vec<FieldCount>);

impl FieldTally {
    /// Counts records; `None` stands for paths that are not told apart.
    pub fn add(&mut self, fate: FieldFate, path: Option<&str>, records: u64) {
        if records > 0 {
            let path = path.map_or_else(|| OTHER.to_owned(), shown);
            self.0.push(FieldCount {
                fate,
                path,
                records,
            });
        }
    }

    /// What has been counted.
    pub fn iter(&self) -> impl Iterator<Item = &FieldCount> {
        self.0.iter()
    }
}

/// A path as it is told: printable, and not too long.
pub(super) fn shown(path: &str) -> String {
    printable(path).chars().take(PATH_CHARS).collect()
}

/// The fields of one delivery stream since the process began.
#[derive(Debug, Default)]
pub struct FieldCounts(Mutex<BTreeMap<(FieldFate, String), u64>>);

impl FieldCounts {
    /// Adds what a piece of work has counted.
    pub fn add(&self, tally: FieldTally) {
        if tally.0.is_empty() {
            return;
        }
        let mut known = self.lock();
        for FieldCount {
            fate,
            path,
            records,
        } in tally.0
        {
            let key = (fate, path);
            let is_known = known.contains_key(&key);
            let of_fate = || known.keys().filter(|(of, _)| *of == fate).count();
            let key = if is_known || of_fate() < PATHS_MAX {
                key
            } else {
                (fate, OTHER.to_owned())
            };
            *known.entry(key).or_default() += records;
        }
    }

    /// All that is known, by fate and path.
    pub fn known(&self) -> Vec<FieldCount> {
        let known = self.lock();
        let counts = known.iter().map(|((fate, path), records)| FieldCount {
            fate: *fate,
            path: path.clone(),
            records: *records,
        });
        counts.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(FieldFate, String), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(counts: &[(FieldFate, &str, u64)]) -> FieldTally {
        let mut tally = FieldTally::default();
        for (fate, path, records) in counts {
            tally.add(*fate, Some(path), *records);
        }
        tally
    }

    #[test]
    fn records_add_up_by_fate_and_path() {
        let fields = FieldCounts::default();
        let (unknown, missing) = (FieldFate::Unknown, FieldFate::Missing);
        fields.add(tally(&[
            (unknown, "a", 2),
            (missing, "a", 3),
            (unknown, "b", 0),
        ]));
        fields.add(tally(&[(unknown, "a", 5)]));
        let known: Vec<_> = fields.known();
        let known: Vec<_> = known
            .iter()
            .map(|known| (known.fate, known.path.as_str(), known.records))
            .collect();
        assert_eq!(known, [(unknown, "a", 7), (missing, "a", 3)]);
    }

    #[test]
    fn whatever_records_hold_what_is_kept_is_bounded_printable_and_adds_up() {
        let fields = FieldCounts::default();
        for number in 0..1000 {
            let long = format!("{number}\u{1b}[2J{}", "ä".repeat(10_000));
            fields.add(tally(&[(FieldFate::Unknown, &long, 2)]));
            fields.add(tally(&[(FieldFate::Missing, "a", 1)]));
        }
        let mut known = fields.known();
        known.retain(|known| known.fate == FieldFate::Unknown);
        assert_eq!(known.len(), PATHS_MAX + 1);
        let records: u64 = known.iter().map(|known| known.records).sum();
        assert_eq!(records, 2000);
        for FieldCount { path, .. } in &known {
            assert!(path.chars().count() <= PATH_CHARS);
            assert!(!path.contains(char::is_control), "{path:?}");
        }
        assert!(known.iter().any(|known| known.path == OTHER));
        assert_eq!(fields.known().len(), PATHS_MAX + 2);
    }
}
