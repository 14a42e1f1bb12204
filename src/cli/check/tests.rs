//! `check` on files with many faults: all are told in one go, each at its place.

use std::fs;

use crate::cli::Exit;
use crate::cli::tests::firehose;

/// What `check` says of a config in a folder of its own, the folder left out.
fn check(text: &str) -> (Exit, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("firehose.toml");
    fs::write(&path, text).unwrap();
    let (exit, out, err) = firehose(&["check", "--config", path.to_str().unwrap()]);
    let folder = dir.path().canonicalize().unwrap().display().to_string();
    let shown = |text: String| {
        let text = text.replace(&folder, "");
        text.replace(&dir.path().display().to_string(), "")
    };
    (exit, shown(out), shown(err))
}

/// The first lines of all faults and warnings.
fn told(text: &str) -> Vec<String> {
    let (exit, _, err) = check(text);
    assert_eq!(exit, Exit::Usage, "{err}");
    let is_head = |line: &&str| line.starts_with("/firehose.toml:") || line.starts_with("warning");
    let heads = err.lines().filter(is_head);
    let heads: Vec<String> = heads
        .map(|line| line.replace("/firehose.toml:", ""))
        .collect();
    assert_eq!(heads.len(), err.split("\n\n").count(), "{err}");
    heads
}

/// Whether these faults are told and no others, in this order.
fn tells(text: &str, expected: &[&str]) {
    let told = told(text);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{expected} in {told:#?}");
    }
}

#[test]
fn a_table_that_gives_the_columns_is_named_and_nobody_is_asked_for_it() {
    let text = r#"[stream.a]
source.type = "direct-put"
format = { type = "parquet", glue_table = "web.hits", glue_version = 3, glue_endpoint = "http://127.0.0.1:1" }
destination = { type = "folder", path = "out" }
"#;
    let (exit, out, err) = check(text);
    assert_eq!(exit, Exit::Done, "{err}");
    let columns = "parquet zstd, columns of Glue table web.hits@3";
    assert!(out.contains(columns), "{out}");
}

#[test]
fn faults_of_all_phases_are_told_at_once() {
    let text = r#"[stream.a]
source.type = "direct-put"
partitioning.query = '{'
buffering.interval = true
format = { type = "parquet", schema = "id string, price decmal(10,2)" }
[stream.a.destination]
type = "s3"
bukket = "lake"
bucket = "lake"
prefix = "x=!{partitionKeyFromQuery:x}/"
[stream.b]
source.type = "direct-put"
partitioning.query = '{y: .y | nosuch}'
destination = { type = "folder", path = "out", prefix = "y=!{partitionKeyFromQuery:y}/", error_prefix = "e/" }
"#;
    tells(
        text,
        &[
            "3:24: expected",
            "4:22: `interval` is a boolean",
            "5:57: unknown type `decmal`",
            "6:1: error_prefix is missing",
            "8:1: unknown key \"bukket\"",
            "13:32: no function \"nosuch\"",
        ],
    );
}

#[test]
fn a_fault_hides_no_other_in_its_stream_or_in_its_neighbours() {
    let text = r#"state_dir = 7
[http]
listen = "nowhere"
[stream.a]
source.type = "direct-pot"
destination = { type = "folder", path = "out", prefix = "a/../b/" }
[[stream.a.transform]]
module = "one.wasm"
[[stream.a.transform]]
module = "two.wasm"
[stream.b]
source.type = "direct-put"
destination = { type = "foldr", path = "out", prefix = "!{nosuch:x}/", error_prefix = "e/!{firehose:error-output-type}/" }
[stream.c]
source.type = "direct-put"
partitioning = { query = '"x"', event_time = "[.ts]" }
[stream.c.destination]
type = "folder"
path = "${NOWHERE}/out"
prefix = "!{timestamp:yyyyb}/"
error_prefix = "e/!{firehose:error-outputtype}/"
[stream.c.backup]
prefix = "!{partitionKeyFromQuery:x}/"
"#;
    tells(
        text,
        &[
            "1:13: `state_dir` is an integer",
            "3:10: \"nowhere\" is not an address",
            "5:15: unknown word \"direct-pot\"",
            "6:57: a prefix cannot have a part",
            "8:10: ",
            "10:10: ",
            "13:24: unknown word \"foldr\"",
            "13:59: unknown namespace \"nosuch\"",
            "16:26: the query must return an object of keys, and returns text",
            "16:46: an event time is text or a number, and this returns an array",
            "19:9: the environment variable NOWHERE is not set",
            "20:27: the pattern letter",
            "21:30: unknown value \"error-outputtype\"",
            "23:11: partitionKeyFromQuery has no place here",
        ],
    );
}

#[test]
fn nothing_is_said_of_what_belongs_to_a_value_that_cannot_be_read() {
    // Neither that the query is missing, nor that its keys are not used.
    let text = |query: &str, prefix: &str, event_time: &str| {
        format!(
            "[stream.a]\nsource.type = \"direct-put\"\npartitioning = {{ query = {query}, \
             event_time = {event_time} }}\n[stream.a.destination]\ntype = \"folder\"\npath = \"out\"\n\
             prefix = {prefix}\nerror_prefix = \"e/!{{firehose:error-output-type}}/\"\n"
        )
    };
    let prefix = "\"x=!{partitionKeyFromQuery:x}/!{eventTime:yyyy}/\"";
    tells(&text("7", prefix, "'.ts'"), &["3:26: `query` is"]);
    tells(&text("'{x}'", "7", "'.ts'"), &["7:10: `prefix` is"]);
    tells(&text("'{x}'", prefix, "true"), &["3:46: `event_time` is"]);
    tells(
        &text("'{x}'", "\"${NOWHERE}/\"", "'.ts'"),
        &["7:11: the environment"],
    );
    // An expression that is not closed is the fault, not what it would have used.
    tells(
        &text(
            "'{x}'",
            "\"x=!{partitionKeyFromQuery:x/y=!{eventTime:yyyy}/\"",
            "'.ts'",
        ),
        &["7:13: the expression has no closing }"],
    );
    tells(
        &text(
            "'{x}'",
            "\"x=!{partitionKeyFromQuery:x}/!{eventTime:yyyy/\"",
            "'.ts'",
        ),
        &["7:40: the expression has no closing }"],
    );
}

