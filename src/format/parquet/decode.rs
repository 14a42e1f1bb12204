//! JSON text into column buffers, in one pass along the schema.
//!
//! What fits what:
//! - `null` and a missing member are null everywhere; undeclared members are skipped but must be
//!   JSON; of members with the same name (without regard to ASCII case) the last counts.
//! - Text columns take strings, numbers (as written), booleans, and objects and arrays as compact
//!   JSON. More characters than `varchar(n)` or `char(n)` allow do not fit.
//! - Numeric columns take numbers and strings that hold a number. Integers take no fraction but
//!   `1.0` and `1e3`; decimals round half away from zero; what is out of range does not fit.
//! - `boolean` takes `true`, `false` and strings of these words; `binary` takes base64 text.
//! - `date` takes `yyyy-MM-dd`; timestamps are told in `time`.
//! - `array` takes an array, or a single string, number or boolean as its only item. `map` and
//!   `struct` take objects.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use base64::Engine as _;

use super::column::{Cells, Column, Group, Limit, Strings};
use super::cursor::{self, Body, Cursor};
use super::fault::{Fault, Fit};
use super::number::Number;
use super::time;

/// Cells that one record may leave empty: each missing or null field of each struct is one. It
/// keeps `[{},{},{},…]` from filling the memory.
const EMPTY_CELLS_MAX: usize = 4 << 20;

/// What decoding needs beside the columns.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    text: Vec<u8>,
    /// Cells left empty by this record.
    pub(super) empty: usize,
}

impl Scratch {
    fn spend(&mut self, cells: usize) -> Fit<()> {
        self.empty += cells;
        if self.empty > EMPTY_CELLS_MAX {
            return Err(Fault::other(
                "The record is too sparse: more than 4194304 declared fields are missing or null in it.",
            ));
        }
        Ok(())
    }
}

impl Group {
    /// Reads an object as row `row`; the cursor stands at its brace, `depth` containers are open
    /// around it.
    pub(super) fn read(
        &mut self,
        row: usize,
        cursor: &mut Cursor<'_>,
        scratch: &mut Scratch,
        depth: usize,
    ) -> Fit<()> {
        cursor.bump();
        let mut previous = None;
        let mut distinct = 0;
        if cursor.next_token() == Some(b'}') {
            cursor.bump();
        } else {
            loop {
                let found = self.field(cursor, scratch, previous)?;
                if let Some(index) = found {
                    previous = found;
                    let column = &mut self.columns[index];
                    if column.len() > row {
                        column.truncate(row);
                    } else {
                        distinct += 1;
                    }
                    column
                        .read(cursor, scratch, depth + 1)
                        .map_err(|fault| fault.named(self.names.declared(index)))?;
                } else {
                    cursor.skip_value(depth + 1)?;
                }
                match cursor.next_token() {
                    Some(b',') => {
                        cursor.bump();
                        cursor.space();
                    }
                    Some(b'}') => break cursor.bump(),
                    _ => return Err(cursor.syntax("`,` or `}`")),
                }
            }
        }
        if distinct < self.columns.len() {
            for column in self.columns.iter_mut().filter(|column| column.len() == row) {
                scratch.spend(column.leaves)?;
                column.push_null();
            }
        }
        Ok(())
    }
}

impl Group {
    /// Reads a member's key: which field it means.
    #[inline]
    fn field(
        &mut self,
        cursor: &mut Cursor<'_>,
        scratch: &mut Scratch,
        previous: Option<usize>,
    ) -> Fit<Option<usize>> {
        if let Some((guess, spelling)) = self.names.guess(previous)
            && cursor.this_key(spelling)
        {
            return Ok(Some(guess));
        }
        let key = cursor.key()?;
        Ok(self.names.find(content(key, &mut scratch.text)?, previous))
    }
}

impl Column {
    /// Reads a value as the next row; the cursor stands at its first byte.
    fn read(&mut self, cursor: &mut Cursor<'_>, scratch: &mut Scratch, depth: usize) -> Fit<()> {
        let at = cursor.at();
        let first = cursor.peek();
        if first == Some(b'n') {
            cursor.word("null")?;
            scratch.spend(self.leaves)?;
            self.push_null();
            return Ok(());
        }
        let row = self.len();
        match (&mut self.cells, first) {
            (Cells::Struct(group), Some(b'{')) => group.read(row, cursor, scratch, depth)?,
            (
                Cells::Map {
                    offsets,
                    key,
                    value,
                    ..
                },
                Some(b'{'),
            ) => {
                read_map(key, value, cursor, scratch, depth)?;
                offsets.push(i32::try_from(key.len()).unwrap_or(i32::MAX));
            }
            (Cells::List { offsets, item, .. }, _) => {
                read_list(item, cursor, scratch, depth)?;
                offsets.push(i32::try_from(item.len()).unwrap_or(i32::MAX));
            }
            (Cells::Struct(_) | Cells::Map { .. }, Some(_)) => {
                cursor.skip_value(depth)?; // no JSON is worse than a misfit
                return Err(Fault::mismatch(at, self.cells.expected(), ""));
            }
            (cells, Some(b'"')) => {
                let body = cursor.string()?;
                cells.take_string(body, scratch)?;
            }
            (cells, Some(b'-' | b'0'..=b'9')) => {
                let number = cursor.number()?;
                cells.take_number(number, at)?;
            }
            (cells, Some(b't')) => {
                cursor.word("true")?;
                cells.take_boolean(true, at)?;
            }
            (cells, Some(b'f')) => {
                cursor.word("false")?;
                cells.take_boolean(false, at)?;
            }
            (cells, Some(b'{' | b'[')) => {
                cursor.skip_value(depth)?;
                let Cells::Text { strings, limit } = cells else {
                    return Err(Fault::mismatch(at, cells.expected(), ""));
                };
                cursor::compact(cursor.since(at), &mut strings.bytes);
                close_text(strings, *limit, at)?;
            }
            _ => return Err(cursor.syntax("a value")),
        }
        self.validity.append_non_null();
        Ok(())
    }
}

