//! Queries: bounds, purity, and jq 1.6.

use super::*;

mod grid;
mod price;
mod regex;

fn run(query: &str, input: &str) -> Result<String, String> {
    let compiled = Query::compile(query).unwrap_or_else(|faults| panic!("{query}: {faults:?}"));
    let input = read(input.as_bytes()).expect("the input is JSON");
    compiled.run(input).map(|output| output.to_string())
}

#[test]
fn queries_without_a_bound_of_their_own_are_stopped() {
    for query in [
        "[reduce range(400000) as $x ((1, 2); .)] | until(false; .)",
        "[foreach range(400000) as $x ((1, 2); .)] | until(false; .)",
        "last(path(recurse(.a)))",
        "last(path(limit(1e12; recurse(.a))))",
        "path(until(false; .a))",
        "last(path(while(true; .a)))",
        "last(path(repeat(.a)))",
        "recurse(.a) |= .",
        "repeat(.a) |= .",
        "until(false; .a) = 1",
        "getpath([range(200000) | \"a\"]) |= 1",
        "setpath([range(200000) | \"a\"]; 1)",
        "[range(1e12)]",
        "[range(0; 1; 1e-12)]",
        "last(range(1e12))",
        "isempty(range(1e12) | select(false))",
        "[limit(1e12; repeat(1))]",
        "[skip(1e12; repeat(1))]",
        "[repeat(.)]",
        "first(repeat(empty))",
        "until(false; .)",
        "[while(true; .)]",
        "[recurse(.)]",
        "last(recurse(. + 1))",
        "\"x\" * 1e9",
        "\"x\" * 2e9",
        "\"x\" * 1000000 | [range(20000) as $i | . * 1]",
        "reduce range(64) as $i (\"x\"; . + .)",
        "reduce range(64) as $i ([1]; . + .)",
        "reduce range(64) as $i ([1]; [., .]) | tojson",
        "reduce range(64) as $i ([1]; [., .]) | [..]",
        "reduce range(64) as $i ([1]; [., .]) | . == .",
        "reduce range(64) as $i ([1]; [., .]) | error",
        "reduce range(64) as $i ({}; {a: ., b: .}) | [paths]",
        "reduce range(64) as $i ({}; {a: ., b: .}) | . * .",
        "reduce range(1e5) as $i (0; [.])",
        "reduce range(1e5) as $i ({}; {a: .})",
        "reduce range(1e5) as $i (null; {a: 1} | .a = $i) | until(false; [.])",
        "[.[range(100)]?, .[range(100)][range(100)][range(100)][range(100)]]",
        "[range(1000) | range(1000) | range(1000)]",
        "def a: ., .; def b: a | a; def c: b | b; def d: c | c; def e: d | d; def f: e | e; [f]",
        "[range(1e6)] | map([range(1e6)])",
        "[range(300000) | [.]] | combinations",
        "[range(2000)] | [combinations(3)]",
        "\"aXb\" | until(false; if test(\"(a|b)*c\") then 1 else . end)",
        "\"a\" * 100000 | [match(\"a\"; \"g\")] | until(false; .)",
        "[range(100000)] | sort_by(-.) | until(false; sort)",
        "[range(100000) | tostring] | join(\",\") | until(false; ascii_upcase)",
        "\"a\" * 1000000 | until(false; explode | implode)",
        "\" \" * 100000 | [repeat(trim)]",
        "{} | until(false; .[tostring] = 1)",
        "[] | until(false; . + [1])",
    ] {
        let error = run(query, "null").unwrap_err();
        let stopped = ["too many steps", "too deep"]
            .iter()
            .any(|why| error.contains(why));
        assert!(stopped, "{query}: {error}");
    }
}

#[test]
fn deep_queries_neither_overflow_the_stack_when_compiled_nor_when_run() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("-", ""),
        ("{a:", "}"),
        ("try ", ""),
        ("1+", ""),
        ("1|", ""),
        ("1,", ""),
        ("if ", " then 1 end"),
    ] {
        let count = (QUERY_BYTES_MAX - 1) / (open.len() + close.len());
        let query = format!("{}1{}", open.repeat(count), close.repeat(count));
        if let Ok(query) = Query::compile(&query) {
            let _ = query.run(Value::Null);
        }
    }
}

#[test]
fn deep_and_long_records_stay_within_the_bounds() {
    let deep = format!("{}1{}", "[".repeat(127), "]".repeat(127));
    let query = "walk(if type == \"number\" then . + 1 else . end) | flatten";
    assert_eq!(run(query, &deep).as_deref(), Ok("[2]"));
    let long = format!("\"{}\"", "a b".repeat(4000));
    let query = "gsub(\" \"; \"_\") | length";
    assert_eq!(run(query, &long).as_deref(), Ok("12000"));
}

