//! Real servers for the tests, on free loopback ports.

use std::collections::HashSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use firehose::config::Secret;
use firehose::destination::S3Settings;
use serde_json::Value;

use super::oracle::Lake;
use super::python::python;
use super::script::{ask, script};
use super::supervised::Supervised;

const ACCESS_KEY_ID: &str = "firehose-tests";
const SECRET_ACCESS_KEY: &str = "firehose-tests-secret";

/// `SeaweedFS` as an S3 store with a data directory of its own. It ends with the tests, however
/// those end.
#[derive(Debug)]
pub struct Weed {
    server: Supervised,
    address: SocketAddr,
    buckets: AtomicU32,
}

/// A bucket, and where to reach it.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub endpoint: String,
    pub name: String,
    pub access_key_id: &'static str,
    pub secret_access_key: &'static str,
}

/// An object as the foreign client sees it.
#[derive(Debug)]
pub struct Object {
    pub bytes: Vec<u8>,
    /// See `s3.py` for the fields.
    pub told: Value,
}

impl Weed {
    /// The server that all tests of this process share; each takes a bucket of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Weed> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a server. It is ready when its first bucket is.
    pub fn start() -> Self {
        let identities = serde_json::json!({"identities": [{
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        let [
            s3,
            s3_grpc,
            master,
            master_grpc,
            volume,
            volume_grpc,
            filer,
            filer_grpc,
        ] = free_ports();
        let server = Supervised::start("weed", |command, dir| {
            let config = dir.join("s3.json");
            fs::write(&config, identities.to_string()).unwrap();
            command
                .arg(python().with_file_name("weed"))
                .args([
                    "-logtostderr=true",
                    "server",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-filer",
                ])
                .args([
                    "-s3",
                    "-s3.autoCreateBucket=false",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                ])
                .args([
                    "-volume.max=1000",
                    "-volume.preStopSeconds=0",
                    "-master.telemetry=false",
                ])
                .arg("-master.volumeSizeLimitMB=1024")
                .arg(format!("-dir={}", dir.display()))
                .arg(format!("-s3.config={}", config.display()))
                .args([format!("-s3.port={s3}"), format!("-s3.port.grpc={s3_grpc}")])
                .args([
                    format!("-master.port={master}"),
                    format!("-master.port.grpc={master_grpc}"),
                ])
                .args([
                    format!("-volume.port={volume}"),
                    format!("-volume.port.grpc={volume_grpc}"),
                ])
                .args([
                    format!("-filer.port={filer}"),
                    format!("-filer.port.grpc={filer_grpc}"),
                ])
                // Each bucket takes volumes of its own: one, not seven.
                .env("WEED_MASTER_VOLUME_GROWTH_COPY_1", "1")
                // Without a key it has no SSE-S3.
                .env("WEED_S3_SSE_KEK", "5e".repeat(32))
                .env("WEED_S3_SSE_KEK_PASSPHRASE", "tests");
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, s3));
        Self {
            server,
            address,
            buckets: AtomicU32::new(0),
        }
    }

    /// Where S3 is served.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new bucket. Waits until the server is ready.
    pub fn bucket(&self) -> Bucket {
        let number = self.buckets.fetch_add(1, Ordering::Relaxed);
        self.bucket_named(&format!("bucket-{number}"))
    }

    /// The same, by a name of its own.
    pub fn bucket_named(&self, name: &str) -> Bucket {
        let bucket = Bucket {
            endpoint: format!("http://{}", self.address),
            name: name.to_owned(),
            access_key_id: ACCESS_KEY_ID,
            secret_access_key: SECRET_ACCESS_KEY,
        };
        self.server.must(bucket.ask("create", &[]));
        bucket
    }
}

impl Bucket {
    /// The destination's settings.
    pub fn settings(&self) -> S3Settings {
        S3Settings {
            bucket: self.name.clone(),
            region: Some("us-east-1".into()),
            endpoint: Some(self.endpoint.clone()),
            path_style: true,
            access_key_id: Some(self.access_key_id.into()),
            secret_access_key: Some(Secret(self.secret_access_key.into())),
            ..S3Settings::default()
        }
    }

    /// The lines of the destination's table that name it, reached at `endpoint`.
    pub fn table(&self, endpoint: &str) -> String {
        let Self {
            name,
            access_key_id,
            secret_access_key,
            ..
        } = self;
        format!(
            r#"type = "s3"
bucket = "{name}"
region = "us-east-1"
endpoint = "{endpoint}"
access_key_id = "{access_key_id}"
secret_access_key = "{secret_access_key}""#
        )
    }

    /// For the foreign reader.
    pub fn lake(&self) -> Lake<'_> {
        Lake::S3 {
            endpoint: &self.endpoint,
            bucket: &self.name,
            access_key_id: self.access_key_id,
            secret_access_key: self.secret_access_key,
        }
    }

    /// An object as boto3 sees it; `None` when there is none.
    pub fn get(&self, key: &str) -> Option<Object> {
        let file = tempfile::NamedTempFile::new().unwrap();
        match self.ask("get", &[key, path(file.path())]) {
            Ok(told) => Some(Object {
                bytes: fs::read(file.path()).unwrap(),
                told,
            }),
            Err(error) if error.contains("NoSuchKey") => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Puts somebody else's object.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        self.ask("put", &[key, path(file.path())]).unwrap();
    }

    /// Puts so many objects of somebody else's, each under `head` and a number.
    pub fn put_many(&self, head: &str, count: u32) {
        self.ask("put_many", &[head, &count.to_string()]).unwrap();
    }

    /// All keys.
    pub fn keys(&self) -> Vec<String> {
        strings(&self.ask("keys", &[]).unwrap())
    }

    /// Copies all objects into a folder.
    pub fn download(&self, to: &Path) {
        self.ask("download", &[path(to)]).unwrap();
    }

    /// Multipart uploads that are neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        strings(&self.ask("uploads", &[]).unwrap())
    }

    /// Somebody else aborts those uploads.
    pub fn abort_uploads(&self) {
        self.ask("abort_uploads", &[]).unwrap();
    }

    /// Number of parts that have arrived for those uploads.
    pub fn parts(&self) -> u64 {
        self.ask("parts", &[]).unwrap().as_u64().unwrap()
    }

    fn ask(&self, action: &str, arguments: &[&str]) -> Result<Value, String> {
        ask(script("support/s3.py")
            .args([&self.endpoint, self.access_key_id, self.secret_access_key])
            .args([action, &self.name])
            .args(arguments))
    }
}

fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().unwrap().iter();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Ports that nobody listens on. All are held until all are found, so that none repeats.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: Vec<_> = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
        .collect();
    let ports: HashSet<u16> = held
        .iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect();
    let ports: Vec<u16> = ports.into_iter().collect();
    ports.try_into().unwrap()
}
