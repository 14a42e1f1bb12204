//! Every type: what it takes, what it refuses, and what it says then.

use serde_json::{Value, json};

use super::{compile, convert};

/// What one value becomes in a column of this type, or why it does not fit.
fn cell(kind: &str, json: &str) -> Result<Value, String> {
    let schema = compile(&format!("c {kind}"));
    let (rows, failures) = convert(&schema, &[format!("{{\"c\":{json}}}")]);
    match failures.first() {
        Some((_, failure)) => Err(format!("{}: {}", failure.code, failure.message)),
        None => Ok(rows[0]["c"].clone()),
    }
}

#[test]
fn every_type_takes_what_it_should() {
    for (kind, json, expected) in [
        ("boolean", "true", json!(true)),
        ("boolean", "\"FALSE\"", json!(false)),
        ("tinyint", "-128", json!(-128)),
        ("smallint", "32767", json!(32767)),
        ("int", "\"20\"", json!(20)),
        ("int", "\"+007\"", json!(7)),
        ("int", "-2147483648", json!(-2_147_483_648_i64)),
        ("int", "1.0", json!(1)),
        ("int", "12e2", json!(1200)),
        ("int", "1200e-2", json!(12)),
        ("bigint", "-9223372036854775808", json!(i64::MIN)),
        ("bigint", "9223372036854775807", json!(i64::MAX)),
        ("bigint", "1.00000000000000000000000000", json!(1)),
        ("float", "1.5", json!(1.5)),
        ("double", "-0.1", json!(-0.1)),
        ("double", "1e308", json!(1e308)),
        ("double", "\"2.5\"", json!(2.5)),
        (
            "double",
            "123456789012345678901234567890",
            json!(123_456_789_012_345_678_901_234_567_890_f64),
        ),
        ("decimal(10,2)", "12.345", json!("12.35")),
        ("decimal(10,2)", "-12.345", json!("-12.35")),
        ("decimal(10,2)", "\"12.344\"", json!("12.34")),
        ("decimal(3,0)", "999.4", json!("999")),
        (
            "decimal(38,0)",
            "99999999999999999999999999999999999999",
            json!("99999999999999999999999999999999999999"),
        ),
        (
            "decimal(38,10)",
            "0.00000000015000000000000000000000",
            json!("0.0000000002"),
        ),
        ("decimal(10,2)", "1e-400", json!("0.00")),
        ("string", "\"a\\u00e9\\ud83d\\ude00\\n\"", json!("aé😀\n")),
        ("string", "1.50", json!("1.50")),
        ("string", "true", json!("true")),
        (
            "string",
            "{ \"A b\" : [ 1 , \" x \\\" \" ] }",
            json!("{\"A b\":[1,\" x \\\" \"]}"),
        ),
        ("varchar(3)", "\"äöü\"", json!("äöü")),
        ("char(3)", "\"ab\"", json!("ab")),
        ("binary", "\"aGVsbG8=\"", json!("hello")),
        ("date", "\"1970-01-02\"", json!(1)),
        ("timestamp", "\"1970-01-01T00:00:01.5Z\"", json!(1_500_000)),
        (
            "timestamp",
            "\"1700000000\"",
            json!(1_700_000_000_000_000_i64),
        ),
        (
            "timestamp",
            "1700000000.25",
            json!(1_700_000_000_250_000_i64),
        ),
    ] {
        assert_eq!(cell(kind, json), Ok(expected), "{json} as {kind}");
    }
}

#[test]
fn nested_types_take_what_they_should() {
    for (kind, json, expected) in [
        ("array<int>", "[1,null,\"3\"]", json!([1, null, 3])),
        ("array<int>", "[]", json!([])),
        ("array<string>", "\"one\"", json!(["one"])),
        ("array<array<int>>", "[[1],[],null]", json!([[1], [], null])),
        (
            "map<string,int>",
            "{\"a\":1,\"b\":null}",
            json!({"a": 1, "b": null}),
        ),
        (
            "map<string,int>",
            "{\"a\":1,\"b\":2,\"\\u0061\":3,\"a\":4}",
            json!({"a": 4, "b": 2}),
        ),
        (
            "map<int,array<int>>",
            "{\"1\":[1,2],\"2\":[],\"1\":[3]}",
            json!({"1": [3], "2": []}),
        ),
        (
            "struct<a:int,B:string>",
            "{\"A\":1,\"b\":\"x\",\"z\":[{}]}",
            json!({"a": 1, "B": "x"}),
        ),
        (
            "struct<a:int,b:string>",
            "{}",
            json!({"a": null, "b": null}),
        ),
        (
            "struct<a:array<int>>",
            "{\"a\":[1,2],\"a\":[3]}",
            json!({"a": [3]}),
        ),
        (
            "array<struct<a:int>>",
            "[{\"a\":1},null,{}]",
            json!([{"a": 1}, null, {"a": null}]),
        ),
        ("struct<a:int>", "null", json!(null)),
    ] {
        assert_eq!(cell(kind, json), Ok(expected), "{json} as {kind}");
    }
}

