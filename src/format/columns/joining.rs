//! Columns of a table that somebody keeps, made to take what a stream's objects have.
//!
//! The rules are those by which a stream widens its own columns (`widen.rs`): what is there stays in its place, a type only
//! ever widens, and what is new comes behind the rest. Where that leads nowhere the table stays as it is, and both types
//! are told: where neither is the wider one, and where the table's is the wider one, but readers do not take the values in
//! the objects for values of it.

use super::declared::{Columns, type_text};
use super::schema::{self, Field, HiveType};
use crate::schema::{ColumnConflict, SchemaChange, TableJoin};

impl Columns {
    /// What becomes of a table's columns, names and types, so that they take what objects with these columns have; those
    /// that are called like one of its partition `keys` are none of its columns. Of names that differ in case there is one.
    pub fn joined_to(&self, table: &[(String, String)], keys: &[String]) -> TableJoin {
        let mut join = TableJoin {
            columns: table.to_vec(),
            ..TableJoin::default()
        };
        for (place, field) in self.fields().iter().enumerate() {
            let lower = field.name.to_lowercase();
            if keys.iter().any(|key| key.to_lowercase() == lower) {
                continue;
            }
            let is_it = |(name, _): &(String, String)| is_name(name, &lower);
            // Most tables have the columns in the order of the objects.
            let found = match join.columns.get(place) {
                Some(column) if is_it(column) => Some(place),
                _ => join.columns.iter().position(is_it),
            };
            if let Some(index) = found {
                join.widen(index, field);
            } else {
                join.add(field.name.clone(), &field.kind);
                // The catalogs have all names in small letters.
                join.columns.push((lower, type_text(&field.kind)));
            }
        }
        join
    }
}

impl TableJoin {
    /// Makes a column of the table take what objects have in the field.
    fn widen(&mut self, index: usize, field: &Field) {
        let text = self.columns[index].1.clone();
        let Some(mut kind) = read(&text) else {
            self.conflict(field.name.clone(), text, &field.kind);
            return;
        };
        let before = self.changes.len();
        self.join(&mut kind, &field.kind, &field.name);
        if self.changes.len() > before {
            self.columns[index].1 = type_text(&kind);
        }
    }

    fn join(&mut self, table: &mut HiveType, objects: &HiveType, path: &str) {
        match (table, objects) {
            (HiveType::Struct(table), HiveType::Struct(objects)) => {
                self.fields(table, objects, path);
            }
            (HiveType::Array(table), HiveType::Array(objects)) => {
                self.join(table, objects, &format!("{path}[]"));
            }
            (HiveType::Map(key, table), HiveType::Map(other, objects)) if key == other => {
                self.join(table, objects, &format!("{path}[]"));
            }
            (table, objects) if table == objects || is_read_as(objects, table) => {}
            (table, objects) if widens(table, objects) => {
                self.changes.push(SchemaChange {
                    path: path.to_owned(),
                    from: Some(type_text(table)),
                    to: type_text(objects),
                });
                *table = objects.clone();
            }
            (table, objects) => self.conflict(path.to_owned(), type_text(table), objects),
        }
    }

    fn fields(&mut self, table: &mut Vec<Field>, objects: &[Field], around: &str) {
        for field in objects {
            let lower = field.name.to_lowercase();
            let path = format!("{around}.{}", field.name);
            let ours = table.iter_mut().find(|ours| is_name(&ours.name, &lower));
            if let Some(ours) = ours {
                self.join(&mut ours.kind, &field.kind, &path);
            } else {
                self.add(path, &field.kind);
                table.push(field.clone());
            }
        }
    }

    fn add(&mut self, path: String, kind: &HiveType) {
        self.changes.push(SchemaChange {
            path,
            from: None,
            to: type_text(kind),
        });
    }

    fn conflict(&mut self, path: String, table: String, objects: &HiveType) {
        self.conflicts.push(ColumnConflict {
            path,
            table,
            objects: type_text(objects),
        });
    }
}

/// Whether a name is this one, which is in small letters.
fn is_name(name: &str, lower: &str) -> bool {
    name == lower || name.to_lowercase() == lower
}

