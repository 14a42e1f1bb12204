//! A piece of the spool, as checkpoints name it.

use crc_fast::{CrcAlgorithm, checksum_combine};
use serde::{Deserialize, Serialize};

/// Where some bytes lie in the spool, and what they sum to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u64, u32, u64)", into = "(u32, u64, u32, u64)")]
pub struct Extent {
    /// Number of the spool file.
    pub file: u32,
    /// Offset in the file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u32,
    /// CRC-64/NVME of the bytes.
    pub crc64: u64,
}

impl From<(u32, u64, u32, u64)> for Extent {
    fn from((file, offset, len, crc64): (u32, u64, u32, u64)) -> Self {
        Self {
            file,
            offset,
            len,
            crc64,
        }
    }
}

impl From<Extent> for (u32, u64, u32, u64) {
    fn from(extent: Extent) -> Self {
        (extent.file, extent.offset, extent.len, extent.crc64)
    }
}

/// Size and CRC-64/NVME of the concatenation of `extents`.
pub fn sum(extents: &[Extent]) -> (u64, u64) {
    extents.iter().fold((0, 0), |(size, crc64), extent| {
        let len = u64::from(extent.len);
        // Combining is slow beside hashing a small object, and most objects are one extent.
        let crc64 = match size {
            0 => extent.crc64,
            _ => checksum_combine(CrcAlgorithm::Crc64Nvme, crc64, extent.crc64, len),
        };
        (size + len, crc64)
    })
}
