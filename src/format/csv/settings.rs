//! What the config, checkpoints and `DescribeDeliveryStream` say of the format.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::CsvFormatKind;
use crate::config::{
    ColumnSettings, FormatKind, FormatSettings, FormatSpec, FormatTable, Reading, SourceSpan,
    Storage, StorageClasses,
};
use crate::format::Compression;
use crate::format::columns::{self, ColumnsRow};
use crate::format::durable::{self, durable};
use crate::format::text::CompressionRow;

/// What makes columns of a line, in Hive and in Athena.
const SERDE: &str = "org.apache.hadoop.hive.serde2.OpenCSVSerde";

/// Bytes of the text of a null.
const NULL_MAX: usize = 64;

/// What the config says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvSettings {
    /// Codec of the object.
    pub compression: Compression,
    /// The columns, and how records become rows of them.
    pub columns: ColumnSettings,
    /// Whether the first line names the columns.
    pub header: bool,
    /// What stands between fields: a character of ASCII.
    pub delimiter: char,
    /// What stands around fields that need it, and twice inside: another one.
    pub quote: char,
    /// What stands for a null, never in quotes.
    pub null: String,
}

/// The durable form of the settings.
#[derive(Serialize, Deserialize)]
enum CsvRow {
    Csv {
        compression: CompressionRow,
        #[serde(flatten)]
        columns: ColumnsRow,
        header: bool,
        delimiter: char,
        quote: char,
        null: String,
    },
}

durable!(CsvRow::Csv of CsvSettings { compression, columns, header, delimiter, quote, null });

impl FormatKind for CsvFormatKind {
    fn word(&self) -> &'static str {
        "csv"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["compression", "header", "delimiter", "quote", "null"]
    }

    fn carries_all(&self) -> bool {
        false
    }

    fn schema(&self) -> Option<&'static str> {
        Some("CSV schema")
    }

    fn read(&self, table: &mut FormatTable<'_, '_>) -> Option<FormatSettings> {
        let compression = Compression::read(table);
        let columns = table.columns(columns::names);
        let has_header = table.has("header");
        let header = table.boolean("header").or((!has_header).then_some(true));
        let delimiter = character(table, "delimiter", ',');
        let quote = character(table, "quote", '"');
        let both = delimiter.zip(quote);
        let both = both.and_then(|(delimiter, quote)| apart(table, delimiter, quote));
        let null = null(table, both);
        let (delimiter, quote) = both?;
        let settings = CsvSettings {
            compression: compression?,
            columns: columns?,
            header: header?,
            delimiter,
            quote,
            null: null?,
        };
        Some(settings.into())
    }

    fn of_row(&self, row: &str) -> Option<FormatSettings> {
        durable::read::<CsvRow>(row)
    }
}

/// A character, and where it stands if it does.
type Character = (char, Option<SourceSpan>);

/// Reads a key that is one character.
fn character(
    table: &mut FormatTable<'_, '_>,
    key: &'static str,
    default: char,
) -> Option<Character> {
    let is_there = table.has(key);
    let Some((text, place)) = table.text(key) else {
        return (!is_there).then_some((default, None));
    };
    let mut characters = text.chars();
    let one = characters.next().filter(|_| characters.next().is_none());
    let one = one.filter(|one| one.is_ascii() && !matches!(one, '\r' | '\n' | '\0'));
    let Some(one) = one else {
        let message = format!("`{key}` is one character of ASCII, and no line end");
        table.fault(place, message, None);
        return None;
    };
    Some((one, Some(place)))
}

/// Both characters, which are two.
fn apart(
    table: &FormatTable<'_, '_>,
    (delimiter, at): Character,
    (quote, at_quote): Character,
) -> Option<(char, char)> {
    if delimiter != quote {
        return Some((delimiter, quote));
    }
    if let Some(place) = at_quote.or(at) {
        let message = format!("`delimiter` and `quote` are the same character, {quote:?}");
        table.fault(place, message, Some("name two different ones"));
    }
    None
}

/// Reads `null`, which is never in quotes.
fn null(table: &mut FormatTable<'_, '_>, special: Option<(char, char)>) -> Option<String> {
    let is_there = table.has("null");
    let Some((text, place)) = table.text("null") else {
        return (!is_there).then(String::new);
    };
    let (delimiter, quote) = special?;
    if text.len() > NULL_MAX || text.contains([delimiter, quote, '\r', '\n']) {
        let message = format!(
            "`null` has at most {NULL_MAX} bytes, and no delimiter, quote or line end in it"
        );
        table.fault(place, message, None);
        return None;
    }
    Some(text)
}

impl FormatSpec for CsvSettings {
    fn word(&self) -> &'static str {
        CsvFormatKind.word()
    }

    fn compression(&self) -> &'static str {
        self.compression.word()
    }

    fn row(&self) -> String {
        durable::written::<CsvRow>(self)
    }

    fn compression_format(&self) -> &'static str {
        self.compression.compression_format()
    }

    fn columns(&self) -> Option<&ColumnSettings> {
        Some(&self.columns)
    }

    fn with_columns(&self, columns: ColumnSettings) -> Option<FormatSettings> {
        let settings = Self {
            columns,
            ..self.clone()
        };
        Some(settings.into())
    }

    fn storage(&self) -> Result<Storage, String> {
        let StorageClasses {
            serde_parameters,
            parameters,
            reading,
            ..
        } = self.classes()?;
        Ok(Storage {
            serde: Some((SERDE, serde_parameters)),
            stored: "STORED AS TEXTFILE",
            properties: parameters,
            remark: Some(
                "every column is a text there, and a null the text that the config says: CAST(NULLIF(x, '') AS bigint); \
                 values with a backslash or a line end are read otherwise than they are",
            ),
            reading,
        })
    }

    fn classes(&self) -> Result<StorageClasses, String> {
        self.compression.in_hadoop()?;
        let header = self
            .header
            .then(|| ("skip.header.line.count", "1".to_owned()));
        Ok(StorageClasses {
            classification: "csv",
            input_format: "org.apache.hadoop.mapred.TextInputFormat",
            output_format: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
            serde: SERDE,
            serde_parameters: vec![
                ("separatorChar", self.delimiter.to_string()),
                ("quoteChar", self.quote.to_string()),
                ("escapeChar", "\\".to_owned()),
            ],
            parameters: header.into_iter().collect(),
            reading: Reading::ByPlace,
        })
    }

    /// Firehose has none for it: this is named in the style of those that it has.
    fn serializer(&self) -> Option<Value> {
        let compression = self.compression.compression_format();
        Some(json!({ "CsvSerDe": { "Compression": compression } }))
    }
}
