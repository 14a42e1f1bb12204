//! What a sample of records shows of columns: where there are values, and which fields no column takes.
//!
//! The records are read as they are where objects are made of them, and what comes of it is thrown away.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef};

use super::Schema;
use super::schema::{Field, HiveType};
use crate::config::ColumnSettings;
use crate::telemetry::FieldFate;

/// What a sample of records shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Columns and fields inside of them, by path: `user.mail`, `lines[].price`. None where no record fits.
    pub columns: BTreeMap<String, ValueCount>,
    /// Paths of fields that no column takes: as many as are counted, and printable.
    pub unknown: BTreeSet<String>,
}

/// How many values there are of a column, or of a field inside of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValueCount {
    /// So many, nulls apart.
    pub there: u64,
    /// Of so many that there could be: rows, or structs around it that are there.
    pub of: u64,
}

impl Survey {
    /// Of columns that settings declare. `None`: they are none that a format could have.
    pub fn of<'r>(
        settings: &ColumnSettings,
        records: impl Iterator<Item = &'r [u8]>,
    ) -> Option<Self> {
        let schema = Schema::of(settings).ok()?;
        let mut decoder = schema.decoder();
        let mut survey = Self::default();
        for record in records {
            // A record that does not fit is told when its object is made. What was read of it says which fields it has.
            let _ = decoder.push(record);
            if decoder.is_full() {
                survey.note(&schema.fields, decoder.finish().ok()?.rows.columns());
            }
        }
        if !decoder.is_empty() {
            survey.note(&schema.fields, decoder.finish().ok()?.rows.columns());
        }
        let fields = decoder.take_fields();
        let unknown = fields
            .iter()
            .filter(|count| count.fate == FieldFate::Unknown);
        survey.unknown = unknown.map(|count| count.path.clone()).collect();
        Some(survey)
    }

    fn note(&mut self, fields: &[Field], columns: &[ArrayRef]) {
        let rows = columns.first().map_or(0, Array::len);
        self.group(fields, columns, rows, &mut String::new());
    }

    /// Counts the values of fields, of which there could be `of` each. `path` leads here, and is left as it was.
    fn group(&mut self, fields: &[Field], columns: &[ArrayRef], of: usize, path: &mut String) {
        let start = path.len();
        for (field, column) in fields.iter().zip(columns) {
            if start > 0 {
                path.push('.');
            }
            path.push_str(&field.name);
            // Where the struct around it is null, so is the field.
            let there = column.len() - column.null_count();
            let count = self.columns.entry(path.clone()).or_default();
            count.there += there as u64;
            count.of += of as u64;
            self.inside(&field.kind, column, there, path);
            path.truncate(start);
        }
    }

    /// Counts what is inside of a column with so many values.
    fn inside(&mut self, kind: &HiveType, column: &ArrayRef, there: usize, path: &mut String) {
        let (kind, items) = match kind {
            HiveType::Struct(fields) => {
                return self.group(fields, column.as_struct().columns(), there, path);
            }
            HiveType::Array(item) => (item, column.as_list::<i32>().values()),
            HiveType::Map(_, value) => (value, column.as_map().values()),
            _ => return,
        };
        let start = path.len();
        path.push_str("[]");
        self.inside(kind, items, items.len() - items.null_count(), path);
        path.truncate(start);
    }
}
