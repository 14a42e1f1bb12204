//! Declared columns: a schema, and JSON records along it into Arrow's arrays.
//!
//! What Hive's types take, how values are coerced and what is said of those that do not fit is one
//! matter for every format with columns. What such a format writes is its own: nothing here knows
//! one (`tests/it/house.rs`).

use std::io;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;

use crate::config::{ColumnRules, ColumnSettings, UnknownFields};
use crate::failure::Failure;
use crate::record::Record;
use crate::telemetry::FieldTally;

use super::{FormatFault, frame};

mod builder;
mod census;
mod coerce;
mod cursor;
mod declared;
mod decode;
mod differ;
mod durable;
mod familiar;
mod fault;
mod found;
mod infer;
mod joining;
mod kept;
mod known;
mod names;
mod rows;
mod schema;
mod shown;
mod survey;
mod times;
mod widen;

use builder::{ColumnBuilder, StructBuilder};
use cursor::Cursor;
pub use declared::{Columns, Style};
pub(super) use durable::ColumnsRow;
#[cfg(feature = "failpoints")]
pub(super) use durable::RulesRow;
pub use familiar::Familiar;
use fault::{Fault, Fit};
pub use infer::{Finding, Inference, Remark};
pub use rows::{Changed, FieldPath, Row};
use schema::{Field, HiveType};
pub use survey::{Survey, ValueCount};
pub use widen::Widening;

/// Rows that are decoded before they are written: more fall out of the cache (measured: 8192 cost
/// half as much again as 1024).
const BATCH_ROWS: usize = 1024;

/// Bytes of records that are decoded before they are written, where records are large.
const BATCH_BYTES: usize = 1 << 20;

/// Cells that a batch may leave empty before it is written.
const BATCH_EMPTY: usize = 1 << 20;

/// Declared columns.
#[derive(Debug)]
pub(super) struct Schema {
    /// The declared ones, which records fill.
    fields: Vec<Field>,
    rules: ColumnRules,
    /// All columns: behind the declared ones that of what no other takes, if there is one.
    arrow: SchemaRef,
}

/// The names of a schema's columns, where it has no fault.
pub(super) fn names(schema: &str) -> Option<Vec<String>> {
    names_that(schema, |_| None)
}

/// The same of one whose names the format takes, as for [`Schema::with_names`].
pub(super) fn names_that(schema: &str, refused: fn(&str) -> Option<String>) -> Option<Vec<String>> {
    let fields = schema::parse(schema, refused).ok()?;
    Some(fields.into_iter().map(|field| field.name).collect())
}

impl Schema {
    /// Columns in Hive's syntax, by the usual rules; the fault points into the text.
    pub(super) fn parse(text: &str) -> Result<Self, FormatFault> {
        Self::of(&ColumnSettings::of(text))
    }

    /// Reads the settings; the fault points into the text of the schema.
    pub(super) fn of(settings: &ColumnSettings) -> Result<Self, FormatFault> {
        Self::with_names(settings, |_| None)
    }

    /// The same of columns and fields whose names the format takes: `refused` says why it does not take one, in words that
    /// go on after it.
    pub(super) fn with_names(
        settings: &ColumnSettings,
        refused: fn(&str) -> Option<String>,
    ) -> Result<Self, FormatFault> {
        let fields = schema::parse(&settings.schema, refused)?;
        let unknown = unknown_column(&settings.rules);
        let unknown = unknown.as_ref().map(|column| column.name.as_str());
        let is_it =
            |field: &&Field| unknown.is_some_and(|name| field.name.eq_ignore_ascii_case(name));
        // The config says so at its place, where it knows the columns.
        if let Some(column) = fields.iter().find(is_it) {
            return Err(FormatFault {
                at: None,
                message: format!("`{}` is a column of the schema already", column.name),
                help: Some(
                    "name another one for what no column takes: `unknown_column`".to_owned(),
                ),
            });
        }
        let all = with_unknown(fields.clone(), &settings.rules);
        let arrow = Arc::new(arrow_schema::Schema::new(schema::arrow_fields(&all)));
        Ok(Self {
            fields,
            rules: settings.rules.clone(),
            arrow,
        })
    }

    /// The same as Arrow has it.
    pub(super) fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// Empty column buffers.
    pub(super) fn decoder(&self) -> Decoder {
        Decoder {
            root: StructBuilder::of_table(&self.fields, &self.rules),
            unknown: unknown_column(&self.rules)
                .map(|column| ColumnBuilder::new(&column.kind, &self.rules.names)),
            arrow: Arc::clone(&self.arrow),
            rows: 0,
            bytes: 0,
            empty: 0,
            scratch: decode::Scratch::new(&self.rules),
        }
    }

    /// The same, for a format that writes a text for each empty cell: a record that leaves more of them fails.
    pub(super) fn decoder_of_few_empty(&self, empty_max: usize) -> Decoder {
        let mut decoder = self.decoder();
        decoder.scratch.empty_max = decoder.scratch.empty_max.min(empty_max);
        decoder
    }

    /// The record as its rows will be read back.
    pub(super) fn rows(&self, decoder: &mut Decoder, data: &[u8]) -> Result<Vec<Row>, Failure> {
        decoder.reset();
        decoder.push(data)?;
        let decoded = decoder.finish();
        let decoded =
            decoded.map_err(|_| Fault::other("No columns can be made of it.").failure(data))?;
        Ok(rows::rows(&self.fields, &self.rules, &decoded.rows, data))
    }
}

