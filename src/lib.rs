//! `firehose`: a delivery daemon. See `ARCHITECTURE.md` for the house and the life of a record.
//!
//! Reading order: `pipeline` (one delivery stream), then the stages top to bottom, then the
//! ground floor.

pub mod cli;
pub mod daemon;
pub mod http;
pub mod pipeline;

// Stages: they never import each other.
pub mod batch;
pub mod checkpoint;
pub mod coordination;
pub mod destination;
pub mod format;
pub mod journal;
pub mod partition;
pub mod source;
pub mod spool;
pub mod transform;

// Ground floor: imports nothing above.
pub mod aws;
pub mod budget;
pub mod buffer;
pub mod calendar;
pub mod clock;
pub mod config;
pub mod decimal;
pub mod disk;
pub mod error;
pub mod extent;
pub mod failpoint;
pub mod failure;
pub mod nesting;
pub mod position;
pub mod raw_sum;
pub mod record;
pub mod retry;
pub mod shard;
pub mod telemetry;
pub mod timestamp;
