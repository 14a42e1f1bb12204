//! Each format, damaged at each of its extents, read back by somebody else.

mod laid;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use super::super::encode::{BlockBytes, Run};
use super::*;
use crate::config::FormatSettings;
use crate::disk::{Disk, OpenMode, Reserve, Shortage, TornDisk};
use crate::format::{Compression, JsonSettings};
use laid::{BLOCKS, Laid, RECORDS, finish, ids, json, lay, lay_without, parquet, runs, source};

/// Two bits in the middle of an extent, or its sectors for good.
fn damage(disk: &TornDisk, extent: Extent, for_good: bool) {
    let path = Path::new("spool/0000000000.spool");
    let middle = extent.offset + u64::from(extent.len) / 2;
    if for_good {
        disk.spoil(path, middle..middle + 1).unwrap();
    } else {
        disk.rot(path, middle, 0b11).unwrap();
    }
}

fn bytes_of(spool: &Spool, extents: &[Extent]) -> Vec<u8> {
    extents
        .iter()
        .flat_map(|extent| spool.read(*extent).unwrap())
        .collect()
}

/// The ids in an object, as a reader of somebody else's finds them.
fn read(settings: &FormatSettings, bytes: &[u8]) -> BTreeSet<String> {
    let mut text = Vec::new();
    let Some(JsonSettings { compression, .. }) = settings.get() else {
        return read_parquet(bytes);
    };
    match compression {
        Compression::None => text.extend(bytes),
        Compression::Gzip => {
            let mut member = flate2::read::GzDecoder::new(bytes);
            member.read_to_end(&mut text).unwrap();
            let mut rest = Vec::new();
            member.into_inner().read_to_end(&mut rest).unwrap();
            assert_eq!(rest, [0; 0], "one member is all");
        }
        Compression::Zstd => text = zstd::stream::decode_all(bytes).unwrap(),
        Compression::Snappy => {
            let mut rest = bytes
                .strip_prefix(&[0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0])
                .unwrap();
            rest = &rest[8..];
            while let Some((len, after)) = rest.split_first_chunk::<4>() {
                let (chunk, after) = after.split_at(u32::from_be_bytes(*len) as usize);
                text.extend(snap::raw::Decoder::new().decompress_vec(chunk).unwrap());
                rest = after;
            }
        }
        other => panic!("{other:?}"),
    }
    let lines: Vec<_> = serde_json::Deserializer::from_slice(&text)
        .into_iter::<serde_json::Value>()
        .map(|line| line.unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    let found: BTreeSet<_> = lines.iter().cloned().collect();
    assert_eq!(found.len(), lines.len(), "none twice");
    found
}

fn read_parquet(bytes: &[u8]) -> BTreeSet<String> {
    use arrow_array::cast::AsArray as _;
    let bytes = Bytes::copy_from_slice(bytes);
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes);
    let rows = reader.unwrap().build().unwrap().flat_map(|batch| {
        let batch = batch.unwrap();
        let ids = batch.column(0).as_string::<i32>().iter();
        ids.map(|id| id.unwrap().to_owned()).collect::<Vec<_>>()
    });
    rows.collect()
}

fn aside(disk: &TornDisk) -> usize {
    disk.list(Path::new("quarantine")).unwrap_or_default().len()
}

/// Compressions of which a part can be delivered.
const COMPRESSIONS: [Compression; 4] = [
    Compression::None,
    Compression::Gzip,
    Compression::Zstd,
    Compression::Snappy,
];

/// All formats of which a part can be delivered.
fn formats() -> Vec<FormatSettings> {
    COMPRESSIONS
        .map(json)
        .into_iter()
        .chain([parquet()])
        .collect()
}

