//! What the config knows of catalogs: the reader of `[stream.X.catalog]` asks the catalog that its `type` names for the
//! rest, and what was read tells what others ask of a catalog before it is told anything. No catalog is known here by
//! name: they stand in the [`Registry`](super::Registry) that the reader is given.

use std::any::Any;
use std::fmt::{self, Debug};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use super::AwsAccess;
use super::store::{StoreSpec, is_same};
use super::table::Table;
use super::written::access;

/// A kind of catalog, as a config names it.
pub trait CatalogKind: Sync {
    /// The word of it as `type` of the table.
    fn word(&self) -> &'static str;

    /// The keys that [`CatalogKind::read`] asks for: in the table of a catalog without them they are told to be this
    /// one's.
    fn keys(&self) -> &'static [&'static str];

    /// Reads the catalog's keys of its table. `None`: they have a fault, which is reported.
    fn read(&self, table: &mut CatalogTable<'_, '_>) -> Option<CatalogSettings>;
}

/// What the settings of a catalog tell of it. Nothing of it asks the catalog.
pub trait CatalogSpec: Any + Debug + Send + Sync {
    /// The catalog and the table in it, for people.
    fn name(&self) -> String;

    /// Whether the table is made where it is missing.
    fn creates(&self) -> bool;

    /// Whether its columns are brought up to those of the stream, where the config says so or not.
    fn updates(&self) -> Option<bool>;

    /// Why the objects of a store have no place in the catalog, and what to do. `None`: they have one.
    fn refuses(&self, store: &dyn StoreSpec) -> Option<(String, &'static str)>;
}

/// The settings of a catalog: which table is told of a stream's partitions. Cheap to clone.
#[derive(Clone)]
pub struct CatalogSettings {
    spec: Arc<dyn CatalogSpec>,
    is_same: fn(&dyn Any, &dyn Any) -> bool,
}

impl CatalogSettings {
    /// Those of a catalog.
    pub fn new<T: CatalogSpec + PartialEq>(spec: T) -> Self {
        Self {
            spec: Arc::new(spec),
            is_same: is_same::<T>,
        }
    }

    /// The settings as the catalog's own type.
    pub fn get<T: CatalogSpec>(&self) -> Option<&T> {
        let spec: &dyn Any = &*self.spec;
        spec.downcast_ref()
    }
}

impl<T: CatalogSpec + PartialEq> From<T> for CatalogSettings {
    fn from(spec: T) -> Self {
        Self::new(spec)
    }
}

impl Deref for CatalogSettings {
    type Target = dyn CatalogSpec;

    fn deref(&self) -> &Self::Target {
        &*self.spec
    }
}

impl PartialEq for CatalogSettings {
    fn eq(&self, other: &Self) -> bool {
        let (one, other): (&dyn Any, &dyn Any) = (&*self.spec, &*other.spec);
        (self.is_same)(one, other)
    }
}

impl Eq for CatalogSettings {}

impl Debug for CatalogSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(formatter)
    }
}

/// A catalog's table in the config, for the catalog that reads its keys there: a [`Table`] that knows where paths begin.
pub struct CatalogTable<'t, 'f> {
    pub(super) table: &'t mut Table<'f>,
    pub(super) base: &'t Path,
}

impl Debug for CatalogTable<'_, '_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.table.here())
    }
}

impl<'f> Deref for CatalogTable<'_, 'f> {
    type Target = Table<'f>;

    fn deref(&self) -> &Table<'f> {
        self.table
    }
}

impl<'f> DerefMut for CatalogTable<'_, 'f> {
    fn deref_mut(&mut self) -> &mut Table<'f> {
        self.table
    }
}

impl CatalogTable<'_, '_> {
    /// A string that must hold something and no control characters.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.table.name_text(key, access::NAME_MAX)
    }

    /// How an AWS service, or one that speaks its protocol, is reached: the keys [`access::KEYS`].
    pub fn access(&mut self) -> AwsAccess {
        access::read(self.table, self.base)
    }
}
