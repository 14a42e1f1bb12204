//! A frame: the records of one append, as they stand in a segment.
//!
//! ```text
//!  0  u64  crc64nvme of incarnation, segment number, offset and bytes 8..56 of this header
//!  8  u64  magic
//! 16  u64  crc64nvme of record ends and data
//! 24  u64  sequence number of the first record; the others follow one by one
//! 32  i64  arrival, milliseconds since the Unix epoch
//! 40  u64  the durable end of this segment when this was written, in bytes
//! 48  u32  bytes of data
//! 52  u32  number of records
//! 56       record ends (u32 each), data; the next frame starts at the next multiple of 8
//! ```
//! All numbers are little-endian. The header's checksum covers where it stands, so neither stale
//! bytes of a recycled file nor a record that looks like a frame is ever taken for one.
//!
//! A frame without records is a mark: it tells the durable end when no append follows soon that
//! would. In the place of an arrival it has the number of the segment that goes on behind this one,
//! or 0 while none does.
//!
//! Behind the last frame of a group stand 8 bytes, its end: a checksum of incarnation, segment number
//! and offset. The next group writes over them. Where neither a frame nor an end stands, something is
//! torn or damaged.

use crc_fast::{CrcAlgorithm, Digest};
use uuid::Uuid;

use super::segment::{u32_at, u64_at};
use crate::position::Sequence;

/// Bytes of a frame's header.
pub(super) const FRAME_HEADER_BYTES: usize = 56;
/// What [`FRAME_MAGIC`] is found at, counted from the start of the header.
pub(super) const MAGIC_AT: usize = 8;
pub(super) const FRAME_MAGIC: [u8; 8] = *b"\xF1recordS";
/// Frames start at multiples of this.
pub(super) const ALIGN: u64 = 8;
/// More bytes of record ends and data no header is believed to have: four times those of the largest request. Memory is
/// taken for them before the file is read.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// Bytes of an end.
pub(super) const END_BYTES: usize = 8;
/// Bytes of a mark.
pub(super) const MARK_BYTES: u64 = FRAME_HEADER_BYTES as u64;
const END_MAGIC: [u8; 8] = *b"\xF1theend.";

/// What frames of one segment are bound to by their checksums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed {
    pub(super) incarnation: Uuid,
    pub(super) number: u64,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where the frame starts in its segment.
    pub(super) offset: u64,
    pub(super) payload_sum: u64,
    pub(super) first: Sequence,
    pub(super) arrival_ms: i64,
    /// Everything before this offset was durable when the frame was written.
    pub(super) durable: u64,
    pub(super) data_bytes: u32,
    pub(super) count: u32,
}

impl Frame {
    /// Writes the header, bound to `seed` and the frame's offset.
    pub(super) fn encode(&self, seed: Seed, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&FRAME_MAGIC);
        out.extend_from_slice(&self.payload_sum.to_le_bytes());
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&self.arrival_ms.to_le_bytes());
        out.extend_from_slice(&self.durable.to_le_bytes());
        out.extend_from_slice(&self.data_bytes.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        let sum = header_sum(seed, self.offset, &out[start + 8..]);
        out[start..start + 8].copy_from_slice(&sum.to_le_bytes());
    }

    /// Reads the header that stands at `offset`; `None` where there is no whole one, or one whose records
    /// would have numbers beyond the last, or more bytes than any request. The payload is not looked at.
    pub(super) fn decode(seed: Seed, offset: u64, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        let whole = bytes[MAGIC_AT..MAGIC_AT + 8] == FRAME_MAGIC
            && u64_at(bytes, 0) == header_sum(seed, offset, &bytes[8..]);
        let frame = whole.then(|| Self {
            offset,
            payload_sum: u64_at(bytes, 16),
            first: Sequence(u64_at(bytes, 24)),
            arrival_ms: u64_at(bytes, 32).cast_signed(),
            durable: u64_at(bytes, 40),
            data_bytes: u32_at(bytes, 48),
            count: u32_at(bytes, 52),
        });
        frame.filter(|frame| {
            let has_numbers = frame.first.0.checked_add(frame.count.into()).is_some();
            has_numbers && frame.payload_bytes() <= PAYLOAD_BYTES_MAX
        })
    }

    /// Bytes of record ends and data.
    pub(super) const fn payload_bytes(&self) -> usize {
        self.count as usize * 4 + self.data_bytes as usize
    }

    /// Where the next frame starts.
    pub(super) const fn end(&self) -> u64 {
        let end = self.offset + (FRAME_HEADER_BYTES + self.payload_bytes()) as u64;
        end.next_multiple_of(ALIGN)
    }

    /// One past the last sequence number.
    pub(super) const fn next(&self) -> Sequence {
        self.first.plus(self.count as u64)
    }

    /// Whether it holds no records, and only tells the durable end.
    pub(super) const fn is_mark(&self) -> bool {
        self.count == 0
    }

    /// Of a mark: the segment that goes on behind this one.
    pub(super) fn continued_in(&self) -> Option<u64> {
        let number = u64::try_from(self.arrival_ms).ok();
        number.filter(|number| self.is_mark() && *number > 0)
    }
}

