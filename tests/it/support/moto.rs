//! A Glue Data Catalog for the tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::daemon::free_port;
use super::python::python;
use super::script::{ask, script};
use super::supervised::Supervised;

/// `moto`, with everything in memory.
#[derive(Debug)]
pub struct Moto {
    server: Supervised,
    address: SocketAddr,
    databases: AtomicU32,
}

/// A database in it.
#[derive(Clone, Debug)]
pub struct GlueDatabase {
    pub endpoint: String,
    pub name: String,
}

impl Moto {
    /// The server that tests of this process share; each takes a database of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let server = Supervised::start("moto", |command, _| {
            command
                .arg(python().with_file_name("moto_server"))
                .args(["--host", "127.0.0.1"])
                .args(["--port", &address.port().to_string()]);
        });
        Self {
            server,
            address,
            databases: AtomicU32::new(0),
        }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new database. Waits until the server is ready.
    pub fn database(&self) -> GlueDatabase {
        let database = GlueDatabase {
            endpoint: format!("http://{}", self.address),
            name: format!("lake_{}", self.databases.fetch_add(1, Ordering::Relaxed)),
        };
        self.server.must(database.ask("database", &[]));
        database
    }
}

impl GlueDatabase {
    /// The catalog's table of the config, reached at `endpoint`.
    pub fn lines(&self, table: &str, endpoint: &str) -> String {
        format!(
            "type = \"glue\"\ntable = \"{}.{table}\"\nregion = \"us-east-1\"\nendpoint = \"{endpoint}\"\n\
             access_key_id = \"firehose-tests\"\nsecret_access_key = \"firehose-tests-secret\"",
            self.name
        )
    }

    /// Makes a table over what lies at `location`.
    pub fn create(&self, table: &str, location: &str, keys: &[&str]) {
        self.ask("create", &[table, location, &keys.join(",")])
            .unwrap();
    }

    /// The table as it is.
    pub fn table(&self, table: &str) -> Value {
        self.ask("table", &[table]).unwrap()
    }

    /// Somebody gives the table these columns, and the parameter `theirs`.
    pub fn alter(&self, table: &str, columns: &Value) {
        self.ask("alter", &[table, &columns.to_string()]).unwrap();
    }

    /// Its partitions: `values`, `place` and all else of the `storage`.
    pub fn partitions(&self, table: &str) -> Vec<Value> {
        let found = self.ask("partitions", &[table]).unwrap();
        found.as_array().unwrap().clone()
    }

    /// Somebody deletes all partitions.
    pub fn forget(&self, table: &str) {
        self.ask("forget", &[table]).unwrap();
    }

    fn ask(&self, action: &str, arguments: &[&str]) -> Result<Value, String> {
        ask(script("support/moto.py")
            .args([&self.endpoint, action, &self.name])
            .args(arguments))
    }
}
