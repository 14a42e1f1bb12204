//! Columns that a stream has already, made to take what its records have beyond them.
//!
//! A type only ever widens, and what is there stays in its place, so that a reader of the new columns reads the objects
//! that were written with the old ones as well:
//!
//! - numbers: integers → `bigint` → `double`; times: `date` → `timestamp`; of two kinds, any value without parts →
//!   `string`. A `decimal` takes all numbers, and a `binary` all texts, of which some fail alone.
//! - A new column, or a new field of a struct, comes after those that are there.
//! - A value with parts keeps its kind: what is no struct (array, map) where one is declared fits no column, and its record
//!   fails alone. So does a struct stay one, however many names its objects have; it takes [`NAMES_MAX`] of them.
//!
//! There are never more leaves than a schema may have: what has no room is left out.

use super::declared::{Columns, type_text};
use super::infer::NAMES_MAX;
use super::schema::{Field, HiveType, LEAVES_MAX};

/// A column or a field that is new, or takes more than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widening {
    /// `user.id`, `lines[].price` for items and for values of maps.
    pub path: String,
    /// The type that it had; none of one that is new.
    pub from: Option<String>,
    /// The type that it has.
    pub to: String,
}

impl Columns {
    /// These columns, so that they take what fits `seen`, too, and what has changed. `None`: they take it as they are, as
    /// far as they ever will.
    pub fn widened(&self, seen: &Self) -> Option<(Self, Vec<Widening>)> {
        // Nearly always there is nothing new, and nothing to be copied.
        if takes_all(self.fields(), seen.fields()) {
            return None;
        }
        let mut fields = self.fields().to_vec();
        let leaves: usize = fields.iter().map(|field| field.kind.leaves()).sum();
        let mut work = WideningWork {
            room: LEAVES_MAX.saturating_sub(leaves),
            changes: Vec::new(),
        };
        work.fields(&mut fields, seen.fields(), usize::MAX, "");
        let WideningWork { changes, .. } = work;
        (!changes.is_empty()).then(|| (Self::of(fields), changes))
    }
}

impl Columns {
    /// The paths of those that may not become what they are in `later`, or are not in it: empty, where these may have been
    /// widened to them, in however many steps. What was widened may not become what it was.
    pub fn lost_in(&self, later: &Self) -> Vec<String> {
        let mut lost = Vec::new();
        note_lost(self.fields(), later.fields(), "", &mut lost);
        lost
    }
}

fn note_lost(before: &[Field], after: &[Field], around: &str, lost: &mut Vec<String>) {
    for (place, field) in before.iter().enumerate() {
        let name = &field.name;
        let path = Path { around, name }.to_string();
        match found(after, place, name) {
            Some(index) => note_lost_kind(&field.kind, &after[index].kind, path, lost),
            None => lost.push(path),
        }
    }
}

fn note_lost_kind(before: &HiveType, after: &HiveType, path: String, lost: &mut Vec<String>) {
    match (before, after) {
        (HiveType::Struct(before), HiveType::Struct(after)) => {
            note_lost(before, after, &path, lost);
        }
        (HiveType::Array(before), HiveType::Array(after)) => {
            note_lost_kind(before, after, format!("{path}[]"), lost);
        }
        (HiveType::Map(key, before), HiveType::Map(other, after)) if key == other => {
            note_lost_kind(before, after, format!("{path}[]"), lost);
        }
        (before, after) if may_become(before, after) => {}
        _ => lost.push(path),
    }
}

/// Whether a value's type stays, or becomes another by what records show. Not whether `after` takes more: `joined` has a
/// direction, and makes a text of some types that a table alone has.
fn may_become(before: &HiveType, after: &HiveType) -> bool {
    use HiveType::{BigInt, Boolean, Date, Double, String, Timestamp};
    const SHOWN: [HiveType; 6] = [Boolean, BigInt, Double, Date, Timestamp, String];
    let mut shown = SHOWN.iter();
    before == after || shown.any(|shown| joined(before, shown).as_ref() == Some(after))
}

/// Whether there is a field for each of theirs that takes what theirs takes.
fn takes_all(ours: &[Field], theirs: &[Field]) -> bool {
    theirs.iter().enumerate().all(|(place, field)| {
        let found = found(ours, place, &field.name);
        found.is_some_and(|index| takes(&ours[index].kind, &field.kind))
    })
}

