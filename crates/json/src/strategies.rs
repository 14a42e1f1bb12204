//! JSON for property tests, those of other crates too.

#![expect(
    clippy::unwrap_used,
    reason = "what makes input for a test fails as the test does"
)]

use proptest::prelude::*;

/// Any JSON value, as serde writes it.
pub fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e6..1e6).prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(Into::into),
        "[a-z/. A-Z]{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof!["[abc]", any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|entries| { serde_json::Value::Object(entries.into_iter().collect()) }),
        ]
    })
}

/// A record as text: an object with keys that the queries of the tests pick, some of them twice or
/// with escapes.
pub fn any_record() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        4 => "[a-zA-Z0-9 éÀ😀/.]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        1 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        2 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
        1 => prop::sample::select(vec!["null", "true", "false", "[]", "{}", "\"\\ud83d\\ude00\"", "\"\\u0041b\""])
            .prop_map(String::from),
        1 => any_json().prop_map(|value| value.to_string()),
        1 => (-62_135_596_800_i64..253_402_300_800).prop_map(|at| {
            format!("\"{}\"", jiff::Timestamp::from_second(at).unwrap())
        }),
    ];
    let key = prop::sample::select(vec![
        "\"a\"",
        "\"b\"",
        "\"c\"",
        "\"ts\"",
        "\"other\"",
        "\"\\u0061\"",
        "\"\"",
    ]);
    scalar.prop_recursive(3, 24, 5, move |inner| {
        prop::collection::vec((key.clone(), inner), 0..5).prop_map(|entries| {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{key}: {value}"))
                .collect();
            format!("{{{}}}", entries.join(" ,"))
        })
    })
}
