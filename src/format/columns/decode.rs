//! JSON text into column buffers, in one pass along the schema.
//!
//! `null` and a missing member are null everywhere; undeclared members are skipped, kept (`kept`) or fail the record, but
//! must be JSON; of members with the same name (without regard to ASCII case), or the same key of a map once it has
//! the key's type, the last counts, and all must fit. `array` takes an
//! array, or a single string, number or boolean as its only item; `map` takes objects, `struct` objects and arrays, whose
//! items are its fields by their places. Single values are told in `coerce`. Strict, as Hive's deserializer is, numbers and
//! booleans take no strings, `array` no single values, `struct` no arrays, and texts no JSON.

use std::collections::{HashMap, HashSet};

use super::builder::{Cells, ColumnBuilder, Key, StructBuilder};
use super::census::Census;
use super::coerce::content;
use super::cursor::{Cursor, Paired};
use super::fault::{Fault, Fit};
use super::kept::{Kept, Leftover, MemberName};
use super::times::Times;
use crate::config::{ColumnRules, Deserializer, UnknownFields};

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
    /// What counts fields and columns that do not find each other.
    pub(super) census: Census,
    /// Whether a value must be of its column's kind.
    is_strict: bool,
    /// Whether an array fits a struct.
    takes_places: bool,
    pub(super) times: Times,
    /// Whether an undeclared member fails its record.
    is_closed: bool,
    /// Those that are kept, of this row.
    pub(super) kept: Kept,
    /// By the places of this record's maps in which entries are replaced by later ones: which.
    replaced: HashMap<usize, HashSet<usize>>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            empty: 0,
            empty_max: EMPTY_CELLS_MAX,
            census: Census::default(),
            is_strict: false,
            takes_places: true,
            times: Times::default(),
            is_closed: false,
            kept: Kept::default(),
            replaced: HashMap::new(),
        }
    }
}

impl Scratch {
    /// By the settings.
    pub(super) fn new(rules: &ColumnRules) -> Self {
        Self {
            is_strict: rules.deserializer == Deserializer::Hive,
            takes_places: rules.deserializer == Deserializer::OpenX && !rules.structs_by_name,
            times: Times::new(rules),
            is_closed: rules.unknown == UnknownFields::Fail,
            ..Self::default()
        }
    }

