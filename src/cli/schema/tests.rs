//! `schema` from arguments to exit code.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::super::Exit;
use super::super::tests::firehose;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/firehose.toml");

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with a sample, and what `schema infer` says of it.
fn inferred(sample: &str, arguments: &[&str]) -> (Exit, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sample.json");
    fs::write(&file, sample).unwrap();
    let arguments: Vec<&str> = ["schema", "infer", text(&file)]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    firehose(&arguments)
}

const SAMPLE: &str = r#"{"id":1,"at":"2026-11-22T10:00:00Z","user":{"name":"x","tags":[]},"a b":1}
{"id":2,"at":"2026-11-23","user":{"name":null,"age":7},"odd":1,"nil":null}
not JSON
{"id":3.5,"odd":"x","at":null}
[1]
"#;

#[test]
fn infer_prints_columns_and_says_what_it_saw() {
    let (exit, out, err) = inferred(SAMPLE, &[]);
    assert_eq!(exit, Exit::Done, "{err}");
    let columns = "id double,\nat timestamp,\nuser struct<name:string,age:bigint>,\nodd string\n";
    assert_eq!(out, columns);
    let expected = "\
seen in 3 records:
  id         in 3: integer 2, fraction 1 → double
  at         in 3: null 1, date 1, timestamp 1 → timestamp
  user       in 2 of 3: object 2 → struct<name:string,age:bigint>
  user.name  in 2: null 1, text 1 → string
  user.age   in 1 of 2: integer 1 → bigint
  odd        in 2 of 3: integer 1, text 1 → string; has values of several kinds, which only a text takes
in no column:
  user.tags  in 1 of 2: array 1; has only empty objects or arrays
  a b        in 1 of 3: integer 1; has a name that Hive does not take
  nil        in 1 of 3: null 1; is null wherever it is
not fit for any column: 2
  line 3: is not JSON: `true`, `false` or `null` was expected at byte 0
  line 5: Data does not match the schema. expected a JSON object, found 1.
";
    assert_eq!(err, expected);
}

#[test]
fn infer_says_the_same_to_machines() {
    let (exit, out, err) = inferred(SAMPLE, &["--json"]);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["records"], 3);
    assert_eq!(
        said["columns"][1],
        json!({"name": "at", "type": "timestamp"})
    );
    assert!(said["schema"].as_str().unwrap().starts_with("id double,\n"));
    let odd = said["seen"].as_array().unwrap();
    let odd = odd.iter().find(|seen| seen["path"] == "odd").unwrap();
    let expected = json!({
        "path": "odd", "type": "string", "values": 2, "of": 3,
        "seen": {"integer": 1, "text": 1}, "remarks": ["conflict"],
    });
    assert_eq!(*odd, expected);
    assert_eq!(
        (&said["refusals"], &said["refused"][0]["line"]),
        (&json!(2), &json!(3))
    );
    // The same sample, the same words.
    assert_eq!(inferred(SAMPLE, &["--json"]).1, out);
}

#[test]
fn infer_reads_no_more_than_it_is_told() {
    let (exit, out, err) = inferred(SAMPLE, &["--records", "1"]);
    assert_eq!(exit, Exit::Done);
    assert_eq!(out, "id bigint,\nat timestamp,\nuser struct<name:string>\n");
    assert!(
        err.starts_with("seen in 1 record (stopped at --records 1):\n"),
        "{err}"
    );
    let (exit, out, err) = inferred(SAMPLE, &["--bytes", "100"]);
    assert_eq!((exit, out.lines().count()), (Exit::Done, 3));
    assert!(
        err.starts_with("seen in 1 record (stopped at --bytes 100B):\n"),
        "{err}"
    );
}

#[test]
fn a_sample_without_any_column_is_a_failure() {
    for sample in ["", "{}\n{\"a\":null}", "nonsense"] {
        let (exit, out, err) = inferred(sample, &[]);
        assert_eq!((exit, out.as_str()), (Exit::Failed, ""), "{sample}");
        let last = "error: nothing in the sample has a type, so there is no column\n";
        assert!(err.ends_with(last), "{err}");
    }
    let (exit, _, err) = firehose(&["schema", "infer", "no/such.json"]);
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("no/such.json cannot be opened"), "{err}");
}

/// What `schema show` says of the stream of a config with these tables.
fn shown(tables: &str, arguments: &[&str]) -> (Exit, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("firehose.toml");
    let config = format!("[stream.\"my.clicks\".source]\ntype = \"direct-put\"\n{tables}");
    fs::write(
        &file,
        config.replace("[stream.X.", "[stream.\"my.clicks\"."),
    )
    .unwrap();
    let arguments: Vec<&str> = ["schema", "show", "my.clicks", "--config", text(&file)]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    firehose(&arguments)
}

const COLUMNS: &str = r#"
[stream.X.format]
type = "parquet"
schema = "id string, `order` bigint, day date, user struct<name:string>"
"#;

