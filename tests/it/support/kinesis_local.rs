//! A second Kinesis server, by other hands than the first: it has enhanced fan-out and names child
//! shards. It keeps everything in memory, and is slow.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use super::daemon::free_port;
use super::kinesis::Stream;
use super::node::package;
use super::python::python;

/// `kinesis-local` with a stream.
#[derive(Debug)]
pub struct KinesisLocal {
    dir: tempfile::TempDir,
    port: u16,
    supervisor: Child,
}

impl KinesisLocal {
    pub fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("firehose-kinesis-local-")
            .tempdir()
            .unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let log = File::create(dir.path().join("log")).unwrap();
        let supervisor = Command::new(python())
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/it/support/supervise.py"
            ))
            .arg("node")
            .arg(package("kinesis-local/main.js"))
            .env(
                "KINESIS_MOCK_CERT_PATH",
                package("kinesis-local/server.json"),
            )
            .env("KINESIS_MOCK_PLAIN_PORT", port.to_string())
            .env("KINESIS_MOCK_TLS_PORT", tls_port.to_string())
            .env("SHARD_LIMIT", "200")
            .env("LOG_LEVEL", "ERROR")
            .envs(
                [
                    "CREATE_STREAM",
                    "DELETE_STREAM",
                    "MERGE_SHARDS",
                    "REGISTER_STREAM_CONSUMER",
                    "SPLIT_SHARD",
                ]
                .map(|what| (format!("{what}_DURATION"), "10ms")),
            )
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            dir,
            port,
            supervisor,
        }
    }

    /// A new stream. Waits until the server is ready.
    pub fn stream(&self, name: &str, shards: u32) -> Stream {
        let stream = Stream {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            name: name.to_owned(),
        };
        if let Err(error) = stream.try_create(shards) {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            panic!("{error}\n--- the server's log\n{log}");
        }
        stream
    }
}

impl Drop for KinesisLocal {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}
