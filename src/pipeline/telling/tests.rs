//! What is told when, and that it is what readers find in the keys of objects.

use proptest::prelude::*;

use super::known::{KNOWN_MAX, Recent};
use super::*;
use crate::catalog::{Comparison, Standing};
use crate::config::PartitioningSettings;
use crate::partition::{KeyRule, Partitioner, Plan, UnreadSettings};
use crate::position::Position;
use crate::record::Record;
use crate::schema::{ColumnConflict, TableJoin};
use crate::telemetry::Metrics;

#[derive(Debug)]
struct Three;

type Answer<'a, T> = catalog::Pending<'a, Result<T, CatalogError>>;

impl Catalog for Three {
    fn group_max(&self) -> usize {
        3
    }

    fn tell<'a>(&'a self, places: &'a [String], _: &'a TableWish) -> Answer<'a, catalog::Told> {
        let fates = vec![Fate::Told; places.len()];
        let columns = Ok(TableJoin::default());
        Box::pin(async move {
            Ok(catalog::Told {
                fates: Ok(fates),
                columns,
            })
        })
    }

    fn compare<'a>(&'a self, places: &'a [String], _: &'a TableWish) -> Answer<'a, Comparison> {
        let standings = vec![Standing::New; places.len()];
        let columns = TableJoin::default();
        Box::pin(async move {
            Ok(Comparison {
                standings,
                columns: Ok(columns),
            })
        })
    }
}

fn telling(clock: &Clock) -> Telling {
    let metrics = Arc::new(Metrics::new().unwrap());
    Telling {
        told: Some(Told {
            catalog: Arc::new(Three),
            metrics: CatalogMetrics::new(&metrics, "clicks"),
            standing: CatalogStanding::default(),
        }),
        waiting: BTreeMap::new(),
        known: KnownPlaces::default(),
        changes: Changes::default(),
        last: None,
        is_telling: false,
        rest: Rest::default(),
        columns: ToldColumns::default(),
        published: clock.moment(),
    }
}

fn urls(changes: &PlaceChanges) -> Vec<&str> {
    changes.untold.iter().map(|place| &*place.url).collect()
}

#[test]
fn a_place_is_to_be_told_once_and_a_checkpoint_holds_it_until_it_is() {
    let clock = Clock::manual(7);
    let mut telling = telling(&clock);
    for place in ["b/", "a/", "b/"] {
        telling.note(place.to_owned(), &clock).unwrap();
    }
    assert!(telling.has_changes());
    let changes = telling.take_changes();
    assert_eq!((urls(&changes), changes.told.len()), (vec!["a/", "b/"], 0));
    assert!(!telling.has_changes());
    telling.done("a/".to_owned());
    // One that no checkpoint has seen is none of its business.
    telling.note("c/".to_owned(), &clock).unwrap();
    telling.done("c/".to_owned());
    telling.note("a/".to_owned(), &clock).unwrap();
    let changes = telling.take_changes();
    assert_eq!(
        (urls(&changes).len(), &*changes.told),
        (0, &["a/".to_owned()][..])
    );
}

#[test]
fn groups_go_round_so_that_what_is_not_taken_is_in_nobodys_way() {
    let clock = Clock::manual(7);
    let mut telling = telling(&clock);
    for place in ["a/", "b/", "c/", "d/", "e/"] {
        telling.note(place.to_owned(), &clock).unwrap();
    }
    let mut next = || {
        let (_, group) = telling.next(clock.moment(), false).unwrap();
        assert!(
            telling.next(clock.moment(), true).is_none(),
            "one group at a time"
        );
        telling.is_telling = false;
        group.concat()
    };
    assert_eq!([next(), next(), next()], ["a/b/c/", "d/e/", "a/b/c/"]);
    let error = |advice: &str| CatalogError {
        code: "Busy".to_owned(),
        cause: "busy".to_owned(),
        advice: advice.to_owned(),
    };
    for (advice, most) in [
        ("", retry::TRANSIENT_MAX),
        ("mend it", retry::PERMANENT_MAX),
    ] {
        for _ in 0..20 {
            telling.rest.after(Some(&error(advice)), clock.moment());
        }
        assert!(telling.next(clock.moment(), true).is_none());
        clock.advance(most);
        assert!(telling.next(clock.moment(), false).is_some());
        telling.is_telling = false;
    }
    telling.rest.after(None, clock.moment());
    assert!(!telling.rest.lasts(clock.moment()));
    assert_eq!(telling.rest.attempts, 0);
}

#[test]
fn what_another_pipeline_of_the_stream_has_told_is_not_told_again() {
    let clock = Clock::manual(7);
    let mut telling = telling(&clock);
    let another = telling.known.clone();
    for place in ["a/", "b/", "c/", "d/"] {
        telling.note(place.to_owned(), &clock).unwrap();
    }
    assert_eq!(urls(&telling.take_changes()).len(), 4);
    for place in ["a/", "c/", "d/", "e/"] {
        another.add(place.to_owned());
    }
    telling.note("e/".to_owned(), &clock).unwrap();
    let (_, group) = telling.next(clock.moment(), false).unwrap();
    assert_eq!(group, ["b/"]);
    telling.is_telling = false;
    telling.done("b/".to_owned());
    assert!(telling.next(clock.moment(), false).is_none());
    let changes = telling.take_changes();
    assert_eq!((urls(&changes).len(), changes.told.len()), (0, 4));
    assert!(telling.waiting.is_empty());
}

