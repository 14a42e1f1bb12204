//! Avro's maps have text as keys. A map with others becomes a list of its entries, each a key and a value.

use std::io;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, StructArray};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};

/// The columns with such lists.
pub(super) fn of_maps(columns: &Schema) -> Schema {
    Schema::new(fields(columns.fields()))
}

/// The same rows with such lists; `columns` has them.
pub(super) fn listed(rows: &RecordBatch, columns: &SchemaRef) -> io::Result<RecordBatch> {
    let arrays = arrays(rows.columns(), columns.fields()).map_err(io::Error::other)?;
    RecordBatch::try_new(Arc::clone(columns), arrays).map_err(io::Error::other)
}

fn fields(fields: &Fields) -> Fields {
    fields.iter().map(field).collect()
}

fn field(field: &FieldRef) -> FieldRef {
    let kind = match field.data_type() {
        DataType::List(items) => DataType::List(self::field(items)),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(entry) if *entry[0].data_type() == DataType::Utf8 => {
                DataType::Map(self::field(entries), *sorted)
            }
            _ => DataType::List(self::field(entries)),
        },
        DataType::Struct(members) => DataType::Struct(fields(members)),
        _ => return Arc::clone(field),
    };
    Arc::new(Field::new(field.name(), kind, field.is_nullable()))
}

fn arrays(arrays: &[ArrayRef], fields: &Fields) -> Result<Vec<ArrayRef>, ArrowError> {
    let arrays = arrays.iter().zip(fields);
    arrays
        .map(|(array, field)| self::array(array, field))
        .collect()
}

fn array(array: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == field.data_type() {
        return Ok(Arc::clone(array));
    }
    let nulls = array.nulls().cloned();
    Ok(match (array.data_type(), field.data_type()) {
        (DataType::Map(..), DataType::List(items)) => {
            let map = array.as_map();
            let (items, entries) = (Arc::clone(items), group(map.entries(), items)?);
            let list = ListArray::try_new(items, map.offsets().clone(), Arc::new(entries), nulls)?;
            Arc::new(list)
        }
        (DataType::Map(..), DataType::Map(entry, sorted)) => {
            let map = array.as_map();
            let (entry, entries) = (Arc::clone(entry), group(map.entries(), entry)?);
            let offsets = map.offsets().clone();
            Arc::new(MapArray::try_new(entry, offsets, entries, nulls, *sorted)?)
        }
        (_, DataType::List(items)) => {
            let list = array.as_list::<i32>();
            let (items, values) = (Arc::clone(items), self::array(list.values(), items)?);
            let list = ListArray::try_new(items, list.offsets().clone(), values, nulls)?;
            Arc::new(list)
        }
        _ => Arc::new(group(array.as_struct(), field)?),
    })
}

fn group(group: &StructArray, field: &Field) -> Result<StructArray, ArrowError> {
    let DataType::Struct(members) = field.data_type() else {
        return Err(ArrowError::SchemaError("entries are a struct".to_owned()));
    };
    let columns = arrays(group.columns(), members)?;
    StructArray::try_new(members.clone(), columns, group.nulls().cloned())
}
