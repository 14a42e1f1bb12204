//! The loader as a whole: what it accepts, and the exact words for what it does not.

use std::path::Path;

use super::{Loaded, parse};

fn env(name: &str) -> Option<String> {
    (name == "HOME").then(|| "/home/me".to_owned())
}

fn load(text: &str) -> Loaded {
    parse(text, Path::new("firehose.toml"), &env).unwrap_or_else(|faults| panic!("{faults}"))
}

fn faults(text: &str) -> String {
    let found = parse(text, Path::new("firehose.toml"), &env);
    found.expect_err("the text has faults").to_string()
}

#[test]
fn several_faults_are_reported_in_one_go() {
    let text = r#"
[stream.clicks.source]
type = "direct-put"
[stream.clicks.buffering]
intervall = "900s"
size = "128Mb"
[stream.clicks.destination]
type = "s3"
path = "x"
"#;
    assert_eq!(
        faults(text),
        r#"firehose.toml:5:1: unknown key "intervall" in [stream.clicks.buffering]
  |
5 | intervall = "900s"
  | ^^^^^^^^^
  help: did you mean `interval`? allowed: `interval`, `size`

firehose.toml:6:8: unknown unit "Mb" in the size "128Mb"
  |
6 | size = "128Mb"
  |        ^^^^^^^
  help: did you mean "128MB"?

firehose.toml:7:1: `bucket` is missing in [stream.clicks.destination]
  |
7 | [stream.clicks.destination]
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  help: name the bucket: bucket = "lake"

firehose.toml:9:1: `path` is only for `type = "folder"`
  |
9 | path = "x"
  | ^^^^
  help: in [stream.clicks.destination]"#
    );
}