    /// Forgets what it knows of the record before.
    pub(super) fn begin(&mut self) {
        self.census.begin();
        self.empty = 0;
        self.kept.cut(0);
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
    /// around it. `KEEPS` tells whether undeclared members are kept: most settings have nothing of it in their way.
    pub(super) fn read<const KEEPS: bool>(
        &mut self,
        row: usize,
        cursor: &mut Cursor<'_>,
        scratch: &mut Scratch,
        depth: usize,
    ) -> Fit<()> {
        cursor.step(1);
        let mut previous = None;
        let mut distinct = 0;
        let mut leftover = Leftover::default();
        if cursor.token() == Some(b'}') {
            cursor.step(1);
        } else {
            loop {
                let found = match self.guessed(cursor, previous) {
                    None => {
                        self.found::<KEEPS>(cursor, scratch, previous, depth + 1, &mut leftover)?
                    }
                    guessed => guessed,
                };
                if let Some(index) = found {
                    previous = found;
                    let column = &mut self.columns[index];
                    let is_again = column.len() > row;
                    if is_again {
                        column.truncate(row);
                    } else {
                        distinct += 1;
                    }
                    let value = cursor.at();
                    let mark = if KEEPS { scratch.kept.len() } else { 0 };
                    if let Err(fault) = column.read::<KEEPS>(cursor, scratch, depth + 1) {
                        cursor.back_to(value);
                        scratch.kept.cut(mark);
                        self.misfit(index, row, fault)?;
                        cursor.skip(depth + 1)?;
                        let column = &mut self.columns[index];
                        scratch.spend(column.leaves)?;
                        column.nulled.note(&scratch.census);
                        column.push_null();
                        if KEEPS && is_again {
                            leftover.note(MemberName::Declared(index), mark);
                        }
                    } else if KEEPS && (scratch.kept.len() > mark || is_again) {
                        leftover.note(MemberName::Declared(index), mark);
                        scratch.kept.enclose_named(mark, self.names.key(index));
                    }
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
        if KEEPS {
            leftover.close(&mut scratch.kept);
        }
        if distinct < self.columns.len() {
            self.fill(row, scratch)?;
        }
        Ok(())
    }

    /// Makes null what row `row` lacks.
    fn fill(&mut self, row: usize, scratch: &mut Scratch) -> Fit<()> {
        for column in self.columns.iter_mut().filter(|column| column.len() == row) {
            scratch.spend(column.leaves)?;
            column.missing.note(&scratch.census);
            column.push_null();
        }
        Ok(())
    }

    /// Reads an array as row `row`, its items as the fields in their order; the cursor stands at its bracket. Items beyond
    /// the fields are members that no field takes.
    fn read_items<const KEEPS: bool>(
        &mut self,
        row: usize,
        cursor: &mut Cursor<'_>,
        scratch: &mut Scratch,
        depth: usize,
    ) -> Fit<()> {
        cursor.step(1);
        let mut index = 0;
        let mut is_over = cursor.eat(b']');
        while !is_over {
            cursor.token();
            let (at, mark) = (cursor.at(), scratch.kept.len());
            if let Some(column) = self.columns.get_mut(index) {
                let read = column.read::<KEEPS>(cursor, scratch, depth + 1);
                read.map_err(|fault| fault.named(self.names.declared(index)))?;
                if KEEPS {
                    scratch.kept.enclose_named(mark, self.names.key(index));
                }
            } else {
                self.surplus.note(&scratch.census);
                if KEEPS {
                    cursor.skip_as::<Paired>(depth + 1)?;
                    scratch.kept.push_item(index, cursor.since(at));
                } else {
                    cursor.skip(depth + 1)?;
                    if scratch.is_closed {
                        return Err(Fault::surplus(index));
                    }
                }
            }
            index += 1;
            is_over = match cursor.token() {
                Some(b',') => false,
                Some(b']') => true,
                _ => return Err(cursor.expected("`,` or `]`")),
            };
            cursor.step(1);
        }
        self.fill(row, scratch)
    }

    /// Reads a member's key where it is the one that is likely next.
    #[expect(
        clippy::inline_always,
        reason = "counted: as a call it takes a fifth more instructions, at each member of each record"
    )]
    #[inline(always)]
    fn guessed(&self, cursor: &mut Cursor<'_>, previous: Option<usize>) -> Option<usize> {
        let (guess, spelling) = self.names.guess(previous)?;
        cursor.eat_text(spelling).then_some(guess)
    }

    /// Reads a member's key: which field it means. Of a member that means none the value is read, too.
    fn found<'a, const KEEPS: bool>(
        &mut self,
        cursor: &mut Cursor<'a>,
        scratch: &mut Scratch,
        previous: Option<usize>,
        depth: usize,
        leftover: &mut Leftover<'a>,
    ) -> Fit<Option<usize>> {
        let key = cursor.key()?;
        let name = content(key, &mut scratch.text)?;
        // What was unknown before is so again.
        if !self.unknown.is_next(name, &scratch.census) {
            let found = self.names.find(name, previous);
            if found.is_some() {
                return Ok(found);
            }
            self.unknown.note(name, &mut scratch.census);
        }
        let at = cursor.at();
        if KEEPS {
            cursor.skip_as::<Paired>(depth)?;
            leftover.note(MemberName::of(key), scratch.kept.len());
            scratch.kept.push(key, cursor.since(at));
            return Ok(None);
        }
        cursor.skip(depth)?;
        if scratch.is_closed {
            return Err(Fault::unknown(content(key, &mut scratch.text)?));
        }
        Ok(None)
    }

    /// A value does not fit its column, which is cut back to be null, where it may be.
    #[cold]
    fn misfit(&mut self, index: usize, row: usize, fault: Fault) -> Fit<()> {
        if !fault.is_misfit() || !self.nulled.get(index).is_some_and(|nulled| *nulled) {
            return Err(fault.named(self.names.declared(index)));
        }
        self.columns[index].truncate(row);
        Ok(())
    }
}

impl ColumnBuilder {
    /// Reads a value as the next row; the cursor stands at its first byte.
    fn read<const KEEPS: bool>(
        &mut self,
        cursor: &mut Cursor<'_>,
        scratch: &mut Scratch,
        depth: usize,
    ) -> Fit<()> {
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
            (Cells::Struct(group), Some(b'{')) => {
                group.read::<KEEPS>(row, cursor, scratch, depth)?;
            }
            (
                Cells::Map {
                    offsets,
                    key,
                    value,
                    ..
                },
                Some(b'{'),
            ) => {
                read_map::<KEEPS>(key, value, cursor, scratch, depth)?;
                offsets.push(i32::try_from(key.len()).unwrap_or(i32::MAX));
            }
            (Cells::List { offsets, item, .. }, _) => {
                read_list::<KEEPS>(item, cursor, scratch, depth)?;
                offsets.push(i32::try_from(item.len()).unwrap_or(i32::MAX));
                if first != Some(b'[') {
                    self.coerced.note(&scratch.census);
                }
            }
            (Cells::Struct(group), Some(b'[')) if scratch.takes_places => {
                group.read_items::<KEEPS>(row, cursor, scratch, depth)?;
                self.coerced.note(&scratch.census);
            }
            (Cells::Struct(_) | Cells::Map { .. }, Some(_)) => {
                cursor.skip(depth)?; // no JSON is worse than a misfit
                return Err(Fault::mismatch(at, self.cells.expected(), ""));
            }
            (cells, Some(b'"')) => {
                let string = cursor.string()?;
                let is_other = cells.is_number();
                if scratch.is_strict && is_other {
                    return Err(Fault::mismatch(at, cells.expected(), ""));
                }
                cells.take_string(string, scratch)?;
                if is_other {
                    self.coerced.note(&scratch.census);
                }
            }
            (cells, Some(b'-' | b'0'..=b'9')) => {
                let number = cursor.number()?;
                cells.take_number(number, at, scratch)?;
                if cells.is_text() {
                    self.coerced.note(&scratch.census);
                }
            }
            (cells, Some(first @ (b't' | b'f'))) => {
                cursor.word(if first == b't' { "true" } else { "false" })?;
                cells.take_boolean(first == b't', at)?;
                if cells.is_text() {
                    self.coerced.note(&scratch.census);
                }
            }
            (cells, Some(b'{' | b'[')) => {
                let is_taken = !scratch.is_strict && cells.is_text();
                if is_taken {
                    cursor.skip_as::<Paired>(depth)?;
                } else {
                    cursor.skip(depth)?;
                    return Err(Fault::mismatch(at, cells.expected(), ""));
                }
                cells.take_json(cursor.since(at), at)?;
                self.coerced.note(&scratch.census);
            }
            _ => return Err(cursor.expected("a value")),
        }
        self.validity.append_non_null();
        Ok(())
    }
}

