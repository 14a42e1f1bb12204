//! Compiled paths against jaq.

use super::*;
use crate::config::PartitioningSettings;
use crate::partition::expression::{PrefixPart, SpannedPart};
use crate::partition::extract::{Extracted, Extractor};
use crate::partition::{KeyRule, PartitionSetting, Plan, UnreadSettings};
use crate::position::Position;
use crate::record::Record;
use proptest::prelude::*;

fn extractor(query: &str, event_time: Option<&str>) -> Extractor {
    let settings = PartitioningSettings {
        query: Some(query.into()),
        event_time: event_time.map(Into::into),
        ..PartitioningSettings::default()
    };
    let keys = query_columns(query).unwrap_or_default();
    let mut pieces: Vec<SpannedPart> = keys
        .into_iter()
        .map(|(name, _)| SpannedPart {
            part: PrefixPart::QueryKey(name),
            field: PartitionSetting::Prefix,
            at: 0..0,
        })
        .collect();
    if event_time.is_some() {
        let pattern = firehose_date_pattern::DatePattern::parse("yyyy").unwrap();
        pieces.push(SpannedPart {
            part: PrefixPart::EventTime(pattern),
            field: PartitionSetting::Prefix,
            at: 0..0,
        });
    }
    let mut faults = Vec::new();
    let plan = Plan {
        settings: &settings,
        has_transforms: false,
        prefix: None,
        has_watermark: false,
        late_prefix: None,
        rule: &KeyRule::unknown(),
        unread: UnreadSettings::default(),
    };
    let extractor = Extractor::compile(&plan, &pieces, &mut faults);
    assert_eq!(faults, []);
    extractor
}

type Outcome = Result<(Vec<Vec<u8>>, Option<i64>), String>;

/// What the compiled path and what jaq alone make of a record.
fn both(extractor: &Extractor, record: &[u8]) -> (Outcome, Outcome) {
    let mut out = Extracted::default();
    let values = |out: &Extracted| {
        let values = (0..extractor.key_names().count()).map(|index| out.value(index).to_vec());
        (values.collect(), out.event_time)
    };
    let message = |failure: crate::failure::Failure| failure.message.into_owned();
    let compiled = extractor
        .extract(&Record::new(record, 0, Position::default()), &mut out)
        .map_err(message)
        .map(|()| values(&out));
    let mut out = Extracted::default();
    let jaq = extractor
        .evaluate(record, &mut out)
        .map_err(message)
        .map(|()| values(&out));
    (compiled, jaq)
}

const QUERIES: [&str; 12] = [
    "{a: .a}",
    "{a}",
    "{a: .a.b, b: .b}",
    "{a: .a[\"b\"].c, b: .[\"b\"]}",
    "{\"a\": .a // \"none\", b: (.b // \"x\" | ascii_upcase)}",
    "{a: (.a | tostring), b: (.b | ascii_downcase)}",
    "{a: .a[0:2], b: (.b | tostring | .[1:])}",
    "{a: (.a[:3] | ascii_upcase), b: .b[1:3]}",
    "{a: (.a.b | tostring | .[0:4] | ascii_downcase)}",
    "{a: .a, b: .a}",
    "{a: .a, b: .a.b}",
    "{a: (.a[0:1] // \"none\"), b: (.b | tostring) }",
];

#[test]
fn queries_that_only_pick_compile_to_one_scan() {
    for query in QUERIES {
        assert!(query_columns(query).is_some(), "{query}");
    }
    for query in [
        "{a: .a?}",
        "{a: .a[0]}",
        "{a: .a[-1:]}",
        "{a: 1}",
        "{(.a): .b}",
        ".",
        "{a: .}",
        "{a: .a[]}",
        "{a: .a // 1}",
        "{a: (.a | .b)}",
        "{a: .a, a: .b}",
        "{a: \"\\(.a)\"}",
    ] {
        assert!(query_columns(query).is_none(), "{query}");
    }
}

