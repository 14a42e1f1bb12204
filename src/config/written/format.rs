//! The format tables: what the objects look like inside.

use std::path::Path;
use std::sync::Arc;

use firehose_nearest::nearest;

use crate::config::diagnostic::{Diagnostic, Source};
use crate::config::spans::{SpanMap, StageField};
use crate::config::table::Table;
use crate::config::text::Origin;
use crate::config::{Compression, Delimiter, FormatSettings, ParquetCompression};

/// Words of `compression` for `json` and `raw`.
const COMPRESSIONS: [(&str, Compression); 6] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("zstd", Compression::Zstd),
    ("snappy", Compression::Snappy),
    ("hadoop-snappy", Compression::HadoopSnappy),
    ("zip", Compression::Zip),
];
/// Words of `compression` for `parquet`.
const PARQUET_COMPRESSIONS: [(&str, ParquetCompression); 5] = [
    ("none", ParquetCompression::None),
    ("snappy", ParquetCompression::Snappy),
    ("gzip", ParquetCompression::Gzip),
    ("zstd", ParquetCompression::Zstd),
    ("lz4", ParquetCompression::Lz4),
];
/// Bytes of a delimiter of the user's.
const DELIMITER_MAX: usize = 256;
/// Bytes of a schema file.
const SCHEMA_MAX: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Raw,
    Parquet,
}

/// The format of a stream that says nothing about it: JSON lines without compression.
pub(super) fn default() -> FormatSettings {
    FormatSettings::Json {
        compression: Compression::None,
        delimiter: Delimiter::Newline,
    }
}

/// The backup's format where nothing is said about it: each record as it came and a line feed.
pub(super) fn of_backup() -> FormatSettings {
    FormatSettings::Raw {
        compression: Compression::None,
        delimiter: Delimiter::Newline,
    }
}

/// `[stream.X.format]`, and whether it takes JSON only; where it cannot be had (the fault is reported)
/// one is made up.
pub(super) fn read(
    stream: &str,
    mut table: Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> (FormatSettings, bool) {
    spans.keep_table(stream, StageField::Schema, &table);
    let kinds = [
        ("json", Kind::Json),
        ("raw", Kind::Raw),
        ("parquet", Kind::Parquet),
    ];
    let mut only_json = false;
    let format = match kind(&mut table, &kinds) {
        Some(Kind::Parquet) => parquet(stream, table, base, spans),
        Some(Kind::Raw) => {
            table.only_with(&["not_json"], "`type = \"json\"`");
            of_lines(Kind::Raw, table)
        }
        Some(Kind::Json) => {
            let not_json = [("as-is", false), ("fail", true)];
            only_json = table.word_or("not_json", &not_json, false).unwrap_or(false);
            of_lines(Kind::Json, table)
        }
        None => {
            of_any_kind(table);
            None
        }
    };
    let format = format.unwrap_or_else(|| {
        spans.keep_unread(stream, StageField::Schema);
        default()
    });
    (format, only_json)
}

/// `[stream.X.backup.format]`: the source records as they came, so never columns.
pub(super) fn read_lines(mut table: Table<'_>) -> Option<FormatSettings> {
    let kind = kind(&mut table, &[("json", Kind::Json), ("raw", Kind::Raw)]);
    if kind.is_none() {
        of_any_kind(table);
        return None;
    }
    table.only_with(&["not_json"], "the stream's own format: a backup takes all");
    of_lines(kind?, table)
}

/// The keys of a table whose kind is not known: which of them go together cannot be judged.
fn of_any_kind(mut table: Table<'_>) {
    table.accept(&[
        "compression",
        "delimiter",
        "not_json",
        "schema",
        "schema_file",
    ]);
    table.finish();
}

fn kind(table: &mut Table<'_>, kinds: &[(&'static str, Kind)]) -> Option<Kind> {
    table.word_or("type", kinds, Kind::Json)
}