fn bucket(prefix: &str) -> String {
    format!(
        "[stream.X.destination]\ntype = \"s3\"\nbucket = \"lake\"\nregion = \"eu-central-1\"\n\
         prefix = \"{prefix}\"\nerror_prefix = \"errors/!{{firehose:error-output-type}}/\"\n"
    )
}

#[test]
fn show_prints_columns_that_the_config_takes_again() {
    let tables = format!("{COLUMNS}{}", bucket("c/"));
    let (exit, out, err) = shown(&tables, &[]);
    let expected = "`id` string,\n`order` bigint,\n`day` date,\n`user` struct<`name`:string>\n";
    assert_eq!(
        (exit, out.as_str(), err.as_str()),
        (Exit::Done, expected, "")
    );
    let (_, again, _) = shown(
        &format!("{COLUMNS}{}", bucket("c/")).replace(
            "id string, `order` bigint, day date, user struct<name:string>",
            &out.replace('\n', " "),
        ),
        &["--as", "hive"],
    );
    assert_eq!(again, out);
    let (_, out, _) = shown(&tables, &["--as", "spark"]);
    let expected = "`id` STRING,\n`order` BIGINT,\n`day` DATE,\n`user` STRUCT<`name`:STRING>\n";
    assert_eq!(out, expected);
    let (_, out, _) = shown(&tables, &["--as", "json"]);
    let said: Value = serde_json::from_str(&out).unwrap();
    let expected = json!({
        "stream": "my.clicks", "format": "parquet", "location": "s3://lake/c/",
        "columns": [
            {"name": "id", "type": "string"}, {"name": "order", "type": "bigint"},
            {"name": "day", "type": "date"}, {"name": "user", "type": "struct<name:string>"},
        ],
        "partitions": [{"name": "dt", "of": "arrival", "pattern": "yyyy/MM/dd/HH"}],
        "template": "${dt}/", "hivePartitions": false,
    });
    assert_eq!(said, expected);
}

#[test]
fn show_declares_the_table_of_the_shipped_stream() {
    let (exit, out, err) = firehose(&[
        "schema", "show", "clicks", "--as", "athena", "--config", SHIPPED,
    ]);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    let (remarks, statement) = out.split_once("CREATE").unwrap();
    assert!(
        remarks.contains("data/out/clicks/ is on this machine"),
        "{remarks}"
    );
    assert!(
        remarks.contains("column event_type is left out"),
        "{remarks}"
    );
    assert!(
        remarks.contains("each query must say event_type = "),
        "{remarks}"
    );
    assert!(
        !statement
            .split_once("PARTITIONED BY")
            .unwrap()
            .0
            .contains("event_type")
    );
}

#[test]
fn partitions_of_a_prefix_are_projected() {
    let prefix = "c/k=!{partitionKeyFromQuery:k}/year=!{timestamp:yyyy}/month=!{timestamp:MM}/";
    let query = "[stream.X.partitioning]\nquery = \"{k: .id}\"\ntime_zone = \"Europe/Berlin\"\n";
    let (_, out, _) = shown(
        &format!("{COLUMNS}{query}{}", bucket(prefix)),
        &["--as", "athena"],
    );
    let expected = r"-- each query must say k = '…'; where there are few values, list them instead: 'projection.k.type' = 'enum', 'projection.k.values' = 'a,b'
-- partitions begin with the year 2020: fewer years are faster
-- times in keys are those of Europe/Berlin
CREATE EXTERNAL TABLE `my_clicks` (
  `id` string,
  `order` bigint,
  `day` date,
  `user` struct<`name`:string>
)
PARTITIONED BY (
  `k` string,
  `year` int,
  `month` int
)
STORED AS PARQUET
LOCATION 's3://lake/c/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.k.type' = 'injected',
  'projection.year.type' = 'integer',
  'projection.year.range' = '2020,2040',
  'projection.year.digits' = '4',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'storage.location.template' = 's3://lake/c/k=${k}/year=${year}/month=${month}/'
);
";
    assert_eq!(out, expected);

    let prefix = "c/day=!{timestamp:yyyy-MM-dd'T'HH}/";
    let (_, out, _) = shown(&format!("{COLUMNS}{}", bucket(prefix)), &["--as", "athena"]);
    let expected = r"-- partitions begin with the year 2020: fewer years are faster
-- column day is left out: the partition of that name stands for it
CREATE EXTERNAL TABLE `my_clicks` (
  `id` string,
  `order` bigint,
  `user` struct<`name`:string>
)
PARTITIONED BY (
  `day` string
)
STORED AS PARQUET
LOCATION 's3://lake/c/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.day.type' = 'date',
  'projection.day.format' = 'yyyy-MM-dd\'T\'HH',
  'projection.day.range' = '2020-01-01T00,NOW',
  'projection.day.interval' = '1',
  'projection.day.interval.unit' = 'HOURS',
  'storage.location.template' = 's3://lake/c/day=${day}/'
);
";
    assert_eq!(out, expected);
}

