//! Columns that fit a sample: records in, declared columns out.
//!
//! What was seen is kept as counts (`seen`), and the counts alone say what type a column has
//! (`verdict`). So states merge in any order, and a type only ever widens: a count does not fall.
//! Every record that was observed fits the columns that are then declared.
//!
//! - `bigint` → `double` → `string`, `date` → `timestamp` → `string`; values of two kinds (a number and a
//!   boolean, an object and an array) make a `string`, which takes everything.
//! - A number is `bigint` where it is written without a fraction and fits 64 bits, `double` where it has a
//!   fraction or an exponent, and `string` where it is an integer beyond 64 bits, whose digits a double would lose.
//! - A text is a `date` or a `timestamp` only where all are, in a form that the columns of that type take, and
//!   none is a bare number.
//! - Members of objects are fields in the order of first sight; names that differ in ASCII case are one field. Items of
//!   arrays have one type.
//! - Where only nulls, empty objects and empty arrays were seen there is no type, and so no column; neither is there for
//!   a name that Hive's columns cannot have. [`Inference::findings`] tells of them.
//!
//! Bounds: a state keeps [`PLACES_MAX`] places in all (a field, the items of an array or the values of a map are one
//! each) and names of [`NAME_BYTES_MAX`] bytes. An object with more than [`NAMES_MAX`] names, all of which were kept, is a
//! map; members beyond the bounds are left out, and counted; and what nests deeper than types may, or has no place left, is
//! kept as text.

use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, Paired};
use super::declared::Columns;
use super::fault::{Fault, Fit};
use super::schema;
use crate::config::NameRules;
use crate::failure::Failure;

mod fields;
mod reading;
mod seen;
mod verdict;

pub(super) use seen::{NumberKind, TextKind};
use seen::{PlacesLeft, SeenValues};
pub(super) use verdict::can_name;
pub use verdict::{Finding, Remark};

/// Places of records that a state keeps at most: as many as a schema may have leaves.
pub(super) const PLACES_MAX: usize = schema::LEAVES_MAX;

/// Names that the members of an object may have, below the record itself, until it is taken for a map.
pub(super) const NAMES_MAX: usize = 256;

/// Names of a record are columns, however many: their bound is that of all places.
const RECORD_NAMES_MAX: usize = usize::MAX;

/// Bytes of memory that a place takes, with its name.
const PLACE_BYTES: usize = size_of::<SeenValues>() + 64;

/// Bytes of a name at most: what catalogues take.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// What was seen of records. It grows by [`Inference::observe`] and [`Inference::merge`], and can be stored in between.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Inference {
    /// The records, as objects without a place of their own.
    root: SeenValues,
    /// Whether `a.b` in a record is the field `a_b`.
    #[serde(default)]
    dots_to_underscores: bool,
}

impl Inference {
    /// Of records whose members are named by these rules.
    pub fn by(rules: &NameRules) -> Self {
        Self {
            dots_to_underscores: rules.dots_to_underscores,
            ..Self::default()
        }
    }

    /// Takes a record in: each of its objects counts. Fails as the record would fail in every column, and leaves no trace
    /// then: where it is no JSON, where a text of it is none, or where it is not objects.
    pub fn observe(&mut self, record: &[u8]) -> Result<(), Failure> {
        let read = check(record).and_then(|()| self.read(record));
        read.map_err(|fault| fault.failure(record))
    }

    /// Takes in what another state has seen, as if this one had seen it afterwards.
    pub fn merge(&mut self, other: Self) {
        let mut room = self.room();
        self.root.merge(other.root, RECORD_NAMES_MAX, &mut room);
    }

    /// Objects that were observed.
    pub const fn rows(&self) -> u64 {
        self.root.objects
    }

    /// Bytes of memory that it takes, about: names are of few bytes.
    pub fn memory(&self) -> usize {
        (1 + self.root.places()) * PLACE_BYTES
    }

    /// The columns that fit all that was observed; none where nothing has a type.
    pub fn columns(&self) -> Columns {
        Columns::of(verdict::columns(&self.root))
    }

    /// What was seen at each place, those without a column too, in the order of the columns.
    pub fn findings(&self) -> Vec<Finding> {
        verdict::findings(&self.root)
    }

    /// Members of records whose names are not kept.
    pub const fn left_out(&self) -> u64 {
        self.root.left_out
    }

    /// Reads a record that is known to be sound.
    fn read(&mut self, record: &[u8]) -> Fit<()> {
        let mut room = self.room();
        let mut cursor = Cursor::of(record);
        let mut scratch = Vec::new();
        while cursor.token().is_some() {
            let mut reading = reading::InferenceReading {
                room: &mut room,
                scratch: &mut scratch,
                dots_to_underscores: self.dots_to_underscores,
            };
            reading.record(&mut self.root, &mut cursor)?;
        }
        Ok(())
    }

    fn room(&self) -> PlacesLeft {
        PlacesLeft::of(PLACES_MAX - self.root.places().min(PLACES_MAX))
    }
}

/// Whether a record is JSON objects, one after the other, of which all can be text.
fn check(record: &[u8]) -> Fit<()> {
    let mut cursor = firehose_json::TextCursor::<Paired>::of(super::text(record)?);
    while let Some(first) = cursor.token() {
        let at = cursor.at();
        cursor.skip(0)?;
        if first != b'{' {
            return Err(Fault::mismatch(at, "a JSON object", ""));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
