//! The formats of one stream: those that its batches name, and that of new ones, whose columns may be learned, or a table's.

mod learner;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use crate::config::{ColumnSettings, FormatSettings, Sample};
use crate::error::StreamError;
use crate::format::{self, Columns, Familiar, Format, FormatFault, Inference};
use crate::schema::{SchemaVersion, TableVersion};
use learner::Learned;
pub(super) use learner::{Learner, row};

/// What a stream's batches may name. Versions of columns that the config does not say are added while it runs, by the
/// pipeline alone.
pub(super) struct Formats {
    /// What the config says of data, and of columns that are learned.
    learner: Learner,
    extension: &'static str,
    known: RwLock<KnownFormats>,
    /// What tells records of learned columns that have nothing new, and of which format. Whoever uses it takes it out.
    familiar: Mutex<Option<(u64, Familiar)>>,
}

struct KnownFormats {
    /// By their hash, with their durable forms.
    compiled: HashMap<u64, (String, Format)>,
    /// That of new data. While its columns are not known yet it is the hash of the settings, which no batch names.
    data: u64,
    /// The columns in force, where the config does not say them.
    learned: Option<Columns>,
    /// The versions that they have had, oldest first.
    history: Vec<SchemaVersion>,
    /// Hashes that these had, but for those that are in `compiled` no more.
    adopted: Vec<u64>,
    /// What no checkpoint has taken in yet.
    unsaved: Unsaved,
}

/// What is new since the last checkpoint.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// Durable forms by hash.
    pub formats: Vec<(u64, String)>,
    /// Versions of columns, oldest first.
    pub versions: Vec<SchemaVersion>,
}

impl Formats {
    /// Compiles those that batches name, by their durable forms, and that of new data: with the newest of
    /// the versions where its columns are learned.
    pub(super) fn compile(
        settings: &FormatSettings,
        named: BTreeMap<u64, String>,
        mut history: Vec<SchemaVersion>,
    ) -> Result<Self, StreamError> {
        let mut compiled = HashMap::new();
        for (hash, form) in named {
            let settings = format::of_row(&form).ok_or_else(|| unknown(&form))?;
            let format = Format::compile(&settings).map_err(|fault| to_be_mended(&fault))?;
            compiled.insert(hash, (form, format));
        }
        if !settings.come_later() {
            // What was learned before is no matter of a stream that declares its columns.
            history.clear();
        }
        // Columns of another table are none of this one's.
        let is_ours = |version: &mut SchemaVersion| match settings.table() {
            Some(table) => version.is_of_table(&table.identity()),
            None => true,
        };
        let newest = history.pop_if(is_ours);
        let stand_in = Format::compile(settings).map_err(|fault| to_be_mended(&fault))?;
        let formats = Self {
            learner: Learner::of(settings).map_err(|fault| to_be_mended(&fault))?,
            extension: stand_in.extension(),
            known: RwLock::new(KnownFormats {
                compiled,
                data: settings.hash(),
                learned: None,
                history,
                adopted: Vec::new(),
                unsaved: Unsaved::default(),
            }),
            familiar: Mutex::default(),
        };
        match newest {
            Some(version) => {
                let columns = Columns::parse(&version.columns);
                let columns = columns.map_err(|fault| to_be_mended(&fault))?;
                let adopted = formats.adopt(columns, version);
                adopted.map_err(|fault| to_be_mended(&fault))?;
                // The state has it, and gets the form with all others.
                formats.take_unsaved();
            }
            None if settings.come_later() => {}
            None => {
                formats.add(settings)?;
            }
        }
        Ok(formats)
    }

    /// Adds a format that batches may name from now on; its hash.
    pub(super) fn add(&self, settings: &FormatSettings) -> Result<u64, StreamError> {
        self.insert(settings).map_err(|fault| to_be_mended(&fault))
    }

    fn insert(&self, settings: &FormatSettings) -> Result<u64, FormatFault> {
        let (hash, form) = (settings.hash(), settings.row());
        let format = Format::compile(settings)?;
        self.change(|known| known.compiled.insert(hash, (form, format)));
        Ok(hash)
    }