#[test]
fn partitions_that_nobody_can_know_are_found_or_not_declared() {
    let of = |prefix: &str| shown(&format!("{COLUMNS}{}", bucket(prefix)), &["--as", "athena"]).1;
    let out = of("c/r=!{firehose:random-string}/");
    assert!(out.contains("MSCK REPAIR TABLE `my_clicks`"), "{out}");
    assert!(
        out.contains("PARTITIONED BY (\n  `r` string\n)\nSTORED") && !out.contains("projection")
    );
    let out = of("c/!{firehose:random-string}/");
    assert!(
        out.contains("all objects are read") && !out.contains("PARTITIONED"),
        "{out}"
    );
    let out = of("c/x-!{firehose:random-string}");
    assert!(
        out.contains("\nLOCATION 's3://lake/c/';\n") && !out.contains("PARTITIONED"),
        "{out}"
    );
}

#[test]
fn a_stream_without_columns_is_told_what_to_write() {
    let (exit, out, err) = shown(&bucket("c/"), &[]);
    assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
    let expected =
        "error: stream \"my.clicks\" has no schema: its format, json, declares no columns\n";
    assert!(err.starts_with(expected), "{err}");
    assert!(err.contains("type = \"parquet\""), "{err}");
    assert!(
        err.contains("firehose schema show my.clicks --columns columns.sql"),
        "{err}"
    );

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("columns.sql");
    fs::write(&file, "id bigint,\nname string\n").unwrap();
    let of = |tables: &str| {
        let tables = format!("{tables}{}", bucket("c/"));
        shown(&tables, &["--as", "athena", "--columns", text(&file)])
    };
    let (exit, out, err) = of("[stream.X.format]\ncompression = \"gzip\"\n");
    assert_eq!(exit, Exit::Done, "{err}");
    let serde = "\nROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\nSTORED AS TEXTFILE\nLOCATION 's3://lake/c/'\n";
    assert!(
        out.contains(serde) && out.contains("  `id` bigint,\n"),
        "{out}"
    );
    let (exit, _, err) = of("[stream.X.format]\ncompression = \"zip\"\n");
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("do not read compression = \"zip\""), "{err}");
    let (exit, _, err) = of("[stream.X.format]\ntype = \"raw\"\n");
    assert!(
        exit == Exit::Usage && err.contains("no table can be declared over raw objects"),
        "{err}"
    );
    let (exit, _, err) = of(COLUMNS);
    assert!(
        exit == Exit::Usage && err.contains("leave --columns out"),
        "{err}"
    );
    fs::write(&file, "id bigit").unwrap();
    let (exit, _, err) = of("");
    assert!(
        exit == Exit::Usage && err.contains("columns.sql: unknown type `bigit`"),
        "{err}"
    );
}

#[test]
fn tables_over_other_formats_say_how_their_objects_are_read() {
    let of = |format: &str, prefix: &str| {
        let tables = format!("[stream.X.format]\n{format}\n{}", bucket(prefix));
        shown(&tables, &["--as", "athena"])
    };
    let schema = "schema = \"id bigint, at timestamp, k map<int,string>\"";
    let (exit, out, err) = of(
        &format!("type = \"csv\"\ndelimiter = \";\"\n{schema}"),
        "c/",
    );
    assert_eq!(exit, Exit::Done, "{err}");
    let expected = r#"CREATE EXTERNAL TABLE `my_clicks` (
  `id` string,
  `at` string,
  `k` string
)
PARTITIONED BY (
  `dt` string
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'
WITH SERDEPROPERTIES (
  'separatorChar' = ';',
  'quoteChar' = '"',
  'escapeChar' = '\\'
)
STORED AS TEXTFILE
LOCATION 's3://lake/c/'
TBLPROPERTIES (
"#;
    assert!(out.contains(expected), "{out}");
    assert!(
        out.contains("\n  'skip.header.line.count' = '1'\n);\n"),
        "{out}"
    );
    assert!(out.contains("-- every column is a text there"), "{out}");

    let (exit, out, err) = of(&format!("type = \"avro\"\n{schema}"), "c/");
    assert_eq!(exit, Exit::Done, "{err}");
    for part in [
        "(\n  `id` bigint,\n  `at` bigint,\n  `k` array<struct<`key`:int,`value`:string>>\n)\n",
        "\nROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.avro.AvroSerDe'\nWITH SERDEPROPERTIES (\n  'avro.schema.literal' = '{",
        "}'\n)\nSTORED AS AVRO\nLOCATION 's3://lake/c/'\n",
        "-- times are microseconds since 1970 there",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }

    let format = "type = \"csv\"\nschema = \"id bigint, day string\"";
    let (exit, _, err) = of(format, "c/day=!{timestamp:yyyy}/");
    assert!(
        exit == Exit::Usage && err.contains("column day is called like a partition"),
        "{err}"
    );
    let format = "type = \"csv\"\ncompression = \"zip\"\nschema = \"id bigint, a int\"";
    let (exit, _, err) = of(format, "c/");
    assert!(
        exit == Exit::Usage && err.contains("do not read compression = \"zip\""),
        "{err}"
    );
}
