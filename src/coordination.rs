//! Coordination: several machines share the shards of one stream by leases in a `DynamoDB` table, one
//! item a shard, as the Kinesis Client Library (KCL) keeps them.
//!
//! A lease says who reads a shard, and names the body of the shard's last checkpoint, an object at the
//! destination. Who takes a lease raises its fencing number and goes on from the checkpoint that this
//! very write returned; each further checkpoint is written on condition that owner, fencing number and
//! the number of the checkpoint before are still its own. What a worker decides is in `decisions`, which
//! production drives, and which `model_tests` explores whole.
//!
//! Reading order: `decisions`, `item` (what the table holds), `resumed` and `lease` (what a holder does), `balance`, `watch`
//! and `rest` (who takes what, and when), `leases` (the task), `table` and `writes` (requests).

#![expect(
    clippy::disallowed_methods,
    reason = "leases are held, renewed and taken by time that passes"
)]

mod balance;
mod decisions;
mod error;
#[cfg(feature = "failpoints")]
pub mod fuzz;
mod item;
mod lease;
mod leases;
#[cfg(test)]
mod model_tests;
mod renewal;
mod rest;
mod resumed;
mod seize;
mod sync;
mod table;
mod watch;
mod writes;

pub use error::LeaseError;
pub use item::{BodyName, KclCheckpoint, LeaseCheckpoint, LeaseItem};
pub use lease::{Lease, LeaseReceipt, Lost};
pub use leases::{LeaseContext, LeaseEvent, drawn_name, list, run};
pub use resumed::Resumed;
pub use seize::seize;
pub use table::Scanned;
