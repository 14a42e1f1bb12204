//! Times as another type than the decoder's: as milliseconds, or as INT96.
//!
//! The crate's writer of columns knows no INT96. A value of it is twelve bytes, though, in pages and dictionaries as a
//! fixed-length byte array of twelve is: so such a one is written, and is called INT96 in the footer. What the writer knows of
//! its values by comparing bytes is left out, since times do not compare so.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, ListArray, MapArray, RecordBatch, StructArray,
};
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, SchemaRef, TimeUnit};
use parquet::basic::Type as PhysicalType;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::{ColumnDescPtr, Type, TypePtr};

use super::options::TimestampType;

/// Bytes of an INT96.
const WIDTH: i32 = 12;

/// The Julian day of 1970-01-01.
const JULIAN_EPOCH: i64 = 2_440_588;
const DAY_MICROS: i64 = 86_400_000_000;

/// The columns as they are written.
pub(super) fn schema(decoded: &SchemaRef, kind: TimestampType) -> SchemaRef {
    if kind == TimestampType::Micros {
        return Arc::clone(decoded);
    }
    let fields: Fields = decoded
        .fields()
        .iter()
        .map(|field| of_field(field, kind))
        .collect();
    Arc::new(arrow_schema::Schema::new(fields))
}

fn of_field(field: &FieldRef, kind: TimestampType) -> FieldRef {
    let written = match field.data_type() {
        DataType::Timestamp(_, zone) => match kind {
            TimestampType::Int96 => DataType::FixedSizeBinary(WIDTH),
            TimestampType::Millis => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
            TimestampType::Micros => return Arc::clone(field),
        },
        DataType::List(item) => DataType::List(of_field(item, kind)),
        DataType::Map(entries, sorted) => DataType::Map(of_field(entries, kind), *sorted),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| of_field(field, kind)).collect())
        }
        _ => return Arc::clone(field),
    };
    Arc::new(Field::new(field.name(), written, field.is_nullable()))
}

/// Rows as they are written, along the columns of [`schema`].
pub(super) fn rows(decoded: &RecordBatch, written: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let fields = written.fields().iter();
    let columns = fields
        .zip(decoded.columns())
        .map(|(field, column)| of_column(column, field.data_type()));
    RecordBatch::try_new(Arc::clone(written), columns.collect::<Result<_, _>>()?)
}

fn of_column(column: &ArrayRef, written: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == written {
        return Ok(Arc::clone(column));
    }
    let nulls = column.nulls().cloned();
    Ok(match (column.data_type(), written) {
        (DataType::Timestamp(..), DataType::Timestamp(_, zone)) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>();
            // The decoder has cut them already.
            let millis = micros.unary::<_, TimestampMillisecondType>(|at| at.div_euclid(1000));
            Arc::new(millis.with_timezone_opt(zone.clone()))
        }
        (DataType::Timestamp(..), _) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>();
            let bytes: Vec<u8> = micros.values().iter().copied().flat_map(int96).collect();
            Arc::new(FixedSizeBinaryArray::try_new(
                WIDTH,
                Buffer::from_vec(bytes),
                nulls,
            )?)
        }
        (_, DataType::List(item)) => {
            let list = column.as_list::<i32>();
            let items = of_column(list.values(), item.data_type())?;
            let list = ListArray::try_new(Arc::clone(item), list.offsets().clone(), items, nulls);
            Arc::new(list?)
        }
        (_, DataType::Map(entries, sorted)) => {
            let map = column.as_map();
            let inner: ArrayRef = Arc::new(map.entries().clone());
            let inner = of_column(&inner, entries.data_type())?;
            let (entries, offsets) = (Arc::clone(entries), map.offsets().clone());
            let inner = inner.as_struct().clone();
            Arc::new(MapArray::try_new(entries, offsets, inner, nulls, *sorted)?)
        }
        (_, DataType::Struct(fields)) => {
            let columns = fields.iter().zip(column.as_struct().columns());
            let columns = columns.map(|(field, column)| of_column(column, field.data_type()));
            let columns = columns.collect::<Result<_, _>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?)
        }
        _ => Arc::clone(column),
    })
}

/// Nanoseconds of the day and the Julian day, both little-endian. Times of the years 1 to 9999 are all that there are.
fn int96(micros: i64) -> [u8; 12] {
    let mut bytes = [0; 12];
    let nanos = micros.rem_euclid(DAY_MICROS) * 1000;
    let day = u32::try_from(micros.div_euclid(DAY_MICROS) + JULIAN_EPOCH).unwrap_or_default();
    bytes[..8].copy_from_slice(&nanos.to_le_bytes());
    bytes[8..].copy_from_slice(&day.to_le_bytes());
    bytes
}

/// The schema of a file with INT96 where its pages are written by one with byte arrays. There is no other column of byte
/// arrays so long that says nothing more of itself.
pub(super) fn with_int96(kind: &TypePtr) -> Result<TypePtr, ParquetError> {
    let info = kind.get_basic_info();
    if kind.is_group() {
        let fields = kind.get_fields().iter().map(with_int96);
        let mut group = Type::group_type_builder(kind.name())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_converted_type(info.converted_type())
            .with_fields(fields.collect::<Result<_, _>>()?);
        if info.has_repetition() {
            group = group.with_repetition(info.repetition());
        }
        return Ok(Arc::new(group.build()?));
    }
    if !is_int96(kind) {
        return Ok(Arc::clone(kind));
    }
    let leaf = Type::primitive_type_builder(kind.name(), PhysicalType::INT96)
        .with_repetition(info.repetition());
    Ok(Arc::new(leaf.build()?))
}

/// Whether a leaf of the pages' schema is INT96 in the file's.
pub(super) fn is_int96(kind: &Type) -> bool {
    let Type::PrimitiveType {
        basic_info,
        physical_type: PhysicalType::FIXED_LEN_BYTE_ARRAY,
        type_length: WIDTH,
        ..
    } = kind
    else {
        return false;
    };
    basic_info.logical_type_ref().is_none()
}

/// Calls a column chunk of byte arrays one of INT96.
pub(super) fn relabel(
    chunk: &mut ColumnCloseResult,
    int96: &ColumnDescPtr,
) -> Result<(), ParquetError> {
    let written = &chunk.metadata;
    let mut relabelled = ColumnChunkMetaData::builder(Arc::clone(int96))
        .set_compression_codec(written.compression_codec())
        .set_encodings_mask(*written.encodings_mask())
        .set_total_compressed_size(written.compressed_size())
        .set_total_uncompressed_size(written.uncompressed_size())
        .set_num_values(written.num_values())
        .set_data_page_offset(written.data_page_offset())
        .set_dictionary_page_offset(written.dictionary_page_offset())
        .set_repetition_level_histogram(written.repetition_level_histogram().cloned())
        .set_definition_level_histogram(written.definition_level_histogram().cloned());
    if let Some(pages) = written.page_encoding_stats() {
        relabelled = relabelled.set_page_encoding_stats(pages.clone());
    }
    chunk.metadata = relabelled.build()?;
    chunk.column_index = None;
    Ok(())
}
