//! What Firehose's contract says of records that become columns (its deserializers, its types, the options of its
//! serializers): each row with examples in `contract/records.txt`, through the config, the decoder and whole objects.
//! Where it is otherwise here on purpose, the row names the words of the book that say so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use firehose::config::{self, FormatSettings};
use firehose::failure::Failure;
use firehose::format::{Format, Head, Row};
use firehose::position::{Position, Sequence};
use firehose::record::Record;
use firehose::registry::registry;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

const ROWS: &str = include_str!("contract/records.txt");
const BOTH: [&str; 2] = ["openx", "hive"];

/// What a line of examples is read under.
#[derive(Clone, Default)]
struct Given<'a> {
    row: &'a str,
    deserializers: Vec<&'a str>,
    options: Vec<&'a str>,
    schema: String,
    /// What follows are values of the column `c`.
    is_cell: bool,
}

/// A record and what is to become of it by the rules of one deserializer.
struct Example<'a> {
    line: &'a str,
    record: String,
    expected: Result<Vec<Value>, &'a str>,
}

impl<'a> Given<'a> {
    /// The settings of the format's table by these rules and with one key more. The error is what the config is told.
    fn settings(&self, deserializer: &str, more: &str) -> Result<FormatSettings, String> {
        let usual = [
            "type = \"parquet\"".to_owned(),
            format!("schema = '{}'", self.schema),
            format!("deserializer = \"{deserializer}\""),
        ];
        // A table of Glue's takes the place of columns that are written down.
        let key = |line: &str| {
            let key = line.split(' ').next().unwrap_or_default();
            key.replace("glue_table", "schema")
        };
        let usual = usual.iter().filter(|line| key(line) != key(more));
        let mut table: Vec<&str> = usual.map(String::as_str).collect();
        table.extend(self.options.iter().copied().chain([more]));
        let text = format!(
            "[stream.c]\nsource.type = \"direct-put\"\ndestination = {{ type = \"folder\", path = \"lake\" }}\n\
             [stream.c.format]\n{}\n",
            table.join("\n")
        );
        let read = config::parse(text, Path::new("firehose.toml"), &|_| None, &registry());
        let read = read.map_err(|faults| faults.to_string())?;
        let settings = read.config.streams["c"].format.clone();
        let compiled = Format::compile(&settings);
        let compiled = compiled.map_err(|fault| {
            let help = fault.help.as_deref().unwrap_or_default();
            format!("{}\n{help}", fault.message)
        });
        compiled.map(|_| settings)
    }

    /// What a line of examples says of each deserializer.
    fn examples(&self, line: &'a str) -> Vec<(&'a str, Example<'a>)> {
        let parts: Vec<&str> = line.split(" ; ").collect();
        let (written, expected) = parts.split_first().unwrap();
        assert_eq!(
            expected.len(),
            self.deserializers.len(),
            "{}: {line}",
            self.row
        );
        let mut examples = Vec::new();
        let mut said = "";
        for (deserializer, &text) in self.deserializers.iter().zip(expected) {
            said = if text == "=" { said } else { text };
            let record = if self.is_cell {
                format!("{{\"c\":{written}}}")
            } else {
                (*written).to_owned()
            };
            let expected = match said.strip_prefix("! ") {
                Some(words) => Err(words),
                None => Ok(self.rows(said)),
            };
            let example = Example {
                line,
                record,
                expected,
            };
            examples.push((*deserializer, example));
        }
        examples
    }

    /// The rows that a text says.
    fn rows(&self, text: &str) -> Vec<Value> {
        let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let values = values.map(|value| value.unwrap_or_else(|fault| panic!("{text}: {fault}")));
        let row = |value| {
            if self.is_cell {
                Value::Object([("c".to_owned(), value)].into_iter().collect())
            } else {
                value
            }
        };
        values.map(row).collect()
    }

