//! The loader as a whole: what it accepts, and the exact words for what it does not.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::{
    Align, BackupSettings, BufferingSettings, ColumnRules, ColumnSettings, Config, Deserializer,
    Diagnostics, FormatSettings, KeyValues, LoadedConfig, Misfit, Misfits, NameRules, NumberUnit,
    PartitioningSettings, Secret, SizeOf, StageField, TimeRules, UnknownFields,
};
use crate::destination::{FolderSettings, S3Encryption, S3Settings};
use crate::format::{
    Compression, Delimiter, JsonSettings, ParquetCompression, ParquetOptions, ParquetSettings,
    RawSettings,
};
use crate::registry::registry;
use crate::source::direct_put::DirectPut;

const SHIPPED: &str = include_str!("../../firehose.toml");
/// Every key there is.
const FULL: &str = include_str!("tests/full.toml");
const MINIMAL: &str = "[stream.c]\nsource.type = \"direct-put\"\n\
                       destination = { type = \"folder\", path = \"out\" }\n";

mod buffering;
mod faults;
mod tables;
mod transform;
mod variables;
mod words;

fn env(name: &str) -> Option<String> {
    (name == "SECRET").then(|| "s3cr3t".to_owned())
}

/// Reads a text with all that is registered.
fn parse(
    text: impl Into<String>,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<LoadedConfig, Diagnostics> {
    super::parse(text, path, env, &registry())
}

fn load(text: &str) -> LoadedConfig {
    load_in(Path::new(""), text)
}

/// Loads a config that stands in `dir`.
fn load_in(dir: &Path, text: &str) -> LoadedConfig {
    parse(text, &dir.join("firehose.toml"), &env).unwrap_or_else(|faults| panic!("{faults}"))
}

fn faults(text: &str) -> Diagnostics {
    let found = parse(text, Path::new("firehose.toml"), &env);
    found.expect_err("the text has faults")
}

/// A config with `lines` in the only stream's destination.
fn with_destination(lines: &str) -> String {
    format!(
        "[stream.c.source]\ntype = \"direct-put\"\n\
         [stream.c.destination]\ntype = \"folder\"\npath = \"out\"\n{lines}"
    )
}

#[test]
fn what_is_not_written_has_its_default() {
    let Config {
        file: _,
        state_dir,
        memory_limit,
        http,
        shutdown_grace,
        stalled_after,
        mut streams,
    } = load(MINIMAL).config;
    assert_eq!(state_dir, Path::new("data/state"));
    assert_eq!(memory_limit, 512 << 20);
    assert_eq!(http.listen.to_string(), "127.0.0.1:4585");
    assert_eq!(shutdown_grace, Duration::from_secs(30));
    assert_eq!(stalled_after, Duration::from_secs(30));
    let stream = streams.remove("c").unwrap();
    assert_eq!(
        stream.source,
        DirectPut {
            journal_limit: 4 << 30
        }
        .into()
    );
    assert_eq!(stream.spool_limit, 16 << 30);
    assert_eq!(stream.transforms, []);
    assert_eq!(stream.partitioning, PartitioningSettings::default());
    let buffering = BufferingSettings::new(128 << 20, Duration::from_mins(5));
    assert_eq!(stream.buffering, buffering);
    let json = FormatSettings::new(JsonSettings {
        compression: Compression::None,
        delimiter: Delimiter::Newline,
    });
    assert_eq!(stream.format, json);
    assert_eq!((stream.deaggregate, stream.only_json), (true, false));
    assert_eq!(
        stream.destination.store,
        FolderSettings { path: "out".into() }.into()
    );
    assert_eq!(
        (stream.destination.prefix, stream.destination.error_prefix),
        (None, None)
    );
    assert_eq!(
        (stream.watermark, stream.destination.late_prefix),
        (None, None)
    );
    assert_eq!(stream.backup, None);
}

#[test]
fn writing_the_defaults_down_changes_nothing() {
    let written = r#"
state_dir = "data/state"
memory_limit = "512MiB"
shutdown_grace = "30s"
stalled_after = "30s"
http.listen = "127.0.0.1:4585"
[stream.c]
spool_limit = "16GiB"
deaggregate = "json"
source = { type = "direct-put", journal_limit = "4GiB" }
partitioning.key_values = "escaped"
buffering = { size = "128MiB", size_of = "records", interval = "300s", align = "record" }
format = { type = "json", compression = "none", delimiter = "newline", not_json = "as-is" }
destination = { type = "folder", path = "out" }
"#;
    assert_eq!(load(written).config, load(MINIMAL).config);
}

#[test]
fn every_key_of_the_full_sample_is_accepted_and_means_what_it_says() {
    let loaded = load_in(tempfile::tempdir().unwrap().path(), FULL);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let stream = &loaded.config.streams["clicks"];
    assert_eq!(
        stream.partitioning,
        PartitioningSettings {
            query: Some("{event_type: .event_type, region: .geo.region}".into()),
            event_time: Some(".ts".into()),
            time_zone: Some("Europe/Berlin".into()),
            key_values: KeyValues::AsIs,
            partition_limit: Some(1000),
        }
    );
    let schema = "event_id string, ts timestamp, event_type string, geo struct<region:string>";
    let parquet = FormatSettings::new(ParquetSettings {
        compression: ParquetCompression::Zstd,
        options: ParquetOptions::default(),
        columns: ColumnSettings {
            schema: schema.to_owned(),
            sample: None,
            known: None,
            table: None,
            learned: false,
            rules: ColumnRules {
                unknown: UnknownFields::Keep("rest".to_owned()),
                misfits: Misfits {
                    default: Misfit::Fail,
                    columns: ["geo", "ts"]
                        .map(|column| (column.to_owned(), Misfit::Null))
                        .into(),
                },
                names: NameRules {
                    case_sensitive: true,
                    dots_to_underscores: true,
                    json_keys: [("ts".to_owned(), "timestamp".to_owned())].into(),
                },
                deserializer: Deserializer::OpenX,
                structs_by_name: false,
                times: TimeRules {
                    formats: vec!["dd/MM/yyyy".to_owned(), "millis".to_owned()],
                    unit: Some(NumberUnit::Millis),
                    whole_millis: false,
                },
            },
        },
    });
    assert_eq!(stream.format, parquet);
    let buffering = BufferingSettings {
        size_of: SizeOf::Object,
        align: Align::Clock,
        close_after: Some(Duration::from_mins(1)),
        ..BufferingSettings::new(128 << 20, Duration::from_mins(15))
    };
    assert_eq!(stream.buffering, buffering);
    assert_eq!(stream.watermark, Some(Duration::from_hours(1)));
    let late_prefix = stream.destination.late_prefix.as_deref();
    assert_eq!(late_prefix, Some("late/day=!{eventTime:dd}/"));
    let Some(s3) = stream.destination.store.get::<S3Settings>() else {
        panic!("not s3")
    };
    let tags = [("team".to_owned(), "web".to_owned())];
    let expected = S3Settings {
        bucket: "lake".into(),
        region: Some("eu-central-1".into()),
        endpoint: Some("http://127.0.0.1:8333".into()),
        path_style: false,
        profile: Some("prod".into()),
        access_key_id: Some("AKIA".into()),
        secret_access_key: Some(Secret("s3cr3t".into())),
        storage_class: Some("STANDARD_IA".into()),
        encryption: Some(S3Encryption::Kms(Some("alias/lake".into()))),
        acl: Some("bucket-owner-full-control".into()),
        tags: tags.into(),
    };
    assert_eq!(*s3, expected);
    let backup = BackupSettings {
        prefix: Some("raw/year=!{timestamp:yyyy}/".into()),
        format: FormatSettings::new(RawSettings {
            compression: Compression::HadoopSnappy,
            delimiter: Delimiter::Text("##".into()),
        }),
        buffering: BufferingSettings {
            close_after: Some(Duration::from_secs(2)),
            ..BufferingSettings::new(5 << 20, Duration::from_mins(1))
        },
    };
    assert_eq!(stream.backup, Some(backup));
    assert!(!stream.deaggregate);
}

#[test]
fn a_backup_is_byte_for_byte_unless_it_is_told_otherwise() {
    let format_of = |backup: &str| {
        let loaded = load(&format!("{MINIMAL}\n{backup}"));
        loaded.config.streams["c"].backup.clone().unwrap().format
    };
    let raw = FormatSettings::new(RawSettings {
        compression: Compression::None,
        delimiter: Delimiter::Newline,
    });
    assert_eq!(format_of("[stream.c.backup]"), raw);
    let written = "[stream.c.backup.format]\ntype = \"raw\"\ndelimiter = \"newline\"";
    assert_eq!(format_of(written), raw);
    let json = FormatSettings::new(JsonSettings {
        compression: Compression::None,
        delimiter: Delimiter::Newline,
    });
    assert_eq!(format_of("[stream.c.backup.format]\ntype = \"json\""), json);
}

#[test]
fn the_shipped_file_is_accepted_without_warnings() {
    let loaded = load(SHIPPED);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(
        loaded.config.streams["clicks"].buffering.interval,
        Duration::from_secs(5)
    );
}

#[test]
fn an_endpoint_means_path_style_unless_the_file_says_otherwise() {
    let path_style = |lines: &str| {
        let text = format!(
            "{MINIMAL}[stream.d]\nsource.type = \"direct-put\"\n[stream.d.destination]\ntype = \"s3\"\nbucket = \"b\"\n{lines}"
        );
        let store = load(&text).config.streams["d"].destination.store.clone();
        let Some(s3) = store.get::<S3Settings>() else {
            panic!("not s3")
        };
        s3.path_style
    };
    assert!(!path_style(""));
    assert!(path_style("endpoint = \"http://127.0.0.1:1\""));
    assert!(!path_style(
        "endpoint = \"http://127.0.0.1:1\"\npath_style = false"
    ));
}

#[test]
fn schema_and_secret_files_start_at_the_folder_of_the_config() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.sql"), "\u{feff}a string").unwrap();
    std::fs::write(dir.path().join("key"), "\u{feff}hunter2\n").unwrap();
    let text = "[stream.c]\nsource.type = \"direct-put\"\n\
                format = { type = \"parquet\", schema_file = \"c.sql\" }\n\
                [stream.c.destination]\ntype = \"s3\"\nbucket = \"b\"\naccess_key_id = \"A\"\n\
                secret_access_key_file = \"key\"";
    let path = dir.path().join("firehose.toml");
    let loaded = parse(text, &path, &env).unwrap_or_else(|faults| panic!("{faults}"));
    let stream = &loaded.config.streams["c"];
    let Some(parquet) = stream.format.get::<ParquetSettings>() else {
        panic!("not parquet")
    };
    assert_eq!(parquet.columns.schema, "a string");
    let Some(s3) = stream.destination.store.get::<S3Settings>() else {
        panic!("not s3")
    };
    assert_eq!(s3.secret_access_key, Some(Secret("hunter2".into())));
    let place = loaded
        .spans
        .place("c", StageField::Schema, Some(2..8))
        .unwrap();
    assert_eq!(&place.source.text[place.at], "string");
    assert!(place.source.path.ends_with("c.sql"));
}

