//! A segment file: its name, and its header, which says where the previous segment ended.
//!
//! A segment gets its final name only after its header is durable, so a file with that name and
//! an unreadable header has been damaged. The header is kept twice inside its block, in different
//! sectors: losing the link would lose the knowledge where the previous segment ends.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::position::Sequence;

/// Bytes of the header block; the first frame starts here.
pub(super) const HEADER_BYTES: u64 = 4096;
/// Where in the block the second copy stands.
const COPY_AT: usize = 2048;
/// Bytes of one copy, checksum included.
const COPY_BYTES: usize = 96;
const MAGIC: [u8; 8] = *b"FHSEGMNT";
/// Version of the layout of header and frames. In version 1 no end stood behind the last frame.
const VERSION: u32 = 2;
const VERSION_WITHOUT_END: u32 = 1;

/// Where the journal stood before a segment began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The previous segment; 0: there is none.
    pub(super) number: u64,
    /// Where its last durable frame ends, in bytes. Whatever lies beyond was never accepted.
    pub(super) end: u64,
    /// One past the last sequence number of the whole journal up to there; 0: no record yet.
    pub(super) next: Sequence,
}

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) incarnation: Uuid,
    /// Counts segments over the journal's whole life, from 1; equal to the one in the file's name.
    pub(super) number: u64,
    /// The epoch of the records that are appended here.
    pub(super) epoch: u32,
    /// The sequence number that the first record here has, or would have.
    pub(super) first: Sequence,
    /// Up to here the file was durable when the header was written: the frames that a recovery
    /// brought over from the previous segment.
    pub(super) durable: u64,
    pub(super) link: Link,
    /// Whether an end stands behind the last frame, as this version writes it.
    pub(super) has_end: bool,
}

/// Why a header could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// Neither copy is whole.
    Damaged,
    /// Written by another version of this program.
    Version(u32),
}

impl Header {
    /// The header block, in this version's layout.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(COPY_BYTES);
        copy.extend_from_slice(&MAGIC);
        copy.extend_from_slice(&VERSION.to_le_bytes());
        copy.extend_from_slice(&self.epoch.to_le_bytes());
        copy.extend_from_slice(self.incarnation.as_bytes());
        for field in [
            self.number,
            self.first.0,
            self.durable,
            self.link.number,
            self.link.end,
            self.link.next.0,
            0,
        ] {
            copy.extend_from_slice(&field.to_le_bytes());
        }
        copy.extend_from_slice(&crc_fast::crc64_nvme(&copy).to_le_bytes());
        let mut block = vec![0; usize::try_from(HEADER_BYTES).expect("4096 fits")];
        for at in [0, COPY_AT] {
            block[at..at + COPY_BYTES].copy_from_slice(&copy);
        }
        block
    }

    /// Reads whichever copy of `block` is whole.
    pub(super) fn decode(block: &[u8]) -> Result<Self, HeaderFault> {
        [0, COPY_AT]
            .into_iter()
            .find_map(|at| {
                let copy = block.get(at..at + COPY_BYTES)?;
                let sum = crc_fast::crc64_nvme(&copy[..COPY_BYTES - 8]);
                let whole = copy[..8] == MAGIC && u64_at(copy, COPY_BYTES - 8) == sum;
                whole.then(|| Self::decode_copy(copy))
            })
            .unwrap_or(Err(HeaderFault::Damaged))
    }

    fn decode_copy(copy: &[u8]) -> Result<Self, HeaderFault> {
        let version = u32_at(copy, 8);
        if version != VERSION && version != VERSION_WITHOUT_END {
            return Err(HeaderFault::Version(version));
        }
        let incarnation: [u8; 16] = copy[16..32].try_into().expect("16 bytes");
        Ok(Self {
            incarnation: Uuid::from_bytes(incarnation),
            number: u64_at(copy, 32),
            epoch: u32_at(copy, 12),
            first: Sequence(u64_at(copy, 40)),
            durable: u64_at(copy, 48),
            link: Link {
                number: u64_at(copy, 56),
                end: u64_at(copy, 64),
                next: Sequence(u64_at(copy, 72)),
            },
            has_end: version == VERSION,
        })
    }
}

/// The little-endian number at `at`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

/// The little-endian number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

/// What a file of the journal's directory is, told by its name's ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// Part of the journal.
    Segment,
    /// Part of the journal, with damage inside; kept for a person to look at.
    Quarantined,
    /// Released, and waiting to be written over.
    Spare,
    /// Being prepared.
    New,
}

impl FileKind {
    const ALL: [Self; 4] = [Self::Segment, Self::Quarantined, Self::Spare, Self::New];

    const fn ending(self) -> &'static str {
        match self {
            Self::Segment => ".segment",
            Self::Quarantined => ".quarantined",
            Self::Spare => ".spare",
            Self::New => ".new",
        }
    }

    /// The path of file `number` in the journal's directory.
    pub(super) fn path(self, dir: &Path, number: u64) -> PathBuf {
        dir.join(format!("{number:020}{}", self.ending()))
    }

    /// Reads a file's name; `None`: not one of ours.
    pub(super) fn parse(name: &str) -> Option<(Self, u64)> {
        Self::ALL.into_iter().find_map(|kind| {
            let digits = name.strip_suffix(kind.ending())?;
            let ours = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
            ours.then_some((kind, digits.parse().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            incarnation: Uuid::from_u128(7),
            number: 3,
            epoch: 5,
            first: Sequence::first_of(5),
            durable: HEADER_BYTES,
            link: Link {
                number: 2,
                end: 8192,
                next: Sequence::first_of(4).plus(9),
            },
            has_end: true,
        }
    }

    #[test]
    fn either_copy_of_a_header_is_enough() {
        let block = header().encode();
        assert_eq!(block.len() as u64, HEADER_BYTES);
        for sector in 0..8 {
            let mut torn = block.clone();
            torn[sector * 512..(sector + 1) * 512].fill(0xA5);
            assert_eq!(Header::decode(&torn), Ok(header()), "sector {sector}");
        }
        let mut lost = block.clone();
        lost[20] ^= 1;
        lost[COPY_AT + 20] ^= 1;
        assert_eq!(Header::decode(&lost), Err(HeaderFault::Damaged));
    }

    #[test]
    fn only_our_own_names_are_read() {
        let path = FileKind::Segment.path(Path::new("j"), 12);
        assert_eq!(path, Path::new("j/00000000000000000012.segment"));
        let name = "00000000000000000012.segment";
        assert_eq!(FileKind::parse(name), Some((FileKind::Segment, 12)));
        for name in [
            "12.segment",
            "+0000000000000000012.segment",
            "lost+found",
            "99999999999999999999.spare",
        ] {
            assert_eq!(FileKind::parse(name), None, "{name}");
        }
    }
}