    /// Holds each example against what becomes of it by itself, and all of them against one object.
    fn hold(&self, deserializer: &str, examples: &[Example<'_>]) {
        let settings = self.settings(deserializer, "");
        let settings = settings.unwrap_or_else(|told| panic!("{}: {told}", self.row));
        let format = Format::compile(&settings).unwrap();
        let mut encoder = format.encoder();
        let (mut block, mut bad) = (Vec::new(), BTreeSet::new());
        for (at, example) in (0..).zip(examples) {
            let Example {
                line,
                record,
                expected,
            } = example;
            let record = Record::new(record.as_bytes(), 0, Position::of(Sequence(at)));
            format.stage(&record, &mut block);
            let found = format.rows(&mut encoder, &record);
            let found = found.map(|rows| rows.into_iter().map(shown).collect::<Vec<_>>());
            let place = format!("{}: {deserializer}: {line}", self.row);
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, *expected, "{place}"),
                (Err(failure), Err(words)) => {
                    assert!(failure.message.contains(words), "{place}: {failure:?}");
                    assert_eq!(failure.output_type.as_str(), "format-conversion-failed");
                    bad.insert(Position::of(Sequence(at)));
                }
                (found, _) => panic!("{place}: {found:?}"),
            }
        }
        let whole = examples
            .iter()
            .filter_map(|example| example.expected.as_ref().ok());
        let rows: usize = whole.map(Vec::len).sum();
        let mut failed = BTreeSet::new();
        let object = object(&format, block, &mut |record, _| {
            failed.insert(record.position);
        });
        assert_eq!(failed, bad, "{}: {deserializer}: they fail alone", self.row);
        assert_eq!(rows_of(object), rows, "{}: {deserializer}", self.row);
    }
}

/// A row as the table writes it.
fn shown(row: Row) -> Value {
    Value::Object(row.columns.into_iter().collect::<Map<_, _>>())
}

/// The object of a block, if any of its records fits.
fn object(
    format: &Format,
    block: Vec<u8>,
    failed: &mut dyn FnMut(&Record<'_>, Failure),
) -> Option<Bytes> {
    let (mut block, mut out) = (Some(Bytes::from(block)), Vec::new());
    let fit = format.encode_object(
        &mut format.encoder(),
        &Head::default(),
        &mut || Ok(block.take()),
        &mut out,
        failed,
    );
    (fit.unwrap() > 0).then(|| out.into())
}

/// How many rows another reader finds.
fn rows_of(object: Option<Bytes>) -> usize {
    object.map_or(0, |object| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(object).unwrap();
        let batches = reader.build().unwrap();
        batches.map(|batch| batch.unwrap().num_rows()).sum()
    })
}

/// Holds the examples that were gathered, which all stand under the same.
fn settle<'a>(given: &Given<'a>, examples: &mut Vec<(&'a str, Example<'a>)>) {
    for deserializer in BOTH {
        let (of_it, rest) = std::mem::take(examples)
            .into_iter()
            .partition(|(of, _)| *of == deserializer);
        *examples = rest;
        let of_it: Vec<_> = Vec::into_iter(of_it).map(|(_, example)| example).collect();
        if !of_it.is_empty() {
            given.hold(deserializer, &of_it);
        }
    }
}

/// Reads a line that is no example; whether it is one.
fn direct<'a>(given: &mut Given<'a>, line: &'a str) -> bool {
    let Some((word, rest)) = line.split_once([' ', ':']) else {
        return false;
    };
    let rest = rest.trim_start_matches([':', ' ']);
    match word {
        "==" => {
            *given = Given {
                row: rest,
                deserializers: BOTH.into(),
                ..Given::default()
            }
        }
        "differs" => is_said(given.row, rest),
        "for" => given.deserializers = rest.split(' ').collect(),
        "with" if rest.is_empty() => given.options.clear(),
        "with" => given.options.push(rest),
        "type" => (given.schema, given.is_cell) = (format!("c {rest}"), true),
        "columns" => (given.schema, given.is_cell) = (rest.to_owned(), false),
        "taken" => {
            for deserializer in &given.deserializers {
                let settings = given.settings(deserializer, rest);
                settings.unwrap_or_else(|told| panic!("{}: {line}: {told}", given.row));
            }
        }
        "refused" => {
            let (key, words) = rest.split_once(" ; ").unwrap();
            for deserializer in &given.deserializers {
                match given.settings(deserializer, key) {
                    Err(told) => assert!(told.contains(words), "{}: {line}: {told}", given.row),
                    Ok(_) => panic!("{}: {line}: it is taken", given.row),
                }
            }
        }
        _ => return false,
    }
    true
}

/// Where it is otherwise here than at Firehose, a page of the book says how.
fn is_said(row: &str, place: &str) {
    let (page, words) = place.split_once(": ").unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/src")
        .join(page);
    let text = fs::read_to_string(path).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(words), "{row}: {page} does not say: {words}");
}

#[test]
fn each_row_of_the_contract_holds_or_the_book_says_how_it_is_here() {
    let mut given = Given::default();
    let mut examples = Vec::new();
    let mut rows = BTreeSet::new();
    let lines = ROWS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let mut next = given.clone();
        if direct(&mut next, line) {
            settle(&given, &mut examples);
            given = next;
            assert!(
                !line.starts_with("==") || rows.insert(given.row),
                "{line}: twice"
            );
        } else {
            examples.extend(given.examples(line));
        }
    }
    settle(&given, &mut examples);
    assert!(rows.len() > 40, "{}", rows.len());
}
