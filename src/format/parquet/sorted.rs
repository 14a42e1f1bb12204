//! Rows of a row group, sorted before they are written.
//!
//! They are held as they were decoded until their row group is full, which `held` bounds beside the bytes of records and the
//! number of rows. The same rows come in the same order each time: sorting is stable, and the rows of a run are those of its
//! raw blocks, whoever encodes them.

use std::cmp::Ordering;

use arrow_array::{Array, RecordBatch};
use arrow_cmp::{DynComparator, make_comparator};
use arrow_schema::{ArrowError, SortOptions};
use arrow_select::concat::concat;
use arrow_select::interleave::interleave_record_batch;

use super::options::SortedBy;

/// Rows that are taken from those that are held, to be written together.
const PIECE_ROWS: usize = 1024;

impl SortedBy {
    /// Where nulls are: as Hive and Spark have it, the least of all.
    pub(super) const fn nulls_first(&self) -> bool {
        !self.descending
    }
}

/// Rows that wait for their row group to be full.
#[derive(Default)]
pub(super) struct Waiting {
    batches: Vec<RecordBatch>,
    /// Where each batch begins, among all rows.
    starts: Vec<usize>,
    rows: usize,
    /// Bytes of the records that they came from.
    bytes: usize,
    held: usize,
}

impl Waiting {
    pub(super) fn push(&mut self, batch: &RecordBatch, bytes: usize) {
        self.starts.push(self.rows);
        self.rows += batch.num_rows();
        self.bytes += bytes;
        // By what is in them, not by what they have room for: so equal rows make equal row groups.
        let columns = batch.columns().iter();
        let held = columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
        self.held += held.sum::<usize>();
        self.batches.push(batch.clone());
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Hands out all rows in their order, piece by piece.
    pub(super) fn take(
        &mut self,
        order: &[SortedBy],
        write: &mut dyn FnMut(&RecordBatch) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let waiting = std::mem::take(self);
        let sorted = waiting.sorted(order).map_err(std::io::Error::other)?;
        let batches: Vec<&RecordBatch> = waiting.batches.iter().collect();
        for piece in sorted.chunks(PIECE_ROWS) {
            let places: Vec<_> = piece.iter().map(|row| waiting.place(*row)).collect();
            let rows = interleave_record_batch(&batches, &places);
            write(&rows.map_err(std::io::Error::other)?)?;
        }
        Ok(())
    }

    /// The rows by their numbers, in their order.
    fn sorted(&self, order: &[SortedBy]) -> Result<Vec<usize>, ArrowError> {
        let Some(first) = self.batches.first() else {
            return Ok(Vec::new());
        };
        let mut by: Vec<DynComparator> = Vec::new();
        for key in order {
            let index = first.schema_ref().index_of(&key.column)?;
            let columns = self
                .batches
                .iter()
                .map(|batch| batch.column(index).as_ref());
            let column = concat(&columns.collect::<Vec<&dyn Array>>())?;
            let options = SortOptions {
                descending: key.descending,
                nulls_first: key.nulls_first(),
            };
            by.push(make_comparator(&column, &column, options)?);
        }
        let mut rows: Vec<usize> = (0..self.rows).collect();
        rows.sort_by(|one, other| {
            let orders = by.iter().map(|compare| compare(*one, *other));
            let mut decisive = orders.filter(|order| order.is_ne());
            decisive.next().unwrap_or(Ordering::Equal)
        });
        Ok(rows)
    }

    /// The batch of a row, and its number there.
    fn place(&self, row: usize) -> (usize, usize) {
        let batch = self.starts.partition_point(|start| *start <= row) - 1;
        (batch, row - self.starts[batch])
    }
}
