//! A proxy between the daemon and an HTTP/1.1 server that does to requests what networks and
//! overloaded stores do, by a plan whose choices follow a seed.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// How long a slow exchange is held up.
const SLOW: Duration = Duration::from_millis(200);
/// Longest head of a message.
const HEAD_MAX: usize = 64 << 10;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Nothing: it is forwarded and answered.
    Pass,
    /// The store answers 500 `InternalError`; it has not seen the request.
    InternalError,
    /// The store answers 503 `SlowDown`; it has not seen the request.
    SlowDown,
    /// Kinesis answers that there are too many requests; it has not seen this one.
    Throttled,
    /// Kinesis answers that the iterator has expired, where the request has one.
    ExpiredIterator,
    /// The connection is reset before the store has seen the request.
    ResetBefore,
    /// The connection is reset after the store has carried the request out: a lost reply.
    ResetAfter,
    /// It takes its time.
    Slow,
}

/// One request as it passed.
#[derive(Clone, Debug)]
pub struct Passed {
    /// Method and target, e.g. `PUT /bucket/key?partNumber=1`.
    pub line: String,
    pub fault: Fault,
}

/// The proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    _end: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Plan {
    random: fastrand::Rng,
    /// Faults with the number of requests in a hundred that they hit; the others pass.
    mix: Vec<(Fault, usize)>,
    /// What happens to the next requests: the mix, shuffled and dealt. Were each thrown for anew, a
    /// fault could stay out by chance.
    deck: Vec<Fault>,
    /// Faults for the next requests with this method, before the mix is asked.
    next: VecDeque<(String, Fault)>,
    /// Method and a part of the target of requests that are refused, before anything else is asked.
    refused: Vec<(&'static str, &'static str)>,
    passed: Vec<Passed>,
}

impl Proxy {
    /// Starts a proxy in front of `upstream`. `mix`: faults and how many of each hundred requests
    /// each hits.
    pub fn start(upstream: SocketAddr, seed: u64, mix: &[(Fault, usize)]) -> Self {
        let plan = Arc::new(Mutex::new(Plan {
            random: fastrand::Rng::with_seed(seed),
            mix: mix.to_vec(),
            deck: Vec::new(),
            next: VecDeque::new(),
            refused: Vec::new(),
            passed: Vec::new(),
        }));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let plans = Arc::clone(&plan);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(&listener, upstream, &plans) => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            address,
            plan,
            _end: end,
        }
    }

    /// What to use as the endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on everything passes.
    pub fn calm(&self) {
        let mut plan = self.plan.lock().unwrap();
        plan.mix.clear();
        plan.deck.clear();
        plan.next.clear();
        plan.refused.clear();
    }

    /// From now on these faults hit so many of each hundred requests.
    pub fn change(&self, mix: &[(Fault, usize)]) {
        let mut plan = self.plan.lock().unwrap();
        plan.mix = mix.to_vec();
        plan.deck.clear();
    }

    /// The next request with this method suffers `fault`; calls queue up.
    pub fn next(&self, method: &str, fault: Fault) {
        self.plan
            .lock()
            .unwrap()
            .next
            .push_back((method.to_owned(), fault));
    }

    /// From now on the store answers 503 to requests with this method and this in their target.
    pub fn refuse(&self, method: &'static str, part: &'static str) {
        self.plan.lock().unwrap().refused.push((method, part));
    }

    /// How many requests each fault has hit, those that passed included.
    pub fn counts(&self) -> BTreeMap<Fault, usize> {
        let mut counts = BTreeMap::new();
        for passed in &self.plan.lock().unwrap().passed {
            *counts.entry(passed.fault).or_default() += 1;
        }
        counts
    }

    /// Forgets and returns the requests seen so far, in order.
    pub fn passed(&self) -> Vec<Passed> {
        std::mem::take(&mut self.plan.lock().unwrap().passed)
    }
}

impl Plan {
    /// What happens to a request.
    fn choose(&mut self, line: &str) -> Fault {
        let method = line.split(' ').next().unwrap_or_default();
        let mut refused = self.refused.iter();
        let is_refused = refused.any(|(wanted, part)| *wanted == method && line.contains(part));
        let waiting = self.next.iter().position(|(wanted, _)| wanted == method);
        let fault = match waiting.and_then(|at| self.next.remove(at)) {
            _ if is_refused => Fault::SlowDown,
            Some((_, fault)) => fault,
            None => self.deal(),
        };
        let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        self.passed.push(Passed { line, fault });
        fault
    }

    fn deal(&mut self) -> Fault {
        if self.deck.is_empty() {
            for &(fault, share) in &self.mix {
                self.deck.extend(std::iter::repeat_n(fault, share));
            }
            self.deck.resize(100, Fault::Pass);
            self.random.shuffle(&mut self.deck);
        }
        self.deck.pop().unwrap_or(Fault::Pass)
    }
}

async fn accept(listener: &TcpListener, upstream: SocketAddr, plan: &Arc<Mutex<Plan>>) {
    while let Ok((client, _)) = listener.accept().await {
        let plan = Arc::clone(plan);
        tokio::spawn(async move {
            // A side that hangs up ends the connection; both see it.
            let _ = serve(client, upstream, &plan).await;
        });
    }
}

