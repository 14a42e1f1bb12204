//! Which columns a dictionary would not help.
//!
//! The parquet crate gives up a dictionary that outgrows its page, but only after hashing about a
//! megabyte of values, for every row group anew. Columns of ids, times and measurements show it in
//! their first rows (measured: 0.26 CPU-seconds per GB).

use std::collections::HashSet;
use std::hash::Hash;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field};
use parquet::schema::types::ColumnPath;

/// With fewer values a column says nothing; neither does it cost anything.
const VALUES_MIN: usize = 512;

/// A column of 1024 draws from 200,000 values repeats about 3 of them. Fewer values than that may
/// well fit a dictionary, and then it makes the object smaller.
const REPEATS_MAX_PER_MILLE: usize = 5;

/// The leaf columns of the batch whose values hardly ever repeat.
pub(super) fn useless(batch: &RecordBatch) -> Vec<ColumnPath> {
    let mut found = Vec::new();
    let mut path = Vec::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        visit(field, column, &mut path, &mut found);
    }
    found
}

fn visit(field: &Field, column: &ArrayRef, path: &mut Vec<String>, found: &mut Vec<ColumnPath>) {
    path.push(field.name().clone());
    match field.data_type() {
        DataType::Struct(fields) => {
            for (field, column) in fields.iter().zip(column.as_struct().columns()) {
                visit(field, column, path, found);
            }
        }
        DataType::List(item) => {
            path.push("list".to_owned());
            visit(item, column.as_list::<i32>().values(), path, found);
            path.pop();
        }
        DataType::Map(entries, _) => {
            path.push(entries.name().clone());
            let map = column.as_map();
            for (field, column) in map.entries().fields().iter().zip(map.entries().columns()) {
                visit(field, column, path, found);
            }
            path.pop();
        }
        _ if hardly_repeats(column) => found.push(ColumnPath::new(path.clone())),
        _ => {}
    }
    path.pop();
}

fn hardly_repeats(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Int32 => numbers::<Int32Type, _>(column, |value| value),
        DataType::Int64 => numbers::<Int64Type, _>(column, |value| value),
        DataType::Float32 => numbers::<Float32Type, _>(column, f32::to_bits),
        DataType::Float64 => numbers::<Float64Type, _>(column, f64::to_bits),
        DataType::Date32 => numbers::<Date32Type, _>(column, |value| value),
        DataType::Timestamp(..) => numbers::<TimestampMicrosecondType, _>(column, |value| value),
        DataType::Decimal128(..) => numbers::<Decimal128Type, _>(column, |value| value),
        DataType::Utf8 => distinct(column, column.as_string::<i32>().iter().flatten()),
        DataType::Binary => distinct(column, column.as_binary::<i32>().iter().flatten()),
        // Booleans and small integers repeat.
        _ => false,
    }
}

fn numbers<T: ArrowPrimitiveType, K: Hash + Eq>(
    column: &ArrayRef,
    key: impl Fn(T::Native) -> K,
) -> bool {
    distinct(column, column.as_primitive::<T>().iter().flatten().map(key))
}

fn distinct<K: Hash + Eq>(column: &ArrayRef, values: impl Iterator<Item = K>) -> bool {
    let count = column.len() - column.null_count();
    if count < VALUES_MIN {
        return false;
    }
    let allowed = count * REPEATS_MAX_PER_MILLE / 1000;
    let mut seen: HashSet<K, foldhash::fast::RandomState> = HashSet::default();
    let mut values = values;
    // Most columns repeat early, and end the search.
    values
        .try_fold(0, |repeats, value| {
            let repeats = repeats + usize::from(!seen.insert(value));
            (repeats <= allowed).then_some(repeats)
        })
        .is_some()
}
