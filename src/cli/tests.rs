//! The command line from arguments to exit code.

mod texts;

use std::path::Path;

use serde_json::Value;

use super::explain::explain;
use super::{Exit, check, run, settings};
use crate::config::{Config, SpanMap, TransformSettings, parse};
use crate::record::RECORD_BYTES_MAX;
use crate::registry::registry;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/firehose.toml");
/// 2026-11-22T06:44:44.5Z
const NOW_MS: i64 = 1_795_329_884_500;

/// Exit code, output, errors of `firehose` with `arguments`.
pub(super) fn firehose(arguments: &[&str]) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = std::iter::once("firehose").chain(arguments.iter().copied());
    let exit = run(arguments.map(Into::into), &mut out, &mut err);
    (
        exit,
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

pub(super) fn config(text: &str) -> Config {
    parse(text, Path::new("firehose.toml"), &|_| None, &registry())
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config
}

/// Faults and warnings that the stages find in a config.
fn stage_faults(text: &str) -> String {
    let loaded = parse(text, Path::new("firehose.toml"), &|_| None, &registry());
    let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
    settings::check_stages(&loaded.config, &loaded.spans).to_string()
}

/// What `explain` says of `input` under the only stream of `config`.
pub(super) fn explained(config: &Config, input: &[u8], as_json: bool) -> String {
    let stream = config.streams.values().next().unwrap();
    let mut out = Vec::new();
    explain(stream, input, as_json, NOW_MS, &mut out, &mut Vec::new()).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn help_and_version_are_output_and_a_wrong_word_is_a_usage_error() {
    let (exit, out, _) = firehose(&["--version"]);
    assert_eq!((exit, out.as_str()), (Exit::Done, "firehose 0.1.0\n"));
    let (exit, out, _) = firehose(&["--help"]);
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("Usage: firehose"), "{out}");
    let (exit, out, _) = firehose(&["help", "put"]);
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("Usage: firehose put"), "{out}");
    let (exit, out, _) = firehose(&["help"]);
    assert!(
        exit == Exit::Done && out.contains("Usage: firehose"),
        "{out}"
    );
    let (exit, _, err) = firehose(&["state", "lits"]);
    assert!(exit == Exit::Usage && err.contains("'list'"), "{err}");
    let (exit, out, err) = firehose(&["chekc"]);
    assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
    assert!(err.contains("'check'"), "{err}");
}

#[test]
fn the_command_line_is_consistent() {
    use clap::CommandFactory as _;
    super::CommandLine::command().debug_assert();
}

#[test]
fn a_missing_config_file_is_named_and_ends_in_exit_code_2() {
    let (exit, out, err) = firehose(&["check", "--config", "no/such.toml"]);
    assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
    let expected = "no/such.toml cannot be read: No such file or directory (os error 2)\n  \
                    help: name another file with --config FILE\n";
    assert_eq!(err, expected);
}

#[test]
fn check_says_what_the_shipped_file_does() {
    let (exit, out, _) = firehose(&["check", "--config", SHIPPED]);
    let expected = "clicks: direct-put → jq {event_type} → event time .ts → parquet zstd → \
                    data/out/clicks/event_type=…; 128MiB or 5s\n";
    assert_eq!(exit, Exit::Done);
    assert!(out.ends_with(expected), "{out}");
}

