//! Real clients against the running binary: boto3 and the AWS CLI speak Firehose's own API.

use std::process::Command;

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::lake;
use crate::support::python::python;
use crate::support::settings::{CLICKS, ToFolder};

/// Records that `firehose_api.py` puts and that are answered with an id.
const RECORDS: usize = 520;

#[test]
fn boto3_and_the_aws_cli_find_the_api_they_know_and_every_record_is_delivered() {
    let kinds = ToFolder {
        query: "{kind: \"record\"}",
        prefix: "data/kind=!{partitionKeyFromQuery:kind}/",
        ..CLICKS
    };
    let site = Site::new(&kinds.settings());
    let daemon = site.start();
    succeed(
        Command::new(python())
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/clients/firehose_api.py"
            ))
            .args([&format!("http://{}", site.address), "clicks"]),
    );
    daemon.drain();
    let lake = site.path("lake");
    let delivered = lake::lines(&lake, "data").len() + lake::failed_records(&lake, "errors").len();
    assert_eq!(delivered, RECORDS);
}
