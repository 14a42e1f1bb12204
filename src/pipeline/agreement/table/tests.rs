//! Which answers of the catalog become versions, and who asks it.

use super::*;

const NAME: &str = "web.hits";

fn table(version: Option<&str>, created_ms: Option<i64>) -> TableVersion {
    TableVersion {
        name: NAME.into(),
        version: version.map(str::to_owned),
        created_ms,
    }
}

fn version(number: u32, columns: &str, table: Option<TableVersion>) -> SchemaVersion {
    SchemaVersion {
        version: number,
        at_ms: 5,
        columns: columns.into(),
        changes: Vec::new(),
        table,
    }
}

/// An answer, asked for when version `known` was the newest.
fn heard(columns: &str, table: TableVersion, known: u32) -> Heard {
    let columns = Columns::parse(columns).unwrap();
    Heard {
        answer: Some((columns, table)),
        known,
    }
}

fn wanted(heard: Heard, ours: Option<SchemaVersion>) -> TableWanted {
    TableWanted {
        identity: NAME.into(),
        is_fixed: false,
        heard,
        ours,
    }
}

#[test]
fn numbers_of_versions_are_compared_as_numbers_and_a_table_that_is_made_anew_is_later() {
    let of = |version: &str, created_ms: Option<i64>| table(Some(version), created_ms);
    for (one, other, expected) in [
        (of("9", None), of("10", None), Some(Ordering::Less)),
        (of("10", None), of("9", None), Some(Ordering::Greater)),
        (of("7", None), of("7", None), None),
        (
            of("0", Some(20)),
            of("7", Some(10)),
            Some(Ordering::Greater),
        ),
        (of("7", Some(10)), of("0", Some(20)), Some(Ordering::Less)),
        (of("9", Some(10)), of("10", Some(10)), Some(Ordering::Less)),
        // One was written by an earlier daemon.
        (of("9", Some(10)), of("10", None), Some(Ordering::Less)),
        (of("v2", None), of("v1", None), None),
        (table(None, None), of("7", None), None),
        (
            table(None, Some(5)),
            of("7", Some(4)),
            Some(Ordering::Greater),
        ),
    ] {
        assert_eq!(order(&one, &other), expected, "{one:?} {other:?}");
        let turned = expected.map(Ordering::reverse);
        assert_eq!(order(&other, &one), turned, "{other:?} {one:?}");
    }
}

#[test]
fn an_answer_is_put_unless_it_is_in_force_or_older_than_what_is() {
    let in_force = || Some(version(4, "id int", Some(table(Some("10"), None))));
    let next = |columns: &str, table: TableVersion, known: u32| {
        let ours = in_force();
        let wanted = wanted(heard(columns, table, known), ours.clone());
        wanted.next(ours.as_ref(), 7)
    };
    let later = next("id int, n int", table(Some("11"), None), 0).unwrap();
    assert_eq!((later.version, later.at_ms), (5, 7));
    assert_eq!(later.changes[0].to_string(), "n int is new");
    assert_eq!(later.table, Some(table(Some("11"), None)));
    assert_eq!(next("id int", table(Some("12"), None), 4), None, "the same");
    assert_eq!(next("n int", table(Some("9"), None), 4), None, "an older");
    // Columns may go, and become narrower: that is for the table to say.
    assert!(next("n int", table(Some("11"), None), 4).is_some());
    // The catalog does not say which is later.
    assert!(next("n int", table(None, None), 4).is_some());
    assert_eq!(next("n int", table(None, None), 3), None);
    assert_eq!(next("n int", table(Some("10"), None), 3), None);
    assert!(next("n int", table(Some("10"), None), 4).is_some());
}

#[test]
fn what_is_older_is_told_and_what_only_may_be_is_not() {
    let ours = version(4, "id int", Some(table(Some("10"), None)));
    let told = |version: &str, ours: Option<SchemaVersion>| {
        let wanted = wanted(heard("n int", table(Some(version), None), 0), ours);
        let told = wanted.passed_over();
        told.map(|(told, agreed)| format!("{told}, {agreed}"))
    };
    let older = told("9", Some(ours.clone()));
    assert_eq!(older.unwrap(), "web.hits version 9, web.hits version 10");
    assert_eq!(told("10", Some(ours.clone())), None);
    assert_eq!(told("11", Some(ours)), None);
    assert_eq!(told("9", None), None);
}

#[test]
fn behind_columns_of_another_origin_those_of_the_table_are_put_and_stay_in_force_behind_others() {
    let learned = version(3, "id bigint, new string", None);
    let mut wanted = wanted(heard("id int", table(Some("1"), None), 3), None);
    wanted.learn(&learned);
    let next = wanted.next(Some(&learned), 7).unwrap();
    assert_eq!(next.version, 4);
    let changes: Vec<String> = next.changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["id bigint → int", "new string is gone"]);
    wanted.learn(&next);
    // Somebody with another config widens that: here nothing changes.
    let widened = version(5, "id int, new string", None);
    wanted.learn(&widened);
    assert_eq!(wanted.next(Some(&widened), 7), None);
    // A change of the table is put behind it.
    wanted.heard = heard("id bigint", table(Some("2"), None), 3);
    assert_eq!(wanted.next(Some(&widened), 7).unwrap().version, 6);
}

#[test]
fn a_version_that_is_named_is_put_once() {
    let mut wanted = wanted(heard("n int", table(None, None), 9), None);
    wanted.is_fixed = true;
    assert!(wanted.next(None, 7).is_some());
    wanted.learn(&version(1, "id int", Some(table(None, None))));
    assert_eq!(wanted.next(None, 7), None, "it never changes");
    wanted.heard.answer = None;
    wanted.ours = None;
    assert_eq!(wanted.next(None, 7), None, "the catalog is silent");
}
