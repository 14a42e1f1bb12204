//! Records as people have them, brought to Parquet with no schema written by hand, and read as one table.

mod samples;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::http::metric;
use crate::support::lake::objects;
use crate::support::python::python;
use samples::{SHAPES, Shape, WIDER};

/// Events of a shape that come together.
const PHASE: u64 = 60;

/// The streams of all shapes. What comes first says what their columns are, and each phase becomes an object or more.
fn settings(lake: &Path) -> String {
    let lake = lake.display();
    let streams = SHAPES.iter().map(|shape| {
        let Shape {
            name, parse, first, ..
        } = shape;
        format!(
            r#"
[stream.{name}]
source.type = "direct-put"
{parse}
buffering = {{ size = "64MiB", interval = "0s" }}
format = {{ type = "parquet", schema = "infer", infer_records = {first}, infer_time = "1h" }}

[stream.{name}.destination]
type = "folder"
path = "{lake}"
prefix = "{name}/"
error_prefix = "errors/{name}/"
"#
        )
    });
    let streams: Vec<String> = streams.collect();
    format!("state_dir = \"state\"\n{}", streams.concat())
}

/// All objects of a shape as one table, by `DuckDB`: a list of texts for each row. How many schemas they have among
/// them; and how many rows `PyArrow` finds in them, or why it does not merge their columns.
const READ: &str = r#"
import json, pathlib, sys
import duckdb
import pyarrow as pa, pyarrow.dataset as ds, pyarrow.parquet as pq

def merged(files):
    schemas = [pq.read_schema(file).remove_metadata() for file in files]
    try:
        wide = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowInvalid as error:
        return str(error)
    except pa.ArrowTypeError as error:
        return str(error)
    return ds.dataset(files, schema=wide).to_table().num_rows

found = {}
for shape, fields in json.loads(sys.argv[2]).items():
    files = sorted(str(file) for file in pathlib.Path(sys.argv[1], shape).rglob("*.parquet"))
    texts = ", ".join(f"({field})::varchar" for field in fields)
    rows = duckdb.sql(f"select {texts} from read_parquet({files}, union_by_name = true, hive_partitioning = false)")
    schemas = {str(pq.read_schema(file).remove_metadata()) for file in files}
    found[shape] = {
        "rows": sorted(rows.fetchall(), key=lambda row: row[0]),
        "schemas": len(schemas),
        "merged": merged(files),
    }
print(json.dumps(found))
"#;

/// What is asked of a row, as the event has it. An object or an array is asked for by what is in it.
fn expected(event: &Value, fields: &[(&str, &str)]) -> Value {
    let texts = fields
        .iter()
        .map(|(_, pointer)| match event.pointer(pointer) {
            None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => Value::Null,
            Some(Value::String(text)) => json!(text),
            Some(scalar) => json!(scalar.to_string()),
        });
    texts.collect()
}

#[test]
fn real_shapes_become_tables_that_are_queried_as_one_while_their_columns_grow() {
    // It stays, for the reader that `.ci/spark` starts.
    let lake = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shapes");
    drop(fs::remove_dir_all(&lake));
    let site = Site::new(&settings(&lake));
    let mut daemon = site.start();
    let of = |name: &str, shape: &Shape| {
        let series = format!("{name}{{stream=\"{}\"}}", shape.name);
        metric(site.address, &series)
    };
    for phase in 0..3 {
        let numbers = phase * PHASE..(phase + 1) * PHASE;
        assert_eq!(numbers.contains(&WIDER), phase == 2);
        for shape in SHAPES {
            let events: Vec<Value> = numbers.clone().map(shape.event).collect();
            daemon.take(shape.name, (shape.text)(&events).as_bytes());
        }
        for shape in SHAPES {
            let delivered = || of("firehose_delivered_records_total", shape);
            let all = f64::from(u32::try_from(numbers.end).unwrap());
            daemon.until(shape.name, || delivered() >= all).unwrap();
        }
    }
    for shape in SHAPES {
        let version = of("firehose_schema_version", shape);
        assert!(version >= 2.0, "{}: version {version}", shape.name);
    }
    daemon.drain();
    let failed = objects(&lake, "errors");
    assert!(failed.is_empty(), "{failed:?}");

    let fields = SHAPES.iter().map(|shape| {
        let fields = shape.fields.iter().map(|(field, _)| json!(field));
        (shape.name.to_owned(), fields.collect())
    });
    let fields = Value::Object(fields.collect::<Map<_, _>>()).to_string();
    let mut command = Command::new(python());
    let found = succeed(command.args(["-c", READ]).arg(&lake).arg(fields));
    let found: Value = serde_json::from_slice(&found).unwrap();
    let mut tables = Map::new();
    for shape in SHAPES {
        let name = shape.name;
        let events = (0..3 * PHASE).map(shape.event);
        let mut rows: Vec<Value> = events.map(|event| expected(&event, shape.fields)).collect();
        rows.sort_by_key(|row| row[0].as_str().unwrap().to_owned());
        let found = &found[name];
        for (found, row) in found["rows"].as_array().unwrap().iter().zip(&rows) {
            assert_eq!(found, row, "{name}");
        }
        assert_eq!(
            found["rows"].as_array().unwrap().len(),
            rows.len(),
            "{name}"
        );
        assert!(found["schemas"].as_u64().unwrap() >= 2, "{name}: {found}");
        match shape.unmerged {
            None => assert_eq!(found["merged"], json!(rows.len()), "{name}"),
            Some(why) => assert!(found["merged"].as_str().unwrap().contains(why), "{found}"),
        }
        if let Some(late) = shape.late {
            let at = shape.fields.iter().position(|(field, _)| *field == late);
            let values = rows.iter().filter(|row| !row[at.unwrap()].is_null());
            tables.insert(name.to_owned(), json!([rows.len(), late, values.count()]));
        }
    }
    fs::write(lake.join("tables.json"), Value::Object(tables).to_string()).unwrap();
}
