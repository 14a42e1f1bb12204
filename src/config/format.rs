//! What the config knows of formats: the reader of a format's table asks the format that its `type` names for the rest,
//! and what was read tells what others ask of a format before it is compiled. No format is known here by name: they
//! stand in the [`Registry`](super::Registry) that the reader is given.

use std::any::Any;
use std::fmt::{self, Debug};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use super::bounded::read_bounded;
use super::columns::glue::GlueTable;
use super::columns::{ColumnSettings, Sample, read};
use super::diagnostic::{Diagnostic, SourceFile, SourceSpan};
use super::path::path;
use super::spans::{SpanMap, StageField};
use super::table::Table;
use super::text::{Text, TextOrigin};

/// The keys of which one says what the columns are.
const SCHEMAS: [&str; 3] = ["schema", "schema_file", "glue_table"];

/// Bytes of a schema file.
const SCHEMA_MAX: u64 = 1 << 20;

/// A kind of format, as a config names it.
pub trait FormatKind: Sync {
    /// The word of it as `type` of a format's table.
    fn word(&self) -> &'static str;

    /// The keys that [`FormatKind::read`] asks for: in the table of a format without them they are told to be this one's.
    /// Those of [`FormatTable::columns`] are not among them: every kind with a [`FormatKind::schema`] has them.
    fn keys(&self) -> &'static [&'static str];

    /// Words of Firehose's that this kind has others for: each as it is written there, and what stands for it here, as the end
    /// of a sentence that it begins. Whoever writes one is told.
    fn translations(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Whether every record is in the objects, whatever its bytes: none can fail. A format of which one can is none for
    /// backups, which hold all that has come.
    fn carries_all(&self) -> bool;

    /// What people call the schema that records have to fit, where there is one. It shows only when objects are made
    /// whether they do.
    fn schema(&self) -> Option<&'static str> {
        None
    }

    /// Whether records are taken for JSON texts, though all else is carried, too: the table may say with `not_json` that
    /// all else fails.
    fn expects_json(&self) -> bool {
        false
    }

    /// Reads the format's keys of its table. `None`: they have a fault, which is reported.
    fn read(&self, table: &mut FormatTable<'_, '_>) -> Option<FormatSettings>;

    /// The settings whose durable form ([`FormatSpec::row`]) this is. `None`: it is another format's.
    fn of_row(&self, row: &str) -> Option<FormatSettings>;
}

/// What the declaration of a table says of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The class that makes columns of a row, where what follows does not say it, and what it is told.
    pub serde: Option<(&'static str, Parameters)>,
    /// `STORED AS …`.
    pub stored: &'static str,
    /// Properties of the table.
    pub properties: Parameters,
    /// What a person should know before using the table.
    pub remark: Option<&'static str>,
    /// As what its readers find the columns.
    pub reading: Reading,
}

/// Names and values.
pub type Parameters = Vec<(&'static str, String)>;

/// As what readers find the columns of a format's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// By their names, each with its type.
    ByName,
    /// By their names in a schema that the table has beside its columns, with the types that there are in it.
    BySchema,
    /// By their places, as texts.
    ByPlace,
}

/// By which classes of Hive, which Athena has too, a table's objects are read: what a catalog keeps of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageClasses {
    /// What Glue calls the format.
    pub classification: &'static str,
    /// What cuts objects into rows.
    pub input_format: &'static str,
    /// What would write them.
    pub output_format: &'static str,
    /// What makes columns of a row.
    pub serde: &'static str,
    /// What that is told.
    pub serde_parameters: Parameters,
    /// Parameters of the table.
    pub parameters: Parameters,
    /// As what its readers find the columns.
    pub reading: Reading,
}

/// What the settings of a format tell of it.
pub trait FormatSpec: Any + Debug + Send + Sync {
    /// The word of its kind.
    fn word(&self) -> &'static str;

