//! Splitting is the same however the body arrives, compressed or not.

use std::io::Write as _;

use proptest::prelude::*;

use super::super::decoding::{BodyRecords, ContentKind, Decoding};
use super::*;

fn records(batches: &[PutBatch]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for batch in batches {
        let mut start = 0;
        for &end in &batch.ends {
            records.push(batch.data[start..end as usize].to_vec());
            start = end as usize;
        }
        assert_eq!(start, batch.data.len(), "no byte belongs to no record");
    }
    records
}

fn fed(encoding: &[u8], body: &[u8], pieces: usize) -> Vec<PutBatch> {
    let mut decoding = Decoding::new(encoding, ContentKind::Lines, body.len()).unwrap();
    for mut piece in body.chunks(pieces) {
        while !piece.is_empty() {
            let taken = decoding.feed(piece).unwrap();
            piece = &piece[taken..];
        }
    }
    let BodyRecords::Lines(lines) = decoding.finish().unwrap().into_records() else {
        panic!("lines were asked for")
    };
    lines.finish().unwrap()
}

/// The plain definition: no byte order mark, split, drop one carriage return, skip what is empty.
fn expected(body: &[u8]) -> Vec<Vec<u8>> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
        .filter(|line| !line.is_empty())
        .collect()
}

proptest! {
    #[test]
    fn any_body_in_any_pieces_and_encoding_gives_the_lines_of_its_plain_definition(
        head in proptest::sample::select(vec![&b""[..], b"\xef\xbb\xbf", b"\xef\xbb", b"\xef\xbb\xbf\xef\xbb\xbf"]),
        rest in proptest::collection::vec(prop_oneof![
            4 => proptest::num::u8::ANY,
            2 => Just(b'\n'),
            1 => Just(b'\r'),
        ], 1..300),
        pieces in 1_usize..50,
    ) {
        let body = [head, &rest].concat();
        let lines = expected(&body);
        prop_assert_eq!(&records(&fed(b"", &body, pieces)), &lines);
        let zstd = zstd::encode_all(&body[..], 1).unwrap();
        prop_assert_eq!(&records(&fed(b"zstd", &zstd, pieces)), &lines);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&body).unwrap();
        let gzip = gzip.finish().unwrap();
        prop_assert_eq!(&records(&fed(b"gzip", &gzip, pieces)), &lines);
    }
}

#[test]
fn batches_stay_within_4_mib_of_records_and_offsets() {
    let wide = [vec![b'x'; 1_000_000], vec![b'\n']].concat().repeat(16);
    let narrow = [&b"x".repeat(100)[..], b"\n"]
        .concat()
        .repeat(REQUEST_RECORDS_MAX);
    for body in [wide, narrow] {
        let batches = fed(b"", &body, 100_000);
        assert!(batches.len() > 1);
        for batch in &batches {
            assert!(batch.data.len() + batch.len() * size_of::<u32>() <= BATCH_BYTES_MAX);
        }
        assert_eq!(records(&batches), expected(&body));
    }
}

#[test]
fn of_a_body_nothing_is_held_before_it_arrives_and_little_more_than_has() {
    for encoding in [&b""[..], b"gzip", b"zstd"] {
        let mut decoding = Decoding::new(encoding, ContentKind::Lines, 16 << 20).unwrap();
        assert_eq!(decoding.memory(), 0);
        if !encoding.is_empty() {
            continue;
        }
        for arrived in [10_000_usize, 100_000, 1_000_000] {
            decoding
                .feed(&b"0123456789\n".repeat(arrived / 11))
                .unwrap();
            let held = decoding.memory();
            assert!(
                held >= arrived / 2 && held <= 6 * arrived,
                "{held} of {arrived}"
            );
        }
    }
}