fn of_lines(kind: Kind, mut table: Table<'_>) -> Option<FormatSettings> {
    table.only_with(&["schema", "schema_file"], "`type = \"parquet\"`");
    let compression = table.word_or("compression", &COMPRESSIONS, Compression::None);
    let delimiter = delimiter(&mut table, kind);
    table.finish();
    let (compression, delimiter) = compression.zip(delimiter)?;
    Some(if kind == Kind::Json {
        FormatSettings::Json {
            compression,
            delimiter,
        }
    } else {
        FormatSettings::Raw {
            compression,
            delimiter,
        }
    })
}

fn delimiter(table: &mut Table<'_>, kind: Kind) -> Option<Delimiter> {
    let present = table.has("delimiter");
    let Some(text) = table.string("delimiter") else {
        return (!present).then_some(match kind {
            Kind::Json => Delimiter::Newline,
            _ => Delimiter::None,
        });
    };
    let place = text.origin.place(None);
    match text.value.as_str() {
        "newline" => return Some(Delimiter::Newline),
        "none" => return Some(Delimiter::None),
        "" => {
            let help = "write \"none\" for no delimiter, \"newline\" or a text of your own";
            table
                .file
                .report(Diagnostic::fault(place, "`delimiter` is empty").help(help));
            return None;
        }
        long if long.len() > DELIMITER_MAX => {
            let message = format!("`delimiter` is longer than {DELIMITER_MAX} bytes");
            table.file.report(Diagnostic::fault(place, message));
            return None;
        }
        _ => {}
    }
    if let Some(word) = nearest(&text.value, ["newline", "none"])
        && text.value.len() > 2
    {
        let message = format!("the text \"{}\" itself will follow each record", text.value);
        let help = format!("did you mean \"{word}\"?");
        table
            .file
            .report(Diagnostic::warning(place, message).help(help));
    }
    Some(Delimiter::Text(text.value))
}

fn parquet(
    stream: &str,
    mut table: Table<'_>,
    base: &Path,
    spans: &mut SpanMap,
) -> Option<FormatSettings> {
    table.only_with(&["delimiter"], "`type = \"json\"` and `type = \"raw\"`");
    table.only_with(&["not_json"], "`type = \"json\"`");
    let compression = table.word_or(
        "compression",
        &PARQUET_COMPRESSIONS,
        ParquetCompression::Zstd,
    );
    let schema = schema(stream, &mut table, base, spans);
    table.finish();
    Some(FormatSettings::Parquet {
        compression: compression?,
        schema: schema?,
    })
}

/// `schema`, or the text of `schema_file`: exactly one of them.
fn schema(stream: &str, table: &mut Table<'_>, base: &Path, spans: &mut SpanMap) -> Option<String> {
    let both = table.has("schema") && table.has("schema_file");
    let neither = !table.has("schema") && !table.has("schema_file");
    let inline = spans.keep(stream, StageField::Schema, table, "schema");
    let file_place = table.place_of("schema_file");
    let named = super::path(table, "schema_file");
    if both {
        let message = "`schema` and `schema_file` exclude each other";
        let fault = Diagnostic::fault(file_place, message).help("remove one of them");
        table.file.report(fault);
        return None;
    }
    if neither {
        let help = "write the columns in Hive syntax, such as \
                    schema = \"event_id string, ts timestamp\", or name a schema_file";
        table.missing("schema", help);
        return None;
    }
    let Some(named) = named else {
        return inline;
    };
    match super::super::read_bounded(&base.join(&named), SCHEMA_MAX) {
        Ok(text) => {
            let path = base.join(&named).display().to_string();
            let source = Arc::new(Source {
                path,
                text: text.clone(),
            });
            spans.keep_origin(stream, StageField::Schema, Origin::file(source));
            Some(text)
        }
        Err(cause) => {
            let message = format!("{} cannot be read: {cause}", base.join(&named).display());
            let help = "a relative path starts at the folder of the config file";
            table
                .file
                .report(Diagnostic::fault(file_place, message).help(help));
            None
        }
    }
}
