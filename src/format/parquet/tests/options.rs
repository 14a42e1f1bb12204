//! What the options of the layout do to an object, as the parquet crate's own reader sees it.

use bytes::Bytes;
use parquet::basic::{Encoding, LogicalType, TimeUnit, Type};
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::runs::in_runs;
use super::{convert, rows};
use crate::config::{ColumnSettings, FormatSettings};
use crate::format::columns::tests::oracle::{table, typed};
use crate::format::{
    BloomFilters, Format, ParquetCompression, ParquetOptions, ParquetSettings, SortedBy,
    TimestampType, WriterVersion,
};

fn compile(schema: &str, options: ParquetOptions) -> Format {
    Format::compile(&FormatSettings::new(ParquetSettings {
        compression: ParquetCompression::Zstd,
        options,
        columns: ColumnSettings::of(schema),
    }))
    .unwrap()
}

fn metadata(object: &[u8]) -> ParquetMetaData {
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .parse_and_finish(&Bytes::copy_from_slice(object))
        .unwrap()
}

/// Records of an id that is no other's, and a text of few.
fn records(count: u64) -> Vec<String> {
    let record = |id: u64| {
        let (id, kind) = (id.wrapping_mul(0x9e37_79b9) % 1_000_003, id % 7);
        json!({"id": id, "name": format!("name of {id}"), "kind": format!("kind {kind}")})
    };
    (0..count).map(|id| record(id).to_string()).collect()
}

const SCHEMA: &str = "id bigint, name string, kind string";

fn pages(metadata: &ParquetMetaData, column: usize) -> usize {
    let pages = metadata.page_index_for_row_group(0);
    pages.num_data_pages(column).unwrap()
}

#[test]
fn row_groups_and_pages_have_the_size_that_is_asked_for() {
    let records = records(60_000);
    let (usual, _) = convert(&compile(SCHEMA, ParquetOptions::default()), &records);
    let small = ParquetOptions {
        block_size: Some(1 << 20),
        page_size: Some(16 << 10),
        ..ParquetOptions::default()
    };
    let (small, _) = convert(&compile(SCHEMA, small), &records);
    let (usual, small) = (metadata(&usual), metadata(&small));
    let bytes: usize = records.iter().map(String::len).sum();
    assert_eq!(usual.num_row_groups(), 1);
    // Each is closed behind the batch in which it is full.
    assert!(small.num_row_groups() > 2 && small.num_row_groups() <= bytes.div_ceil(1 << 20));
    assert_eq!(pages(&usual, 1), 3, "20,000 rows each");
    assert!(pages(&small, 1) > 10, "{}", pages(&small, 1));
}

/// A larger block is taken, and no row group is larger for it than what is encoded at once.
#[test]
fn a_block_of_more_than_64_mib_ends_at_64_mib() {
    let pad = "x".repeat(1 << 20);
    let records: Vec<String> = (0..70)
        .map(|id| json!({ "id": id, "pad": pad }).to_string())
        .collect();
    let [large, usual] = [Some(256 << 20), None].map(|block_size| {
        let options = ParquetOptions {
            block_size,
            ..ParquetOptions::default()
        };
        let (object, _) = convert(&compile("id int, pad string", options), &records);
        let metadata = metadata(&object);
        let groups = metadata.row_groups().iter();
        groups.map(RowGroupMetaData::num_rows).collect::<Vec<_>>()
    });
    assert_eq!(large, [64, 6], "rows of a MiB each");
    assert_eq!(usual, large);
}

