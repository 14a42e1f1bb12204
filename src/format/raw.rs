//! `raw`: records one after the other, bytes as they came.

use serde::{Deserialize, Serialize};

use super::delimiter::{Delimiter, DelimiterRow};
use super::durable::{self, durable, is_default};
use super::lines::Layout;
use super::text::{self, Compression, CompressionRow};
use super::{Compiler, Format, FormatFault};
use crate::config::{FormatKind, FormatSettings, FormatSpec, FormatTable};

/// What the config says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawSettings {
    /// Codec of the object.
    pub compression: Compression,
    /// What follows each record.
    pub delimiter: Delimiter,
}

/// The durable form of the settings.
#[derive(Serialize, Deserialize)]
enum RawRow {
    Raw {
        compression: CompressionRow,
        #[serde(default, skip_serializing_if = "is_default")]
        delimiter: DelimiterRow,
    },
}

durable!(RawRow::Raw of RawSettings { compression, delimiter });

/// `type = "raw"`.
#[derive(Debug)]
pub(super) struct RawKind;

impl FormatKind for RawKind {
    fn word(&self) -> &'static str {
        "raw"
    }

    fn keys(&self) -> &'static [&'static str] {
        text::KEYS
    }

    fn carries_all(&self) -> bool {
        true
    }

    fn read(&self, table: &mut FormatTable<'_, '_>) -> Option<FormatSettings> {
        let compression = Compression::read(table);
        let delimiter = Delimiter::read(table, Delimiter::None);
        let (compression, delimiter) = compression.zip(delimiter)?;
        let settings = RawSettings {
            compression,
            delimiter,
        };
        Some(settings.into())
    }

    fn of_row(&self, row: &str) -> Option<FormatSettings> {
        durable::read::<RawRow>(row)
    }
}

impl Compiler for RawKind {
    fn compile(&self, settings: &FormatSettings) -> Option<Result<Format, FormatFault>> {
        let settings = settings.get::<RawSettings>()?;
        let layout = Layout::raw(&settings.delimiter);
        Some(Ok(text::format(layout, settings.compression)))
    }
}

impl FormatSpec for RawSettings {
    fn word(&self) -> &'static str {
        RawKind.word()
    }

    fn compression(&self) -> &'static str {
        self.compression.word()
    }

    fn row(&self) -> String {
        durable::written::<RawRow>(self)
    }

    fn compression_format(&self) -> &'static str {
        self.compression.compression_format()
    }
}
