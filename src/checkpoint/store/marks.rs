//! Marks in a copy of the database: which transaction was last begun there, written with it, by the
//! same fsync.
//!
//! A database whose newest pages are damaged falls back to the transaction before, as it does after a
//! crash. The mark tells that it has: it still names the one that is not there any more. redb uses 320
//! bytes of the first page; four sectors behind them hold the marks of the last two transactions, twice,
//! so that a write that is torn takes none but its own, and a bad sector none at all.

use std::io;

use super::pair::PAGE;
use crate::disk::DiskFile;

const MAGIC: [u8; 8] = *b"fhstore\x01";
const MARK_BYTES: usize = 24;
const SECTOR: u64 = 512;
/// Where the first one stands.
const START: u64 = 2 * SECTOR;
const _: () = assert!(START + 4 * SECTOR <= PAGE);

/// Where the marks of a transaction stand: those of odd and even numbers take turns.
fn places(sequence: u64) -> [u64; 2] {
    let first = START + sequence % 2 * SECTOR;
    [first, first + 2 * SECTOR]
}

/// Marks a transaction as begun. Durable with the next sync.
pub(super) fn set(file: &dyn DiskFile, sequence: u64) -> io::Result<()> {
    let mut mark = [0; MARK_BYTES];
    mark[..8].copy_from_slice(&MAGIC);
    mark[8..16].copy_from_slice(&sequence.to_le_bytes());
    let sum = crc_fast::crc64_nvme(&mark[..16]);
    mark[16..].copy_from_slice(&sum.to_le_bytes());
    let mut places = places(sequence).into_iter();
    places.try_for_each(|place| file.write_all_at(&mark, place))
}

/// The first marks of a file.
pub(super) fn begin(file: &dyn DiskFile, sequence: u64) -> io::Result<()> {
    set(file, sequence.saturating_sub(1))?;
    set(file, sequence)
}

/// The newest transaction that can have been begun in this file; `None`: any.
pub(super) fn begun(file: &dyn DiskFile) -> Option<u64> {
    let of = |parity: u64| {
        let places = places(parity).into_iter();
        places.filter_map(|place| read(file, place)).max()
    };
    newest(of(0), of(1))
}

/// The same, of the last marks with even and odd numbers.
pub(super) fn newest(even: Option<u64>, odd: Option<u64>) -> Option<u64> {
    match (even, odd) {
        (Some(even), Some(odd)) => Some(even.max(odd)),
        // The mark that cannot be read may be that of the next transaction.
        (Some(one), None) | (None, Some(one)) => Some(one + 1),
        (None, None) => None,
    }
}

fn read(file: &dyn DiskFile, place: u64) -> Option<u64> {
    let mut mark = [0; MARK_BYTES];
    file.read_exact_at(&mut mark, place).ok()?;
    let number = |at: usize| mark[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    let is_sound = mark[..8] == MAGIC && number(16)? == crc_fast::crc64_nvme(&mark[..16]);
    number(8).filter(|_| is_sound)
}
