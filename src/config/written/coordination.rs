//! The keys of `[stream.X.source]` by which several daemons share the shards of a stream.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::access::{self, NAME_MAX};
use crate::config::diagnostic::Diagnostic;
use crate::config::table::Table;
use crate::config::{AwsAccess, CoordinationSettings};

/// Keys that only a shared stream has.
const KEYS: &[&str] = &["lease_table", "dynamodb_endpoint", "worker", "failover"];
/// What KCL has, too.
const DEFAULT_FAILOVER: Duration = Duration::from_secs(10);
/// A lease is renewed three times in it; a longer one leaves a dead worker's shards unread.
const FAILOVER_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);
/// `DynamoDB`'s limits of the names of tables.
const TABLE_NAME: RangeInclusive<usize> = 3..=255;

/// The keys as read; the region and the credentials are those of the source.
pub struct CoordinationKeys {
    table: String,
    worker: Option<String>,
    failover: Duration,
    endpoint: Option<String>,
}

/// Reads the keys; `None`: one daemon reads the stream, or a key is wrong (the fault is reported).
pub fn read(table: &mut Table<'_>, delivery_stream: &str) -> Option<CoordinationKeys> {
    if !table.has("coordination") {
        table.only_with(KEYS, "`coordination = \"dynamodb\"`");
        return None;
    }
    let is_known = table.word("coordination", &[("dynamodb", ())]).is_some();
    let name = lease_table(table, delivery_stream);
    let worker = table.name_text("worker", NAME_MAX);
    let failover = table.duration("failover", FAILOVER_BOUNDS);
    let endpoint = access::endpoint(table, "dynamodb_endpoint");
    is_known.then_some(())?;
    Some(CoordinationKeys {
        table: name?,
        worker,
        failover: failover.map_or(DEFAULT_FAILOVER, |found| found.value),
        endpoint,
    })
}

fn lease_table(table: &mut Table<'_>, delivery_stream: &str) -> Option<String> {
    if !table.has("lease_table") {
        return Some(format!("firehose-{delivery_stream}"));
    }
    let place = table.place_of("lease_table");
    let name = table.name_text("lease_table", NAME_MAX)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if TABLE_NAME.contains(&name.len()) && name.bytes().all(allowed) {
        return Some(name);
    }
    let message = format!("\"{name}\" cannot be the name of a DynamoDB table");
    let help = "a name has 3 to 255 of letters, digits, `_`, `.` and `-`";
    let fault = Diagnostic::fault(place, message).help(help);
    table.file.report(fault);
    None
}

impl CoordinationKeys {
    /// The settings of a stream that is reached so.
    pub fn reached_like(self, source: &AwsAccess) -> CoordinationSettings {
        CoordinationSettings {
            table: self.table,
            worker: self.worker,
            failover: self.failover,
            access: AwsAccess {
                endpoint: self.endpoint,
                ..source.clone()
            },
        }
    }
}
