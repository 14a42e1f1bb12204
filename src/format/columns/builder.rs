//! Arrays being built: values, offsets and validity, which can be cut back to a row boundary, as those
//! of Arrow's own builders cannot.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray,
    StringArray, StructArray,
};
use arrow_buffer::{
    BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer,
};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Fields};

use super::census::{RecordCount, UnknownNames};
use super::names::FieldNames;
use super::schema::{self, Field, HiveType};
use crate::config::{ColumnRules, Misfit, NameRules};

/// Rows that buffers have room for from the start.
const ROWS: usize = 1024;

/// A column being built, or a part of one.
#[derive(Debug)]
pub(super) struct ColumnBuilder {
    pub(super) cells: Cells,
    pub(super) validity: Validity,
    /// Leaf columns in it: what a null costs.
    pub(super) leaves: usize,
    /// Records without a value for it.
    pub(super) missing: RecordCount,
    /// Records in which it is null because their value does not fit.
    pub(super) nulled: RecordCount,
    /// Records with a value of another kind than its own, which it takes.
    pub(super) coerced: RecordCount,
}

/// Which rows are null.
#[derive(Debug)]
pub(super) struct Validity {
    /// Counted here as well: it is asked for at each member of each record, which must not cost a call.
    rows: usize,
    nulls: NullBufferBuilder,
}

impl Validity {
    fn new() -> Self {
        Self {
            rows: 0,
            nulls: NullBufferBuilder::new(ROWS),
        }
    }

    /// Appends a row that has a value.
    #[inline]
    pub(super) fn append_non_null(&mut self) {
        self.rows += 1;
        self.nulls.append_non_null();
    }

    fn append_null(&mut self) {
        self.rows += 1;
        self.nulls.append_null();
    }

    fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.nulls.truncate(rows);
    }

    fn finish(&mut self) -> Option<NullBuffer> {
        self.rows = 0;
        self.nulls.finish()
    }
}

/// Values by type. At a null they hold a default.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a column, and each is read for every row"
)]
pub(super) enum Cells {
    Boolean(BooleanBufferBuilder),
    TinyInt(Vec<i8>),
    SmallInt(Vec<i16>),
    Int(Vec<i32>),
    BigInt(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal {
        values: Vec<i128>,
        precision: u8,
        scale: u8,
    },
    Text {
        strings: Strings,
        limit: Limit,
    },
    Binary(Strings),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    List {
        offsets: Vec<i32>,
        item: Box<ColumnBuilder>,
        field: Arc<ArrowField>,
    },
    Map {
        offsets: Vec<i32>,
        key: Box<ColumnBuilder>,
        value: Box<ColumnBuilder>,
        field: Arc<ArrowField>,
    },
    Struct(StructBuilder),
}

/// How long a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    None,
    Varchar(u32),
    Char(u32),
}

/// Byte strings, one after the other.
#[derive(Debug)]
pub(super) struct Strings {
    /// Where each ends and the next begins; one more than there are strings.
    pub(super) offsets: Vec<i32>,
    pub(super) bytes: Vec<u8>,
}

/// The fields of a struct, or the columns of the table.
#[derive(Debug)]
pub(super) struct StructBuilder {
    pub(super) names: FieldNames,
    pub(super) columns: Vec<ColumnBuilder>,
    /// Which columns are null where a value does not fit. In a struct inside a column there are none.
    pub(super) nulled: Box<[bool]>,
    /// Members that no field takes.
    pub(super) unknown: UnknownNames,
    /// Records with an array for this struct that has more items than there are fields.
    pub(super) surplus: RecordCount,
    fields: Fields,
}

/// A map's key as readers compare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    Number(i128),
    Float(u64),
    Text(&'a [u8]),
}

impl Cells {
    /// The key in a row; keys have no parts.
    pub(super) fn key(&self, row: usize) -> Key<'_> {
        match self {
            Self::Boolean(values) => Key::Number(values.get_bit(row).into()),
            Self::TinyInt(values) => Key::Number(values[row].into()),
            Self::SmallInt(values) => Key::Number(values[row].into()),
            Self::Int(values) | Self::Date(values) => Key::Number(values[row].into()),
            Self::BigInt(values) | Self::Timestamp(values) => Key::Number(values[row].into()),
            // 0.0 and -0.0 are one key; no column takes NaN.
            Self::Float(values) => Key::Float((f64::from(values[row]) + 0.0).to_bits()),
            Self::Double(values) => Key::Float((values[row] + 0.0).to_bits()),
            Self::Decimal { values, .. } => Key::Number(values[row]),
            Self::Text { strings, .. } | Self::Binary(strings) => Key::Text(strings.get(row)),
            Self::List { .. } | Self::Map { .. } | Self::Struct(_) => Key::Text(&[]),
        }
    }
}

