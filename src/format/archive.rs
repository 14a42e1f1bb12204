//! zip: an archive with one deflated entry named by a UUID, as Firehose writes it.
//!
//! Nothing written is gone back to, so checksum and sizes stand behind the data (APPNOTE 4.3.9): in 32 bits
//! where both sizes fit, else in 64. Java's `ZipInputStream` tells from the data which it will find. The
//! crate `zip` must be told before the first byte, when nobody knows, so these few headers are our own.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use uuid::Uuid;

use super::lines::Layout;
use super::{Encode, Encoder, Head, Shape, frame};
use crate::failure::Failure;
use crate::raw_sum::RawSum;
use crate::record::Record;

/// Raw bytes are handed to the deflater in pieces of this size.
const PIECE: usize = 256 * 1024;

/// Version 2.0 of the format, and 4.5, which has sizes of 64 bits.
const VERSIONS: [u16; 2] = [20, 45];

/// Made on Unix: what `attributes` means.
const UNIX: u16 = 3 << 8;

/// A file that its owner writes and everyone reads.
const ATTRIBUTES: u32 = 0o100_644 << 16;

/// A number of 32 bits that says: look among those of 64.
const ELSEWHERE: u32 = u32::MAX;

/// Records laid one after the other, in an archive of their own.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) layout: Layout,
}

impl Encode for Archive {
    fn shape(&self) -> Shape {
        Shape::Whole
    }

    fn extension(&self) -> &'static str {
        ".zip"
    }

    fn content_encoding(&self) -> Option<&'static str> {
        Some("zip")
    }

    fn encode_object(
        &self,
        _encoder: &mut Encoder,
        _head: &Head,
        next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
        out: &mut dyn Write,
        _failed: &mut dyn FnMut(&Record<'_>, Failure),
    ) -> io::Result<u64> {
        encode(&self.layout, next, out)
    }
}

/// Encodes the records of all raw blocks. Returns their number.
fn encode(
    layout: &Layout,
    next: &mut dyn FnMut() -> io::Result<Option<Bytes>>,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut entry = ZipEntry::open(out)?;
    let mut count = 0;
    let mut piece = Vec::with_capacity(PIECE);
    while let Some(block) = next()? {
        for record in frame::records(&block) {
            layout.append(&record?, &mut piece);
            count += 1;
            if piece.len() >= PIECE {
                entry.write(&piece)?;
                piece.clear();
            }
        }
    }
    entry.write(&piece)?;
    entry.close()?;
    Ok(count)
}

/// The one entry of an archive, as it is written.
pub(super) struct ZipEntry<'a> {
    name: String,
    /// Bytes before its data.
    head: u64,
    deflater: DeflateEncoder<&'a mut dyn Write>,
    sum: RawSum,
}

impl<'a> ZipEntry<'a> {
    /// Begins an archive.
    pub(super) fn open(out: &'a mut dyn Write) -> io::Result<Self> {
        let name = Uuid::new_v4().to_string();
        let head = head(&name);
        out.write_all(&head)?;
        Ok(Self {
            name,
            head: head.len() as u64,
            deflater: DeflateEncoder::new(out, Compression::default()),
            sum: RawSum::default(),
        })
    }

    /// Appends a piece of what is in it.
    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.sum = self.sum.and(RawSum::of(piece));
        self.deflater.write_all(piece)
    }

    /// Ends the archive.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.deflater.try_finish()?;
        let deflated = self.deflater.total_out();
        let out = self.deflater.finish()?;
        out.write_all(&tail(&self.name, self.head, self.sum, deflated))?;
        out.flush()
    }
}

/// What stands before the data.
fn head(name: &str) -> Vec<u8> {
    let mut head = b"PK\x03\x04".to_vec();
    head.extend(VERSIONS[0].to_le_bytes());
    head.extend(facts(0, [0, 0], name, 0));
    head.extend(name.as_bytes());
    head
}

/// What the entry's two headers have in common: no time, and what is not known yet is zero.
fn facts(crc32: u32, [deflated, len]: [u32; 2], name: &str, extra: u16) -> Vec<u8> {
    const SIZES_FOLLOW: u16 = 1 << 3;
    const DEFLATED: u16 = 8;
    const NO_TIME: [u16; 2] = [0, 1 << 5 | 1]; // the first day of 1980
    let name = u16::try_from(name.len()).unwrap_or(0);
    let mut facts = Vec::new();
    for number in [SIZES_FOLLOW, DEFLATED].into_iter().chain(NO_TIME) {
        facts.extend(number.to_le_bytes());
    }
    for number in [crc32, deflated, len] {
        facts.extend(number.to_le_bytes());
    }
    for number in [name, extra] {
        facts.extend(number.to_le_bytes());
    }
    facts
}

