//! Which store the objects of each lane go to, by the names that checkpoints have for stores.

use super::Lane;
use crate::config::DestinationSettings;

/// The stores of a stream, by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStores {
    /// That of data.
    pub data: String,
    /// That of failed records.
    pub errors: String,
    /// That of source records as they came.
    pub backup: String,
}

impl LaneStores {
    /// Those that a config names.
    pub fn of(settings: &DestinationSettings) -> Self {
        Self {
            data: settings.store.name(),
            errors: settings.error_store().name(),
            backup: settings.backup_store().name(),
        }
    }

    /// The store of a lane.
    pub fn lane(&self, lane: Lane) -> &str {
        match lane {
            Lane::Data => &self.data,
            Lane::Error(_) => &self.errors,
            Lane::Backup => &self.backup,
        }
    }

    /// Each store once, that of data first.
    pub fn each(&self) -> Vec<&str> {
        let mut each: Vec<&str> = Vec::new();
        for store in [&self.data, &self.errors, &self.backup] {
            if !each.contains(&&**store) {
                each.push(store);
            }
        }
        each
    }

    /// Whether a store is one of them, for whichever lane.
    pub fn names(&self, store: &str) -> bool {
        self.each().contains(&store)
    }

    /// All of them, for people.
    pub fn told(&self) -> String {
        let mut each = self.each();
        let last = each.pop().unwrap_or_default();
        if each.is_empty() {
            last.to_owned()
        } else {
            format!("{} and {last}", each.join(", "))
        }
    }
}