#[test]
fn state_and_objects_start_at_the_folder_of_the_config_too_however_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().canonicalize().unwrap();
    std::fs::create_dir(folder.join("sub")).unwrap();
    std::os::unix::fs::symlink(&folder, dir.path().join("link")).unwrap();
    for named in [
        "firehose.toml",
        "./firehose.toml",
        "sub/../firehose.toml",
        "link/firehose.toml",
    ] {
        let path = dir.path().join(named);
        let loaded = parse(MINIMAL, &path, &env).unwrap();
        assert_eq!(
            loaded.config.state_dir,
            folder.join("data/state"),
            "{named}"
        );
        let store = &loaded.config.streams["c"].destination.store;
        let path = folder.join("out");
        assert_eq!(*store, FolderSettings { path }.into(), "{named}");
        assert_eq!(
            loaded.spans.relative("", StageField::StateDir),
            Some(Path::new("data/state"))
        );
    }
    // In the working directory they are shown as they are written.
    let here = std::env::current_dir().unwrap();
    for path in [
        here.join("firehose.toml"),
        "./firehose.toml".into(),
        "firehose.toml".into(),
    ] {
        let loaded = parse(MINIMAL, &path, &env).unwrap();
        assert_eq!(loaded.config.state_dir, Path::new("data/state"), "{path:?}");
    }
    let text = format!("state_dir = \"/var/x\"\n{MINIMAL}");
    let loaded = parse(text, &dir.path().join("firehose.toml"), &env).unwrap();
    assert_eq!(loaded.config.state_dir, Path::new("/var/x"));
    assert_eq!(loaded.spans.relative("", StageField::StateDir), None);
}