/// Carries requests of one client connection until a side closes or a fault resets it.
async fn serve(client: TcpStream, upstream: SocketAddr, plan: &Mutex<Plan>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = BufReader::new(client);
    let store = TcpStream::connect(upstream).await?;
    store.set_nodelay(true)?;
    let mut store = BufReader::new(store);
    while let Some(request) = Message::read(&mut client, false).await? {
        let fault = plan.lock().unwrap().choose(request.first_line());
        match fault {
            Fault::InternalError => client.write_all(&refusal(500, "InternalError")).await?,
            Fault::SlowDown => client.write_all(&refusal(503, "SlowDown")).await?,
            Fault::Throttled => {
                let reply = kinesis_refusal("ProvisionedThroughputExceededException");
                client.write_all(&reply).await?;
            }
            Fault::ExpiredIterator if request.asks_for_records() => {
                let reply = kinesis_refusal("ExpiredIteratorException");
                client.write_all(&reply).await?;
            }
            Fault::ResetBefore => return client.get_ref().set_zero_linger(),
            Fault::Pass | Fault::ResetAfter | Fault::Slow | Fault::ExpiredIterator => {
                store.write_all(&request.bytes).await?;
                let bodiless = request.first_line().starts_with("HEAD ");
                let Some(reply) = Message::read(&mut store, bodiless).await? else {
                    return Ok(());
                };
                if fault == Fault::ResetAfter {
                    return client.get_ref().set_zero_linger();
                }
                if fault == Fault::Slow {
                    tokio::time::sleep(SLOW).await;
                }
                client.write_all(&reply.bytes).await?;
                if reply.ends_connection {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// An S3 error as the store would send it.
fn refusal(status: u16, code: &str) -> Vec<u8> {
    let body = format!("<Error><Code>{code}</Code><Message>injected</Message></Error>");
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {code}\r\ncontent-type: application/xml\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// An error of Kinesis as it would send it.
fn kinesis_refusal(code: &str) -> Vec<u8> {
    let body = format!(r#"{{"__type":"{code}","message":"injected"}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amzn-errortype: {code}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request or reply, whole and as it came.
struct Message {
    bytes: Vec<u8>,
    first_line: usize,
    ends_connection: bool,
}

impl Message {
    /// The next message; `None` when the side has closed. `bodiless`: the reply to a HEAD.
    async fn read(from: &mut BufReader<TcpStream>, bodiless: bool) -> io::Result<Option<Self>> {
        let mut message = Self {
            bytes: Vec::new(),
            first_line: 0,
            ends_connection: false,
        };
        let (mut length, mut chunked) = (None, false);
        loop {
            let begin = message.bytes.len();
            if from.read_until(b'\n', &mut message.bytes).await? == 0 {
                return if begin == 0 {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
            if message.bytes.len() > HEAD_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let line = String::from_utf8_lossy(&message.bytes[begin..]).to_ascii_lowercase();
            let line = line.trim_end();
            if begin == 0 {
                message.first_line = message.bytes.len();
            } else if line.is_empty() {
                break;
            } else if let Some((name, value)) = line.split_once(':') {
                match (name, value.trim()) {
                    ("content-length", value) => length = value.parse::<u64>().ok(),
                    ("transfer-encoding", "chunked") => chunked = true,
                    ("connection", "close") => message.ends_connection = true,
                    ("expect", _) => from.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?,
                    _ => {}
                }
            }
        }
        let first_line = message.first_line().to_owned();
        let is_reply = first_line.starts_with("HTTP/");
        if is_reply && first_line.contains(" 100 ") {
            return Box::pin(Self::read(from, bodiless)).await;
        }
        let empty = is_reply && (first_line.contains(" 204 ") || first_line.contains(" 304 "));
        if bodiless || empty {
            return Ok(Some(message));
        }
        if chunked {
            message.read_chunks(from).await?;
        } else if let Some(length) = length {
            let body = from.take(length).read_to_end(&mut message.bytes).await?;
            if body as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        } else if is_reply {
            from.read_to_end(&mut message.bytes).await?;
            message.ends_connection = true;
        }
        Ok(Some(message))
    }

    /// Chunks up to the last, empty one, and the trailer.
    async fn read_chunks(&mut self, from: &mut BufReader<TcpStream>) -> io::Result<()> {
        loop {
            let begin = self.bytes.len();
            from.read_until(b'\n', &mut self.bytes).await?;
            let line = String::from_utf8_lossy(&self.bytes[begin..]);
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                break;
            }
            from.take(size + 2).read_to_end(&mut self.bytes).await?;
        }
        loop {
            let begin = self.bytes.len();
            from.read_until(b'\n', &mut self.bytes).await?;
            if self.bytes[begin..].iter().all(u8::is_ascii_whitespace) {
                return Ok(());
            }
        }
    }

    fn asks_for_records(&self) -> bool {
        let wanted = b"Kinesis_20131202.GetRecords";
        self.bytes
            .windows(wanted.len())
            .any(|bytes| bytes == wanted)
    }

    fn first_line(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.first_line]).unwrap_or_default()
    }
}