/// A type as a table has it. `None`: there is none of it here.
fn read(text: &str) -> Option<HiveType> {
    let mut fields = schema::parse(&format!("c {text}"), |_| None).ok()?;
    let only = fields.pop()?;
    fields.is_empty().then_some(only.kind)
}

/// Whether a type becomes the other one by a rule.
fn widens(from: &HiveType, to: &HiveType) -> bool {
    use HiveType::{
        BigInt, Date, Double, Float, Int, SmallInt, String, Timestamp, TinyInt, Varchar,
    };
    match (from, to) {
        (TinyInt, SmallInt | Int | BigInt)
        | (SmallInt, Int | BigInt)
        | (Int, BigInt)
        | (TinyInt | SmallInt | Int | BigInt | Float, Double)
        | (Date, Timestamp) => true,
        (Varchar(less), Varchar(more)) => less < more,
        (from, String) => from.is_primitive(),
        _ => false,
    }
}

/// Whether readers take values that are of the one type in objects for values of the other, wider one.
fn is_read_as(objects: &HiveType, table: &HiveType) -> bool {
    use HiveType::{BigInt, Char, Double, Float, Int, SmallInt, String, TinyInt, Varchar};
    match (objects, table) {
        (TinyInt | SmallInt | Int, SmallInt | Int | BigInt)
        | (Float, Double)
        | (Varchar(_), Varchar(_)) => widens(objects, table),
        (Varchar(_) | Char(_), String) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::Inference;
    use super::super::declared::Style;
    use super::super::declared::tests::{fields, kind};
    use super::super::infer::tests::record;
    use super::*;

    fn columns(text: &str) -> Columns {
        Columns::parse(text).unwrap()
    }

    /// A table that was made with these columns.
    fn table(columns: &Columns) -> Vec<(String, String)> {
        let texts = columns.texts(Style::Config).into_iter();
        let names = columns.names().map(str::to_lowercase);
        names
            .zip(texts)
            .map(|(name, (_, kind))| (name, kind))
            .collect()
    }

    /// What the table's columns are then, what has changed, and what differs.
    fn joined(of_table: &str, of_objects: &str) -> [String; 3] {
        let of_table: Vec<(String, String)> = of_table
            .split("; ")
            .map(|column| {
                let (name, kind) = column.split_once(' ').unwrap();
                (name.to_owned(), kind.to_owned())
            })
            .collect();
        let keys = ["Day".to_owned()];
        let join = columns(of_objects).joined_to(&of_table, &keys);
        let all = join.columns.iter();
        let all: Vec<String> = all.map(|(name, kind)| format!("{name} {kind}")).collect();
        let changes: Vec<String> = join.changes.iter().map(ToString::to_string).collect();
        let conflicts: Vec<String> = join.conflicts.iter().map(ToString::to_string).collect();
        [all.join("; "), changes.join("; "), conflicts.join("; ")]
    }

    #[test]
    fn each_rule_by_an_example() {
        for (of_table, of_objects, expected, changes) in [
            ("a int", "A int", "a int", ""),
            ("a int", "a bigint", "a bigint", "a int → bigint"),
            ("a smallint", "a double", "a double", "a smallint → double"),
            ("a double", "a string", "a string", "a double → string"),
            ("a date", "a timestamp", "a timestamp", "a date → timestamp"),
            (
                "a decimal(4,1)",
                "a string",
                "a string",
                "a decimal(4,1) → string",
            ),
            (
                "a varchar(3)",
                "a varchar(5)",
                "a varchar(5)",
                "a varchar(3) → varchar(5)",
            ),
            // What readers take for the wider type of the table.
            ("a bigint", "a int", "a bigint", ""),
            ("a double", "a float", "a double", ""),
            ("a string", "a varchar(5)", "a string", ""),
            // In their places; partition keys are no columns.
            (
                "z string; a int",
                "a bigint, New_One date, z string, day string",
                "z string; a bigint; new_one date",
                "a int → bigint; New_One date is new",
            ),
            (
                "u struct<Id:int>; l array<struct<p: int>>; m map<string,int>",
                "u struct<bot:boolean,id:bigint>, l array<struct<p:double>>, m map<string,string>",
                "u struct<Id:bigint,bot:boolean>; l array<struct<p:double>>; m map<string,string>",
                "u.bot boolean is new; u.id int → bigint; l[].p int → double; m[] int → string",
            ),
        ] {
            let [all, changed, conflicts] = joined(of_table, of_objects);
            assert_eq!(
                (&*all, &*changed, &*conflicts),
                (expected, changes, ""),
                "{of_table} and {of_objects}"
            );
        }
    }

    #[test]
    fn what_no_rule_brings_together_is_told_with_both_types_and_left() {
        for (of_table, of_objects, conflict) in [
            (
                "a string",
                "a bigint",
                "a: string in the table, bigint in objects",
            ),
            (
                "a double",
                "a bigint",
                "a: double in the table, bigint in objects",
            ),
            (
                "a boolean",
                "a bigint",
                "a: boolean in the table, bigint in objects",
            ),
            (
                "a decimal(10,2)",
                "a decimal(12,2)",
                "a: decimal(10,2) in the table, decimal(12,2) in objects",
            ),
            (
                "a timestamp",
                "a date",
                "a: timestamp in the table, date in objects",
            ),
            (
                "a string",
                "a struct<x:int>",
                "a: string in the table, struct<x:int> in objects",
            ),
            (
                "a array<int>",
                "a string",
                "a: array<int> in the table, string in objects",
            ),
            (
                "a map<int,int>",
                "a map<string,int>",
                "a: map<int,int> in the table, map<string,int> in objects",
            ),
            (
                "a uniontype<int,string>",
                "a int",
                "a: uniontype<int,string> in the table, int in objects",
            ),
            (
                "a int, b int",
                "a int",
                "a: int, b int in the table, int in objects",
            ),
            (
                "a struct<x:array<date>>",
                "a struct<x:array<int>>",
                "a.x[]: date in the table, int in objects",
            ),
        ] {
            let [all, changes, conflicts] = joined(of_table, of_objects);
            assert_eq!(
                (&*all, &*changes, &*conflicts),
                (of_table, "", conflict),
                "{of_table} and {of_objects}"
            );
        }
    }

    proptest! {
        /// So a table follows a stream that learns, whatever that learns.
        #[test]
        fn a_table_takes_what_a_stream_has_widened(records in vec(record(), 1..12), cut in any::<prop::sample::Index>()) {
            let seen = |records: &[String]| {
                let mut seen = Inference::default();
                for record in records {
                    seen.observe(record.as_bytes()).unwrap();
                }
                seen.columns()
            };
            let (early, late) = records.split_at(cut.index(records.len()));
            let first = seen(early);
            prop_assume!(!first.is_empty());
            let Some((wider, changes)) = first.widened(&seen(late)) else { return Ok(()) };
            let join = wider.joined_to(&table(&first), &[]);
            prop_assert!(join.conflicts.is_empty(), "{:?}", join.conflicts);
            prop_assert_eq!(&join.columns, &table(&wider));
            prop_assert_eq!(join.changes.len(), changes.len());
            // Whoever has not heard of the wider version takes nothing of it away.
            let late = first.joined_to(&join.columns, &[]);
            prop_assert_eq!(&late.columns, &join.columns);
            prop_assert!(late.changes.is_empty(), "{:?}", late.changes);
        }

        #[test]
        fn once_is_enough_and_what_is_there_stays_in_its_place(
            of_table in fields(kind()),
            of_objects in fields(kind()),
        ) {
            let (before, objects) = (table(&Columns::of(of_table)), Columns::of(of_objects));
            let join = objects.joined_to(&before, &[]);
            prop_assert!(join.columns.len() >= before.len());
            for ((name, kind), (before, kind_before)) in join.columns.iter().zip(&before) {
                prop_assert_eq!(name, before);
                let differs = join.changes.iter().any(|change| {
                    let path = change.path.to_lowercase();
                    let inside = path.strip_prefix(name.as_str());
                    inside.is_some_and(|inside| inside.is_empty() || inside.starts_with(['.', '[']))
                });
                prop_assert!(kind == kind_before || differs, "{} {} {}", name, kind_before, kind);
            }
            let again = objects.joined_to(&join.columns, &[]);
            prop_assert_eq!(&again.columns, &join.columns);
            prop_assert!(again.changes.is_empty(), "{:?}", again.changes);
            prop_assert_eq!(again.conflicts, join.conflicts);
        }
    }
}
