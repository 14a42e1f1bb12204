//! Sealed objects of each format in a spool.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::super::super::encode::{self, BlockBytes, Done, EncoderPool, Run, Work};
use crate::checkpoint::{Lane, OpenBatch, SealedObject, SpooledBlock, Target};
use crate::config::{ColumnSettings, FormatSettings};
use crate::disk::{Disk, TornDisk};
use crate::extent::{Extent, sum};
use crate::format::{
    Compression, Delimiter, Format, JsonSettings, ParquetCompression, ParquetOptions,
    ParquetSettings, Shape,
};
use crate::position::Position;
use crate::record::Record;
use crate::spool::Spool;
use crate::telemetry::FieldCounts;

pub(super) const BLOCKS: u64 = 4;
pub(super) const RECORDS: u64 = 3;

/// A sealed object in a spool, its parts, and the ids of the records in each of its extents.
pub(super) struct Laid {
    pub(super) disk: TornDisk,
    pub(super) spool: Arc<Spool>,
    pub(super) format: Format,
    pub(super) object: SealedObject,
    pub(super) ids: Vec<BTreeSet<String>>,
}

pub(super) fn json(compression: Compression) -> FormatSettings {
    FormatSettings::new(JsonSettings {
        compression,
        delimiter: Delimiter::Newline,
    })
}

pub(super) fn parquet() -> FormatSettings {
    FormatSettings::new(ParquetSettings {
        compression: ParquetCompression::Snappy,
        options: ParquetOptions::default(),
        columns: ColumnSettings::of("id string, pad string"),
    })
}

/// The ids of a block's records.
pub(super) fn ids(block: u64) -> BTreeSet<String> {
    (0..RECORDS).map(|n| format!("{block}.{n}")).collect()
}

/// A block's records, so long that no codec brings two blocks into one sector.
pub(super) fn raw(format: &Format, block: u64) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut random = fastrand::Rng::with_seed(block);
    for id in ids(block) {
        let pad: String = (0..8000).map(|_| random.alphanumeric()).collect();
        let data = format!("{{\"id\":\"{id}\",\"pad\":\"{pad}\"}}");
        let record = Record::new(data.as_bytes(), 0, Position::default());
        format.stage(&record, &mut raw);
    }
    raw
}

pub(super) fn lay(settings: &FormatSettings) -> Laid {
    lay_without(settings, None)
}

/// An object of which one raw block was damaged when it was to be encoded.
pub(super) fn lay_without(settings: &FormatSettings, gone: Option<u64>) -> Laid {
    let format = Format::compile(settings).unwrap();
    let disk = TornDisk::new(0);
    let dynamic: Arc<dyn Disk> = Arc::new(disk.clone());
    let spool = Spool::open(dynamic, Path::new("spool"), std::iter::empty()).unwrap();
    let spool = Arc::new(spool.with_quarantine("quarantine".into(), None));
    let id = Uuid::new_v4();
    let blocks = match format.shape() {
        Shape::Blocks => blocks(&format, &spool, gone),
        Shape::Runs => runs(id, &format, &spool).0,
        Shape::Whole => {
            let raws = (0..BLOCKS).map(|block| source(&format, block)).collect();
            let (extents, _) = finish(id, &format, &spool, 0, Vec::new(), raws);
            vec![block(extents, 0)]
        }
    };
    let row = OpenBatch {
        id,
        lane: Lane::Data,
        identity: String::new(),
        target: Target {
            store: "folder:lake".into(),
            key: "key".into(),
            format: 0,
            is_late: false,
        },
        opened_ms: 0,
        arrival_ms: 0,
        window: None,
        partition_ends: None,
        encoded_from: 0,
        records: (BLOCKS - u64::from(gone.is_some())) * RECORDS,
        bytes: 1000,
        sealing: true,
        blocks,
        upload_id: Some("upload".into()),
    };
    let object = row.into_object();
    let ids = (0..object.extents.len() as u64).map(|at| match format.shape() {
        Shape::Whole => (0..BLOCKS).flat_map(ids).collect(),
        _ if at < BLOCKS => ids(at),
        // The footer of row groups is all that tells of them.
        Shape::Runs => (0..BLOCKS).flat_map(ids).collect(),
        Shape::Blocks => BTreeSet::new(),
    });
    let ids = ids.collect();
    Laid {
        disk,
        spool,
        format,
        object,
        ids,
    }
}

