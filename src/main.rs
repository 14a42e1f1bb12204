//! The `firehose` binary.

fn main() {}
