//! `json`: JSON texts one after the other, each in a line of its own unless it is told otherwise; what is no JSON is carried as it came.

use serde::{Deserialize, Serialize};

use super::delimiter::{Delimiter, DelimiterRow};
use super::durable::{self, durable};
use super::lines::Layout;
use super::text::{self, Compression, CompressionRow};
use super::{Compiler, Format, FormatFault};
use crate::config::{FormatKind, FormatSettings, FormatSpec, FormatTable, Reading, Storage};

/// What the config says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonSettings {
    /// Codec of the object.
    pub compression: Compression,
    /// What follows each record.
    pub delimiter: Delimiter,
}

/// The durable form of the settings.
#[derive(Serialize, Deserialize)]
enum JsonRow {
    Json {
        compression: CompressionRow,
        delimiter: DelimiterRow,
    },
}

durable!(JsonRow::Json of JsonSettings { compression, delimiter });

/// `type = "json"`.
#[derive(Debug)]
pub(super) struct JsonKind;

impl FormatKind for JsonKind {
    fn word(&self) -> &'static str {
        "json"
    }

    fn keys(&self) -> &'static [&'static str] {
        text::KEYS
    }

    fn carries_all(&self) -> bool {
        true
    }

    fn expects_json(&self) -> bool {
        true
    }

    fn read(&self, table: &mut FormatTable<'_, '_>) -> Option<FormatSettings> {
        let compression = Compression::read(table);
        let delimiter = Delimiter::read(table, Delimiter::Newline);
        let (compression, delimiter) = compression.zip(delimiter)?;
        let settings = JsonSettings {
            compression,
            delimiter,
        };
        Some(settings.into())
    }

    fn of_row(&self, row: &str) -> Option<FormatSettings> {
        durable::read::<JsonRow>(row)
    }
}

impl Compiler for JsonKind {
    fn compile(&self, settings: &FormatSettings) -> Option<Result<Format, FormatFault>> {
        let settings = settings.get::<JsonSettings>()?;
        let layout = Layout::json(&settings.delimiter);
        Some(Ok(text::format(layout, settings.compression)))
    }
}

impl FormatSpec for JsonSettings {
    fn word(&self) -> &'static str {
        JsonKind.word()
    }

    fn compression(&self) -> &'static str {
        self.compression.word()
    }

    fn row(&self) -> String {
        durable::written::<JsonRow>(self)
    }

    fn separates(&self) -> bool {
        !self.delimiter.is_none()
    }

    fn storage(&self) -> Result<Storage, String> {
        if self.delimiter != Delimiter::Newline {
            let why = "Hive and Athena read JSON a record a line: write delimiter = \"newline\"";
            return Err(why.to_owned());
        }
        self.compression.in_hadoop()?;
        Ok(Storage {
            serde: Some(("org.openx.data.jsonserde.JsonSerDe", Vec::new())),
            stored: "STORED AS TEXTFILE",
            properties: Vec::new(),
            remark: Some(
                "values stay as they were sent: the reader may take times only as yyyy-MM-dd HH:mm:ss; \
                 declare others as string",
            ),
            reading: Reading::ByName,
        })
    }

    fn compression_format(&self) -> &'static str {
        self.compression.compression_format()
    }
}
