//! A record as its rows will be read back, and what gets lost on the way: what `explain` shows.
//!
//! The decoder has made the rows; here they are read out of its columns and held against the text of
//! the record. No rule of conversion stands here a second time: a value has changed when what is
//! read back is another number, or another text, than the one in the record.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use serde_json::Value;

use firehose_json::RawString;

mod changed;

use super::builder::ColumnBuilder;
use super::coerce::content;
use super::cursor::Cursor;
use super::decode::Scratch;
use super::fault::Fit;
use super::names::FieldNames;
use super::schema::{Field, HiveType};
use super::shown::shown;
use crate::config::{ColumnRules, NameRules, UnknownFields};
use changed::is_changed;

/// Characters that are shown of a value of the record.
const EXCERPT: usize = 60;

/// One row of the object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The columns as they will be read back, in the order of the schema.
    pub columns: Vec<(String, Value)>,
    /// Members of the record that no column takes, where none is for them.
    pub unknown: Vec<FieldPath>,
    /// What is null because the record lacks it.
    pub missing: Vec<FieldPath>,
    /// What is null because it is null in the record.
    pub null: Vec<FieldPath>,
    /// Members that come again later in the record: the last one counts.
    pub repeated: Vec<FieldPath>,
    /// Values that are not read back as the record has them.
    pub changed: Vec<Changed>,
}

/// The path to a value in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath {
    /// With indexes and keys: `lines[2].price`.
    pub path: String,
    /// The same for all items and keys: `lines[].price`.
    pub field: String,
}

/// A value that is read back as another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Where it is.
    pub place: FieldPath,
    /// As the record has it.
    pub from: String,
    /// As it is read back.
    pub to: Value,
}

/// The rows of a batch that was made of this record alone.
pub(super) fn rows(
    fields: &[Field],
    rules: &ColumnRules,
    batch: &RecordBatch,
    record: &[u8],
) -> Vec<Row> {
    let schema = batch.schema();
    let mut cursor = Cursor::of(record);
    let mut rows = Vec::new();
    for row in 0..batch.num_rows() {
        cursor.token();
        let mut reading = Reading::of(rules);
        let columns = schema.fields().iter().zip(batch.columns());
        reading.row.columns = columns
            .map(|(field, column)| (field.name().clone(), shown(column, row)))
            .collect();
        // The decoder has read it, so this does not fail.
        let read = reading.group(fields, &rules.names, batch.columns(), row, &mut cursor);
        debug_assert!(read.is_ok(), "{read:?}");
        rows.push(reading.row);
    }
    rows
}

struct Reading {
    row: Row,
    place: FieldPath,
    /// The names of fields inside of columns.
    inside: NameRules,
    /// Whether what no column takes is in one of its own.
    keeps: bool,
    /// What keys of maps are made with.
    scratch: Scratch,
    /// Whether a text may be a time by a pattern, which says what its digits are.
    has_patterns: bool,
}

impl FieldPath {
    /// Where a step that both spell alike leads.
    fn named(&self, name: &str) -> Self {
        let step = |path: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        Self {
            path: step(&self.path),
            field: step(&self.field),
        }
    }

    /// Where an item or a value of a map is.
    fn inner(&self, step: std::fmt::Arguments<'_>) -> Self {
        let mut path = self.path.clone();
        _ = write!(path, "[{step}]");
        Self {
            path,
            field: format!("{}[]", self.field),
        }
    }
}

/// The rows of a map's entries that no member was found for, by the JSON text of the key that they show.
type Held = HashMap<String, Vec<usize>>;

/// A member of an object: its name, and the text from its value on.
struct Member<'a> {
    key: RawString<'a>,
    name: String,
    value: Cursor<'a>,
}

/// The members of an object; the cursor stands at its brace and is left behind it.
fn members<'a>(cursor: &mut Cursor<'a>) -> Fit<Vec<Member<'a>>> {
    let (mut members, mut scratch) = (Vec::new(), Vec::new());
    cursor.step(1);
    while cursor.token() != Some(b'}') {
        let key = cursor.key()?;
        let name = String::from_utf8_lossy(content(key, &mut scratch)?).into_owned();
        members.push(Member {
            key,
            name,
            value: *cursor,
        });
        cursor.skip(0)?;
        cursor.eat(b',');
    }
    cursor.step(1);
    Ok(members)
}

