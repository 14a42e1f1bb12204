//! Prefixes and what their destination takes.

use proptest::prelude::*;

use super::*;
use crate::config::KeyValues;
use crate::failure::ErrorOutputType;
use crate::position::Position;
use crate::record::Record;

const FOLDER: &str = "type = \"folder\"\npath = \"/lake\"";
const S3: &str = "type = \"s3\"\nbucket = \"lake\"";
const ERRORS: &str = "errors/!{firehose:error-output-type}/";

/// A stream with the query `{k}` if its prefix has that key.
fn stream(store: &str, prefix: &str, error_prefix: &str, backup: &str) -> StreamSettings {
    let query = if prefix.contains("Query:k}") {
        "[stream.c.partitioning]\nquery = \"{k}\"\n"
    } else {
        ""
    };
    let text = format!(
        "[stream.c.source]\ntype = \"direct-put\"\n{query}[stream.c.destination]\n{store}\n\
         prefix = '{prefix}'\nerror_prefix = '{error_prefix}'\n[stream.c.backup]\nprefix = '{backup}'\n"
    );
    let loaded = crate::config::parse(
        text,
        "firehose.toml".as_ref(),
        &|_| None,
        &crate::registry::registry(),
    );
    let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
    loaded.config.streams["c"].clone()
}

fn faults(stream: &StreamSettings) -> Vec<PartitionFault> {
    prefix_faults(stream, MadeUp::default())
}

/// The key of the object that a record goes to, or why it fails.
fn key_of(stream: &StreamSettings, record: &str) -> Result<String, String> {
    let Prefixes { data, .. } =
        compile(stream, MadeUp::default()).unwrap_or_else(|faults| panic!("{faults:?}"));
    let record = Record::new(record.as_bytes(), 0, Position::default());
    let mut identity = Vec::new();
    let done = data.partition(&mut data.scratch(), &record, &mut identity);
    done.map_err(|failure| failure.message.into_owned())?;
    Ok(data.open_prefix(&identity, 0) + &object_name("c", 1, 0, Uuid::nil(), "", data.zone()))
}

fn record(value: &str) -> String {
    serde_json::json!({ "k": value }).to_string()
}

#[test]
fn a_fixed_part_that_can_never_be_written_is_a_fault_of_its_setting() {
    let long = "x".repeat(256) + "/";
    let wide = "é".repeat(512);
    let tail = "t".repeat(200) + "!{firehose:random-string}";
    for (store, prefix, errors, backup, field, told) in [
        (
            FOLDER,
            &*long,
            ERRORS,
            "raw/",
            PartitionSetting::Prefix,
            "256 bytes in UTF-8, a file system takes 255",
        ),
        (
            FOLDER,
            "d/",
            &*format!("{long}{ERRORS}"),
            "raw/",
            PartitionSetting::ErrorPrefix,
            "256 bytes",
        ),
        (
            FOLDER,
            "d/",
            ERRORS,
            &*long,
            PartitionSetting::BackupPrefix,
            "256 bytes",
        ),
        // The object's name follows in the same part.
        (
            FOLDER,
            &*tail,
            ERRORS,
            "raw/",
            PartitionSetting::Prefix,
            "a file system takes 255",
        ),
        (
            FOLDER,
            "a//b/",
            ERRORS,
            "raw/",
            PartitionSetting::Prefix,
            "empty",
        ),
        (
            FOLDER,
            ".firehose-tmp/",
            ERRORS,
            "raw/",
            PartitionSetting::Prefix,
            "unfinished",
        ),
        (
            S3,
            &*wide,
            ERRORS,
            "raw/",
            PartitionSetting::Prefix,
            "bytes in UTF-8, S3 takes 1024",
        ),
        (
            S3,
            "d/",
            "d/",
            &*wide,
            PartitionSetting::BackupPrefix,
            "bytes in UTF-8, S3 takes 1024",
        ),
        (
            S3,
            &*"x".repeat(513),
            ERRORS,
            "raw/",
            PartitionSetting::Prefix,
            "513 characters long, Firehose allows 512",
        ),
    ] {
        let found = faults(&stream(store, prefix, errors, backup));
        let [fault] = &*found else {
            panic!("{prefix:.20} {errors:.20} {backup:.20}: {found:?}")
        };
        assert_eq!(fault.field, field, "{found:?}");
        assert!(fault.message.contains(told), "{found:?}");
    }
    let wide = faults(&stream(S3, &wide, ERRORS, "raw/"));
    let help = wide[0].help.as_deref().unwrap_or_default();
    assert!(help.contains("2 to 4 bytes"), "{wide:?}");
}