#[test]
fn a_dictionary_a_version_and_a_level_are_what_is_asked_for() {
    let records = records(5000);
    let encodings = |options: ParquetOptions| {
        let (object, _) = convert(&compile(SCHEMA, options), &records);
        let metadata = metadata(&object);
        let group = metadata.row_group(0);
        let of = |column: usize| group.column(column).encodings().collect::<Vec<_>>();
        let version = metadata.file_metadata().version();
        (of(1), of(2), version, object.len())
    };
    let (names, kinds, version, usual) = encodings(ParquetOptions::default());
    assert!(names.contains(&Encoding::PLAIN) && kinds.contains(&Encoding::RLE_DICTIONARY));
    assert_eq!(version, 1);
    let (_, kinds, ..) = encodings(ParquetOptions {
        without_dictionary: true,
        ..ParquetOptions::default()
    });
    assert!(!kinds.contains(&Encoding::RLE_DICTIONARY), "{kinds:?}");
    let (names, kinds, version, _) = encodings(ParquetOptions {
        writer_version: WriterVersion::V2,
        ..ParquetOptions::default()
    });
    assert!(names.contains(&Encoding::DELTA_BYTE_ARRAY), "{names:?}");
    assert!(kinds.contains(&Encoding::RLE_DICTIONARY), "{kinds:?}");
    assert_eq!(version, 2);
    let (.., denser) = encodings(ParquetOptions {
        zstd_level: Some(9),
        ..ParquetOptions::default()
    });
    assert!(denser < usual, "{denser} < {usual}");
}

#[test]
fn statistics_are_cut_to_the_length_that_is_asked_for_and_page_indexes_left_out() {
    let long = "x".repeat(200);
    let records: Vec<String> = (0..10)
        .map(|n| json!({ "text": format!("{long}{n}") }).to_string())
        .collect();
    let least = |options: ParquetOptions| {
        let format = compile("text string", options);
        let (object, _) = in_runs(&format, &[&records[..5], &records[5..]]);
        let metadata = metadata(&object);
        let statistics = metadata.row_group(1).column(0).statistics().unwrap();
        let pages = metadata.page_index_for_row_group(1);
        let indexed = pages.column_index(0).is_some() && pages.offset_index(0).is_some();
        let any = pages.column_index(0).is_some() || pages.offset_index(0).is_some();
        assert_eq!(indexed, any);
        assert_eq!(rows(&object).len(), 10);
        (statistics.min_bytes_opt().unwrap().len(), indexed)
    };
    assert_eq!(least(ParquetOptions::default()), (64, true));
    let other = ParquetOptions {
        statistics_length: Some(8),
        without_page_index: true,
        ..ParquetOptions::default()
    };
    assert_eq!(least(other), (8, false));
}

/// Whether each row group's filter of a column lets a text through; `None` where it has none.
fn lets_through(object: &[u8], column: usize, text: &str) -> Vec<Option<bool>> {
    let properties = ReaderProperties::builder().set_read_bloom_filter(true);
    let options = ReadOptionsBuilder::new().with_reader_properties(properties.build());
    let object = Bytes::copy_from_slice(object);
    let reader = SerializedFileReader::new_with_options(object, options.build()).unwrap();
    let groups = 0..reader.metadata().num_row_groups();
    groups
        .map(|group| {
            let group = reader.get_row_group(group).unwrap();
            let filter = group.get_column_bloom_filter(column);
            filter.map(|filter| filter.check(&text))
        })
        .collect()
}

