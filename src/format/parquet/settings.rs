//! What the config, checkpoints and `DescribeDeliveryStream` say of the format.

use serde_json::{Map, Value, json};

use super::ParquetKind;
use super::durable::ParquetRow;
use super::options::{self, ParquetOptions};
use crate::config::{
    ColumnSettings, FormatKind, FormatSettings, FormatSpec, FormatTable, Reading, Storage,
    StorageClasses,
};
use crate::format::{columns, durable};

/// What the config says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParquetSettings {
    /// Codec of the pages.
    pub compression: ParquetCompression,
    /// How objects are laid out.
    pub options: ParquetOptions,
    /// The columns, and how records become rows of them.
    pub columns: ColumnSettings,
}

/// Codec of Parquet pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParquetCompression {
    /// No compression.
    None,
    /// Snappy.
    Snappy,
    /// gzip.
    Gzip,
    /// Zstandard.
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

impl FormatKind for ParquetKind {
    fn word(&self) -> &'static str {
        "parquet"
    }

    fn keys(&self) -> &'static [&'static str] {
        options::KEYS
    }

    fn carries_all(&self) -> bool {
        false
    }

    fn translations(&self) -> &'static [(&'static str, &'static str)] {
        options::TRANSLATIONS
    }

    fn schema(&self) -> Option<&'static str> {
        Some("Parquet schema")
    }

    fn read(&self, table: &mut FormatTable<'_, '_>) -> Option<FormatSettings> {
        let words = ParquetCompression::ALL.map(|compression| (compression.word(), compression));
        let compression = table.word_or("compression", &words, ParquetCompression::Zstd);
        let columns = table.columns(columns::names);
        let options = options::read(table, compression, columns.as_ref());
        let settings = ParquetSettings {
            compression: compression?,
            options: options?,
            columns: columns?,
        };
        Some(settings.into())
    }

    fn of_row(&self, row: &str) -> Option<FormatSettings> {
        durable::read::<ParquetRow>(row)
    }
}

impl FormatSpec for ParquetSettings {
    fn word(&self) -> &'static str {
        ParquetKind.word()
    }

    fn compression(&self) -> &'static str {
        self.compression.word()
    }

    fn row(&self) -> String {
        durable::written::<ParquetRow>(self)
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
        Ok(Storage {
            serde: None,
            stored: "STORED AS PARQUET",
            properties: Vec::new(),
            remark: None,
            reading: Reading::ByName,
        })
    }

    fn classes(&self) -> Result<StorageClasses, String> {
        Ok(StorageClasses {
            classification: "parquet",
            input_format: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            output_format: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            serde: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            serde_parameters: vec![("serialization.format", "1".to_owned())],
            parameters: Vec::new(),
            reading: Reading::ByName,
        })
    }

    fn serializer(&self) -> Option<Value> {
        let mut serializer = Map::new();
        let compression = self.compression.of_serializer();
        serializer.insert("Compression".into(), compression.into());
        self.options.put_into(&mut serializer);
        Some(json!({ "ParquetSerDe": serializer }))
    }
}
