//! Records that are known to be sound, into what was seen of them.

use super::super::coerce::content;
use super::super::cursor::Cursor;
use super::super::fault::Fit;
use super::super::schema::DEPTH_MAX;
use super::seen::{PlacesLeft, SeenValues};
use super::{NAMES_MAX, RECORD_NAMES_MAX};

/// What reading needs beside the places.
pub(super) struct InferenceReading<'r> {
    pub(super) room: &'r mut PlacesLeft,
    /// The last text that had to be unescaped.
    pub(super) scratch: &'r mut Vec<u8>,
    /// Whether `a.b` is the field `a_b`.
    pub(super) dots_to_underscores: bool,
}

impl InferenceReading<'_> {
    /// Reads an object of a record; the cursor stands at its brace.
    pub(super) fn record(&mut self, root: &mut SeenValues, cursor: &mut Cursor<'_>) -> Fit<()> {
        root.objects += 1;
        self.members(root, RECORD_NAMES_MAX, cursor, 1)
    }

    /// Reads a value at a place whose type nests `depth` levels deep.
    fn value(&mut self, seen: &mut SeenValues, cursor: &mut Cursor<'_>, depth: usize) -> Fit<()> {
        match cursor.token() {
            Some(b'n') => {
                cursor.word("null")?;
                seen.nulls += 1;
            }
            Some(b't') => {
                cursor.word("true")?;
                seen.booleans += 1;
            }
            Some(b'f') => {
                cursor.word("false")?;
                seen.booleans += 1;
            }
            Some(b'"') => {
                let raw = cursor.string()?;
                seen.text(content(raw, self.scratch)?);
            }
            Some(b'[') => {
                seen.arrays += 1;
                self.items(seen, cursor, depth)?;
            }
            Some(b'{') => {
                seen.objects += 1;
                seen.opaque |= depth == DEPTH_MAX;
                self.members(seen, NAMES_MAX, cursor, depth + 1)?;
            }
            _ => seen.number(cursor.number()?),
        }
        Ok(())
    }

    fn items(&mut self, seen: &mut SeenValues, cursor: &mut Cursor<'_>, depth: usize) -> Fit<()> {
        seen.opaque |= depth == DEPTH_MAX;
        if seen.opaque {
            return cursor.skip(0);
        }
        cursor.step(1);
        while !cursor.eat(b']') {
            match seen.item(self.room) {
                Some(item) => self.value(item, cursor, depth + 1)?,
                None => cursor.skip(0)?,
            }
            cursor.eat(b',');
        }
        Ok(())
    }

    /// Reads the members of an object, which are at this depth; there may be `names_max` names.
    fn members(
        &mut self,
        seen: &mut SeenValues,
        names_max: usize,
        cursor: &mut Cursor<'_>,
        depth: usize,
    ) -> Fit<()> {
        cursor.step(1);
        while !cursor.eat(b'}') {
            cursor.token();
            let key = cursor.key()?;
            let name = content(key, self.scratch)?;
            let renamed =
                (self.dots_to_underscores && name.contains(&b'.')).then(|| without_dots(name));
            let name = renamed.as_deref().unwrap_or(name);
            match seen.member(name, names_max, self.room) {
                Some(member) => self.value(member, cursor, depth)?,
                None => cursor.skip(0)?,
            }
            cursor.eat(b',');
        }
        Ok(())
    }
}

fn without_dots(name: &[u8]) -> Vec<u8> {
    let bytes = name
        .iter()
        .map(|byte| if *byte == b'.' { b'_' } else { *byte });
    bytes.collect()
}