    /// The ending of names of data objects: it does not hang on the columns.
    pub(super) const fn extension(&self) -> &'static str {
        self.extension
    }

    /// A format by its hash. The checkpoint store keeps every format that a batch names, so one
    /// that is missing is a fault of ours.
    pub(super) fn get(&self, hash: u64) -> Option<Format> {
        let known = self.known();
        known.compiled.get(&hash).map(|(_, format)| format.clone())
    }

    /// The hash of that of new data.
    pub(super) fn data(&self) -> u64 {
        self.known().data
    }

    /// The durable forms of all formats by hash, for the checkpoint store.
    pub(super) fn rows(&self) -> Vec<(u64, String)> {
        let known = self.known();
        let rows = known.compiled.iter();
        rows.map(|(hash, (form, _))| (*hash, form.clone()))
            .collect()
    }

    /// The columns of new data, and how records become rows of them. `None`: there are none, or none yet.
    pub(super) fn columns(&self) -> Option<ColumnSettings> {
        let columns = self.learner.settings.columns()?;
        if !columns.come_later() {
            return Some(columns.clone());
        }
        let known = self.known();
        let learned = known.learned.as_ref()?;
        Some(columns.with_learned(&learned.to_config()))
    }

    /// What the columns are learned from, where they are.
    pub(super) fn sample(&self) -> Option<Sample> {
        self.learner.settings.sample()
    }

    /// The versions that columns have had which the config does not say, oldest first: the last one is in force.
    pub(super) fn history(&self) -> Vec<SchemaVersion> {
        self.known().history.clone()
    }

    /// What records have that the columns do not take yet; of a stream that is still learning, all that they have.
    pub(super) fn not_in_columns<'r>(
        &self,
        records: impl Iterator<Item = &'r [u8]> + Clone,
    ) -> Option<Inference> {
        self.sample()?;
        if self.are_familiar(records.clone()) {
            return None;
        }
        let mut seen = Inference::by(&self.learner.settings.columns()?.rules.names);
        for record in records {
            // What is no JSON object fails when it is encoded, and says nothing of columns.
            let _ = seen.observe(record);
        }
        match &self.known().learned {
            None => Some(seen),
            Some(columns) => {
                let wider = self.learner.shown(seen.columns(), Some(columns));
                columns.widened(&wider).is_some().then_some(seen)
            }
        }
    }

    /// Whether none of the records has anything that the columns do not take, told at a glance.
    fn are_familiar<'r>(&self, mut records: impl Iterator<Item = &'r [u8]>) -> bool {
        let cached = || self.familiar.lock().unwrap_or_else(PoisonError::into_inner);
        let data = self.known().data;
        let taken = cached().take().filter(|(of, _)| *of == data);
        let Some((data, mut familiar)) = taken.or_else(|| self.familiar_now()) else {
            return false;
        };
        let are_familiar = records
            .all(|record| familiar.knows(record, &|name| self.learner.settings.takes_name(name)));
        *cached() = Some((data, familiar));
        are_familiar
    }

    /// What tells records that have nothing which the columns in force lack, and the hash of their format.
    fn familiar_now(&self) -> Option<(u64, Familiar)> {
        let known = self.known();
        let names = &self.learner.settings.columns()?.rules.names;
        let familiar = Familiar::with(known.learned.as_ref()?, &self.learner.said, names);
        Some((known.data, familiar))
    }

    /// The first columns. They are in force for all that is opened from now on. The error says why there are none.
    pub(super) fn learn(&self, seen: Columns, now_ms: i64) -> Result<SchemaVersion, String> {
        let (columns, version) = self.learner.first(seen, now_ms)?;
        self.adopt(columns, version.clone())
            .map_err(|fault| format!("No column could be learned: {fault}"))?;
        Ok(version)
    }

    /// Makes the columns take what records have. `None`: they do already, or the format takes no such columns.
    pub(super) fn widen(&self, seen: Columns, now_ms: i64) -> Option<SchemaVersion> {
        let (columns, version) = self.wider(seen, now_ms)?;
        self.adopt(columns, version.clone()).ok()?;
        Some(version)
    }

    /// Whether there are no columns yet that take what records have.
    pub(super) fn lack(&self, seen: &Inference) -> bool {
        !self.have_columns() || self.wider(seen.columns(), 0).is_some()
    }

    fn wider(&self, seen: Columns, now_ms: i64) -> Option<Learned> {
        let known = self.known();
        let number = known.history.last().map_or(0, |newest| newest.version);
        let columns = known.learned.as_ref()?;
        self.learner.wider((columns, number), seen, now_ms)
    }

    /// Takes versions that others have agreed on, oldest first. The newest is in force from now on; `None`: it is already.
    pub(super) fn adopt_agreed(
        &self,
        versions: Vec<SchemaVersion>,
    ) -> Result<Option<SchemaVersion>, FormatFault> {
        let Some(newest) = versions.last().cloned() else {
            return Ok(None);
        };
        let known = self.known().history.last().map(|known| known.version);
        if known.is_some_and(|known| known >= newest.version) {
            return Ok(None);
        }
        self.adopt(Columns::parse(&newest.columns)?, newest.clone())?;
        self.change(|known| known.history = versions);
        // They are kept already, by those who have agreed.
        self.take_unsaved();
        Ok(Some(newest))
    }

    /// Whether columns from before are compiled still.
    pub(super) fn has_earlier(&self) -> bool {
        self.known().adopted.len() > 1
    }

    /// Drops columns from before which neither `named` names nor new data has: no batch is opened with them any more.
    pub(super) fn forget_earlier(&self, named: &HashSet<u64>) {
        self.change(|known| {
            let KnownFormats {
                compiled,
                data,
                adopted,
                ..
            } = known;
            adopted.retain(|hash| {
                let is_kept = hash == data || named.contains(hash);
                if !is_kept {
                    compiled.remove(hash);
                }
                is_kept
            });
        });
    }

    /// How columns come of records.
    pub(super) const fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Takes the columns of the table, but for that of what no other takes where it is the last. `None`: they are in force
    /// already. The error says why they cannot be had, and those before them stay in force.
    pub(super) fn give(
        &self,
        columns: Columns,
        table: TableVersion,
        now_ms: i64,
    ) -> Result<Option<SchemaVersion>, FormatFault> {
        let columns = self.learner.of_table(columns)?;
        let (number, changes) = {
            let known = self.known();
            let before = known.learned.as_ref();
            let newest = known.history.last();
            let is_ours = newest.is_some_and(|newest| newest.is_of_table(&table.name));
            if is_ours && before == Some(&columns) {
                return Ok(None);
            }
            let changes = before.map_or_else(Vec::new, |before| before.changes_to(&columns));
            (newest.map_or(1, |newest| newest.version + 1), changes)
        };
        let version = SchemaVersion {
            version: number,
            at_ms: now_ms,
            columns: columns.to_config(),
            changes: changes.into_iter().map(row).collect(),
            table: Some(table),
        };
        self.adopt(columns, version.clone())?;
        Ok(Some(version))
    }

    /// Whether there are columns for data, where the config does not say them.
    pub(super) fn have_columns(&self) -> bool {
        self.known().learned.is_some()
    }

    /// Columns that the config has rules for, and that there are not.
    pub(super) fn strange_rules(&self) -> Vec<String> {
        let known = self.known();
        let rules = self
            .learner
            .settings
            .columns()
            .map(|columns| &columns.rules);
        let Some((rules, columns)) = rules.zip(known.learned.as_ref()) else {
            return Vec::new();
        };
        let named = rules.misfits.columns.keys();
        let named = named.chain(rules.names.json_keys.keys());
        let is_there = |name: &str| {
            columns
                .names()
                .any(|column| column.eq_ignore_ascii_case(name))
        };
        let strange = named.filter(|name| !is_there(name));
        let strange: BTreeSet<&String> = strange.collect();
        strange.into_iter().cloned().collect()
    }

    /// What the next checkpoint has to take in: no batch of it names a format that the store does not have.
    pub(super) fn take_unsaved(&self) -> Unsaved {
        self.change(|known| std::mem::take(&mut known.unsaved))
    }

    /// Whether there are columns that no checkpoint has taken in.
    pub(super) fn is_unsaved(&self) -> bool {
        !self.known().unsaved.versions.is_empty()
    }

    /// Columns that the config knows and that were learned as something else before it said so.
    pub(super) fn otherwise_learned(&self) -> Vec<String> {
        let known = self.known();
        let changes = known.learned.as_ref().map(|learned| {
            let said = learned.clone().with_known(&self.learner.said, None);
            learned.changes_to(&said)
        });
        let paths = changes.into_iter().flatten().map(|change| change.path);
        paths.collect()
    }

    fn adopt(&self, columns: Columns, version: SchemaVersion) -> Result<(), FormatFault> {
        let settings = self.learner.settings.with_learned(&version.columns);
        let settings = settings.ok_or_else(|| FormatFault {
            at: None,
            message: "the format has no columns".to_owned(),
            help: None,
        })?;
        let hash = self.insert(&settings)?;
        self.change(|known| {
            known.data = hash;
            if !known.adopted.contains(&hash) {
                known.adopted.push(hash);
            }
            known.unsaved.formats.push((hash, settings.row()));
            known.unsaved.versions.push(version.clone());
            known.learned = Some(columns);
            if known.history.len() >= SchemaVersion::KEPT as usize {
                known.history.remove(0);
            }
            known.history.push(version);
        });
        Ok(())
    }

    fn known(&self) -> RwLockReadGuard<'_, KnownFormats> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut KnownFormats) -> T) -> T {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut known)
    }
}

/// The state is damaged, or of a version to come.
fn unknown(form: &str) -> StreamError {
    StreamError::LoudStop {
        cause: format!("the state names a format that this version does not know: {form}"),
        advice: "start the version of firehose that has written the state".to_owned(),
    }
}

pub(super) fn to_be_mended(cause: &dyn fmt::Display) -> StreamError {
    StreamError::LoudStop {
        cause: cause.to_string(),
        advice: "mend the stream's settings".to_owned(),
    }
}

#[cfg(test)]
mod tests;
