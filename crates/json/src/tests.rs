//! The JSON scanner against a real parser.

use super::strategies::any_json;
use super::*;
use proptest::prelude::*;

fn valid(text: &[u8]) -> bool {
    let mut cursor = TextCursor::new(text);
    is_text(text) && cursor.skip(0).and_then(|()| cursor.end()).is_ok()
}

fn decoded(json: &str) -> String {
    let Ok(Start::String(raw)) = TextCursor::new(json.as_bytes()).start() else {
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
        "1e-3",
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
