//! Reading batches, judging answers, and whole runs against the real listener.

use std::io::Cursor;

use tokio::sync::Semaphore;

use super::input::read_batch;
use super::*;
use crate::http::tests::Server;
use crate::record::{RECORD_BYTES_MAX, REQUEST_RECORDS_MAX};

fn batches(input: &str, batch_bytes: usize) -> Vec<String> {
    let (mut input, mut lines, mut carry) = (Cursor::new(input.to_owned()), 0, Vec::new());
    let mut batches = Vec::new();
    loop {
        let batch = read_batch(&mut input, batch_bytes, &mut lines, &mut carry).unwrap();
        if batch.is_empty() {
            return batches;
        }
        batches.push(String::from_utf8(batch).unwrap());
    }
}

#[test]
fn batches_hold_whole_lines_up_to_the_bound_or_one_longer_line() {
    assert_eq!(batches("aa\nbb\ncc", 6), ["aa\nbb\n", "cc"]);
    assert_eq!(batches("aa\nbb\ncc", 5), ["aa\n", "bb\ncc"]);
    assert_eq!(batches("long line\na\nb\n", 4), ["long line\n", "a\nb\n"]);
    assert_eq!(
        batches("a\nlong line\nb\n", 4),
        ["a\n", "long line\n", "b\n"]
    );
    assert_eq!(batches("", 4), [""; 0]);
}

#[test]
fn a_batch_has_no_more_lines_than_a_request_may_have_records() {
    let sent = batches(&"a\n".repeat(2 * REQUEST_RECORDS_MAX + 1), 16 << 20);
    let lines: Vec<usize> = sent.iter().map(|batch| batch.lines().count()).collect();
    assert_eq!(lines, [REQUEST_RECORDS_MAX, REQUEST_RECORDS_MAX, 1]);
}

#[test]
fn a_batch_has_no_more_texts_than_a_request_may_have_records() {
    let line = "{}".repeat(60_000) + "\n";
    let sent = batches(&(line.repeat(5) + "1\n2"), 16 << 20);
    let lines: Vec<usize> = sent.iter().map(|batch| batch.lines().count()).collect();
    assert_eq!(lines, [2, 2, 3]);
}

#[test]
fn a_line_that_no_daemon_would_take_is_named_before_it_is_sent() {
    let read = |length: usize| {
        let input = [b"a\n", &vec![b'x'; length][..], b"\r\nb"].concat();
        let (mut lines, mut carry) = (0, Vec::new());
        read_batch(&mut Cursor::new(input), 4 << 20, &mut lines, &mut carry)
    };
    assert_eq!(read(RECORD_BYTES_MAX).unwrap().len(), RECORD_BYTES_MAX + 5);
    let error = read(RECORD_BYTES_MAX + 1).unwrap_err();
    assert_eq!(error, "line 2 is longer than 1024000 bytes");
    assert_eq!(read(3 * RECORD_BYTES_MAX).unwrap_err(), error);
}

#[test]
fn what_was_accepted_of_a_batch_is_not_sent_again() {
    let batch = Bytes::from_static(b"\na\n\r\n\nb\r\n\r\r\nc");
    for (records, rest) in [
        (0, "\na\n\r\n\nb\r\n\r\r\nc"),
        (1, "\r\n\nb\r\n\r\r\nc"),
        (2, "\r\r\nc"),
        (3, "c"),
        (4, ""),
        (9, ""),
    ] {
        assert_eq!(without_records(batch.clone(), records), rest, "{records}");
    }
}

#[test]
fn sizes_of_batches_are_bounded() {
    for (text, bytes) in [("1", 1), ("512KiB", 512 << 10), ("16MiB", 16 << 20)] {
        assert_eq!(batch_bytes(text), Ok(bytes));
    }
    for text in [
        "0",
        "",
        "MiB",
        "17MiB",
        "1MB",
        "-1",
        "1 MiB",
        "99999999999999999999MiB",
    ] {
        assert!(batch_bytes(text).is_err(), "{text}");
    }
}

