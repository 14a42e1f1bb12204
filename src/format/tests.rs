//! Whole objects, read back by other implementations than those that wrote them.

mod rows;

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::{Compression, Delimiter, Format, Head, JsonSettings, RawSettings, Shape};
use crate::config::FormatSettings;
use crate::position::{Position, Sequence};
use crate::record::Record;

fn record(data: &[u8], index: u64) -> Record<'_> {
    let position = Position::of(Sequence(index));
    Record::new(data, 1_700_000_000_000, position)
}

fn json(compression: Compression) -> Format {
    Format::compile(&FormatSettings::new(JsonSettings {
        compression,
        delimiter: Delimiter::Newline,
    }))
    .unwrap()
}

fn events(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|index| format!("{{\"id\":{index},\"kind\":\"click\"}}").into_bytes())
        .collect()
}

/// The object of these records, in raw blocks of about `block` bytes.
fn object(format: &Format, records: &[Vec<u8>], block: usize) -> Vec<u8> {
    let mut blocks = vec![Vec::new()];
    for (index, data) in records.iter().enumerate() {
        if blocks.last().unwrap().len() >= block {
            blocks.push(Vec::new());
        }
        format.stage(&record(data, index as u64), blocks.last_mut().unwrap());
    }
    let mut encoder = format.encoder();
    let mut out = Vec::new();
    match format.shape() {
        Shape::Blocks => {
            let encode = |(index, block): (usize, &Vec<u8>)| {
                format.encode_block(&mut encoder, index == 0, block, &mut out)
            };
            let sums = blocks.iter().enumerate().map(encode);
            let sums: Vec<_> = sums.filter_map(Result::unwrap).collect();
            out.extend(format.end(&sums));
        }
        Shape::Whole | Shape::Runs => {
            let mut blocks = blocks.into_iter();
            let count = format
                .encode_object(
                    &mut encoder,
                    &Head::default(),
                    &mut || Ok(blocks.next().map(Into::into)),
                    &mut out,
                    &mut |_, failure| panic!("{failure:?}"),
                )
                .unwrap();
            assert_eq!(count, records.len() as u64);
        }
    }
    out
}

fn lines(records: &[Vec<u8>]) -> Vec<u8> {
    let mut lines = records.join(&b'\n');
    lines.push(b'\n');
    lines
}

#[test]
fn blocks_become_one_gzip_member_and_nothing_behind_it() {
    let records = events(20_000);
    let bytes = object(&json(Compression::Gzip), &records, 64 * 1024);
    let (mut read, mut decoder) = (Vec::new(), GzDecoder::new(bytes.as_slice()));
    decoder.read_to_end(&mut read).unwrap();
    assert!(read == lines(&records));
    assert!(decoder.into_inner().is_empty());
}

#[test]
fn an_object_without_a_byte_is_an_empty_gzip_member() {
    let mut read = Vec::new();
    let end = json(Compression::Gzip).end(&[]);
    let mut decoder = GzDecoder::new(end.as_slice());
    assert_eq!(decoder.read_to_end(&mut read).unwrap(), 0);
    assert!(decoder.into_inner().is_empty());
}

#[test]
fn zstd_frames_read_as_one_stream() {
    let records = events(20_000);
    let bytes = object(&json(Compression::Zstd), &records, 64 * 1024);
    assert!(zstd::decode_all(bytes.as_slice()).unwrap() == lines(&records));
}

#[test]
fn a_zip_archive_holds_one_deflated_entry_with_all_records() {
    let records = events(20_000);
    let bytes = object(&json(Compression::Zip), &records, 64 * 1024);
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    assert_eq!(archive.len(), 1);
    let mut entry = archive.by_index(0).unwrap();
    assert_eq!(entry.compression(), zip::CompressionMethod::Deflated);
    let mut read = Vec::new();
    entry.read_to_end(&mut read).unwrap();
    assert!(read == lines(&records));
}

#[test]
fn raw_is_the_bytes_as_they_came() {
    let format = Format::compile(&FormatSettings::new(RawSettings {
        compression: Compression::None,
        delimiter: Delimiter::None,
    }))
    .unwrap();
    assert_eq!(
        object(&format, &[b"a\r\n".to_vec(), b"\xff\0b".to_vec()], 1),
        b"a\r\n\xff\0b"
    );
}

#[test]
fn names_and_encodings_are_those_of_firehose() {
    let expected = [
        (Compression::None, "", None),
        (Compression::Gzip, ".gz", Some("gzip")),
        (Compression::Zstd, ".zst", Some("zstd")),
        (Compression::Snappy, ".snappy", Some("snappy-java")),
        (Compression::HadoopSnappy, ".snappy", Some("hadoop-snappy")),
        (Compression::Zip, ".zip", Some("zip")),
    ];
    for (compression, extension, encoding) in expected {
        let format = json(compression);
        assert_eq!(
            (format.extension(), format.content_encoding()),
            (extension, encoding)
        );
        assert_eq!(format.content_type(), "application/octet-stream");
    }
}

#[test]
fn a_call_that_does_not_fit_the_shape_is_refused() {
    let (blocks, whole) = (json(Compression::Gzip), json(Compression::Zip));
    let mut out = Vec::new();
    assert!(
        whole
            .encode_block(&mut whole.encoder(), true, b"", &mut out)
            .is_err()
    );
    assert!(
        blocks
            .encode_block(&mut whole.encoder(), true, b"", &mut out)
            .is_err()
    );
    let mut none = || Ok(None);
    assert!(
        blocks
            .encode_object(
                &mut blocks.encoder(),
                &Head::default(),
                &mut none,
                &mut out,
                &mut |_, _| ()
            )
            .is_err()
    );
}
