//! Real clients against the running binary: boto3 and the AWS CLI speak Firehose's own API.

use std::process::Command;

use crate::support::daemon::Site;
use crate::support::lake;
use crate::support::python::python;

/// Records that `firehose_api.py` puts and that are answered with an id.
const RECORDS: usize = 520;

#[test]
fn boto3_and_the_aws_cli_find_the_api_they_know_and_every_record_is_delivered() {
    let site = Site::new(
        r#"
state_dir = "state"

[stream.clicks.source]
type = "direct-put"

[stream.clicks.partitioning]
query = '{kind: "record"}'

[stream.clicks.buffering]
size = "64MiB"
interval = "900s"

[stream.clicks.format]
type = "json"
compression = "none"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "data/kind=!{partitionKeyFromQuery:kind}/"
error_prefix = "errors/!{firehose:error-output-type}/"
"#,
    );
    let daemon = site.start();
    let output = Command::new(python())
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/clients/firehose_api.py"
        ))
        .args([&format!("http://{}", site.address), "clicks"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    daemon.drain();
    let lake = site.path("lake");
    let delivered = lake::lines(&lake, "data").len() + lake::failed_records(&lake, "errors").len();
    assert_eq!(delivered, RECORDS);
}