#[test]
fn a_refusal_of_ours_says_what_was_accepted_and_that_of_others_nothing() {
    let judged = |status, body: &str| judge(status, body.as_bytes(), None);
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::REQUEST_TIMEOUT] {
        let ours = r#"{"error":"the body came too slowly","accepted":0,"bytes":0}"#;
        let outcome = judged(status, ours);
        assert!(matches!(&outcome, AttemptOutcome::Refused(answer, None) if answer.accepted == 0));
        for others in ["<html>no</html>", "{}", ""] {
            let outcome = judged(status, others);
            assert!(
                matches!(outcome, AttemptOutcome::Lost(_)),
                "{status} {others}"
            );
        }
    }
    let outcome = judged(StatusCode::BAD_GATEWAY, r#"{"error":"x"}"#);
    assert!(matches!(outcome, AttemptOutcome::Lost(_)));
    let outcome = judged(StatusCode::PAYLOAD_TOO_LARGE, r#"{"error":"x"}"#);
    assert!(matches!(outcome, AttemptOutcome::Final(_)));
}

fn args(server: &Server, batch_bytes: usize, retries: u32) -> PutArgs {
    let url = format!("http://{}/", server.address);
    PutArgs {
        stream: "clicks".into(),
        file: "-".into(),
        url: Some(url),
        batch_bytes,
        retries,
    }
}

async fn run_with(args: &PutArgs, input: String) -> (Result<(), PutError>, String) {
    let (result, out, _) = run_telling(args, input).await;
    (result, out)
}

/// The same with what was said of the run.
async fn run_telling(args: &PutArgs, input: String) -> (Result<(), PutError>, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let result = match address::find(args.url.as_deref(), None) {
        Ok(url) => {
            let authorization = None;
            let daemon = Daemon { url, authorization };
            send(args, &daemon, Cursor::new(input), None, &mut out, &mut err).await
        }
        Err(error) => Err(error),
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (result, text(out), text(err))
}

#[tokio::test]
async fn every_line_arrives_once_and_in_order() {
    let server = Server::start().await;
    let lines: Vec<String> = (0..5000).map(|n| format!("{{\"n\":{n}}}")).collect();
    let (result, out) = run_with(&args(&server, 1000, 0), lines.join("\n")).await;
    result.unwrap();
    let sent: Vec<Vec<u8>> = lines.iter().map(|line| line.clone().into_bytes()).collect();
    assert_eq!(server.memory.records(), sent);
    assert!(
        out.starts_with("clicks: 5000 records accepted, 48890 bytes, "),
        "{out}"
    );
    assert_eq!(out.lines().count(), 1, "{out}");
}

#[tokio::test]
async fn a_byte_order_mark_belongs_to_the_file_and_inside_it_to_its_record() {
    let server = Server::start().await;
    let mark = "\u{feff}";
    // Batches of one line each: every line is the head of a body.
    let input = format!("{mark}a\n{mark}b\n{mark}\nc\n");
    let (result, out) = run_with(&args(&server, 4, 0), input).await;
    result.unwrap();
    let expected = [
        "a".to_owned(),
        format!("{mark}b"),
        mark.to_owned(),
        "c".to_owned(),
    ];
    let records = server.memory.records();
    let records: Vec<&str> = records
        .iter()
        .map(|record| std::str::from_utf8(record).unwrap())
        .collect();
    assert_eq!(records, expected);
    assert!(
        out.starts_with("clicks: 4 records accepted, 9 bytes, "),
        "{out}"
    );
}

#[tokio::test]
async fn a_warning_is_told_once() {
    let mut settings = crate::http::tests::settings("clicks");
    settings.partitioning.query = Some("{k: .k}".into());
    let server = Server::of(vec![settings], crate::http::Limits::default()).await;
    let (result, out) = run_with(&args(&server, 4, 0), "{\n  \"k\": 1\n}\n".into()).await;
    result.unwrap();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(
        lines[1].starts_with("warning: the first line is not JSON"),
        "{out}"
    );
    assert!(lines[1].contains("Content-Type: application/json"), "{out}");
}

#[tokio::test]
async fn a_batch_accepted_in_part_is_finished_without_doubling() {
    let server = Server::start().await;
    server.memory.set_room(9_000_000);
    let lines: Vec<String> = (b'a'..b'p')
        .map(|byte| char::from(byte).to_string().repeat(900_000))
        .collect();
    let (result, _) = run_with(&args(&server, 16 << 20, 0), lines.join("\n")).await;
    assert_eq!(result.unwrap_err().exit_code(), 1);
    let before = server.memory.count();
    assert!((1..15).contains(&before), "{before}");

    let patient = args(&server, 16 << 20, 9);
    server.memory.make_room_after_refusals(2);
    let (result, out) = run_with(&patient, lines.join("\n")).await;
    result.unwrap();
    assert!(
        out.contains("2 retries, 0 of them after a lost answer"),
        "{out}"
    );
    let sent: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
    assert_eq!(server.memory.records()[before..], sent);
}

#[tokio::test]
async fn a_wrong_name_or_url_is_a_usage_error_and_an_unknown_stream_a_failure() {
    let server = Server::start().await;
    for (stream, url, code) in [
        ("click", format!("http://{}", server.address), 1),
        ("a/b", format!("http://{}", server.address), 2),
        ("clicks", format!("https://{}", server.address), 2),
        ("clicks", "127.0.0.1:1".to_owned(), 1),
        ("clicks", "http://127.0.0.1:1".to_owned(), 1),
    ] {
        let args = PutArgs {
            stream: stream.into(),
            url: Some(url),
            ..args(&server, 1000, 0)
        };
        let (result, _) = run_with(&args, "a\n".into()).await;
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), code, "{stream}: {error}");
    }
    let args = PutArgs {
        stream: "click".into(),
        ..args(&server, 1000, 0)
    };
    let (result, out) = run_with(&args, "a\n".into()).await;
    assert!(
        result
            .unwrap_err()
            .to_string()
            .contains("did you mean clicks?")
    );
    assert!(out.starts_with("click: 0 records accepted"), "{out}");
}

