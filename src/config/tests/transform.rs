//! What `[[stream.X.transform]]` means.

use std::time::Duration;

use super::{FULL, env, load_in, with_destination};
use crate::config::{CompileLimits, Isolation, StageField, TransformSettings, parse};
use crate::registry::registry;

/// A config with `tables` beside source and destination of the only stream.
fn with_tables(tables: &str) -> String {
    format!("{tables}\n{}", with_destination(""))
}

#[test]
fn a_transform_has_its_settings_or_their_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = load_in(dir.path(), FULL);
    let config = serde_json::json!({
        "columns": ["id", "price"],
        "token": "s3cr3t",
        "since": "2026-11-22T10:00:00Z",
        "limits": {"most": 16, "share": 0.5, "strict": true},
        "rules": [{"drop": "bots"}],
    });
    let written = TransformSettings {
        name: "transforms/csv-to-json.wasm".into(),
        module: dir.path().join("transforms/csv-to-json.wasm"),
        compile: CompileLimits {
            memory: 2 << 30,
            timeout: Duration::from_mins(5),
        },
        timeout: Duration::from_millis(500),
        memory: 128 << 20,
        output: 8 << 20,
        log_lines: 1000,
        isolation: Isolation::Batch,
        config: config.to_string(),
    };
    let default = TransformSettings {
        name: "last.wasm".into(),
        module: dir.path().join("last.wasm"),
        compile: CompileLimits {
            memory: 1 << 30,
            timeout: Duration::from_mins(2),
        },
        timeout: Duration::from_secs(1),
        memory: 64 << 20,
        output: 6 << 20,
        log_lines: 100,
        isolation: Isolation::Reuse,
        config: "{}".into(),
    };
    let stream = &loaded.config.streams["clicks"];
    assert_eq!(stream.transforms, [written, default]);
    let place = loaded
        .spans
        .place("clicks", StageField::Module(1), None)
        .unwrap();
    assert_eq!(&place.source.text[place.at], "\"last.wasm\"");
}

#[test]
fn a_stream_takes_sixteen_transforms() {
    let dir = tempfile::tempdir().unwrap();
    let transform = "[[stream.c.transform]]\nmodule = \"last.wasm\"\n";
    let loaded = load_in(dir.path(), &with_tables(&transform.repeat(16)));
    assert_eq!(loaded.config.streams["c"].transforms.len(), 16);
    let path = dir.path().join("firehose.toml");
    let faults = parse(with_tables(&transform.repeat(17)), &path, &env, &registry()).unwrap_err();
    assert_eq!(faults.iter().len(), 1);
    let shown = faults.to_string();
    assert!(
        shown.contains("firehose.toml:33:1: 17 transforms in [stream.c]"),
        "{shown}"
    );
}

#[test]
fn the_config_of_a_transform_nests_as_deep_as_json_readers_go() {
    let dir = tempfile::tempdir().unwrap();
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        let table = format!("module = \"last.wasm\"\nconfig.a = {open}{close}");
        let text = with_tables(&format!("[[stream.c.transform]]\n{table}"));
        parse(text, &dir.path().join("firehose.toml"), &env, &registry())
    };
    let loaded = nested(64).unwrap();
    let config = &loaded.config.streams["c"].transforms[0].config;
    assert!(serde_json::from_str::<serde_json::Value>(config).is_ok());
    let shown = nested(65).unwrap_err().to_string();
    assert!(shown.contains("deeper than 64 levels"), "{shown}");
}
