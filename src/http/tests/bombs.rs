//! Small bodies that would come to much.

use serde_json::json;

use super::{Server, gzip, settings};
use crate::config::FormatSettings;
use crate::format::{Compression, Delimiter, RawSettings};
use crate::http::Limits;
use crate::record::REQUEST_RECORDS_MAX;

#[tokio::test]
async fn a_bomb_is_refused_after_16_mib_of_what_it_holds() {
    let server = Server::start().await;
    let line = [vec![b'x'; 1023], vec![b'\n']].concat();
    let body = line.repeat(16 << 10); // 16 MiB to the byte
    let more = [&body[..], b"\n"].concat();
    let zstd = |data: &[u8]| zstd::encode_all(data, 3).unwrap();
    for (encoding, body, status, accepted) in [
        ("identity", body.clone(), 200, 16 << 10),
        ("identity", more.clone(), 413, 0),
        ("zstd", zstd(&body), 200, 16 << 10),
        ("zstd", zstd(&more), 413, 0),
    ] {
        let headers = [("content-encoding", encoding)];
        let answer = server
            .ask("POST", "/streams/clicks/records", &headers, body)
            .await;
        assert_eq!(answer.status, status, "{encoding}: {answer:?}");
        assert_eq!(answer.json()["accepted"], accepted, "{encoding}");
    }
    assert_eq!(server.memory.count(), 2 * (16 << 10));
}

#[tokio::test]
async fn records_of_a_request_are_counted_and_empty_lines_are_none() {
    let server = Server::start().await;
    let put = async |encoding: &str, content_type: &str, body: Vec<u8>| {
        let headers = [
            ("content-encoding", encoding),
            ("content-type", content_type),
        ];
        let path = "/streams/clicks/records";
        let answer = server.ask("POST", path, &headers, body).await;
        (answer.status, answer.json())
    };
    let zstd = |data: &[u8]| zstd::encode_all(data, 3).unwrap();
    let lines = "text/plain";
    let empty = [&b"\n".repeat(8_000_000)[..], &b"\r\n".repeat(4_000_000)].concat();
    for (encoding, body) in [("gzip", gzip(&empty)), ("zstd", zstd(&empty))] {
        assert!(body.len() < 200_000, "{}", body.len());
        let (status, said) = put(encoding, lines, body).await;
        assert_eq!((status, &said["accepted"]), (200, &json!(0)), "{said}");
    }
    for line in [" \n", "1\n", "\t\r\n", "{}\n"] {
        let body = line.repeat((16 << 20) / line.len());
        let (status, said) = put("gzip", lines, gzip(body.as_bytes())).await;
        assert_eq!((status, &said["accepted"]), (413, &json!(0)), "{said}");
        let error = said["error"].as_str().unwrap();
        assert!(error.contains("more than 131072 records"), "{error}");
    }
    let body = "1,".repeat(REQUEST_RECORDS_MAX);
    let (status, said) = put(
        "zstd",
        "application/json",
        zstd(format!("[{body}1]").as_bytes()),
    )
    .await;
    assert_eq!((status, &said["accepted"]), (413, &json!(0)), "{said}");
    assert_eq!(server.memory.count(), 0);
    let (status, said) = put(
        "zstd",
        lines,
        zstd("1\n".repeat(REQUEST_RECORDS_MAX).as_bytes()),
    )
    .await;
    assert_eq!(
        (status, &said["accepted"]),
        (200, &json!(REQUEST_RECORDS_MAX))
    );
}

/// As many texts as a request may have records: sixty-four a line.
fn most_texts() -> String {
    let line = "{}".repeat(64) + "\n";
    line.repeat(REQUEST_RECORDS_MAX / 64)
}

#[tokio::test]
async fn texts_of_lines_are_counted_as_records_where_they_become_records() {
    let server = Server::start().await;
    let most = most_texts();
    for more in [
        format!("{most}1\n"),
        most.clone() + &most.repeat(50),
        "1\r\r".repeat(300) + "1\n" + &most,
    ] {
        let headers = [("content-encoding", "gzip")];
        let path = "/streams/clicks/records";
        let body = gzip(more.as_bytes());
        let answer = server.ask("POST", path, &headers, body).await;
        let said = answer.json();
        assert_eq!((answer.status, &said["accepted"]), (413, &json!(0)));
        let error = said["error"].as_str().unwrap();
        assert!(error.contains("more than 131072 JSON texts"), "{error}");
    }
    assert_eq!(server.memory.count(), 0);
    let answer = server.put(most).await;
    assert_eq!(answer.json()["accepted"], REQUEST_RECORDS_MAX / 64);
}

#[tokio::test]
async fn texts_are_not_counted_where_nobody_takes_them_apart() {
    let mut off = settings("clicks");
    off.deaggregate = false;
    let mut raw = settings("clicks");
    raw.format = FormatSettings::new(RawSettings {
        compression: Compression::None,
        delimiter: Delimiter::Newline,
    });
    let body = most_texts() + "1\n";
    for stream in [off, raw] {
        let server = Server::of(vec![stream], Limits::default()).await;
        let answer = server.put(body.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