#[test]
fn odd_records_have_the_outcome_that_jaq_gives_them() {
    for query in QUERIES {
        let extractor = extractor(query, None);
        for record in [
            "",
            " ",
            "{}",
            "[]",
            "1",
            "null",
            "{\"a\":1}{\"a\":2}",
            "{\"a\":1,\"b\":2} x",
            r#"{"a":1,"a":2,"b":3}"#,
            r#"{"a":{"b":1},"a":{"c":2},"b":1}"#,
            r#"{"\u0061":1,"b":2}"#,
            r#"{"a":{"b":"x"},"b":"y"}"#,
            r#"{"a":{"b":{"c":"x"}},"b":"y"}"#,
            r#"{"a":"","b":""}"#,
            r#"{"a":null,"b":null}"#,
            r#"{"a":false,"b":false}"#,
            r#"{"a":[1],"b":{}}"#,
            r#"{"a":"é\ud83d\ude00x","b":"ÀB"}"#,
            r#"{"a":"\ud800","b":"x"}"#,
            r#"{"a":"\u0000","b":"\n"}"#,
            r#"{"a":1.0,"b":-0}"#,
            r#"{"a":12345678901234567890123,"b":1e400}"#,
            r#"{"a":1e3,"b":0.00001}"#,
            r#"{"a":"x","b":"y","c":}"#,
            r#"{"a":"x","b":"y","c":[1,2}"#,
            r#"{"a":"x","b":"y","c":"\q"}"#,
            "{\"a\":\"x\",\"b\":\"y\",\"c\":\"\u{1}\"}",
            r#"{"a":NaN,"b":1}"#,
            r#"{"a":01,"b":1}"#,
            r#"{"a":"x","b":"y","c":[[[[{"d":{}}]]]]}"#,
            " {\"a\" : \"x\" ,\n\"b\"\t:\"y\" } \r\n",
        ] {
            let (compiled, jaq) = both(&extractor, record.as_bytes());
            assert_eq!(compiled, jaq, "{query} on {record}");
        }
        let mut invalid = br#"{"a":"x","b":"y","c":""#.to_vec();
        invalid.extend_from_slice(b"\xff\"}");
        let deep = format!(
            r#"{{"a":"x","b":"y","c":{}{}}}"#,
            "[".repeat(128),
            "]".repeat(128)
        );
        for record in [&invalid, deep.as_bytes()] {
            let (compiled, jaq) = both(&extractor, record);
            assert_eq!(compiled, jaq);
            assert!(jaq.is_err());
        }
    }
}

#[test]
fn plain_records_never_reach_jaq() {
    let columns = query_columns("{a: .a.b, b: (.b // \"x\" | ascii_upcase), c: .c[0:2]}").unwrap();
    let paths = Paths::new(columns.into_iter().map(|(_, column)| column).collect()).unwrap();
    let record = br#"{"z":[1,{"a":2}],"a":{"c":1,"b":12.50},"c":"n\u00e9e","y":"\"{"}"#;
    let mut row = paths.row();
    row.scan(record).unwrap();
    let text = |column| {
        let mut out = Vec::new();
        row.text(column, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!([text(0), text(1), text(2)], ["12.5", "X", "né"]);
}

proptest! {
    #[test]
    fn the_compiled_path_equals_jaq(
        value in firehose_json::strategies::any_record(),
        query in 0_usize..QUERIES.len(), cut in any::<prop::sample::Index>(), broken in 0_u8..8,
    ) {
        let extractor = extractor(QUERIES[query], (query % 2 == 0).then_some(".ts"));
        let mut text = value.into_bytes();
        if broken == 0 && !text.is_empty() {
            text.truncate(cut.index(text.len()));
        }
        if broken == 1 && !text.is_empty() {
            let at = cut.index(text.len());
            text[at] = b'"';
        }
        let (compiled, jaq) = both(&extractor, &text);
        prop_assert_eq!(compiled, jaq, "{}", String::from_utf8_lossy(&text));
    }
}