#[test]
fn bloom_filters_know_what_is_in_their_row_group_also_where_another_one_is_gone() {
    let options = ParquetOptions {
        bloom_filters: BloomFilters {
            columns: vec!["name".into(), "geo.region".into()],
            false_positives: Some(1000),
        },
        ..ParquetOptions::default()
    };
    let format = compile("id bigint, name string, geo struct<region:string>", options);
    let record = |n: u32| {
        let region = format!("r{n}");
        json!({"id": n, "name": format!("n{n}"), "geo": {"region": region}}).to_string()
    };
    let records: Vec<String> = (0..3000).map(record).collect();
    let runs: Vec<&[String]> = records.chunks(1000).collect();
    let (object, _) = in_runs(&format, &runs);
    let shown = |object: &[u8], prefix: &str, column| {
        let of = |n: u32| lets_through(object, column, &format!("{prefix}{n}"));
        (of(0), of(1999), of(2000))
    };
    let (yes, no) = (Some(true), Some(false));
    for (prefix, column) in [("n", 1), ("r", 2)] {
        let (first, second, third) = shown(&object, prefix, column);
        assert_eq!((first[0], second[1], third[2]), (yes, yes, yes));
    }
    let strange: Vec<_> = (0..100)
        .flat_map(|n| lets_through(&object, 1, &format!("m{n}")))
        .collect();
    let let_through = strange.iter().filter(|found| **found == yes).count();
    assert!(
        let_through <= 3,
        "{let_through} of 300 at one in a thousand"
    );
    assert_eq!(lets_through(&object, 0, "1"), [None, None, None]);

    // A part is a row group with its filters: the damage of either takes both.
    let size = object.len() as u64;
    let footer = format.footer(&object.clone().into(), size, true);
    let footer = footer.unwrap().unwrap();
    let parts = footer.parts();
    let ends: Vec<u64> = parts.iter().map(|(part, _)| part.end).collect();
    assert_eq!((parts[1].0.start, parts[2].0.start), (ends[0], ends[1]));
    let data = usize::try_from(ends[2]).unwrap();
    let mut mended = object[..data].to_vec();
    let gone = usize::try_from(ends[0]).unwrap()..usize::try_from(ends[1]).unwrap();
    mended[gone].fill(0);
    footer
        .write(&|part| part != 1, ends[2], &mut mended)
        .unwrap();
    let (first, second, third) = shown(&mended, "n", 1);
    assert_eq!((first[0], second, third[1]), (yes, vec![no, no], yes));
    assert_eq!(rows(&mended).len(), 2000);
}

/// The memory of filters is not that of pages, by which row groups are closed.
#[test]
fn many_filters_close_no_row_group() {
    let names: Vec<String> = (0..16).map(|n| format!("c{n}")).collect();
    let schema: Vec<_> = names.iter().map(|name| format!("{name} string")).collect();
    let options = ParquetOptions {
        bloom_filters: BloomFilters {
            columns: names,
            false_positives: Some(1000),
        },
        ..ParquetOptions::default()
    };
    let records: Vec<String> = (0..5000).map(|n| json!({"c1": n}).to_string()).collect();
    let (object, _) = convert(&compile(&schema.join(", "), options), &records);
    assert_eq!(metadata(&object).num_row_groups(), 1);
    assert!(
        object.len() < 200_000,
        "filters are folded: {}",
        object.len()
    );
}

fn sorted_by(column: &str, descending: bool) -> SortedBy {
    let column = column.to_owned();
    SortedBy { column, descending }
}

proptest! {
    #[test]
    fn rows_of_a_row_group_are_sorted_and_those_that_are_alike_stay_in_their_order(
        values in proptest::collection::vec((proptest::option::of(0..5_i32), "[ab]?"), 1..200),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let options = ParquetOptions {
            sorted_by: vec![sorted_by("n", true), sorted_by("t", false)],
            ..ParquetOptions::default()
        };
        let format = compile("at int, t string, tags array<string>, n int", options);
        let records: Vec<String> = values.iter().enumerate()
            .map(|(at, (n, t))| json!({"at": at, "t": t, "n": n, "tags": [t]}).to_string())
            .collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(records.len() + 1)).collect();
        cuts.extend([0, records.len()]);
        cuts.sort_unstable();
        let runs: Vec<&[String]> = cuts.windows(2).map(|cut| &records[cut[0]..cut[1]]).collect();
        let (object, _) = in_runs(&format, &runs);
        let again = in_runs(&format, &runs);
        prop_assert!(object == again.0, "the same to the bit");
        let mut expected: Vec<Value> = Vec::new();
        for cut in cuts.windows(2) {
            let mut rows: Vec<usize> = (cut[0]..cut[1]).collect();
            // The greatest first, and nulls last of all.
            rows.sort_by_key(|at| (std::cmp::Reverse(values[*at].0), values[*at].1.clone()));
            expected.extend(rows.iter().map(|at| {
                let (n, t) = &values[*at];
                json!({"at": at, "t": t, "tags": [t], "n": n})
            }));
        }
        prop_assert_eq!(rows(&object), expected);
        for group in metadata(&object).row_groups() {
            let order: Vec<_> = group.sorting_columns().unwrap().iter()
                .map(|key| (key.column_idx, key.descending, key.nulls_first))
                .collect();
            prop_assert_eq!(&order, &[(3, true, false), (1, false, true)]);
        }
    }
}

