//! Whether a record has nothing that columns do not take already, read along the columns in one pass.
//!
//! Nearly all records of a stream that has learned its columns are such. They are told from others here without counting
//! what is in them, as [`Inference`](super::Inference) does, which takes twice as long and more. What is not sure at a glance
//! is no matter: it counts as new, and is looked at by those who count. So no record is familiar by which the
//! columns would be [`widened`](Columns::widened), alone or with other familiar ones; the other way round there is no promise.

use super::coerce::content;
use super::cursor::Paired;
use super::declared::Columns;
use super::fault::Fit;
use super::infer::{NAME_BYTES_MAX, NumberKind, TextKind, can_name};
use super::names::FieldNames;
use super::schema::{Field, HiveType};
use super::widen::joined;
use crate::config::NameRules;
use firehose_json::TextCursor;
use firehose_json::decimal::WrittenNumber;

type Cursor<'a> = TextCursor<'a, Paired>;

/// Columns, and how their records looked lately.
#[derive(Debug)]
pub struct Familiar {
    root: Group,
    dots_to_underscores: bool,
    /// The last text that had to be unescaped.
    scratch: Vec<u8>,
}

/// Fields of objects.
#[derive(Debug)]
struct Group {
    names: FieldNames,
    fields: Vec<Place>,
}

/// What a place takes as it is.
#[derive(Debug)]
enum Place {
    /// Whatever there is: somebody has said what type it has.
    Any,
    /// Values without parts.
    Value(Kinds),
    Struct(Group),
    Array(Box<Self>),
    Map(Box<Self>),
}

/// Kinds of values that a type takes.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each kind is one")]
struct Kinds {
    booleans: bool,
    integers: bool,
    fractions: bool,
    dates: bool,
    times: bool,
    /// All texts, and so whatever has a text.
    texts: bool,
    /// Objects and arrays, as JSON.
    parts: bool,
}

/// What a value is read with.
struct Reading<'r> {
    names: Names<'r>,
    scratch: &'r mut Vec<u8>,
}

/// Which names a column or field can have.
#[derive(Clone, Copy)]
struct Names<'r> {
    dots_to_underscores: bool,
    takes_name: &'r dyn Fn(&str) -> bool,
}

impl Familiar {
    /// With these columns, of which the types of `said` stay whatever comes. Members are named by the rules.
    pub fn with(columns: &Columns, said: &Columns, rules: &NameRules) -> Self {
        let rules = NameRules {
            dots_to_underscores: rules.dots_to_underscores,
            ..NameRules::default()
        };
        Self {
            root: Group::of(columns.fields(), said.fields(), &rules),
            dots_to_underscores: rules.dots_to_underscores,
            scratch: Vec::new(),
        }
    }

    /// Whether a record is objects that have nothing new. A member that no column takes is nothing new where `takes_name`
    /// does not take its name.
    pub fn knows(&mut self, record: &[u8], takes_name: &dyn Fn(&str) -> bool) -> bool {
        let names = Names {
            dots_to_underscores: self.dots_to_underscores,
            takes_name,
        };
        let reading = Reading {
            names,
            scratch: &mut self.scratch,
        };
        super::text(record).is_ok_and(|text| {
            let is_known = reading.record(&mut self.root, text);
            is_known.unwrap_or(false)
        })
    }
}

impl Group {
    fn of(fields: &[Field], said: &[Field], rules: &NameRules) -> Self {
        let place = |field: &Field| {
            let mut said = said.iter();
            let said = said.find(|known| known.name.eq_ignore_ascii_case(&field.name));
            Place::of(&field.kind, said.map(|known| &known.kind), rules)
        };
        Self {
            names: FieldNames::new(fields, rules),
            fields: fields.iter().map(place).collect(),
        }
    }
}

impl Place {
    fn of(kind: &HiveType, said: Option<&HiveType>, rules: &NameRules) -> Self {
        match (kind, said) {
            (HiveType::Struct(fields), Some(HiveType::Struct(said))) => {
                Self::Struct(Group::of(fields, said, rules))
            }
            (HiveType::Struct(fields), _) => Self::Struct(Group::of(fields, &[], rules)),
            (HiveType::Array(item), said) => {
                let said = match said {
                    Some(HiveType::Array(said)) => Some(&**said),
                    _ => None,
                };
                Self::Array(Box::new(Self::of(item, said, rules)))
            }
            (HiveType::Map(_, value), _) => Self::Map(Box::new(Self::of(value, None, rules))),
            (kind, said) if said == Some(kind) => Self::Any,
            _ => Self::Value(Kinds::of(kind)),
        }
    }
}

impl Kinds {
    /// Those that leave a type without parts as it is.
    fn of(kind: &HiveType) -> Self {
        let takes = |theirs: &HiveType| joined(kind, theirs).is_some_and(|wider| wider == *kind);
        Self {
            booleans: takes(&HiveType::Boolean),
            integers: takes(&HiveType::BigInt),
            fractions: takes(&HiveType::Double),
            dates: takes(&HiveType::Date),
            times: takes(&HiveType::Timestamp),
            texts: takes(&HiveType::String),
            parts: takes(&HiveType::Struct(Vec::new())),
        }
    }

