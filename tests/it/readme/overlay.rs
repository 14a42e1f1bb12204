//! Tables of a document in place of the shipped file's, and servers that are there in place of those which
//! the tables name.

use toml::{Table, Value};

use super::SHIPPED;
use crate::support::daemon::free_port;
use crate::support::dynamodb::Dynalite;
use crate::support::kinesis::{Kinesalite, Stream};
use crate::support::moto::Moto;
use crate::support::servers::Bucket;

/// The shipped file with the tables of `text` in place of its own.
pub fn on_shipped(text: &str) -> Table {
    let mut config: Table = SHIPPED.parse().unwrap();
    let tables: Table = text.parse().unwrap();
    for (kind, of_kind) in tables {
        let Value::Table(of_kind) = of_kind else {
            panic!("{kind} is no table");
        };
        let own = config[&kind].as_table_mut().unwrap();
        if kind == "stream" {
            for (name, tables) in of_kind {
                let stream = own[&name].as_table_mut().unwrap();
                stream.extend(tables.as_table().unwrap().clone());
            }
        } else {
            own.extend(of_kind);
        }
    }
    config
}

/// The same with an S3 store that is there, and with state and a port of its own.
pub fn into(bucket: &Bucket, config: &mut Table) {
    let there = bucket.table(&bucket.endpoint).parse().unwrap();
    clicks(config, "destination").extend::<Table>(there);
    if config["stream"]["clicks"].get("catalog").is_some() {
        let database = Moto::shared().database();
        let location = format!("s3://{}/clicks/", bucket.name);
        database.create("clicks", &location, &["event_type", "year", "month", "day"]);
        let there = database
            .lines("clicks", &database.endpoint)
            .parse()
            .unwrap();
        clicks(config, "catalog").extend::<Table>(there);
    }
    let state_dir = format!("data/state-of-{}", bucket.name);
    config.insert("state_dir".to_owned(), state_dir.into());
    let listen = format!("127.0.0.1:{}", free_port());
    config["http"]
        .as_table_mut()
        .unwrap()
        .insert("listen".to_owned(), listen.into());
}

/// The same with a stream that is there, and a lease table that can be made.
pub fn out_of_a_stream(config: &mut Table) -> Stream {
    let (stream, leases) = (Kinesalite::shared().stream(1), Dynalite::shared().table());
    let source = clicks(config, "source");
    let there = stream.table(&stream.endpoint).parse().unwrap();
    source.extend::<Table>(there);
    if source.contains_key("coordination") {
        let there = leases.lines(&leases.endpoint).parse().unwrap();
        source.extend::<Table>(there);
    }
    stream
}

fn clicks<'a>(config: &'a mut Table, table: &str) -> &'a mut Table {
    let table: &mut Value = &mut config["stream"]["clicks"][table];
    table.as_table_mut().unwrap()
}
