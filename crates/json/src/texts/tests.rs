//! Texts told apart, with serde's stream of values as the judge.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::super::strategies::any_json;
use super::super::tests::nearly_json;
use super::*;

/// The pieces of a record, or the record itself.
fn cut(record: &[u8]) -> Vec<&[u8]> {
    let mut ends = Vec::new();
    several(record, &mut ends);
    assert_eq!(pieces(record), ends.len().max(1), "counted as they are cut");
    if ends.is_empty() {
        return vec![record];
    }
    let mut start = 0;
    ends.iter()
        .map(|&end| &record[std::mem::replace(&mut start, end)..end])
        .collect()
}

/// Where the pieces end by serde's account; nothing where the record is to stay whole.
fn judged(record: &str) -> Vec<usize> {
    let mut values = serde_json::Deserializer::from_str(record).into_iter::<IgnoredAny>();
    let (mut starts, mut before) = (Vec::new(), None);
    loop {
        let from = values.byte_offset();
        let gap = record[from..].len()
            - record[from..]
                .trim_start_matches([' ', '\n', '\r', '\t'])
                .len();
        match values.next() {
            None => break,
            Some(Err(_)) => return Vec::new(),
            Some(Ok(_)) => {}
        }
        let start = from + gap;
        let bracket = record[start..].starts_with(['{', '[']);
        let line_end = record[from..start].contains(['\n', '\r']);
        if before.is_some_and(|before| !(line_end || before && bracket)) {
            return Vec::new();
        }
        before = Some(bracket);
        starts.push(start);
    }
    if starts.len() < 2 {
        return Vec::new();
    }
    starts.push(record.len());
    starts.split_off(1)
}

#[test]
fn texts_are_told_apart_and_nothing_else_is() {
    for (record, expected) in [
        ("{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n", 3),
        ("{\"n\":1}{\"n\":2}", 2),
        ("{\"n\":1} {\"n\":2}", 2),
        (" \r\n{\"n\":1}\r\n\r\n{\"n\":2}\r\n", 2),
        ("{\n  \"n\": [\n    1\n  ]\n}\n{\n  \"n\": 2\n}", 2),
        ("[1][2]", 2),
        ("[1]\t{}", 2),
        ("{}\n5\n\"a\"\nnull", 4),
        ("1\n2", 2),
        ("true\rfalse", 2),
        // One text.
        ("{\"n\":1}", 1),
        ("{\"n\":1}\n", 1),
        ("[{\"n\":1},{\"n\":2}]", 1),
        ("{\"a\":\"}{\",\"b\":\"\\\"}{\"}", 1),
        // Rows of something else.
        ("1 2 3", 1),
        ("12\t34", 1),
        ("\"a\" \"b\"", 1),
        ("\"he said \"\"hi\"\"\"", 1),
        ("{\"n\":1} 2", 1),
        ("2 {\"n\":1}", 1),
        // Not wholly JSON.
        ("{\"n\":1}\n{\"n\":2", 1),
        ("{\"n\":1}\nnot json", 1),
        ("{\"n\":1},{\"n\":2}", 1),
        ("{\"n\":1}\n\u{0}", 1),
        ("\u{feff}{\"n\":1}\n{\"n\":2}", 1),
        ("{\"n\":1}\u{a0}{\"n\":2}", 1),
        ("{\"n\":NaN}\n{\"n\":2}", 1),
        ("1 - 2 {} {}", 1),
        ("{\"a\":\"\n\"}\n{}", 1),
        ("", 1),
        ("\n\n", 1),
    ] {
        assert_eq!(cut(record.as_bytes()).len(), expected, "{record:?}");
    }
    assert_eq!(cut(b"{\"a\":\"\xff\"}\n{}").len(), 1);
}

