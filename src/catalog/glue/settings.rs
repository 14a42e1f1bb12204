//! `type = "glue"` in `[stream.X.catalog]`.

use std::sync::Arc;

use super::Glue;
use crate::catalog::port::{self, Catalog};
use crate::config::{
    AwsAccess, CatalogKind, CatalogSettings, CatalogSpec, CatalogTable, StoreSpec,
};

/// What stands in the list of catalogs.
#[derive(Debug)]
pub(in crate::catalog) struct GlueKind;

/// The keys of the table; those of [`access::KEYS`](crate::config::access::KEYS) say how Glue is reached.
const KEYS: &[&str] = &[
    "table",
    "catalog_id",
    "create",
    "update",
    "region",
    "endpoint",
    "profile",
    "access_key_id",
    "secret_access_key",
    "secret_access_key_file",
];

/// A table in Glue, and how that is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GlueSettings {
    pub(super) database: String,
    pub(super) table: String,
    /// The account whose catalog it is, where it is not that of the credentials.
    pub(super) catalog_id: Option<String>,
    pub(super) create: bool,
    /// Whether its columns are brought up to those of the stream, where the config says so or not.
    pub(super) update: Option<bool>,
    pub(super) access: AwsAccess,
}

impl CatalogKind for GlueKind {
    fn word(&self) -> &'static str {
        "glue"
    }

    fn keys(&self) -> &'static [&'static str] {
        KEYS
    }

    fn read(&self, table: &mut CatalogTable<'_, '_>) -> Option<CatalogSettings> {
        table.require("table", "write table = \"DATABASE.TABLE\"");
        let place = table.place_of("table");
        let named = table.text("table");
        let named = named.and_then(|name| {
            let parts = name.split_once('.');
            let parts = parts.filter(|(database, table)| {
                !database.is_empty() && !table.is_empty() && !table.contains('.')
            });
            if parts.is_none() {
                let message = format!("\"{name}\" does not name a table of a database");
                let help = "write table = \"DATABASE.TABLE\", as Glue has them";
                table.fault(place, message, Some(help));
            }
            // Glue has all names in small letters, and finds no other.
            parts.map(|(database, table)| (database.to_lowercase(), table.to_lowercase()))
        });
        let has_id = table.has("catalog_id");
        let catalog_id = table.text("catalog_id");
        let has_create = table.has("create");
        let create = table.boolean("create");
        let has_update = table.has("update");
        let update = table.boolean("update");
        let access = table.access();
        let (database, name) = named?;
        let is_unread = has_create && create.is_none() || has_update && update.is_none();
        if has_id && catalog_id.is_none() || is_unread {
            return None;
        }
        let settings = GlueSettings {
            database,
            table: name,
            catalog_id,
            create: create.unwrap_or(false),
            update,
            access,
        };
        Some(settings.into())
    }
}

impl port::CatalogEntry for GlueKind {
    fn open(&self, settings: &CatalogSettings) -> Option<Arc<dyn Catalog>> {
        let settings = settings.get::<GlueSettings>()?;
        Some(Arc::new(Glue::of(settings.clone())))
    }
}

impl GlueSettings {
    /// Database and table, as the config has them.
    pub(super) fn table(&self) -> String {
        format!("{}.{}", self.database, self.table)
    }
}

impl CatalogSpec for GlueSettings {
    fn name(&self) -> String {
        format!("table {} in Glue", self.table())
    }

    fn creates(&self) -> bool {
        self.create
    }

    fn updates(&self) -> Option<bool> {
        self.update
    }

    fn refuses(&self, store: &dyn StoreSpec) -> Option<(String, &'static str)> {
        store.folder().map(|folder| {
            let message = format!(
                "{} is a folder of this machine, which has no place in Glue",
                folder.display()
            );
            (message, "remove this table, or deliver to a bucket")
        })
    }
}
