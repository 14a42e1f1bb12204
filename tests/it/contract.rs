//! What Firehose's contract says of records that become columns (its deserializers, its types, the options of its
//! serializers): each row with examples in `contract/records.txt`, through the config, the decoder and whole objects.
//! Where it is otherwise here on purpose, the row names the words of the book that say so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use firehose::config::{self, StreamSettings};
use firehose::failure::Failure;
use firehose::format::{Format, Head, Row};
use firehose::position::{Position, Sequence};
use firehose::record::Record;
use firehose::registry::registry;
use jiff::SignedDuration;
use jiff::civil::date;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value};

const ROWS: &str = include_str!("contract/records.txt");
const BOTH: [&str; 2] = ["openx", "hive"];

/// Rows of the contract in the table, and rows of what is ours beside it.
const OF_CONTRACT: usize = 46;
const BESIDE: usize = 9;
/// Letters of what a page says where it is otherwise here: less could stand there by chance.
const SAID_MIN: usize = 20;

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
    /// The settings of a stream by these rules and with one key more. The error is what the user is told, but for the line itself.
    fn settings(&self, deserializer: &str, more: &str) -> Result<StreamSettings, String> {
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
        let said: Vec<&str> = self.options.iter().copied().chain([more]).collect();
        let is_said = |line: &String| said.iter().any(|said| key(line) == key(said));
        let usual = usual.iter().filter(|line| !is_said(line));
        let lines = usual.map(String::as_str).chain(said.iter().copied());
        let (of_stream, of_format): (Vec<_>, Vec<_>) =
            lines.partition(|line| line.starts_with("buffering."));
        let text = format!(
            "[stream.c]\nsource.type = \"direct-put\"\ndestination = {{ type = \"folder\", path = \"lake\" }}\n{}\n\
             [stream.c.format]\n{}\n",
            of_stream.join("\n"),
            of_format.join("\n")
        );
        let told = |message: &str, help: Option<&str>| {
            format!("{message}\n{}\n", help.unwrap_or_default())
        };
        let read = config::parse(text, Path::new("firehose.toml"), &|_| None, &registry());
        let mut read = read.map_err(|faults| {
            let faults = faults.iter();
            let faults = faults.map(|fault| told(&fault.message, fault.help.as_deref()));
            faults.collect::<String>()
        })?;
        let settings = read.config.streams.remove("c").unwrap();
        let compiled = Format::compile(&settings.format);
        let compiled = compiled.map_err(|fault| told(&fault.message, fault.help.as_deref()));
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
        let format = Format::compile(&settings.format).unwrap();
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
        let mut failed = BTreeSet::new();
        let object = object(&format, block, &mut |record, _| {
            failed.insert(record.position);
        });
        assert_eq!(failed, bad, "{}: {deserializer}: they fail alone", self.row);
        let whole = examples.iter().filter_map(|it| it.expected.as_ref().ok());
        let whole: Vec<&Value> = whole.flatten().collect();
        let found = rows_of(object);
        let found: Vec<&Value> = found.iter().collect();
        assert_eq!(found, whole, "{}: {deserializer}: the object", self.row);
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

/// The rows of an object, by a reader that knows nothing of how it was written.
fn rows_of(object: Option<Bytes>) -> Vec<Value> {
    let Some(object) = object else {
        return Vec::new();
    };
    let reader = SerializedFileReader::new(object).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| of_group(row.unwrap().get_column_iter()))
        .collect()
}

fn of_group<'a>(fields: impl Iterator<Item = (&'a String, &'a Field)>) -> Value {
    let members = fields.map(|(name, field)| (name.clone(), value(field)));
    Value::Object(members.collect())
}

/// A cell as the table writes it.
fn value(field: &Field) -> Value {
    let since_1970 = |time| {
        let start = date(1970, 1, 1).at(0, 0, 0, 0);
        start.checked_add(time).unwrap()
    };
    match field {
        Field::Null => Value::Null,
        Field::Bool(is) => (*is).into(),
        Field::Byte(number) => (*number).into(),
        Field::Short(number) => (*number).into(),
        Field::Int(number) => (*number).into(),
        Field::Long(number) => (*number).into(),
        Field::Float(number) => f64::from(*number).into(),
        Field::Double(number) => (*number).into(),
        Field::Str(text) => text.as_str().into(),
        Field::Bytes(bytes) => STANDARD.encode(bytes.data()).into(),
        Field::Date(days) => {
            let day = since_1970(SignedDuration::from_hours(24 * i64::from(*days)));
            day.date().to_string().into()
        }
        Field::TimestampMicros(micros) => {
            let time = since_1970(SignedDuration::from_micros(*micros));
            format!("{time}Z").into()
        }
        Field::Group(row) => of_group(row.get_column_iter()),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter();
            let entry = |(key, inner): &(Field, Field)| {
                let key = value(key);
                let name = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                (name, value(inner))
            };
            Value::Object(entries.map(entry).collect())
        }
        // Decimals, whose point stands at the end where they have no fraction.
        other => other.to_string().trim_end_matches('.').into(),
    }
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

