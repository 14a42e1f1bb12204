//! Objects whose row groups are written in several runs, each by another worker.

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use proptest::prelude::*;
use serde_json::json;

use super::{compile, convert, rows};
use crate::format::ParquetCompression;
use crate::format::{Format, Head};
use crate::position::Position;
use crate::record::Record;

/// The object of these records, cut into runs; the records that failed, by index.
pub(super) fn in_runs(format: &Format, runs: &[&[String]]) -> (Vec<u8>, Vec<u64>) {
    let (mut out, mut failed, mut head) = (Vec::new(), Vec::new(), Head::default());
    let mut index = 0;
    for (number, run) in runs.iter().enumerate() {
        let mut block = Vec::new();
        for data in *run {
            let position = Position::of(crate::position::Sequence(index));
            let record = Record::new(data.as_bytes(), 5, position);
            format.stage(&record, &mut block);
            index += 1;
        }
        let mut block = Some(Bytes::from(block));
        let mut next = || Ok(block.take());
        let mut fail = |record: &Record<'_>, _| failed.push(record.position.sequence.folded());
        let mut encoder = format.encoder();
        if number + 1 == runs.len() {
            format
                .encode_object(&mut encoder, &head, &mut next, &mut out, &mut fail)
                .unwrap();
        } else {
            let (_, footer) = format
                .encode_run(&mut encoder, head.len, &mut next, &mut out, &mut fail)
                .unwrap();
            head.len = out.len() as u64;
            head.footers.extend(footer);
        }
    }
    (out, failed)
}

fn metadata(object: &[u8]) -> ParquetMetaData {
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&Bytes::copy_from_slice(object))
        .unwrap()
}

proptest! {
    #[test]
    fn an_object_in_runs_reads_as_one_written_at_once(
        ids in proptest::collection::vec(any::<i32>(), 1..60),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        bad in any::<prop::sample::Index>(),
    ) {
        let format = compile("id int, kind string, tags array<string>", ParquetCompression::Zstd);
        let mut records: Vec<String> = ids
            .iter()
            .map(|id| json!({"id": id, "kind": "k", "tags": [id.to_string()]}).to_string())
            .collect();
        records.insert(bad.index(records.len() + 1), "{\"id\":\"no\"}".into());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(records.len() + 1)).collect();
        cuts.extend([0, records.len()]);
        cuts.sort_unstable();
        let runs: Vec<&[String]> = cuts.windows(2).map(|cut| &records[cut[0]..cut[1]]).collect();
        let (object, failed) = in_runs(&format, &runs);
        let (at_once, failures) = convert(&format, &records);
        let expected: Vec<u64> = failures.iter().map(|(index, _)| *index).collect();
        prop_assert_eq!(failed, expected);
        prop_assert_eq!(rows(&object), rows(&at_once));
    }
}

#[test]
fn offsets_and_page_indexes_of_all_runs_are_the_objects() {
    let format = compile("id bigint, text string", ParquetCompression::None);
    let records: Vec<String> = (0..3000)
        .map(|id| json!({"id": id, "text": format!("text {id}")}).to_string())
        .collect();
    let runs: Vec<&[String]> = records.chunks(1000).collect();
    let (object, _) = in_runs(&format, &runs);
    assert!(object.starts_with(b"PAR1") && object.ends_with(b"PAR1"));
    let metadata = metadata(&object);
    assert_eq!(metadata.num_row_groups(), 3);
    assert_eq!(metadata.file_metadata().num_rows(), 3000);
    let mut end = 4;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        assert_eq!(group.ordinal(), i32::try_from(number).ok());
        let index = metadata.page_index_for_row_group(number);
        for (column, chunk) in group.columns().iter().enumerate() {
            let (start, len) = chunk.byte_range();
            assert_eq!(start, end, "run {number}, column {column}");
            end = start + len;
            assert!(chunk.statistics().is_some());
            assert!(index.column_index(column).is_some());
            let pages = index.page_locations(column).unwrap();
            assert_eq!(pages[0].offset, chunk.data_page_offset());
        }
    }
    // The reader that goes by the page index finds the rows of the last run.
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(object)).unwrap();
    let last = reader.with_row_groups(vec![2]).build().unwrap();
    assert_eq!(
        last.map(|batch| batch.unwrap().num_rows()).sum::<usize>(),
        1000
    );
}

#[test]
fn runs_without_rows_leave_nothing_behind() {
    let format = compile("id int", ParquetCompression::Zstd);
    let (good, bad) = ([json!({"id": 1}).to_string()], ["nonsense".to_owned()]);
    let (alone, _) = in_runs(&format, &[&good]);
    let (object, failed) = in_runs(&format, &[&bad, &good, &bad]);
    assert_eq!(failed, [0, 2]);
    assert!(object == alone);
    let (nothing, failed) = in_runs(&format, &[&bad, &bad]);
    assert!(nothing.is_empty());
    assert_eq!(failed, [0, 1]);
}

#[test]
fn a_footer_that_is_cut_short_is_told() {
    let format = compile("id int", ParquetCompression::Zstd);
    let head = Head {
        len: 100,
        footers: vec![Bytes::from_static(b"12345678"), Bytes::from_static(b"1")],
    };
    let told = format.encode_object(
        &mut format.encoder(),
        &head,
        &mut || Ok(None),
        &mut Vec::new(),
        &mut |_, _| (),
    );
    assert_eq!(told.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}
