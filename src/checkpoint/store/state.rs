//! What a checkpoint changes, and what all of them have left.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::checkpoint::{NamedUpload, OpenBatch, SealedObject, UntoldPlace};
use crate::extent::Extent;
use crate::position::Sequence;
use crate::schema::SchemaVersion;
use crate::shard::{ShardId, ShardState, SourceName};

/// One checkpoint: what changed since the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Commit {
    /// Shards that have got on, as they are now.
    pub shards: Vec<(ShardId, ShardState)>,
    /// Shards that the source has forgotten.
    pub forgotten: Vec<ShardId>,
    /// The source's name, once it is known.
    pub source: Option<SourceName>,
    /// Open batches as they are now.
    pub open: Vec<OpenBatch>,
    /// Batches that are open no more.
    pub closed: Vec<Uuid>,
    /// Objects to be published, as they are now.
    pub sealed: Vec<SealedObject>,
    /// Objects that were published.
    pub published: Vec<Uuid>,
    /// Ranges of the journal that turned out to be lost to damage: first to last.
    pub missing: Vec<(Sequence, Sequence)>,
    /// Durable forms of format settings, by hash, that batches name from now on.
    pub formats: Vec<(u64, String)>,
    /// Versions of the columns that were learned, oldest first.
    pub schemas: Vec<SchemaVersion>,
    /// The time of the newest event, where partitions end by events: second since 1970.
    pub newest_event: Option<i64>,
}

/// The durable state, as the last checkpoint left it.
#[derive(Debug)]
pub struct StoredState {
    /// Names this state folder for good; journal and markers carry it.
    pub incarnation: Uuid,
    /// The largest epoch known to the store.
    pub epoch: u32,
    /// When the store was created, in ms.
    pub created_ms: i64,
    /// What the source is called; `None`: it has no name, or was never reached.
    pub source: Option<SourceName>,
    /// The time of the newest event that was applied, where that was ever asked for: second since 1970.
    pub newest_event: Option<i64>,
    /// How far each shard has been applied.
    pub shards: BTreeMap<ShardId, ShardState>,
    /// Open batches, in no order.
    pub open: Vec<OpenBatch>,
    /// Objects to be published, in no order.
    pub sealed: Vec<SealedObject>,
    /// Durable forms of format settings by hash. What they say is for the pipeline to read.
    pub formats: BTreeMap<u64, String>,
    /// Versions of the columns that were learned, oldest first; the last one is in force.
    pub schemas: Vec<SchemaVersion>,
    /// Places of which the catalog is to be told.
    pub untold: Vec<UntoldPlace>,
    /// Ranges of the journal that were lost to damage, as (first, last).
    pub missing: Vec<(Sequence, Sequence)>,
    /// What was wrong with one copy, and is mended from the other when the store is opened.
    pub damaged: Vec<String>,
}

impl StoredState {
    /// All pieces of the spool that it names.
    pub fn extents(&self) -> impl Iterator<Item = Extent> {
        let open = self.open.iter().flat_map(|batch| &batch.blocks);
        let open = open.flat_map(|block| &block.extents);
        let sealed = self.sealed.iter().flat_map(|object| &object.extents);
        open.chain(sealed).copied()
    }

    /// The multipart uploads of batches and objects.
    pub fn uploads(&self) -> Vec<NamedUpload> {
        let open = self.open.iter();
        let open = open.map(|batch| (&batch.target, &batch.upload_id));
        let sealed = self.sealed.iter();
        let sealed = sealed.map(|object| (&object.target, &object.upload_id));
        let uploads = open.chain(sealed).filter_map(|(target, upload_id)| {
            Some(NamedUpload {
                store: target.store.clone(),
                key: target.key.clone(),
                upload_id: upload_id.clone()?,
            })
        });
        uploads.collect()
    }
}
