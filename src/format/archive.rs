//! zip: an archive with one deflated entry named by a UUID, as Firehose writes it.

use bytes::Bytes;
use std::io::{self, Write};

use uuid::Uuid;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::frame;
use super::lines::Layout;

/// Raw bytes are handed to the deflater in pieces of this size.
const PIECE: usize = 256 * 1024;

/// Encodes the records of all raw blocks. Returns their number.
pub(super) fn encode(
    layout: &Layout,
    next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut writer = ZipWriter::new_stream(out);
    // Sizes follow the data; zip64, because they are not known to stay below 4 GiB.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .large_file(true);
    writer.start_file(Uuid::new_v4().to_string(), options)?;
    let mut count = 0;
    let mut piece = Vec::with_capacity(PIECE);
    while let Some(block) = next()? {
        for record in frame::records(&block) {
            layout.append(&record?, &mut piece);
            count += 1;
            if piece.len() >= PIECE {
                writer.write_all(&piece)?;
                piece.clear();
            }
        }
    }
    writer.write_all(&piece)?;
    writer.finish()?.into_inner().flush()?;
    Ok(count)
}