/// The declared columns, and that of what no other takes, if there is one.
fn with_unknown(mut fields: Vec<Field>, rules: &ColumnRules) -> Vec<Field> {
    fields.extend(unknown_column(rules));
    fields
}

/// The column of what no other takes.
fn unknown_column(rules: &ColumnRules) -> Option<Field> {
    let UnknownFields::Keep(name) = &rules.unknown else {
        return None;
    };
    Some(Field {
        name: name.clone(),
        kind: HiveType::String,
    })
}

/// A worker's column buffers: records in, batches of rows out.
#[derive(Debug)]
pub(super) struct Decoder {
    root: StructBuilder,
    /// The column of what no other takes.
    unknown: Option<ColumnBuilder>,
    arrow: SchemaRef,
    rows: usize,
    /// Bytes of the records that the rows came from.
    bytes: usize,
    /// Cells that they left empty.
    empty: usize,
    scratch: decode::Scratch,
}

/// Rows that were handed out together.
pub(super) struct Decoded {
    pub(super) rows: RecordBatch,
    /// Bytes of the records that they came from.
    pub(super) bytes: usize,
}

impl Decoder {
    /// Appends the rows of a record. On failure no trace of it is left.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<(), Failure> {
        let before = self.rows;
        self.scratch.begin();
        self.read(data).map_err(|fault| {
            self.cut(before);
            fault.failure(data)
        })?;
        self.bytes += data.len();
        self.empty += self.scratch.empty;
        Ok(())
    }

    /// Hands the rows of all records in the raw blocks that `next` yields to `write`, batch by batch, and those records
    /// that do not fit to `failed`. Returns the number of those that do. Fails with `InvalidData` for a damaged frame.
    pub(super) fn decode(
        &mut self,
        next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        failed: &mut dyn FnMut(&Record<'_>, Failure),
        write: &mut dyn FnMut(&Decoded) -> io::Result<()>,
    ) -> io::Result<u64> {
        self.reset(); // what was given up half-way may have left rows
        let mut records = 0;
        while let Some(block) = next()? {
            for record in frame::records(&block) {
                let record = record?;
                if let Err(failure) = self.push(record.data) {
                    failed(&record, failure);
                    continue;
                }
                records += 1;
                if self.is_full() {
                    write(&self.finish()?)?;
                }
            }
        }
        if !self.is_empty() {
            write(&self.finish()?)?;
        }
        Ok(records)
    }

    /// Forgets all rows.
    fn reset(&mut self) {
        self.cut(0);
        (self.rows, self.bytes, self.empty) = (0, 0, 0);
    }

    fn cut(&mut self, rows: usize) {
        self.rows = rows;
        self.root.truncate(rows);
        if let Some(column) = &mut self.unknown {
            column.truncate(rows);
        }
    }

    /// What has been counted of fields and columns since this was asked last.
    pub(super) fn take_fields(&mut self) -> FieldTally {
        let mut tally = FieldTally::default();
        self.root.tally(&mut String::new(), &mut tally);
        self.scratch.census.forget();
        tally
    }

    /// Whether there is nothing to hand out.
    fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the rows are to be handed out before another record is read.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES || self.empty >= BATCH_EMPTY
    }

    /// Hands out all rows.
    pub(super) fn finish(&mut self) -> io::Result<Decoded> {
        let (_, mut columns) = self.root.finish().map_err(io::Error::other)?;
        if let Some(column) = &mut self.unknown {
            columns.push(column.finish().map_err(io::Error::other)?);
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.arrow), columns);
        let bytes = self.bytes;
        (self.rows, self.bytes, self.empty) = (0, 0, 0);
        let rows = rows.map_err(io::Error::other)?;
        Ok(Decoded { rows, bytes })
    }

    /// One row for each object in the record, which may hold several one after the other.
    fn read(&mut self, data: &[u8]) -> Fit<()> {
        let mut cursor = Cursor::of(text(data)?);
        while let Some(first) = cursor.token() {
            if first != b'{' {
                let at = cursor.at();
                cursor.skip(0)?;
                return Err(Fault::mismatch(at, "a JSON object", ""));
            }
            let (root, scratch) = (&mut self.root, &mut self.scratch);
            match &mut self.unknown {
                Some(column) => {
                    root.read::<true>(self.rows, &mut cursor, scratch, 0)?;
                    column.take_kept(&mut scratch.kept);
                }
                None => root.read::<false>(self.rows, &mut cursor, scratch, 0)?,
            }
            self.rows += 1;
        }
        Ok(())
    }
}

/// Records held against declared columns, one by one: they fit as they would where objects are made.
#[derive(Debug)]
pub struct Trial {
    decoder: Decoder,
}

impl Trial {
    /// For columns in Hive's syntax; the fault points into the text.
    pub fn of(columns: &str) -> Result<Self, FormatFault> {
        let decoder = Schema::parse(columns)?.decoder();
        Ok(Self { decoder })
    }

    /// Whether the record becomes rows, or why not.
    pub fn convert(&mut self, record: &[u8]) -> Result<(), Failure> {
        self.decoder.reset();
        self.decoder.push(record)
    }
}

/// The text of a record: UTF-8, and more than white space.
fn text(data: &[u8]) -> Fit<&[u8]> {
    if !data.is_ascii()
        && let Err(error) = std::str::from_utf8(data)
    {
        return Err(Fault::syntax(error.valid_up_to(), "UTF-8"));
    }
    if Cursor::of(data).token().is_none() {
        let message = "The record was empty or contained only whitespace.";
        return Err(Fault::other(message));
    }
    Ok(data)
}

#[cfg(test)]
pub(super) mod tests;
