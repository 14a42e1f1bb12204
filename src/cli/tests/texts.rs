//! `explain` of records that are several JSON texts.

use super::*;

#[test]
fn explain_judges_each_json_text_of_a_record_by_itself() {
    let mut config = config(
        "[stream.c]\nsource.type = \"direct-put\"\npartitioning.query = \"{k: .k}\"\n\
         destination = { type = \"folder\", path = \"out\", \
         prefix = \"!{partitionKeyFromQuery:k}/\", \
         error_prefix = \"e/!{firehose:error-output-type}/\" }",
    );
    let input = b"{\"k\":1} {\"n\":2}{\"k\":3}\n{\"k\":4}\n";
    let parts = |said: &Value| -> Vec<Value> {
        let deliveries = said["deliveries"].as_array().unwrap().iter();
        let part = |it: &Value| serde_json::json!([it["output"], it["text"], it["outcome"]]);
        deliveries.map(part).collect()
    };
    let said = explained(&config, input, true);
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_text =
        |output: Option<u32>, text: u32, outcome: &str| serde_json::json!([output, text, outcome]);
    assert_eq!(said[0]["outcome"], "deaggregated");
    let expected = [
        of_text(None, 0, "delivered"),
        of_text(None, 1, "failed"),
        of_text(None, 2, "delivered"),
    ];
    assert_eq!(parts(&said[0]), expected);
    let line = &said[0]["deliveries"][1]["errorRecord"];
    assert_eq!(
        (&line["textIndex"], &line["rawData"]),
        (&1.into(), &"eyJuIjoyfQ==".into())
    );
    assert_eq!(
        (&said[1]["outcome"], &said[1]["text"]),
        (&"delivered".into(), &Value::Null)
    );
    let text = explained(&config, input, false);
    let first = "1: 3 JSON texts\n   text 0 delivered\n      keys    k=1\n      object  out/1/";
    assert!(text.starts_with(first), "{text}");
    assert!(
        text.contains("\n   text 1 failed, metadata-extraction-failed\n"),
        "{text}"
    );
    assert!(
        text.contains("\n3 delivered, 1 failed, 0 refused\n"),
        "{text}"
    );

    let dir = tempfile::tempdir().unwrap();
    with_guests(&mut config, dir.path(), 1);
    let said = explained(&config, input, true);
    let said: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    let expected = [
        of_text(Some(0), 0, "delivered"),
        of_text(Some(0), 1, "failed"),
        of_text(Some(0), 2, "delivered"),
    ];
    assert_eq!(parts(&said), expected);
    let line = &said["deliveries"][1]["errorRecord"];
    assert_eq!(
        (&line["outputIndex"], &line["textIndex"]),
        (&0.into(), &1.into())
    );
}