fn takes(ours: &HiveType, theirs: &HiveType) -> bool {
    match (ours, theirs) {
        (HiveType::Struct(ours), HiveType::Struct(theirs)) => takes_all(ours, theirs),
        (HiveType::Array(ours), HiveType::Array(theirs))
        | (HiveType::Map(_, ours), HiveType::Map(_, theirs)) => takes(ours, theirs),
        (HiveType::Map(_, ours), HiveType::Struct(theirs)) => {
            theirs.iter().all(|field| takes(ours, &field.kind))
        }
        _ => joined(ours, theirs).is_none_or(|wider| wider == *ours),
    }
}

/// Where a name is. Records of one kind have their fields in one order.
fn found(ours: &[Field], place: usize, name: &str) -> Option<usize> {
    let is_it = |field: &Field| field.name.eq_ignore_ascii_case(name);
    match ours.get(place) {
        Some(field) if is_it(field) => Some(place),
        _ => ours.iter().position(is_it),
    }
}

struct WideningWork {
    /// Leaves that may still be added.
    room: usize,
    changes: Vec<Widening>,
}

impl WideningWork {
    /// Makes fields take what others take. There may be `names_max` of them.
    fn fields(&mut self, ours: &mut Vec<Field>, theirs: &[Field], names_max: usize, around: &str) {
        for (place, field) in theirs.iter().enumerate() {
            if let Some(index) = found(ours, place, &field.name) {
                let ours = &mut ours[index];
                let path = Path {
                    around,
                    name: &ours.name,
                };
                self.kind(&mut ours.kind, &field.kind, &path);
                continue;
            }
            let leaves = field.kind.leaves();
            if ours.len() >= names_max || leaves > self.room {
                continue;
            }
            self.room -= leaves;
            let path = Path {
                around,
                name: &field.name,
            };
            self.note(&path, None, &field.kind);
            ours.push(field.clone());
        }
    }

    fn kind(&mut self, ours: &mut HiveType, theirs: &HiveType, path: &Path<'_>) {
        match (&mut *ours, theirs) {
            (HiveType::Struct(ours), HiveType::Struct(theirs)) => {
                self.fields(ours, theirs, NAMES_MAX, &path.to_string());
            }
            (HiveType::Array(ours), HiveType::Array(theirs))
            | (HiveType::Map(_, ours), HiveType::Map(_, theirs)) => {
                let inside = format!("{path}[]");
                let path = Path {
                    around: "",
                    name: &inside,
                };
                self.kind(ours, theirs, &path);
            }
            // An object with few names shows as a struct, whatever was seen before.
            (HiveType::Map(_, ours), HiveType::Struct(theirs)) => {
                let inside = format!("{path}[]");
                for field in theirs {
                    let path = Path {
                        around: "",
                        name: &inside,
                    };
                    self.kind(ours, &field.kind, &path);
                }
            }
            _ => {
                let wider = joined(ours, theirs);
                if let Some(wider) = wider.filter(|wider| *wider != *ours) {
                    self.note(path, Some(ours), &wider);
                    *ours = wider;
                }
            }
        }
    }

    fn note(&mut self, path: &Path<'_>, from: Option<&HiveType>, to: &HiveType) {
        self.changes.push(Widening {
            path: path.to_string(),
            from: from.map(type_text),
            to: type_text(to),
        });
    }
}

/// The type that takes the values of both, where the first may become it. The first may be a table's, the second is one
/// that records show.
pub(super) fn joined(ours: &HiveType, theirs: &HiveType) -> Option<HiveType> {
    use HiveType::{
        BigInt, Binary, Date, Decimal, Double, Float, Int, SmallInt, String, Timestamp, TinyInt,
    };
    if !ours.is_primitive() {
        return None;
    }
    Some(match (ours, theirs) {
        (ours, theirs) if ours == theirs => ours.clone(),
        (TinyInt | SmallInt | Int, BigInt) => BigInt,
        (TinyInt | SmallInt | Int | BigInt | Float | Double, BigInt | Double) => Double,
        (Decimal { .. }, BigInt | Double) | (Binary, String) => ours.clone(),
        (Date | Timestamp, Date | Timestamp) => Timestamp,
        _ => String,
    })
}

