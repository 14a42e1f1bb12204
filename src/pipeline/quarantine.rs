//! Damaged bytes of the spool: set aside in files that nothing removes, told and counted. The rest of
//! their batch is delivered.

use std::io;

use bytes::Bytes;
use uuid::Uuid;

use super::Pipeline;
use super::encode::{BlockBytes, Run};
use crate::disk;
use crate::extent::Extent;
use crate::spool::Spool;

/// Records that the spool does not give back as they were.
#[derive(Debug)]
pub(super) struct Damaged {
    pub(super) records: u64,
    /// Whether so many are only about right.
    pub(super) is_about: bool,
    bytes: u64,
    /// What was found.
    cause: String,
    /// What can be read of them, below the stream's directory.
    file: String,
}

/// Reads a block that is to be encoded. A damaged one is set aside, durably, and is empty then: the next
/// checkpoint forgets it.
pub(super) fn read(
    id: Uuid,
    source: &BlockBytes,
    spool: &Spool,
    damaged: &mut Vec<Damaged>,
) -> io::Result<Bytes> {
    let cause = match twice(|| source.read(spool))? {
        ReadBack::Whole(bytes) => return Ok(bytes),
        ReadBack::Damaged(cause) => cause,
    };
    let records = (source.records, false);
    let (head, rest) = (&source.head, &source.rest);
    damaged.push(set_aside(id, "raw", records, head, rest, cause, spool)?);
    Ok(Bytes::new())
}

/// Reads what a run of row groups leaves for the object's end. Where that is damaged nothing describes the
/// run: it is set aside, and its bytes in the object mean nothing.
pub(super) fn footer(
    id: Uuid,
    run: &Run,
    spool: &Spool,
    damaged: &mut Vec<Damaged>,
) -> io::Result<Option<Bytes>> {
    let cause = match twice(|| run.footer.read(spool))? {
        ReadBack::Whole(bytes) => return Ok(Some(bytes)),
        ReadBack::Damaged(cause) => cause,
    };
    let records = (run.records, run.records == 0);
    let extents = [&*run.extents, &*run.footer.head].concat();
    damaged.push(set_aside(
        id,
        "run",
        records,
        &extents,
        &run.footer.rest,
        cause,
        spool,
    )?);
    Ok(None)
}

/// What reading has found.
pub(super) enum ReadBack<T> {
    /// What was written.
    Whole(T),
    /// Something else, and how that shows.
    Damaged(io::Error),
}

impl<T> ReadBack<T> {
    /// What was written; damage is an error.
    pub(super) fn whole(self) -> io::Result<T> {
        match self {
            Self::Whole(read) => Ok(read),
            Self::Damaged(error) => Err(error),
        }
    }
}

/// Reads, and once more where that finds damage: a bit may have been flipped on its way.
pub(super) fn twice<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<ReadBack<T>> {
    let mut found = read();
    if found.as_ref().is_err_and(is_damage) {
        found = read();
    }
    match found {
        Ok(read) => Ok(ReadBack::Whole(read)),
        Err(error) if is_damage(&error) => Ok(ReadBack::Damaged(error)),
        Err(error) => Err(error),
    }
}

fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

/// Bytes of a sealed object, by their files' names.
pub(super) const ENCODED: &str = "encoded";

