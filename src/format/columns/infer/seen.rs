//! What was seen at one place of the records: how often what kind of value, and what is inside.

use serde::{Deserialize, Serialize};

use firehose_calendar::timestamp;
use firehose_json::decimal::WrittenNumber;

use super::NAME_BYTES_MAX;
use super::NAMES_MAX;
use super::fields::{Member, Members};

/// Integers beyond this one a double may round.
const EXACT: u64 = 1 << 53;

/// Counts, and what is inside of objects and arrays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SeenValues {
    /// Objects that have a member here; of items and values of maps, all.
    pub(super) present: u64,
    pub(super) nulls: u64,
    pub(super) booleans: u64,
    /// Integers of 64 bits.
    pub(super) integers: u64,
    /// Those of them that a double may round.
    pub(super) long: u64,
    /// Numbers with a fraction or an exponent.
    pub(super) fractions: u64,
    /// Numbers that no type of numbers keeps.
    pub(super) large: u64,
    pub(super) dates: u64,
    pub(super) times: u64,
    /// Texts that are neither.
    pub(super) texts: u64,
    pub(super) arrays: u64,
    pub(super) objects: u64,
    /// Some of what is inside was not kept: only a text takes it for sure.
    pub(super) opaque: bool,
    /// The items of arrays.
    pub(super) items: Option<Box<Self>>,
    /// The values of objects that are taken for maps: they have no fields then.
    pub(super) values: Option<Box<Self>>,
    /// The members of objects.
    pub(super) fields: Members,
    /// Members whose names are not kept.
    pub(super) left_out: u64,
    /// The number of the object in which this member was counted last.
    #[serde(skip)]
    counted_in: u64,
}

/// What a number needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format::columns) enum NumberKind {
    /// 64 bits: this one.
    Integer(i64),
    /// A double: it has a fraction or an exponent.
    Fraction,
    /// A text: no type of numbers keeps it.
    Large,
}

impl NumberKind {
    pub(in crate::format::columns) fn of(number: WrittenNumber<'_>) -> Self {
        let is_integer = !number
            .text
            .iter()
            .any(|byte| matches!(byte, b'.' | b'e' | b'E'));
        match number.to_i64().filter(|_| is_integer) {
            Some(value) => Self::Integer(value),
            None if !is_integer && number.to_f64().is_some() => Self::Fraction,
            None => Self::Large,
        }
    }
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format::columns) enum TextKind {
    Date,
    Time,
    Other,
}

impl TextKind {
    pub(in crate::format::columns) fn of(text: &[u8]) -> Self {
        // A column of times takes numbers as texts, too; but most numbers are no times.
        let is_time =
            timestamp::from_text(text).is_some() && WrittenNumber::from_string(text).is_none();
        if !is_time {
            Self::Other
        } else if timestamp::date_from_text(text).is_some() {
            Self::Date
        } else {
            Self::Time
        }
    }
}

/// Places that a state may take on.
#[derive(Debug)]
pub(super) struct PlacesLeft {
    left: usize,
}

impl PlacesLeft {
    pub(super) const fn of(left: usize) -> Self {
        Self { left }
    }

    /// Takes so many places, if they are there.
    pub(super) fn take(&mut self, places: usize) -> bool {
        let rest = self.left.checked_sub(places);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }

    fn give_back(&mut self, places: usize) {
        self.left += places;
    }
}

impl SeenValues {
    /// Places inside this one.
    pub(super) fn places(&self) -> usize {
        let members = self.fields.iter().map(|member| &member.seen);
        let inner = [&self.items, &self.values].into_iter().flatten();
        let inner = inner.map(|inner| &**inner);
        members.chain(inner).map(|seen| 1 + seen.places()).sum()
    }

    pub(super) fn number(&mut self, number: WrittenNumber<'_>) {
        match NumberKind::of(number) {
            NumberKind::Integer(value) => {
                self.integers += 1;
                self.long += u64::from(value.unsigned_abs() > EXACT);
            }
            NumberKind::Fraction => self.fractions += 1,
            NumberKind::Large => self.large += 1,
        }
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        match TextKind::of(text) {
            TextKind::Other => self.texts += 1,
            TextKind::Date => self.dates += 1,
            TextKind::Time => self.times += 1,
        }
    }

    /// Where an item of an array is seen; none where there is no place for it.
    pub(super) fn item(&mut self, room: &mut PlacesLeft) -> Option<&mut Self> {
        if self.items.is_none() && !room.take(1) {
            self.opaque = true;
            return None;
        }
        let items = self.items.get_or_insert_default().as_mut();
        items.present += 1;
        Some(items)
    }

