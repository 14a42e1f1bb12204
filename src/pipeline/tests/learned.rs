//! Rows of columns that are learned from records, some of which have fields that none had before.

use crate::config::{ColumnSettings, FormatSettings, Sample};
use crate::format::{Compression, CsvSettings};

/// Lines of text under a line with the names, learned from a few records.
pub(in crate::pipeline) fn rows() -> FormatSettings {
    let columns = ColumnSettings {
        sample: Some(Sample {
            records: 50,
            ..Sample::default()
        }),
        ..ColumnSettings::of("infer")
    };
    FormatSettings::new(CsvSettings {
        compression: Compression::None,
        delimiter: ',',
        header: true,
        quote: '"',
        null: String::new(),
        columns,
    })
}

/// A field that not all records have; another one every so often.
pub(in crate::pipeline) fn new_field(id: u64) -> Option<String> {
    (id % 7 == 3).then(|| format!("new{}", id / 300))
}

/// The records of an object of rows, each with all that was in it.
pub(in crate::pipeline) fn ids_of_rows(text: &str) -> Vec<u64> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let id_of = |row: Vec<&str>| {
        let value = |name: &str| {
            names
                .iter()
                .position(|known| *known == name)
                .map(|at| row[at])
        };
        let id = value("id").unwrap();
        let number = id.parse().unwrap();
        if let Some(new) = new_field(number) {
            assert_eq!(value(&new), Some(id), "{new} of {row:?} under {names:?}");
        }
        number
    };
    lines.map(id_of).collect()
}
