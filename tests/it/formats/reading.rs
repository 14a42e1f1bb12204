//! The ids of the records in an object, in order, as other implementations read it.

use std::io::{Cursor, Read as _};

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use bytes::Bytes;
use flate2::read::GzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

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
    let (mut text, mut member) = (Vec::new(), GzDecoder::new(bytes));
    member.read_to_end(&mut text).unwrap();
    assert!(member.into_inner().is_empty(), "one member is all");
    lines(&text)
}

pub fn zstd(bytes: &[u8]) -> Vec<u64> {
    lines(&zstd::decode_all(bytes).unwrap())
}

/// Appends a chunk that begins with its length, and returns what is behind it.
fn chunk<'a>(bytes: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let (length, rest) = bytes.split_first_chunk::<4>().unwrap();
    let (chunk, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
    text.extend(snap::raw::Decoder::new().decompress_vec(chunk).unwrap());
    rest
}

pub fn xerial(bytes: &[u8]) -> Vec<u64> {
    let (mut text, mut rest) = (Vec::new(), bytes.strip_prefix(b"\x82SNAPPY\0").unwrap());
    rest = &rest[8..];
    while !rest.is_empty() {
        rest = chunk(rest, &mut text);
    }
    lines(&text)
}

pub fn hadoop(bytes: &[u8]) -> Vec<u64> {
    let (mut text, mut rest) = (Vec::new(), bytes);
    while let Some((_, chunks)) = rest.split_first_chunk::<4>() {
        rest = chunk(chunks, &mut text);
    }
    lines(&text)
}

pub fn zip(bytes: &[u8]) -> Vec<u64> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    assert_eq!(archive.len(), 1);
    let mut text = Vec::new();
    let mut entry = archive.by_index(0).unwrap();
    entry.read_to_end(&mut text).unwrap();
    lines(&text)
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