    /// Where a member of an object is seen; none where there is no place for it. The objects of one place have at most
    /// `names_max` names.
    pub(super) fn member(
        &mut self,
        name: &[u8],
        names_max: usize,
        room: &mut PlacesLeft,
    ) -> Option<&mut Self> {
        if self.opaque {
            return None;
        }
        if self.values.is_none() {
            if let Some(index) = self.fields.find(name) {
                let (seen, object) = (self.fields.at(index), self.objects);
                // A name may stand in an object twice.
                seen.present += u64::from(seen.counted_in != object);
                seen.counted_in = object;
                return Some(seen);
            }
            if self.fields.len() < names_max {
                let is_kept = name.len() <= NAME_BYTES_MAX && room.take(1);
                let Some(name) = std::str::from_utf8(name).ok().filter(|_| is_kept) else {
                    self.left_out += 1;
                    return None;
                };
                let seen = Self {
                    present: 1,
                    counted_in: self.objects,
                    ..Self::default()
                };
                let index = self.fields.push(name.to_owned(), seen);
                return Some(self.fields.at(index));
            }
            self.become_map(room);
        }
        let values = self.values.as_deref_mut()?;
        values.present += 1;
        Some(values)
    }

    /// Takes its objects for maps: what was seen under their names is what was seen of values. Where some of it was not
    /// kept nothing is sure of their type.
    fn become_map(&mut self, room: &mut PlacesLeft) {
        let places = self.places();
        let fields = std::mem::take(&mut self.fields);
        if self.left_out > 0 {
            self.hide(places, room);
            return;
        }
        let inside = self.items.as_ref().map_or(0, |items| 1 + items.places());
        room.give_back(places - inside);
        room.take(1);
        let mut values = Self::default();
        for Member { seen, .. } in fields {
            values.merge(seen, NAMES_MAX, room);
        }
        self.values = Some(Box::new(values));
    }

    /// Keeps nothing of what is inside, which has so many places.
    fn hide(&mut self, places: usize, room: &mut PlacesLeft) {
        self.opaque = true;
        (self.items, self.values) = (None, None);
        self.fields = Members::default();
        room.give_back(places);
    }

    /// Adds what another has seen at the same place, as if it came afterwards.
    pub(super) fn merge(&mut self, other: Self, names_max: usize, room: &mut PlacesLeft) {
        self.present += other.present;
        self.nulls += other.nulls;
        self.booleans += other.booleans;
        self.integers += other.integers;
        self.long += other.long;
        self.fractions += other.fractions;
        self.large += other.large;
        self.dates += other.dates;
        self.times += other.times;
        self.texts += other.texts;
        self.arrays += other.arrays;
        self.objects += other.objects;
        self.left_out += other.left_out;
        if self.opaque || other.opaque {
            let places = self.places();
            self.hide(places, room);
            return;
        }
        if let Some(theirs) = other.items {
            self.merge_inside(*theirs, |seen| &mut seen.items, room);
        }
        if other.values.is_some() && self.values.is_none() {
            self.become_map(room);
        }
        if let Some(theirs) = other.values {
            self.merge_inside(*theirs, |seen| &mut seen.values, room);
        }
        for member in other.fields {
            self.merge_member(member, names_max, room);
        }
        let is_torn = self.left_out > 0 && self.values.is_some();
        if self.opaque || is_torn {
            let places = self.places();
            self.hide(places, room);
        }
    }

    /// Adds items or values; where there is no room for them, nothing is kept of what is inside.
    fn merge_inside(
        &mut self,
        theirs: Self,
        slot: impl Fn(&mut Self) -> &mut Option<Box<Self>>,
        room: &mut PlacesLeft,
    ) {
        if self.opaque {
            return;
        }
        if slot(self).is_none() && !room.take(1) {
            self.opaque = true;
            return;
        }
        let ours = slot(self).get_or_insert_default();
        ours.merge(theirs, NAMES_MAX, room);
    }

    fn merge_member(&mut self, member: Member, names_max: usize, room: &mut PlacesLeft) {
        let Member { name, seen } = member;
        if self.opaque {
            return;
        }
        if self.values.is_none() {
            if let Some(index) = self.fields.find(name.as_bytes()) {
                self.fields.at(index).merge(seen, NAMES_MAX, room);
                return;
            }
            if self.fields.len() < names_max {
                if room.take(1 + seen.places()) {
                    self.fields.push(name, seen);
                } else {
                    self.left_out += seen.present;
                }
                return;
            }
            self.become_map(room);
        }
        if let Some(values) = self.values.as_deref_mut() {
            values.merge(seen, NAMES_MAX, room);
        }
    }
}
