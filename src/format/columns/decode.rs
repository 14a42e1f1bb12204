//! JSON text into column buffers, in one pass along the schema.
//!
//! `null` and a missing member are null everywhere; undeclared members are skipped but must be JSON;
//! of members with the same name (without regard to ASCII case), or the same key of a map once it has
//! the key's type, the last counts, and all must fit. `array` takes an
//! array, or a single string, number or boolean as its only item; `map` and `struct` take objects.
//! Single values are told in `coerce`.

use std::collections::{HashMap, HashSet};

use super::builder::{Cells, ColumnBuilder, Key, StructBuilder};
use super::coerce::content;
use super::cursor::Cursor;
use super::fault::{Fault, Fit};

/// Cells that one record may leave empty: each missing or null field of each struct is one. It
/// keeps `[{},{},{},…]` from filling the memory.
const EMPTY_CELLS_MAX: usize = 4 << 20;

/// What decoding needs beside the columns.
#[derive(Debug)]
pub(super) struct Scratch {
    /// The last string that had to be unescaped.
    pub(super) text: Vec<u8>,
    /// Cells left empty by this record.
    pub(super) empty: usize,
    /// How many it may leave empty.
    pub(super) empty_max: usize,
    /// By the places of this record's maps in which entries are replaced by later ones: which.
    replaced: HashMap<usize, HashSet<usize>>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            empty: 0,
            empty_max: EMPTY_CELLS_MAX,
            replaced: HashMap::new(),
        }
    }
}

impl Scratch {
    /// Forgets what it knows of the record before.
    pub(super) fn begin(&mut self) {
        self.empty = 0;
        self.replaced.clear();
    }

    fn spend(&mut self, cells: usize) -> Fit<()> {
        self.empty += cells;
        if self.empty > self.empty_max {
            return Err(Fault::other(if self.empty > EMPTY_CELLS_MAX {
                "The record is too sparse: more than 4194304 declared fields are missing or null in it."
            } else {
                "The record is too sparse: the names of the declared fields that are missing or null in it would \
                 be a text of more than 64 MiB."
            }));
        }
        Ok(())
    }
}

impl StructBuilder {
    /// Reads an object as row `row`; the cursor stands at its brace, `depth` containers are open
    /// around it.
    pub(super) fn read(
        &mut self,
        row: usize,
        cursor: &mut Cursor<'_>,
        scratch: &mut Scratch,
        depth: usize,
    ) -> Fit<()> {
        cursor.step(1);
        let mut previous = None;
        let mut distinct = 0;
        if cursor.token() == Some(b'}') {
            cursor.step(1);
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
                    cursor.skip(depth + 1)?;
                }
                match cursor.token() {
                    Some(b',') => {
                        cursor.step(1);
                        cursor.token();
                    }
                    Some(b'}') => break cursor.step(1),
                    _ => return Err(cursor.expected("`,` or `}`")),
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

    /// Reads a member's key: which field it means.
    #[inline]
    fn field(
        &mut self,
        cursor: &mut Cursor<'_>,
        scratch: &mut Scratch,
        previous: Option<usize>,
    ) -> Fit<Option<usize>> {
        if let Some((guess, spelling)) = self.names.guess(previous)
            && cursor.eat_key(spelling)
        {
            return Ok(Some(guess));
        }
        let key = cursor.key()?;
        Ok(self.names.find(content(key, &mut scratch.text)?, previous))
    }
}

impl ColumnBuilder {
    /// Reads a value as the next row; the cursor stands at its first byte.
    fn read(&mut self, cursor: &mut Cursor<'_>, scratch: &mut Scratch, depth: usize) -> Fit<()> {
        let first = cursor.token();
        let at = cursor.at();
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
                cursor.skip(depth)?; // no JSON is worse than a misfit
                return Err(Fault::mismatch(at, self.cells.expected(), ""));
            }
            (cells, Some(b'"')) => {
                let string = cursor.string()?;
                cells.take_string(string, scratch)?;
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
                cursor.skip(depth)?;
                cells.take_json(cursor.since(at), at)?;
            }
            _ => return Err(cursor.expected("a value")),
        }
        self.validity.append_non_null();
        Ok(())
    }
}

fn read_list(
    item: &mut ColumnBuilder,
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
    depth: usize,
) -> Fit<()> {
    let at = cursor.at();
    match cursor.peek() {
        Some(b'[') => cursor.step(1),
        Some(b'{') => {
            cursor.skip(depth)?;
            return Err(Fault::mismatch(at, "array", ""));
        }
        _ => return item.read(cursor, scratch, depth),
    }
    if cursor.token() == Some(b']') {
        cursor.step(1);
        return Ok(());
    }
    let start = item.len();
    loop {
        item.read(cursor, scratch, depth + 1)
            .map_err(|fault| fault.item(item.len() - start))?;
        match cursor.token() {
            Some(b',') => cursor.step(1),
            Some(b']') => {
                cursor.step(1);
                return Ok(());
            }
            _ => return Err(cursor.expected("`,` or `]`")),
        }
    }
}

/// Reads the members of an object as entries. Of keys that become the same value the last counts:
/// the object is then read a second time without the entries that a later one replaces. Which these are
/// is remembered, or maps in maps would be read twice as often at each level.
fn read_map(
    key: &mut ColumnBuilder,
    value: &mut ColumnBuilder,
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
    depth: usize,
) -> Fit<()> {
    let start = key.len();
    let again = *cursor;
    if let Some(replaced) = scratch.replaced.remove(&again.at()) {
        read_entries(key, value, cursor, scratch, depth, &|index| {
            !replaced.contains(&index)
        })?;
        scratch.replaced.insert(again.at(), replaced);
        return Ok(());
    }
    read_entries(key, value, cursor, scratch, depth, &|_| true)?;
    let mut last: HashMap<Key<'_>, usize, foldhash::fast::RandomState> = HashMap::default();
    let mut replaced = HashSet::new();
    for row in start..key.len() {
        replaced.extend(last.insert(key.cells.key(row), row - start));
    }
    if !replaced.is_empty() {
        key.truncate(start);
        value.truncate(start);
        *cursor = again;
        scratch.replaced.insert(again.at(), replaced);
        return read_map(key, value, cursor, scratch, depth);
    }
    Ok(())
}

/// Reads entries, of which `wanted` decides by index.
fn read_entries(
    key: &mut ColumnBuilder,
    value: &mut ColumnBuilder,
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
    depth: usize,
    wanted: &dyn Fn(usize) -> bool,
) -> Fit<()> {
    cursor.step(1);
    if cursor.token() == Some(b'}') {
        cursor.step(1);
        return Ok(());
    }
    for index in 0.. {
        let name = cursor.key()?;
        if wanted(index) {
            key.cells
                .take_string(name, scratch)
                .map_err(|fault| fault.key(name.text))?;
            key.validity.append_non_null();
            value
                .read(cursor, scratch, depth + 1)
                .map_err(|fault| fault.key(name.text))?;
        } else {
            cursor.skip(depth + 1)?;
        }
        match cursor.token() {
            Some(b',') => cursor.step(1),
            Some(b'}') => {
                cursor.step(1);
                break;
            }
            _ => return Err(cursor.expected("`,` or `}`")),
        }
    }
    Ok(())
}