#[test]
fn a_bucket_takes_parts_that_no_file_system_takes() {
    let prefix = format!("{}/!{{partitionKeyFromQuery:k}}/", "x".repeat(256));
    let of = stream(
        S3,
        &prefix,
        &format!("{}/{ERRORS}", "e".repeat(256)),
        "a//b/",
    );
    assert_eq!(faults(&of), []);
    assert!(key_of(&of, &record(&"y".repeat(254))).unwrap().len() > 512);
    let why = key_of(&of, &record(&"y".repeat(260))).unwrap_err();
    assert!(why.contains("characters, Firehose allows 512"), "{why}");
    // Of 200 characters, 800 bytes: 1024 would be passed with the object's name.
    let why = key_of(&of, &record(&"𝄞".repeat(200))).unwrap_err();
    assert!(why.contains("bytes in UTF-8, S3 takes 1024"), "{why}");
    assert!(key_of(&of, &record(&"𝄞".repeat(150))).is_ok());
}

#[test]
fn what_a_folder_can_never_take_fails_its_record_alone() {
    let prefix = "!{partitionKeyFromQuery:k}/x/";
    let mut of = stream(FOLDER, prefix, ERRORS, "raw/");
    assert!(key_of(&of, &record("ok")).is_ok());
    for (value, told) in [
        ("y".repeat(256), "256 bytes"),
        ("é".repeat(128), "256 bytes"),
        (".firehose-tmp".to_owned(), "unfinished"),
    ] {
        let why = key_of(&of, &record(&value)).unwrap_err();
        assert!(why.contains(told), "{value:.20}: {why}");
    }
    of.partitioning.key_values = KeyValues::AsIs;
    for (value, told) in [
        ("a//b", "empty"),
        ("a/", "empty"),
        (".firehose-tmp/a", "unfinished"),
    ] {
        let why = key_of(&of, &record(value)).unwrap_err();
        assert!(why.contains(told), "{value:.20}: {why}");
    }
    assert!(key_of(&of, &record("a/b")).is_ok());
    let mut of = stream(S3, prefix, ERRORS, "raw/");
    of.partitioning.key_values = KeyValues::AsIs;
    assert!(key_of(&of, &record("a//b")).is_ok());
}

#[test]
fn a_time_with_slashes_is_several_parts_and_one_without_may_be_too_long() {
    let many = "!{timestamp:yyyy/MM/dd/HH/mm/ss}/".repeat(18);
    assert_eq!(
        faults(&stream(FOLDER, &format!("{many}x/"), ERRORS, "raw/")),
        []
    );
    let one = "!{timestamp:yyyyMMddHHmmss}".repeat(19) + "/";
    let found = faults(&stream(FOLDER, &one, ERRORS, "raw/"));
    assert!(
        found[0].message.contains("a file system takes 255"),
        "{found:?}"
    );
}

#[test]
fn the_path_of_the_folder_counts() {
    let deep = format!(
        "type = \"folder\"\npath = \"{}\"",
        format!("/{}", "d".repeat(250)).repeat(15)
    );
    let prefix = format!(
        "{}/{}/!{{partitionKeyFromQuery:k}}/",
        "a".repeat(100),
        "b".repeat(50)
    );
    let of = stream(&deep, &prefix, "e/", "raw/");
    let short = key_of(&of, &record("k"));
    let why = key_of(&of, &record(&"k".repeat(200))).unwrap_err();
    assert!(
        short.is_ok() && why.contains("the system takes 4095"),
        "{short:?} {why}"
    );
}