    fn number(self, number: WrittenNumber<'_>) -> bool {
        if self.integers && self.texts {
            return true;
        }
        match NumberKind::of(number) {
            NumberKind::Integer(_) => self.integers,
            NumberKind::Fraction => self.fractions,
            NumberKind::Large => self.texts,
        }
    }

    fn text(self, text: &[u8]) -> bool {
        if self.texts && self.dates && self.times {
            return true;
        }
        match TextKind::of(text) {
            TextKind::Date => self.dates,
            TextKind::Time => self.times,
            TextKind::Other => self.texts,
        }
    }
}

impl Names<'_> {
    /// Whether a member that no field takes says nothing of types, or has a name that no field can have.
    fn may_leave(self, name: &[u8], is_column: bool, cursor: &Cursor<'_>) -> bool {
        let mut value = *cursor;
        match value.token() {
            Some(b'n') => return true,
            // An empty object would be something new beside it: of two kinds only a text takes both.
            Some(b'[') => {
                value.step(1);
                if value.token() == Some(b']') {
                    return true;
                }
            }
            _ => {}
        }
        if name.len() > NAME_BYTES_MAX {
            return true;
        }
        let mut name = String::from_utf8_lossy(name).into_owned();
        if self.dots_to_underscores {
            name = name.replace('.', "_");
        }
        !can_name(&name, is_column) || !(self.takes_name)(&name)
    }
}

