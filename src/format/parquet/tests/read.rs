//! The layout of objects, as the config says it.

use crate::config::parse;
use crate::format::{
    BloomFilters, ParquetOptions, ParquetSettings, SortedBy, TimestampType, WriterVersion,
};
use crate::registry::registry;

/// What the lines of a format's table come to.
fn options(lines: &str) -> ParquetOptions {
    let text = format!(
        "[stream.c.source]\ntype = \"direct-put\"\n\
         [stream.c.destination]\ntype = \"folder\"\npath = \"out\"\n\
         [stream.c.format]\ntype = \"parquet\"\n\
         schema = \"Id string, at timestamp, geo struct<Region:string>, `a b.c` int\"\n{lines}"
    );
    let loaded = parse(text, "firehose.toml".as_ref(), &|_| None, &registry());
    let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
    let format = &loaded.config.streams["c"].format;
    format.get::<ParquetSettings>().unwrap().options.clone()
}

#[test]
fn what_is_said_is_read_and_what_is_so_anyhow_is_not_kept() {
    let usual = "block_size = \"64MiB\"\npage_size = \"1MiB\"\ndictionary = true\nwriter_version = \"v1\"\n\
                 zstd_level = 1\nmax_padding = 0\nbloom_filter_columns = []\nsorted_by = []\npage_index = true\n\
                 statistics_length = 64\ntimestamp_type = \"micros\"";
    assert_eq!(options(usual), ParquetOptions::default());
    assert_eq!(options(""), ParquetOptions::default());
    let all = "block_size = \"1MiB\"\npage_size = 8192\ndictionary = false\nwriter_version = \"v2\"\n\
               zstd_level = 9\nmax_padding = \"8MiB\"\nbloom_filter_columns = [\"ID\", \"geo.region\", \"a b.c\"]\n\
               bloom_filter_fpp = 1e-2\nsorted_by = [\"id DESC\", \"at\", \"a b.c asc\"]\npage_index = false\n\
               statistics_length = 1024\ntimestamp_type = \"millis\"";
    let sorted_by = |column: &str, descending| SortedBy {
        column: column.to_owned(),
        descending,
    };
    let columns = ["Id", "geo.Region", "a b.c"];
    let expected = ParquetOptions {
        block_size: Some(1 << 20),
        page_size: Some(8192),
        without_dictionary: true,
        writer_version: WriterVersion::V2,
        zstd_level: Some(9),
        bloom_filters: BloomFilters {
            columns: columns.map(str::to_owned).into(),
            false_positives: Some(10_000),
        },
        sorted_by: vec![
            sorted_by("Id", true),
            sorted_by("at", false),
            sorted_by("a b.c", false),
        ],
        without_page_index: true,
        statistics_length: Some(1024),
        timestamps: TimestampType::Millis,
    };
    assert_eq!(options(all), expected);
    let of_firehose = options("block_size = \"256MiB\"");
    assert_eq!(of_firehose.block_size, Some(256 << 20));
}
