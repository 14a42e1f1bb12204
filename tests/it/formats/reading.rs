//! The ids of the records in an object, in order, as other implementations read it.

use std::io::{Cursor, Read as _, Write as _};
use std::process::Command;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use bytes::Bytes;
use flate2::read::GzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::support::command::succeed;
use crate::support::python::python;

/// Reads a whole object.
pub type Read = fn(&[u8]) -> Vec<u64>;

fn id(record: &[u8]) -> u64 {
    let record: Value = serde_json::from_slice(record).unwrap();
    record["id"].as_u64().unwrap()
}

pub fn lines(bytes: &[u8]) -> Vec<u64> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.map(id).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u64> {
    lines(&gunzip(bytes))
}

pub fn zstd(bytes: &[u8]) -> Vec<u64> {
    lines(&zstd::decode_all(bytes).unwrap())
}

pub fn xerial(bytes: &[u8]) -> Vec<u64> {
    lines(&of_xerial(bytes))
}

pub fn hadoop(bytes: &[u8]) -> Vec<u64> {
    lines(&of_hadoop(bytes))
}

pub fn zip(bytes: &[u8]) -> Vec<u64> {
    lines(&unzip(bytes))
}

pub fn csv(bytes: &[u8]) -> Vec<u64> {
    python_ids(CSV, bytes)
}

pub fn csv_gzip(bytes: &[u8]) -> Vec<u64> {
    csv(&gunzip(bytes))
}

pub fn csv_zstd(bytes: &[u8]) -> Vec<u64> {
    csv(&zstd::decode_all(bytes).unwrap())
}

pub fn csv_xerial(bytes: &[u8]) -> Vec<u64> {
    csv(&of_xerial(bytes))
}

pub fn csv_hadoop(bytes: &[u8]) -> Vec<u64> {
    csv(&of_hadoop(bytes))
}

pub fn csv_zip(bytes: &[u8]) -> Vec<u64> {
    csv(&unzip(bytes))
}

pub fn avro(bytes: &[u8]) -> Vec<u64> {
    python_ids(AVRO, bytes)
}

const CSV: &str = "\
import csv, json, sys
with open(sys.argv[1], newline='', encoding='utf-8') as text:
    print(json.dumps([int(row['id']) for row in csv.DictReader(text, strict=True)]))
";

const AVRO: &str = "\
import fastavro, json, sys
with open(sys.argv[1], 'rb') as file:
    print(json.dumps([row['id'] for row in fastavro.reader(file)]))
";

/// What a script prints of an object, whose path it is given.
fn python_ids(script: &str, bytes: &[u8]) -> Vec<u64> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut command = Command::new(python());
    let printed = succeed(command.args(["-c", script]).arg(file.path()));
    serde_json::from_slice(&printed).unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let (mut text, mut member) = (Vec::new(), GzDecoder::new(bytes));
    member.read_to_end(&mut text).unwrap();
    assert!(member.into_inner().is_empty(), "one member is all");
    text
}

/// Appends a chunk that begins with its length, and returns what is behind it.
fn chunk<'a>(bytes: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let (length, rest) = bytes.split_first_chunk::<4>().unwrap();
    let (chunk, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
    text.extend(snap::raw::Decoder::new().decompress_vec(chunk).unwrap());
    rest
}

fn of_xerial(bytes: &[u8]) -> Vec<u8> {
    let (mut text, mut rest) = (Vec::new(), bytes.strip_prefix(b"\x82SNAPPY\0").unwrap());
    rest = &rest[8..];
    while !rest.is_empty() {
        rest = chunk(rest, &mut text);
    }
    text
}

fn of_hadoop(bytes: &[u8]) -> Vec<u8> {
    let (mut text, mut rest) = (Vec::new(), bytes);
    while let Some((_, chunks)) = rest.split_first_chunk::<4>() {
        rest = chunk(chunks, &mut text);
    }
    text
}

fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    assert_eq!(archive.len(), 1);
    let mut text = Vec::new();
    let mut entry = archive.by_index(0).unwrap();
    entry.read_to_end(&mut text).unwrap();
    text
}

pub fn columns(bytes: &[u8]) -> Vec<u64> {
    let bytes = Bytes::copy_from_slice(bytes);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let batches = reader.build().unwrap().map(Result::unwrap);
    let ids = batches.flat_map(|batch| {
        batch
            .column(0)
            .as_primitive::<Int64Type>()
            .values()
            .to_vec()
    });
    ids.map(|id| u64::try_from(id).unwrap()).collect()
}

pub fn counted(bytes: &[u8]) -> Vec<u64> {
    let (mut ids, mut rest) = (Vec::new(), bytes);
    while let Some((length, records)) = rest.split_first_chunk::<4>() {
        let (record, behind) = records.split_at(u32::from_be_bytes(*length) as usize);
        ids.push(id(record));
        rest = behind;
    }
    assert!(rest.is_empty());
    ids
}
