//! The keys of a shared stream.

use std::time::Duration;

use super::load;
use crate::config::{AwsAccess, CoordinationSettings, SourceSettings};

fn shared(lines: &str) -> CoordinationSettings {
    let text = format!(
        "[stream.c.source]\ntype = \"kinesis\"\ncoordination = \"dynamodb\"\n{lines}\n\
         [stream.c.destination]\ntype = \"s3\"\nbucket = \"lake\"\n"
    );
    let source = &load(&text).config.streams["c"].source;
    assert!(source.is_shared());
    match source {
        SourceSettings::Kinesis(settings) => settings.coordination.clone().unwrap(),
        SourceSettings::DirectPut { .. } => panic!("not kinesis"),
    }
}

#[test]
fn the_table_is_named_after_the_stream_and_reached_as_kinesis_is() {
    let arn = "arn:aws:kinesis:eu-central-1:123456789012:stream/clicks";
    let least = shared(&format!(
        "stream = \"{arn}\"\nendpoint = \"http://k:1\"\nprofile = \"p\""
    ));
    let expected = CoordinationSettings {
        table: "firehose-c".into(),
        worker: None,
        failover: Duration::from_secs(10),
        access: AwsAccess {
            region: Some("eu-central-1".into()),
            profile: Some("p".into()),
            ..AwsAccess::default()
        },
    };
    assert_eq!(least, expected);
}

#[test]
fn all_of_it_can_be_told() {
    let told = shared(
        "stream = \"clicks\"\nlease_table = \"app\"\nworker = \"one\"\nfailover = \"4s\"\n\
         dynamodb_endpoint = \"http://d:1\"",
    );
    assert_eq!((&*told.table, told.worker.as_deref()), ("app", Some("one")));
    assert_eq!(told.failover, Duration::from_secs(4));
    assert_eq!(told.access.endpoint.as_deref(), Some("http://d:1"));
}
