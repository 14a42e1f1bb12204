//! Regular expressions of a grammar's making on short texts: patterns that mean something else than
//! in jq 1.6 would put records under wrong keys.
//!
//! `jq-1.6-regex.py` makes the table `jq-1.6-regex.tsv`, and says what stands in it.

use super::*;

/// Where outcomes differ silently: `ß` is not `ſS` where case does not matter.
const DIFFERENCES: [&str; 1] =
    [r#"{"p": "(k|b|[>\\x61À-ÿ])", "f": "gin", "t": "c>a🦊}AſS", "op": "match"}"#];

#[test]
fn patterns_mean_what_they_mean_in_jq_or_are_refused() {
    let query = Query::compile(include_str!("jq-1.6-regex.jq"));
    let query = query.unwrap_or_else(|faults| panic!("{faults:?}"));
    let (mut same, mut refused, mut different) = (0, 0, Vec::new());
    for row in include_str!("jq-1.6-regex.tsv").lines() {
        let (case, expected) = row.split_once('\t').unwrap();
        let input = read(case.as_bytes()).expect("the case is JSON");
        match query.run(input).map(|output| output.to_string()) {
            Ok(ours) if ours == expected => same += 1,
            // What jq refuses harms nobody.
            Ok(_) if expected == "!" => {}
            Ok(ours) => different.push((case, format!("{expected} in jq, {ours} here"))),
            Err(_) if expected == "!" => same += 1,
            Err(why) => {
                let listed = [
                    "not supported",
                    "two groups are named",
                    "matches no characters",
                ];
                let listed = listed.iter().any(|part| why.contains(part));
                assert!(listed, "{case}: {expected} in jq, {why} here");
                refused += 1;
            }
        }
    }
    println!(
        "{same} the same, {refused} refused, {} differ",
        different.len()
    );
    let found: Vec<_> = different.iter().map(|(case, _)| *case).collect();
    assert_eq!(found, DIFFERENCES, "{different:#?}");
    assert!(is_documented("regular expressions"));
    assert!(same > 4 * refused, "{refused} are refused");
}

/// What meant something else once, with what jq makes of it.
#[test]
fn what_other_dialects_read_otherwise_is_read_as_in_jq() {
    for (text, query, expected) in [
        ("x a", r#"test("\\<a")"#, "false"),
        ("a<br>b", r#"gsub("\\<br\\>"; "")"#, "\"ab\""),
        (" ", r#"test("[a b]"; "x")"#, "true"),
        ("{a", r#"test("{a")"#, "true"),
        ("a{,2}", r#"test("^a{,2}$")"#, "true"),
        ("a}", r#"test("a}")"#, "true"),
        ("a\n", r#"test("a$")"#, "true"),
        ("a\n", r#"test("a\\z")"#, "false"),
        ("a\n", r#"test("a\\Z")"#, "true"),
        ("v", r#"test("\\v")"#, "true"),
        ("ab", r#"match("|a"; "n") | .string"#, "\"a\""),
        ("ab", r#"match("(a*)+") | .captures[0].offset"#, "1"),
        ("aaa", r#"match("(?:a??)*") | .string"#, "\"\""),
        ("été", r#"match("\\w+") | .string"#, "\"été\""),
        ("ÉTÉ", r#"test("été"; "i")"#, "true"),
        (
            "é",
            r#"[test("[[:alpha:]]"), test("\\bé\\b"), test("[^\\w]")]"#,
            "[true,true,false]",
        ),
        ("&", r#"test("[a&&b]")"#, "true"),
        ("[", r#"test("[a[b]")"#, "true"),
        ("]", r#"test("[]a]")"#, "true"),
    ] {
        let input = serde_json::to_string(text).unwrap();
        assert_eq!(run(query, &input).as_deref(), Ok(expected), "{query}");
    }
    for (query, why) in [
        (r#"test("a++a")"#, "possessive"),
        (r#"test("a*+a")"#, "possessive"),
        (r#"test("a?+a")"#, "possessive"),
        (r#"test("a{2}+a")"#, "possessive"),
        (r#"test("(?=a)")"#, "look-around"),
        (r#"test("(?>a)")"#, "atomic"),
        (r#"test("(a)\\1")"#, "back-references"),
        (r#"test("\\p{L}")"#, "not supported"),
        (r#"test("a|b"; "l")"#, "longest"),
    ] {
        let error = run(query, "\"aaa\"").unwrap_err();
        assert!(error.contains(why), "{query}: {error}");
    }
}
