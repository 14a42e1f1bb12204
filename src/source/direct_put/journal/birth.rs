//! How a segment's file comes to be: prepared under another name, durable before it gets its own.

use std::io;
use std::sync::Arc;

use super::frame::end_at;
use super::segment::{FileKind, Header};
use super::shared::{Shared, Spare};
use crate::disk::{DiskFile, OpenMode};

/// Opens the file that is to become a segment: a spare, or a new one.
pub(super) fn begin_file(
    shared: &Shared,
    spare: Option<Spare>,
    number: u64,
) -> io::Result<(Arc<dyn DiskFile>, FileKind, Option<Spare>)> {
    let (kind, number, how) = match spare {
        Some(spare) => (FileKind::Spare, spare.number, OpenMode::Existing),
        None => (FileKind::New, number, OpenMode::New),
    };
    let file = shared.disk.open(&shared.path(kind, number), how)?;
    Ok((file, kind, spare))
}

/// Makes the file a durable segment: header, end behind what is durable, fsync, name, directory fsync.
pub(super) fn finish_file(
    shared: &Shared,
    file: &dyn DiskFile,
    header: &Header,
    kind: FileKind,
    spare: Option<Spare>,
) -> io::Result<()> {
    let from = shared.path(kind, spare.map_or(header.number, |spare| spare.number));
    let to = shared.path(FileKind::Segment, header.number);
    let end = end_at(shared.seed(header.number), header.durable);
    let finished = file
        .write_all_at(&header.encode(), 0)
        .and_then(|()| file.write_all_at(&end, header.durable))
        .and_then(|()| file.sync_data())
        .and_then(|()| shared.disk.rename(&from, &to))
        .and_then(|()| shared.disk.sync_dir(&shared.settings.dir));
    if finished.is_err() {
        // Its number is never used again; what cannot be removed now is removed at the next start.
        let _ = shared.disk.remove(&from);
        let _ = shared.disk.remove(&to);
    }
    finished
}

/// Writes zeros from offset `from` to `to`.
pub(super) fn fill_with_zeros(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = from;
    while at < to {
        let len = usize::try_from(to - at)
            .unwrap_or(ZEROS.len())
            .min(ZEROS.len());
        file.write_all_at(&ZEROS[..len], at)?;
        at += len as u64;
    }
    Ok(())
}
