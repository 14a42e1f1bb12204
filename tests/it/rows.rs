//! Rows as text and as Avro: other people's readers find in them what they find in the same rows as Parquet.

use std::path::Path;
use std::process::Command;

use firehose::config::{ColumnSettings, FormatSettings};
use firehose::format::{
    AvroCompression, AvroSettings, Compression, CsvSettings, Format, Head, ParquetCompression,
    ParquetOptions, ParquetSettings, Shape,
};
use firehose::position::Position;
use firehose::record::Record;
use serde_json::{Map, Value, json};

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::http::{metric, put_record};
use crate::support::lake;
use crate::support::python::python;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/rows.py");

/// A column: its name, its type, the same for `DuckDB`, and values as a record has them.
type Column = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const COLUMNS: &[Column] = &[
    ("b", "boolean", "BOOLEAN", &["true", "false"]),
    ("t", "tinyint", "TINYINT", &["-128", "127", "0"]),
    ("s", "smallint", "SMALLINT", &["-32768", "32767"]),
    ("i", "int", "INTEGER", &["-2147483648", "2147483647"]),
    (
        "l",
        "bigint",
        "BIGINT",
        &["-9223372036854775808", "9223372036854775807"],
    ),
    (
        "f",
        "float",
        "FLOAT",
        &["1.1", "-3.4028235e38", "1e-45", "16777216"],
    ),
    (
        "d",
        "double",
        "DOUBLE",
        &["0.1", "-1.7976931348623157e308", "5e-324", "-0.0"],
    ),
    (
        "c",
        "decimal(38,5)",
        "DECIMAL(38,5)",
        &[
            "\"999999999999999999999999999999999.99999\"",
            "\"-999999999999999999999999999999999.99999\"",
            "0.00001",
            "-1",
            "128",
            "-128",
        ],
    ),
    (
        "e",
        "decimal(5,2)",
        "DECIMAL(5,2)",
        &["999.99", "-999.99", "-0.01"],
    ),
    ("x", "string", "VARCHAR", TEXTS),
    ("v", "varchar(20)", "VARCHAR", TEXTS),
    (
        "y",
        "binary",
        "BLOB",
        &["\"\"", "\"AAECAwT/\"", "\"IiwKDQ==\""],
    ),
    (
        "z",
        "date",
        "DATE",
        &[
            "\"0001-01-01\"",
            "\"9999-12-31\"",
            "\"1582-10-10\"",
            "\"1969-12-31\"",
        ],
    ),
    (
        "ts",
        "timestamp",
        "TIMESTAMPTZ",
        &[
            "\"0001-01-01T00:00:00Z\"",
            "\"9999-12-31T23:59:59.999999Z\"",
            "\"1969-12-31T23:59:59.9Z\"",
            "\"1969-12-31T23:59:59.999999Z\"",
            "\"1970-01-01T00:00:00.000001Z\"",
            "1788744123.654321",
            "0",
            "\"2026-03-29T03:00:00+02:00\"",
        ],
    ),
    (
        "a",
        "array<array<int>>",
        "INTEGER[][]",
        &["[]", "[[1,null,-3],[],null]", "[[]]"],
    ),
    (
        "m",
        "map<string,struct<k:decimal(3,1),w:string>>",
        "MAP(VARCHAR, STRUCT(k DECIMAL(3,1), w VARCHAR))",
        &["{}", r#"{"a":{"k":1.5,"w":"\"'\n,;"},"é\"\\":null,"":{}}"#],
    ),
    (
        "n",
        "map<int,string>",
        "MAP(INTEGER, VARCHAR)",
        &["{}", r#"{"1":"a","-2":null,"3":""}"#],
    ),
    (
        "o",
        "struct<p:string,q:array<timestamp>,r:map<date,double>,u:struct<w:binary>>",
        "STRUCT(p VARCHAR, q TIMESTAMPTZ[], r MAP(DATE, DOUBLE), u STRUCT(w VARCHAR))",
        &[
            "{}",
            r#"{"p":"x","q":[0,"1969-12-31T23:59:59.500001Z",null],"r":{"2026-02-28":0.1},"u":{"w":null}}"#,
        ],
    ),
];

/// Texts that are something else to somebody.
const TEXTS: &[&str] = &[
    r#""""#,
    r#"" ""#,
    r#""NULL""#,
    r#""\\N""#,
    r#""null""#,
    r#""a\"b""#,
    r#""\"""#,
    r#""it's""#,
    r#""''""#,
    r#""a,b;c""#,
    r#""line\nend""#,
    r#""cr\r\nlf\r""#,
    r#""\t tab ""#,
    r#""\\""#,
    r##""# no comment""##,
    r#""é 😀 \u202e \u0085""#,
    r#""=1+1""#,
    r#""1e5""#,
    r#""\u0001\u007f""#,
];

/// A record for each value of each column, the others being what comes in turn, and some of nulls alone.
fn records() -> Vec<String> {
    let most = COLUMNS
        .iter()
        .map(|(.., values)| values.len())
        .max()
        .unwrap();
    let mut records = vec!["{}".to_owned()];
    for turn in 0..3 * most {
        let mut record = Map::new();
        for (at, (name, _, _, values)) in COLUMNS.iter().enumerate() {
            // Every fourth value is left out, another one in each record.
            if (turn + at) % 4 != 0 {
                let value = values[turn % values.len()];
                record.insert((*name).to_owned(), serde_json::from_str(value).unwrap());
            }
        }
        records.push(Value::Object(record).to_string());
    }
    records
}

/// The object of these records, all of which fit.
fn object(settings: &FormatSettings, records: &[String]) -> Vec<u8> {
    let format = Format::compile(settings).unwrap();
    assert_ne!(format.shape(), Shape::Blocks);
    let mut block = Vec::new();
    for data in records {
        let record = Record::new(data.as_bytes(), 0, Position::default());
        format.stage(&record, &mut block);
    }
    let (mut block, mut out) = (Some(block), Vec::new());
    let fitted = format.encode_object(
        &mut format.encoder(),
        &Head::default(),
        &mut || Ok(block.take().map(Into::into)),
        &mut out,
        &mut |record, failure| panic!("{}: {failure:?}", String::from_utf8_lossy(record.data)),
    );
    assert_eq!(fitted.unwrap(), records.len() as u64);
    out
}

fn csv(compression: Compression, schema: &str) -> CsvSettings {
    CsvSettings {
        compression,
        columns: ColumnSettings::of(schema),
        header: true,
        delimiter: ',',
        quote: '"',
        null: String::new(),
    }
}

#[test]
fn rows_as_text_and_as_avro_read_as_they_do_from_parquet() {
    let schema: Vec<_> = COLUMNS
        .iter()
        .map(|(name, kind, ..)| format!("{name} {kind}"))
        .collect();
    let schema = schema.join(", ");
    let records = records();
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, settings: FormatSettings| {
        std::fs::write(dir.path().join(name), object(&settings, &records)).unwrap();
    };
    let parquet = ParquetSettings {
        compression: ParquetCompression::Snappy,
        options: ParquetOptions::default(),
        columns: ColumnSettings::of(schema.clone()),
    };
    put("object.parquet", parquet.into());
    put("object.csv", csv(Compression::None, &schema).into());
    put("object.csv.gz", csv(Compression::Gzip, &schema).into());
    put("object.csv.zst", csv(Compression::Zstd, &schema).into());
    let other = CsvSettings {
        header: false,
        delimiter: ';',
        quote: '\'',
        null: "\\N".to_owned(),
        ..csv(Compression::None, &schema)
    };
    put("other.csv", other.into());
    for (name, compression) in [
        ("none", AvroCompression::None),
        ("deflate", AvroCompression::Deflate),
        ("snappy", AvroCompression::Snappy),
        ("zstandard", AvroCompression::Zstandard),
    ] {
        let avro = AvroSettings {
            compression,
            columns: ColumnSettings::of(schema.clone()),
        };
        put(&format!("{name}.avro"), avro.into());
    }
    let count = records.len();
    let expected = json!({
        "object.csv duckdb": count, "object.csv.gz duckdb": count, "object.csv.zst duckdb": count,
        "other.csv duckdb": count,
        "object.csv pyarrow": count, "object.csv.gz pyarrow": count, "other.csv pyarrow": count,
        "none.avro fastavro": count, "deflate.avro fastavro": count, "snappy.avro fastavro": count,
        "zstandard.avro fastavro": count,
        "none.avro avro": count, "deflate.avro avro": count,
    });
    assert_eq!(read(dir.path()), expected);
}

/// What the script says of the objects in a folder.
fn read(dir: &Path) -> Value {
    let columns: Vec<_> = COLUMNS
        .iter()
        .map(|(name, _, kind, _)| json!([name, kind]))
        .collect();
    let columns = Value::Array(columns).to_string();
    let mut command = Command::new(python());
    let printed = succeed(command.arg(SCRIPT).arg(dir).arg(columns));
    serde_json::from_slice(&printed).unwrap()
}

/// What lies raw in the spool when the process dies is encoded by the next one.
#[test]
fn a_daemon_that_dies_delivers_text_and_avro_once_and_elsewhere_what_does_not_fit() {
    let stream = |name: &str, format: &str| {
        format!(
            r#"
[stream.{name}]
source.type = "direct-put"
buffering = {{ size = "64MiB", interval = "900s" }}
format = {{ {format}, schema = "id bigint, note string" }}
destination = {{ type = "folder", path = "lake", prefix = "{name}/", error_prefix = "{name}-errors/" }}
"#
        )
    };
    let site = Site::new(&format!(
        "state_dir = \"state\"\n{}{}",
        stream(
            "text",
            r#"type = "csv", compression = "gzip", delimiter = "\t", null = "-""#
        ),
        stream("avro", r#"type = "avro""#),
    ));
    let records = [
        r#"{"id":1,"note":"a\tb"}"#,
        r#"{"id":"no number"}"#,
        r#"{"id":2}"#,
        r#"{"id":3,"note":"-"}"#,
    ];
    let put = |records: &[&str]| {
        for (stream, record) in ["text", "avro"]
            .into_iter()
            .flat_map(|stream| records.iter().map(move |record| (stream, record)))
        {
            let reply = put_record(site.address, stream, record.as_bytes()).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    };
    let mut doomed = site.start();
    put(&records[..3]);
    let spooled = |stream: &str| {
        metric(
            site.address,
            &format!("firehose_spool_bytes{{stream=\"{stream}\"}}"),
        ) > 0.0
    };
    let all_spooled = || spooled("text") && spooled("avro");
    doomed
        .until("the records are in the spool", all_spooled)
        .unwrap();
    doomed.kill();
    let daemon = site.start();
    put(&records[3..]);
    daemon.drain();
    let lake = site.path("lake");
    for stream in ["text", "avro"] {
        let failed = lake::failed_records(&lake, &format!("{stream}-errors"));
        assert_eq!(failed, [records[1].as_bytes()], "{stream}");
    }
    let one = |stream: &str| {
        let mut objects = lake::objects(&lake, stream);
        assert_eq!(objects.len(), 1, "{objects:?}");
        objects.remove(0)
    };
    let (text, avro) = (one("text"), one("avro"));
    assert!(text.to_str().unwrap().ends_with(".csv.gz"), "{text:?}");
    assert_eq!(avro.extension().unwrap(), "avro", "{avro:?}");
    let text = succeed(Command::new("zcat").arg(text));
    let expected = "id\tnote\n1\t\"a\tb\"\n2\t-\n3\t\"-\"\n";
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    let script = "import fastavro, json, sys\n\
                  print(json.dumps(list(fastavro.reader(open(sys.argv[1], 'rb')))))";
    let rows = succeed(Command::new(python()).args(["-c", script]).arg(avro));
    let rows: Value = serde_json::from_slice(&rows).unwrap();
    let expected = json!([
        {"id": 1, "note": "a\tb"}, {"id": 2, "note": null}, {"id": 3, "note": "-"},
    ]);
    assert_eq!(rows, expected);
}
