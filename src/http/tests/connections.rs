//! Connections that dawdle, break off, lie or come in numbers, and the stop.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::support::Server;
use crate::http::Limits;

const HEAD: &str = "POST /streams/clicks/records HTTP/1.1\r\nhost: x\r\n";

#[tokio::test]
async fn a_stop_finishes_requests_under_way_and_does_not_wait_for_idle_connections() {
    let server = Server::start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    server.put("kept alive\n").await; // the client's pool holds this connection open
    server.memory.gate.forget_permits(Semaphore::MAX_PERMITS);
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(format!("{HEAD}content-length: 2\r\n\r\na\n").as_bytes())
        .await
        .unwrap();
    let _both = server.memory.arrived.acquire_many(2).await.unwrap(); // it waits at the gate
    server.stop.cancel();
    assert_eq!(
        idle.read(&mut [0; 1]).await.unwrap(),
        0,
        "an idle connection is closed"
    );
    assert!(!server.served.is_finished(), "a request is under way");
    server.memory.gate.add_permits(1);
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    server.served.await.unwrap().unwrap();
    assert_eq!(server.memory.records(), [&b"kept alive"[..], b"a"]);
    let refused = TcpStream::connect(server.address).await;
    assert!(refused.is_err(), "the listener is gone");
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_when_the_drain_is_over() {
    let limits = Limits {
        drain: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Server::with(&["clicks"], limits).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(format!("{HEAD}content-length: 9\r\nexpect: 100-continue\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut invitation = [0; 25];
    slow.read_exact(&mut invitation).await.unwrap();
    assert_eq!(
        &invitation, b"HTTP/1.1 100 Continue\r\n\r\n",
        "the request is under way"
    );
    slow.write_all(b"half").await.unwrap();
    server.stop.cancel();
    server.served.await.unwrap().unwrap();
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing_behind() {
    let server = Server::start().await;
    let mut broken = TcpStream::connect(server.address).await.unwrap();
    let request = format!("{HEAD}content-length: 100\r\n\r\none\ntwo\nthr");
    broken.write_all(request.as_bytes()).await.unwrap();
    broken.shutdown().await.unwrap();
    let mut answer = String::new();
    broken.read_to_string(&mut answer).await.unwrap();
    assert!(!answer.contains("200 OK"), "{answer}");
    let answer = server
        .raw(format!("{HEAD}transfer-encoding: chunked\r\n\r\n4\r\none\n\r\nXX\r\n").as_bytes())
        .await;
    assert!(!answer.contains("200 OK"), "{answer}");
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn heads_and_bodies_that_dawdle_are_timed_out() {
    let soon = Duration::from_millis(50);
    let limits = Limits {
        head: soon,
        body_pace: soon,
        ..Limits::default()
    };
    let server = Server::with(&["clicks"], limits).await;
    assert_eq!(server.raw(b"POST /streams/cli").await, "", "closed");
    let answer = server
        .raw(format!("{HEAD}content-length: 9\r\n\r\nhalf").as_bytes())
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 408 Request Timeout"),
        "{answer}"
    );
    let limits = Limits {
        body_total: soon,
        ..Limits::default()
    };
    let server = Server::with(&["clicks"], limits).await;
    let answer = server
        .raw(format!("{HEAD}content-length: 9\r\n\r\nhalf").as_bytes())
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 408 Request Timeout"),
        "{answer}"
    );
    assert_eq!(server.memory.count(), 0);
}

#[tokio::test]
async fn bodies_beyond_the_memory_for_them_are_told_to_slow_down() {
    let limits = Limits {
        body_memory: 1 << 20,
        body_wait: Duration::from_millis(20),
        ..Limits::default()
    };
    let server = Server::with(&["clicks"], limits).await;
    // Who only announces holds nothing.
    let mut holder = TcpStream::connect(server.address).await.unwrap();
    let line = "x".repeat(99) + "\n";
    let body = line.repeat(16 << 10);
    let length = body.len() + 1;
    let head = format!("{HEAD}content-length: {length}\r\nexpect: 100-continue\r\n\r\n");
    holder.write_all(head.as_bytes()).await.unwrap();
    let mut invitation = [0; 25];
    holder.read_exact(&mut invitation).await.unwrap();
    assert_eq!(server.put("a\n").await.status, 200);
    // One whose records wait for the journal holds what it has brought.
    server.memory.gate.forget_permits(Semaphore::MAX_PERMITS);
    holder.write_all(body.as_bytes()).await.unwrap();
    holder.write_all(b"y").await.unwrap();
    let _first = server.memory.arrived.acquire_many(2).await.unwrap();
    let answer = server.put("a\n".repeat(40_000)).await;
    assert_eq!(
        (answer.status, &answer.headers["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    // Who looks for the answer only when all is sent gets it, too.
    let mut late = TcpStream::connect(server.address).await.unwrap();
    let body = line.repeat(80 << 10);
    let head = format!("{HEAD}content-length: {}\r\n\r\n", body.len());
    late.write_all(head.as_bytes()).await.unwrap();
    late.write_all(body.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    late.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
    drop(holder);
    let limits = Limits {
        body_memory: 1 << 10,
        ..Limits::default()
    };
    let server = Server::with(&["clicks"], limits).await;
    assert_eq!(
        server.put("a\n".repeat(100_000)).await.status,
        200,
        "one alone may have it all"
    );
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_refused_unread() {
    let server = Server::start().await;
    let length = (16 << 20) + 1;
    let request = format!("{HEAD}content-length: {length}\r\nexpect: 100-continue\r\n\r\n");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
    let huge = format!("{HEAD}content-length: 99999999999999\r\n\r\nab");
    let answer = server.raw(huge.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_that_proves_too_large_after_it_was_asked_for_is_told_so() {
    let server = Server::start().await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let head = format!("{HEAD}transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut invitation = [0; 25];
    client.read_exact(&mut invitation).await.unwrap();
    let line = "x".repeat(1023) + "\n";
    let chunk = format!("100000\r\n{}\r\n", line.repeat(1 << 10));
    for sent in 0..32 {
        let sending = client.write_all(chunk.as_bytes()).await;
        sending.unwrap_or_else(|error| panic!("{error} after {sent} MiB"));
    }
    client.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(server.memory.count(), 0);
}

/// A request without a body that anybody reads, and whose answer is as long as it is.
fn long_request() -> String {
    let path = "x".repeat(8 << 10);
    format!("POST /{path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nZ")
}

#[tokio::test]
async fn who_takes_no_answers_is_cut_off() {
    let limits = Limits {
        answer_pace: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Server::with(&["clicks"], limits).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let asked = long_request();
    let asking = async { while client.write_all(asked.as_bytes()).await.is_ok() {} };
    let cut = tokio::time::timeout(Duration::from_mins(1), asking).await;
    assert!(cut.is_ok(), "it is still asking");
}

#[tokio::test]
async fn who_takes_its_answers_late_gets_all_of_them() {
    const ASKED: usize = 2000;
    let server = Server::start().await;
    let client = TcpStream::connect(server.address).await.unwrap();
    let (mut answers, mut requests) = client.into_split();
    let asking = tokio::spawn(async move {
        let asked = long_request();
        for _ in 0..ASKED {
            requests.write_all(asked.as_bytes()).await.unwrap();
        }
        requests
    });
    // Until the server waits for us, or nearly so: what follows holds in any case.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut count, mut kept) = (0, Vec::new());
    while count < ASKED {
        let read = tokio::time::timeout(Duration::from_mins(1), answers.read_buf(&mut kept));
        let read = read.await.unwrap_or_else(|_| panic!("{count} answers"));
        assert!(read.unwrap() > 0, "closed after {count} answers");
        let text = String::from_utf8_lossy(&kept);
        count += text.matches("HTTP/1.1 404").count();
        // The rest may be the beginning of one.
        let rest = text.rfind('\n').map_or(0, |end| end + 1);
        kept.drain(..rest);
    }
    assert_eq!(count, ASKED);
    asking.await.unwrap();
}
