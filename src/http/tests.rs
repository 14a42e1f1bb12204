//! The listener over real connections.

mod bombs;
mod connections;
mod crowds;
mod support;

use serde_json::{Value, json};

use super::Limits;
use crate::failure::{ErrorOutputType, Failure};
use crate::record::RECORD_BYTES_MAX;
use crate::telemetry::{DriftKind, FieldFate, FieldTally, LastObject, StreamState, Tally};

pub(crate) use support::{Answer, Server, settings};

#[tokio::test]
async fn lines_become_records_without_their_line_ends() {
    let server = Server::start().await;
    let answer = server.put("{\"a\":1}\n\n\r\nb\r\n c \nlast").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"accepted": 4, "bytes": 15}))
    );
    assert_eq!(
        server.memory.records(),
        [&b"{\"a\":1}"[..], b"b", b" c ", b"last"]
    );
    assert_eq!(
        server.put("").await.json(),
        json!({"accepted": 0, "bytes": 0})
    );
}

#[tokio::test]
async fn gzip_and_zstd_bodies_are_accepted_and_others_are_415() {
    let server = Server::start().await;
    let put = async |encoding: &str, body: Vec<u8>| {
        server
            .ask(
                "POST",
                "/streams/clicks/records",
                &[("content-encoding", encoding)],
                body,
            )
            .await
    };
    // Two members and two frames: both formats allow concatenation.
    let members = [gzip(b"one\ntw"), gzip(b"o\n")].concat();
    assert_eq!(put("gzip", members).await.json()["accepted"], 2);
    let frames = [
        zstd::encode_all(&b"three\nfo"[..], 3).unwrap(),
        zstd::encode_all(&b"ur"[..], 3).unwrap(),
    ];
    assert_eq!(put("ZSTD", frames.concat()).await.json()["accepted"], 2);
    assert_eq!(
        server.memory.records(),
        [&b"one"[..], b"two", b"three", b"four"]
    );

    let answer = put("br", b"x".to_vec()).await;
    assert_eq!(answer.status, 415);
    assert_eq!(answer.headers["accept-encoding"], "gzip, zstd, identity");
    for (encoding, body) in [
        ("gzip", gzip(b"cut\n")),
        ("zstd", zstd::encode_all(&b"cut\n"[..], 3).unwrap()),
    ] {
        let cut = put(encoding, body[..body.len() - 3].to_vec()).await;
        assert_eq!(cut.status, 400, "{cut:?}");
        assert_eq!(
            put(encoding, b"not compressed\n".to_vec()).await.status,
            400
        );
    }
    assert_eq!(
        server.memory.count(),
        4,
        "a broken body leaves nothing behind"
    );
}

#[tokio::test]
async fn a_byte_order_mark_at_the_head_of_a_body_is_no_part_of_a_record() {
    let server = Server::start().await;
    let body = "\u{feff}{\"a\":1}\n\u{feff}{\"a\":2}\n".as_bytes();
    for (encoding, content_type, body, accepted) in [
        ("identity", "text/plain", body.to_vec(), 2),
        ("gzip", "text/plain", gzip(body), 2),
        ("zstd", "text/plain", zstd::encode_all(body, 3).unwrap(), 2),
        (
            "gzip",
            "application/json",
            gzip("\u{feff}[{\"a\":1}]".as_bytes()),
            1,
        ),
    ] {
        let headers = [
            ("content-encoding", encoding),
            ("content-type", content_type),
        ];
        let before = server.memory.count();
        let answer = server
            .ask("POST", "/streams/clicks/records", &headers, body)
            .await;
        assert_eq!(answer.json()["accepted"], accepted, "{answer:?}");
        assert_eq!(server.memory.records()[before], b"{\"a\":1}");
    }
    assert_eq!(server.memory.records()[1], "\u{feff}{\"a\":2}".as_bytes());
    assert_eq!(server.put("\u{feff}").await.json()["accepted"], 0);
}

