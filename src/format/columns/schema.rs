//! The declared columns: Hive's types, and what they are in Arrow.
//!
//! | Hive | Arrow |
//! |---|---|
//! | `boolean`, `float`, `double` | Boolean, Float32, Float64 |
//! | `tinyint`, `smallint`, `int`, `bigint` | Int8, Int16, Int32, Int64 |
//! | `decimal(p,s)` | Decimal128(p,s) |
//! | `string`, `varchar(n)`, `char(n)` | Utf8 (not padded) |
//! | `binary` | Binary |
//! | `date` | Date32 |
//! | `timestamp` | Timestamp in microseconds, UTC: an instant |
//! | `array`, `map`, `struct` | List (`element`), Map (`key_value` of `key` and `value`), Struct |

use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Fields, TimeUnit};

mod document;
mod parse;

pub(super) use parse::{LEAVES_MAX, is_name_char, parse};

/// Types nest at most so deep: decoding recurses along them.
pub(super) const DEPTH_MAX: usize = 32;

/// A column, or a field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// As declared; matched without regard to ASCII case.
    pub(super) name: String,
    pub(super) kind: HiveType,
}

/// A Hive type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HiveType {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    /// 1–38 digits, of them 0–precision after the point.
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    /// At most so many characters.
    Varchar(u32),
    /// At most so many characters; not padded.
    Char(u32),
    Binary,
    Date,
    Timestamp,
    Array(Box<HiveType>),
    /// The key is a primitive type.
    Map(Box<HiveType>, Box<HiveType>),
    Struct(Vec<Field>),
}

impl HiveType {
    /// Whether values have no parts.
    pub(super) fn is_primitive(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Map(..) | Self::Struct(_))
    }

    /// Number of leaf columns.
    pub(super) fn leaves(&self) -> usize {
        match self {
            Self::Array(item) => item.leaves(),
            Self::Map(_, value) => 1 + value.leaves(),
            Self::Struct(fields) => fields.iter().map(|field| field.kind.leaves()).sum(),
            _ => 1,
        }
    }

    /// The Arrow type of the table above.
    pub(super) fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => {
                DataType::Decimal128(*precision, scale.cast_signed())
            }
            Self::String | Self::Varchar(_) | Self::Char(_) => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Array(item) => DataType::List(item_field(item)),
            Self::Map(key, value) => DataType::Map(entries_field(key, value), false),
            Self::Struct(fields) => DataType::Struct(arrow_fields(fields)),
        }
    }
}

/// Arrow fields, all of them nullable.
pub(super) fn arrow_fields(fields: &[Field]) -> Fields {
    fields
        .iter()
        .map(|field| ArrowField::new(&field.name, field.kind.arrow(), true))
        .collect()
}

/// The field of a list's items, named as the Parquet specification asks.
pub(super) fn item_field(item: &HiveType) -> Arc<ArrowField> {
    Arc::new(ArrowField::new("element", item.arrow(), true))
}

/// The field of a map's entries, named as the Parquet specification asks.
pub(super) fn entries_field(key: &HiveType, value: &HiveType) -> Arc<ArrowField> {
    let entry = Fields::from(vec![
        ArrowField::new("key", key.arrow(), false),
        ArrowField::new("value", value.arrow(), true),
    ]);
    Arc::new(ArrowField::new("key_value", DataType::Struct(entry), false))
}