impl Reading<'_> {
    fn record(mut self, root: &mut Group, text: &[u8]) -> Fit<bool> {
        let mut cursor = Cursor::of(text);
        while let Some(first) = cursor.token() {
            if first != b'{' || !self.members(root, true, &mut cursor, 0)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads an object; the cursor stands at its brace, with `depth` containers around it.
    fn members(
        &mut self,
        group: &mut Group,
        are_columns: bool,
        cursor: &mut Cursor<'_>,
        depth: usize,
    ) -> Fit<bool> {
        cursor.step(1);
        if cursor.token() == Some(b'}') {
            cursor.step(1);
            return Ok(true);
        }
        let mut previous = None;
        loop {
            let guess = group.names.guess(previous);
            let guessed =
                guess.and_then(|(guess, spelling)| cursor.eat_text(spelling).then_some(guess));
            let found = match guessed {
                None => {
                    let names = self.names;
                    let name = content(cursor.key()?, self.scratch)?;
                    let found = group.names.find(name, previous);
                    if found.is_none() && !names.may_leave(name, are_columns, cursor) {
                        return Ok(false);
                    }
                    found
                }
                guessed => guessed,
            };
            match found {
                Some(index) => {
                    previous = found;
                    if !self.value(&mut group.fields[index], cursor, depth + 1)? {
                        return Ok(false);
                    }
                }
                None => cursor.skip(depth + 1)?,
            }
            match cursor.token() {
                Some(b',') => {
                    cursor.step(1);
                    cursor.token();
                }
                Some(b'}') => {
                    cursor.step(1);
                    return Ok(true);
                }
                _ => return Err(cursor.expected("`,` or `}`")),
            }
        }
    }

    fn value(&mut self, place: &mut Place, cursor: &mut Cursor<'_>, depth: usize) -> Fit<bool> {
        let first = cursor.token();
        if first == Some(b'n') {
            cursor.word("null")?;
            return Ok(true);
        }
        match (place, first) {
            (Place::Struct(group), Some(b'{')) => self.members(group, false, cursor, depth),
            (Place::Array(item), Some(b'[')) => self.items(item, cursor, depth),
            (Place::Map(value), Some(b'{')) => self.entries(value, cursor, depth),
            (Place::Value(kinds), first) => self.single(*kinds, first, cursor, depth),
            // What has parts stays what it is.
            _ => {
                cursor.skip(depth)?;
                Ok(true)
            }
        }
    }

    fn single(
        &mut self,
        kinds: Kinds,
        first: Option<u8>,
        cursor: &mut Cursor<'_>,
        depth: usize,
    ) -> Fit<bool> {
        match first {
            Some(b'"') => {
                let raw = cursor.string()?;
                Ok(kinds.text(content(raw, self.scratch)?))
            }
            Some(b'-' | b'0'..=b'9') => Ok(kinds.number(cursor.number()?)),
            Some(b'{' | b'[') => {
                cursor.skip(depth)?;
                Ok(kinds.parts)
            }
            _ => {
                cursor.skip(depth)?;
                Ok(kinds.booleans)
            }
        }
    }

    fn items(&mut self, item: &mut Place, cursor: &mut Cursor<'_>, depth: usize) -> Fit<bool> {
        cursor.step(1);
        if cursor.token() == Some(b']') {
            cursor.step(1);
            return Ok(true);
        }
        while self.value(item, cursor, depth + 1)? {
            match cursor.token() {
                Some(b',') => cursor.step(1),
                Some(b']') => {
                    cursor.step(1);
                    return Ok(true);
                }
                _ => return Err(cursor.expected("`,` or `]`")),
            }
        }
        Ok(false)
    }

    fn entries(&mut self, value: &mut Place, cursor: &mut Cursor<'_>, depth: usize) -> Fit<bool> {
        cursor.step(1);
        if cursor.token() == Some(b'}') {
            cursor.step(1);
            return Ok(true);
        }
        loop {
            content(cursor.key()?, self.scratch)?;
            if !self.value(value, cursor, depth + 1)? {
                return Ok(false);
            }
            match cursor.token() {
                Some(b',') => cursor.step(1),
                Some(b'}') => {
                    cursor.step(1);
                    return Ok(true);
                }
                _ => return Err(cursor.expected("`,` or `}`")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::Inference;
    use super::super::infer::tests::record;
    use super::*;

    fn seen<R: AsRef<[u8]>>(records: &[R]) -> Columns {
        let mut inference = Inference::default();
        for record in records {
            let _ = inference.observe(record.as_ref());
        }
        inference.columns()
    }

    fn knows(columns: &str, said: &str, record: &str) -> bool {
        let parsed = |text: &str| match text {
            "" => Columns::default(),
            text => Columns::parse(text).unwrap(),
        };
        let rules = NameRules {
            dots_to_underscores: true,
            ..NameRules::default()
        };
        let mut familiar = Familiar::with(&parsed(columns), &parsed(said), &rules);
        let takes_name = |name: &str| name != "not_for_this_format";
        let found = familiar.knows(record.as_bytes(), &takes_name);
        assert_eq!(
            familiar.knows(record.as_bytes(), &takes_name),
            found,
            "once more"
        );
        found
    }

    const COLUMNS: &str = "i bigint, d double, s string, t timestamp, day date, b boolean, \
        o struct<x:bigint,a_b:string>, l array<struct<x:double>>, m map<string,bigint>";

    #[test]
    fn usual_records_are_familiar() {
        for record in [
            r#"{"i":1,"d":2,"s":"x","t":"2026-11-22T10:00:00Z","day":"2026-11-22","b":false}"#,
            r#"{ "I" : -7 , "d" : 0.25 , "s" : 5, "t":"2026-11-22" , "b" : true } "#,
            r#"{"o":{"x":1,"A.b":"y"},"l":[{"x":1},{"x":2.5},null],"m":{"k":1,"l":null}}"#,
            r#"{"s":{"any":["thing"]},"i":null,"o":null,"l":[],"m":{}}"#,
            // No columns, whatever comes.
            r#"{"new":null,"list":[],"a b":1,"not_for_this_format":1,"o":{"c-d":1}}"#,
            // Of another kind altogether: those records fail, and the columns stay.
            r#"{"o":5,"l":"x","m":[1]}"#,
            "{\"i\":1}\n{\"i\":2}",
            "{}",
        ] {
            assert!(knows(COLUMNS, "", record), "{record}");
        }
        assert!(knows(
            "t timestamp, i int",
            "t timestamp, i int",
            r#"{"t":17,"i":"x"}"#
        ));
    }

    #[test]
    fn what_may_be_new_is_looked_at() {
        for record in [
            r#"{"i":1.5}"#,
            r#"{"i":18446744073709551616}"#,
            r#"{"d":1e999}"#,
            r#"{"t":"later"}"#,
            r#"{"t":1}"#,
            r#"{"day":"2026-11-22T10:00:00Z"}"#,
            r#"{"b":0}"#,
            r#"{"b":{}}"#,
            r#"{"new":1}"#,
            r#"{"new":{}}"#,
            r#"{"o":{"y":1}}"#,
            r#"{"l":[{"x":1},{"x":"z"}]}"#,
            r#"{"m":{"k":0.5}}"#,
            "{\"i\":1}\n{\"i\":0.5}",
            "[]",
            "",
            r#"{"i":1"#,
            r#"{"s":"\ud800"}"#,
        ] {
            assert!(!knows(COLUMNS, "", record), "{record}");
        }
        assert!(
            !knows("t timestamp", "t bigint", r#"{"t":17}"#),
            "in force as another"
        );
    }

    proptest! {
        #[test]
        fn familiar_records_widen_nothing(
            early in vec(record(), 1..6),
            late in vec(record(), 1..6),
            said in any::<bool>(),
        ) {
            let columns = seen(&early);
            if columns.is_empty() {
                return Ok(());
            }
            let known = if said { columns.clone() } else { Columns::default() };
            let rules = NameRules::default();
            let mut familiar = Familiar::with(&columns, &known, &rules);
            // Those of before are mostly familiar: their order must not matter.
            let all = late.iter().chain(&early);
            let all: Vec<&String> = all.filter(|record| familiar.knows(record.as_bytes(), &|_| true)).collect();
            let shown = seen(&all).with_known(&known, Some(&columns));
            prop_assert_eq!(columns.widened(&shown), None, "{:?}", all);
        }
    }
}
