//! Every function of jq 1.6's manual on null, empty, nested, huge and negative inputs.
//!
//! `jq-1.6-grid.py` makes the table `jq-1.6-grid.tsv` of the inputs and filters in
//! `jq-1.6-grid.txt`, and says what stands in it.

use super::*;

/// Where outcomes differ from jq's on purpose: the filter, and how the first cell of the row on it in
/// `docs/src/jq.md` begins.
const DIFFERENCES: &[(&str, &str)] = &[
    ("$__loc__", MISSING),
    ("tostream", MISSING),
    ("[fromstream(tostream)]", MISSING),
    ("[1|truncate_stream([[0],1],[[1,0],2])]", MISSING),
    ("abs", MORE),
    ("trim", MORE),
    ("pick(.a)", MORE),
    (".a?//0", "`?//`"),
    ("..|=(numbers|.+1)?", TRY),
    ("[.[]?|(1)?|error(\"x\")]", TRY),
    (".a|=tonumber?", TRY),
    ("exp", MATH),
    ("exp10", MATH),
    ("cbrt", MATH),
    ("cosh", MATH),
    ("erfc", MATH),
    ("gamma", MATH),
    ("lgamma", MATH),
    ("lgamma_r", MATH),
    ("tgamma", MATH),
    ("pow(2;.)", MATH),
    ("[match(\"a\";\"gl\")]", REGEX),
    ("[.]|implode?|1", "`implode`"),
    // Digits behind base64.
    ("@base64", BIG),
    ("@base64 \"\\(.)\"", BIG),
    ("@base64d", BIG),
    ("@base64d|@base64", BIG),
];
const MISSING: &str = "`tostream`";
const MORE: &str = "`abs`";
const TRY: &str = "`?`";
const MATH: &str = "`exp`";
const REGEX: &str = "regular expressions";
const BIG: &str = "integers beyond 2^53";

#[test]
fn outcomes_are_those_of_jq_on_odd_inputs_too() {
    let table = include_str!("jq-1.6-grid.tsv");
    let inputs: Vec<&str> = table.lines().filter_map(|l| l.strip_prefix("< ")).collect();
    let (mut different, mut wrong) = (Vec::new(), Vec::new());
    for row in table.lines().filter(|line| !line.starts_with("< ")) {
        let (filter, cells) = row.split_once('\t').unwrap();
        let named = DIFFERENCES.iter().any(|(name, _)| *name == filter);
        let query = Query::compile(&format!("[{filter}]"));
        let mut expected = "";
        for (input, cell) in inputs.iter().zip(cells.split('\t')) {
            expected = if cell.is_empty() { expected } else { cell };
            let ours = match &query {
                Ok(query) => query
                    .run(read(input.as_bytes()).expect("the input is JSON"))
                    .map_or_else(|why| format!("! {why}"), |output| output.to_string()),
                Err(faults) => format!("! {}", faults[0].message),
            };
            let same = match expected {
                // jq itself crashes or never ends.
                "~" => true,
                "!" => ours.starts_with('!'),
                "=" => same(&ours, &format!("[{input}]")),
                expected => same(&ours, expected),
            };
            if !same && named {
                different.push(filter);
            } else if !same {
                wrong.push(format!(
                    "{filter} on {input}: {expected} in jq, {ours} here"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (filter, row) in DIFFERENCES {
        assert!(different.contains(filter), "{filter} does not differ");
        assert!(is_documented(row), "{filter}: no row {row}");
    }
}

/// The same outcome but for the digits of large integers, which keep theirs here.
pub(super) fn same(ours: &str, expected: &str) -> bool {
    let lost = |text: &str| {
        text.replace("12345678901234567890", "12345678901234567000")
            .replace("9007199254740993", "9007199254740992")
    };
    ours == expected || lost(ours) == lost(expected)
}
