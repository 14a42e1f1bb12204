//! Whether a stream's source can be read.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Repeats;

/// What keeps a source from being read, by the part of it that is concerned: none, and it is well.
/// Written by the source, shown by the stream's status.
#[derive(Debug, Default)]
pub struct SourceHealth {
    parts: Mutex<BTreeMap<String, String>>,
    repeats: Repeats,
}

impl SourceHealth {
    /// What the log has been told lately of the source.
    pub const fn repeats(&self) -> &Repeats {
        &self.repeats
    }

    /// A part cannot be read, for this reason; it is tried again.
    pub fn trouble(&self, part: &str, cause: String) {
        self.lock().insert(part.to_owned(), cause);
    }

    /// A part can be read, or is no more.
    pub fn well(&self, part: &str) {
        self.lock().remove(part);
    }

    /// Forgets everything: the source is opened anew, or has ended.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Whether a part of it cannot be read.
    pub fn is_stalled(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Why the source is not read as it should be, in one sentence.
    pub fn stall(&self) -> Option<String> {
        let parts = self.lock();
        let (_, cause) = parts.first_key_value()?;
        Some(match parts.len() {
            1 => cause.clone(),
            more => format!("{cause} (and {} more)", more - 1),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::SourceHealth;

    #[test]
    fn a_source_is_well_when_all_its_parts_are() {
        let health = SourceHealth::default();
        assert_eq!(health.stall(), None);
        health.trouble("b", "b is gone".into());
        health.trouble("a", "a is slow".into());
        assert_eq!(health.stall().unwrap(), "a is slow (and 1 more)");
        health.well("a");
        assert_eq!(health.stall().unwrap(), "b is gone");
        health.well("b");
        assert_eq!(health.stall(), None);
    }
}
