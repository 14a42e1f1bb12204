//! What `explain` says of records that become rows.

use serde_json::Value;

use super::super::tests::{config, explained, with_guests};

#[test]
fn explain_shows_the_row_and_what_of_the_record_is_not_in_it() {
    let config = config(
        "[stream.c]\nsource.type = \"direct-put\"\n\
         destination = { type = \"folder\", path = \"out\" }\n\
         [stream.c.format]\ntype = \"parquet\"\n\
         schema = \"id int, price decimal(10,2), at timestamp, user struct<name:string>\"",
    );
    let input = "{\"id\":1,\"prize\":1.5,\"price\":1.555,\"at\":\"2026-09-07T03:22:03+02:00\"}\n\
                 {\"id\":2,\"ID\":3,\"price\":null,\"user\":{\"nmae\":\"\u{9b}x\"}}\n";
    let text = explained(&config, input.as_bytes(), false);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("object "))
        .collect();
    let expected = [
        "1: delivered",
        "   row     {\"id\":1,\"price\":\"1.56\",\"at\":\"2026-09-07T01:22:03Z\",\"user\":null}",
        "   unknown prize (in no column)",
        "   null    user (missing)",
        "   changed price 1.555 → \"1.56\"",
        "2: delivered",
        "   row     {\"id\":3,\"price\":null,\"at\":null,\"user\":{\"name\":null}}",
        "   unknown user.nmae (in no column)",
        "   null    at (missing), user.name (missing), price",
        "   again   id (the last one counts)",
        "2 delivered, 0 failed, 0 refused",
        "   in no column: prize in 1, user.nmae in 1",
        "   null, missing in the record: at in 1, user in 1, user.name in 1",
        "   null, as in the record: price in 1",
        "   changed: price in 1",
        "   more than once in the record, the last one counts: id in 1",
    ];
    assert_eq!(lines, expected, "{text}");
    let said = explained(&config, input.as_bytes(), true);
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let row = &said[0]["rows"][0];
    assert_eq!(row["row"]["price"], "1.56");
    assert_eq!(
        (&row["unknown"][0], &row["missing"][0]),
        (&"prize".into(), &"user".into())
    );
    assert_eq!(
        (&row["changed"][0]["from"], &row["changed"][0]["to"]),
        (&"1.555".into(), &"1.56".into())
    );
    assert_eq!(said[2]["unknown"]["prize"], 1);
    assert_eq!(said[2]["changed"]["price"], 1);
}

#[test]
fn explain_shows_where_a_record_goes_that_is_late() {
    let config = config(
        "[stream.c]\nsource.type = \"direct-put\"\npartitioning.event_time = \".ts\"\n\
         buffering.watermark = \"1h\"\ndestination = { type = \"folder\", path = \"out\", \
         prefix = \"data/!{eventTime:yyyy}/\", late_prefix = \"late/!{eventTime:MM}/\", \
         error_prefix = \"e/!{firehose:error-output-type}/\" }",
    );
    let input = b"{\"ts\":\"2026-11-22T10:00:00Z\"}\n";
    let text = explained(&config, input, false);
    assert!(text.contains("   object  out/data/2026/c-1-"), "{text}");
    assert!(text.contains("\n   late    "), "{text}");
    let said: Value =
        serde_json::from_str(explained(&config, input, true).lines().next().unwrap()).unwrap();
    assert!(
        said["late"]
            .as_str()
            .unwrap()
            .starts_with("out/late/11/c-1-"),
        "{said}"
    );
}

#[test]
fn explain_shows_what_the_parser_makes_of_a_record_and_where_that_goes() {
    let mut config = config(
        "[stream.c]\nsource.type = \"direct-put\"\npartitioning.query = \"{k: .k}\"\n\
         parse = { type = \"csv\", columns = [\"k:int?\", \"note\"] }\n\
         destination = { type = \"folder\", path = \"out\", prefix = \"!{partitionKeyFromQuery:k}/\", \
         error_prefix = \"e/!{firehose:error-output-type}/\" }\nbackup = { prefix = \"raw/\" }",
    );
    let input = b"1,a\nx,b\n,c\n";
    let text = explained(&config, input, false);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| {
            !["object ", "line ", "backup "]
                .iter()
                .any(|word| line.contains(word))
        })
        .collect();
    let expected = [
        "1: parsed",
        "   csv: ok",
        "      out     {\"k\":1,\"note\":\"a\"}",
        "   output 0 delivered",
        "      keys    k=1",
        "2: parsed",
        "   csv: failed",
        "   record failed, processing-failed",
        "      why     Parse.Mismatch: field `k`: expected int, found \"x\"",
        "3: parsed",
        "   csv: ok",
        "      out     {\"k\":null,\"note\":\"c\"}",
        "   output 0 failed, metadata-extraction-failed",
    ];
    assert_eq!(lines[..expected.len()], expected, "{text}");
    assert!(
        text.contains("1 delivered, 0 dropped, 2 failed, 0 refused"),
        "{text}"
    );
    let said = explained(&config, input, true);
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said[0]["parse"]["out"][0], "{\"k\":1,\"note\":\"a\"}");
    let line = &said[1]["deliveries"][0]["errorRecord"];
    let told = (&line["rawData"], &line["errorCode"], &line["outputIndex"]);
    assert_eq!(
        told,
        (&"eCxi".into(), &"Parse.Mismatch".into(), &Value::Null)
    );
    let line = &said[2]["deliveries"][0]["errorRecord"];
    assert_eq!(line["outputIndex"], 0);

    let dir = tempfile::tempdir().unwrap();
    with_guests(&mut config, dir.path(), 1);
    let text = explained(&config, b"1,a\n", false);
    let first = "1: transformed\n   csv: ok\n      out     {\"k\":1,\"note\":\"a\"}\n";
    assert!(text.starts_with(first), "{text}");
    assert!(text.contains("guest.wasm of output 0: ok\n"), "{text}");
}