/// The name of a column or a field below another.
struct Path<'a> {
    around: &'a str,
    name: &'a str,
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { around, name } = self;
        if around.is_empty() {
            return formatter.write_str(name);
        }
        write!(formatter, "{around}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::declared::tests::{fields, kind};
    use super::super::infer::tests::record;
    use super::super::{Inference, Remark, Trial};
    use super::*;

    /// Whether an object or an array in it says nothing of its type.
    fn has_empty_parts(record: &str) -> bool {
        let mut seen = Inference::default();
        seen.observe(record.as_bytes()).unwrap();
        let findings = seen.findings();
        let mut remarks = findings.iter().flat_map(|finding| &finding.remarks);
        remarks.any(|remark| matches!(remark, Remark::OnlyEmpty | Remark::Hollow))
    }

    fn columns(text: &str) -> Columns {
        Columns::parse(text).unwrap()
    }

    fn seen(records: &[&str]) -> Columns {
        let mut seen = Inference::default();
        for record in records {
            seen.observe(record.as_bytes()).unwrap();
        }
        seen.columns()
    }

    #[test]
    fn each_rule_by_an_example() {
        for (before, record, after) in [
            ("a bigint", r#"{"a":1}"#, None),
            ("a bigint", r#"{"a":1.5}"#, Some("a double")),
            ("a double", r#"{"a":1}"#, None),
            ("a bigint", r#"{"a":"x"}"#, Some("a string")),
            ("a boolean", r#"{"a":1}"#, Some("a string")),
            (
                "a bigint",
                r#"{"a":12345678901234567890123}"#,
                Some("a string"),
            ),
            (
                "a date",
                r#"{"a":"2026-11-30T10:00:00Z"}"#,
                Some("a timestamp"),
            ),
            ("a timestamp", r#"{"a":"2026-11-30"}"#, None),
            // Types that no record shows are a table's.
            ("a int", r#"{"a":1}"#, Some("a bigint")),
            ("a smallint", r#"{"a":1.5}"#, Some("a double")),
            ("a float", r#"{"a":1}"#, Some("a double")),
            ("a decimal(4,1)", r#"{"a":1.5}"#, None),
            ("a decimal(4,1)", r#"{"a":"x"}"#, Some("a string")),
            ("a binary", r#"{"a":"AA=="}"#, None),
            ("a varchar(2)", r#"{"a":"abc"}"#, Some("a string")),
            ("a timestamp", r#"{"a":"soon"}"#, Some("a string")),
            ("a bigint", r#"{"a":{"b":1}}"#, Some("a string")),
            ("a bigint", r#"{"a":null}"#, None),
            ("a bigint", r#"{"b":null,"c":[],"d":{}}"#, None),
            ("a bigint", r#"{"b":true}"#, Some("a bigint, b boolean")),
            ("Id bigint", r#"{"id":1}"#, None),
            (
                "u struct<id:bigint>, z string",
                r#"{"n":1,"u":{"name":"ada","id":1}}"#,
                Some("u struct<id:bigint,name:string>, z string, n bigint"),
            ),
            ("u struct<id:bigint>", r#"{"u":"text"}"#, None),
            ("u struct<id:bigint>", r#"{"u":[{"id":1.5}]}"#, None),
            ("a array<bigint>", r#"{"a":[0.5]}"#, Some("a array<double>")),
            ("a array<bigint>", r#"{"a":1}"#, None),
            (
                "m map<string,struct<x:bigint>>",
                r#"{"m":{"k":{"y":1},"l":{"x":0.5}}}"#,
                Some("m map<string,struct<x:double,y:bigint>>"),
            ),
        ] {
            let widened = columns(before).widened(&seen(&[record]));
            let text = widened.as_ref().map(|(columns, _)| columns.to_config());
            assert_eq!(text.as_deref(), after, "{before} and {record}");
        }
    }

    #[test]
    fn changes_are_told_by_path() {
        let before = columns("a bigint, u struct<id:bigint>, l array<struct<p:bigint>>");
        let record = r#"{"a":0.5,"u":{"id":1,"bot":true},"l":[{"p":"x"}],"n":1}"#;
        let (_, changes) = before.widened(&seen(&[record])).unwrap();
        let told = changes.iter().map(|change| {
            let Widening { path, from, to } = change;
            format!("{path}: {} → {to}", from.as_deref().unwrap_or("new"))
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "a: bigint → double",
                "u.bot: new → boolean",
                "l[].p: bigint → string",
                "n: new → bigint"
            ]
        );
    }

    #[test]
    fn columns_never_outgrow_a_schema() {
        let name = |from: usize| {
            let fields = (from..from + 3000).map(|n| format!("c{n} bigint"));
            columns(&fields.collect::<Vec<_>>().join(","))
        };
        let (wide, changes) = name(0).widened(&name(3000)).unwrap();
        assert_eq!(
            (wide.names().len(), changes.len()),
            (LEAVES_MAX, LEAVES_MAX - 3000)
        );
        assert_eq!(wide.widened(&name(9000)), None);
        assert!(Columns::parse(&wide.to_config()).is_ok());
    }

    #[test]
    fn what_columns_may_become_has_a_direction() {
        for (before, after, lost) in [
            ("a int", "a bigint", ""),
            ("a int", "a double", ""),
            ("a float", "a double", ""),
            ("a binary", "a string", ""),
            ("a decimal(4,1)", "a string", ""),
            ("a varchar(2)", "a string", ""),
            ("a date, b int", "B bigint, a timestamp, c int", ""),
            ("a bigint", "a int", "a"),
            ("a int", "a float", "a"),
            ("a decimal(4,1)", "a decimal(5,1)", "a"),
            ("a string", "a binary", "a"),
            ("u struct<a:int,b:date>", "u struct<a:string>", "u.b"),
            (
                "l array<struct<a:bigint>>",
                "l array<struct<a:date>>",
                "l[].a",
            ),
            ("m map<string,int>", "m map<int,int>", "m"),
            ("u struct<a:int>", "u string", "u"),
        ] {
            let told = columns(before).lost_in(&columns(after)).join(", ");
            assert_eq!(told, lost, "{before} and {after}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_declared_may_become_what_records_make_of_it_and_never_goes_back(
            declared in fields(kind()),
            records in vec(record(), 1..6),
            more in fields(kind()),
        ) {
            // Names of the records, so that they meet.
            let records: Vec<&str> = records.iter().map(String::as_str).collect();
            let shown = seen(&records);
            let mut declared = declared;
            for (field, name) in declared.iter_mut().zip(shown.names()) {
                field.name = name.to_owned();
            }
            let before = Columns::of(declared);
            prop_assume!(Columns::parse(&before.to_config()).is_ok());
            let mut last = before.clone();
            // What is known of new columns has any type.
            for seen in [shown, Columns::of(more)] {
                let Some((wider, _)) = last.widened(&seen) else {
                    continue;
                };
                let wider = Columns::parse(&wider.to_config()).unwrap();
                prop_assert_eq!(last.lost_in(&wider), Vec::<String>::new());
                prop_assert_eq!(before.lost_in(&wider), Vec::<String>::new());
                prop_assert!(!wider.lost_in(&last).is_empty());
                last = wider;
            }
        }

        #[test]
        fn columns_only_grow_and_take_what_they_took_and_what_is_new(
            records in vec(record(), 1..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let records: Vec<&str> = records.iter().map(String::as_str).collect();
            let (early, late) = records.split_at(cut.index(records.len()));
            let first = seen(early);
            prop_assume!(!first.is_empty());
            let second = seen(late);
            let (wider, _) = first.widened(&second).unwrap_or((first.clone(), Vec::new()));
            // What is there stays in its place.
            for (before, after) in first.names().zip(wider.names()) {
                prop_assert_eq!(before, after);
            }
            // Once is enough.
            prop_assert_eq!(wider.widened(&second), None);
            prop_assert_eq!(wider.widened(&first), None);
            // What fitted fits.
            let mut trial = Trial::of(&wider.to_config()).unwrap();
            for record in early.iter().filter(|record| !has_empty_parts(record)) {
                prop_assert!(trial.convert(record.as_bytes()).is_ok(), "{} in {}", record, wider.to_config());
            }
            // Late records fit, unless something has parts where a value has none, or the other way round.
            if !first.to_config().contains('<') {
                for record in late.iter().filter(|record| !has_empty_parts(record)) {
                    prop_assert!(trial.convert(record.as_bytes()).is_ok(), "{} in {}", record, wider.to_config());
                }
            }
        }
    }
}