impl ColumnBuilder {
    /// Fields inside are named by the rules.
    pub(super) fn new(kind: &HiveType, rules: &NameRules) -> Self {
        let cells = match kind {
            HiveType::Boolean => Cells::Boolean(BooleanBufferBuilder::new(ROWS)),
            HiveType::TinyInt => Cells::TinyInt(Vec::with_capacity(ROWS)),
            HiveType::SmallInt => Cells::SmallInt(Vec::with_capacity(ROWS)),
            HiveType::Int => Cells::Int(Vec::with_capacity(ROWS)),
            HiveType::BigInt => Cells::BigInt(Vec::with_capacity(ROWS)),
            HiveType::Float => Cells::Float(Vec::with_capacity(ROWS)),
            HiveType::Double => Cells::Double(Vec::with_capacity(ROWS)),
            HiveType::Decimal { precision, scale } => Cells::Decimal {
                values: Vec::with_capacity(ROWS),
                precision: *precision,
                scale: *scale,
            },
            HiveType::String => Cells::Text {
                strings: Strings::new(),
                limit: Limit::None,
            },
            HiveType::Varchar(most) => Cells::Text {
                strings: Strings::new(),
                limit: Limit::Varchar(*most),
            },
            HiveType::Char(most) => Cells::Text {
                strings: Strings::new(),
                limit: Limit::Char(*most),
            },
            HiveType::Binary => Cells::Binary(Strings::new()),
            HiveType::Date => Cells::Date(Vec::with_capacity(ROWS)),
            HiveType::Timestamp => Cells::Timestamp(Vec::with_capacity(ROWS)),
            HiveType::Array(item) => Cells::List {
                offsets: vec![0],
                item: Box::new(Self::new(item, rules)),
                field: schema::item_field(item),
            },
            HiveType::Map(key, value) => Cells::Map {
                offsets: vec![0],
                key: Box::new(Self::new(key, rules)),
                value: Box::new(Self::new(value, rules)),
                field: schema::entries_field(key, value),
            },
            HiveType::Struct(fields) => Cells::Struct(StructBuilder::new(fields, rules)),
        };
        Self {
            cells,
            validity: Validity::new(),
            leaves: kind.leaves(),
            missing: RecordCount::default(),
            nulled: RecordCount::default(),
            coerced: RecordCount::default(),
        }
    }

    /// Rows that are complete.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.validity.rows
    }

    /// Appends a null.
    pub(super) fn push_null(&mut self) {
        match &mut self.cells {
            Cells::Boolean(values) => values.append(false),
            Cells::TinyInt(values) => values.push(0),
            Cells::SmallInt(values) => values.push(0),
            Cells::Int(values) | Cells::Date(values) => values.push(0),
            Cells::BigInt(values) | Cells::Timestamp(values) => values.push(0),
            Cells::Float(values) => values.push(0.0),
            Cells::Double(values) => values.push(0.0),
            Cells::Decimal { values, .. } => values.push(0),
            Cells::Text { strings, .. } | Cells::Binary(strings) => strings.close(),
            Cells::List { offsets, item, .. } => offsets.push(offset(item.len())),
            Cells::Map { offsets, key, .. } => offsets.push(offset(key.len())),
            Cells::Struct(group) => group.columns.iter_mut().for_each(Self::push_null),
        }
        self.validity.append_null();
    }

    /// Cuts back to the first `rows` rows, whatever was written of the next.
    pub(super) fn truncate(&mut self, rows: usize) {
        match &mut self.cells {
            Cells::Boolean(values) => values.truncate(rows),
            Cells::TinyInt(values) => values.truncate(rows),
            Cells::SmallInt(values) => values.truncate(rows),
            Cells::Int(values) | Cells::Date(values) => values.truncate(rows),
            Cells::BigInt(values) | Cells::Timestamp(values) => values.truncate(rows),
            Cells::Float(values) => values.truncate(rows),
            Cells::Double(values) => values.truncate(rows),
            Cells::Decimal { values, .. } => values.truncate(rows),
            Cells::Text { strings, .. } | Cells::Binary(strings) => strings.truncate(rows),
            Cells::List { offsets, item, .. } => {
                offsets.truncate(rows + 1);
                item.truncate(end(offsets));
            }
            Cells::Map {
                offsets,
                key,
                value,
                ..
            } => {
                offsets.truncate(rows + 1);
                key.truncate(end(offsets));
                value.truncate(end(offsets));
            }
            Cells::Struct(group) => group.truncate(rows),
        }
        self.validity.truncate(rows);
    }

    /// Hands out all rows and starts anew with as much room.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.validity.finish();
        Ok(match &mut self.cells {
            Cells::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Cells::TinyInt(values) => Arc::new(primitive::<Int8Type>(values, nulls)?),
            Cells::SmallInt(values) => Arc::new(primitive::<Int16Type>(values, nulls)?),
            Cells::Int(values) => Arc::new(primitive::<Int32Type>(values, nulls)?),
            Cells::BigInt(values) => Arc::new(primitive::<Int64Type>(values, nulls)?),
            Cells::Float(values) => Arc::new(primitive::<Float32Type>(values, nulls)?),
            Cells::Double(values) => Arc::new(primitive::<Float64Type>(values, nulls)?),
            Cells::Decimal {
                values,
                precision,
                scale,
            } => Arc::new(
                primitive::<Decimal128Type>(values, nulls)?
                    .with_precision_and_scale(*precision, scale.cast_signed())?,
            ),
            Cells::Text { strings, .. } => {
                let (offsets, bytes) = strings.take()?;
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Cells::Binary(strings) => {
                let (offsets, bytes) = strings.take()?;
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Cells::Date(values) => Arc::new(primitive::<Date32Type>(values, nulls)?),
            Cells::Timestamp(values) => {
                Arc::new(primitive::<TimestampMicrosecondType>(values, nulls)?.with_timezone("UTC"))
            }
            Cells::List {
                offsets,
                item,
                field,
            } => {
                let (field, items) = (Arc::clone(field), item.finish()?);
                Arc::new(ListArray::try_new(
                    field,
                    take_offsets(offsets),
                    items,
                    nulls,
                )?)
            }
            Cells::Map {
                offsets,
                key,
                value,
                field,
            } => {
                let DataType::Struct(entry) = field.data_type() else {
                    return Err(ArrowError::SchemaError(
                        "a map's entries are a struct".to_owned(),
                    ));
                };
                let columns = vec![key.finish()?, value.finish()?];
                let entries = StructArray::try_new(entry.clone(), columns, None)?;
                let (field, offsets) = (Arc::clone(field), take_offsets(offsets));
                Arc::new(MapArray::try_new(field, offsets, entries, nulls, false)?)
            }
            Cells::Struct(group) => {
                let (fields, columns) = group.finish()?;
                Arc::new(StructArray::try_new(fields, columns, nulls)?)
            }
        })
    }
}

