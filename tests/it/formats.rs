//! What every format promises, held against all that there are and the smallest that there can be. Objects are read back
//! by other implementations than those that wrote them.

mod backups;
mod counted;
mod reading;

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;
use firehose::config::{self, ColumnSettings, FormatSettings};
use firehose::failure::Failure;
use firehose::format::{
    AvroCompression, AvroSettings, BloomFilters, Compiler, Compression, CsvSettings, Delimiter,
    Encoder, FORMATS, Format, Head, JsonSettings, ParquetCompression, ParquetOptions,
    ParquetSettings, RawSettings, Shape, SortedBy, TimestampType, WriterVersion,
};
use firehose::position::{Position, Sequence};
use firehose::record::Record;
use firehose::registry::registry;

use reading::Read;

/// All formats, the smallest one too.
fn kinds() -> Vec<&'static dyn Compiler> {
    FORMATS
        .iter()
        .copied()
        .chain([&counted::CountedKind as &dyn Compiler])
        .collect()
}

/// Settings of each format, and who reads the ids of the records in an object.
fn formats() -> Vec<(FormatSettings, Read)> {
    let mut formats: Vec<(FormatSettings, Read)> = Vec::new();
    for (compression, read) in [
        (Compression::None, reading::lines as Read),
        (Compression::Gzip, reading::gzip),
        (Compression::Zstd, reading::zstd),
        (Compression::Snappy, reading::xerial),
        (Compression::HadoopSnappy, reading::hadoop),
        (Compression::Zip, reading::zip),
    ] {
        let delimiter = Delimiter::Newline;
        let json = JsonSettings {
            compression,
            delimiter: delimiter.clone(),
        };
        let raw = RawSettings {
            compression,
            delimiter,
        };
        formats.extend([(json.into(), read), (raw.into(), read)]);
    }
    for compression in [
        ParquetCompression::None,
        ParquetCompression::Snappy,
        ParquetCompression::Gzip,
        ParquetCompression::Zstd,
        ParquetCompression::Lz4,
    ] {
        let parquet = ParquetSettings {
            compression,
            options: ParquetOptions::default(),
            columns: ColumnSettings::of("id bigint, pad string"),
        };
        formats.push((parquet.into(), reading::columns));
    }
    formats.extend(layouts().map(|options| {
        let parquet = ParquetSettings {
            compression: ParquetCompression::Zstd,
            options,
            columns: ColumnSettings::of("id bigint, pad string"),
        };
        (parquet.into(), reading::columns as Read)
    }));
    for (compression, read) in [
        (Compression::None, reading::csv as Read),
        (Compression::Gzip, reading::csv_gzip),
        (Compression::Zstd, reading::csv_zstd),
        (Compression::Snappy, reading::csv_xerial),
        (Compression::HadoopSnappy, reading::csv_hadoop),
        (Compression::Zip, reading::csv_zip),
    ] {
        let csv = CsvSettings {
            compression,
            columns: ColumnSettings::of("id bigint, pad string"),
            header: true,
            delimiter: ',',
            quote: '"',
            null: String::new(),
        };
        formats.push((csv.into(), read));
    }
    for compression in [
        AvroCompression::None,
        AvroCompression::Deflate,
        AvroCompression::Snappy,
        AvroCompression::Zstandard,
    ] {
        let avro = AvroSettings {
            compression,
            columns: ColumnSettings::of("id bigint, pad string"),
        };
        formats.push((avro.into(), reading::avro));
    }
    formats.push((counted(), reading::counted));
    formats
}

/// Layouts of Parquet whose objects have something beside their pages, or lack what others have.
fn layouts() -> [ParquetOptions; 2] {
    [
        ParquetOptions {
            bloom_filters: BloomFilters {
                columns: vec!["id".to_owned(), "pad".to_owned()],
                false_positives: None,
            },
            sorted_by: vec![SortedBy {
                column: "id".to_owned(),
                descending: false,
            }],
            ..ParquetOptions::default()
        },
        ParquetOptions {
            writer_version: WriterVersion::V2,
            without_dictionary: true,
            without_page_index: true,
            timestamps: TimestampType::Int96,
            ..ParquetOptions::default()
        },
    ]
}

