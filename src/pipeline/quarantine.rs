//! Damaged blocks of the spool: set aside in files that nothing removes, told and counted. The rest of
//! their batch is delivered.

use std::io;

use bytes::Bytes;
use uuid::Uuid;

use super::Pipeline;
use super::encode::Source;
use crate::spool::Spool;

/// A block of records that the spool does not give back as they were.
#[derive(Debug)]
pub(super) struct Damaged {
    records: u64,
    bytes: usize,
    /// What was found.
    cause: String,
    /// What can be read of it, below the stream's directory.
    file: String,
}

/// Reads a block that is to be encoded. A damaged one is set aside, durably, and is empty then: the next
/// checkpoint forgets it.
pub(super) fn read(
    id: Uuid,
    source: &Source,
    spool: &Spool,
    damaged: &mut Vec<Damaged>,
) -> io::Result<Bytes> {
    let is_damage = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
    let cause = match source.read(spool) {
        Err(error) if is_damage(&error) => error,
        read => return read,
    };
    // A bit may have been flipped on its way.
    match source.read(spool) {
        Err(error) if is_damage(&error) => {}
        read => return read,
    }
    let Some(first) = source.head.first() else {
        return Err(cause);
    };
    // The same for each attempt, and for no other block ever.
    let name = format!("{id}-{}-{}.raw", first.file, first.offset);
    let Some(path) = spool.set_aside(&name, &source.head, &source.rest)? else {
        return Err(cause);
    };
    damaged.push(Damaged {
        records: source.records,
        bytes: source.len(),
        cause: cause.to_string(),
        file: path.display().to_string(),
    });
    Ok(Bytes::new())
}

impl Pipeline {
    /// Tells of blocks that were set aside; how many records were in them.
    pub(super) fn note_damaged(&self, id: Uuid, damaged: &[Damaged]) -> u64 {
        let object = self.table.get(id).map(|entry| entry.target.location());
        let mut gone = 0;
        for block in damaged {
            gone += block.records;
            tracing::error!(
                stream = self.settings.name,
                object,
                records = block.records,
                bytes = block.bytes,
                cause = block.cause,
                file = block.file,
                "spooled records are damaged and are not delivered: their block is set aside in the \
                 stream's folder under state_dir; see to the disk"
            );
        }
        self.around.status.metrics().quarantined.add(gone);
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
    use crate::config::{Compression, Delimiter, FormatSettings};
    use crate::disk::{Disk, TornDisk};
    use crate::format::Format;
    use crate::position::Position;
    use crate::record::Record;

    const SPOOL: &str = "spool/0000000000.spool";

    /// Three blocks of two records each in the spool.
    fn staged(format: &Format, disk: &TornDisk) -> (Arc<Spool>, Vec<Source>) {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let spool = Spool::open(disk, Path::new("spool"), std::iter::empty()).unwrap();
        let spool = spool.with_quarantine("quarantine".into());
        let mut sources = Vec::new();
        for block in 0..3 {
            let mut raw = Vec::new();
            for record in 0..2 {
                let data = format!("{{\"id\":\"{block}.{record}\"}}");
                let record = Record::new(data.as_bytes(), 0, Position::default());
                format.stage(&record, &mut raw);
            }
            sources.push(Source {
                head: spool.append(&[&raw]).unwrap(),
                rest: Bytes::new(),
                records: 2,
            });
        }
        (Arc::new(spool), sources)
    }

    fn rot(disk: &TornDisk, source: &Source) {
        let offset = source.head[0].offset + 3;
        disk.rot(Path::new(SPOOL), offset, 1).unwrap();
    }

    fn spoil(disk: &TornDisk, source: &Source) {
        let offset = source.head[0].offset + 3;
        disk.spoil(Path::new(SPOOL), offset..offset + 1).unwrap();
    }

    fn set_aside(disk: &TornDisk) -> Vec<String> {
        disk.list(Path::new("quarantine")).unwrap_or_default()
    }

    #[test]
    fn a_member_is_whole_without_any_of_its_blocks() {
        let settings = FormatSettings::Json {
            compression: Compression::Gzip,
            delimiter: Delimiter::Newline,
        };
        let format = Format::compile(&settings).unwrap();
        let ways: [fn(&TornDisk, &Source); 2] = [rot, spoil];
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
            let done = encode::run(works.collect(), 0, &pool, &spool, 0).unwrap();
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
        let settings = FormatSettings::Parquet {
            compression: crate::config::ParquetCompression::Snappy,
            schema: "id string".into(),
        };
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
                .map(|source| Source {
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
            let done = encode::run(vec![work()], 0, &pool, &spool, 0).unwrap();
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
            let file = disk.open(&path, crate::disk::Open::Existing).unwrap();
            assert_eq!(usize::try_from(file.len().unwrap()).unwrap(), before);
        }
    }

    #[test]
    fn where_nothing_may_be_set_aside_damage_is_a_fault_of_the_whole() {
        let settings = FormatSettings::Json {
            compression: Compression::None,
            delimiter: Delimiter::Newline,
        };
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
