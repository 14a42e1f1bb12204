//! Rows as lines: fields between delimiters, in quotes where they need them (RFC 4180).

use std::io;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use memchr::{memchr, memchr_iter, memchr3};

use super::CsvSettings;
use super::cells::CsvColumn;

/// How fields and nulls are written.
#[derive(Debug)]
pub(super) struct CsvStyle {
    delimiter: u8,
    quote: u8,
    null: Box<[u8]>,
}

impl CsvStyle {
    /// As the settings have it, whose characters are of ASCII.
    pub(super) fn new(settings: &CsvSettings) -> Self {
        Self {
            delimiter: u8::try_from(settings.delimiter).unwrap_or(b','),
            quote: u8::try_from(settings.quote).unwrap_or(b'"'),
            null: settings.null.as_bytes().into(),
        }
    }

    /// Appends the line of the columns' names.
    pub(super) fn header(&self, schema: &Schema, out: &mut Vec<u8>) {
        for (index, field) in schema.fields().iter().enumerate() {
            self.delimit(index, out);
            let start = out.len();
            out.extend_from_slice(field.name().as_bytes());
            self.quote_from(start, out);
        }
        out.push(b'\n');
    }

    /// Appends a line for each row; after each `done` may take what there is.
    pub(super) fn lines(
        &self,
        rows: &RecordBatch,
        out: &mut Vec<u8>,
        done: &mut dyn FnMut(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let columns = rows.columns().iter().map(CsvColumn::of);
        let columns: Vec<CsvColumn<'_>> = columns.collect::<io::Result<_>>()?;
        for row in 0..rows.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                self.delimit(index, out);
                if column.is_null(row) {
                    out.extend_from_slice(&self.null);
                    continue;
                }
                let start = out.len();
                column.text(row, out)?;
                self.quote_from(start, out);
            }
            out.push(b'\n');
            done(out)?;
        }
        Ok(())
    }

    fn delimit(&self, index: usize, out: &mut Vec<u8>) {
        if index > 0 {
            out.push(self.delimiter);
        }
    }

    /// Puts the field that begins at `start` into quotes, where it would end early without, or read as a null or as a
    /// blank line.
    fn quote_from(&self, start: usize, out: &mut Vec<u8>) {
        let field = &out[start..];
        let is_bare = !field.is_empty()
            && *field != *self.null
            && memchr3(self.delimiter, self.quote, b'\n', field).is_none()
            && memchr(b'\r', field).is_none();
        if is_bare {
            return;
        }
        let doubled = memchr_iter(self.quote, field).count();
        let end = out.len();
        out.resize(end + doubled + 2, self.quote);
        // From the end on, since each byte moves towards it: the first one by one place.
        let mut to = out.len() - 1;
        for from in (start..end).rev() {
            to -= 1;
            out[to] = out[from];
            if out[from] == self.quote {
                to -= 1;
                out[to] = self.quote;
            }
        }
        out[start] = self.quote;
    }
}
