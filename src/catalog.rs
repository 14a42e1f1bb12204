//! Catalogs: who is told in which places a table has its partitions, so that readers find what was published. Each is a
//! folder and a line, behind one port ([`Catalog`]). Nothing waits for a catalog: it is told after the objects are there.

#[cfg(test)]
pub mod fake;
mod glue;
mod places;
mod port;

use std::sync::Arc;

use crate::config::CatalogSettings;

pub use places::values;
pub use port::{
    Catalog, CatalogEntry, CatalogError, Comparison, Fate, Pending, Standing, StorageClasses,
    TableDraft, TableObjects, TableWish, Told,
};

/// The catalogs that there are, in the order in which messages name them.
pub const CATALOGS: &[&dyn CatalogEntry] = &[&glue::GlueKind];

/// The catalog that has these settings; nothing is asked of it yet. `None`: they are of none that is registered.
pub fn open(settings: &CatalogSettings) -> Option<Arc<dyn Catalog>> {
    #[cfg(test)]
    if let Some(fake) = fake::FakeCatalog::of(settings) {
        return Some(Arc::new(fake));
    }
    CATALOGS.iter().find_map(|kind| kind.open(settings))
}