impl Reading {
    fn of(rules: &ColumnRules) -> Self {
        Self {
            row: Row::default(),
            place: FieldPath::default(),
            inside: NameRules {
                json_keys: BTreeMap::new(),
                ..rules.names
            },
            keeps: matches!(rules.unknown, UnknownFields::Keep(_)),
            scratch: Scratch::new(rules),
            has_patterns: !rules.times.formats.is_empty(),
        }
    }

    /// Holds an object against the columns of its fields.
    fn group(
        &mut self,
        fields: &[Field],
        rules: &NameRules,
        columns: &[ArrayRef],
        row: usize,
        cursor: &mut Cursor<'_>,
    ) -> Fit<()> {
        let mut names = FieldNames::new(fields, rules);
        let mut found: Vec<Option<Cursor<'_>>> = vec![None; fields.len()];
        for Member { name, value, .. } in members(cursor)? {
            let Some(index) = names.find(name.as_bytes(), None) else {
                if !self.keeps {
                    self.row.unknown.push(self.place.named(&name));
                }
                continue;
            };
            if found[index].replace(value).is_some() {
                self.row
                    .repeated
                    .push(self.place.named(&fields[index].name));
            }
        }
        for ((field, column), value) in fields.iter().zip(columns).zip(found) {
            let place = self.place.named(&field.name);
            match value {
                None => self.row.missing.push(place),
                Some(mut value) => self.at(place, &field.kind, column, row, &mut value)?,
            }
        }
        Ok(())
    }

    /// Holds a value at another place against row `row` of a column.
    fn at(
        &mut self,
        place: FieldPath,
        kind: &HiveType,
        column: &ArrayRef,
        row: usize,
        cursor: &mut Cursor<'_>,
    ) -> Fit<()> {
        let before = std::mem::replace(&mut self.place, place);
        let held = self.value(kind, column, row, cursor);
        self.place = before;
        held
    }

    fn value(
        &mut self,
        kind: &HiveType,
        column: &ArrayRef,
        row: usize,
        cursor: &mut Cursor<'_>,
    ) -> Fit<()> {
        match (kind, cursor.token()) {
            (_, Some(b'n')) => {
                cursor.word("null")?;
                self.row.null.push(self.place.clone());
                Ok(())
            }
            // It did not fit, and its column is null for that.
            (_, Some(_)) if column.is_null(row) => {
                let start = cursor.at();
                cursor.skip(0)?;
                self.row.changed.push(Changed {
                    place: self.place.clone(),
                    from: excerpt(&String::from_utf8_lossy(cursor.since(start))),
                    to: Value::Null,
                });
                Ok(())
            }
            (HiveType::Struct(fields), Some(b'[')) => {
                self.places(fields, column.as_struct().columns(), row, cursor)
            }
            (HiveType::Struct(fields), _) => {
                let inside = self.inside.clone();
                self.group(fields, &inside, column.as_struct().columns(), row, cursor)
            }
            (HiveType::Array(item), first) => {
                let list = column.as_list::<i32>();
                let start = usize_of(list.value_offsets()[row]);
                if first == Some(b'[') {
                    self.items(item, list.values(), start, cursor)
                } else {
                    // A single value is the only item.
                    self.value(item, list.values(), start, cursor)
                }
            }
            (HiveType::Map(key, value), _) => {
                let map = column.as_map();
                let entries = map.value_offsets();
                let entries = usize_of(entries[row])..usize_of(entries[row + 1]);
                let mut held: Held = HashMap::new();
                for at in entries {
                    let key = shown(map.keys(), at).to_string();
                    held.entry(key).or_default().push(at);
                }
                self.entries((key, value), map.values(), held, cursor)
            }
            _ => self.single(kind, column, row, cursor),
        }
    }