#[test]
fn texts_that_are_parsed_may_hold_the_control_characters_that_jq_lets_pass() {
    let input = |code: u8| format!("[34,{code},34]");
    for code in [0, 0x1f] {
        let parsed = run("implode | fromjson | explode", &input(code));
        assert_eq!(parsed, Ok(format!("[{code}]")));
    }
    for code in [1, 0x1e] {
        let parsed = run("implode | fromjson", &input(code));
        assert!(parsed.is_err(), "{code}: {parsed:?}");
    }
}

#[test]
fn a_substitution_moves_on_where_nothing_is_matched() {
    for (query, expected) in [
        ("gsub(\"\"; \"-\")", "\"-a-b-\""),
        ("gsub(\"^\"; \">\")", "\">ab\""),
        ("gsub(\"$\"; \"<\")", "\"ab<\""),
        ("gsub(\"x*\"; \"-\")", "\"-a-b-\""),
    ] {
        assert_eq!(run(query, "\"ab\"").as_deref(), Ok(expected), "{query}");
    }
}

#[test]
fn impure_functions_are_faults_that_name_them_and_their_place() {
    for (query, at) in [
        ("{a: now}", 4..7),
        ("{a: (.x | env)}", 10..13),
        ("{a: $ENV.HOME}", 4..8),
        ("[1] | localtime", 6..15),
        ("input", 0..5),
        (". as {a: $x} | \"\\(inputs)\"", 18..24),
        ("def f: debug; f", 7..12),
        ("reduce .[] as $x (0; stderr)", 21..27),
        ("halt_error", 0..10),
        ("if . then halt else 1 end", 10..14),
        (".[input_line_number]", 2..19),
        ("jn(1; 2)", 0..2),
    ] {
        let faults = Query::compile(query).err().unwrap();
        assert_eq!(faults[0].at, Some(at.clone()), "{query}");
        assert!(
            faults[0].message.contains(&query[at]),
            "{}",
            faults[0].message
        );
        assert!(faults[0].help.is_some());
    }
}

#[test]
fn calculations_beyond_the_calendar_fail_the_record() {
    for query in [
        "[1, 127, 1, 1, 1, 1] | mktime",
        "[1e18, 0, 1, 1, 1, 1] | mktime",
        "1e18 | todate",
        "nan | gmtime",
        "infinite | todate",
        "\"9999999999-01-01T00:00:00Z\" | fromdate",
        "1 | strftime(\"%999999999999Y\")",
        "\"x\" | test(\"(\")",
        "\"x\" | test(\"(x{1000}){1000}\")",
        "[1114112] | implode",
        "\"!\" | @base64d",
        "[] | first | error",
        "[.[]] | transpose",
    ] {
        assert!(run(query, "null").is_err(), "{query}");
    }
}

#[test]
fn definitions_that_call_themselves_are_faults() {
    for (query, at) in [
        ("def f: f; f", 7..8),
        ("def f(x): f(x | x); f(.)", 10..11),
        ("def f: def g: 1 + f; g; f", 18..19),
        ("[.[] | def f($a): if . then f(1) else . end; f(2)]", 28..29),
    ] {
        let faults = Query::compile(query).err().unwrap();
        assert_eq!(faults[0].at, Some(at), "{query}");
    }
    assert_eq!(
        run("def f: 1; def f(x): f + x; f(2)", "null").as_deref(),
        Ok("3")
    );
}

#[test]
fn a_query_that_does_not_compile_is_a_fault_with_its_place() {
    for (query, at, part) in [
        ("{a: .a", Some(6..6), "brace"),
        ("{a: }", Some(4..5), "term"),
        ("{a: .a} }", Some(8..9), "expected"),
        ("{a: foo}", Some(4..7), "\"foo\""),
        ("{a: .a | tostrin}", Some(9..16), "\"tostrin\""),
        ("{a: $x}", Some(4..6), "variable"),
        ("{a: \"x}", None, "expected"),
        ("import \"m\" as m; 1", None, "expected"),
        ("", Some(0..0), "term"),
    ] {
        let faults = Query::compile(query).err().unwrap();
        assert!(faults[0].message.contains(part), "{query}: {faults:?}");
        if at.is_some() {
            assert_eq!(faults[0].at, at, "{query}: {faults:?}");
        }
    }
    let faults = Query::compile("{a: .a | tostrin}").err().unwrap();
    assert_eq!(
        faults[0].help.as_deref(),
        Some("did you mean \"tostring\"?")
    );
}

