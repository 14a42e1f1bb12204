//! Columns that are those of a table of the Glue Data Catalog, as the config says it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::format::FormatTable;
use super::super::written::access;
use super::glue::{GlueTable, REFRESH};

const REFRESH_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
const VERSION_BOUNDS: RangeInclusive<u64> = 0..=1 << 53;
/// The word for the version that a table has just now.
const LATEST: &str = "latest";
/// Bytes of a name of Glue's.
const NAME_MAX: usize = 255;

/// The keys that say more of the table than which it is.
const MORE: &[&str] = &[
    "glue_version",
    "glue_refresh",
    "glue_catalog_id",
    "glue_region",
    "glue_endpoint",
    "glue_profile",
];

/// What `glue_version` says.
enum Version {
    Latest,
    Number(u64),
}

impl FormatTable<'_, '_> {
    /// `glue_table` and what belongs to it.
    pub(super) fn glue_table(&mut self) -> Option<GlueTable> {
        let table = self.table_name();
        if !self.has("glue_table") {
            self.only_with(MORE, "`glue_table`");
            return None;
        }
        let version = self.version();
        let refresh = match &version {
            Some(Version::Number(_)) => {
                // A version never changes: it is read once.
                self.only_with(&["glue_refresh"], "`glue_version = \"latest\"`");
                Some(REFRESH)
            }
            _ => self.refresh(),
        };
        let catalog_id = self.name_text("glue_catalog_id", NAME_MAX);
        let region = self.name_text("glue_region", NAME_MAX);
        let endpoint = access::endpoint(self, "glue_endpoint");
        let profile = self.name_text("glue_profile", NAME_MAX);
        let (database, name) = table?;
        let version = match version? {
            Version::Latest => None,
            Version::Number(number) => Some(number),
        };
        Some(GlueTable {
            database,
            name,
            version,
            refresh: refresh?,
            catalog_id,
            region,
            endpoint,
            profile,
        })
    }

    fn refresh(&mut self) -> Option<Duration> {
        let key = "glue_refresh";
        let is_there = self.has(key);
        let refresh = self.duration(key, REFRESH_BOUNDS);
        refresh
            .map(|refresh| refresh.value)
            .or((!is_there).then_some(REFRESH))
    }

    fn version(&mut self) -> Option<Version> {
        let key = "glue_version";
        if self.has(key) && !self.is_string(key) {
            let number = self.integer(key, VERSION_BOUNDS)?;
            return Some(Version::Number(number.value));
        }
        let Some(text) = self.string(key) else {
            // What cannot be expanded is reported.
            return (!self.has(key)).then_some(Version::Latest);
        };
        let number = text.value.parse().ok();
        match number.filter(|number| VERSION_BOUNDS.contains(number)) {
            Some(number) => Some(Version::Number(number)),
            None if text.value == LATEST => Some(Version::Latest),
            None => {
                let message = format!("\"{}\" is no version of a table", text.value);
                let help = "write \"latest\", or the number of a version";
                self.fault(text.origin.place(None), message, Some(help));
                None
            }
        }
    }

    fn table_name(&mut self) -> Option<(String, String)> {
        let key = "glue_table";
        let text = self.name_text(key, 2 * NAME_MAX + 1)?;
        let parts = text.split_once('.');
        let parts = parts.filter(|(database, name)| !database.is_empty() && !name.is_empty());
        if parts.is_none() {
            let message = format!("\"{text}\" does not name a table and its database");
            let help = "write both with a dot between them: glue_table = \"database.table\"";
            self.fault(self.place_of(key), message, Some(help));
        }
        parts.map(|(database, name)| (database.to_owned(), name.to_owned()))
    }
}
