//! A Kinesis server for the tests, and the clients that are not ours.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::daemon::{free_port, wait_until};
use super::node::package;
use super::script::{ask, script};
use super::supervised::Supervised;

/// `kinesalite` with a data directory of its own: it keeps what it has through a restart.
#[derive(Debug)]
pub struct Kinesalite {
    server: Supervised,
    address: SocketAddr,
    streams: AtomicU32,
}

/// A stream, and where to reach it.
#[derive(Clone, Debug)]
pub struct Stream {
    pub endpoint: String,
    pub name: String,
}

/// A producer that sends plain records and aggregates until it is told to stop.
#[derive(Debug)]
pub struct StreamProducer(Child);

impl Kinesalite {
    /// The server that tests of this process share; each takes a stream of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kinesalite> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a server. It is ready when its first stream is.
    pub fn start() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let server = Supervised::start("kinesis", |command, dir| {
            serve(command, dir, address.port());
        });
        Self {
            server,
            address,
            streams: AtomicU32::new(0),
        }
    }

    /// Ends the server as a crash would, and starts it again over what it has on disk.
    pub fn restart(&self) {
        self.server
            .restart(|command, dir| serve(command, dir, self.address.port()));
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The name of a stream that does not exist yet.
    pub fn name(&self) -> Stream {
        Stream {
            endpoint: format!("http://{}", self.address),
            name: format!("stream-{}", self.streams.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// A new stream. Waits until the server is ready.
    pub fn stream(&self, shards: u32) -> Stream {
        let stream = self.name();
        self.server.must(stream.try_create(shards));
        stream
    }
}

/// The server's command line.
fn serve(command: &mut Command, dir: &Path, port: u16) {
    command
        .arg("node")
        .arg(package("kinesalite/cli.js"))
        .args(["--port", &port.to_string(), "--shardLimit", "1000"])
        .arg("--path")
        .arg(dir.join("data"))
        .args(["--createStreamMs", "20", "--deleteStreamMs", "20"])
        .args(["--updateStreamMs", "20"]);
}

impl Stream {
    /// The lines of the source's table that name it, reached at `endpoint`.
    pub fn table(&self, endpoint: &str) -> String {
        format!(
            r#"type = "kinesis"
stream = "{}"
region = "us-east-1"
endpoint = "{endpoint}"
access_key_id = "firehose-tests"
secret_access_key = "firehose-tests-secret""#,
            self.name
        )
    }

    /// Makes it, with so many shards.
    pub fn create(&self, shards: u32) {
        self.try_create(shards).unwrap();
    }

    /// The same; waits until the server is ready, and says what it said if it never is.
    pub fn try_create(&self, shards: u32) -> Result<(), String> {
        self.ask("create", &[&shards.to_string()]).map(|_| ())
    }

    pub fn delete(&self) {
        self.ask("delete", &[]).unwrap();
    }

    /// Splits one of its shards.
    pub fn split(&self, seed: u64) {
        self.ask("split", &[&seed.to_string()]).unwrap();
    }

    /// Merges two of its shards.
    pub fn merge(&self, seed: u64) {
        self.ask("merge", &[&seed.to_string()]).unwrap();
    }

    /// Puts one record.
    pub fn put(&self, data: &[u8]) -> Value {
        self.put_under("key", data)
    }

    /// The same under a partition key, by which it comes to a shard.
    pub fn put_under(&self, key: &str, data: &[u8]) -> Value {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), data).unwrap();
        let path = file.path().to_str().unwrap();
        self.ask("put", &[path, key]).unwrap()
    }

    /// Puts these lines as one aggregate.
    pub fn aggregate(&self, lines: &str) -> Value {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), lines).unwrap();
        let path = file.path().to_str().unwrap();
        self.ask("aggregate", &[path]).unwrap()
    }

    /// Starts `senders` that write down in `ledger` what they were told. One record in eight is several
    /// events.
    pub fn produce(&self, ledger: &Path, seed: u64, senders: u32, pause: &str) -> StreamProducer {
        self.send(ledger, seed, senders, &[pause, "joined"])
    }

    /// The same, each event a record.
    pub fn produce_alone(
        &self,
        ledger: &Path,
        seed: u64,
        senders: u32,
        pause: &str,
    ) -> StreamProducer {
        self.send(ledger, seed, senders, &[pause, "alone"])
    }

    fn send(&self, ledger: &Path, seed: u64, senders: u32, how: &[&str]) -> StreamProducer {
        let (seed, senders) = (seed.to_string(), senders.to_string());
        let who = [ledger.to_str().unwrap(), &seed, &senders, "400"];
        let child = self
            .command("produce", &[&who, how].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        StreamProducer(child)
    }

    fn command(&self, action: &str, arguments: &[&str]) -> Command {
        let mut command = script("support/kinesis.py");
        command
            .args([&*self.endpoint, action, &*self.name])
            .args(arguments);
        command
    }

    fn ask(&self, action: &str, arguments: &[&str]) -> Result<Value, String> {
        ask(&mut self.command(action, arguments))
    }
}

impl StreamProducer {
    /// Stops after the requests in flight, and closes the ledger.
    pub fn finish(mut self) {
        drop(self.0.stdin.take());
        let mut ended = None;
        wait_until("the producer has ended", || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        assert!(ended.unwrap().success(), "the producer failed");
    }
}

impl Drop for StreamProducer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