/// The smallest format, as the config reads it.
fn counted() -> FormatSettings {
    let config = "[stream.c]\nsource.type = \"direct-put\"\nformat.type = \"counted\"\n\
                  backup.format.type = \"counted\"\ndestination = { type = \"folder\", path = \"out\" }";
    let mut registry = registry();
    registry.formats.push(&counted::CountedKind);
    let read = config::parse(config, "firehose.toml".as_ref(), &|_| None, &registry).unwrap();
    let stream = &read.config.streams["c"];
    assert_eq!(stream.backup.as_ref().unwrap().format, stream.format);
    stream.format.clone()
}

fn compile(settings: &FormatSettings) -> Format {
    let mut compiled = kinds()
        .into_iter()
        .filter_map(|kind| kind.compile(settings));
    let format = compiled.next().unwrap().unwrap();
    assert!(compiled.next().is_none(), "{settings:?}: two formats");
    format
}

const BLOCKS: u64 = 5;
const RECORDS: u64 = 40;

/// The ids of a block's records.
fn ids(block: u64) -> impl Iterator<Item = u64> {
    block * RECORDS..(block + 1) * RECORDS
}

fn staged(format: &Format, data: &[u8], id: u64, out: &mut Vec<u8>) {
    let position = Position::of(Sequence(id));
    format.stage(&Record::new(data, 1_700_000_000_000, position), out);
}

/// A raw block.
fn block(format: &Format, block: u64) -> Bytes {
    let mut raw = Vec::new();
    for id in ids(block) {
        let data = format!("{{\"id\":{id},\"pad\":\"{:x}\"}}", id * 0x9e37_79b9);
        staged(format, data.as_bytes(), id, &mut raw);
    }
    raw.into()
}

fn next(blocks: impl IntoIterator<Item = Bytes>) -> impl FnMut() -> io::Result<Option<Bytes>> {
    let mut blocks = blocks.into_iter().collect::<Vec<_>>().into_iter();
    move || Ok(blocks.next())
}

#[expect(clippy::needless_pass_by_value, reason = "so it is handed over")]
fn fits(_: &Record<'_>, failure: Failure) {
    panic!("it does not fit: {failure:?}");
}

/// An object of the blocks, and where each of its blocks or runs lies. `encoder` gives the encoder for each piece.
fn object(
    format: &Format,
    blocks: &[Bytes],
    encoder: &mut dyn FnMut(&mut Option<Encoder>),
) -> (Vec<u8>, Vec<usize>) {
    let (mut out, mut ends, mut bench) = (Vec::new(), Vec::new(), None);
    match format.shape() {
        Shape::Blocks => {
            let mut sums = Vec::new();
            for (at, raw) in blocks.iter().enumerate() {
                encoder(&mut bench);
                let start = out.len();
                let bench = bench.as_mut().unwrap();
                let sum = format.encode_block(bench, at == 0, raw, &mut out).unwrap();
                let again = format.block_sum(at == 0, &out[start..]).unwrap();
                assert_eq!(again, sum, "{format:?}: what is known of the encoded block");
                sums.extend(sum);
                ends.push(out.len());
            }
            assert!(out.starts_with(format.head()), "{format:?}: the head");
            out.extend(format.end(&sums));
        }
        Shape::Runs => {
            let mut head = Head::default();
            for raw in blocks {
                encoder(&mut bench);
                let bench = bench.as_mut().unwrap();
                let mut next = next([raw.clone()]);
                let run = format.encode_run(bench, head.len, &mut next, &mut out, &mut fits);
                let (records, footer) = run.unwrap();
                assert_eq!(records, RECORDS, "{format:?}");
                head.footers.extend(footer);
                head.len = out.len() as u64;
                ends.push(out.len());
            }
            assert!(out.starts_with(format.head()), "{format:?}: the head");
            encoder(&mut bench);
            let (bench, mut next) = (bench.as_mut().unwrap(), next([]));
            let rest = format.encode_object(bench, &head, &mut next, &mut out, &mut fits);
            assert_eq!(
                rest.unwrap(),
                0,
                "{format:?}: nothing is left but the footer"
            );
        }
        Shape::Whole => {
            encoder(&mut bench);
            let (bench, mut next) = (bench.as_mut().unwrap(), next(blocks.to_vec()));
            let head = Head::default();
            let all = format.encode_object(bench, &head, &mut next, &mut out, &mut fits);
            assert_eq!(all.unwrap(), RECORDS * blocks.len() as u64, "{format:?}");
        }
    }
    (out, ends)
}

