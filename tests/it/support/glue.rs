//! A Glue Data Catalog for the tests, and somebody else who keeps it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::daemon::{Daemon, Site, free_port};
use super::python::python;
use super::script::{ask, script};
use super::supervised::Supervised;

/// The keys with which daemons ask it.
const ENVIRONMENT: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "firehose-tests"),
    ("AWS_SECRET_ACCESS_KEY", "firehose-tests-secret"),
];

/// `moto`, with everything in memory.
#[derive(Debug)]
pub struct Moto {
    server: Supervised,
    address: SocketAddr,
    databases: AtomicU32,
}

/// A database of the catalog, and where to reach it.
#[derive(Clone, Debug)]
pub struct Database {
    pub endpoint: String,
    pub name: String,
}

impl Moto {
    /// The server that tests of this process share; each takes a database of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        SHARED.get_or_init(|| Self::at(free_port()))
    }

    /// A server of one's own at a port.
    pub fn at(port: u16) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server = Supervised::start("moto", |command, _| {
            command
                .arg(python().with_file_name("moto_server"))
                .args(["--host", &address.ip().to_string()])
                .args(["--port", &port.to_string()]);
        });
        Self {
            server,
            address,
            databases: AtomicU32::new(0),
        }
    }

    /// A new database. Waits until the server is ready.
    pub fn database(&self) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let database = Database {
            endpoint: format!("http://{}", self.address),
            name: format!("web_{number}"),
        };
        self.server.must(database.ask("database", &[]));
        database
    }
}

impl Database {
    /// Makes a table with these columns, or gives it them; its version then.
    pub fn put(&self, table: &str, columns: &[(&str, &str)]) -> String {
        let columns = json!(columns).to_string();
        let version = self.ask("put", &[table, &columns]).unwrap();
        version.as_str().unwrap().to_owned()
    }

    /// The lines of a format that name a table of it, reached at `endpoint`.
    pub fn lines(&self, table: &str, endpoint: &str) -> String {
        format!(
            "glue_table = \"{}.{table}\"\nglue_endpoint = \"{endpoint}\"\nglue_refresh = \"1s\"",
            self.name
        )
    }

    /// The same of one version of it, which is read once.
    pub fn version_lines(&self, table: &str, version: u64) -> String {
        let lines = self.lines(table, &self.endpoint);
        let (lines, _) = lines.rsplit_once('\n').unwrap();
        format!("{lines}\nglue_version = {version}")
    }

    fn ask(&self, action: &str, arguments: &[&str]) -> Result<Value, String> {
        ask(script("support/glue.py")
            .args([&self.endpoint, action, &self.name])
            .args(arguments))
    }
}

/// A daemon that may ask the catalog.
pub fn start(site: &Site) -> Daemon {
    site.spawn(&ENVIRONMENT)
}