impl StructBuilder {
    /// Only columns have JSON keys other than their names: that rule does not hold for the fields inside of them.
    pub(super) fn new(fields: &[Field], rules: &NameRules) -> Self {
        let inside = NameRules {
            json_keys: BTreeMap::new(),
            ..*rules
        };
        Self {
            names: FieldNames::new(fields, rules),
            columns: fields
                .iter()
                .map(|field| ColumnBuilder::new(&field.kind, &inside))
                .collect(),
            fields: schema::arrow_fields(fields),
            nulled: Box::default(),
            unknown: UnknownNames::default(),
            surplus: RecordCount::default(),
        }
    }

    /// The same of a table, in which values that do not fit may be null.
    pub(super) fn of_table(fields: &[Field], rules: &ColumnRules) -> Self {
        let is_nulled = |field: &Field| rules.misfits.of(&field.name) == Misfit::Null;
        Self {
            nulled: fields.iter().map(is_nulled).collect(),
            ..Self::new(fields, &rules.names)
        }
    }

    /// Cuts all columns back to `rows` rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.truncate(rows);
        }
    }

    /// Hands out the columns and starts anew.
    pub(super) fn finish(&mut self) -> Result<(Fields, Vec<ArrayRef>), ArrowError> {
        let columns = self
            .columns
            .iter_mut()
            .map(ColumnBuilder::finish)
            .collect::<Result<_, _>>()?;
        Ok((self.fields.clone(), columns))
    }
}

impl Strings {
    fn new() -> Self {
        let mut offsets = Vec::with_capacity(ROWS + 1);
        offsets.push(0);
        Self {
            offsets,
            bytes: Vec::new(),
        }
    }

    /// Ends the string whose bytes were appended.
    #[inline]
    pub(super) fn close(&mut self) {
        self.offsets.push(offset(self.bytes.len()));
    }

    fn get(&self, row: usize) -> &[u8] {
        let [start, end] = [row, row + 1].map(|at| self.offsets[at].unsigned_abs() as usize);
        &self.bytes[start..end]
    }

    /// Where the string being written begins.
    #[inline]
    pub(super) fn start(&self) -> usize {
        end(&self.offsets)
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.bytes.truncate(end(&self.offsets));
    }

    fn take(&mut self) -> Result<(OffsetBuffer<i32>, Buffer), ArrowError> {
        if i32::try_from(self.bytes.len()).is_err() {
            return Err(ArrowError::OffsetOverflowError(self.bytes.len()));
        }
        // One large text does not reserve its room for all that come after.
        let room = self.bytes.len().next_power_of_two();
        let bytes = mem::replace(&mut self.bytes, Vec::with_capacity(room));
        Ok((take_offsets(&mut self.offsets), Buffer::from_vec(bytes)))
    }
}

/// Batches are bounded far below 2 GiB; `Strings::take` checks that none grew beyond.
#[inline]
fn offset(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

#[inline]
fn end(offsets: &[i32]) -> usize {
    offsets.last().map_or(0, |&end| end.unsigned_abs() as usize)
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let mut fresh = Vec::with_capacity(offsets.len());
    fresh.push(0);
    OffsetBuffer::new(ScalarBuffer::from(mem::replace(offsets, fresh)))
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> Result<PrimitiveArray<T>, ArrowError> {
    let room = values.len();
    let values = mem::replace(values, Vec::with_capacity(room));
    PrimitiveArray::try_new(ScalarBuffer::from(values), nulls)
}
