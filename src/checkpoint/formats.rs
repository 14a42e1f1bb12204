//! What a batch's format is, as the checkpoint store keeps it while a batch names it: by its hash, so
//! that batches opened under old settings end under them.
//!
//! The config may call its settings otherwise one day; this form is durable: variants and fields are
//! added, never renamed, and one that is added is left out where it says what was so before it.

use serde::{Deserialize, Serialize};

use crate::config::{self, FormatSettings};

/// The durable form of [`FormatSettings`].
#[derive(Serialize, Deserialize)]
pub(super) enum FormatRow {
    Json {
        compression: Compression,
        delimiter: Delimiter,
    },
    Raw {
        compression: Compression,
        #[serde(default, skip_serializing_if = "Delimiter::is_none")]
        delimiter: Delimiter,
    },
    Parquet {
        compression: ParquetCompression,
        schema: String,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
    Snappy,
    HadoopSnappy,
    Zip,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) enum Delimiter {
    Newline,
    #[default]
    None,
    Text(String),
}

#[derive(Serialize, Deserialize)]
pub(super) enum ParquetCompression {
    None,
    Snappy,
    Gzip,
    Zstd,
    Lz4,
}

/// The hash by which a batch names its format: the CRC-64/NVME of the durable form.
pub fn format_hash(settings: &FormatSettings) -> u64 {
    let row = FormatRow::from(settings);
    let json = serde_json::to_vec(&row).expect("rows are plain data");
    crc_fast::crc64_nvme(&json)
}

impl Delimiter {
    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl From<&FormatSettings> for FormatRow {
    fn from(settings: &FormatSettings) -> Self {
        match settings {
            FormatSettings::Json {
                compression,
                delimiter,
            } => Self::Json {
                compression: (*compression).into(),
                delimiter: delimiter.into(),
            },
            FormatSettings::Raw {
                compression,
                delimiter,
            } => Self::Raw {
                compression: (*compression).into(),
                delimiter: delimiter.into(),
            },
            FormatSettings::Parquet {
                compression,
                schema,
            } => Self::Parquet {
                compression: (*compression).into(),
                schema: schema.clone(),
            },
        }
    }
}

impl From<FormatRow> for FormatSettings {
    fn from(row: FormatRow) -> Self {
        match row {
            FormatRow::Json {
                compression,
                delimiter,
            } => Self::Json {
                compression: compression.into(),
                delimiter: delimiter.into(),
            },
            FormatRow::Raw {
                compression,
                delimiter,
            } => Self::Raw {
                compression: compression.into(),
                delimiter: delimiter.into(),
            },
            FormatRow::Parquet {
                compression,
                schema,
            } => Self::Parquet {
                compression: compression.into(),
                schema,
            },
        }
    }
}

impl From<&config::Delimiter> for Delimiter {
    fn from(delimiter: &config::Delimiter) -> Self {
        match delimiter {
            config::Delimiter::Newline => Self::Newline,
            config::Delimiter::None => Self::None,
            config::Delimiter::Text(text) => Self::Text(text.clone()),
        }
    }
}

impl From<Delimiter> for config::Delimiter {
    fn from(delimiter: Delimiter) -> Self {
        match delimiter {
            Delimiter::Newline => Self::Newline,
            Delimiter::None => Self::None,
            Delimiter::Text(text) => Self::Text(text),
        }
    }
}

/// Conversions both ways between a codec of the config and its row: the variants of either are all
/// named, so that the compiler tells of one that was added.
macro_rules! same_words {
    ($name:ident: $($word:ident)*) => {
        impl From<config::$name> for $name {
            fn from(codec: config::$name) -> Self {
                match codec {
                    $(config::$name::$word => Self::$word,)*
                }
            }
        }

        impl From<$name> for config::$name {
            fn from(codec: $name) -> Self {
                match codec {
                    $($name::$word => Self::$word,)*
                }
            }
        }
    };
}

same_words!(Compression: None Gzip Zstd Snappy HadoopSnappy Zip);
same_words!(ParquetCompression: None Snappy Gzip Zstd Lz4);
