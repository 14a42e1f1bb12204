//! The durable state of one delivery stream: one transaction, one recovery.
//!
//! The store is a redb database. Pure Rust and copy-on-write, it commits with one fsync, and its
//! storage is a seam of ours ([`crate::disk::DiskFile`]), so the crash tests can lose and tear its
//! writes as they do those of journal and spool. It stands in two files, so that one damaged bit or
//! sector costs nothing.

pub mod aside;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod lane_stores;
mod rows;
mod store;

/// The store's file, in a stream's directory.
pub const STORE: &str = "checkpoint.redb";
/// The file with its second copy.
pub const MIRROR: &str = "checkpoint.mirror";

pub use lane_stores::LaneStores;
pub use rows::{
    Lane, NamedUpload, OpenBatch, PlaceChanges, SealedObject, SpooledBlock, Target, UntoldPlace,
    Window,
};
pub use store::{CheckpointStore, Commit, StoreError, StoreReceipt, StoredState};