#[test]
fn a_range_of_a_value_is_found_where_it_was_written() {
    let cases = [
        ("prefix = \"ab!{x}cd\"", "!{x}", "!{x}"),
        ("prefix = 'ab!{x}cd'", "!{x}", "!{x}"),
        (r#"prefix = "\u00e4\t\x41!{x}""#, "!{x}", "!{x}"),
        (r#"prefix = "a\\\"!{x}""#, "\"!{x}", "\\\"!{x}"),
        ("prefix = \"\"\"\nab\n  !{x}\"\"\"", "!{x}", "!{x}"),
        ("prefix = \"\"\"ab \\\n   !{x}\"\"\"", "!{x}", "!{x}"),
        ("prefix = \"\"\"\r\nab\r\ncd!{x}\"\"\"", "d!{x}", "d!{x}"),
        ("prefix = '''\nab!{x}'''", "b!{x}", "b!{x}"),
        ("prefix = \"${SECRET}/!{x}\"", "/!{x}", "/!{x}"),
        ("prefix = \"a${SECRET}/!{x}\"", "cr3t/", "${SECRET}/"),
        ("prefix = \"a$${b}\"", "{b", "{b"),
    ];
    for (line, in_value, in_file) in cases {
        let loaded = load(&with_destination(line));
        let stream = &loaded.config.streams["c"];
        let value = stream.destination.prefix.as_deref().unwrap();
        let start = value
            .find(in_value)
            .unwrap_or_else(|| panic!("{in_value} in {value:?}"));
        let range = start..start + in_value.len();
        let place = loaded
            .spans
            .place("c", StageField::Prefix, Some(range))
            .unwrap();
        assert_eq!(&place.source.text[place.at], in_file, "{line}");
    }
}

#[test]
fn a_delimiter_that_looks_like_a_misspelt_word_is_a_warning() {
    let text = format!("{MINIMAL}format = {{ type = \"json\", delimiter = \"new-line\" }}\n");
    let loaded = load(&text);
    let expected = "firehose.toml:4:39: warning: the text \"new-line\" itself will follow each record\n  \
                    |\n4 | format = { type = \"json\", delimiter = \"new-line\" }\n  \
                    |                                       ^^^^^^^^^^\n  \
                    help: did you mean \"newline\"?";
    assert_eq!(loaded.warnings.to_string(), expected);
}

#[test]
fn a_file_cannot_steer_the_terminal_it_is_shown_on() {
    let shown = faults("\"\\u001b[2J\" = 1 # \u{7}").to_string();
    assert!(
        !shown.contains(|c: char| c.is_control() && c != '\n'),
        "{shown:?}"
    );
}

#[test]
fn of_very_many_faults_the_first_are_shown_and_the_rest_counted() {
    use std::fmt::Write as _;
    let mut text = String::new();
    (0..1000).for_each(|number| writeln!(text, "wrong{number} = 1").unwrap());
    let shown = faults(&text).to_string();
    assert!(
        shown.ends_with("\n\nand 951 more"),
        "{}",
        &shown[shown.len() - 100..]
    );
}

#[test]
fn nesting_of_any_depth_ends_in_a_fault() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("x = {}1{}", open.repeat(100_000), close.repeat(100_000));
        assert!(faults(&text).to_string().len() < 4096);
    }
}