#[test]
fn columns_are_told_though_no_place_waits() {
    let clock = Clock::manual(7);
    let mut telling = telling(&clock);
    assert!(telling.next(clock.moment(), false).is_none());
    let (_, group) = telling.next(clock.moment(), true).unwrap();
    assert_eq!(group, [""; 0]);
    telling.is_telling = false;
    assert!(!telling.may_end(clock.moment(), true));
    clock.advance(LAST_WAIT);
    assert!(telling.may_end(clock.moment(), true));
}

#[test]
fn a_table_whose_columns_differ_is_looked_at_again_after_ten_minutes_and_another_one_is_not() {
    let clock = Clock::manual(7);
    let mut columns = ToldColumns::default();
    let (first, second) = (Some(1), Some(2));
    assert!(!columns.are_due(None, clock.moment()), "none are wanted");
    assert!(columns.are_due(first, clock.moment()));
    let conflict = ColumnConflict {
        path: "took".to_owned(),
        table: "boolean".to_owned(),
        objects: "bigint".to_owned(),
    };
    let differs = || {
        Ok(TableJoin {
            conflicts: vec![conflict.clone()],
            ..TableJoin::default()
        })
    };
    // As often as it is found so.
    for _ in 0..3 {
        columns.heard(1, &differs(), clock.moment());
        assert!(!columns.are_due(first, clock.moment()));
        clock.advance(Duration::from_secs(599));
        assert!(!columns.are_due(first, clock.moment()));
        assert!(columns.are_due(second, clock.moment()), "others are");
        clock.advance(Duration::from_secs(1));
        assert!(columns.are_due(first, clock.moment()));
    }
    // A look that fails is no look.
    let error = CatalogError {
        code: "Busy".to_owned(),
        cause: "busy".to_owned(),
        advice: String::new(),
    };
    columns.heard(1, &Err(error), clock.moment());
    assert!(columns.are_due(first, clock.moment()));
    assert!(columns.rests(clock.moment()));
    // Somebody has mended it.
    columns.heard(1, &Ok(TableJoin::default()), clock.moment());
    clock.advance(Duration::from_hours(24));
    assert!(!columns.are_due(first, clock.moment()));
    assert!(!columns.rests(clock.moment()));
}

#[test]
fn what_waits_and_what_is_remembered_is_bounded() {
    let clock = Clock::manual(7);
    let mut telling = telling(&clock);
    for number in 0..WAITING_MAX {
        telling.note(format!("{number}/"), &clock).unwrap();
    }
    assert!(telling.note("0/".to_owned(), &clock).is_ok());
    assert_eq!(
        telling.note("more/".to_owned(), &clock),
        Err("more/".to_owned())
    );
    telling.done("0/".to_owned());
    telling.note("more/".to_owned(), &clock).unwrap();

    let mut known = Recent::default();
    for number in 0..5 * KNOWN_MAX {
        known.add(format!("{number}/"));
        assert!(known.has("0/"), "it is asked for all the time");
    }
    assert!(known.young.len() + known.old.len() <= 2 * KNOWN_MAX);
    assert!(!known.has("1/"));
}

#[test]
fn a_stop_waits_for_a_catalog_that_answers_and_not_for_long() {
    let clock = Clock::manual(7);
    let mut telling = telling(&clock);
    let may_end = |telling: &Telling| telling.may_end(clock.moment(), false);
    assert!(may_end(&telling));
    telling.note("a/".to_owned(), &clock).unwrap();
    assert!(!may_end(&telling));
    clock.advance(LAST_WAIT);
    assert!(may_end(&telling));
    telling.note("b/".to_owned(), &clock).unwrap();
    assert!(!may_end(&telling));
    telling.told.as_mut().unwrap().standing.error = Some("busy".to_owned());
    assert!(may_end(&telling));
}

/// The place of an object in which a record with these keys is.
fn place(prefix: &str, record: &serde_json::Value) -> Option<String> {
    let settings = PartitioningSettings {
        query: Some("{a: .a, b: .b}".to_owned()),
        ..PartitioningSettings::default()
    };
    let partitioner = Partitioner::compile(&Plan {
        settings: &settings,
        has_transforms: false,
        prefix: Some(prefix),
        has_watermark: false,
        late_prefix: None,
        rule: &KeyRule::unknown(),
        unread: UnreadSettings::default(),
    });
    let (partitioner, record) = (partitioner.unwrap(), record.to_string());
    let record = Record::new(record.as_bytes(), 0, Position::default());
    let mut identity = Vec::new();
    let mut scratch = partitioner.scratch();
    partitioner
        .partition(&mut scratch, &record, &mut identity)
        .ok()?;
    Some(format!(
        "s3://lake/{}",
        partitioner.open_prefix(&identity, 0)
    ))
}

proptest! {
    #[test]
    fn what_is_told_of_a_partition_is_what_its_records_have(
        a in "(?s).{1,20}", b in "[%/=. a-f0-9]{1,12}",
    ) {
        let record = serde_json::json!({ "a": a, "b": b });
        let keys = ["a".to_owned(), "b".to_owned()];
        let expected = [a, b];
        for prefix in [
            "c/a=!{partitionKeyFromQuery:a}/b=!{partitionKeyFromQuery:b}/",
            "c/B=!{partitionKeyFromQuery:b}/A=!{partitionKeyFromQuery:a}/",
            "c/!{partitionKeyFromQuery:a}/!{partitionKeyFromQuery:b}/x-",
        ] {
            let Some(mut place) = place(prefix, &record) else { continue };
            place.truncate(place.rfind('/').unwrap() + 1);
            let values = catalog::values("s3://lake/c/", &keys, &place);
            prop_assert_eq!(values.as_deref(), Ok(&expected[..]), "{}", place);
        }
    }
}