/// The end that stands at `offset` behind the last frame.
pub(super) fn end_at(seed: Seed, offset: u64) -> [u8; END_BYTES] {
    header_sum(seed, offset, &END_MAGIC).to_le_bytes()
}

/// Bytes that a batch takes in a segment, from one multiple of [`ALIGN`] to the next.
pub(super) const fn frame_bytes(records: usize, data: usize) -> u64 {
    ((FRAME_HEADER_BYTES + records * 4 + data) as u64).next_multiple_of(ALIGN)
}

/// The checksum of record ends and data, which may lie apart in memory.
pub(super) fn payload_sum(parts: &[&[u8]]) -> u64 {
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}

fn header_sum(seed: Seed, offset: u64, header: &[u8]) -> u64 {
    let mut bound = [0; 32 + FRAME_HEADER_BYTES - 8];
    bound[..16].copy_from_slice(seed.incarnation.as_bytes());
    bound[16..24].copy_from_slice(&seed.number.to_le_bytes());
    bound[24..32].copy_from_slice(&offset.to_le_bytes());
    let bound = &mut bound[..32 + header.len()];
    bound[32..].copy_from_slice(header);
    crc_fast::crc64_nvme(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_records_beyond_the_last_number_or_of_more_bytes_than_any_request_is_none() {
        let seed = Seed {
            incarnation: Uuid::from_u128(1),
            number: 4,
        };
        let most = u32::try_from(PAYLOAD_BYTES_MAX).unwrap() - 2 * 4;
        for (first, data_bytes, is_one) in [
            (u64::MAX - 2, 0, true),
            (u64::MAX - 1, 0, false),
            (u64::MAX, 0, false),
            (1, most, true),
            (1, most + 1, false),
            (1, u32::MAX, false),
        ] {
            let frame = Frame {
                offset: 4096,
                payload_sum: 11,
                first: Sequence(first),
                arrival_ms: 0,
                durable: 4096,
                data_bytes,
                count: 2,
            };
            let mut bytes = Vec::new();
            frame.encode(seed, &mut bytes);
            let read = Frame::decode(seed, 4096, &bytes);
            assert_eq!(read, is_one.then_some(frame), "{first}, {data_bytes}");
        }
    }

    #[test]
    fn a_frame_is_one_only_where_it_was_written() {
        let seed = Seed {
            incarnation: Uuid::from_u128(1),
            number: 4,
        };
        let frame = Frame {
            offset: 4096,
            payload_sum: 11,
            first: Sequence::first_of(2),
            arrival_ms: -5,
            durable: 4096,
            data_bytes: 13,
            count: 2,
        };
        let mut bytes = Vec::new();
        frame.encode(seed, &mut bytes);
        assert_eq!(bytes.len(), FRAME_HEADER_BYTES);
        assert_eq!(Frame::decode(seed, 4096, &bytes), Some(frame));
        assert_eq!(frame.end(), 4096 + 56 + 8 + 13 + 3);
        assert_eq!(Frame::decode(seed, 8192, &bytes), None);
        let recycled = Seed { number: 5, ..seed };
        assert_eq!(Frame::decode(recycled, 4096, &bytes), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::decode(seed, 4096, &flipped), None, "bit {bit}");
        }
    }
}
