//! The hash of a format's settings, by which batches name the format that they were opened under.

use crate::config::FormatSettings;

/// The hash of a format's settings: the CRC-64/NVME of their durable form.
pub fn format_hash(settings: &FormatSettings) -> u64 {
    let json = serde_json::to_vec(settings).expect("settings are plain data");
    crc_fast::crc64_nvme(&json)
}
