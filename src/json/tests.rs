//! The JSON scanner against a real parser.

use super::*;
use proptest::prelude::*;

fn valid(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text);
    is_text(text) && cursor.skip(0).and_then(|()| cursor.end()).is_ok()
}

fn decoded(json: &str) -> String {
    let Ok(Start::String(raw)) = Cursor::new(json.as_bytes()).start() else {
        panic!("{json}")
    };
    let mut out = Vec::new();
    raw.decode(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn only_one_json_text_is_valid() {
    for (text, expected) in [
        ("", false),
        (" \n", false),
        ("{}", true),
        (" {} \r\n\t", true),
        ("{}{}", false),
        ("{},", false),
        ("[1,]", false),
        ("{\"a\":1,}", false),
        ("{a:1}", false),
        ("{'a':1}", false),
        ("{1:1}", false),
        ("[", false),
        ("]", false),
        ("[}", false),
        ("{]", false),
        ("[1 2]", false),
        ("{\"a\" 1}", false),
        ("NaN", false),
        ("nan", false),
        ("Infinity", false),
        ("+1", false),
        ("01", false),
        ("-", false),
        ("1.", false),
        (".5", false),
        ("1e", false),
        ("1e+", false),
        ("-0.0e-0", true),
        ("# comment\n1", false),
        ("tru", false),
        ("\"\\x\"", false),
        ("\"\\u12\"", false),
        ("\"\\ud800\"", false),
        ("\"\\udc00\"", false),
        ("\"\\ud800\\u0041\"", false),
        ("\"\\ud83d\\ude00\"", true),
        ("\"\u{1}\"", false),
        ("\"\u{7f}\"", true),
        ("\"open", false),
        ("\"open\\", false),
        ("\u{feff}{}", false),
    ] {
        assert_eq!(valid(text.as_bytes()), expected, "{text:?}");
    }
    assert!(!valid(b"\"\xff\""));
}

#[test]
fn by_the_grammar_alone_depth_and_halves_of_pairs_do_not_matter() {
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for text in [deep.as_str(), "\"\\ud800\"", "{\"a\\udc00\":1}"] {
        assert!(!valid(text.as_bytes()) && is_one(text.as_bytes()), "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(valid(nested(NESTING_MAX).as_bytes()));
    assert!(!valid(nested(NESTING_MAX + 1).as_bytes()));
    assert!(!valid("[".repeat(1_000_000).as_bytes()));
    assert!(!valid("{\"a\":".repeat(200_000).as_bytes()));
}

#[test]
fn escapes_are_decoded() {
    assert_eq!(
        decoded(r#""a\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00z""#),
        "a\"\\/\u{8}\u{c}\n\r\tAé😀z"
    );
}

/// Text like JSON: mostly whole, sometimes broken.
pub(super) fn nearly_json() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\\n\"",
        "\"\\u00e9\"",
        "\"\\ud800\"",
        "1",
        "-0",
        "2.50",
        "1e3",
        "01",
        "true",
        "false",
        "null",
        " ",
        "\n",
        "\"long enough for a word\"",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

/// Any JSON value, as serde writes it.
pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
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

proptest! {
    #[test]
    fn validity_is_that_of_another_parser(text in nearly_json()) {
        let expected = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        prop_assert_eq!(valid(text.as_bytes()), expected);
    }

    #[test]
    fn whatever_another_writer_writes_is_valid_and_no_beginning_of_it(value in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        prop_assert!(valid(text.as_bytes()));
        if value.is_object() || value.is_array() || value.is_string() {
            for cut in 0..text.len() {
                prop_assert!(!valid(&text.as_bytes()[..cut]));
            }
        }
    }

    #[test]
    fn strings_decode_to_what_was_written(text: String) {
        prop_assert_eq!(decoded(&serde_json::to_string(&text).unwrap()), text);
    }

    #[test]
    fn any_bytes_are_scanned_without_panic(bytes: Vec<u8>) {
        valid(&bytes);
    }
}

/// A record as text: an object with keys that the queries of the tests pick, some of them twice or
/// with escapes.
pub(crate) fn any_record() -> impl Strategy<Value = String> {
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
