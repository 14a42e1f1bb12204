//! The table of a source that reads from Kinesis.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::{self, Secret};
use crate::registry::registry;

/// The source of stream `c`.
fn load(text: &str) -> SourceSettings {
    let secret = |name: &str| (name == "SECRET").then(|| "s3cr3t".to_owned());
    let loaded = config::parse(text, Path::new("firehose.toml"), &secret, &registry());
    loaded.unwrap().config.streams["c"].source.clone()
}

#[test]
fn a_kinesis_source_is_named_by_name_or_arn_and_begins_where_it_is_told() {
    let source = |lines: &str| {
        let text = format!(
            "[stream.c.source]\ntype = \"kinesis\"\n{lines}\n[stream.c.destination]\n\
             type = \"folder\"\npath = \"out\"\n"
        );
        let source = load(&text);
        source.get::<KinesisSettings>().unwrap().clone()
    };
    let named = source("stream = \"clicks\"");
    assert_eq!((&*named.stream, named.arn), ("clicks", None));
    assert_eq!(named.start, StartSettings::TrimHorizon);
    assert_eq!(named.consumer, ConsumerSettings::Polling);
    assert_eq!(named.access, AwsAccess::default());
    let arn = "arn:aws:kinesis:eu-central-1:123456789012:stream/clicks";
    let named = source(&format!("stream = \"{arn}\"\nstart = \"latest\""));
    assert_eq!(
        (&*named.stream, named.arn.as_deref()),
        ("clicks", Some(arn))
    );
    assert_eq!(named.access.region.as_deref(), Some("eu-central-1"));
    assert_eq!(named.start, StartSettings::Latest);
    let named = source(
        "stream = \"clicks\"\nstart = \"1970-01-01T01:00:01+01:00\"\nendpoint = \"http://k:1\"\n\
         consumer = \"enhanced-fan-out\"\n\
         access_key_id = \"A\"\nsecret_access_key = \"${SECRET}\"\nprofile = \"p\"",
    );
    assert_eq!(named.start, StartSettings::Time(1000));
    let name = "firehose-c".to_owned();
    assert_eq!(named.consumer, ConsumerSettings::FanOut { name });
    let access = AwsAccess {
        region: None,
        endpoint: Some("http://k:1".into()),
        profile: Some("p".into()),
        access_key_id: Some("A".into()),
        secret_access_key: Some(Secret("s3cr3t".into())),
    };
    assert_eq!(named.access, access);
}

fn shared(lines: &str) -> CoordinationSettings {
    let text = format!(
        "[stream.c.source]\ntype = \"kinesis\"\ncoordination = \"dynamodb\"\n{lines}\n\
         [stream.c.destination]\ntype = \"s3\"\nbucket = \"lake\"\n"
    );
    let source = load(&text);
    assert!(source.is_shared());
    let settings = source.get::<KinesisSettings>().unwrap();
    settings.coordination.clone().unwrap()
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
