//! A `DynamoDB` server for the tests, and somebody else's eyes on the lease table.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::daemon::free_port;
use super::node::package;
use super::script::{ask, script};
use super::supervised::Supervised;

/// `dynalite`, with everything in memory.
#[derive(Debug)]
pub struct Dynalite {
    server: Supervised,
    address: SocketAddr,
    tables: AtomicU32,
}

/// A lease table, made or not, and where to reach it.
#[derive(Clone, Debug)]
pub struct LeaseTable {
    pub endpoint: String,
    pub name: String,
}

impl Dynalite {
    /// The server that tests of this process share; each takes a table of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Dynalite> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let server = Supervised::start("dynalite", |command, _| {
            command
                .arg("node")
                .arg(package("dynalite/cli.js"))
                .args(["--port", &address.port().to_string()])
                .args(["--createTableMs", "20", "--deleteTableMs", "20"]);
        });
        Self {
            server,
            address,
            tables: AtomicU32::new(0),
        }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The name of a table that does not exist yet. Waits until the server is ready.
    pub fn table(&self) -> LeaseTable {
        let table = LeaseTable {
            endpoint: format!("http://{}", self.address),
            name: format!("leases-{}", self.tables.fetch_add(1, Ordering::Relaxed)),
        };
        self.server.must(table.ask("ready", &[]));
        table
    }
}

impl LeaseTable {
    /// The lines of the source's table that name it, reached at `endpoint`.
    pub fn lines(&self, endpoint: &str) -> String {
        format!(
            "coordination = \"dynamodb\"\nlease_table = \"{}\"\ndynamodb_endpoint = \"{endpoint}\"",
            self.name
        )
    }

    /// Makes the table, as KCL does.
    pub fn create(&self) {
        self.ask("create", &[]).unwrap();
    }

    /// Everything in it, by lease key; empty where there is no table.
    pub fn items(&self) -> Value {
        self.ask("items", &[]).unwrap()
    }

    /// One attribute of one item, as text; empty where it is missing.
    pub fn attribute(&self, shard: &str, name: &str) -> String {
        let items = self.items();
        items[shard][name].as_str().unwrap_or_default().to_owned()
    }

    /// Somebody else sets attributes of an item, made where it is missing; `null` removes one.
    pub fn set(&self, shard: &str, attributes: &Value) {
        self.ask("set", &[shard, &attributes.to_string()]).unwrap();
    }

    fn ask(&self, action: &str, arguments: &[&str]) -> Result<Value, String> {
        ask(script("support/dynamodb.py")
            .args([&*self.endpoint, action, &*self.name])
            .args(arguments))
    }
}