/// Sets extents and what follows them aside, durably. `records` says how many are in them, and whether that is only
/// about right. Fails with the cause where they cannot be set aside. For want of room the error has the cause's kind
/// only for a sealed object, which then waits; for an open batch it has another kind, and the stream recovers until
/// there is room.
pub(super) fn set_aside(
    id: Uuid,
    kind: &str,
    (records, is_about): (u64, bool),
    extents: &[Extent],
    rest: &[u8],
    cause: io::Error,
    spool: &Spool,
) -> io::Result<Damaged> {
    let Some(first) = extents.first() else {
        return Err(cause);
    };
    // The same for each attempt. Other bytes of this name get a number behind it.
    let name = format!("{id}-{}-{}.{kind}", first.file, first.offset);
    let path = match spool.set_aside(&name, extents, rest) {
        Ok(Some(path)) => path,
        Ok(None) => return Err(cause),
        Err(error) if disk::is_full(&error) => {
            let kind = if kind == ENCODED {
                cause.kind()
            } else {
                io::ErrorKind::Other
            };
            return Err(io::Error::new(kind, format!("{cause}; {error}")));
        }
        Err(error) => return Err(error),
    };
    Ok(Damaged {
        records,
        is_about,
        bytes: extents
            .iter()
            .map(|extent| u64::from(extent.len))
            .sum::<u64>()
            + rest.len() as u64,
        cause: cause.to_string(),
        file: path.display().to_string(),
    })
}