#[tokio::test]
async fn a_body_of_json_is_one_value_or_an_array_of_records() {
    let server = Server::start().await;
    let put = async |content_type: &str, body: &str| {
        let headers = [("content-type", content_type)];
        let body = body.to_owned();
        server
            .ask("POST", "/streams/clicks/records", &headers, body)
            .await
    };
    for (content_type, body, records) in [
        (
            "application/json",
            "[{\"a\" : 1},\n {\"a\":[2]}]\n",
            &["{\"a\" : 1}", "{\"a\":[2]}"][..],
        ),
        (
            "Application/JSON; charset=utf-8",
            "{\n  \"a\": 1\n}\n",
            &["{\n  \"a\": 1\n}"],
        ),
        (
            "application/cloudevents-batch+json",
            "[{\"id\":\"1\"}]",
            &["{\"id\":\"1\"}"],
        ),
        (
            "application/json",
            "{\"a\":1}\n{\"a\":2}\n",
            &["{\"a\":1}", "{\"a\":2}"],
        ),
        ("application/json", "[]", &[]),
        ("application/x-ndjson", "[1,\n2]", &["[1,", "2]"]),
        ("application/x-www-form-urlencoded", "[1,2]", &["[1,2]"]),
    ] {
        let before = server.memory.count();
        let answer = put(content_type, body).await;
        let bytes: usize = records.iter().map(|record| record.len()).sum();
        assert_eq!(
            answer.json(),
            json!({"accepted": records.len(), "bytes": bytes}),
            "{body}"
        );
        let accepted = server.memory.records().split_off(before);
        let expected: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
        assert_eq!(accepted, expected, "{body}");
    }
    let before = server.memory.count();
    let answer = put("application/json", "[{\"a\":1},\n{\"a\":]").await;
    let said = answer.json();
    assert_eq!(
        (answer.status, &said["line"], &said["column"]),
        (400, &json!(2), &json!(6))
    );
    assert_eq!(said["accepted"], 0);
    assert_eq!(put("application/json", "").await.status, 400);
    let long = format!("[1,\"{}\"]", "x".repeat(RECORD_BYTES_MAX));
    let answer = put("application/json", &long).await;
    assert_eq!((answer.status, &answer.json()["index"]), (413, &json!(1)));
    assert_eq!(
        put("application/json", &" ".repeat((16 << 20) + 1))
            .await
            .status,
        413
    );
    assert_eq!(
        server.memory.count(),
        before,
        "what is refused leaves nothing behind"
    );
}

