//! One gzip member an object (RFC 1952), out of blocks that were compressed on their own.
//!
//! Several members would be as valid and need no sum of the whole, but readers get that wrong: `DuckDB` up
//! to 1.5 leaves out what follows a member that ends where its read buffer does, without a word; others
//! stop after the first one.

use std::io;

use flate2::{Decompress, FlushDecompress};

use crate::raw_sum::RawSum;

/// No name, no time (equal records give equal bytes), fastest method, unknown system.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff];

/// The end of an object whose blocks have these sums. One without blocks is begun by it, too.
pub(super) fn end(sums: &[RawSum]) -> Vec<u8> {
    let whole = sums.iter().copied().reduce(RawSum::and);
    let mut end = Vec::new();
    if whole.is_none() {
        end.extend_from_slice(&HEADER);
    }
    end.extend_from_slice(&firehose_deflate::LAST_BLOCK);
    let RawSum { crc32, len } = whole.unwrap_or_default();
    end.extend_from_slice(&crc32.to_le_bytes());
    // The length is kept modulo 2^32.
    end.extend_from_slice(&len.to_le_bytes()[..4]);
    end
}

/// The sum of the raw bytes of a block; `first` tells that it opens the object.
pub(super) fn sum(first: bool, encoded: &[u8]) -> io::Result<RawSum> {
    let head = if first { &HEADER[..] } else { &[] };
    let mut rest = encoded.strip_prefix(head).ok_or_else(no_block)?;
    let mut inflater = Decompress::new(false);
    let (mut out, mut sum) = (vec![0; 64 << 10], RawSum::default());
    loop {
        let (read, made) = (inflater.total_in(), inflater.total_out());
        let inflated = inflater.decompress(rest, &mut out, FlushDecompress::None);
        inflated.map_err(|_| no_block())?;
        let [read, made] = [inflater.total_in() - read, inflater.total_out() - made]
            .map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        if read == 0 && made == 0 {
            return rest.is_empty().then_some(sum).ok_or_else(no_block);
        }
        rest = &rest[read..];
        sum = sum.and(RawSum::of(&out[..made]));
    }
}

fn no_block() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "this is no block of a gzip member",
    )
}