#[test]
fn whatever_extent_is_damaged_all_other_records_are_delivered() {
    let mut tried = 0;
    for settings in formats() {
        let all: BTreeSet<String> = (0..BLOCKS).flat_map(ids).collect();
        for at in 0..lay(&settings).object.extents.len() {
            for for_good in [false, true] {
                let which = format!("{settings:?}, extent {at}, for good: {for_good}");
                let Laid {
                    disk,
                    spool,
                    format,
                    object,
                    ids,
                } = lay(&settings);
                damage(&disk, object.extents[at], for_good);
                // Small extents share the sectors that are lost.
                let gone: Vec<usize> = (0..object.extents.len())
                    .filter(|at| spool.read(object.extents[*at]).is_err())
                    .collect();
                let lost: BTreeSet<String> = gone.iter().flat_map(|at| ids[*at].clone()).collect();
                let mended = mend(&object, &format, &spool).unwrap();
                let again = mend(&object, &format, &spool).unwrap();
                assert_eq!(mended.object.records, again.object.records, "{which}");
                let told: u64 = mended.damaged.iter().map(|one| one.records).sum();
                assert_eq!(told, lost.len() as u64, "{which}");
                assert_eq!(aside(&disk), mended.damaged.len(), "{which}");
                let kept: BTreeSet<String> = all.difference(&lost).cloned().collect();
                tried += 1;
                if kept.is_empty() {
                    assert!(mended.object.extents.is_empty(), "{which}");
                    assert_eq!(mended.object.records, 0, "{which}");
                    continue;
                }
                let bytes = bytes_of(&spool, &mended.object.extents);
                assert_eq!(read(&settings, &bytes), kept, "{which}");
                let now = &mended.object;
                assert_eq!(now.records, kept.len() as u64, "{which}");
                assert_eq!(
                    (now.size, now.crc64),
                    (bytes.len() as u64, crc_fast::crc64_nvme(&bytes))
                );
                assert_eq!((now.id, &now.target), (object.id, &object.target));
                // An end that was made anew is what it was.
                let was = [(object.size, object.crc64)];
                let (is_same, upload) = if was == [(now.size, now.crc64)] {
                    (true, object.upload_id.clone())
                } else {
                    (false, None)
                };
                assert!(
                    is_same == lost.is_empty() && is_same != (now.was == was),
                    "{which}"
                );
                assert_eq!(now.upload_id, upload, "{which}");
                for at in gone {
                    assert!(
                        !mended.object.extents.contains(&object.extents[at]),
                        "{which}"
                    );
                }
            }
        }
    }
    assert!(tried >= 2 * 5 * 4, "{tried}");
}

#[test]
fn an_object_may_be_damaged_again() {
    for settings in formats() {
        let laid = lay(&settings);
        let mut object = laid.object;
        // From the end on: what is damaged first moves nothing of the rest.
        for (time, block) in (0..BLOCKS).rev().enumerate() {
            let at = usize::try_from(block).unwrap();
            damage(&laid.disk, object.extents[at], false);
            let was = (object.size, object.crc64);
            object = mend(&object, &laid.format, &laid.spool).unwrap().object;
            assert_eq!(object.records, block * RECORDS, "{settings:?}");
            assert_eq!(
                (object.was.len(), object.was.last()),
                (time + 1, Some(&was))
            );
            if object.records == 0 {
                assert!(object.extents.is_empty(), "{settings:?}");
                break;
            }
            let left: BTreeSet<String> = (0..block).flat_map(ids).collect();
            let found = read(&settings, &bytes_of(&laid.spool, &object.extents));
            assert_eq!(found, left, "{settings:?}");
        }
    }
}

#[test]
fn a_block_that_was_damaged_before_it_was_encoded_costs_no_other_later() {
    for settings in COMPRESSIONS.map(json) {
        for (gone, later) in (0..BLOCKS).flat_map(|gone| (0..BLOCKS).map(move |at| (gone, at))) {
            if gone == later {
                continue;
            }
            let which = format!("{settings:?}, block {gone} and later block {later}");
            let laid = lay_without(&settings, Some(gone));
            let object = &laid.object;
            // What is made of nothing may have a head, or no bytes at all.
            let count = laid.object.counts.iter().filter(|count| **count > 0);
            assert_eq!(count.count() as u64, BLOCKS - 1, "{which}");
            let with_records = |(at, count): (usize, &u64)| (*count > 0).then_some(at);
            let mut places = object.counts.iter().enumerate().filter_map(with_records);
            let nth = later - u64::from(gone < later);
            let at = places.nth(usize::try_from(nth).unwrap()).unwrap();
            damage(&laid.disk, object.extents[at], false);
            let mended = mend(object, &laid.format, &laid.spool).unwrap();
            let left: BTreeSet<String> = (0..BLOCKS)
                .filter(|block| ![gone, later].contains(block))
                .flat_map(ids)
                .collect();
            let told: u64 = mended.damaged.iter().map(|one| one.records).sum();
            assert_eq!(told, RECORDS, "{which}");
            assert_eq!(mended.object.records, left.len() as u64, "{which}");
            let bytes = bytes_of(&laid.spool, &mended.object.extents);
            assert_eq!(read(&settings, &bytes), left, "{which}");
        }
    }
}

#[test]
fn a_flipped_bit_costs_nothing() {
    for settings in formats() {
        let laid = lay(&settings);
        let (object, spool) = (&laid.object, &laid.spool);
        let before = bytes_of(spool, &object.extents);
        for extent in &object.extents {
            let path = Path::new("spool/0000000000.spool");
            laid.disk.rot(path, extent.offset, 0b1000).unwrap();
        }
        let mended = mend(object, &laid.format, spool).unwrap();
        assert_eq!(&mended.object, object);
        assert!(mended.damaged.is_empty() && !mended.is_other);
        assert_eq!(bytes_of(spool, &object.extents), before);
        assert_eq!(spool.take_flips().len(), object.extents.len());
    }
}

