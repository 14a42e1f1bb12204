//! The port of catalogs: what each of them is asked.

use std::fmt;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::{CatalogKind, CatalogSettings};
use crate::schema::TableJoin;

pub use crate::config::StorageClasses;

/// What is waited for.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of catalog, with what opens it.
pub trait CatalogEntry: CatalogKind {
    /// The catalog that has these settings; nothing is asked of it yet. `None`: they are another kind's.
    fn open(&self, settings: &CatalogSettings) -> Option<Arc<dyn Catalog>>;
}

/// A table in a catalog. Whatever is asked of it is asked once: whoever asks tries again.
pub trait Catalog: Debug + Send + Sync {
    /// Places that are told of at once.
    fn group_max(&self) -> usize;

    /// Tells of places, URLs that end with a slash, that objects of the table lie in. To tell of one again changes
    /// nothing. Of the table becomes what is wanted: where there are no places a table that is missing is not made. An
    /// error is that of all of it.
    fn tell<'a>(
        &'a self,
        places: &'a [String],
        wish: &'a TableWish,
    ) -> Pending<'a, Result<Told, CatalogError>>;

    /// Says for each place how it stands, and what would become of the table's columns, and changes nothing. A table that
    /// is missing is taken to be as it would be made.
    fn compare<'a>(
        &'a self,
        places: &'a [String],
        wish: &'a TableWish,
    ) -> Pending<'a, Result<Comparison, CatalogError>>;
}

/// What a table is to be, beside its partitions.
#[derive(Clone, Debug, Default)]
pub struct TableWish {
    /// As what it is made where it is missing; it is not made without.
    pub draft: Option<TableDraft>,
    /// The objects whose columns its own are to take; they stay as they are without.
    pub objects: Option<Arc<dyn TableObjects>>,
}

/// The stream's side of a table: its objects, whose columns those of the table are to take where it lies as they do, and is
/// read as they are. A catalog knows no types.
pub trait TableObjects: Debug + Send + Sync {
    /// What becomes of a table's columns, names and types as Hive has them, where it has these partition keys.
    fn joined_to(&self, columns: &[(String, String)], keys: &[String]) -> TableJoin;

    /// Where all of the objects lie: a URL that ends with a slash. The columns of a table that lies elsewhere are not theirs.
    fn location(&self) -> &str;

    /// The class that Hive reads such objects with. The columns of a table that is read with another are not theirs.
    fn serde(&self) -> &str;
}

/// What has become of what a catalog was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Of each place, in their order; or why none of them could be told.
    pub fates: Result<Vec<Fate>, CatalogError>,
    /// Of the table's columns; nothing where nothing is wanted of them, or the table is missing. After an error they are as
    /// they were, and the places were told all the same.
    pub columns: Result<TableJoin, CatalogError>,
}

/// How a stream stands in a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Each place, in their order.
    pub standings: Vec<Standing>,
    /// What would become of the table's columns, or why nothing can.
    pub columns: Result<TableJoin, CatalogError>,
}

/// What has become of a place that a catalog was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The catalog knows it since now.
    Told,
    /// The catalog has known the partition before.
    Known,
    /// It is no partition of the table, and why: it is of no use to tell of it again.
    NoPartition(String),
    /// The catalog refuses it, and will again.
    Refused {
        /// The catalog's code.
        code: String,
        /// What it said.
        cause: String,
    },
    /// The catalog has not taken it now.
    Later {
        /// The catalog's code.
        code: String,
        /// What it said.
        cause: String,
    },
}

/// How a place stands in a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is a partition there.
    Known,
    /// Its partition is known, and lies elsewhere: at this place.
    Elsewhere(String),
    /// It is not known.
    New,
    /// It is no partition of the table, and why.
    NoPartition(String),
}

/// A table as it is made where it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDraft {
    /// Name and type of each column, as Hive has them.
    pub columns: Vec<(String, String)>,
    /// The names of the partition keys, all of them strings.
    pub keys: Vec<String>,
    /// Where the objects of all partitions lie: a URL that ends with a slash.
    pub location: String,
    /// How the objects are read.
    pub classes: StorageClasses,
}

/// Why a catalog could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CatalogError {
    /// The catalog's code, or a word of ours: for metrics.
    pub code: String,
    /// What was tried, and what came of it.
    pub cause: String,
    /// What a person can do; empty where it may pass by itself.
    pub advice: String,
}

impl fmt::Display for CatalogError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, advice, .. } = self;
        match advice.as_str() {
            "" => formatter.write_str(cause),
            advice => write!(formatter, "{cause} ({advice})"),
        }
    }
}