#[test]
fn the_markers_of_a_stream_must_fit_too() {
    let source = "[stream.c.source]\ntype = \"kinesis\"\nstream = \"clicks\"\n\
                  coordination = \"dynamodb\"\nlease_table = \"";
    let table = "t".repeat(255);
    let text = format!(
        "{source}{table}\"\n[stream.c.destination]\n{S3}\nerror_prefix = '{}/'\nprefix = 'd/'\n",
        "é".repeat(330)
    );
    let loaded = crate::config::parse(
        text,
        "firehose.toml".as_ref(),
        &|_| None,
        &crate::registry::registry(),
    )
    .unwrap();
    let found = faults(&loaded.config.streams["c"]);
    assert!(
        found[0].message.contains("what the stream itself keeps"),
        "{found:?}"
    );
}

#[test]
fn a_default_error_prefix_that_does_not_fit_is_told_as_missing() {
    let mut of = stream(FOLDER, &format!("{}d", "x/".repeat(3)), ERRORS, "raw/");
    of.destination.prefix = Some("p".repeat(230) + "/");
    of.destination.error_prefix = None;
    assert_eq!(faults(&of), []);
    of.destination.prefix = Some("x/".to_owned() + &"p".repeat(170));
    let found = faults(&of);
    assert!(
        found.iter().all(|fault| fault.message.contains("255")),
        "{found:?}"
    );
}

proptest! {
    #[test]
    fn every_key_that_comes_out_is_taken(
        value in prop_oneof!["[a-zé€𝄞./%]{1,30}", "[xé]{200,300}", "[a/é.]{100,500}"],
        as_is: bool,
        is_s3: bool,
        literal in prop_oneof![Just("d/"), Just(""), Just("a.b-")],
    ) {
        let store = if is_s3 { S3 } else { FOLDER };
        let prefix = format!("{literal}!{{partitionKeyFromQuery:k}}/!{{timestamp:yyyy/EEEE}}/!{{firehose:random-string}}");
        let mut of = stream(store, &prefix, ERRORS, "raw/");
        if as_is {
            of.partitioning.key_values = KeyValues::AsIs;
        }
        if let Ok(key) = key_of(&of, &record(&value)) {
            let taken = of.destination.store.keys().take(&key);
            prop_assert!(taken.is_ok(), "{key}: {taken:?}");
            prop_assert!(!is_s3 || key.len() <= 1024);
        }
    }

    #[test]
    fn every_error_and_backup_key_that_passes_the_check_is_taken(
        errors in "([a-zé]{1,80}/){0,6}!\\{firehose:error-output-type\\}(/|[a-z]{0,90})!\\{timestamp:yyyy/MMMM\\}/?",
        backup in "([a-zé]{1,90}/){0,6}[a-z]{0,120}!\\{timestamp:EEEE\\}",
        is_s3: bool,
    ) {
        let of = stream(if is_s3 { S3 } else { FOLDER }, "d/", &errors, &backup);
        let Ok(prefixes) = compile(&of, MadeUp::default()) else { return Ok(()) };
        let keys = of.destination.store.keys();
        let zone = Zone::utc();
        let name = object_name("c", 1, 0, Uuid::nil(), "", &zone);
        for kind in ErrorOutputType::ALL {
            let key = prefixes.errors.open_prefix(kind, 1_788_744_123_000) + &name;
            prop_assert!(keys.take(&key).is_ok(), "{key}");
        }
    }
}

#[test]
fn nothing_is_said_of_keys_where_the_store_is_not_known() {
    let of = stream(FOLDER, &("x".repeat(300) + "/"), ERRORS, "raw/");
    let made_up = MadeUp {
        store: true,
        ..MadeUp::default()
    };
    assert_eq!(prefix_faults(&of, made_up), []);
}
