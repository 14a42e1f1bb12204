//! Clients that take places and memory and bring little.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::daemon::Site;
use crate::support::http::{get, post_records};
use crate::support::process::peak_memory;
use crate::support::settings::CLICKS;

const PUT: &str = "POST /streams/clicks/records HTTP/1.1\r\nhost: x\r\n";
const EVENT: &[u8] = b"{\"region\":\"eu\",\"kind\":\"click\"}\n";
/// A guard against waiting for ever.
const PATIENCE: Duration = Duration::from_mins(1);

fn site() -> Site {
    Site::new(&CLICKS.settings())
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// A body that is announced with that many bytes, and begins so.
fn begin_body(address: SocketAddr, announced: usize, begin: &[u8]) -> TcpStream {
    let mut client = connect(address);
    let head = format!("{PUT}content-length: {announced}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(begin).unwrap();
    client
}

/// What all of them come to, each on a thread of its own.
fn at_once<T: Send>(clients: impl Iterator<Item = impl FnOnce() -> T + Send>) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = clients.map(|client| scope.spawn(client)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect()
    })
}

/// The status of a producer's request, and how long it took.
fn put(address: SocketAddr) -> (u16, Duration) {
    let begun = Instant::now();
    let reply = post_records(address, "clicks", EVENT);
    (reply.map_or(0, |reply| reply.status), begun.elapsed())
}

#[test]
fn who_announces_much_and_brings_little_keeps_nobody_out() {
    let site = site();
    let daemon = site.start();
    let slow: Vec<TcpStream> = (0..64)
        .map(|_| begin_body(site.address, 16 << 20, b"{"))
        .collect();
    let (mut refused, mut slowest) = (0, Duration::ZERO);
    for mut slow in &slow {
        slow.write_all(b"\"").unwrap();
        let (status, took) = put(site.address);
        refused += u32::from(status != 200);
        slowest = slowest.max(took);
    }
    println!(
        "64 sockets that announce 16 MiB and bring a byte: {refused} of 64 requests refused, slowest {slowest:?}"
    );
    assert_eq!(refused, 0);
    drop(slow);
    daemon.kill();
}

#[test]
fn who_brings_much_and_then_little_gives_way() {
    const BODY: usize = 16 << 20;
    let site = site();
    let daemon = site.start();
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    let most = line.repeat(15 << 10);
    let greedy: Vec<_> = (0..8)
        .map(|_| {
            let (address, most) = (site.address, most.clone());
            std::thread::spawn(move || {
                let mut client = connect(address);
                let head = format!("{PUT}content-length: {BODY}\r\n\r\n");
                let brought = client
                    .write_all(head.as_bytes())
                    .and_then(|()| client.write_all(&most));
                let mut told = [0; 12];
                // Told to come again, or cut off with what was not read.
                let told = brought
                    .and_then(|()| client.read_exact(&mut told))
                    .map(|()| told);
                told.ok()
            })
        })
        .collect();
    // As long as all of them bring what they have, all of the memory is used; then they are slow.
    let (mut requests, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    while !greedy.iter().all(std::thread::JoinHandle::is_finished) {
        let (status, took) = put(site.address);
        requests += 1;
        refused += u32::from(status != 200);
        slowest = slowest.max(took);
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "8 sockets that bring 15 of 16 MiB each and then nothing: {refused} of {requests} requests refused, slowest {slowest:?}"
    );
    for told in greedy {
        let told = told.join().unwrap();
        let is_refusal = told.is_none_or(|told| told.ends_with(b"503") || told.ends_with(b"408"));
        assert!(is_refusal, "{told:?}");
    }
    assert_eq!(refused, 0);
    daemon.kill();
}

#[test]
fn slow_bodies_in_every_place_give_way_to_producers() {
    const PLACES: usize = 128;
    let site = site();
    let file = site.path("firehose.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}connections = {PLACES}\n")).unwrap();
    let mut daemon = site.start();
    let mut seated = Vec::new();
    while seated.len() < PLACES {
        let mut slow = connect(site.address);
        let head = format!("{PUT}content-length: 9\r\nexpect: 100-continue\r\n\r\n");
        slow.write_all(head.as_bytes()).unwrap();
        let mut status = [0; 25];
        if slow.read_exact(&mut status).is_ok() && status.starts_with(b"HTTP/1.1 100") {
            slow.write_all(b"{").unwrap();
            seated.push(slow);
        }
    }
    let begun = Instant::now();
    let mut tries = 0;
    let is_served = || {
        tries += 1;
        put(site.address).0 == 200
    };
    daemon.until("a producer is served", is_served).unwrap();
    let (status, took) = put(site.address);
    println!(
        "{PLACES} bodies of one byte in as many places: a producer is served after {tries} tries and {:?}, the \
         next in {took:?}",
        begun.elapsed()
    );
    assert_eq!(status, 200);
    // Who gave way was told, if it listens.
    let mut told = String::new();
    let _ = seated[0].read_to_string(&mut told);
    assert!(
        told.is_empty() || told.starts_with("HTTP/1.1 503"),
        "{told}"
    );
    daemon.kill();
}

