//! Values of a column as people read them, in JSON.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, DecimalType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use serde_json::{Map, Value};

use firehose_calendar::DAY_SECONDS;

/// The value in row `row`: decimals as text, binary in base64, dates and times in RFC 3339, a map as
/// an object.
pub(super) fn shown(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int8 => number::<Int8Type>(column, row).into(),
        DataType::Int16 => number::<Int16Type>(column, row).into(),
        DataType::Int32 => number::<Int32Type>(column, row).into(),
        DataType::Int64 => number::<Int64Type>(column, row).into(),
        // Its shortest spelling, not that of the double next to it.
        DataType::Float32 => number::<Float32Type>(column, row)
            .to_string()
            .parse::<f64>()
            .map_or(Value::Null, Value::from),
        DataType::Float64 => number::<Float64Type>(column, row).into(),
        DataType::Decimal128(precision, scale) => {
            let value = number::<Decimal128Type>(column, row);
            Decimal128Type::format_decimal(value, *precision, *scale).into()
        }
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Binary => STANDARD.encode(column.as_binary::<i32>().value(row)).into(),
        DataType::Date32 => {
            let days = i64::from(number::<Date32Type>(column, row));
            let day = since_epoch(SignedDuration::from_secs(days * DAY_SECONDS));
            day.map_or(days.into(), |day| day.date().to_string().into())
        }
        DataType::Timestamp(..) => {
            let micros = number::<TimestampMicrosecondType>(column, row);
            let time = since_epoch(SignedDuration::from_micros(micros));
            time.map_or(micros.into(), |time| format!("{time}Z").into())
        }
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            (0..items.len()).map(|at| shown(&items, at)).collect()
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let entry = |at| (name(&shown(keys, at)), shown(values, at));
            Value::Object((0..entries.len()).map(entry).collect())
        }
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            let members = fields.iter().zip(columns);
            let members: Map<String, Value> = members
                .map(|(field, column)| (field.name().clone(), shown(column, row)))
                .collect();
            members.into()
        }
        // The schema has no others.
        other => other.to_string().into(),
    }
}

/// A map's key as the name of a member.
fn name(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

fn number<T: ArrowPrimitiveType>(column: &ArrayRef, row: usize) -> T::Native {
    column.as_primitive::<T>().value(row)
}

/// The calendar's day and time; the columns reach further than a timestamp of jiff.
fn since_epoch(duration: SignedDuration) -> Option<DateTime> {
    date(1970, 1, 1).at(0, 0, 0, 0).checked_add(duration).ok()
}
