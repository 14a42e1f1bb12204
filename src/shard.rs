//! Shards: the ordered lanes of a source, and how far each has been applied. What a checkpoint keeps
//! of them (JSON: unknown members are ignored, new ones have defaults).

use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::position::Position;

/// A shard's name in its source.
pub type ShardId = Arc<str>;

/// The one shard of a source whose records producers put here.
pub const JOURNAL: &str = "journal";

/// How far a shard has been applied, and what must come before and after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShardState {
    /// Every record up to it has been applied to all its outputs; `None`: none yet.
    #[serde(default)]
    pub position: Option<Position>,
    /// Where reading begins while there is no position.
    #[serde(default)]
    pub start: ShardStart,
    /// The shards it was split or merged from: they are read to their ends before it.
    #[serde(default)]
    pub parents: Vec<String>,
    /// All its records have been applied, and no more will come.
    #[serde(default)]
    pub ended: bool,
    /// All that had arrived by then, in ms since the Unix epoch, has been applied.
    #[serde(default)]
    pub until_ms: Option<i64>,
}

/// Where reading of a shard begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShardStart {
    /// At the oldest record that is kept.
    #[default]
    TrimHorizon,
    /// At what comes after now; the time, in ms, says to a later process when that was.
    Latest(i64),
    /// At the first record that arrived at that time or later, in ms.
    Time(i64),
}

/// A stream of a source, told apart from one that was created later under the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceName {
    /// Its ARN.
    pub arn: String,
    /// When it was created, in ms since the Unix epoch.
    pub created_ms: i64,
}

/// A shard as its source lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedShard {
    /// Its name.
    pub id: ShardId,
    /// The shards it was split or merged from.
    pub parents: Vec<String>,
    /// The first and the last hash key that belong to it, as decimals.
    pub hash_keys: (String, String),
    /// It takes no more records.
    pub is_closed: bool,
}

/// All shards of which a source keeps records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The stream they are of.
    pub source: SourceName,
    /// The shards.
    pub shards: Vec<ListedShard>,
}

/// An answer that is not there yet.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Asks a source which shards it has.
pub trait ShardLister: Send + Sync {
    /// Asks once. The error is a sentence for a person.
    fn list(&self) -> Pending<'_, Result<Listing, String>>;
}