proptest! {
    #[test]
    fn values_of_every_type_come_back_out_of_each_layout(
        columns in proptest::collection::vec(typed(), 1..6),
        [without_dictionary, second, without_page_index] in any::<[bool; 3]>(),
        page_size in proptest::option::of(1..200_u64),
        statistics_length in proptest::option::of(1..9_u32),
        rows_of_each in 1..40_usize,
    ) {
        let (schema, row) = table(columns);
        let options = ParquetOptions {
            page_size,
            without_dictionary,
            writer_version: if second { WriterVersion::V2 } else { WriterVersion::V1 },
            without_page_index,
            statistics_length,
            ..ParquetOptions::default()
        };
        let format = compile(&schema, options);
        let records = vec![row.to_string(); rows_of_each];
        let (object, failed) = in_runs(&format, &[&records, &records]);
        prop_assert!(failed.is_empty());
        prop_assert_eq!(rows(&object), vec![row; 2 * rows_of_each]);
    }
}

/// Columns that came after the config was read, of a table, may have any type.
#[test]
fn what_has_no_order_or_no_filter_is_passed_over_whoever_names_it() {
    let names = ["tags", "at", "ok", "gone", "id"].map(str::to_owned);
    let options = ParquetOptions {
        sorted_by: names.iter().map(|name| sorted_by(name, false)).collect(),
        bloom_filters: BloomFilters {
            columns: names.to_vec(),
            ..BloomFilters::default()
        },
        timestamps: TimestampType::Int96,
        ..ParquetOptions::default()
    };
    let format = compile(
        "tags array<string>, at timestamp, ok boolean, id int",
        options,
    );
    let records = [2, 1].map(|id| format!("{{\"id\":{id},\"tags\":[\"x\"],\"at\":1.5}}"));
    let (object, failed) = convert(&format, &records);
    assert!(failed.is_empty());
    let metadata = metadata(&object);
    let group = metadata.row_group(0);
    let order: Vec<i32> = group
        .sorting_columns()
        .unwrap()
        .iter()
        .map(|key| key.column_idx)
        .collect();
    assert_eq!(order, [2, 3], "by `ok`, then by `id`");
    let filtered = group
        .columns()
        .iter()
        .map(|column| column.bloom_filter_offset().is_some());
    assert_eq!(filtered.collect::<Vec<_>>(), [false, false, false, true]);
}

#[test]
fn more_rows_than_are_held_together_become_row_groups_each_of_which_is_sorted() {
    let options = ParquetOptions {
        block_size: Some(1 << 20),
        sorted_by: vec![sorted_by("id", false)],
        ..ParquetOptions::default()
    };
    let records = records(60_000);
    let (object, _) = convert(&compile(SCHEMA, options), &records);
    let groups: Vec<_> = metadata(&object)
        .row_groups()
        .iter()
        .map(|group| usize::try_from(group.num_rows()).unwrap())
        .collect();
    assert!(groups.len() > 2, "{groups:?}");
    let ids: Vec<i64> = rows(&object)
        .iter()
        .map(|row| row["id"].as_i64().unwrap())
        .collect();
    let mut rest = &ids[..];
    for rows in groups {
        let (group, others) = rest.split_at(rows);
        assert!(group.is_sorted());
        rest = others;
    }
    let id = |record: &String| serde_json::from_str::<Value>(record).unwrap()["id"].as_i64();
    let mut all: Vec<_> = records.iter().map(|record| id(record).unwrap()).collect();
    let mut found = ids;
    all.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, all);
}

