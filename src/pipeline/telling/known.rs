//! Places that the catalog is known to know, so that each is told once and not for every object.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Places of which it is remembered that the catalog knows them: at least the last so many, at most twice as many.
pub(super) const KNOWN_MAX: usize = 10_000;

/// What the pipelines of one stream and process know of this together: what one has told no other need tell. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct KnownPlaces(Arc<Mutex<Recent>>);

impl KnownPlaces {
    pub(super) fn add(&self, place: String) {
        self.change(|recent| recent.add(place));
    }

    /// Whether it is one; what is asked for stays for longer.
    pub(super) fn has(&self, place: &str) -> bool {
        self.change(|recent| recent.has(place))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Recent) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What was seen lately: a bounded number of places.
#[derive(Debug, Default)]
pub(super) struct Recent {
    pub(super) young: HashSet<String>,
    pub(super) old: HashSet<String>,
}

impl Recent {
    pub(super) fn add(&mut self, place: String) {
        if self.young.len() >= KNOWN_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(place);
    }

    pub(super) fn has(&mut self, place: &str) -> bool {
        if self.young.contains(place) {
            return true;
        }
        let found = self.old.take(place);
        let is_old = found.is_some();
        if let Some(place) = found {
            self.add(place);
        }
        is_old
    }
}