/// Where outcomes differ from jq's on purpose: the query, and how the first cell of the row on it
/// in `docs/src/jq.md` begins.
const DIFFERENCES: [(&str, &str); 4] = [
    (".nested | from_entries", "`from_entries`"),
    ("$__loc__", "`tostream`"),
    ("\"\\u00e9\\ud83d\\ude00\" | length", "characters beyond"),
    (
        "\"\\u00e9\\ud83d\\ude00\" | utf8bytelength",
        "characters beyond",
    ),
];

/// Whether `docs/src/jq.md` has a row that begins so.
fn is_documented(row: &str) -> bool {
    let page = include_str!("../../../docs/src/jq.md");
    let start = format!("| {row}");
    page.lines().any(|line| line.starts_with(&start))
}

/// The table was made with Debian's jq 1.6 (`jq -c`): a record, then for each query the one value
/// it gives, or `!` where it fails or gives none or several.
#[test]
fn outcomes_are_those_of_jq_but_for_the_named_differences() {
    let table = include_str!("tests/jq-1.6.tsv");
    let (input, rows) = table.split_once('\n').unwrap();
    let mut different = Vec::new();
    for row in rows.lines() {
        let (query, expected) = row.split_once('\t').unwrap();
        let ours = match Query::compile(query) {
            Ok(_) => run(query, input).unwrap_or_else(|error| format!("! {error}")),
            Err(faults) => format!("! {}", faults[0].message),
        };
        let same = if expected == "!" {
            ours.starts_with('!')
        } else {
            grid::same(&ours, expected)
        };
        if !same {
            different.push(query);
        }
    }
    for (query, row) in DIFFERENCES {
        assert!(is_documented(row), "{query}: no row {row}");
    }
    let mut named = DIFFERENCES.map(|(query, _)| query).to_vec();
    named.sort_unstable();
    different.sort_unstable();
    assert_eq!(different, named);
}

/// To know each match the matcher reads on to the end of the text: quadratic, were it let.
#[test]
fn matches_that_look_far_ahead_again_and_again_are_stopped() {
    for (query, unit, times) in [
        ("[scan(\"[0-9]+(?:.*ms)?\")] | length", "1 ", 10_000),
        ("[scan(\"(\\\\w+)=(.*?;)?\")] | length", "a=b ", 20_000),
        ("gsub(\"<!--.*?-->|<[^>]*>|<\"; \"\")", "<", 20_000),
        ("[splits(\"a(?:(?:.|\\\\n)*z)?\")] | length", "a\n", 20_000),
        ("[match(\"(?:.*x)?\"; \"g\")] | length", "a", 20_000),
        ("until(false; test(\"^b\") as $b | .)", "a", 10),
        ("test(.[0:400] + \"c\")", "(?:a?){99}", 2_000),
    ] {
        let text = format!("\"{}\"", unit.repeat(times).replace('\n', "\\n"));
        let error = run(query, &text).unwrap_err();
        let stopped = ["too many steps", "too many times over"];
        assert!(
            stopped.iter().any(|why| error.contains(why)),
            "{query}: {error}"
        );
    }
}

/// A search reads a record of full size to its end.
#[test]
fn what_reads_the_largest_record_once_or_twice_is_let() {
    let words = "the quick brown fox jumps over the lazy dog 12345, Error no SELECT a FROM b ";
    let text = format!("\"{}\\n\"", words.repeat(1_000_000 / words.len()));
    for query in [
        "test(\"^the\")",
        "test(\"zzz$\")",
        "[test(\"error|warn|fatal\"), test(\"(?:error|warn|fatal)$\"; \"i\")]",
        "test(\"foo|bar|baz|qux|quux|alpha|beta|gamma|delta|epsilon|zeta|eta|theta\")",
        "capture(\"^(?<k>[^ ]+) (?<v>.*)$\"; \"m\") | .k",
        "sub(\"\\\\s+$\"; \"\") | length",
        "gsub(\"[\\\\x00-\\\\x08]\"; \"\") | length",
        "[scan(\"\\\\bfix(?:ed)?\\\\b\")]",
        "[scan(\"[a-z]+[0-9]+\")]",
        "[splits(\"\\\\r?\\\\n\")] | length",
        "test(\"select .* from zz\"; \"i\")",
        "[match(\"(?:[^,]*,){5}\").length]",
    ] {
        assert!(
            run(query, &text).is_ok(),
            "{query}: {:?}",
            run(query, &text)
        );
    }
}
