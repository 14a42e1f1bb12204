//! How columns come of records: what the config says of columns that are learned, and the version that comes after
//! another. It asks nobody, and who knows the same comes to the same.

use crate::config::{FormatSettings, UnknownFields};
use crate::format::{Columns, Format, FormatFault, Widening};
use crate::schema::{SchemaChange, SchemaVersion};

/// What the config says of the columns of data.
#[derive(Clone)]
pub(in crate::pipeline) struct Learner {
    /// The format.
    pub(super) settings: FormatSettings,
    /// Columns that are known whatever records show.
    pub(super) said: Columns,
}

/// Columns, and the version that says them.
pub(super) type Learned = (Columns, SchemaVersion);

impl Learner {
    /// Reads what the format says of columns.
    pub(in crate::pipeline) fn of(settings: &FormatSettings) -> Result<Self, FormatFault> {
        let said = settings.columns().map(Columns::known_of).transpose()?;
        Ok(Self {
            settings: settings.clone(),
            said: said.unwrap_or_default(),
        })
    }

    /// What records show, as far as the format can name it, with the types that the config knows.
    pub(super) fn shown(&self, seen: Columns, in_force: Option<&Columns>) -> Columns {
        let named = seen.with_names(&|name| self.settings.takes_name(name));
        let columns = self.settings.columns();
        let named = match columns.map(|columns| &columns.rules.unknown) {
            // The name is that of the column of what no other takes.
            Some(UnknownFields::Keep(unknown)) => {
                named.only(|name| !name.eq_ignore_ascii_case(unknown))
            }
            _ => named,
        };
        named.with_known(&self.said, in_force)
    }

    /// The first columns. The error says why there are none.
    pub(super) fn first(&self, seen: Columns, now_ms: i64) -> Result<Learned, String> {
        let columns = self.said.clone().with_shown(&self.shown(seen, None));
        if columns.is_empty() {
            let why = "No column could be learned: no record has a field with a value and a name that a column can have.";
            return Err(why.to_owned());
        }
        let version = version(1, now_ms, &columns, Vec::new());
        Ok((columns, version))
    }

    /// Columns that take what records have, after those of version `number`. `None`: they take it already.
    pub(super) fn wider(
        &self,
        (columns, number): (&Columns, u32),
        seen: Columns,
        now_ms: i64,
    ) -> Option<Learned> {
        let (columns, changes) = columns.widened(&self.shown(seen, Some(columns)))?;
        let version = version(number + 1, now_ms, &columns, changes);
        Some((columns, version))
    }

    /// The version that comes after `before` and takes what records have; the first, where there is none before. `None`:
    /// that one takes it, as far as any ever will. The error says why no column comes of these records.
    pub(in crate::pipeline) fn next(
        &self,
        before: Option<&SchemaVersion>,
        seen: &Columns,
        now_ms: i64,
    ) -> Result<Option<SchemaVersion>, String> {
        let Some(before) = before else {
            let (_, version) = self.first(seen.clone(), now_ms)?;
            let fault = self.compile(&version).err();
            return match fault {
                Some(fault) => Err(format!("No column could be learned: {fault}")),
                None => Ok(Some(version)),
            };
        };
        let columns = Columns::parse(&before.columns).map_err(|fault| fault.to_string())?;
        let wider = self.wider((&columns, before.version), seen.clone(), now_ms);
        // What the format cannot have is left out, and its records keep to the columns that there are.
        let wider = wider.filter(|(_, version)| self.compile(version).is_ok());
        Ok(wider.map(|(_, version)| version))
    }

    /// Whether the format can have these columns.
    fn compile(&self, version: &SchemaVersion) -> Result<(), FormatFault> {
        let settings = self.settings.of_columns(&version.columns);
        Format::compile(&settings).map(drop)
    }
}

fn version(number: u32, at_ms: i64, columns: &Columns, changes: Vec<Widening>) -> SchemaVersion {
    SchemaVersion {
        version: number,
        at_ms,
        columns: columns.to_config(),
        changes: changes.into_iter().map(row).collect(),
        table: None,
    }
}

/// A change of columns, as it is kept.
pub(super) fn row(Widening { path, from, to }: Widening) -> SchemaChange {
    SchemaChange { path, from, to }
}
