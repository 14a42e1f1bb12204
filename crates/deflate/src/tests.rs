//! Tests of the encoder: what it writes is read back by somebody else's decoder.

use std::io::Read as _;

use flate2::read::DeflateDecoder;
use proptest::prelude::*;

use super::{Deflater, LAST_BLOCK};

/// Compresses, and has somebody else's decoder read it: whole, and nothing behind it.
fn deflate(deflater: &mut Deflater, data: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    deflater.run(data, &mut out);
    assert_eq!(&out[..6], b"before");
    out.extend(LAST_BLOCK);
    let stream = out.split_off(6);
    assert!(
        inflate(&stream) == data,
        "{} bytes come back otherwise",
        data.len()
    );
    stream
}

fn inflate(stream: &[u8]) -> Vec<u8> {
    let (mut read, mut decoder) = (Vec::new(), DeflateDecoder::new(stream));
    decoder.read_to_end(&mut read).unwrap();
    assert!(decoder.into_inner().is_empty());
    read
}

/// Text in which much repeats, as far away as one likes.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let words = proptest::collection::vec("[a-d]{1,9}|[0-9]{1,30}|\\PC{0,20}", 1..60);
    (
        words,
        proptest::collection::vec(any::<prop::sample::Index>(), 0..6000),
    )
        .prop_map(|(words, order)| {
            let words = order.iter().map(|index| index.get(&words).as_bytes());
            words.flatten().copied().collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 512 }))]

    #[test]
    fn everything_comes_back(
        text in text(),
        noise in proptest::collection::vec(any::<u8>(), 0..3000),
        run in (any::<u8>(), 0_usize..2000),
    ) {
        let mut deflater = Deflater::new();
        let run = vec![run.0; run.1];
        let whole = [&text[..], &noise, &run, &text].concat();
        for data in [&text[..], &noise, &run, &whole] {
            deflate(&mut deflater, data);
        }
        let mut stream = Vec::new();
        for data in [&text[..], &noise, &[], &run, &text] {
            deflater.run(data, &mut stream);
        }
        stream.extend(LAST_BLOCK);
        prop_assert!(inflate(&stream) == whole, "runs behind each other come back otherwise");
    }

    #[test]
    fn few_symbols_of_any_skew_come_back(
        counts in proptest::collection::vec(0_u32..18, 1..40),
        step in 1_usize..200,
    ) {
        // Counts that double make the longest codes.
        let mut data = Vec::new();
        for (symbol, power) in (0_u8..).zip(counts) {
            data.extend(std::iter::repeat_n(symbol, 1 << power));
        }
        data.truncate(400_000);
        let strided: Vec<u8> = (0..step).flat_map(|from| data[from.min(data.len())..].iter().step_by(step)).copied().collect();
        let mut deflater = Deflater::new();
        deflate(&mut deflater, &data);
        deflate(&mut deflater, &strided);
    }
}

#[test]
fn data_of_every_size_around_the_edges_comes_back() {
    let mut deflater = Deflater::new();
    let mut random = fastrand::Rng::with_seed(7);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(1_400_000)
        .collect();
    let line = br#"{"event":"click","id":123456,"page":"/a/b"}"#;
    let lines: Vec<u8> = line.iter().copied().cycle().take(1_400_000).collect();
    let block = super::BLOCK_BYTES;
    let sizes = (0..40).chain([65_534, 65_535, 65_536, 131_071]);
    let sizes = sizes.chain([
        block - 1,
        block,
        block + 1,
        block + 13,
        2 * block,
        1_400_000,
    ]);
    for size in sizes {
        let stored = deflate(&mut deflater, &noise[..size]);
        let bound = size + 7 + 5 * (size / 65_535 + 3);
        assert!(stored.len() <= bound, "{size}: {} bytes", stored.len());
        deflate(&mut deflater, &lines[..size]);
    }
    // Distances up to the farthest one that the format knows, and beyond.
    for distance in [32_767, 32_768, 32_769, 65_535, 65_536, 65_537] {
        let twice = [&noise[..distance], &noise[..1000]].concat();
        let once = distance > super::DISTANCE_MAX;
        assert_eq!(
            deflate(&mut deflater, &twice).len() > twice.len(),
            once,
            "{distance}"
        );
    }
}

#[test]
fn equal_data_gives_equal_bytes_whatever_came_before() {
    let data: Vec<u8> = (0..50_000_u32)
        .flat_map(|n| (n / 7 % 1000).to_le_bytes())
        .collect();
    let mut used = Deflater::new();
    deflate(&mut used, &data[1000..]);
    assert_eq!(
        deflate(&mut used, &data),
        deflate(&mut Deflater::new(), &data)
    );
}

#[test]
fn records_become_a_quarter_of_their_size() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut data = Vec::new();
    while data.len() < 256 << 10 {
        let (user, value) = (random.u32(..200_000), random.u32(..100_000));
        let page = ["home", "search", "cart", "checkout"][random.usize(..4)];
        let line = format!(
            "{{\"event_type\":\"page_view\",\"user_id\":{user},\"page\":\"/{page}\",\"value\":{value},\
             \"currency\":\"EUR\",\"consent\":true,\"device\":{{\"os\":\"Linux\"}}}}\n"
        );
        data.extend_from_slice(line.as_bytes());
    }
    let stream = deflate(&mut Deflater::new(), &data);
    assert!(
        stream.len() * 4 < data.len(),
        "{} of {}",
        stream.len(),
        data.len()
    );
}
