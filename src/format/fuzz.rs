//! Schemas, records for their columns, and staged blocks, as they may be.

use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;

use super::columns::RulesRow;
use super::durable::Durable;
use super::{
    Columns, FORMATS, Familiar, Format, FormatFault, Head, Inference, Remark, Trial, columns,
    frame, of_row,
};
use crate::config::{self, ColumnRules, ColumnSettings, FormatSettings, NameRules};
use crate::position::{Position, Sequence};
use crate::record::Record;
use crate::registry::registry;

/// A schema: it is taken, or the fault has a place in it.
pub fn schema(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Err(FormatFault { at: Some(at), .. }) = columns::Schema::parse(text) {
        assert!(at.start <= at.end, "{at:?}");
        let is_place = |at| text.is_char_boundary(at);
        assert!(is_place(at.start) && is_place(at.end), "{at:?}");
    }
}

/// A schema, and after a zero records for it, one a line, in each format with columns: each is a row or more, or has failed
/// by itself, and whoever asks for its rows is told the same. What begins with a one has, up to a first zero, rules by which
/// records become rows.
pub fn columns(bytes: &[u8]) {
    let mut rules = ColumnRules::default();
    let is_ruled = bytes.first() == Some(&1);
    let bytes = &bytes[usize::from(is_ruled)..];
    let mut parts = bytes.splitn(2 + usize::from(is_ruled), |byte| *byte == 0);
    if is_ruled {
        match parts.next().map(serde_json::from_slice::<RulesRow>) {
            Some(Ok(row)) => rules = row.settings(),
            _ => return,
        }
    }
    let schema = parts.next().map(std::str::from_utf8);
    let (Some(Ok(schema)), Some(lines)) = (schema, parts.next()) else {
        return;
    };
    let columns = ColumnSettings {
        rules,
        ..ColumnSettings::of(schema)
    };
    for settings in WITH_COLUMNS.iter() {
        let settings = settings.with_columns(columns.clone());
        let settings = settings.expect("a format with a schema has columns");
        if let Ok(format) = Format::compile(&settings) {
            rows(&format, lines);
        }
    }
}

/// Every format with columns, as a table has it that says no more than it must.
static WITH_COLUMNS: LazyLock<Vec<FormatSettings>> = LazyLock::new(|| {
    let kinds = FORMATS.iter().filter(|kind| kind.schema().is_some());
    let settings = kinds.map(|kind| {
        let text = format!(
            "[stream.c]\nsource.type = \"direct-put\"\ndestination = {{ type = \"folder\", path = \"out\" }}\n\
             format = {{ type = \"{}\", schema = \"a string\" }}",
            kind.word()
        );
        let read = config::parse(text, Path::new("firehose.toml"), &|_| None, &registry());
        let read = read.unwrap_or_else(|faults| panic!("{}: {faults}", kind.word()));
        read.config.streams["c"].format.clone()
    });
    settings.collect()
});

fn rows(format: &Format, lines: &[u8]) {
    let mut encoder = format.encoder();
    let (mut block, mut fit, mut all) = (Vec::new(), 0, 0);
    for line in lines.split(|byte| *byte == b'\n') {
        let position = Position {
            sequence: Sequence(all).into(),
            sub_sequence: 0,
        };
        let record = Record::new(line, 0, position);
        format.stage(&record, &mut block);
        all += 1;
        fit += u64::from(format.rows(&mut encoder, &record).is_ok());
    }
    let mut block = Some(Bytes::from(block));
    let (mut object, mut failed) = (Vec::new(), 0);
    let encoded = format.encode_object(
        &mut encoder,
        &Head::default(),
        &mut || Ok(block.take()),
        &mut object,
        &mut |_, _| failed += 1,
    );
    let encoded = encoded.expect("the block is whole, and memory takes what is written");
    assert_eq!((encoded, encoded + failed), (fit, all), "records");
    if encoded > 0 {
        assert!(!object.is_empty() && object.starts_with(format.head()));
    }
}

/// Records, one a line, and after a zero others that come later: the columns that are learned from the first take them all,
/// still do so when the others have widened them, and are then as wide as those want them.
pub fn learned(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0).map(|lines| {
        let mut seen = Inference::default();
        let lines = lines.split(|byte| *byte == b'\n');
        let taken: Vec<&[u8]> = lines.filter(|line| seen.observe(line).is_ok()).collect();
        (seen.columns(), taken)
    });
    let Some((columns, records)) = parts.next() else {
        return;
    };
    takes_all(&columns, &records);
    let later = parts.next();
    if let Some((_, later)) = &later {
        widen_nothing(&columns, records.iter().chain(later));
    }
    let widened = later.and_then(|(later, _)| Some((columns.widened(&later)?, later)));
    if let Some(((wider, _), later)) = widened {
        assert_eq!(wider.widened(&later).map(|(_, changes)| changes), None);
        let typed: Vec<&[u8]> = records
            .into_iter()
            .filter(|record| is_typed(record))
            .collect();
        takes_all(&wider, &typed);
    }
}

/// Records that are familiar to columns widen them by nothing.
fn widen_nothing<'r>(columns: &Columns, records: impl Iterator<Item = &'r &'r [u8]>) {
    if columns.is_empty() {
        return;
    }
    let mut familiar = Familiar::with(columns, &Columns::default(), &NameRules::default());
    let mut seen = Inference::default();
    for record in records.filter(|record| familiar.knows(record, &|_| true)) {
        let _ = seen.observe(record);
    }
    assert_eq!(
        columns.widened(&seen.columns()).map(|(_, changes)| changes),
        None
    );
}

/// Whether all that a record has makes a type, but for nulls. An empty object makes none, and fits none that comes later but
/// an object's.
fn is_typed(record: &[u8]) -> bool {
    let mut seen = Inference::default();
    let makes_none = |remark: &Remark| matches!(remark, Remark::OnlyEmpty | Remark::Hollow);
    seen.observe(record).is_ok()
        && !seen
            .findings()
            .iter()
            .any(|finding| finding.remarks.iter().any(makes_none))
}

fn takes_all(columns: &Columns, records: &[&[u8]]) {
    if columns.is_empty() {
        return;
    }
    let text = columns.to_config();
    let mut trial = Trial::of(&text).expect("columns that were learned are a schema");
    for record in records {
        let record_text = String::from_utf8_lossy(record);
        assert_eq!(trial.convert(record), Ok(()), "{record_text}\n{text}");
    }
}

/// The durable form of settings: what is read is written again as it was, and compiled without stumbling.
pub fn row(bytes: &[u8]) {
    let row = std::str::from_utf8(bytes).ok();
    if let Some(settings) = row.and_then(of_row) {
        assert_eq!(of_row(&settings.row()).as_ref(), Some(&settings));
        let _ = (settings.hash(), Format::compile(&settings));
    }
}

/// A block of staged records: it is read as it was written, up to where it is torn.
pub fn staged_records(bytes: &[u8]) {
    let (mut block, mut read, mut torn) = (Vec::new(), Vec::new(), 0);
    for record in frame::records(bytes) {
        assert_eq!(torn, 0, "something behind the tear");
        match record {
            Ok(record) => {
                frame::append(&record, &mut block);
                read.push(record);
            }
            Err(_) => torn += 1,
        }
    }
    let again: Result<Vec<_>, _> = frame::records(&block).collect();
    assert_eq!(again.ok(), Some(read), "what was read and written again");
}