#[tokio::test]
async fn the_first_failure_is_told_at_once_with_what_to_look_at() {
    let server = Server::start().await;
    let nobody = PutArgs {
        url: Some("127.0.0.1:1".into()),
        ..args(&server, 1000, 1)
    };
    let (result, _, err) = run_telling(&nobody, "a\n".into()).await;
    let expected = "http://127.0.0.1:1/streams/clicks/records cannot be reached (Connection refused \
                    (os error 111)): is the daemon running, and does it listen there?\n\
                    trying again for up to 1s (--retries)\n";
    assert_eq!(err, expected);
    let error = result.unwrap_err().to_string();
    assert!(
        error.starts_with("gave up after 1 retries: http://127.0.0.1:1/"),
        "{error}"
    );

    // The same refusal of batch after batch is told once.
    server.memory.set_room(0);
    server.memory.make_room_after_refusals(3);
    let (result, _, err) = run_telling(&args(&server, 2, 9), "a\nb\n".into()).await;
    result.unwrap();
    assert!(
        err.starts_with("the journal of stream clicks is full"),
        "{err}"
    );
    assert_eq!(err.lines().count(), 2, "{err}");
}

#[tokio::test]
async fn the_summary_says_what_failed_meanwhile_and_not_what_failed_before() {
    use crate::failure::{ErrorOutputType, Failure};
    use crate::telemetry::Tally;
    let server = Server::start().await;
    let fail = |messages: &[&'static str]| {
        let mut tally = Tally::default();
        for message in messages {
            let output_type = ErrorOutputType::MetadataExtractionFailed;
            tally.add(&Failure::new(output_type, "Code", *message), b"record");
        }
        server.memory.failures.add(&tally, "lake/errors/1", 0);
    };
    fail(&["no JSON", "no key"]);
    let (result, out) = run_with(&args(&server, 1000, 0), "a\n".into()).await;
    result.unwrap();
    assert_eq!(out.lines().count(), 1, "{out}");

    // While the batch is on its way something fails.
    let (arrived, gate) = (&server.memory.arrived, &server.memory.gate);
    arrived.forget_permits(Semaphore::MAX_PERMITS);
    gate.forget_permits(Semaphore::MAX_PERMITS);
    let args = args(&server, 1000, 0);
    let (ended, ()) = tokio::join!(run_with(&args, "b\n".into()), async {
        arrived.acquire().await.unwrap().forget();
        fail(&["no key", "no key", "no \u{1b} key"]);
        gate.add_permits(1);
    });
    let (result, out) = ended;
    result.unwrap();
    let url = format!("http://{}/streams/clicks", server.address);
    let told: Vec<&str> = out.lines().skip(1).collect();
    let head = format!(
        "3 records of clicks failed meanwhile, whoever sent them (samples and objects: {url}):"
    );
    let expected = [
        head.as_str(),
        "   3 metadata-extraction-failed, Code",
        "      2 no key",
        "      1 no \\u{1b} key",
    ];
    assert_eq!(told, expected);
}
