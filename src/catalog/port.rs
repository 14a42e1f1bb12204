//! The port of catalogs: what each of them is asked.

use std::fmt;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::{CatalogKind, CatalogSettings};

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
    /// nothing. Where the table is missing, it is made as `draft` says, if that is given. Answers for each place, in
    /// their order; an error is that of them all.
    fn tell<'a>(
        &'a self,
        places: &'a [String],
        draft: Option<&'a TableDraft>,
    ) -> Pending<'a, Result<Vec<Fate>, CatalogError>>;

    /// Says for each place how it stands, and changes nothing. A table that is missing is taken to be as `draft` says.
    fn compare<'a>(
        &'a self,
        places: &'a [String],
        draft: Option<&'a TableDraft>,
    ) -> Pending<'a, Result<Vec<Standing>, CatalogError>>;
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
