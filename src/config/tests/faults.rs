//! The exact words for what is wrong in a file.

use std::path::Path;

use super::{env, registry};
use crate::config;

/// The kinds that `faults.txt` was written with: others would stand among what is allowed. What another one says of its own
/// keys is a matter of its own tests.
const OF_FAULTS: [&str; 19] = [
    "direct-put",
    "kinesis",
    "csv",
    "logfmt",
    "regex",
    "grok",
    "vpc-flow-log",
    "alb",
    "cloudfront",
    "s3-access",
    "cloudtrail",
    "cloudwatch-logs",
    "folder",
    "s3",
    "json",
    "raw",
    "parquet",
    "avro",
    "glue",
];

#[test]
fn each_fault_is_told_in_these_words() {
    let mut registry = registry();
    let is_of_faults = |word: &str| OF_FAULTS.contains(&word);
    registry.sources.retain(|kind| is_of_faults(kind.word()));
    registry.parsers.retain(|kind| is_of_faults(kind.word()));
    registry.stores.retain(|kind| is_of_faults(kind.word()));
    registry.formats.retain(|kind| is_of_faults(kind.word()));
    registry.catalogs.retain(|kind| is_of_faults(kind.word()));
    let cases = include_str!("faults.txt").split("=== ").skip(1);
    let mut count = 0;
    for case in cases {
        let (name, rest) = case.split_once('\n').unwrap();
        let (text, expected) = rest.split_once("--- faults\n").unwrap();
        let found = config::parse(text, Path::new("firehose.toml"), &env, &registry);
        let found = found.expect_err("the text has faults").to_string();
        assert_eq!(found, expected.trim_end(), "{name}");
        count += 1;
    }
    assert!(count >= 46, "only {count} cases were read");
}
