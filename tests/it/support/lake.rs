//! Reads a folder destination: uncompressed JSON lines and error objects, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::Value;

/// The objects below a prefix of a lake, by name. Markers and temp files are not objects.
pub fn objects(lake: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&lake.join(prefix), &mut found);
    found.sort();
    found
}

/// The lines of all objects below a prefix.
pub fn lines(lake: &Path, prefix: &str) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for object in objects(lake, prefix) {
        let data = fs::read(&object).unwrap();
        assert_eq!(data.last(), Some(&b'\n'), "{} is torn", object.display());
        lines.extend(
            data[..data.len() - 1]
                .split(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec),
        );
    }
    lines
}

/// The records that lie in the error objects below a prefix, as they came.
pub fn failed_records(lake: &Path, prefix: &str) -> Vec<Vec<u8>> {
    lines(lake, prefix)
        .iter()
        .map(|line| {
            let document: Value = serde_json::from_slice(line).unwrap();
            let raw_data = document["rawData"].as_str().unwrap();
            base64::engine::general_purpose::STANDARD
                .decode(raw_data)
                .unwrap()
        })
        .collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with(".firehose") {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}