    /// Holds an array against the columns of fields, which its items are by their places.
    fn places(
        &mut self,
        fields: &[Field],
        columns: &[ArrayRef],
        row: usize,
        cursor: &mut Cursor<'_>,
    ) -> Fit<()> {
        cursor.step(1);
        let mut index = 0;
        while cursor.token() != Some(b']') {
            if let Some((field, column)) = fields.get(index).zip(columns.get(index)) {
                let place = self.place.named(&field.name);
                self.at(place, &field.kind, column, row, cursor)?;
            } else {
                if !self.keeps {
                    let place = self.place.inner(format_args!("{index}"));
                    self.row.unknown.push(place);
                }
                cursor.skip(0)?;
            }
            index += 1;
            cursor.eat(b',');
        }
        cursor.step(1);
        let lacking = fields.iter().skip(index);
        let lacking = lacking.map(|field| self.place.named(&field.name));
        self.row.missing.extend(lacking);
        Ok(())
    }

    fn items(
        &mut self,
        item: &HiveType,
        column: &ArrayRef,
        start: usize,
        cursor: &mut Cursor<'_>,
    ) -> Fit<()> {
        cursor.step(1);
        let mut index = 0;
        while cursor.token() != Some(b']') {
            let place = self.place.inner(format_args!("{index}"));
            self.at(place, item, column, start + index, cursor)?;
            index += 1;
            cursor.eat(b',');
        }
        cursor.step(1);
        Ok(())
    }

    /// Holds the members of an object against the entries of a map. Of members with one key the last
    /// one is there.
    fn entries(
        &mut self,
        (key, value): (&HiveType, &HiveType),
        column: &ArrayRef,
        mut held: Held,
        cursor: &mut Cursor<'_>,
    ) -> Fit<()> {
        for member in members(cursor)?.into_iter().rev() {
            let place = self.place.inner(format_args!("{:?}", member.name));
            let made = key_of(key, member.key, &mut self.scratch);
            let to = made.as_ref().map(|made| shown(made, 0));
            let of_key = to.as_ref().and_then(|to| held.get_mut(&to.to_string()));
            let Some(row) = of_key.and_then(Vec::pop) else {
                self.row.repeated.push(place);
                continue;
            };
            if let (Some(made), Some(to)) = (&made, to)
                && self.is_changed(key, true, &member.name, made, 0)
            {
                let from = excerpt(&member.name);
                let place = place.clone();
                self.row.changed.push(Changed { place, from, to });
            }
            let mut at = member.value;
            self.at(place, value, column, row, &mut at)?;
        }
        Ok(())
    }

    /// Holds a value without parts against what is read back.
    fn single(
        &mut self,
        kind: &HiveType,
        column: &ArrayRef,
        row: usize,
        cursor: &mut Cursor<'_>,
    ) -> Fit<()> {
        let start = cursor.at();
        let is_string = cursor.peek() == Some(b'"');
        let mut scratch = Vec::new();
        let text = if is_string {
            String::from_utf8_lossy(content(cursor.string()?, &mut scratch)?).into_owned()
        } else {
            cursor.skip(0)?;
            String::from_utf8_lossy(cursor.since(start)).into_owned()
        };
        if self.is_changed(kind, is_string, &text, column, row) {
            self.row.changed.push(Changed {
                place: self.place.clone(),
                from: excerpt(&String::from_utf8_lossy(cursor.since(start))),
                to: shown(column, row),
            });
        }
        Ok(())
    }
}

impl Reading {
    /// Whether a value without parts, whose text this is, is read back as another one.
    fn is_changed(
        &self,
        kind: &HiveType,
        is_string: bool,
        text: &str,
        column: &ArrayRef,
        row: usize,
    ) -> bool {
        let is_by_pattern = self.has_patterns && *kind == HiveType::Timestamp;
        !is_by_pattern && is_changed(kind, is_string, text, column, row)
    }
}

/// What the decoder makes of a member's name as the key of a map.
fn key_of(kind: &HiveType, name: RawString<'_>, scratch: &mut Scratch) -> Option<ArrayRef> {
    let mut column = ColumnBuilder::new(kind, &NameRules::default());
    let taken = column.cells.take_string(name, scratch);
    column.validity.append_non_null();
    taken.ok().and_then(|()| column.finish().ok())
}

/// The beginning of a text.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn usize_of(offset: i32) -> usize {
    offset.unsigned_abs() as usize
}
