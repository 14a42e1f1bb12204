//! What the config, checkpoints and `DescribeDeliveryStream` say of the format.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Kind;
use crate::config::{FormatKind, FormatSettings, FormatSpec, FormatTable, Storage};

/// What the config says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParquetSettings {
    /// Codec of the pages.
    pub compression: ParquetCompression,
    /// Hive column syntax: `name type, name type …`.
    pub schema: String,
}

/// Codec of Parquet pages. Checkpoints name variants as they are named here: none is ever renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParquetCompression {
    /// No compression.
    None,
    /// Snappy.
    Snappy,
    /// gzip.
    Gzip,
    /// Zstandard, level 1.
    Zstd,
    /// LZ4 raw blocks.
    Lz4,
}

impl ParquetCompression {
    const ALL: [Self; 5] = [Self::None, Self::Snappy, Self::Gzip, Self::Zstd, Self::Lz4];

    /// The word of it in the config.
    const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Snappy => "snappy",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }

    /// `Compression` of Firehose's `ParquetSerDe`; it has none for the last two, which are named in the same style.
    const fn of_serializer(self) -> &'static str {
        match self {
            Self::None => "UNCOMPRESSED",
            Self::Snappy => "SNAPPY",
            Self::Gzip => "GZIP",
            Self::Zstd => "ZSTD",
            Self::Lz4 => "LZ4",
        }
    }
}

/// The durable form of the settings.
#[derive(Serialize, Deserialize)]
enum ParquetSettingsRow {
    Parquet {
        compression: ParquetCompression,
        schema: String,
    },
}

impl FormatKind for Kind {
    fn word(&self) -> &'static str {
        "parquet"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["compression", "schema", "schema_file"]
    }

    fn schema(&self) -> Option<&'static str> {
        Some("Parquet schema")
    }

    fn read(&self, table: &mut FormatTable<'_, '_>) -> Option<FormatSettings> {
        let words = ParquetCompression::ALL.map(|compression| (compression.word(), compression));
        let compression = table.word_or("compression", &words, ParquetCompression::Zstd);
        let schema = table.schema();
        let (compression, schema) = compression.zip(schema)?;
        let settings = ParquetSettings {
            compression,
            schema,
        };
        Some(settings.into())
    }

    fn of_row(&self, row: &str) -> Option<FormatSettings> {
        let ParquetSettingsRow::Parquet {
            compression,
            schema,
        } = serde_json::from_str(row).ok()?;
        let settings = ParquetSettings {
            compression,
            schema,
        };
        Some(settings.into())
    }
}

impl FormatSpec for ParquetSettings {
    fn word(&self) -> &'static str {
        Kind.word()
    }

    fn compression(&self) -> &'static str {
        self.compression.word()
    }

    fn row(&self) -> String {
        let row = ParquetSettingsRow::Parquet {
            compression: self.compression,
            schema: self.schema.clone(),
        };
        crate::format::row(&row)
    }

    fn reads_json(&self) -> bool {
        true
    }

    fn separates(&self) -> bool {
        true
    }

    fn columns(&self) -> Option<&str> {
        Some(&self.schema)
    }

    fn storage(&self) -> Result<Storage, String> {
        Ok(Storage {
            clauses: "STORED AS PARQUET",
            remark: None,
        })
    }

    fn serializer(&self) -> Option<Value> {
        let compression = self.compression.of_serializer();
        Some(json!({ "ParquetSerDe": { "Compression": compression } }))
    }
}