#[test]
fn what_nothing_can_be_made_of_is_set_aside_whole() {
    let mut of_before = lay(&json(Compression::Gzip));
    of_before.object.counts.clear(); // a row of an earlier version
    for Laid {
        disk,
        spool,
        format,
        object,
        ..
    } in [lay(&json(Compression::Zip)), of_before]
    {
        damage(&disk, object.extents[0], false);
        let mended = mend(&object, &format, &spool).unwrap();
        assert_eq!((mended.object.records, mended.object.extents.len()), (0, 0));
        assert!(mended.object.extents.is_empty());
        let [damaged] = &*mended.damaged else {
            panic!()
        };
        assert_eq!(damaged.records, object.records);
        let names = disk.list(Path::new("quarantine")).unwrap();
        let file = disk
            .open(&Path::new("quarantine").join(&names[0]), OpenMode::Existing)
            .unwrap();
        assert_eq!(file.len().unwrap(), object.size);
    }
}

#[test]
fn a_run_whose_footer_is_damaged_is_left_out_and_the_rest_is_whole() {
    for at in 0..usize::try_from(BLOCKS - 1).unwrap() {
        let settings = parquet();
        let Laid {
            disk,
            spool,
            format,
            ..
        } = lay(&settings);
        let id = Uuid::new_v4();
        let (blocks, footers) = runs(id, &format, &spool);
        damage(&disk, footers[at], false);
        let of_runs = || {
            let runs = blocks.iter().zip(&footers).map(|(block, footer)| Run {
                footer: BlockBytes {
                    head: vec![*footer],
                    rest: Bytes::new(),
                    records: 0,
                },
                extents: block.extents.clone(),
                records: RECORDS,
            });
            runs.collect::<Vec<Run>>()
        };
        let head: Vec<Extent> = of_runs()
            .iter()
            .flat_map(|run| run.extents.clone())
            .collect();
        for last in [vec![source(&format, BLOCKS - 1)], Vec::new()] {
            let mut left: BTreeSet<String> = (0..BLOCKS - 1).flat_map(ids).collect();
            left.extend(last.iter().flat_map(|_| ids(BLOCKS - 1)));
            left.retain(|id| !ids(at as u64).contains(id));
            let (rest, lost) = finish(id, &format, &spool, sum(&head).0, of_runs(), last);
            assert_eq!(lost, RECORDS);
            let bytes = bytes_of(&spool, &[&*head, &*rest].concat());
            assert_eq!(read(&settings, &bytes), left);
        }
        assert_eq!(aside(&disk), 1);
    }
}

#[test]
fn where_nothing_may_be_set_aside_an_object_stays_as_it_is() {
    let Laid {
        disk,
        spool,
        format,
        object,
        ..
    } = lay(&json(Compression::Gzip));
    drop(spool);
    let dynamic: Arc<dyn Disk> = Arc::new(disk.clone());
    let named = object.extents.iter().copied();
    let spool = Spool::open(dynamic, Path::new("spool"), named).unwrap();
    damage(&disk, object.extents[1], false);
    let stuck = mend(&object, &format, &spool).unwrap_err();
    assert_eq!(stuck.kind(), io::ErrorKind::InvalidData);
}

/// It waits, whole, until there is room; nothing of its spool's disk is taken meanwhile.
#[test]
fn where_there_is_no_room_to_set_aside_the_object_waits_for_it() {
    let Laid {
        disk,
        spool,
        format,
        object,
        ..
    } = lay(&json(Compression::Gzip));
    drop(spool);
    let dynamic: Arc<dyn Disk> = Arc::new(disk.clone());
    let reserve = Reserve::new(Arc::clone(&dynamic), 1 << 20, &[], Shortage::default());
    reserve.keep().unwrap();
    let named = object.extents.iter().copied();
    let spool = Spool::open(dynamic, Path::new("spool"), named).unwrap();
    let spool = spool.with_quarantine("quarantine".into(), Some(Arc::new(reserve)));
    damage(&disk, object.extents[1], false);
    let used = object.size + (1 << 20);
    disk.set_capacity(used + (1 << 20) + 100);
    let stuck = mend(&object, &format, &spool).unwrap_err();
    assert_eq!(stuck.kind(), io::ErrorKind::InvalidData, "{stuck}");
    assert!(
        stuck.to_string().contains("there is room for 100"),
        "{stuck}"
    );
    assert_eq!(aside(&disk), 0);
    disk.set_capacity(used + (3 << 20));
    let mended = mend(&object, &format, &spool).unwrap();
    assert_eq!(mended.object.records, (BLOCKS - 1) * RECORDS);
    assert_eq!(aside(&disk), 1);
}
