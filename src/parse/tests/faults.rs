//! What the config says of tables that have a fault.

use std::path::Path;

/// Keys of the table, where the fault is, and a piece of what is said.
const FAULTS: &[(&str, &str, &str)] = &[
    ("", "5:1", "`type` is missing in [stream.c.parse]"),
    ("", "5:1", "write type = \"csv\" or \"logfmt\" or"),
    ("type = \"cvs\"", "6:8", "did you mean \"csv\"?"),
    ("type = \"csv\"", "5:1", "`columns` is missing"),
    (
        "type = \"csv\"\ncolumns = []",
        "7:11",
        "`columns` names none",
    ),
    (
        "type = \"csv\"\ncolumns = [\"a:itn\"]",
        "7:15",
        "did you mean \"int\"?",
    ),
    (
        "type = \"csv\"\ncolumns = [\":int\"]",
        "7:12",
        "\":int\" names no field",
    ),
    (
        "type = \"csv\"\ncolumns = [\"a\", \"a:int\"]",
        "7:17",
        "names the field `a` twice",
    ),
    (
        "type = \"csv\"\ncolumns = [\"a\"]\ndelimiter = \"::\"",
        "8:13",
        "one character of ASCII",
    ),
    (
        "type = \"csv\"\ncolumns = [\"a\"]\nquote = \",\"",
        "8:9",
        "are the same character",
    ),
    (
        "type = \"csv\"\ncolumns = [\"a\"]\npattern = \"a\"",
        "8:1",
        "is only for `type = \"regex\"` and `type = \"grok\"`",
    ),
    ("type = \"regex\"", "5:1", "`pattern` is missing"),
    (
        "type = \"regex\"\npattern = '(?<a>x'",
        "7:12",
        "unclosed group",
    ),
    (
        "type = \"regex\"\npattern = '(?<a>x)(?=y)'",
        "7:19",
        "look-around",
    ),
    (
        "type = \"regex\"\npattern = '(a)'",
        "7:11",
        "`pattern` has no named group",
    ),
    (
        "type = \"regex\"\npattern = '(?<a>\\w{1000}{1000})'",
        "7:11",
        "takes more than 8 MiB",
    ),
    (
        "type = \"regex\"\npattern = '(?<ab>x)'\ntypes = [\"ac:int\"]",
        "8:9",
        "did you mean `ab`?",
    ),
    ("type = \"grok\"", "5:1", "`pattern` is missing"),
    (
        "type = \"grok\"\npattern = 'a %{IPORHOTS:a}'",
        "7:14",
        "did you mean \"IPORHOST\"?",
    ),
    (
        "type = \"grok\"\npattern = '%{INT:a:itn}'",
        "7:12",
        "did you mean \"int\"?",
    ),
    (
        "type = \"grok\"\npattern = '%{INT:a:int:b}'",
        "7:12",
        "too many parts",
    ),
    (
        "type = \"grok\"\npattern = '%{INT:[a]}'",
        "7:12",
        "cannot be the name of a field",
    ),
    (
        "type = \"grok\"\npattern = '%{INT:a:int}|%{WORD:a}'",
        "7:25",
        "\"a\" is of type int and of type string",
    ),
    (
        "type = \"grok\"\npattern = '%{INT'",
        "7:12",
        "is not closed",
    ),
    (
        "type = \"grok\"\npattern = '%{INT}'",
        "7:11",
        "names no field",
    ),
    (
        "type = \"grok\"\npattern = '(%{INT:a}'",
        "7:11",
        "unclosed group",
    ),
    (
        "type = \"grok\"\npattern = '%{A:a}'\npatterns = { A = \"x%{A}\" }",
        "7:12",
        "stands inside itself",
    ),
    (
        "type = \"grok\"\npattern = '%{A:a}'\npatterns = [\"x\"]",
        "8:12",
        "expected a table",
    ),
    (
        "type = \"cloudfront\"\nfields = [\"date\", \"c ip\"]",
        "7:19",
        "cannot be the name of a field",
    ),
    (
        "type = \"cloudfront\"\nfields = [\"c-port\", \"c_port\"]",
        "7:21",
        "names \"c_port\" twice",
    ),
    (
        "type = \"cloudfront\"\nfields = [\"date\", \"date\"]",
        "7:19",
        "names \"date\" twice",
    ),
    (
        "type = \"vpc-flow-log\"\nfields = []",
        "7:10",
        "`fields` names no field",
    ),
    (
        "type = \"cloudwatch-logs\"\nextract = \"text\"",
        "7:11",
        "allowed: \"event\", \"message\"",
    ),
    (
        "type = \"cloudtrail\"\nlines = true",
        "7:1",
        "is only for `type = \"csv\"` and",
    ),
];

/// The same of what is doubtful.
const DOUBTS: &[(&str, &str, &str)] = &[
    (
        "type = \"cloudfront\"\nfields = [\"date\", \"c-pi\"]",
        "7:19",
        "\"c-pi\" is no field of access logs of CloudFront that is known here: it is taken as a text",
    ),
    (
        "type = \"vpc-flow-log\"\nfields = [\"dst-addr\"]",
        "7:11",
        "did you mean \"dstaddr\"?",
    ),
];

/// What is said of a table: faults, or what is doubtful where it has none.
fn faults(keys: &str) -> String {
    let text = format!(
        "[stream.c]\nsource.type = \"direct-put\"\ndestination.type = \"folder\"\n\
         destination.path = \"out\"\n[stream.c.parse]\n{keys}"
    );
    let registry = crate::registry::registry();
    let read = crate::config::parse(text, Path::new("firehose.toml"), &|_| None, &registry);
    match read {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn each_fault_is_told_where_it_stands_with_what_is_right() {
    let mut wrong = Vec::new();
    let faults_and_doubts = FAULTS.iter().chain(DOUBTS);
    for (at, (keys, place, told)) in faults_and_doubts.enumerate() {
        let found = faults(keys);
        let is_doubt = if at < FAULTS.len() { "" } else { " warning:" };
        let place = format!("firehose.toml:{place}:{is_doubt}");
        if !found.contains(told) || !found.contains(&place) {
            wrong.push(format!("{keys}\n{place} {told}\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
