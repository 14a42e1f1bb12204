//! Firehose's protocol, its limits to the byte and its words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::Limits;
use crate::http::tests::{Answer, Server};
use crate::telemetry::StreamState;

async fn call(server: &Server, operation: &str, body: impl Into<bytes::Bytes>) -> Answer {
    let target = format!("Firehose_20150804.{operation}");
    let headers = [
        ("x-amz-target", target.as_str()),
        ("content-type", "application/x-amz-json-1.1"),
    ];
    server.ask("POST", "/", &headers, body).await
}

async fn call_json(server: &Server, operation: &str, body: Value) -> Answer {
    call(server, operation, body.to_string()).await
}

fn data(bytes: &[u8]) -> Value {
    json!({ "Data": STANDARD.encode(bytes) })
}

fn batch(records: &[Value]) -> Value {
    json!({ "DeliveryStreamName": "clicks", "Records": records })
}

#[track_caller]
fn assert_error(answer: &Answer, status: u16, kind: &str, message: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.1");
    assert_eq!(answer.headers["x-amzn-requestid"].len(), 36);
    assert_eq!(answer.json(), json!({ "__type": kind, "message": message }));
}

#[tokio::test]
async fn put_record_answers_with_an_id_after_the_bytes_are_accepted() {
    let server = Server::start().await;
    for bytes in [&b"\x00\xff raw"[..], b"", b"\n"] {
        let body = json!({ "DeliveryStreamName": "clicks", "Record": data(bytes) });
        let answer = call_json(&server, "PutRecord", body).await;
        assert_eq!(
            (answer.status, &answer.json()["Encrypted"]),
            (200, &Value::Bool(false))
        );
        assert_eq!(answer.json()["RecordId"].as_str().unwrap().len(), 16);
    }
    assert_eq!(server.memory.records(), [&b"\x00\xff raw"[..], b"", b"\n"]);
}

#[tokio::test]
async fn escapes_in_base64_are_understood() {
    let server = Server::start().await;
    // Some JSON writers escape every slash.
    let body = r#"{"DeliveryStreamName":"cl\u0069cks","Record":{"Data":"\/\/\/\/"},"New":[1]}"#;
    assert_eq!(call(&server, "PutRecord", body).await.status, 200);
    assert_eq!(server.memory.records(), [b"\xff\xff\xff"]);
}