#[test]
fn check_names_the_kinesis_stream() {
    let text = "[stream.c.source]\ntype = \"kinesis\"\n\
                stream = \"arn:aws:kinesis:eu-central-1:123456789012:stream/clicks\"\n\
                [stream.c.destination]\ntype = \"folder\"\npath = \"out\"\n";
    let loaded = parse(text, Path::new("firehose.toml"), &|_| None, &registry()).unwrap();
    let mut out = Vec::new();
    check::summary(&loaded.config.streams["c"], &mut out).unwrap();
    let expected = "c: kinesis clicks → json → out/…; 128MiB or 5m\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);

    let text = text.replace(
        "[stream.c.dest",
        "coordination = \"dynamodb\"\n[stream.c.dest",
    );
    let text = text.replace("\"folder\"\npath = \"out\"", "\"s3\"\nbucket = \"lake\"");
    let loaded = parse(&text, Path::new("firehose.toml"), &|_| None, &registry()).unwrap();
    let mut out = Vec::new();
    check::summary(&loaded.config.streams["c"], &mut out).unwrap();
    let expected =
        "c: kinesis clicks, shared by table firehose-c → json → s3://lake/…; 128MiB or 5m\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn check_shows_transforms_by_their_files() {
    let dir = tempfile::tempdir().unwrap();
    for module in ["first.wasm", "second.wasm"] {
        std::fs::write(dir.path().join(module), "").unwrap();
    }
    let text = "[[stream.c.transform]]\nmodule = \"./first.wasm\"\n\
                [[stream.c.transform]]\nmodule = \"second.wasm\"\n\
                [stream.c]\nsource.type = \"direct-put\"\n\
                destination = { type = \"folder\", path = \"out\" }\n";
    let loaded = parse(
        text,
        &dir.path().join("firehose.toml"),
        &|_| None,
        &registry(),
    )
    .unwrap();
    let mut out = Vec::new();
    check::summary(&loaded.config.streams["c"], &mut out).unwrap();
    let folder = dir.path().canonicalize().unwrap();
    let expected = format!(
        "c: direct-put → first.wasm → second.wasm → json → {}/out/…; 128MiB or 5m\n",
        folder.display()
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_key_of_a_transform_that_is_not_there_is_a_fault_in_the_prefix() {
    let text = r#"[stream.c.source]
type = "direct-put"
[stream.c.destination]
type = "folder"
path = "out"
prefix = "!{partitionKeyFromLambda:k}/"
error_prefix = "e/!{firehose:error-output-type}/"
"#;
    let expected = r#"firehose.toml:6:11: the prefix takes a key from a transform, but the stream has none
  |
6 | prefix = "!{partitionKeyFromLambda:k}/"
  |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  help: add a [[stream.c.transform]], or take the key from a jq query: !{partitionKeyFromQuery:k}"#;
    assert_eq!(stage_faults(text), expected);
}

#[test]
fn limits_beyond_the_disk_are_warned_of_and_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("firehose.toml");
    let text = "[stream.c]\nsource = { type = \"direct-put\", journal_limit = \"64TiB\" }\n\
                spool_limit = \"64TiB\"\ndestination = { type = \"folder\", path = \"out\" }\n";
    std::fs::write(&path, text).unwrap();
    let loaded = settings::load(&path).unwrap();
    assert_eq!(loaded.config.streams["c"].source.disk_limit(), 64 << 40);
    let expected = "warning: journal_limit and spool_limit of all streams add up to 128TiB, but";
    assert!(
        loaded.warnings.to_string().starts_with(expected),
        "{}",
        loaded.warnings
    );
}

#[test]
fn a_fault_inside_a_query_a_prefix_or_a_schema_is_shown_at_its_place() {
    let text = r#"[stream.c.source]
type = "direct-put"
[stream.c.partitioning]
query = "{a: .a | nosuch}"
[stream.c.format]
type = "parquet"
schema = """
id string,
user struct<id:bigit>
"""
[stream.c.destination]
type = "folder"
path = "out"
prefix = "\u0061/!{partitionKeyFromQuery:a}/!{nosuch:x}/"
error_prefix = "errors/!{firehose:error-output-type}/"
[stream.c.backup]
prefix = "raw/!{timestamp:yyyyb}/"
"#;
    let shown = stage_faults(text);
    for place in [
        "firehose.toml:4:",
        "firehose.toml:9:16: ",
        "firehose.toml:14:47: ",
        "firehose.toml:17:31: ",
    ] {
        assert!(shown.contains(place), "{place} in\n{shown}");
    }
    assert!(
        shown.contains("9 | user struct<id:bigit>\n  |                ^^^^^\n"),
        "{shown}"
    );
}

#[test]
fn a_wrong_time_zone_is_told_once_though_several_expressions_use_it() {
    let text = r#"[stream.c]
source = { type = "direct-put" }
partitioning.time_zone = "Europe/Berlim"
destination = { type = "folder", path = "out", prefix = "x/!{timestamp:yyyy}/", error_prefix = "e/!{firehose:error-output-type}/" }
backup = { prefix = "raw/" }
"#;
    assert_eq!(
        stage_faults(text).matches("firehose.toml:3:26: ").count(),
        1
    );
}

#[test]
fn explain_shows_keys_and_object_or_the_error_that_a_record_becomes() {
    let config = config(&std::fs::read_to_string(SHIPPED).unwrap());
    let input = br#"{"event_type":"click","ts":"2026-11-21T23:59:59Z","user":{"id":7}}

not json
{"event_type":"click","ts":"2026-11-21T23:59:59Z","user":{"id":"seven"}}
"#;
    let said = explained(&config, input, true);
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said.len(), 4);
    assert_eq!(said[0]["outcome"], "delivered");
    assert_eq!(said[0]["keys"]["event_type"], "click");
    assert_eq!(said[0]["keys"]["eventTime"], "2026-11-21T23:59:59Z");
    assert_eq!(
        said[0]["object"],
        "data/out/clicks/event_type=click/year=2026/month=11/day=21/\
         clicks-1-2026-11-22-06-44-44-<uuid>.parquet"
    );
    assert_eq!(
        (&said[1]["line"], &said[1]["outcome"]),
        (&3.into(), &"failed".into())
    );
    assert_eq!(
        said[1]["object"],
        "data/out/errors/metadata-extraction-failed/year=2026/month=11/day=22/\
         clicks-1-2026-11-22-06-44-44-<uuid>"
    );
    assert_eq!(said[1]["errorRecord"]["rawData"], "bm90IGpzb24=");
    assert_eq!(said[1]["errorRecord"]["arrivalTimestamp"], NOW_MS);
    assert_eq!(said[2]["errorOutputType"], "format-conversion-failed");
    let text = explained(&config, input, false);
    assert!(
        text.starts_with("1: delivered\n   keys    event_type=click, "),
        "{text}"
    );
    let end = "1 delivered, 2 failed, 0 refused\n   \
               1 metadata-extraction-failed, DynamicPartitioning.MetadataExtractionFailed: Non JSON \
               record provided\n   \
               1 format-conversion-failed, DataFormatConversion.MalformedData: Data does not match the \
               schema. Column `user.id`: expected bigint, found \"seven\".\n   \
               null, missing in the record: device in 1, event_id in 1, page in 1, price in 1, tags in 1, \
               user.country in 1\n";
    assert!(text.ends_with(end), "{text}");
    let summary = &said[3];
    assert_eq!(summary["outcome"], "summary");
    assert_eq!(
        (&summary["delivered"], &summary["failed"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        summary["failures"][1]["code"],
        "DataFormatConversion.MalformedData"
    );
    assert_eq!(summary["failures"][1]["count"], 1);
    assert_eq!(summary["missing"]["user.country"], 1);
}

#[test]
fn explain_reads_lines_of_any_length_and_refuses_what_the_api_refuses() {
    let config = config(
        "[stream.c]\nsource.type = \"direct-put\"\n\
         destination = { type = \"folder\", path = \"out\" }\nbackup = { prefix = \"raw/\" }",
    );
    let fits = "x".repeat(RECORD_BYTES_MAX);
    let input = format!("{fits}\r\n{fits}x\n{fits}{fits}{fits}\n\r\n\n{fits}\nlast");
    let said = explained(&config, input.as_bytes(), true);
    let outcome = |line: &str| {
        let said: Value = serde_json::from_str(line).unwrap();
        (
            said["line"].as_u64().unwrap(),
            said["outcome"].as_str().unwrap().to_owned(),
        )
    };
    let (records, summary) = said.trim_end().rsplit_once('\n').unwrap();
    assert!(summary.contains("\"refused\":2"), "{summary}");
    let outcomes: Vec<(u64, String)> = records.lines().map(outcome).collect();
    let expected = [
        (1, "delivered"),
        (2, "refused"),
        (3, "refused"),
        (6, "delivered"),
        (7, "delivered"),
    ];
    assert_eq!(
        outcomes,
        expected.map(|(line, word)| (line, word.to_owned()))
    );
    assert!(
        said.contains("\"backup\":\"out/raw/2026/11/22/06/c-1-"),
        "{said:.300}"
    );
}

#[test]
fn explain_shows_no_control_character_of_a_record() {
    let config = config(
        "[stream.c]\nsource.type = \"direct-put\"\npartitioning.query = \"{k: .k}\"\n\
         destination = { type = \"folder\", path = \"out\", \
         prefix = \"!{partitionKeyFromQuery:k}/\", \
         error_prefix = \"e/!{firehose:error-output-type}/\" }",
    );
    let text = explained(&config, br#"{"k":"\u001b[2J\u0007"}"#, false);
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
}

/// The stream of `config` with the guest of the transforms' tests as its modules, `count` in a row.
pub(super) fn with_guests(config: &mut Config, dir: &Path, count: usize) {
    let guest = wat::parse_str(include_str!("../transform/tests/guest.wat")).unwrap();
    std::fs::write(dir.join("guest.wasm"), guest).unwrap();
    let settings = TransformSettings::of(dir.join("guest.wasm"));
    let stream = config.streams.values_mut().next().unwrap();
    stream.transforms = vec![settings; count];
}

#[test]
fn explain_shows_what_each_transform_makes_of_a_record_and_where_that_goes() {
    let mut config = config(
        "[stream.c]\nsource.type = \"direct-put\"\npartitioning.query = \"{k: .k}\"\n\
         destination = { type = \"folder\", path = \"out\", \
         prefix = \"!{partitionKeyFromQuery:k}/\", \
         error_prefix = \"e/!{firehose:error-output-type}/\" }\nbackup = { prefix = \"raw/\" }",
    );
    let dir = tempfile::tempdir().unwrap();
    with_guests(&mut config, dir.path(), 2);
    let input = b"{\"k\":1}\n2 is no JSON\ndrop\nfail\n";
    let said = explained(&config, input, true);
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outcomes = |said: &Value, list: &str| -> Vec<(Value, Value)> {
        let list = said[list].as_array().unwrap().iter();
        list.map(|it| (it["output"].clone(), it["outcome"].clone()))
            .collect()
    };
    let ok = |output: Value| (output, "ok".into());
    assert_eq!(
        outcomes(&said[0], "transforms"),
        [ok(Value::Null), ok(0.into())]
    );
    assert_eq!(
        outcomes(&said[0], "deliveries"),
        [(0.into(), "delivered".into())]
    );
    assert!(
        said[0]["deliveries"][0]["object"]
            .as_str()
            .unwrap()
            .starts_with("out/1/c-1-")
    );
    assert!(said[0]["backup"].as_str().unwrap().starts_with("out/raw/"));
    // Two outputs, of which the second module makes two each; the query fails them all.
    assert_eq!(
        outcomes(&said[1], "transforms"),
        [ok(Value::Null), ok(0.into()), ok(1.into())]
    );
    assert_eq!(said[1]["transforms"][0]["out"][1], "2 is no JSON");
    let failed = |output: u32| (output.into(), "failed".into());
    assert_eq!(
        outcomes(&said[1], "deliveries"),
        [failed(0), failed(1), failed(2), failed(3)]
    );
    assert_eq!(said[1]["deliveries"][3]["errorRecord"]["outputIndex"], 3);
    assert_eq!(said[2]["dropped"], 1);
    assert_eq!(outcomes(&said[2], "deliveries"), []);
    let failed = &said[3]["deliveries"][0];
    assert_eq!(failed["errorOutputType"], "processing-failed");
    assert_eq!(failed["output"], Value::Null);
    assert_eq!(
        failed["errorRecord"]["transformErrorCode"],
        "Transform.RecordFailed"
    );
    assert_eq!(
        said[3]["transforms"][0]["errorCode"],
        "Transform.RecordFailed"
    );
    let text = explained(&config, input, false).replace(&dir.path().display().to_string(), "");
    let dropped = "3: transformed\n   /guest.wasm: dropped\n   1 dropped\n   backup  ";
    assert!(text.contains(dropped), "{text}");
    let first = "1: transformed\n   /guest.wasm: ok\n      out     {\"k\":1}\n   \
                 /guest.wasm of output 0: ok\n      out     {\"k\":1}\n   output 0 delivered\n      \
                 keys    k=1\n      object  out/1/";
    assert!(text.starts_with(first), "{text}");
    let last = "1 delivered, 1 dropped, 5 failed, 0 refused\n   \
                4 metadata-extraction-failed, DynamicPartitioning.MetadataExtractionFailed: Non JSON \
                record provided\n   1 processing-failed, Lambda.ProcessingFailedStatus, \
                Transform.RecordFailed in /guest.wasm: ";
    assert!(text.contains(last), "{text}");
}

#[test]
fn check_tells_every_module_that_cannot_be_used() {
    let mut config = config(
        "[stream.c]\nsource.type = \"direct-put\"\n\
         destination = { type = \"folder\", path = \"out\" }",
    );
    let dir = tempfile::tempdir().unwrap();
    with_guests(&mut config, dir.path(), 3);
    let transforms = &mut config.streams.get_mut("c").unwrap().transforms;
    transforms[1].config = "{\"refuse\":1}".to_owned();
    transforms[2] = TransformSettings::of(dir.path().join("none.wasm"));
    let spans = SpanMap::default();
    let faults = settings::check_modules(&config, &spans)
        .unwrap()
        .to_string();
    let faults = faults.replace(&dir.path().display().to_string(), "");
    let refused = "stream c: transform module /guest.wasm: configure: refused as configured";
    assert!(faults.contains(refused), "{faults}");
    let missing = "stream c: transform module /none.wasm: No such file";
    assert!(faults.contains(missing), "{faults}");
}

#[test]
fn explain_names_the_streams_when_asked_for_another() {
    let (exit, _, err) = firehose(&["explain", "clickz", "-", "--config", SHIPPED]);
    assert_eq!(exit, Exit::Usage);
    let expected = "error: the config has no stream \"clickz\"; did you mean \"clicks\"? allowed: \
                    \"clicks\"\n";
    assert_eq!(err, expected);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let arguments = ["firehose", "check", "--config", SHIPPED].map(Into::into);
    let mut err = Vec::new();
    assert_eq!(run(arguments, &mut Closed, &mut err), Exit::Done);
    assert_eq!(err, b"");
}