#[tokio::test]
async fn a_first_line_that_cannot_be_read_is_worth_a_warning_where_json_is_needed() {
    let mut keyed = settings("keyed");
    keyed.partitioning.query = Some("{k: .k}".into());
    let server = Server::of(vec![settings("plain"), keyed], Limits::default()).await;
    let warned = async |stream: &str, body: &str| {
        let path = format!("/streams/{stream}/records");
        let answer = server.ask("POST", &path, &[], body.to_owned()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["warning"].as_str().map(str::to_owned)
    };
    for (body, word) in [
        ("{\n  \"k\": 1\n}\n", "the first line is not JSON"),
        ("[\n{\"k\":1}\n]", "the first line is not JSON"),
        ("a,b\n", "the first line is not JSON"),
        ("[{\"k\":1},{\"k\":2}]", "the first line is an array"),
    ] {
        let warning = warned("keyed", body).await.unwrap();
        assert!(warning.starts_with(word), "{warning}");
        assert!(
            warning.contains("Content-Type: application/json"),
            "{warning}"
        );
        assert_eq!(warned("plain", body).await, None, "{body}");
    }
    for body in ["{\"k\":1}\n{\n", "{\"k\":1}{\"k\":2}\n", ""] {
        assert_eq!(warned("keyed", body).await, None, "{body}");
    }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_line_of_1024000_bytes_passes_and_one_more_is_named_and_nothing_accepted() {
    let server = Server::start().await;
    let longest = [b"a\n", &vec![b'x'; RECORD_BYTES_MAX][..], b"\r\nb\n"].concat();
    assert_eq!(server.put(longest).await.json()["accepted"], 3);
    let longer = [b"a\n", &vec![b'x'; RECORD_BYTES_MAX + 1][..], b"\nb\n"].concat();
    let answer = server.put(longer.clone()).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["line"], 2);
    assert_eq!(
        answer.json()["error"],
        "line 2 is longer than 1024000 bytes"
    );
    assert_eq!(server.memory.count(), 3);
}

#[tokio::test]
async fn a_large_body_goes_in_batches_in_order_and_a_partial_refusal_is_counted_truthfully() {
    let server = Server::start().await;
    let lines: Vec<Vec<u8>> = (0..16).map(|n| vec![b'a' + n; 900_000]).collect();
    let body = lines.join(&b'\n');
    server.memory.set_room(9_000_000);
    let answer = server.put(body.clone()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "1");
    let told = usize::try_from(answer.json()["accepted"].as_u64().unwrap()).unwrap();
    assert!((1..16).contains(&told), "{answer:?}");
    assert_eq!(server.memory.records(), lines[..told]);
    assert!(
        answer.text.contains("the journal of stream clicks is full"),
        "{answer:?}"
    );

    server.memory.set_room(usize::MAX);
    assert_eq!(server.put(body).await.json()["accepted"], 16);
    assert_eq!(server.memory.records()[told..], lines);
}

#[tokio::test]
async fn an_unknown_stream_is_404_with_the_nearest_name() {
    let server = Server::start().await;
    let answer = server
        .ask("POST", "/streams/click/records", &[], "a\n")
        .await;
    assert_eq!(answer.status, 404);
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert_eq!(
        error,
        "no delivery stream is named \"click\"; did you mean clicks?"
    );
    let far = server
        .ask("POST", "/streams/orders/records", &[], "a\n")
        .await;
    assert_eq!(
        far.json()["error"],
        "no delivery stream is named \"orders\""
    );
}

#[tokio::test]
async fn a_wrong_method_is_405_with_allow_and_a_wrong_path_404() {
    let server = Server::start().await;
    for (method, path, allow) in [
        ("GET", "/streams/clicks/records", "POST"),
        ("POST", "/streams/clicks", "GET,HEAD"),
        ("DELETE", "/", "GET,HEAD,POST"),
        ("POST", "/healthz", "GET,HEAD"),
    ] {
        let answer = server.ask(method, path, &[], "").await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.headers["allow"], allow, "{method} {path}");
        assert!(
            answer.json()["error"].as_str().unwrap().contains(method),
            "{answer:?}"
        );
    }
    assert_eq!(server.get("/nope").await.status, 404);
}

#[tokio::test]
async fn readiness_turns_red_with_the_causes_while_health_stays_green() {
    let server = Server::with(&["clicks", "orders"], Limits::default()).await;
    assert_eq!(server.get("/readyz").await.status, 200);
    let states = [
        StreamState::Stalled {
            cause: "bucket lake: access denied".into(),
        },
        StreamState::Stopped {
            cause: "epoch 4 is taken".into(),
            advice: "firehose state adopt".into(),
        },
    ];
    for state in states {
        let (cause, advice) = (
            state.cause().map(str::to_owned),
            state.advice().map(str::to_owned),
        );
        server.memory.status.lock().unwrap().state = state;
        let answer = server.get("/readyz").await;
        assert_eq!(
            (answer.status, &answer.json()["ready"]),
            (503, &Value::Bool(false))
        );
        assert_eq!(
            answer.json()["streams"]["clicks"]["cause"].as_str(),
            cause.as_deref()
        );
        assert_eq!(
            answer.json()["streams"]["clicks"]["advice"].as_str(),
            advice.as_deref()
        );
        assert_eq!(server.get("/healthz").await.status, 200);
    }
}

#[tokio::test]
async fn metrics_count_what_was_accepted_and_what_was_refused() {
    let server = Server::start().await;
    server.put("aa\nbbb\n").await;
    server.memory.set_room(0);
    server.put("c\n").await;
    server.memory.status.lock().unwrap().open_partitions = 12;
    let page = server.get("/metrics").await;
    for line in [
        "firehose_incoming_records_total{stream=\"clicks\"} 2",
        "firehose_incoming_bytes_total{stream=\"clicks\"} 5",
        "firehose_incoming_requests_total{stream=\"clicks\"} 1",
        "firehose_refused_records_total{stream=\"clicks\"} 1",
        "firehose_put_seconds_count{stream=\"clicks\"} 1",
        "firehose_open_partitions{stream=\"clicks\"} 12",
        "firehose_http_connections 1",
    ] {
        assert!(
            page.text.contains(&format!("{line}\n")),
            "{line}: {}",
            page.text
        );
    }
}