/// What stands behind the data: its sizes, and the directory with its one entry.
fn tail(name: &str, head: u64, sum: RawSum, deflated: u64) -> Vec<u8> {
    let mut tail = b"PK\x07\x08".to_vec();
    tail.extend(sum.crc32.to_le_bytes());
    match [deflated, sum.len].map(u32::try_from) {
        [Ok(deflated), Ok(len)] => {
            tail.extend([deflated, len].map(u32::to_le_bytes).as_flattened());
        }
        _ => tail.extend([deflated, sum.len].map(u64::to_le_bytes).as_flattened()),
    }

    let directory = head + deflated + tail.len() as u64;
    let mut sizes = [deflated, sum.len].map(short);
    let mut extra = Vec::<u8>::new();
    if sizes.contains(&ELSEWHERE) {
        sizes = [ELSEWHERE; 2];
        extra.extend([1_u16, 16].map(u16::to_le_bytes).as_flattened());
        extra.extend([sum.len, deflated].map(u64::to_le_bytes).as_flattened());
    }
    let version = VERSIONS[usize::from(!extra.is_empty())];
    let mut entry = b"PK\x01\x02".to_vec();
    entry.extend(
        [UNIX | VERSIONS[1], version]
            .map(u16::to_le_bytes)
            .as_flattened(),
    );
    let extra_len = if extra.is_empty() { 0 } else { 20 };
    entry.extend(facts(sum.crc32, sizes, name, extra_len));
    entry.extend([0_u16; 3].map(u16::to_le_bytes).as_flattened()); // comment, disk, kind
    entry.extend([ATTRIBUTES, 0].map(u32::to_le_bytes).as_flattened()); // and where it begins
    entry.extend(name.as_bytes());
    entry.extend(extra);

    let size = entry.len() as u64;
    tail.extend(entry);
    if short(directory) == ELSEWHERE {
        let end = directory + size;
        tail.extend(b"PK\x06\x06");
        tail.extend(44_u64.to_le_bytes()); // what follows of this record
        tail.extend(
            [UNIX | VERSIONS[1], VERSIONS[1]]
                .map(u16::to_le_bytes)
                .as_flattened(),
        );
        tail.extend([0_u32; 2].map(u32::to_le_bytes).as_flattened()); // disks
        tail.extend([1, 1, size, directory].map(u64::to_le_bytes).as_flattened());
        tail.extend(b"PK\x06\x07\0\0\0\0");
        tail.extend(end.to_le_bytes());
        tail.extend(1_u32.to_le_bytes());
    }
    tail.extend(b"PK\x05\x06");
    tail.extend([0_u16, 0, 1, 1].map(u16::to_le_bytes).as_flattened());
    tail.extend(
        [size, directory]
            .map(|at| short(at).to_le_bytes())
            .as_flattened(),
    );
    tail.extend(0_u16.to_le_bytes());
    tail
}

/// A number in 32 bits, if it fits.
fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(ELSEWHERE)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Seek as _, SeekFrom, Write as _};

    use super::{RawSum, head, tail};

    const MAX: u64 = u32::MAX as u64;

    /// The archive as a file with a hole for the data.
    fn archive(sum: RawSum, deflated: u64) -> (File, usize) {
        let head = head("entry");
        let tail = tail("entry", head.len() as u64, sum, deflated);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&head).unwrap();
        let end = i64::try_from(deflated).unwrap();
        file.seek(SeekFrom::Current(end)).unwrap();
        file.write_all(&tail).unwrap();
        let directory = memchr::memmem::find(&tail, b"PK\x01\x02").unwrap();
        (file, directory)
    }

    #[test]
    fn sizes_have_64_bits_where_they_need_them_and_only_there() {
        for (len, deflated, sizes) in [
            (0, 2, 16),
            (1, 3, 16),
            (MAX - 1, 1000, 16),
            (MAX, 1000, 16),
            (MAX + 1, 1000, 24),
            (MAX - 300, MAX - 10, 16), // the directory is past 4 GiB, no size is
            (MAX - 300, MAX, 16),
            (MAX - 300, MAX + 1, 24),
            (5 << 30, 5 << 30, 24),
        ] {
            let crc32 = 0x1234_5678;
            let (file, directory) = archive(RawSum { crc32, len }, deflated);
            assert_eq!(directory, sizes, "{len} {deflated}");
            let mut archive = zip::ZipArchive::new(file).unwrap();
            assert_eq!(archive.len(), 1);
            let entry = archive.by_index_raw(0).unwrap();
            let found = (entry.size(), entry.compressed_size(), entry.crc32());
            assert_eq!(found, (len, deflated, crc32));
            assert_eq!(entry.name().unwrap(), "entry");
        }
    }
}