/// Texts that come near to a config: pieces of the full sample and of TOML's syntax, shuffled.
fn near_toml() -> impl Strategy<Value = String> {
    let lines: Vec<&str> = FULL.lines().collect();
    let piece = prop_oneof![
        4 => proptest::sample::select(lines).prop_map(|line| format!("{line}\n")),
        1 => proptest::sample::select(vec![
            "[", "]", "{", "}", "\"", "\"\"\"", "'", "=", ".", "\\", "\r\n", "${", "}", "#", "ä",
            "[stream.", "1979-05-27", "0x", "\\u00", "\u{0}", "inf", ",",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_panics_and_every_refusal_says_why(text in near_toml()) {
        if let Err(faults) = parse(text, Path::new("firehose.toml"), &env) {
            prop_assert!(!faults.to_string().is_empty());
        }
    }

    #[test]
    fn no_random_text_panics(text in any::<String>()) {
        let _ = parse(text, Path::new("firehose.toml"), &env);
    }

    #[test]
    fn every_byte_of_a_value_has_its_place(value in "[ -~\\t\\n\\räß€🦀]{0,30}") {
        // What the toml crate's own writer makes of the value, in whatever quotes it picks.
        let written = toml::Value::String(value.clone()).to_string();
        let text = with_destination(&format!("prefix = {}", written.replace("${", "$${")));
        let loaded = load(&text);
        let prefix = loaded.config.streams["c"].destination.prefix.clone().unwrap();
        prop_assert_eq!(&prefix, &value);
        for (at, character) in value.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
            let place = loaded.spans.place("c", StageField::Prefix, Some(at..at + 1)).unwrap();
            prop_assert_eq!(place.source.text[place.at].to_owned(), character.to_string());
        }
    }
}
