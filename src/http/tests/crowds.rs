//! More connections than there are places for: who gives way, who stays, who is told what.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::support::Server;
use crate::http::{KEPT, Limits};

const PUT: &str =
    "POST /streams/clicks/records HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\na\n";
const HALF: &str = "POST /streams/clicks/records HTTP/1.1\r\nho";
/// So many connections may be open.
const PLACES: usize = 4;
/// A guard against waiting for ever: far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

async fn crowded_server() -> Server {
    let limits = Limits {
        connections: PLACES,
        ..Limits::default()
    };
    Server::with(&["clicks"], limits).await
}

async fn connect(server: &Server, said: &str) -> TcpStream {
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(said.as_bytes()).await.unwrap();
    client
}

/// A producer that keeps its connection after an answer.
async fn kept_alive(server: &Server) -> TcpStream {
    let mut client = connect(server, PUT).await;
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 200 OK"));
    client
}

/// One answer, up to the end of its one line of JSON.
async fn answer(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"}\n") && !answer.ends_with(b"\"}") {
        let read = tokio::time::timeout(PATIENCE, client.read_buf(&mut answer)).await;
        let read = read.unwrap_or_else(|_| panic!("no answer but {answer:?}"));
        if read.unwrap_or(0) == 0 {
            break;
        }
    }
    String::from_utf8(answer).unwrap()
}

/// Whether the server has closed the connection: waits until it has.
async fn closes(client: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(PATIENCE, client.read(&mut [0; 1])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

/// A crowd whose requests are all under way.
async fn busy_crowd(server: &Server) -> Vec<TcpStream> {
    server.memory.gate.forget_permits(Semaphore::MAX_PERMITS);
    let mut busy = Vec::new();
    for _ in 0..PLACES {
        busy.push(connect(server, PUT).await);
    }
    let arrived = u32::try_from(PLACES).unwrap();
    let _all = server.memory.arrived.acquire_many(arrived).await.unwrap();
    busy
}

#[tokio::test]
async fn the_longest_idle_gives_way_to_a_new_producer_and_the_rest_stay() {
    let server = crowded_server().await;
    let mut idle = Vec::new();
    for _ in 0..PLACES {
        idle.push(kept_alive(&server).await);
    }
    let mut new = kept_alive(&server).await;
    assert!(closes(&mut idle[0]).await, "the first gave way");
    for client in idle[1..].iter_mut().chain([&mut new]) {
        client.write_all(PUT.as_bytes()).await.unwrap();
        let answer = answer(client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
}

#[tokio::test]
async fn who_says_nothing_gives_way_and_health_answers() {
    let server = crowded_server().await;
    let mut silent = Vec::new();
    for _ in 0..10 * PLACES {
        silent.push(connect(&server, "").await);
    }
    for _ in 0..3 {
        let health = connect(&server, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer(&mut { health }).await.contains("alive"));
    }
    kept_alive(&server).await;
    assert!(closes(&mut silent[0]).await);
}

#[tokio::test]
async fn half_heads_keep_nobody_out() {
    let server = crowded_server().await;
    let mut halves = Vec::new();
    for _ in 0..PLACES + 2 * KEPT {
        halves.push(connect(&server, HALF).await);
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let asked = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let told = answer(&mut connect(&server, &asked).await).await;
        assert!(told.starts_with("HTTP/1.1 200 OK"), "{path}: {told}");
    }
    // Heads have their time, then their places are given away.
    let mut producer = connect(&server, PUT).await;
    let mut told = answer(&mut producer).await;
    while told.starts_with("HTTP/1.1 503") {
        tokio::time::sleep(Duration::from_millis(100)).await;
        producer = connect(&server, PUT).await;
        told = answer(&mut producer).await;
    }
    assert!(told.starts_with("HTTP/1.1 200 OK"), "{told}");
}

#[tokio::test]
async fn a_busy_crowd_is_not_cut_and_others_are_told_to_come_again() {
    let server = crowded_server().await;
    let mut busy = busy_crowd(&server).await;
    let health = connect(&server, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let told = answer(&mut { health }).await;
    assert!(told.starts_with("HTTP/1.1 200 OK"), "{told}");
    assert!(told.contains("connection: close"), "{told}");
    let body = "x".repeat(1 << 20);
    let length = body.len();
    let large = format!(
        "POST /streams/clicks/records HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    for asked in [PUT, &large] {
        let told = server.raw(asked.as_bytes()).await;
        assert!(
            told.starts_with("HTTP/1.1 503 Service Unavailable"),
            "{told}"
        );
        assert!(told.contains("retry-after: 1\r\n"), "{told}");
        assert!(told.contains("connection: close"), "{told}");
        assert!(told.contains("\"accepted\":0"), "{told}");
    }
    let api = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: Firehose_20150804.PutRecord\r\n\
               content-length: 2\r\n\r\n{}";
    let told = server.raw(api.as_bytes()).await;
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    assert!(told.contains("ServiceUnavailableException"), "{told}");
    server.memory.gate.add_permits(PLACES);
    for client in &mut busy {
        let told = answer(client).await;
        assert!(told.starts_with("HTTP/1.1 200 OK"), "{told}");
    }
    assert_eq!(server.memory.count(), PLACES);
}

#[tokio::test]
async fn who_takes_no_answers_gives_way() {
    let server = crowded_server().await;
    // Bodies that nobody reads, so that the next request is parsed while the answer still waits to go. The
    // answers repeat the path.
    let path = "x".repeat(8 << 10);
    let asked = format!("POST /{path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nZ");
    let mut deaf = Vec::new();
    for _ in 0..PLACES {
        let mut client = connect(&server, "").await;
        let asking = async { while client.write_all(asked.as_bytes()).await.is_ok() {} };
        // Until nothing goes any more.
        let mut before = usize::MAX;
        let _ = tokio::time::timeout(Duration::from_secs(1), asking).await;
        while before != 0 {
            before = client.try_write(asked.as_bytes()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        deaf.push(client);
    }
    let begun = std::time::Instant::now();
    let mut told = answer(&mut connect(&server, PUT).await).await;
    while told.starts_with("HTTP/1.1 503") {
        assert!(begun.elapsed() < PATIENCE, "{told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        told = answer(&mut connect(&server, PUT).await).await;
    }
    assert!(told.starts_with("HTTP/1.1 200 OK"), "{told}");
    drop(deaf);
}

#[tokio::test]
async fn bodies_in_the_places_kept_for_health_keep_health_from_nobody() {
    let server = crowded_server().await;
    let _busy = busy_crowd(&server).await;
    let piece = "x".repeat(32 << 10);
    let mut strangers = Vec::new();
    for path in ["/readyz", "/metrics", "/healthz"] {
        let asked = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\norigin: http://evil\r\ncontent-length: 60000000\r\n\r\n{piece}"
        );
        for _ in 0..KEPT {
            let mut stranger = TcpStream::connect(server.address).await.unwrap();
            // Some are sent away before they have said it all.
            let _ = stranger.write_all(asked.as_bytes()).await;
            strangers.push(stranger);
        }
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let asked = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let told = answer(&mut connect(&server, &asked).await).await;
        assert!(told.starts_with("HTTP/1.1 200 OK"), "{path}: {told}");
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_half_a_head() {
    let server = crowded_server().await;
    let mut half = connect(&server, HALF).await;
    server.get("/healthz").await; // by now the half is being served, too
    server.stop.cancel();
    let stopped = tokio::time::timeout(PATIENCE, server.served).await;
    stopped.expect("in a moment").unwrap().unwrap();
    assert!(closes(&mut half).await);
}