fn read_list(
    item: &mut Column,
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
    depth: usize,
) -> Fit<()> {
    let at = cursor.at();
    match cursor.peek() {
        Some(b'[') => cursor.bump(),
        Some(b'{') => {
            cursor.skip_value(depth)?;
            return Err(Fault::mismatch(at, "array", ""));
        }
        _ => return item.read(cursor, scratch, depth),
    }
    if cursor.next_token() == Some(b']') {
        cursor.bump();
        return Ok(());
    }
    let start = item.len();
    loop {
        item.read(cursor, scratch, depth + 1)
            .map_err(|fault| fault.item(item.len() - start))?;
        match cursor.next_token() {
            Some(b',') => {
                cursor.bump();
                cursor.space();
            }
            Some(b']') => {
                cursor.bump();
                return Ok(());
            }
            _ => return Err(cursor.syntax("`,` or `]`")),
        }
    }
}

/// Reads the members of an object as entries. Where a key occurs again, the object is read a second
/// time without the entries that a later one replaces.
fn read_map(
    key: &mut Column,
    value: &mut Column,
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
    depth: usize,
) -> Fit<()> {
    let start = key.len();
    let again = *cursor;
    let mut last: HashMap<Cow<'_, [u8]>, usize, foldhash::fast::RandomState> = HashMap::default();
    let mut replaced = HashSet::new();
    read_entries(key, value, cursor, scratch, depth, &mut |index, name| {
        replaced.extend(last.insert(name, index));
        true
    })?;
    if !replaced.is_empty() {
        key.truncate(start);
        value.truncate(start);
        *cursor = again;
        read_entries(key, value, cursor, scratch, depth, &mut |index, _| {
            !replaced.contains(&index)
        })?;
    }
    Ok(())
}

/// Reads entries, of which `wanted` decides by index and name.
fn read_entries<'a>(
    key: &mut Column,
    value: &mut Column,
    cursor: &mut Cursor<'a>,
    scratch: &mut Scratch,
    depth: usize,
    wanted: &mut dyn FnMut(usize, Cow<'a, [u8]>) -> bool,
) -> Fit<()> {
    cursor.bump();
    if cursor.next_token() == Some(b'}') {
        cursor.bump();
        return Ok(());
    }
    for index in 0.. {
        let body = cursor.key()?;
        let name = if body.escaped {
            Cow::Owned(content(body, &mut scratch.text)?.to_vec())
        } else {
            Cow::Borrowed(body.raw)
        };
        if wanted(index, name) {
            key.cells
                .take_string(body, scratch)
                .map_err(|fault| fault.key(body.raw))?;
            key.validity.append_non_null();
            value
                .read(cursor, scratch, depth + 1)
                .map_err(|fault| fault.key(body.raw))?;
        } else {
            cursor.skip_value(depth + 1)?;
        }
        match cursor.next_token() {
            Some(b',') => {
                cursor.bump();
                cursor.space();
            }
            Some(b'}') => {
                cursor.bump();
                break;
            }
            _ => return Err(cursor.syntax("`,` or `}`")),
        }
    }
    Ok(())
}

impl Cells {
    fn take_string(&mut self, body: Body<'_>, scratch: &mut Scratch) -> Fit<()> {
        if let Self::Text { strings, limit } = self {
            if body.escaped {
                cursor::unescape(body.raw, &mut strings.bytes).map_err(|at| lone(body, at))?;
            } else {
                strings.bytes.extend_from_slice(body.raw);
            }
            return close_text(strings, *limit, body.at);
        }
        let text = content(body, &mut scratch.text)?;
        let number = || Number::from_string(text);
        let taken = match self {
            Self::Boolean(values) => boolean(text).map(|value| values.append(value)),
            Self::Binary(strings) => {
                let decoded =
                    base64::engine::general_purpose::STANDARD.decode_vec(text, &mut strings.bytes);
                decoded.ok().map(|()| strings.close())
            }
            Self::Date(values) => time::date(text).map(|days| values.push(days)),
            Self::Timestamp(values) => time::timestamp(text)
                .or_else(|| number().and_then(time::epoch))
                .map(|micros| values.push(micros)),
            _ => number().and_then(|number| self.push_number(number)),
        };
        taken.ok_or_else(|| Fault::mismatch(body.at, self.expected(), ""))
    }

