//! Values of columns as text: numbers and words as they are, dates and times in RFC 3339, binary in base64, and what has
//! parts as one JSON text, in which decimals, binary, dates and times are strings.

use std::io::{self, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, DecimalType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, FieldRef};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firehose_calendar::{DAY_SECONDS, Date};

const SECOND_MICROS: i64 = 1_000_000;
const DAY_MICROS: i64 = DAY_SECONDS * SECOND_MICROS;

/// A column, or a part of one, whose type has been found out.
pub(super) struct CsvColumn<'a> {
    nulls: Option<&'a NullBuffer>,
    cells: Cells<'a>,
}

enum Cells<'a> {
    Boolean(&'a BooleanArray),
    TinyInt(&'a PrimitiveArray<Int8Type>),
    SmallInt(&'a PrimitiveArray<Int16Type>),
    Int(&'a PrimitiveArray<Int32Type>),
    BigInt(&'a PrimitiveArray<Int64Type>),
    Float(&'a PrimitiveArray<Float32Type>),
    Double(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    List {
        offsets: &'a OffsetBuffer<i32>,
        items: Box<CsvColumn<'a>>,
    },
    Map {
        offsets: &'a OffsetBuffer<i32>,
        keys: Box<CsvColumn<'a>>,
        values: Box<CsvColumn<'a>>,
    },
    Struct(Vec<(String, CsvColumn<'a>)>),
}

impl<'a> CsvColumn<'a> {
    /// That of an array.
    pub(super) fn of(array: &'a ArrayRef) -> io::Result<Self> {
        let cells = match array.data_type() {
            DataType::Boolean => Cells::Boolean(array.as_boolean()),
            DataType::Int8 => Cells::TinyInt(array.as_primitive()),
            DataType::Int16 => Cells::SmallInt(array.as_primitive()),
            DataType::Int32 => Cells::Int(array.as_primitive()),
            DataType::Int64 => Cells::BigInt(array.as_primitive()),
            DataType::Float32 => Cells::Float(array.as_primitive()),
            DataType::Float64 => Cells::Double(array.as_primitive()),
            DataType::Decimal128(..) => Cells::Decimal(array.as_primitive()),
            DataType::Utf8 => Cells::Text(array.as_string()),
            DataType::Binary => Cells::Binary(array.as_binary()),
            DataType::Date32 => Cells::Date(array.as_primitive()),
            DataType::Timestamp(..) => Cells::Timestamp(array.as_primitive()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Cells::List {
                    offsets: list.offsets(),
                    items: Box::new(Self::of(list.values())?),
                }
            }
            DataType::Map(..) => {
                let map = array.as_map();
                Cells::Map {
                    offsets: map.offsets(),
                    keys: Box::new(Self::of(map.keys())?),
                    values: Box::new(Self::of(map.values())?),
                }
            }
            DataType::Struct(fields) => {
                let columns = fields.iter().zip(array.as_struct().columns());
                let member = |(field, column): (&FieldRef, &'a ArrayRef)| -> io::Result<_> {
                    let mut name = Vec::new();
                    quoted(field.name(), &mut name)?;
                    let name = String::from_utf8(name).map_err(io::Error::other)?;
                    Ok((name, Self::of(column)?))
                };
                Cells::Struct(columns.map(member).collect::<io::Result<_>>()?)
            }
            // The schema has no others.
            other => return Err(io::Error::other(format!("no text for {other}"))),
        };
        Ok(Self {
            nulls: array.nulls(),
            cells,
        })
    }

    /// Whether the value is null.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends a value that is not null.
    pub(super) fn text(&self, row: usize, out: &mut Vec<u8>) -> io::Result<()> {
        match &self.cells {
            Cells::Boolean(column) => write!(out, "{}", column.value(row)),
            Cells::TinyInt(column) => write!(out, "{}", column.value(row)),
            Cells::SmallInt(column) => write!(out, "{}", column.value(row)),
            Cells::Int(column) => write!(out, "{}", column.value(row)),
            Cells::BigInt(column) => write!(out, "{}", column.value(row)),
            // The shortest text that is read back as the same number.
            Cells::Float(column) => Ok(serde_json::to_writer(out, &column.value(row))?),
            Cells::Double(column) => Ok(serde_json::to_writer(out, &column.value(row))?),
            Cells::Decimal(column) => {
                let (precision, scale) = (column.precision(), column.scale());
                let value = Decimal128Type::format_decimal(column.value(row), precision, scale);
                out.write_all(value.as_bytes())
            }
            Cells::Text(column) => out.write_all(column.value(row).as_bytes()),
            Cells::Binary(column) => out.write_all(STANDARD.encode(column.value(row)).as_bytes()),
            Cells::Date(column) => date(column.value(row), out),
            Cells::Timestamp(column) => time(column.value(row), out),
            Cells::List { .. } | Cells::Map { .. } | Cells::Struct(_) => self.json(row, out),
        }
    }

    /// Appends a value as JSON.
    fn json(&self, row: usize, out: &mut Vec<u8>) -> io::Result<()> {
        if self.is_null(row) {
            return out.write_all(b"null");
        }
        match &self.cells {
            Cells::Text(column) => quoted(column.value(row), out),
            Cells::Decimal(_) | Cells::Binary(_) | Cells::Date(_) | Cells::Timestamp(_) => {
                self.in_quotes(row, out)
            }
            Cells::List { offsets, items } => {
                out.push(b'[');
                for (index, at) in range(offsets, row).enumerate() {
                    separate(index, out);
                    items.json(at, out)?;
                }
                out.push(b']');
                Ok(())
            }
            Cells::Map {
                offsets,
                keys,
                values,
            } => {
                out.push(b'{');
                for (index, at) in range(offsets, row).enumerate() {
                    separate(index, out);
                    match keys.cells {
                        Cells::Text(_) => keys.json(at, out)?,
                        _ => keys.in_quotes(at, out)?,
                    }
                    out.push(b':');
                    values.json(at, out)?;
                }
                out.push(b'}');
                Ok(())
            }
            Cells::Struct(members) => {
                out.push(b'{');
                for (index, (name, column)) in members.iter().enumerate() {
                    separate(index, out);
                    out.extend_from_slice(name.as_bytes());
                    out.push(b':');
                    column.json(row, out)?;
                }
                out.push(b'}');
                Ok(())
            }
            _ => self.text(row, out),
        }
    }

    /// Appends a text that has nothing to be escaped as a JSON string.
    fn in_quotes(&self, row: usize, out: &mut Vec<u8>) -> io::Result<()> {
        out.push(b'"');
        self.text(row, out)?;
        out.push(b'"');
        Ok(())
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) -> io::Result<()> {
    Ok(serde_json::to_writer(out, text)?)
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn range(offsets: &OffsetBuffer<i32>, row: usize) -> std::ops::Range<usize> {
    let [start, end] = [offsets[row], offsets[row + 1]].map(|at| at.unsigned_abs() as usize);
    start..end
}

fn date(day: i32, out: &mut Vec<u8>) -> io::Result<()> {
    let Date { year, month, day } = Date::of_day(day);
    write!(out, "{year:04}-{month:02}-{day:02}")
}

fn time(micros: i64, out: &mut Vec<u8>) -> io::Result<()> {
    let day = i32::try_from(micros.div_euclid(DAY_MICROS)).map_err(io::Error::other)?;
    let micros = micros.rem_euclid(DAY_MICROS);
    let (second, micros) = (micros / SECOND_MICROS, micros % SECOND_MICROS);
    date(day, out)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(out, "T{hour:02}:{minute:02}:{second:02}")?;
    if micros > 0 {
        write!(out, ".{micros:06}")?;
        let zeros = out.iter().rev().take_while(|byte| **byte == b'0').count();
        out.truncate(out.len() - zeros);
    }
    out.push(b'Z');
    Ok(())
}
