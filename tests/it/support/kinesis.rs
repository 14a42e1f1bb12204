//! A Kinesis server for the tests, and the clients that are not ours.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use super::daemon::{free_port, wait_until};
use super::node::package;
use super::python::python;

/// `kinesalite` with a data directory of its own: it keeps what it has through a restart.
#[derive(Debug)]
pub struct Kinesalite {
    dir: tempfile::TempDir,
    address: SocketAddr,
    streams: AtomicU32,
    supervisor: Mutex<Child>,
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
        let dir = tempfile::Builder::new()
            .prefix("firehose-kinesis-")
            .tempdir()
            .unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let supervisor = Mutex::new(launch(dir.path(), address.port()));
        Self {
            dir,
            address,
            streams: AtomicU32::new(0),
            supervisor,
        }
    }

    /// Ends the server as a crash would, and starts it again over what it has on disk.
    pub fn restart(&self) {
        let mut supervisor = self.supervisor.lock().unwrap();
        end(&mut supervisor);
        *supervisor = launch(self.dir.path(), self.address.port());
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
        if let Err(error) = stream.try_create(shards) {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            panic!("{error}\n--- the server's log\n{log}");
        }
        stream
    }
}

fn launch(dir: &Path, port: u16) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    Command::new(python())
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/support/supervise.py"
        ))
        .arg("node")
        .arg(package("kinesalite/cli.js"))
        .args(["--port", &port.to_string(), "--shardLimit", "1000"])
        .arg("--path")
        .arg(dir.join("data"))
        .args(["--createStreamMs", "20", "--deleteStreamMs", "20"])
        .args(["--updateStreamMs", "20"])
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn end(supervisor: &mut Child) {
    drop(supervisor.stdin.take());
    let _ = supervisor.wait();
}

impl Drop for Kinesalite {
    fn drop(&mut self) {
        end(&mut self.supervisor.lock().unwrap());
    }
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
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), data).unwrap();
        self.ask("put", &[file.path().to_str().unwrap()]).unwrap()
    }

    /// Puts these lines as one aggregate.
    pub fn aggregate(&self, lines: &str) -> Value {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), lines).unwrap();
        let path = file.path().to_str().unwrap();
        self.ask("aggregate", &[path]).unwrap()
    }

    /// Starts `senders` that write down in `ledger` what they were told.
    pub fn produce(&self, ledger: &Path, seed: u64, senders: u32, pause: &str) -> StreamProducer {
        let (seed, senders) = (seed.to_string(), senders.to_string());
        let child = self
            .command(
                "produce",
                &[ledger.to_str().unwrap(), &seed, &senders, "400", pause],
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        StreamProducer(child)
    }

    fn command(&self, action: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(python());
        command
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/it/support/kinesis.py"
            ))
            .args([&*self.endpoint, action, &*self.name])
            .args(arguments);
        command
    }

    fn ask(&self, action: &str, arguments: &[&str]) -> Result<Value, String> {
        let output = self.command(action, arguments).output().unwrap();
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap());
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!("{action} {arguments:?}: {complaint}"))
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