/// Of all blocks, with one encoder.
fn whole(format: &Format) -> (Vec<u8>, Vec<usize>) {
    let blocks: Vec<_> = (0..BLOCKS).map(|at| block(format, at)).collect();
    object(format, &blocks, &mut |bench| {
        bench.get_or_insert_with(|| format.encoder());
    })
}

#[test]
fn every_format_of_the_list_is_held_to_its_promises() {
    let listed: BTreeSet<_> = kinds().iter().map(|kind| kind.word()).collect();
    assert_eq!(listed.len(), kinds().len(), "one word, one format");
    let held: BTreeSet<_> = formats().iter().map(|(format, _)| format.word()).collect();
    assert_eq!(held, listed);
}

/// Batches that were opened under old settings end under them.
#[test]
fn the_durable_form_leads_back_to_the_settings_and_is_of_one_format() {
    let mut hashes = BTreeSet::new();
    for (settings, _) in formats() {
        let row = settings.row();
        let found = kinds().into_iter().filter_map(|kind| kind.of_row(&row));
        let found: Vec<_> = found.collect();
        assert_eq!(found, std::slice::from_ref(&settings), "{row}");
        assert!(hashes.insert(settings.hash()), "{row}: another's hash");
        let value: Result<serde_json::Value, _> = serde_json::from_str(&row);
        assert!(value.is_ok(), "{row}");
    }
}

#[test]
fn what_is_staged_and_encoded_is_read_back_by_somebody_else() {
    for (settings, read) in formats() {
        let format = compile(&settings);
        let all: Vec<u64> = (0..BLOCKS).flat_map(ids).collect();
        assert_eq!(read(&whole(&format).0), all, "{settings:?}");
    }
}

/// Pieces are encoded by whatever worker is free, in whatever process: what one of them keeps must not matter.
#[test]
fn another_encoder_goes_on_after_each_piece() {
    for (settings, read) in formats() {
        let format = compile(&settings);
        let blocks: Vec<_> = (0..BLOCKS).map(|at| block(&format, at)).collect();
        let (other, _) = object(&format, &blocks, &mut |bench| {
            // It has encoded something else before.
            let mut used = format.encoder();
            let (mut out, raw) = (Vec::new(), block(&format, 7));
            let (head, mut next) = (Head::default(), next([raw.clone()]));
            let _ = format.encode_block(&mut used, true, &raw, &mut out);
            let _ = format.encode_object(&mut used, &head, &mut next, &mut out, &mut fits);
            *bench = Some(used);
        });
        let all: Vec<u64> = (0..BLOCKS).flat_map(ids).collect();
        assert_eq!(read(&other), all, "{settings:?}");
        let none = format.extension();
        assert!(none.is_empty() || none.starts_with('.'), "{settings:?}");
    }
}