    /// The word of its compression, for people; `none` where there is none.
    fn compression(&self) -> &'static str {
        "none"
    }

    /// The durable form, a JSON text: checkpoints keep it while a batch names it, so that batches that were opened under
    /// old settings end under them. It may never change for settings that stay the same: its sum is their name
    /// ([`FormatSettings::hash`]). What is added to the settings later is left out where it says what was so before it.
    fn row(&self) -> String;

    /// The declared columns, where there are any.
    fn columns(&self) -> Option<&ColumnSettings> {
        None
    }

    /// Whether every record is read as JSON to its end when it is encoded, and fails where it is none.
    fn reads_json(&self) -> bool {
        self.columns().is_some()
    }

    /// Whether it matters that a record that is several JSON texts becomes as many records.
    fn separates(&self) -> bool {
        self.columns().is_some()
    }

    /// The same settings with these columns. `None`: the format has none.
    fn with_columns(&self, _columns: ColumnSettings) -> Option<FormatSettings> {
        None
    }

    /// Whether a column or a field may have the name.
    fn takes_name(&self, _name: &str) -> bool {
        true
    }

    /// What the statement by which Hive and Athena declare a table says of its objects. The error says why there is none.
    fn storage(&self) -> Result<Storage, String> {
        Err(format!(
            "no table can be declared over {} objects",
            self.word()
        ))
    }

    /// The classes by which a table's objects are read, for a catalog in which the table is made. The error says why it
    /// is not to be made so.
    fn classes(&self) -> Result<StorageClasses, String> {
        Err(format!("no table is made for {} objects", self.word()))
    }

    /// `CompressionFormat` of `DescribeDeliveryStream`: Firehose's word, or one in the style of those.
    fn compression_format(&self) -> &'static str {
        "UNCOMPRESSED"
    }

    /// `Serializer` of the `DataFormatConversionConfiguration` in `DescribeDeliveryStream`, where records are converted.
    fn serializer(&self) -> Option<serde_json::Value> {
        None
    }
}

/// The settings of a format: what the objects look like inside. Cheap to clone.
#[derive(Clone)]
pub struct FormatSettings {
    spec: Arc<dyn FormatSpec>,
    is_same: fn(&dyn Any, &dyn Any) -> bool,
}

impl FormatSettings {
    /// Those of a format.
    pub fn new<T: FormatSpec + PartialEq>(spec: T) -> Self {
        Self {
            spec: Arc::new(spec),
            is_same: is_same::<T>,
        }
    }

    /// Stands for a format that could not be read, which is reported: nothing runs with it.
    pub(super) fn unread() -> Self {
        Self::new(NoFormat)
    }

    /// The settings as the format's own type.
    pub fn get<T: FormatSpec>(&self) -> Option<&T> {
        let spec: &dyn Any = &*self.spec;
        spec.downcast_ref()
    }

    /// What the columns are to be learned from, where they are.
    pub fn sample(&self) -> Option<Sample> {
        self.columns().and_then(|columns| columns.sample)
    }

    /// The table whose columns they are, where they are one's.
    pub fn table(&self) -> Option<&GlueTable> {
        self.columns().and_then(|columns| columns.table.as_ref())
    }

    /// Whether what the columns are is not known from the config: they are learned, or a table's.
    pub fn come_later(&self) -> bool {
        self.columns().is_some_and(ColumnSettings::come_later)
    }

    /// The same with columns that were learned or read, in Hive's syntax. `None`: the format has no columns.
    pub fn with_learned(&self, columns: &str) -> Option<Self> {
        self.with_columns(self.columns()?.with_learned(columns))
    }

    /// The same with these columns, in Hive's syntax, where the format has any.
    #[must_use]
    pub fn of_columns(&self, columns: &str) -> Self {
        self.with_learned(columns).unwrap_or_else(|| self.clone())
    }

    /// The number by which batches name them: the CRC-64/NVME of the durable form.
    pub fn hash(&self) -> u64 {
        crc_fast::crc64_nvme(self.spec.row().as_bytes())
    }
}