#[test]
fn times_are_cut_to_milliseconds_and_keys_that_become_one_are_one() {
    let options = ParquetOptions {
        timestamps: TimestampType::Millis,
        ..ParquetOptions::default()
    };
    let format = compile(
        "at timestamp, a array<timestamp>, m map<timestamp,int>, s struct<at:timestamp,n:int>",
        options,
    );
    let record = r#"{"at":"1969-12-31T23:59:59.9996Z","a":[-0.0001,null,1.5],
        "m":{"2026-01-01T00:00:00.0001Z":1,"2026-01-01T00:00:00.0009Z":2},"s":{"at":1788744123456.7}}"#;
    let shown = format.rows(
        &mut format.encoder(),
        &crate::record::Record::new(record.as_bytes(), 0, crate::position::Position::default()),
    );
    let shown = shown.unwrap().remove(0);
    let changed: Vec<_> = (shown.changed.iter())
        .map(|changed| changed.place.path.clone())
        .collect();
    assert_eq!(changed.len(), 4, "{changed:?}: each that was cut");
    assert_eq!(shown.repeated.len(), 1, "{:?}", shown.repeated);
    let (object, failures) = convert(&format, &[record]);
    assert_eq!(failures, []);
    let descriptor = metadata(&object);
    let leaves = descriptor.file_metadata().schema_descr().columns();
    for leaf in [0, 1, 2, 4] {
        let expected = LogicalType::timestamp(true, TimeUnit::MILLIS);
        assert_eq!(leaves[leaf].logical_type_ref(), Some(&expected));
        assert_eq!(leaves[leaf].physical_type(), Type::INT64);
    }
    let found = super::batches(&object);
    let text = format!("{found:?}");
    for time in [
        "1969-12-31T23:59:59.999 ",
        "1970-01-01T00:00:01.500 ",
        "2026-01-01T00:00:00 ",
        "2026-09-07T01:22:03.456 ",
    ] {
        assert!(text.contains(time), "{time}: {text}");
    }
}

#[test]
fn int96_is_in_the_schema_and_its_chunks_say_nothing_that_they_do_not_know() {
    for version in [WriterVersion::V1, WriterVersion::V2] {
        let options = ParquetOptions {
            timestamps: TimestampType::Int96,
            writer_version: version,
            ..ParquetOptions::default()
        };
        let format = compile("c decimal(28,2), at timestamp, a array<timestamp>", options);
        let record = |n: u32| {
            let at = f64::from(n % 3) - 1.0;
            json!({"c": "1.5", "at": at, "a": [n, null]}).to_string()
        };
        let records: Vec<String> = (0..2000).map(record).collect();
        let (object, _) = in_runs(&format, &[&records[..1000], &records[1000..]]);
        let metadata = metadata(&object);
        let physical: Vec<_> = (metadata.file_metadata().schema_descr().columns().iter())
            .map(|leaf| leaf.physical_type())
            .collect();
        let expected = [Type::FIXED_LEN_BYTE_ARRAY, Type::INT96, Type::INT96];
        assert_eq!(physical, expected);
        assert_eq!(metadata.num_row_groups(), 2);
        for (number, group) in metadata.row_groups().iter().enumerate() {
            let pages = metadata.page_index_for_row_group(number);
            for column in [1, 2] {
                assert_eq!(group.column(column).column_type(), Type::INT96);
                assert!(group.column(column).statistics().is_none());
                assert!(pages.column_index(column).is_none());
                assert!(pages.offset_index(column).is_some());
            }
            assert!(group.column(0).statistics().is_some() && pages.column_index(0).is_some());
        }
        // Two of the first second in each thousand, as nanoseconds.
        let text = format!("{:?}", super::batches(&object));
        assert!(text.contains("1969-12-31T23:59:59"), "{text}");
    }
}