/// Reads a line that is no example; `None`: it is one.
fn direct<'a>(given: &mut Given<'a>, line: &'a str) -> Option<Line> {
    let (word, rest) = line.split_once([' ', ':'])?;
    let rest = rest.trim_start_matches([':', ' ']);
    match word {
        "==" | "++" => {
            *given = Given {
                row: rest,
                deserializers: BOTH.into(),
                ..Given::default()
            };
            return Some(Line::Row);
        }
        "differs" => {
            is_said(given.row, rest);
            return Some(Line::Differs);
        }
        "for" => given.deserializers = rest.split(' ').collect(),
        "with" if rest.is_empty() => given.options.clear(),
        "with" => given.options.push(rest),
        "type" => (given.schema, given.is_cell) = (format!("c {rest}"), true),
        "columns" => (given.schema, given.is_cell) = (rest.to_owned(), false),
        "taken" | "default" | "refused" | "tested" => {
            held(given, line, word, rest);
            return Some(Line::Held);
        }
        _ => return None,
    }
    Some(Line::Given)
}

/// What a line is that is no example of a record.
#[derive(PartialEq)]
enum Line {
    Row,
    Differs,
    Given,
    /// An example of a setting, or where a test has one.
    Held,
}

/// Holds what a line says of a setting.
fn held(given: &Given<'_>, line: &str, word: &str, rest: &str) {
    let place = format!("{}: {line}", given.row);
    if word == "tested" {
        let (file, name) = rest.split_once(' ').unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("fn {name}()")), "{place}: no test");
        return;
    }
    for deserializer in &given.deserializers {
        let (key, words) = rest.split_once(" ; ").unwrap_or((rest, ""));
        let found = given.settings(deserializer, key);
        match (word, found) {
            ("refused", Err(told)) => {
                assert!(
                    !words.is_empty() && !key.contains(words),
                    "{place}: says nothing"
                );
                assert!(told.contains(words), "{place}: {told}");
            }
            ("refused", Ok(_)) => panic!("{place}: it is taken"),
            (_, Err(told)) => panic!("{place}: {told}"),
            ("default", Ok(found)) => {
                let usual = given.settings(deserializer, "").unwrap();
                assert_eq!(found, usual, "{place}");
            }
            (_, Ok(_)) => {}
        }
    }
}

/// Where it is otherwise here than at Firehose, a page of the book says how.
fn is_said(row: &str, place: &str) {
    let (page, words) = place.split_once(": ").unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/src")
        .join(page);
    let text = fs::read_to_string(path).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.len() >= SAID_MIN, "{row}: too few words: {words}");
    let times = text.matches(words).count();
    assert_eq!(times, 1, "{row}: how often {page} says: {words}");
}

/// What has been seen of a row: examples at all, words of the book, and examples that are otherwise at Firehose.
#[derive(Default)]
struct Seen {
    row: String,
    examples: usize,
    others: usize,
    differs: bool,
}

impl Seen {
    /// A row has examples, and where it differs some that do, and only there.
    fn close(&self) {
        let Self { row, others, .. } = self;
        assert!(row.is_empty() || self.examples > 0, "{row}: no example");
        let fits = self.differs == (*others > 0);
        assert!(fits, "{row}: {others} examples are otherwise at Firehose");
    }
}

#[test]
fn each_row_of_the_contract_holds_or_the_book_says_how_it_is_here() {
    let mut given = Given::default();
    let mut examples = Vec::new();
    let mut rows = BTreeSet::new();
    let mut seen = Seen::default();
    let lines = ROWS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for whole in lines {
        let line = whole.strip_prefix("~ ").unwrap_or(whole);
        let mut next = given.clone();
        let directed = direct(&mut next, line);
        if directed.is_some() {
            settle(&given, &mut examples);
            given = next;
        } else {
            examples.extend(given.examples(line));
        }
        match directed {
            Some(Line::Row) => {
                seen.close();
                seen = Seen {
                    row: line.to_owned(),
                    ..Seen::default()
                };
                assert!(rows.insert(line), "{line}: twice");
            }
            Some(Line::Differs) => seen.differs = true,
            Some(Line::Given) => assert_eq!(line, whole, "no example"),
            None | Some(Line::Held) => {
                seen.examples += 1;
                seen.others += usize::from(line != whole);
            }
        }
    }
    settle(&given, &mut examples);
    seen.close();
    let beside = rows.iter().filter(|row| row.starts_with("++")).count();
    assert_eq!((rows.len() - beside, beside), (OF_CONTRACT, BESIDE));
}
