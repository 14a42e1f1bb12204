//! Where records come from: chunks of records with positions, released behind a checkpoint.

pub mod direct_put;
pub mod kinesis;

use crate::record::Chunk;
use crate::shard::{ShardId, ShardState, SourceName};

/// What a source gives next. It is applied wholly, and in the order in which it is given.
#[derive(Debug, Default)]
pub struct Read {
    /// Records of one shard; none where there is only news.
    pub chunk: Chunk,
    /// What else has become known. It holds once the chunk is applied.
    pub news: Option<News>,
}

/// What becomes known of a source beside its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// What the source is called: told once, before anything else.
    Named(SourceName),
    /// Shards that were not known: nothing of them has been given.
    Found(Vec<(ShardId, ShardState)>),
    /// All of the shard that had arrived by then, in ms, has been given.
    Until(ShardId, i64),
    /// All of the shard has been given; no more will come.
    Ended(ShardId),
    /// Ended shards that the source itself has forgotten.
    Forgotten(Vec<ShardId>),
}