#[test]
fn keys_that_are_replaced_at_every_level_cost_no_more_at_each() {
    // Read twice a level, it would be a milliard times.
    let depth = 30;
    let kind = format!("{}int{}", "map<int,".repeat(depth), ">".repeat(depth));
    let json = format!(
        "{}7{}",
        "{\"1\":null,\"01\":".repeat(depth),
        "}".repeat(depth)
    );
    let expected = (0..depth).fold(json!(7), |inner, _| json!({"1": inner}));
    assert_eq!(cell(&kind, &json), Ok(expected));
}

#[test]
fn every_type_refuses_what_it_should_and_names_the_place() {
    for (kind, json, expected) in [
        ("boolean", "1", "boolean"),
        ("boolean", "\"yes\"", "boolean"),
        ("tinyint", "128", "tinyint, found 128 (it is out of range)"),
        ("smallint", "-32769", "smallint"),
        ("int", "2147483648", "int"),
        ("int", "1.5", "int, found 1.5 (it has a fraction)"),
        ("int", "\"\"", "int"),
        ("int", "\" 1\"", "int"),
        ("int", "\"1x\"", "int, found \"1x\"."),
        ("int", "true", "int"),
        ("bigint", "9223372036854775808", "bigint"),
        ("bigint", "1e19", "bigint"),
        ("bigint", "1e100000000000", "bigint"),
        ("float", "1e39", "float"),
        ("double", "1e309", "double"),
        ("double", "\"NaN\"", "double"),
        ("double", "\"Infinity\"", "double"),
        (
            "decimal(3,0)",
            "999.5",
            "decimal(3,0), found 999.5 (it has too many digits)",
        ),
        ("decimal(38,38)", "1", "decimal(38,38)"),
        (
            "varchar(3)",
            "\"abcd\"",
            "varchar(3), found \"abcd\" (it is too long)",
        ),
        ("char(3)", "12345", "char(3)"),
        ("binary", "\"a\"", "binary"),
        ("binary", "1", "binary"),
        ("date", "\"1970-02-30\"", "date"),
        ("date", "1", "date"),
        (
            "timestamp",
            "\"tomorrow\"",
            "timestamp, found \"tomorrow\".",
        ),
        ("timestamp", "true", "timestamp"),
        ("array<int>", "{}", "array, found {}."),
        ("map<string,int>", "[]", "map (a JSON object), found []."),
        ("map<int,int>", "{\"x\":1}", "int, found \"x\"."),
        ("struct<a:int>", "1", "struct (a JSON object), found 1."),
    ] {
        let message = cell(kind, json).expect_err(json);
        let start = "DataFormatConversion.MalformedData: Data does not match the schema. Column `c";
        assert!(message.starts_with(start), "{message}");
        assert!(
            message.contains(&format!("expected {expected}")),
            "{message}"
        );
    }
}

#[test]
fn a_message_names_the_path_and_quotes_little() {
    let kind = "struct<list:array<map<string,struct<n:int>>>>";
    let long = "y".repeat(500_000);
    let json = format!("{{\"list\":[{{}},{{\"k\\\"ey\":{{\"n\":\"{long}\"}}}}]}}");
    let message = cell(kind, &json).unwrap_err();
    assert!(
        message.contains("Column `c.list[1][\"k\\\\\\\"ey\"].n`: expected int, found \"yyy"),
        "{message}"
    );
    assert!(message.ends_with("y…."), "{message}");
    assert!(message.len() < 300);
}
