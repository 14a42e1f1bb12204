//! Integration tests: the real binary, real clients, foreign readers. One test binary, because
//! linking is a large part of a cold build.

#![expect(
    unreachable_pub,
    reason = "nothing outside can reach into a test binary"
)]
#![expect(
    clippy::print_stderr,
    reason = "a failing test shows the logs of its processes"
)]
#![expect(clippy::disallowed_methods, reason = "tests keep files and wait")]
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod agreed;
mod attack;
mod book;
mod buffering;
mod bytes;
mod catalog;
mod changed_settings;
mod clients;
mod contract;
mod coordination;
mod corpus;
mod dependencies;
mod deploy;
mod destination;
mod disk_full;
mod documents;
mod drain;
mod exactly_once;
mod fields;
mod formats;
mod former_state;
mod fuzz;
mod glue;
mod guests;
mod hostile;
mod house;
mod keys;
mod kinesis;
mod lanes;
mod learned;
mod leases;
mod llms;
mod modes;
mod oracle_bites;
mod orphans;
mod parse;
mod partitions;
mod places;
mod readers;
mod readme;
mod rows;
mod schema;
mod secrets;
mod shapes;
mod shared_stream;
mod streams;
mod support;
mod transforms;
mod uploads;
mod watermark;