#[test]
fn a_record_that_does_not_fit_fails_alone_and_in_its_own_words() {
    let mut tried = 0;
    for (settings, read) in formats() {
        let format = compile(&settings);
        if format.shape() == Shape::Blocks {
            continue; // Nothing fails once it is staged.
        }
        let mut raw = block(&format, 0).to_vec();
        let bad = b"{\"id\":\"x\"\xff";
        staged(&format, bad, 900, &mut raw);
        raw.extend(block(&format, 1));
        let (mut out, mut failed) = (Vec::new(), Vec::new());
        let (mut encoder, mut next) = (format.encoder(), next([raw.into()]));
        let encoded = format.encode_object(
            &mut encoder,
            &Head::default(),
            &mut next,
            &mut out,
            &mut |record, _| failed.push((record.position, record.data.to_vec())),
        );
        let expected = (Position::of(Sequence(900)), bad.to_vec());
        // What carries all has one more record, which no reader of ids understands.
        if settings.reads_json() {
            assert_eq!(failed, [expected], "{settings:?}");
            assert_eq!(encoded.unwrap(), 2 * RECORDS, "{settings:?}");
            let good: Vec<u64> = (0..2).flat_map(ids).collect();
            assert_eq!(read(&out), good, "{settings:?}");
            tried += 1;
        } else {
            assert_eq!((encoded.unwrap(), failed), (2 * RECORDS + 1, vec![]));
        }
    }
    assert!(tried > 0);
}

/// An object that has lost bytes of its own is delivered without them.
#[test]
fn an_object_goes_on_without_any_of_its_parts() {
    for (settings, read) in formats() {
        let format = compile(&settings);
        if format.shape() == Shape::Whole {
            continue; // It has no parts.
        }
        let (bytes, ends) = whole(&format);
        let starts = [0].into_iter().chain(ends.iter().copied());
        let places: Vec<_> = starts.zip(ends.iter().copied()).collect();
        for (gone, (start, end)) in places.iter().copied().enumerate() {
            let mut mended = Vec::new();
            if format.shape() == Shape::Blocks {
                let mut sums = Vec::new();
                if gone == 0 {
                    mended.extend(format.head());
                }
                for (at, (start, end)) in places.iter().copied().enumerate() {
                    if at != gone {
                        let block = &bytes[start..end];
                        sums.extend(format.block_sum(at == 0, block).unwrap());
                        mended.extend(block);
                    }
                }
                mended.extend(format.end(&sums));
            } else {
                let size = bytes.len() as u64;
                let footer = format.footer(&bytes.clone().into(), size, true);
                let footer = footer.unwrap().expect("all of it is there");
                let data = *ends.last().unwrap();
                mended.extend(&bytes[..data]);
                mended[start..end].fill(0);
                if gone == 0 {
                    mended[..format.head().len()].copy_from_slice(format.head());
                }
                let parts = footer.parts();
                assert_eq!(
                    parts.iter().map(|(_, rows)| rows).sum::<u64>(),
                    BLOCKS * RECORDS
                );
                let is_gone = |at: usize| {
                    let (part, (start, end)) = (&parts[at].0, (start as u64, end as u64));
                    part.start < end && start < part.end
                };
                let kept = |at| !is_gone(at);
                footer.write(&kept, data as u64, &mut mended).unwrap();
            }
            let rest = (0..BLOCKS).filter(|at| *at != gone as u64).flat_map(ids);
            assert_eq!(
                read(&mended),
                rest.collect::<Vec<_>>(),
                "{settings:?} {gone}"
            );
        }
    }
}

#[test]
fn calls_of_another_shape_are_refused() {
    for (settings, _) in formats() {
        let format = compile(&settings);
        let (mut encoder, mut out, head) = (format.encoder(), Vec::new(), Head::default());
        let mut refused = BTreeSet::new();
        if is_refused(&format.encode_block(&mut encoder, true, b"", &mut out)) {
            refused.insert("block");
        }
        let run = format.encode_run(&mut encoder, 0, &mut next([]), &mut out, &mut fits);
        if is_refused(&run) {
            refused.insert("run");
        }
        let rest = format.encode_object(&mut encoder, &head, &mut next([]), &mut out, &mut fits);
        if is_refused(&rest) {
            refused.insert("object");
        }
        let others = match format.shape() {
            Shape::Blocks => ["object", "run"].into(),
            Shape::Runs => ["block"].into(),
            Shape::Whole => ["block", "run"].into(),
        };
        assert_eq!(refused, others, "{settings:?}");
    }
}

fn is_refused<T>(result: &io::Result<T>) -> bool {
    let error = result.as_ref().err().map(io::Error::kind);
    error == Some(io::ErrorKind::InvalidInput)
}