fn is_same<T: PartialEq + 'static>(one: &dyn Any, other: &dyn Any) -> bool {
    let one = one.downcast_ref::<T>();
    one.is_some() && one == other.downcast_ref::<T>()
}

impl<T: FormatSpec + PartialEq> From<T> for FormatSettings {
    fn from(spec: T) -> Self {
        Self::new(spec)
    }
}

impl Deref for FormatSettings {
    type Target = dyn FormatSpec;

    fn deref(&self) -> &Self::Target {
        &*self.spec
    }
}

impl PartialEq for FormatSettings {
    fn eq(&self, other: &Self) -> bool {
        (self.is_same)(&*self.spec, &*other.spec)
    }
}

impl Eq for FormatSettings {}

impl Debug for FormatSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(formatter)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct NoFormat;

impl FormatSpec for NoFormat {
    fn word(&self) -> &'static str {
        "unread"
    }

    fn row(&self) -> String {
        String::new()
    }
}

/// The keys of a kind's table: its own, and those of columns, where it has any.
pub fn keys(kind: &dyn FormatKind) -> impl Iterator<Item = &'static &'static str> {
    let of_columns = kind.schema().map(|_| read::KEYS).unwrap_or_default();
    kind.keys().iter().chain(of_columns)
}

/// A format's table, for the format that reads its keys there: a [`Table`] that knows where files are.
pub struct FormatTable<'t, 'f> {
    pub(super) table: &'t mut Table<'f>,
    pub(super) base: &'t Path,
    pub(super) stream: &'t str,
    pub(super) spans: &'t mut SpanMap,
}

impl Debug for FormatTable<'_, '_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.table.here())
    }
}

impl<'f> Deref for FormatTable<'_, 'f> {
    type Target = Table<'f>;

    fn deref(&self) -> &Table<'f> {
        self.table
    }
}

impl<'f> DerefMut for FormatTable<'_, 'f> {
    fn deref_mut(&mut self) -> &mut Table<'f> {
        self.table
    }
}

impl FormatTable<'_, '_> {
    /// A string, and its place.
    pub fn text(&mut self, key: &'static str) -> Option<(String, SourceSpan)> {
        let Text { value, origin } = self.table.string(key)?;
        Some((value, origin.place(None)))
    }

    /// `schema`, or the text of `schema_file`; `None` where it is neither, but `glue_table`. It is exactly one of them.
    pub(super) fn schema(&mut self) -> Option<String> {
        let Self {
            table,
            base,
            stream,
            spans,
        } = self;
        let given: Vec<&str> = SCHEMAS.into_iter().filter(|key| table.has(key)).collect();
        let inline = spans.keep(stream, StageField::Schema, table, "schema");
        let file_place = table.place_of("schema_file");
        let named = path(table, "schema_file");
        match *given {
            [] => {
                let help = "write the columns in Hive syntax, such as \
                            schema = \"event_id string, ts timestamp\", or name a schema_file or a glue_table";
                table.missing("schema", help);
                return None;
            }
            [_] => {}
            [one, other, ..] => {
                let message = format!("`{one}` and `{other}` exclude each other");
                let fault = Diagnostic::fault(table.place_of(other), message);
                table.file.report(fault.help("remove one of them"));
                return None;
            }
        }
        let Some(named) = named else {
            return inline;
        };
        let file = base.join(&named).display().to_string();
        match read_bounded(&base.join(&named), SCHEMA_MAX) {
            Ok(text) => {
                let source = Arc::new(SourceFile {
                    path: file,
                    text: text.clone(),
                });
                spans.keep_origin(stream, StageField::Schema, TextOrigin::file(source));
                Some(text)
            }
            Err(cause) => {
                let message = format!("{file} cannot be read: {cause}");
                let help = "a relative path starts at the folder of the config file";
                table
                    .file
                    .report(Diagnostic::fault(file_place, message).help(help));
                None
            }
        }
    }
}
