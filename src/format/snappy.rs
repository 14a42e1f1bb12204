//! The two snappy framings that Firehose writes; neither is the official framing format.

use std::io;

/// What opens a stream of snappy-java's `SnappyOutputStream` ("xerial" framing): magic, then version
/// and oldest compatible version, big-endian.
pub(super) const XERIAL_HEADER: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];

/// snappy-java's default block size: its readers size their buffers by what they find, others may not.
const XERIAL_BLOCK: usize = 32 * 1024;

/// Bytes of one Hadoop block. Hadoop's codec reads a block through a 256 KiB buffer
/// (`io.compression.codec.snappy.buffersize`) that must hold it compressed and uncompressed, worst
/// case (a sixth more) included.
const HADOOP_BLOCK: usize = 128 * 1024;

/// Appends `raw` as xerial chunks: length of the compressed block (big-endian u32), the block.
pub(super) fn append_xerial(
    encoder: &mut snap::raw::Encoder,
    first: bool,
    raw: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    if first {
        out.extend_from_slice(&XERIAL_HEADER);
    }
    for block in raw.chunks(XERIAL_BLOCK) {
        append_chunk(encoder, block, out)?;
    }
    Ok(())
}

/// Appends `raw` as blocks of Hadoop's `BlockCompressorStream`: length of the block (big-endian
/// u32), then its only chunk: length of the compressed bytes (big-endian u32), the bytes.
pub(super) fn append_hadoop(
    encoder: &mut snap::raw::Encoder,
    raw: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    for block in raw.chunks(HADOOP_BLOCK) {
        out.extend_from_slice(&length(block.len())?);
        append_chunk(encoder, block, out)?;
    }
    Ok(())
}

fn append_chunk(
    encoder: &mut snap::raw::Encoder,
    block: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let start = out.len();
    let body = start + size_of::<u32>();
    out.resize(body + snap::raw::max_compress_len(block.len()), 0);
    let written = encoder
        .compress(block, &mut out[body..])
        .map_err(io::Error::other)?;
    out[start..body].copy_from_slice(&length(written)?);
    out.truncate(body + written);
    Ok(())
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    u32::try_from(bytes)
        .map(u32::to_be_bytes)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{XERIAL_HEADER, append_hadoop, append_xerial};

    fn chunk<'a>(bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let body = &bytes[4..4 + length];
        out.extend(snap::raw::Decoder::new().decompress_vec(body).unwrap());
        &bytes[4 + length..]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_blocks_of_both_framings_give_the_bytes_back(
            lengths in proptest::collection::vec(0_usize..300_000, 1..4),
            period in 1_usize..300,
        ) {
            let blocks: Vec<Vec<u8>> =
                lengths.iter().map(|&length| (0..period).cycle().map(|at| at.to_le_bytes()[0]).take(length).collect()).collect();
            let mut encoder = snap::raw::Encoder::new();
            let (mut xerial, mut hadoop) = (Vec::new(), Vec::new());
            for (index, block) in blocks.iter().enumerate() {
                append_xerial(&mut encoder, index == 0, block, &mut xerial).unwrap();
                append_hadoop(&mut encoder, block, &mut hadoop).unwrap();
            }
            let raw = blocks.concat();

            let mut rest = xerial.strip_prefix(&XERIAL_HEADER).unwrap();
            let mut read = Vec::new();
            while !rest.is_empty() {
                rest = chunk(rest, &mut read);
            }
            prop_assert!(read == raw);

            let mut rest = hadoop.as_slice();
            let mut read = Vec::new();
            while !rest.is_empty() {
                let promised = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
                let before = read.len();
                rest = chunk(&rest[4..], &mut read);
                prop_assert_eq!(read.len() - before, promised);
            }
            prop_assert!(read == raw);
        }
    }
}
