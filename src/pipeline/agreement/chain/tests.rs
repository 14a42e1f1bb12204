//! What an object of the chain holds, what may follow what, and how the last one is found.

use proptest::collection::hash_set;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::schema::TableVersion;

fn version(number: u32, columns: &str) -> SchemaVersion {
    SchemaVersion {
        version: number,
        at_ms: 7,
        columns: columns.into(),
        changes: Vec::new(),
        table: None,
    }
}

#[test]
fn a_version_is_read_back_only_as_it_was_put() {
    let schema = version(3, "id bigint, at date");
    let bytes = body(&schema, Uuid::from_u128(5), "clicks");
    assert_eq!(read(&bytes, 3, "clicks"), Ok(schema.clone()));
    let told = |bytes: &[u8], stream: &str| {
        let Misread { cause, advice } = read(bytes, 3, stream).unwrap_err();
        format!("{cause} ({advice})")
    };
    let other = read(&bytes, 4, "clicks").unwrap_err();
    assert_eq!(other.cause, "it is version 3");
    let text = String::from_utf8(bytes.clone()).unwrap();
    let changed = text.replace("at date", "at int");
    let changed = told(changed.as_bytes(), "clicks");
    assert!(changed.contains(&schema.hash()), "{changed}");
    assert!(changed.contains("who has changed it"), "{changed}");
    let later = text.replacen("\"version\":1", "\"version\":2,\"new\":[]", 1);
    let later = told(later.as_bytes(), "clicks");
    assert!(later.contains("layout 2"), "{later}");
    assert!(later.contains("run the version of the daemon"), "{later}");
    let more = text.replacen('{', "{\"more\":1,", 1);
    assert_eq!(read(more.as_bytes(), 3, "clicks"), Ok(schema));
    let other = told(&bytes, "views");
    assert!(
        other.starts_with("it is of the stream clicks, not of views (two streams"),
        "{other}"
    );
    assert!(other.contains("`lease_table`"), "{other}");
    // The first daemons did not say whose it is.
    let unsaid = text.replacen(r#""stream":"clicks","#, "", 1);
    assert_ne!(unsaid, text);
    assert!(read(unsaid.as_bytes(), 3, "views").is_ok());
    let large = vec![b' '; LINK_MAX + 1];
    assert!(told(&large, "clicks").contains("bytes"));
    assert!(read(&bytes[1..], 3, "clicks").is_err());
    assert_ne!(
        bytes,
        body(
            &version(3, "id bigint, at date"),
            Uuid::from_u128(6),
            "clicks"
        )
    );
}

#[test]
fn only_what_takes_as_much_may_follow() {
    let first = version(1, "id bigint, at date");
    assert_eq!(follows(None, &first), Ok(()));
    let wider = version(2, "id string, at timestamp, n int");
    assert_eq!(follows(Some(&first), &wider), Ok(()));
    let told = follows(Some(&wider), &version(3, "id bigint, at timestamp")).unwrap_err();
    assert_eq!(told, "it takes less than version 2: id, n");
    assert!(follows(None, &version(1, "id")).is_err());
    // What a table alone has becomes what records make of it.
    let declared = version(1, "n int, f float, d decimal(4,1), x binary, v varchar(2)");
    let shown = version(2, "n bigint, f double, d string, x string, v string");
    assert_eq!(follows(Some(&declared), &shown), Ok(()));
    // Columns of a table replace others, and are widened like others.
    let of_table = SchemaVersion {
        table: Some(TableVersion {
            name: "web.hits".into(),
            ..TableVersion::default()
        }),
        ..version(3, "id int")
    };
    assert_eq!(follows(Some(&wider), &of_table), Ok(()));
    assert_eq!(follows(Some(&of_table), &version(4, "id bigint")), Ok(()));
    assert!(follows(Some(&of_table), &version(4, "n int")).is_err());
}

proptest! {
    #[test]
    fn the_last_one_is_found_from_wherever_it_begins_in_a_few_steps(
        last in 0_u32..1000,
        known in any::<Index>(),
        gaps in hash_set(1_u32..1000, 0..5),
    ) {
        let found = |there: u32, is_there: &dyn Fn(u32) -> bool| {
            let (mut search, mut steps) = (Search { there, ..Search::default() }, 0);
            while let Some(next) = search.next() {
                search.tell(next, is_there(next));
                steps += 1;
            }
            (search.there, search.beyond, steps)
        };
        let known = u32::try_from(known.index(last as usize + 1)).unwrap();
        let (there, beyond, steps) = found(known, &|number| number <= last);
        prop_assert_eq!((there, beyond), (last, Some(last + 1)));
        prop_assert!(steps <= 2 * (last - known + 1).ilog2() + 2, "{} steps", steps);
        // Where some are missing, it ends before one that is.
        let (there, beyond, _) = found(0, &|number| number <= last && !gaps.contains(&number));
        prop_assert!(there == 0 || (there <= last && !gaps.contains(&there)));
        prop_assert_eq!(beyond, Some(there + 1));
        prop_assert!(there == last || gaps.contains(&(there + 1)));
    }
}
