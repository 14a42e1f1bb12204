//! Fields and columns of a stream that have lately lost each other, as a sample of its records shows while objects
//! still fill. What is counted of them (`fields`) is exact, and comes when an object is made.
//!
//! It is bounded as the counts are: in paths, and in characters of a path. A path stays when it is over, and no other
//! one gets its place: each is a series of a metric, and a series lasts as long as the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fields::{OTHER, PATHS_MAX, shown};

/// What is so of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriftKind {
    /// Records have a field there that no column takes.
    Unknown,
    /// A column that had values gets none any more.
    Missing,
}

impl DriftKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Unknown, Self::Missing];

    /// One word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Missing => "missing",
        }
    }
}

/// A path of which something is or was so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDrift {
    /// What.
    pub kind: DriftKind,
    /// The path, the same for all items of an array and all keys of a map: `lines[].price`. Printable.
    pub path: String,
    /// Whether it still is.
    pub lasts: bool,
}

/// The paths of one delivery stream of which something was so since the process began, and how many of its pipelines
/// find it so now.
#[derive(Debug, Default)]
pub struct FieldDrifts(Mutex<BTreeMap<(DriftKind, String), usize>>);

impl FieldDrifts {
    /// A pipeline finds that it is so; says whether it is the first one that does.
    pub fn begin(&self, kind: DriftKind, path: &str) -> bool {
        let mut known = self.lock();
        let key = (kind, shown(path));
        let of_kind = || known.keys().filter(|(of, _)| *of == kind).count();
        let key = if known.contains_key(&key) || of_kind() < PATHS_MAX {
            key
        } else {
            (kind, OTHER.to_owned())
        };
        let pipelines = known.entry(key).or_default();
        *pipelines += 1;
        *pipelines == 1
    }

    /// What it has found is so no more, or the pipeline ends.
    pub fn end(&self, kind: DriftKind, path: &str) {
        let mut known = self.lock();
        let own = (kind, shown(path));
        // No path is ever taken out: one that has no place of its own now had none when it began.
        let key = if known.contains_key(&own) {
            own
        } else {
            (kind, OTHER.to_owned())
        };
        if let Some(pipelines) = known.get_mut(&key) {
            *pipelines = pipelines.saturating_sub(1);
        }
    }

    /// All that is known, by kind and path.
    pub fn known(&self) -> Vec<FieldDrift> {
        let known = self.lock();
        let drifts = known.iter().map(|((kind, path), pipelines)| FieldDrift {
            kind: *kind,
            path: path.clone(),
            lasts: *pipelines > 0,
        });
        drifts.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(DriftKind, String), usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_while_one_pipeline_finds_it_so() {
        let drifts = FieldDrifts::default();
        let (unknown, missing) = (DriftKind::Unknown, DriftKind::Missing);
        assert!(drifts.begin(unknown, "a"));
        assert!(!drifts.begin(unknown, "a"), "one has told of it");
        assert!(drifts.begin(missing, "a"));
        drifts.end(unknown, "a");
        drifts.end(missing, "a");
        let known: Vec<_> = drifts.known();
        let known: Vec<_> = known
            .iter()
            .map(|known| (known.kind, known.path.as_str(), known.lasts))
            .collect();
        assert_eq!(known, [(unknown, "a", true), (missing, "a", false)]);
    }

    #[test]
    fn whatever_paths_there_are_what_is_kept_is_bounded_and_comes_to_an_end() {
        let drifts = FieldDrifts::default();
        let path = |number: u32| format!("{number}\u{1b}[2J{}", "ä".repeat(1000));
        for number in 0..1000 {
            drifts.begin(DriftKind::Unknown, &path(number));
        }
        let known = drifts.known();
        assert_eq!(known.len(), PATHS_MAX + 1);
        assert!(known.iter().all(|known| known.lasts));
        assert!(known.iter().any(|known| known.path == OTHER));
        for FieldDrift { path, .. } in &known {
            assert!(!path.contains(char::is_control), "{path:?}");
        }
        for number in 0..1000 {
            drifts.end(DriftKind::Unknown, &path(number));
        }
        assert!(drifts.known().iter().all(|known| !known.lasts));
    }
}