#[test]
fn clients_that_take_no_answers_in_every_place_give_way_to_producers() {
    const PLACES: usize = 64;
    let site = site();
    let file = site.path("firehose.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}connections = {PLACES}\n")).unwrap();
    let mut daemon = site.start();
    // The next request is parsed while the answer to the one before, which repeats its path, still waits to go.
    let asked = format!(
        "POST /{} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\nZ",
        "x".repeat(8 << 10)
    );
    let deaf: Vec<(TcpStream, usize)> = (0..PLACES)
        .map(|_| {
            let mut client = connect(site.address);
            let timeout = Some(Duration::from_millis(300));
            client.set_write_timeout(timeout).unwrap();
            let mut count = 0;
            while client.write_all(asked.as_bytes()).is_ok() {
                count += 1;
            }
            (client, count)
        })
        .collect();
    let begun = Instant::now();
    let mut tries = 0;
    let is_served = || {
        tries += 1;
        put(site.address).0 == 200
    };
    daemon.until("a producer is served", is_served).unwrap();
    let took = begun.elapsed();
    let asked: usize = deaf.iter().map(|(_, count)| count).sum();
    println!(
        "{PLACES} clients that ask {asked} times and read nothing: a producer is served after {tries} tries and \
         {took:?}"
    );
    drop(deaf);
    daemon.kill();
}

#[test]
fn bodies_that_wait_for_memory_take_little_of_it() {
    const CLIENTS: usize = 192;
    const BODY: usize = 2 << 20;
    let site = site();
    let daemon = site.start();
    let before = peak_memory(daemon.id()).unwrap();
    let body = [&[b'x'; 1023][..], b"\n"].concat().repeat(BODY >> 10);
    let address = site.address;
    // Bodies that are read to their end and thrown away: by now reading goes in large steps.
    let warm = at_once((0..CLIENTS).map(|_| {
        || {
            let mut client = connect(address);
            let head = "POST /streams/nowhere/records HTTP/1.1\r\nhost: x\r\n";
            let head = format!("{head}content-length: {BODY}\r\n\r\n");
            client.write_all(head.as_bytes()).unwrap();
            client.write_all(&body).unwrap();
            let mut status = [0; 12];
            client.read_exact(&mut status).unwrap();
            assert_eq!(&status, b"HTTP/1.1 404");
            client
        }
    }));
    // All of them together want much more than there is, and none comes to its end.
    let waiting = at_once(warm.into_iter().map(|mut client| {
        let body = &body;
        move || {
            let timeout = Some(Duration::from_secs(3));
            client.set_write_timeout(timeout).unwrap();
            let head = format!("{PUT}content-length: {}\r\n\r\n", BODY + 1);
            let begun = client.write_all(head.as_bytes());
            let _ = begun.and_then(|()| client.write_all(body));
            client
        }
    }));
    let taken = peak_memory(daemon.id()).unwrap() - before;
    println!(
        "{CLIENTS} bodies of 2 MiB at once, of which 64 MiB may be in memory: {} MiB",
        taken >> 20
    );
    assert!(taken < 128 << 20, "{taken} bytes");
    drop(waiting);
    daemon.kill();
}

#[test]
fn two_thousand_half_heads_leave_health_alive() {
    let site = site();
    let mut daemon = site.start();
    let mut halves = Vec::new();
    let mut slowest = Duration::ZERO;
    let mut look = |after: usize| {
        let begun = Instant::now();
        let reply = get(site.address, "/healthz");
        let status = reply.map_or(0, |reply| reply.status);
        assert_eq!(status, 200, "/healthz after {after} half heads");
        slowest = slowest.max(begun.elapsed());
    };
    for count in 0..2000 {
        let mut half = connect(site.address);
        half.write_all(b"POST /streams/clicks/records HTTP/1.1\r\nho")
            .unwrap();
        halves.push(half);
        if count % 100 == 99 {
            look(count + 1);
        }
    }
    for _ in 0..100 {
        look(2000);
    }
    let begun = Instant::now();
    let is_served = || put(site.address).0 == 200;
    daemon.until("a producer is served", is_served).unwrap();
    println!(
        "2,000 half-sent heads: /healthz answers in {slowest:?} at most, a producer is served after {:?}",
        begun.elapsed()
    );
    drop(halves);
    daemon.kill();
}

#[test]
fn heads_that_do_not_end_take_little_memory() {
    let site = site();
    let daemon = site.start();
    let before = peak_memory(daemon.id()).unwrap();
    let header = format!("a: {}\r\n", "x".repeat(1000));
    let heads: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut client = connect(site.address);
            let _ = client.write_all(PUT.as_bytes());
            for _ in 0..400 {
                if client.write_all(header.as_bytes()).is_err() {
                    break; // cut off
                }
            }
            client
        })
        .collect();
    assert_eq!(put(site.address).0, 200);
    let taken = peak_memory(daemon.id()).unwrap() - before;
    println!("400 heads of 400 KB that do not end: {} MiB", taken >> 20);
    assert!(taken < 100 << 20, "{taken} bytes");
    drop(heads);
    daemon.kill();
}
