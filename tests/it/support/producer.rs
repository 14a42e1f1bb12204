//! A producer that keeps sending while the daemon dies and comes back, and writes down what it was
//! told: the ledger is one half of the truth, the foreign reader's findings are the other.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::event::{Kind, write_event};
use super::http::Connection;

/// Several connections that send to one stream until told to stop.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    connections: Vec<JoinHandle<()>>,
}

/// What a producer sends, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub connections: u64,
    pub seed: u64,
    /// Pause of a connection between two requests.
    pub pause: Duration,
    /// Largest number of records in a request.
    pub records: usize,
    /// Largest number of bytes by which a record is padded.
    pub pad: usize,
    /// Whether all good records are of one partition.
    pub narrow: bool,
    /// Whether one record in eight is several events: JSON texts that the daemon takes apart.
    pub joined: bool,
}

/// What stands between the texts of one record of a body of lines.
const JOINTS: [&[u8]; 4] = [b"", b" ", b"\r", b" \r\t"];
/// The most events that follow another one in its record.
const MORE_MAX: usize = 4;

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    path: String,
    load: Load,
    stop: AtomicBool,
    acknowledged: AtomicU64,
    ledger: Mutex<BufWriter<File>>,
}

impl Producer {
    /// Starts `connections` senders. The ledger gets one line an attempt: outcome, kind, id.
    /// Outcomes: `acknowledged` (200), `refused` (another status), `unknown` (no reply).
    pub fn start(address: SocketAddr, stream: &str, load: Load, ledger: &Path) -> Self {
        let shared = Arc::new(Shared {
            address,
            path: format!("/streams/{stream}/records"),
            load,
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            ledger: Mutex::new(BufWriter::new(File::create(ledger).unwrap())),
        });
        let connections = (0..load.connections)
            .map(|number| {
                let shared = Arc::clone(&shared);
                let random = fastrand::Rng::with_seed(load.seed.wrapping_add(number));
                std::thread::spawn(move || {
                    Sender {
                        number,
                        attempts: 0,
                        random,
                        shared,
                    }
                    .run();
                })
            })
            .collect();
        Self {
            shared,
            connections,
        }
    }

    /// Records acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Stops after the requests in flight, and closes the ledger. Returns the number of
    /// acknowledged records.
    pub fn finish(mut self) -> u64 {
        self.shared.stop.store(true, Ordering::SeqCst);
        for connection in self.connections.drain(..) {
            connection.join().unwrap();
        }
        self.shared.ledger.lock().unwrap().flush().unwrap();
        self.acknowledged()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

struct Sender {
    number: u64,
    attempts: u64,
    random: fastrand::Rng,
    shared: Arc<Shared>,
}

impl Sender {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            // Without a connection nothing is sent, so no attempt is made.
            if let Ok(mut connection) = Connection::open(self.shared.address) {
                while !self.shared.stop.load(Ordering::SeqCst) && self.send(&mut connection) {
                    std::thread::sleep(self.shared.load.pause);
                }
            }
            // The daemon is down, or refuses for the moment: a producer backs off.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends one batch of new attempts. True: acknowledged, go on at once.
    fn send(&mut self, connection: &mut Connection) -> bool {
        let load = self.shared.load;
        let count = 1 + self.random.usize(..load.records);
        let (mut body, mut event, mut more) = (Vec::new(), Vec::new(), 0);
        let mut attempts: Vec<(Kind, String)> = Vec::with_capacity(count);
        for _ in 0..count {
            self.attempts += 1;
            let id = format!("k{}x{}z", self.number, self.attempts);
            event.clear();
            let kind = write_event(&mut self.random, &id, load.pad, load.narrow, &mut event);
            // A record is taken apart where all of it is JSON.
            let is_text = |kind| kind != Kind::NotJson;
            let joins = attempts.last().is_some_and(|(before, _)| is_text(*before));
            if more > 0 && joins && is_text(kind) {
                more -= 1;
                body.extend_from_slice(JOINTS[self.random.usize(..JOINTS.len())]);
            } else {
                if !body.is_empty() {
                    body.push(b'\n');
                }
                let begins = load.joined && self.random.u32(..8) == 0;
                more = usize::from(begins) * (1 + self.random.usize(..MORE_MAX));
            }
            body.extend_from_slice(&event);
            attempts.push((kind, id));
        }
        let outcome = match connection.request("POST", &self.shared.path, &[], &body) {
            Ok(reply) if reply.status == 200 => "acknowledged",
            Ok(_) => "refused",
            Err(_) => "unknown",
        };
        let mut ledger = self.shared.ledger.lock().unwrap();
        for (kind, id) in &attempts {
            writeln!(ledger, "{outcome} {} {id}", kind.as_str()).unwrap();
        }
        drop(ledger);
        let acknowledged = outcome == "acknowledged";
        if acknowledged {
            self.shared
                .acknowledged
                .fetch_add(count as u64, Ordering::SeqCst);
        }
        acknowledged
    }
}
