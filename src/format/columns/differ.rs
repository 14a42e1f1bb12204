//! How columns differ from those before them, where whoever says them changes them as they like.

use super::declared::{Columns, type_text};
use super::schema::{Field, HiveType};
use super::widen::Widening;

impl Columns {
    /// What is new, gone or of another type in `later`, in its order; fields of structs each for themselves. What has only
    /// moved to another place is no change.
    pub fn changes_to(&self, later: &Self) -> Vec<Widening> {
        let mut changes = Vec::new();
        of_fields(self.fields(), later.fields(), "", &mut changes);
        changes
    }
}

fn of_fields(before: &[Field], after: &[Field], around: &str, changes: &mut Vec<Widening>) {
    let path = |name: &str| match around {
        "" => name.to_owned(),
        around => format!("{around}.{name}"),
    };
    for field in after {
        let path = path(&field.name);
        match before.iter().find(|before| before.name == field.name) {
            Some(before) => of_kinds(&before.kind, &field.kind, path, changes),
            None => changes.push(Widening {
                path,
                from: None,
                to: type_text(&field.kind),
            }),
        }
    }
    let is_gone = |field: &&Field| after.iter().all(|after| after.name != field.name);
    changes.extend(before.iter().filter(is_gone).map(|field| Widening {
        path: path(&field.name),
        from: Some(type_text(&field.kind)),
        to: String::new(),
    }));
}

fn of_kinds(before: &HiveType, after: &HiveType, path: String, changes: &mut Vec<Widening>) {
    match (before, after) {
        (HiveType::Struct(before), HiveType::Struct(after)) => {
            of_fields(before, after, &path, changes);
        }
        (HiveType::Array(before), HiveType::Array(after)) => {
            of_kinds(before, after, format!("{path}[]"), changes);
        }
        (HiveType::Map(key, before), HiveType::Map(key_after, after)) if key == key_after => {
            of_kinds(before, after, format!("{path}[]"), changes);
        }
        (before, after) if before == after => {}
        (before, after) => changes.push(Widening {
            path,
            from: Some(type_text(before)),
            to: type_text(after),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::declared::tests::{fields, kind};
    use super::*;

    /// The same fields in the order of their names, in structs, too.
    fn sorted(mut fields: Vec<Field>) -> Vec<Field> {
        for field in &mut fields {
            sort(&mut field.kind);
        }
        fields.sort_by(|one, other| one.name.cmp(&other.name));
        fields
    }

    fn sort(kind: &mut HiveType) {
        match kind {
            HiveType::Struct(fields) => *fields = sorted(std::mem::take(fields)),
            HiveType::Array(inner) | HiveType::Map(_, inner) => sort(inner),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn there_are_changes_exactly_where_more_than_the_order_is_another(
            before in fields(kind()),
            after in fields(kind()),
        ) {
            let are_same = sorted(before.clone()) == sorted(after.clone());
            let (before, after) = (Columns::of(before), Columns::of(after));
            prop_assert_eq!(before.changes_to(&after).is_empty(), are_same);
            let moved = Columns::of(sorted(before.fields().to_vec()));
            prop_assert!(before.changes_to(&moved).is_empty());
            prop_assert_eq!(moved.changes_to(&after).len(), before.changes_to(&after).len());
        }
    }

    fn changes(before: &str, after: &str) -> Vec<String> {
        let columns = |text| Columns::parse(text).unwrap();
        let changes = columns(before).changes_to(&columns(after)).into_iter();
        changes
            .map(|Widening { path, from, to }| {
                format!("{path}: {} -> {to}", from.unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn what_is_new_gone_or_of_another_type_is_told_by_its_path() {
        assert_eq!(changes("a int, b string", "b string, a int"), [""; 0]);
        assert_eq!(
            changes(
                "a int, gone date, s struct<x:int,y:array<struct<z:int>>>, m map<string,int>",
                "new string, a string, s struct<y:array<struct<z:bigint,w:int>>>, m map<string,double>"
            ),
            [
                "new:  -> string",
                "a: int -> string",
                "s.y[].z: int -> bigint",
                "s.y[].w:  -> int",
                "s.x: int -> ",
                "m[]: int -> double",
                "gone: date -> ",
            ]
        );
    }
}
