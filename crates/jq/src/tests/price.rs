//! What functions are charged: at least a unit of fuel for 64 bytes that they look at. (Searches of
//! regular expressions have prices of their own, which the matcher's tests hold.)

use super::*;

/// Bytes of the long text, and how often each query looks at all of it.
const LENGTH: usize = 64 << 10;
const TIMES: usize = 4;

/// What is done with a long text `$t`, or an object `$o` with it as a key and 20 others.
const WORK: [&str; 24] = [
    "$o | has($t)",
    "$o | .[$t]",
    "{($t): 1, a: 2, b: 3}",
    "$o + $o",
    "$o * $o",
    "$o == ($o | .)",
    "[$o, $o] | unique",
    "$o | contains($o)",
    "$o | setpath([$t]; 1)",
    "$o | .[$t] += 1",
    "$o | del(.[$t])",
    "$o | walk(.)",
    "$o | tojson",
    "$t | length",
    "$t == ($t | .)",
    "$t | ltrimstr($t)",
    "$t | endswith($t)",
    "$t | ascii_downcase",
    "$t | split(\"b\")",
    "$t | index(\"b\")",
    "$t | .[-1:]",
    "$t | @base64",
    "$t | @uri",
    "$t + \"b\"",
];

#[test]
fn what_looks_at_long_keys_and_texts_pays_for_their_length() {
    let input = format!("\"{}\"", "a".repeat(LENGTH));
    let object = "([range(20) | {key: \"k\\(.)\", value: .}] | from_entries) + {($t): 1}";
    let mut cheap = Vec::new();
    for work in WORK {
        let burned_by = |work: &str| {
            let query =
                format!(". as $t | {object} as $o | [range({TIMES}) | {work} | 1] | length");
            let (before, begun) = (burned(), std::time::Instant::now());
            let result = run(&query, &input);
            assert_eq!(result, Ok(TIMES.to_string()), "{query}");
            (burned() - before, begun.elapsed())
        };
        let (fuel, took) = burned_by(work);
        let fuel = fuel - burned_by("1").0;
        let nanoseconds = took.as_nanos() / u128::from(fuel.max(1));
        println!("{fuel} units, {nanoseconds} ns each: {work}");
        if fuel < (TIMES * LENGTH / 64) as u64 {
            cheap.push(format!("{work}: {fuel} units for {} bytes", TIMES * LENGTH));
        }
    }
    assert!(cheap.is_empty(), "{}", cheap.join("\n"));
}