impl Pipeline {
    /// Tells of bytes of an object that were set aside; how many records were in them.
    pub(super) fn note_damaged(&self, object: Option<&str>, damaged: &[Damaged]) -> u64 {
        let mut gone = 0;
        for one in damaged {
            gone += one.records;
            tracing::error!(
                stream = self.settings.name,
                object,
                records = one.records,
                is_about = one.is_about,
                bytes = one.bytes,
                cause = one.cause,
                file = one.file,
                "spooled records are damaged and are not delivered: their block is set aside in the \
                 stream's folder under state_dir; see to the disk"
            );
        }
        self.context.status.metrics().quarantined.add(gone);
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::encode::{self, Done, EncoderPool, Work};
    use super::*;
    use crate::config::{ColumnSettings, FormatSettings};
    use crate::disk::{Disk, TornDisk};
    use crate::format::{
        Compression, Delimiter, Format, JsonSettings, ParquetCompression, ParquetOptions,
        ParquetSettings,
    };
    use crate::position::Position;
    use crate::record::Record;
    use crate::telemetry::FieldCounts;

    const SPOOL: &str = "spool/0000000000.spool";

    /// Three blocks of two records each in the spool.
    fn staged(format: &Format, disk: &TornDisk) -> (Arc<Spool>, Vec<BlockBytes>) {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let spool = Spool::open(disk, Path::new("spool"), std::iter::empty()).unwrap();
        let spool = spool.with_quarantine("quarantine".into(), None);
        let mut sources = Vec::new();
        for block in 0..3 {
            let mut raw = Vec::new();
            for record in 0..2 {
                let data = format!("{{\"id\":\"{block}.{record}\"}}");
                let record = Record::new(data.as_bytes(), 0, Position::default());
                format.stage(&record, &mut raw);
            }
            sources.push(BlockBytes {
                head: spool.append(&[&raw]).unwrap(),
                rest: Bytes::new(),
                records: 2,
            });
        }
        (Arc::new(spool), sources)
    }

    fn rot(disk: &TornDisk, source: &BlockBytes) {
        let offset = source.head[0].offset + 3;
        // One bit would be put right.
        disk.rot(Path::new(SPOOL), offset, 0b101).unwrap();
    }

    fn spoil(disk: &TornDisk, source: &BlockBytes) {
        let offset = source.head[0].offset + 3;
        disk.spoil(Path::new(SPOOL), offset..offset + 1).unwrap();
    }

    fn set_aside(disk: &TornDisk) -> Vec<String> {
        disk.list(Path::new("quarantine")).unwrap_or_default()
    }

    #[test]
    fn a_member_is_whole_without_any_of_its_blocks() {
        let settings = FormatSettings::new(JsonSettings {
            compression: Compression::Gzip,
            delimiter: Delimiter::Newline,
        });
        let format = Format::compile(&settings).unwrap();
        let ways: [fn(&TornDisk, &BlockBytes); 2] = [rot, spoil];
        for (damaged, damage) in (0..3).flat_map(|block| ways.map(|way| (block, way))) {
            let disk = TornDisk::new(0);
            let (spool, sources) = staged(&format, &disk);
            damage(&disk, &sources[damaged]);
            let id = Uuid::new_v4();
            let works = sources
                .into_iter()
                .zip(0..)
                .map(|(source, serial)| Work::Block {
                    id,
                    serial,
                    first: serial == 0,
                    source,
                    format: format.clone(),
                });
            let pool = EncoderPool::default();
            let done = encode::run(
                works.collect(),
                0,
                &pool,
                &spool,
                &FieldCounts::default(),
                0,
            )
            .unwrap();
            let (mut object, mut sums, mut gone) = (Vec::new(), Vec::new(), 0);
            for done in done {
                let Done::Block {
                    encoded,
                    raw_sum,
                    damaged,
                    ..
                } = done
                else {
                    panic!("{done:?}");
                };
                object.extend_from_slice(&encoded);
                sums.extend(raw_sum);
                gone += damaged.iter().map(|block| block.records).sum::<u64>();
            }
            object.extend(format.end(&sums));
            let mut text = String::new();
            let mut member = flate2::read::GzDecoder::new(&*object);
            member.read_to_string(&mut text).unwrap();
            let kept = (0..3).filter(|block| *block != damaged);
            let kept =
                kept.flat_map(|block| (0..2).map(move |n| format!("{{\"id\":\"{block}.{n}\"}}\n")));
            assert_eq!(text, kept.collect::<String>());
            assert_eq!((gone, set_aside(&disk).len()), (2, 1));
        }
    }

    #[test]
    fn a_run_is_whole_without_a_block_and_what_is_set_aside_can_be_read() {
        let settings = FormatSettings::new(ParquetSettings {
            compression: ParquetCompression::Snappy,
            options: ParquetOptions::default(),
            columns: ColumnSettings::of("id string"),
        });
        let format = Format::compile(&settings).unwrap();
        let disk = TornDisk::new(0);
        let (spool, sources) = staged(&format, &disk);
        rot(&disk, &sources[1]);
        let before = spool.read(sources[0].head[0]).unwrap().len();
        let id = Uuid::new_v4();
        let work = || Work::Run {
            id,
            serials: vec![0, 1, 2],
            start: 0,
            sources: sources
                .iter()
                .map(|source| BlockBytes {
                    head: source.head.clone(),
                    rest: source.rest.clone(),
                    records: source.records,
                })
                .collect(),
            format: format.clone(),
        };
        let pool = EncoderPool::default();
        // Done again after a crash it is the same file.
        for _ in 0..2 {
            let done =
                encode::run(vec![work()], 0, &pool, &spool, &FieldCounts::default(), 0).unwrap();
            let [
                Done::Run {
                    damaged, extents, ..
                },
            ] = &*done
            else {
                panic!("{done:?}");
            };
            assert_eq!(damaged.len(), 1);
            assert_eq!(damaged[0].records, 2);
            assert!(!extents.is_empty());
            let files = set_aside(&disk);
            assert_eq!(files.len(), 1, "{files:?}");
            let path = Path::new("quarantine").join(&files[0]);
            let file = disk.open(&path, crate::disk::OpenMode::Existing).unwrap();
            assert_eq!(usize::try_from(file.len().unwrap()).unwrap(), before);
        }
    }

    #[test]
    fn where_nothing_may_be_set_aside_damage_is_a_fault_of_the_whole() {
        let settings = FormatSettings::new(JsonSettings {
            compression: Compression::None,
            delimiter: Delimiter::Newline,
        });
        let format = Format::compile(&settings).unwrap();
        let disk = TornDisk::new(0);
        let (spool, sources) = staged(&format, &disk);
        drop(spool);
        let named = sources.iter().flat_map(|source| source.head.clone());
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let spool = Spool::open(shared, Path::new("spool"), named).unwrap();
        rot(&disk, &sources[0]);
        let mut damaged = Vec::new();
        let read = read(Uuid::new_v4(), &sources[0], &spool, &mut damaged);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(damaged.is_empty());
    }
}
