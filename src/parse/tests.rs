//! Each parser over its samples, and what holds of all of them.
//!
//! A sample in `samples/` is three files: the keys of its table (`.toml`), a record (`.txt`), and what comes out of it, a
//! record a line (its line feeds as `\n`), then what fails and how much is left out (`.out`).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::position::{Position, Sequence};

mod faults;
mod promises;

/// The parser of a table with these keys.
fn parser(keys: &str) -> Parser {
    let text = format!(
        "[stream.c]\nsource.type = \"direct-put\"\ndestination.type = \"folder\"\n\
         destination.path = \"out\"\n[stream.c.parse]\n{keys}"
    );
    let loaded = crate::config::parse(
        text,
        Path::new("firehose.toml"),
        &|_| None,
        &crate::registry::registry(),
    );
    let mut loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
    let stream = loaded.config.streams.remove("c").unwrap();
    Parser::of(stream.parser.unwrap())
}

fn chunk(records: &[&[u8]]) -> Chunk {
    let mut builder = ChunkBuilder::with_room(0, 0);
    for (number, record) in (7..).zip(records) {
        builder.push(record, 5, Sequence(number));
    }
    builder.finish()
}

fn parse(parser: &Parser, record: &[u8]) -> ParsedPiece {
    parser.parse(&chunk(&[record]), 0..1)
}

fn packed(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A piece as samples tell of it.
fn told(piece: &ParsedPiece) -> String {
    let mut text = String::new();
    for record in piece.outputs.iter() {
        let data = std::str::from_utf8(record.data).unwrap();
        writeln!(text, "{}", data.replace('\n', "\\n")).unwrap();
    }
    for failed in &piece.failed {
        let (record, failure) = (failed.record(), &failed.failure);
        let part = record
            .text
            .map_or("whole".to_owned(), |text| format!("part {text}"));
        writeln!(
            text,
            "failed, {part}: {}: {}",
            failure.code, failure.message
        )
        .unwrap();
    }
    if piece.dropped > 0 {
        writeln!(text, "left out: {}", piece.dropped).unwrap();
    }
    text
}

fn samples() -> Vec<PathBuf> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/parse/samples");
    let paths = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|is| is == "toml"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn each_parser_makes_of_its_samples_what_stands_beside_them() {
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for sample in samples() {
        let parser = parser(&fs::read_to_string(&sample).unwrap());
        seen.insert(parser.word());
        let record = fs::read(sample.with_extension("txt")).unwrap();
        let found = parse(&parser, &record);
        let expected = fs::read_to_string(sample.with_extension("out")).unwrap_or_default();
        if told(&found) != expected {
            wrong.push(format!("{}:\n{}", sample.display(), told(&found)));
        }
        // Packed it is the same.
        assert_eq!(told(&parse(&parser, &packed(&record))), told(&found));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: BTreeSet<_> = PARSERS.iter().map(|kind| kind.word()).collect();
    assert_eq!(seen, all, "each has a sample");
}