#[tokio::test]
async fn the_status_page_shows_hostile_keys_as_text() {
    let server = Server::start().await;
    server.memory.status.lock().unwrap().last_object = Some(LastObject {
        key: "<script>alert(1)</script>/k&\"".into(),
        records: 7,
        bytes: 3 << 20,
        published_ms: 1_700_000_040_000,
    });
    let page = server.get("/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.text
            .contains("&lt;script&gt;alert(1)&lt;/script&gt;/k&amp;&quot;"),
        "{}",
        page.text
    );
    assert!(
        page.text.contains("7 records, 3.0 MiB, 60 s ago"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("<script"), "{}", page.text);
}

#[tokio::test]
async fn the_status_of_a_stream_has_its_failures_whatever_their_records_hold() {
    let server = Server::start().await;
    server.put("a\nb\n").await;
    let mut tally = Tally::default();
    let fail = |message: &'static str| {
        Failure::new(ErrorOutputType::FormatConversionFailed, "Code", message)
    };
    tally.add(&fail("no <b>bold</b>"), b"\xff\xfe");
    tally.add(&fail("another"), &[b'x'; 5000]);
    server
        .memory
        .failures
        .add(&tally, "lake/e'/1", 1_700_000_000_123);
    let mut fields = FieldTally::default();
    fields.add(FieldFate::Unknown, Some("a\"<b>"), 3);
    fields.add(FieldFate::Nulled, None, 1);
    server.memory.fields.add(fields);
    server.memory.drift.begin(DriftKind::Unknown, "a\"<b>");
    server.memory.drift.begin(DriftKind::Missing, "over");
    server.memory.drift.end(DriftKind::Missing, "over");
    let answer = server.get("/streams/clicks").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    let shown = answer.json();
    assert_eq!(
        (&shown["state"], &shown["format"]),
        (&"running".into(), &"json".into())
    );
    assert_eq!(shown["records"]["accepted"], 2);
    assert_eq!(shown["records"]["read"], 2);
    let expected = json!([{
        "type": "format-conversion-failed", "code": "Code", "count": 2,
        "firstMessage": "no <b>bold</b>", "lastMessage": "another",
        "reasons": [{"message": "no <b>bold</b>", "count": 1}, {"message": "another", "count": 1}],
        "otherReasons": 0, "object": "lake/e'/1",
        "sample": {"base64": "//4=", "bytes": 2, "shortened": false},
        "firstAt": "2023-11-14T22:13:20.123Z", "lastAt": "2023-11-14T22:13:20.123Z",
    }]);
    assert_eq!(shown["failures"], expected);
    let expected =
        json!({"unknown": {"a\"<b>": 3}, "missing": {}, "nulled": {"(other)": 1}, "coerced": {}});
    assert_eq!(shown["fields"], expected);
    let expected = json!({"unknown": ["a\"<b>"], "missing": []});
    assert_eq!(shown["drift"], expected);
    let metrics = server.get("/metrics").await.text;
    let line = r#"firehose_unknown_field_records_total{stream="clicks",field="a\"<b>"} 3"#;
    assert!(metrics.contains(line), "{metrics}");
    for line in [
        r#"firehose_schema_drift{stream="clicks",kind="unknown",field="a\"<b>"} 1"#,
        r#"firehose_schema_drift{stream="clicks",kind="missing",field="over"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }

    let page = server.get("/").await.text;
    assert!(
        page.contains("<td><code>a&quot;&lt;b&gt;</code><br><td></tr>"),
        "{page}"
    );
    assert!(page.contains("3 × <code>a&quot;&lt;b&gt;</code>"), "{page}");
    assert!(
        page.contains("1 × no &lt;b&gt;bold&lt;/b&gt;<br>1 × another<br>"),
        "{page}"
    );
    assert!(page.contains("<code>lake/e&#39;/1</code>"), "{page}");
    let unknown = server.get("/streams/click").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json()["error"],
        "no delivery stream is named \"click\"; did you mean clicks?"
    );
}