fn read_list<const KEEPS: bool>(
    item: &mut ColumnBuilder,
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
    depth: usize,
) -> Fit<()> {
    let at = cursor.at();
    match cursor.peek() {
        Some(b'[') => cursor.step(1),
        Some(first) if first == b'{' || scratch.is_strict => {
            cursor.skip(depth)?;
            return Err(Fault::mismatch(at, "array", ""));
        }
        _ => return item.read::<KEEPS>(cursor, scratch, depth),
    }
    if cursor.token() == Some(b']') {
        cursor.step(1);
        return Ok(());
    }
    let start = item.len();
    loop {
        let mark = scratch.kept.len();
        item.read::<KEEPS>(cursor, scratch, depth + 1)
            .map_err(|fault| fault.item(item.len() - start))?;
        if KEEPS && scratch.kept.len() > mark {
            let index = item.len() - start - 1;
            scratch.kept.enclose(mark, index.to_string().as_bytes());
        }
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
fn read_map<const KEEPS: bool>(
    key: &mut ColumnBuilder,
    value: &mut ColumnBuilder,
    cursor: &mut Cursor<'_>,
    scratch: &mut Scratch,
    depth: usize,
) -> Fit<()> {
    let start = key.len();
    let again = *cursor;
    if let Some(replaced) = scratch.replaced.remove(&again.at()) {
        read_entries::<KEEPS>(key, value, cursor, scratch, depth, &|index| {
            !replaced.contains(&index)
        })?;
        scratch.replaced.insert(again.at(), replaced);
        return Ok(());
    }
    let mark = scratch.kept.len();
    read_entries::<KEEPS>(key, value, cursor, scratch, depth, &|_| true)?;
    let mut last: HashMap<Key<'_>, usize, foldhash::fast::RandomState> = HashMap::default();
    let mut replaced = HashSet::new();
    for row in start..key.len() {
        replaced.extend(last.insert(key.cells.key(row), row - start));
    }
    if !replaced.is_empty() {
        key.truncate(start);
        value.truncate(start);
        scratch.kept.cut(mark);
        *cursor = again;
        scratch.replaced.insert(again.at(), replaced);
        return read_map::<KEEPS>(key, value, cursor, scratch, depth);
    }
    Ok(())
}

/// Reads entries, of which `wanted` decides by index.
fn read_entries<const KEEPS: bool>(
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
            let mark = scratch.kept.len();
            value
                .read::<KEEPS>(cursor, scratch, depth + 1)
                .map_err(|fault| fault.key(name.text))?;
            if KEEPS {
                scratch.kept.enclose(mark, name.text);
            }
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
