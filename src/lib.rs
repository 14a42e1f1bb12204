//! `firehose`: a delivery daemon. See `ARCHITECTURE.md` for the house, and
//! `docs/src/design/record.md` for the life of a record.
//!
//! Reading order: `protocol` (exactly once), `pipeline` (one delivery stream), then the stages top to bottom, then the
//! ground floor.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests keep files and wait")
)]

pub mod cli;
pub mod daemon;
#[cfg(feature = "failpoints")]
pub mod fuzz;
pub mod http;
pub mod pipeline;
pub mod protocol;
pub mod registry;

// Stages: they never import each other.
pub mod batch;
pub mod catalog;
pub mod checkpoint;
pub mod coordination;
pub mod destination;
pub mod format;
pub mod parse;
pub mod partition;
pub mod spool;
pub mod transform;

// Ground floor: imports nothing above.
pub mod aws;
pub mod budget;
pub mod buffer;
pub mod clock;
pub mod config;
pub mod disk;
pub mod error;
pub mod extent;
pub mod failpoint;
pub mod failure;
pub mod position;
pub mod printable;
pub mod raw_sum;
pub mod record;
pub mod retry;
pub mod schema;
pub mod shard;
pub mod source;
pub mod telemetry;

/// Its name makes it the first test of all, so that what is missing is told in the first second and not a quarter of an
/// hour later by the test that needs it: straight to standard error, past libtest's capture.
#[cfg(test)]
#[test]
fn all_that_the_tests_need_is_on_this_machine() {
    let needs = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/needs");
    let ended = std::process::Command::new(needs).status();
    assert!(ended.is_ok_and(|it| it.success()), "it is told above");
}
