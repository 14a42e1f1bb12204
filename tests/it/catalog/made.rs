//! Tables that are made over objects which Hive's classes read otherwise than Parquet: what they say of the objects, held
//! against the objects by others.

use std::process::Command;

use serde_json::{Value, json};

use super::{HIVE, ToTable, all_told, send};
use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::moto::{GlueDatabase, Moto};
use crate::support::python::python;
use crate::support::servers::{Bucket, Weed};

/// The rows of all objects of a table that Glue has, as its own classes would read them: of CSV by place, of Avro by the
/// schema that the table says.
const READ: &str = r#"
import csv, glob, json, sys
import fastavro
table = json.loads(sys.argv[2])
storage = table["StorageDescriptor"]
names = [column["Name"] for column in storage["Columns"]]
parameters = storage["SerdeInfo"]["Parameters"]
rows = []
for name in glob.glob(f"{sys.argv[1]}/**/*.{sys.argv[3]}", recursive=True):
    if sys.argv[3] == "avro":
        with open(name, "rb") as file:
            schema = json.loads(parameters["avro.schema.literal"])
            for row in fastavro.reader(file, reader_schema=schema):
                row = {key.lower(): value for key, value in row.items()}
                rows.append({name: row[name] for name in names} if set(row) == set(names) else sorted(row))
    else:
        with open(name, newline="") as file:
            found = list(csv.reader(
                file, delimiter=parameters["separatorChar"], quotechar=parameters["quoteChar"]))
            skipped = int(table["Parameters"]["skip.header.line.count"])
            rows += [dict(zip(names, row, strict=True)) for row in found[skipped:]]
# Hive's readers know no times in microseconds: a number is a number.
micros = lambda time: round(time.timestamp() * 1e6)
print(json.dumps(sorted(rows, key=lambda row: int(row["id"])), default=micros))
"#;

/// Makes a table over objects of a format; the rows that others find by what it says.
fn rows(bucket: &Bucket, database: &GlueDatabase, extension: &str, format: &str) -> (Value, Value) {
    let lines = database.lines("clicks", &database.endpoint);
    let to_table = ToTable {
        bucket,
        prefix: HIVE,
        catalog: Some(format!("{lines}\ncreate = true")),
    };
    let parquet = "type = \"parquet\"\nschema = \"id bigint, k string, tags array<string>\"";
    let site = Site::new(&to_table.settings().replace(parquet, format));
    let mut daemon = site.start();
    send(&mut daemon, &["a;\"b\"", "c"], 2026);
    all_told(&site, &mut daemon, "2", "2");
    daemon.drain();
    let table = database.table("clicks");
    let dir = tempfile::tempdir().unwrap();
    bucket.download(dir.path());
    let mut command = Command::new(python());
    command.args(["-c", READ]).arg(dir.path().join("clicks"));
    let found = succeed(command.args([&table.to_string(), extension]));
    (table, serde_json::from_slice(&found).unwrap())
}

#[test]
fn a_table_over_avro_has_a_schema_by_which_objects_are_read_and_no_partition_in_it() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let format = "type = \"avro\"\nschema = \"id smallint, k string, ts timestamp\"";
    let (table, rows) = rows(&bucket, &database, "avro", format);
    let columns = json!([{ "Name": "id", "Type": "int" }, { "Name": "ts", "Type": "bigint" }]);
    assert_eq!(table["StorageDescriptor"]["Columns"], columns);
    let ts = 1_795_341_600_000_000_i64;
    assert_eq!(rows, json!([{ "id": 0, "ts": ts }, { "id": 1, "ts": ts }]));
}

#[test]
fn a_table_over_csv_has_its_columns_in_their_places_as_texts() {
    let (bucket, database) = (Weed::shared().bucket(), Moto::shared().database());
    let format = "type = \"csv\"\ndelimiter = \";\"\nschema = \"id bigint, key string\"\n\
                  column_to_json_key = { key = \"k\" }";
    let (table, rows) = rows(&bucket, &database, "csv", format);
    let columns = ["id", "key"].map(|name| json!({ "Name": name, "Type": "string" }));
    assert_eq!(table["StorageDescriptor"]["Columns"], json!(columns));
    let expected = json!([{ "id": "0", "key": "a;\"b\"" }, { "id": "1", "key": "c" }]);
    assert_eq!(rows, expected);
}