#[test]
fn the_grammar_alone_counts() {
    // What jq and Parquet refuse fails there, alone.
    let deep = "[{\"a\":".repeat(100_000) + "1" + &"}]".repeat(100_000);
    assert!(is_one(deep.as_bytes()));
    assert_eq!(cut(format!("{deep}\n{{}}").as_bytes()).len(), 2);
    assert!(is_one(br#""\ud800""#));
    assert!(!is_one(br#""\ud80""#) && !is_one(br#""\x""#));
    assert!(!is_one(&vec![b'['; 1_000_000]) && !is_one(b"[[{]]"));
}

#[test]
fn brackets_are_matched_however_deep_they_are() {
    for depth in [127, 128, 129, 255, 256, 257, 1000] {
        let open: String = (0..depth)
            .map(|at| ["[", "{\"a\":"][at * 7 % 5 % 2])
            .collect();
        let close: String = (0..depth)
            .rev()
            .map(|at| ["]", "}"][at * 7 % 5 % 2])
            .collect();
        assert!(is_one(format!("{open}1{close}").as_bytes()), "{depth}");
        for at in [0, depth / 2, depth - 1] {
            let mut wrong = close.clone().into_bytes();
            wrong[at] ^= b']' ^ b'}';
            assert!(
                !is_one(&[open.as_bytes(), b"1", &wrong].concat()),
                "{depth}"
            );
        }
    }
}

#[test]
fn elements_stand_where_they_were_written() {
    for (array, expected) in [
        ("[]", &[][..]),
        ("[ \n ]", &[]),
        ("[1]", &["1"]),
        (
            "[ {\"a\" : [ ] } ,\n\"x,]\", -0.5e1 ,[ ],null ]",
            &["{\"a\" : [ ] }", "\"x,]\"", "-0.5e1", "[ ]", "null"],
        ),
    ] {
        let found: Vec<&str> = elements(array.as_bytes()).map(|at| &array[at]).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn too_many_texts_stay_one_record() {
    assert_eq!(cut("[]".repeat(TEXTS_MAX).as_bytes()).len(), TEXTS_MAX);
    assert_eq!(cut("[]".repeat(TEXTS_MAX + 1).as_bytes()).len(), 1);
}

/// White space, and whether there is a line end in it.
fn white() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,4}"
}

proptest! {
    #[test]
    fn pieces_are_those_of_another_parser(
        parts in prop::collection::vec((nearly_json(), white()), 0..5),
    ) {
        let record: String = parts.iter().flat_map(|(text, white)| [&**text, white]).collect();
        let mut ends = Vec::new();
        several(record.as_bytes(), &mut ends);
        prop_assert_eq!(ends, judged(&record));
    }

    #[test]
    fn values_come_apart_as_they_were_put_together(
        values in prop::collection::vec((any_json(), any::<bool>(), white()), 1..6),
        head in white(),
    ) {
        let (mut record, mut texts, mut scalar_before) = (head, Vec::new(), false);
        for (value, pretty, white) in &values {
            let scalar = !value.is_object() && !value.is_array();
            if !texts.is_empty() && (scalar || scalar_before) {
                record.push('\n');
            }
            let text = if *pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
            texts.push(text.unwrap());
            record.extend(texts.last().map(|text| text.clone() + white));
            scalar_before = scalar;
        }
        let pieces = cut(record.as_bytes());
        prop_assert_eq!(pieces.concat(), record.as_bytes());
        let trimmed: Vec<&str> = pieces.iter().map(|piece| std::str::from_utf8(piece).unwrap().trim_matches([' ', '\n', '\r', '\t'])).collect();
        prop_assert_eq!(trimmed, texts);
    }

    #[test]
    fn any_bytes_are_left_whole_or_cut_without_losing_one(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[],:1\"\n ".to_vec())], 0..80),
    ) {
        let pieces = cut(&bytes);
        prop_assert_eq!(pieces.concat(), &*bytes);
        prop_assert!(pieces.len() == 1 || pieces.iter().all(|piece| is_one(piece)));
    }
}