#[test]
fn a_file_that_is_no_toml_says_that_the_rest_was_not_judged() {
    let (exit, _, err) = check("[stream.a\nbukket = 1\n");
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains(":1:10: not TOML"), "{err}");
    assert!(
        err.contains("the rest of the file is judged once this is mended"),
        "{err}"
    );
    // A key too many hides nothing.
    let text = "[stream.a]\nsource.type = \"direct-put\"\nspool_limit = \"1GiB\"\nspool_limit = \"2GiB\"\n\
                [stream.a.destination]\ntype = \"folder\"\npaht = \"out\"\n";
    tells(
        text,
        &[
            "4:1: not TOML: duplicate key",
            "5:1: `path` is missing",
            "7:1: unknown key \"paht\"",
        ],
    );
}

#[test]
fn warnings_come_after_faults() {
    let text = "[stream.a]\nformat = { type = \"json\", delimiter = \"new-line\" }\n\
                source.type = \"direct-put\"\n\
                destination = { type = \"folder\", path = \"out\", prefix = \"!{timestamp:yyyy\", error_prefix = \"e/\" }\n";
    tells(
        text,
        &[
            "4:58: the expression has no closing }",
            "2:39: warning: the text \"new-line\"",
        ],
    );
}

#[test]
fn queries_that_fail_every_record_are_faults() {
    let query = |query: &str| {
        format!(
            "[stream.a]\nsource.type = \"direct-put\"\npartitioning.query = '{query}'\n\
             [stream.a.destination]\ntype = \"folder\"\npath = \"out\"\n\
             prefix = \"!{{partitionKeyFromQuery:k}}/\"\nerror_prefix = \"e/\"\n"
        )
    };
    for bad in [
        "\"x\"",
        ".a | length",
        "[1]",
        "{k: []}",
        "{k: \"\"}",
        "{k: 1}, {k: 2}",
        "null",
    ] {
        tells(&query(bad), &["3:22: "]);
    }
    let (exit, _, err) = check(&query("{k: 1}"));
    assert_eq!(exit, Exit::Done, "{err}");
}

#[test]
fn a_place_that_cannot_be_written_to_is_a_fault() {
    // Small limits: nothing is said of a disk that is nearly full.
    let text = |state_dir: &str, path: &str| {
        format!(
            "state_dir = \"{state_dir}\"\n[stream.a]\nsource.type = \"direct-put\"\n\
             destination = {{ type = \"folder\", path = \"{path}\" }}\n\
             source.journal_limit = \"1MiB\"\nspool_limit = \"64MiB\"\n"
        )
    };
    // A file is no folder, whoever looks.
    tells(
        &text("firehose.toml", "firehose.toml/out"),
        &[
            "1:13: `state_dir` cannot be written to:  not a directory",
            "4:41: `path` cannot be written to:",
        ],
    );
    let (exit, out, err) = check(&text("not/yet", "there"));
    assert_eq!(exit, Exit::Done, "{err}");
    assert!(out.contains("→ /there/…"), "{out}");
}

#[test]
fn where_a_destination_of_its_own_for_errors_or_backup_is_written_is_told() {
    let text = r#"[stream.a]
source.type = "direct-put"
errors = { bucket = "other" }
[stream.a.destination]
type = "s3"
bucket = "lake"
error_bucket = "other"
[stream.a.backup]
bucket = "other"
"#;
    let (exit, _, err) = check(text);
    assert_eq!(exit, Exit::Usage);
    assert_eq!(
        err.matches("can have a destination of their own").count(),
        3,
        "{err}"
    );
    assert!(err.contains("[stream.a.backup] keep them apart"), "{err}");
}

#[test]
fn a_watermark_and_where_late_records_go_are_told_and_a_time_that_comes_again_is_a_fault() {
    let text = |prefix: &str| {
        format!(
            "[stream.a]\nsource.type = \"direct-put\"\npartitioning.event_time = \".ts\"\n\
             buffering.watermark = \"10m\"\n[stream.a.destination]\ntype = \"folder\"\npath = \"out\"\n\
             prefix = \"{prefix}\"\nlate_prefix = \"late/!{{eventTime:HH}}/\"\n\
             error_prefix = \"e/!{{firehose:error-output-type}}/\"\n"
        )
    };
    let (exit, out, err) = check(&text("data/!{eventTime:yyyy/MM/dd}/"));
    assert_eq!(exit, Exit::Done, "{err}");
    let told = "128MiB or 5m or when events are 10m past its partition\n  late: under ";
    assert!(out.contains(told), "{out}");
    assert!(out.contains("/out/late/…\n"), "{out}");
    tells(
        &text("data/!{eventTime:yyyy}/!{eventTime:dd}/"),
        &["8:34: with a `watermark` the prefix must say which time it is"],
    );
}
