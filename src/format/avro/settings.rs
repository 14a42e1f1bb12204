//! What the config, checkpoints and `DescribeDeliveryStream` say of the format.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schema::{self, refused};
use super::{AvroKind, entries};
use crate::config::{
    ColumnSettings, FormatKind, FormatSettings, FormatSpec, FormatTable, Reading, Storage,
    StorageClasses,
};
use crate::format::columns::{self, ColumnsRow, Schema};
use crate::format::durable::{self, durable};

/// What the config says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvroSettings {
    /// Codec of the blocks.
    pub compression: AvroCompression,
    /// The columns, and how records become rows of them.
    pub columns: ColumnSettings,
}

/// Codec of Avro blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AvroCompression {
    /// No compression.
    None,
    /// Deflate, which every reader knows.
    Deflate,
    /// Snappy, with a CRC-32 behind it.
    Snappy,
    /// Zstandard, level 1.
    Zstandard,
}

impl AvroCompression {
    const ALL: [Self; 4] = [Self::None, Self::Deflate, Self::Snappy, Self::Zstandard];

    /// The word of it in the config.
    const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
            Self::Zstandard => "zstandard",
        }
    }

    /// The word of it in a file.
    pub(super) const fn in_file(self) -> &'static str {
        match self {
            Self::None => "null",
            named => named.word(),
        }
    }

    /// In the style of those that Firehose has for others.
    const fn of_serializer(self) -> &'static str {
        match self {
            Self::None => "UNCOMPRESSED",
            Self::Deflate => "DEFLATE",
            Self::Snappy => "SNAPPY",
            Self::Zstandard => "ZSTANDARD",
        }
    }
}

/// The durable form of the settings.
#[derive(Serialize, Deserialize)]
enum AvroRow {
    Avro {
        compression: CompressionRow,
        #[serde(flatten)]
        columns: ColumnsRow,
    },
}

durable!(AvroRow::Avro of AvroSettings { compression, columns });

#[derive(Serialize, Deserialize)]
enum CompressionRow {
    None,
    Deflate,
    Snappy,
    Zstandard,
}

durable!(CompressionRow of enum AvroCompression { None, Deflate, Snappy, Zstandard });

impl FormatKind for AvroKind {
    fn word(&self) -> &'static str {
        "avro"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["compression"]
    }

    fn carries_all(&self) -> bool {
        false
    }

    fn schema(&self) -> Option<&'static str> {
        Some("Avro schema")
    }

    fn read(&self, table: &mut FormatTable<'_, '_>) -> Option<FormatSettings> {
        let words = AvroCompression::ALL.map(|compression| (compression.word(), compression));
        let compression = table.word_or("compression", &words, AvroCompression::Deflate);
        let columns = table.columns(|schema| columns::names_that(schema, refused));
        let (compression, columns) = compression.zip(columns)?;
        let settings = AvroSettings {
            compression,
            columns,
        };
        Some(settings.into())
    }

    fn of_row(&self, row: &str) -> Option<FormatSettings> {
        durable::read::<AvroRow>(row)
    }
}

impl FormatSpec for AvroSettings {
    fn word(&self) -> &'static str {
        AvroKind.word()
    }

    fn compression(&self) -> &'static str {
        self.compression.word()
    }

    fn row(&self) -> String {
        durable::written::<AvroRow>(self)
    }

    fn columns(&self) -> Option<&ColumnSettings> {
        Some(&self.columns)
    }

    fn takes_name(&self, name: &str) -> bool {
        refused(name).is_none()
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
            serde,
            serde_parameters,
            reading,
            ..
        } = self.classes()?;
        Ok(Storage {
            serde: Some((serde, serde_parameters)),
            stored: "STORED AS AVRO",
            properties: Vec::new(),
            remark: Some(
                "times are microseconds since 1970 there: from_unixtime(x / 1e6); columns that come later are to be added \
                 to the schema, too",
            ),
            reading,
        })
    }

    fn classes(&self) -> Result<StorageClasses, String> {
        let literal = if self.columns.come_later() {
            // They will be known when the table is made.
            String::new()
        } else {
            let schema = Schema::with_names(&self.columns, refused);
            let schema = schema.map_err(|fault| fault.to_string())?;
            schema::written(entries::of_maps(schema.arrow()).fields())
        };
        Ok(StorageClasses {
            classification: "avro",
            input_format: "org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat",
            output_format: "org.apache.hadoop.hive.ql.io.avro.AvroContainerOutputFormat",
            serde: "org.apache.hadoop.hive.serde2.avro.AvroSerDe",
            serde_parameters: vec![("avro.schema.literal", literal)],
            parameters: Vec::new(),
            reading: Reading::BySchema,
        })
    }

    /// Firehose has none for it: this is named in the style of those that it has.
    fn serializer(&self) -> Option<Value> {
        let compression = self.compression.of_serializer();
        Some(json!({ "AvroSerDe": { "Compression": compression } }))
    }
}