pub(super) fn block(extents: Vec<Extent>, records: u64) -> SpooledBlock {
    SpooledBlock {
        encoded: true,
        records: Some(records),
        extents,
        ..SpooledBlock::default()
    }
}

pub(super) fn source(format: &Format, block: u64) -> BlockBytes {
    BlockBytes {
        head: Vec::new(),
        rest: raw(format, block).into(),
        records: RECORDS,
    }
}

pub(super) fn blocks(format: &Format, spool: &Spool, gone: Option<u64>) -> Vec<SpooledBlock> {
    let (mut encoder, mut sums, mut blocks) = (format.encoder(), Vec::new(), Vec::new());
    for at in 0..BLOCKS {
        let mut out = Vec::new();
        let is_gone = gone == Some(at);
        let raw = if is_gone { Vec::new() } else { raw(format, at) };
        sums.extend(
            format
                .encode_block(&mut encoder, at == 0, &raw, &mut out)
                .unwrap(),
        );
        let records = if is_gone { 0 } else { RECORDS };
        // As a checkpoint does: no bytes, no extent.
        let pieces: &[&[u8]] = if out.is_empty() { &[] } else { &[&out] };
        blocks.push(block(spool.append(pieces).unwrap(), records));
    }
    let end = format.end(&sums);
    if !end.is_empty() {
        blocks.push(block(spool.append(&[&end]).unwrap(), 0));
    }
    blocks
}

/// Runs of row groups, all but the last of them while the batch is open; the footers of those.
pub(super) fn runs(
    id: Uuid,
    format: &Format,
    spool: &Arc<Spool>,
) -> (Vec<SpooledBlock>, Vec<Extent>) {
    let (mut start, mut runs, mut blocks, mut footers) = (0, Vec::new(), Vec::new(), Vec::new());
    for serial in 0..BLOCKS - 1 {
        let work = Work::Run {
            id,
            serials: vec![0],
            start,
            sources: vec![source(format, serial)],
            format: format.clone(),
        };
        let done = encode::run(
            vec![work],
            0,
            &EncoderPool::default(),
            spool,
            &FieldCounts::default(),
            0,
        )
        .unwrap();
        let [
            Done::Run {
                extents, footer, ..
            },
        ] = &*done
        else {
            panic!("{done:?}");
        };
        start += sum(extents).0;
        blocks.push(block(extents.clone(), 0));
        footers.extend(footer);
        runs.push(Run {
            footer: BlockBytes {
                head: footer.clone(),
                rest: Bytes::new(),
                records: 0,
            },
            extents: extents.clone(),
            records: RECORDS,
        });
    }
    let last = vec![source(format, BLOCKS - 1)];
    blocks.push(block(finish(id, format, spool, start, runs, last).0, 0));
    (blocks, footers)
}

/// The rest of an object, and the records that were damaged.
pub(super) fn finish(
    id: Uuid,
    format: &Format,
    spool: &Arc<Spool>,
    start: u64,
    runs: Vec<Run>,
    sources: Vec<BlockBytes>,
) -> (Vec<Extent>, u64) {
    let work = Work::Object {
        id,
        start,
        runs,
        sources,
        format: format.clone(),
    };
    let done = encode::run(
        vec![work],
        0,
        &EncoderPool::default(),
        spool,
        &FieldCounts::default(),
        0,
    )
    .unwrap();
    let [
        Done::Object {
            extents, damaged, ..
        },
    ] = &*done
    else {
        panic!("{done:?}");
    };
    (extents.clone(), damaged.iter().map(|one| one.records).sum())
}
