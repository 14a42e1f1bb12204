//! Whether a stream's source can be read.

#![expect(
    clippy::disallowed_methods,
    reason = "since when a source fails is told"
)]

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Repeats;

/// What keeps a source from being read, by the part of it that is concerned. While there is none,
/// it is well. Written by the source, shown by the stream's status.
#[derive(Debug, Default)]
pub struct SourceHealth {
    inner: Mutex<Concerns>,
    repeats: Repeats,
}

/// What is wrong, by the part of the source that it is wrong with.
#[derive(Debug, Default)]
struct Concerns {
    parts: BTreeMap<String, String>,
    /// Since when one is concerned.
    since: Option<Instant>,
}

impl SourceHealth {
    /// What the log has been told lately of the source.
    pub const fn repeats(&self) -> &Repeats {
        &self.repeats
    }

    /// A part cannot be read, for this reason; it is tried again.
    pub fn failing(&self, part: &str, cause: String) {
        let mut inner = self.lock();
        inner.parts.insert(part.to_owned(), cause);
        inner.since.get_or_insert_with(Instant::now);
    }

    /// A part can be read, or is no more.
    pub fn well(&self, part: &str) {
        let mut inner = self.lock();
        inner.parts.remove(part);
        if inner.parts.is_empty() {
            inner.since = None;
        }
    }

    /// Forgets everything: the source is opened anew, or has ended.
    pub fn clear(&self) {
        *self.lock() = Concerns::default();
    }

    /// How long some part could not be read by now; `None`: all can.
    pub fn stalled_for(&self) -> Option<Duration> {
        self.lock().since.map(|since| since.elapsed())
    }

    /// Why the source is not read as it should be, in one sentence.
    pub fn stall(&self) -> Option<String> {
        let parts = &self.lock().parts;
        let (_, cause) = parts.first_key_value()?;
        Some(match parts.len() {
            1 => cause.clone(),
            more => format!("{cause} (and {} more)", more - 1),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Concerns> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::SourceHealth;

    #[test]
    fn a_source_is_well_when_all_its_parts_are() {
        let health = SourceHealth::default();
        assert_eq!((health.stall(), health.stalled_for()), (None, None));
        health.failing("b", "b is gone".into());
        assert!(health.stalled_for().is_some());
        health.failing("a", "a is slow".into());
        assert_eq!(health.stall().unwrap(), "a is slow (and 1 more)");
        health.well("a");
        assert_eq!(health.stall().unwrap(), "b is gone");
        health.well("b");
        assert_eq!((health.stall(), health.stalled_for()), (None, None));
    }
}