#[tokio::test]
async fn a_batch_of_500_is_answered_in_order_and_501_are_refused() {
    let server = Server::start().await;
    let records: Vec<Value> = (0..501).map(|n| data(format!("{n}").as_bytes())).collect();
    let answer = call_json(&server, "PutRecordBatch", batch(&records[..500]))
        .await
        .json();
    assert_eq!(answer["FailedPutCount"], 0);
    assert_eq!(answer["Encrypted"], false);
    let ids = answer["RequestResponses"].as_array().unwrap();
    let ids: Vec<&str> = ids
        .iter()
        .map(|entry| entry["RecordId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 500);
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(server.memory.records()[499], b"499");

    let answer = call_json(&server, "PutRecordBatch", batch(&records)).await;
    let message = "1 validation error detected: Value at 'records' failed to satisfy constraint: \
                   Member must have length less than or equal to 500";
    assert_error(&answer, 400, "ValidationException", message);
    // Of millions nothing is kept but that they are too many.
    let nulls = vec![Value::Null; 1_500_000];
    let answer = call_json(&server, "PutRecordBatch", batch(&nulls)).await;
    assert_error(&answer, 400, "ValidationException", message);
    let answer = call_json(&server, "PutRecordBatch", batch(&[])).await;
    let message = "1 validation error detected: Value at 'records' failed to satisfy constraint: \
                   Member must have length greater than or equal to 1";
    assert_error(&answer, 400, "ValidationException", message);
    assert_eq!(server.memory.count(), 500);
}

#[tokio::test]
async fn a_record_of_1024000_bytes_passes_and_one_byte_more_fails_the_call() {
    let server = Server::start().await;
    let (longest, longer) = (data(&vec![b'x'; 1_024_000]), data(&vec![b'x'; 1_024_001]));
    let put = |record: &Value| json!({ "DeliveryStreamName": "clicks", "Record": record });
    assert_eq!(
        call_json(&server, "PutRecord", put(&longest)).await.status,
        200
    );
    let answer = call_json(&server, "PutRecord", put(&longer)).await;
    let message = "1 validation error detected: Value at 'record.data' failed to satisfy \
                   constraint: Member must have length less than or equal to 1024000";
    assert_error(&answer, 400, "ValidationException", message);

    let records = [data(b"a"), longer.clone(), longest, longer];
    let answer = call_json(&server, "PutRecordBatch", batch(&records)).await;
    let message = "2 validation errors detected: Value at 'records.2.member.data' failed to \
                   satisfy constraint: Member must have length less than or equal to 1024000; \
                   Value at 'records.4.member.data' failed to satisfy constraint: Member must \
                   have length less than or equal to 1024000";
    assert_error(&answer, 400, "ValidationException", message);
    assert_eq!(server.memory.count(), 1);
}

#[tokio::test]
async fn a_batch_of_more_texts_than_a_request_may_have_records_is_refused_for_good() {
    let server = Server::start().await;
    let half = data("{}".repeat(65_536).as_bytes());
    let put = async |records: &[Value]| {
        let answer = call_json(&server, "PutRecordBatch", batch(records));
        answer.await
    };
    let message = "Records are more than 131072 JSON texts, each of which may become a record in clicks \
                   (deaggregate = \"json\"): send them in several requests";
    let answer = put(&[half.clone(), data(b"1"), half.clone()]).await;
    assert_error(&answer, 400, "InvalidArgumentException", message);
    assert_eq!(server.memory.count(), 0);
    assert_eq!(put(&[half.clone(), half.clone()]).await.status, 200);
    // A record that is not taken apart is one, and one alone never is too many.
    let whole = data("{}".repeat(65_537).as_bytes());
    let answer = put(&[half.clone(), whole, data(b"1")]).await;
    assert_eq!(answer.status, 200);
    let body = json!({ "DeliveryStreamName": "clicks", "Record": half });
    assert_eq!(call_json(&server, "PutRecord", body).await.status, 200);
}

#[tokio::test]
async fn a_batch_of_4_mib_passes_and_one_byte_more_is_told_so() {
    let server = Server::start().await;
    let mut records: Vec<Value> = (0..4).map(|_| data(&vec![b'x'; 1_000_000])).collect();
    records.push(data(&vec![b'x'; 194_304]));
    assert_eq!(
        call_json(&server, "PutRecordBatch", batch(&records))
            .await
            .status,
        200
    );
    records.push(data(b"x"));
    let answer = call_json(&server, "PutRecordBatch", batch(&records)).await;
    let message = "Records size exceeds 4 MB limit";
    assert_error(&answer, 400, "InvalidArgumentException", message);
    // A body beyond any such batch is not even kept, and answered in the same words.
    let many: Vec<Value> = (0..9).map(|_| data(&vec![b'x'; 1_000_000])).collect();
    let answer = call_json(&server, "PutRecordBatch", batch(&many)).await;
    assert_error(&answer, 400, "InvalidArgumentException", message);
    assert_eq!(server.memory.count(), 5);
}

#[tokio::test]
async fn violations_of_the_model_are_listed_together() {
    let server = Server::start().await;
    let constraint = |path: &str, rule: &str| {
        format!("Value at '{path}' failed to satisfy constraint: Member must {rule}")
    };
    let null = "not be null";
    let pattern = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
    for (operation, body, violations) in [
        (
            "PutRecord",
            json!({}),
            vec![
                constraint("deliveryStreamName", null),
                constraint("record", null),
            ],
        ),
        (
            "PutRecord",
            json!({ "DeliveryStreamName": "a/b", "Record": {} }),
            vec![
                constraint("deliveryStreamName", pattern),
                constraint("record.data", null),
            ],
        ),
        (
            "PutRecordBatch",
            json!({ "DeliveryStreamName": "x".repeat(65), "Records": [null, {}] }),
            vec![
                constraint("deliveryStreamName", "have length less than or equal to 64"),
                constraint("records.1.member", null),
                constraint("records.2.member.data", null),
            ],
        ),
        (
            "DescribeDeliveryStream",
            json!({ "DeliveryStreamName": "clicks", "Limit": 0 }),
            vec![constraint("limit", "have value greater than or equal to 1")],
        ),
        (
            "ListDeliveryStreams",
            json!({ "Limit": 10001, "DeliveryStreamType": "Direct" }),
            vec![
                constraint("limit", "have value less than or equal to 10000"),
                constraint(
                    "deliveryStreamType",
                    "satisfy enum value set: [DirectPut, KinesisStreamAsSource, MSKAsSource, \
                     DatabaseAsSource]",
                ),
            ],
        ),
    ] {
        let answer = call_json(&server, operation, body).await;
        let count = violations.len();
        let plural = if count == 1 { "" } else { "s" };
        let list = violations.join("; ");
        let message = format!("{count} validation error{plural} detected: {list}");
        assert_error(&answer, 400, "ValidationException", &message);
    }
}

#[tokio::test]
async fn an_unknown_stream_is_not_found_in_firehoses_words() {
    let server = Server::start().await;
    let message = "Firehose nope not found under account 000000000000.";
    for operation in ["PutRecord", "PutRecordBatch", "DescribeDeliveryStream"] {
        let body = json!({
            "DeliveryStreamName": "nope", "Record": data(b"a"), "Records": [data(b"a")],
        });
        let answer = call_json(&server, operation, body).await;
        assert_error(&answer, 400, "ResourceNotFoundException", message);
    }
}

#[tokio::test]
async fn a_refusal_is_a_500_that_sdks_back_off_on() {
    let server = Server::start().await;
    server.memory.set_room(0);
    let answer = call_json(&server, "PutRecordBatch", batch(&[data(b"a")])).await;
    let message = "Slow down. (the journal of stream clicks is full (7 bytes): delivery is behind)";
    assert_error(&answer, 500, "ServiceUnavailableException", message);
    server.memory.set_room(1);
    let answer = call_json(&server, "PutRecordBatch", batch(&[data(b"a")])).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn nonsense_is_answered_and_never_accepted() {
    let server = Server::start().await;
    let deep = format!(
        "{{\"DeliveryStreamName\":\"clicks\",\"X\":{}",
        "[".repeat(1_000_000)
    );
    for body in [
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"DeliveryStreamName\":7}",
        "{\"DeliveryStreamName\":\"clicks\",\"Record\":{\"Data\":\"a?==\"}}",
        "{\"DeliveryStreamName\":\"clicks\",\"Record\":{\"Data\":\"YQ\"}}",
        "{\"DeliveryStreamName\":\"clicks\",\"Record\":{\"Data\":1e9999}}",
        &deep,
        &deep.replace('[', "{\"a\":"),
    ] {
        let answer = call(&server, "PutRecord", body.to_owned()).await;
        let shown = &body[..body.len().min(60)];
        assert_eq!(answer.status, 400, "{shown}: {answer:?}");
        assert_eq!(answer.json()["__type"], "SerializationException", "{shown}");
    }
    let answer = call(
        &server,
        "PutRecord",
        &b"{\"DeliveryStreamName\":\"\xff\"}"[..],
    )
    .await;
    assert_eq!(answer.json()["__type"], "SerializationException");
    // Where nobody asks for the string, either.
    let unknown =
        &b"{\"DeliveryStreamName\":\"clicks\",\"Record\":{\"Data\":\"YQ==\",\"x\":\"\xff\"}}"[..];
    let answer = call(&server, "PutRecord", unknown).await;
    assert_eq!(answer.json()["__type"], "SerializationException");
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn other_operations_say_where_streams_are_defined() {
    let server = Server::start().await;
    for operation in [
        "CreateDeliveryStream",
        "DeleteDeliveryStream",
        "UpdateDestination",
        "StartDeliveryStreamEncryption",
        "StopDeliveryStreamEncryption",
        "TagDeliveryStream",
        "UntagDeliveryStream",
        "ListTagsForDeliveryStream",
    ] {
        let answer = call(&server, operation, "{}").await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.json()["__type"],
            "InvalidArgumentException",
            "{operation}"
        );
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with(operation) && message.contains("firehose.toml"),
            "{message}"
        );
    }
    let answer = call(&server, "PutRecords", "{}").await;
    assert_eq!(
        (answer.status, &answer.json()["__type"]),
        (400, &"UnknownOperationException".into())
    );
    let answer = server.ask("POST", "/", &[], "{}").await;
    assert_eq!(
        (answer.status, &answer.json()["__type"]),
        (400, &"UnknownOperationException".into())
    );
    let headers = [
        ("x-amz-target", "Firehose_20150804.PutRecord"),
        ("content-type", "application/x-amz-cbor-1.1"),
    ];
    let answer = server.ask("POST", "/", &headers, "\u{1}").await;
    assert_eq!(answer.status, 415);
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("application/x-amz-json-1.1"), "{message}");
}

#[tokio::test]
async fn listing_is_alphabetical_and_pages_without_gap_or_repeat() {
    let names: Vec<String> = (0..23).rev().map(|n| format!("s{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = Server::with(&names, Limits::default()).await;
    let mut sorted = names.clone();
    sorted.sort_unstable();

    let first = call(&server, "ListDeliveryStreams", "").await.json();
    assert_eq!(
        first,
        json!({ "DeliveryStreamNames": sorted[..10], "HasMoreDeliveryStreams": true })
    );
    for limit in [1, 7, 23, 10_000] {
        let (mut seen, mut more) = (Vec::new(), true);
        while more {
            let mut body = json!({ "Limit": limit, "DeliveryStreamType": "DirectPut" });
            if let Some(last) = seen.last() {
                body["ExclusiveStartDeliveryStreamName"] = json!(last);
            }
            let page = call_json(&server, "ListDeliveryStreams", body).await.json();
            let page_names = page["DeliveryStreamNames"].as_array().unwrap().clone();
            assert!((1..=limit).contains(&page_names.len()), "{page}");
            seen.extend(
                page_names
                    .iter()
                    .map(|name| name.as_str().unwrap().to_owned()),
            );
            more = page["HasMoreDeliveryStreams"].as_bool().unwrap();
        }
        assert_eq!(seen, sorted, "limit {limit}");
    }
    // A start that is no stream's name is a place in the order all the same.
    let body = json!({ "ExclusiveStartDeliveryStreamName": "s1z", "Limit": 2 });
    let page = call_json(&server, "ListDeliveryStreams", body).await.json();
    assert_eq!(page["DeliveryStreamNames"], json!(["s20", "s21"]));
    let body = json!({ "DeliveryStreamType": "KinesisStreamAsSource" });
    let page = call_json(&server, "ListDeliveryStreams", body).await.json();
    assert_eq!(
        page,
        json!({ "DeliveryStreamNames": [], "HasMoreDeliveryStreams": false })
    );
}

#[tokio::test]
async fn a_description_holds_what_the_settings_say() {
    let server = Server::start().await;
    let body = json!({ "DeliveryStreamName": "clicks" });
    let answer = call_json(&server, "DescribeDeliveryStream", body.clone())
        .await
        .json();
    let description = &answer["DeliveryStreamDescription"];
    for (pointer, value) in [
        ("/DeliveryStreamName", json!("clicks")),
        (
            "/DeliveryStreamARN",
            json!("arn:aws:firehose:us-east-1:000000000000:deliverystream/clicks"),
        ),
        ("/DeliveryStreamStatus", json!("ACTIVE")),
        ("/DeliveryStreamType", json!("DirectPut")),
        ("/VersionId", json!("1")),
        ("/CreateTimestamp", json!(1_700_000_000.5)),
        ("/HasMoreDestinations", json!(false)),
        (
            "/Destinations/0/DestinationId",
            json!("destinationId-000000000001"),
        ),
        (
            "/Destinations/0/S3DestinationDescription/BufferingHints/SizeInMBs",
            json!(5),
        ),
        (
            "/Destinations/0/S3DestinationDescription/CompressionFormat",
            json!("GZIP"),
        ),
        (
            "/Destinations/0/ExtendedS3DestinationDescription/BufferingHints",
            json!({ "SizeInMBs": 5, "IntervalInSeconds": 300 }),
        ),
        (
            "/Destinations/0/ExtendedS3DestinationDescription/S3BackupMode",
            json!("Disabled"),
        ),
    ] {
        assert_eq!(
            description.pointer(pointer),
            Some(&value),
            "{pointer}: {description}"
        );
    }
    assert_eq!(description.get("FailureDescription"), None);
    server.memory.status.lock().unwrap().state = StreamState::Stalled {
        cause: "no bucket".into(),
    };
    let answer = call_json(&server, "DescribeDeliveryStream", body)
        .await
        .json();
    let details = answer.pointer("/DeliveryStreamDescription/FailureDescription/Details");
    assert_eq!(details, Some(&json!("no bucket")));
}
