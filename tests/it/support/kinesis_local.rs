//! A second Kinesis server, by other hands than the first: it has enhanced fan-out and names child
//! shards. It keeps everything in memory, and is slow.

use super::daemon::free_port;
use super::kinesis::Stream;
use super::node::package;
use super::supervised::Supervised;

/// `kinesis-local` with a stream.
#[derive(Debug)]
pub struct KinesisLocal {
    server: Supervised,
    port: u16,
}

impl KinesisLocal {
    pub fn start() -> Self {
        let (port, tls_port) = (free_port(), free_port());
        let durations = [
            "CREATE_STREAM",
            "DELETE_STREAM",
            "MERGE_SHARDS",
            "REGISTER_STREAM_CONSUMER",
            "SPLIT_SHARD",
        ];
        let server = Supervised::start("kinesis-local", |command, _| {
            command
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
                .envs(durations.map(|what| (format!("{what}_DURATION"), "10ms")));
        });
        Self { server, port }
    }

    /// A new stream. Waits until the server is ready.
    pub fn stream(&self, name: &str, shards: u32) -> Stream {
        let stream = Stream {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            name: name.to_owned(),
        };
        self.server.must(stream.try_create(shards));
        stream
    }
}