    fn take_number(&mut self, number: Number<'_>, at: usize) -> Fit<()> {
        if let Self::Text { strings, limit } = self {
            strings.bytes.extend_from_slice(number.text);
            return close_text(strings, *limit, at);
        }
        self.push_number(number).ok_or_else(|| {
            let integral = matches!(
                self,
                Self::TinyInt(_) | Self::SmallInt(_) | Self::Int(_) | Self::BigInt(_)
            );
            let why = match (integral, number.scaled(0)) {
                (true, Some((_, false))) => "it has a fraction",
                (true, _) => "it is out of range",
                (false, _) if matches!(self, Self::Decimal { .. }) => "it has too many digits",
                _ => "",
            };
            Fault::mismatch(at, self.expected(), why)
        })
    }

    fn push_number(&mut self, number: Number<'_>) -> Option<()> {
        match self {
            Self::TinyInt(values) => values.push(i8::try_from(number.to_i64()?).ok()?),
            Self::SmallInt(values) => values.push(i16::try_from(number.to_i64()?).ok()?),
            Self::Int(values) => values.push(i32::try_from(number.to_i64()?).ok()?),
            Self::BigInt(values) => values.push(number.to_i64()?),
            Self::Float(values) => values.push(number.to_f32()?),
            Self::Double(values) => values.push(number.to_f64()?),
            Self::Decimal {
                values,
                precision,
                scale,
            } => {
                let (value, _) = number.scaled(i32::from(*scale))?;
                let bound = super::number::power_of_ten(i32::from(*precision))?;
                (value.abs() < bound).then(|| values.push(value))?;
            }
            Self::Timestamp(values) => values.push(time::epoch(number)?),
            _ => return None,
        }
        Some(())
    }

    fn take_boolean(&mut self, value: bool, at: usize) -> Fit<()> {
        match self {
            Self::Boolean(values) => values.append(value),
            Self::Text { strings, limit } => {
                let word: &[u8] = if value { b"true" } else { b"false" };
                strings.bytes.extend_from_slice(word);
                return close_text(strings, *limit, at);
            }
            _ => return Err(Fault::mismatch(at, self.expected(), "")),
        }
        Ok(())
    }

    /// The Hive type, as a message names it.
    fn expected(&self) -> Cow<'static, str> {
        match self {
            Self::Boolean(_) => "boolean".into(),
            Self::TinyInt(_) => "tinyint".into(),
            Self::SmallInt(_) => "smallint".into(),
            Self::Int(_) => "int".into(),
            Self::BigInt(_) => "bigint".into(),
            Self::Float(_) => "float".into(),
            Self::Double(_) => "double".into(),
            Self::Decimal {
                precision, scale, ..
            } => format!("decimal({precision},{scale})").into(),
            Self::Text {
                limit: Limit::None, ..
            } => "string".into(),
            Self::Text {
                limit: Limit::Varchar(most),
                ..
            } => format!("varchar({most})").into(),
            Self::Text {
                limit: Limit::Char(most),
                ..
            } => format!("char({most})").into(),
            Self::Binary(_) => "binary (base64 text)".into(),
            Self::Date(_) => "date".into(),
            Self::Timestamp(_) => "timestamp".into(),
            Self::List { .. } => "array".into(),
            Self::Map { .. } => "map (a JSON object)".into(),
            Self::Struct(_) => "struct (a JSON object)".into(),
        }
    }
}

/// Ends a text whose bytes were appended, if it is not too long.
fn close_text(strings: &mut Strings, limit: Limit, at: usize) -> Fit<()> {
    if let Limit::Varchar(most) | Limit::Char(most) = limit {
        let text = &strings.bytes[strings.start()..];
        // Characters are the bytes that continue none.
        let characters = text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        if characters > most as usize {
            let kind = if let Limit::Char(_) = limit {
                "char"
            } else {
                "varchar"
            };
            return Err(Fault::mismatch(
                at,
                format_args!("{kind}({most})"),
                "it is too long",
            ));
        }
    }
    strings.close();
    Ok(())
}

/// The text that a string stands for.
fn content<'b>(body: Body<'b>, scratch: &'b mut Vec<u8>) -> Fit<&'b [u8]> {
    if !body.escaped {
        return Ok(body.raw);
    }
    scratch.clear();
    cursor::unescape(body.raw, scratch).map_err(|at| lone(body, at))?;
    Ok(scratch)
}

fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else {
        text.eq_ignore_ascii_case(b"false").then_some(false)
    }
}

/// A surrogate without its partner at offset `at` of a string's inside.
#[cold]
fn lone(body: Body<'_>, at: usize) -> Fault {
    Fault::syntax(
        body.at + 1 + at,
        "a surrogate to be followed by its partner",
    )
}
