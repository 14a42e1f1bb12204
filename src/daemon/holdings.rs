//! What the directories under `state_dir` hold, told without changing them.

#![expect(
    clippy::disallowed_methods,
    reason = "which streams have left something behind is seen in `state_dir`"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::checkpoint::aside::{self, Aside, UnreadableFile};
use crate::checkpoint::{CheckpointStore, MIRROR, NamedUpload, STORE, SealedObject};
use crate::clock::Clock;
use crate::config::{Config, StreamSettings, display_size};
use crate::disk::{Disk, HostDisk};
use crate::pipeline::{Observation, QUARANTINE_DIR, Status};
use crate::position::MissingRange;
use crate::registry;
use crate::shard::{ShardId, ShardState, SourceName};
use crate::source::{Known, LocalBacklog, SourceEntry};
use crate::spool::UNFINISHED;

/// What stands in the name of a directory that was set aside, before the time.
pub(crate) const SET_ASIDE: &str = ".discarded-";

/// What the state of one stream holds.
#[derive(Debug)]
pub(crate) struct Holdings {
    pub(crate) incarnation: Uuid,
    pub(crate) epoch: u32,
    /// The source's name; `None`: it has none, or was never reached.
    pub(crate) source: Option<SourceName>,
    /// How far each shard has been applied.
    pub(crate) shards: BTreeMap<ShardId, ShardState>,
    /// Open batches.
    pub(crate) open: usize,
    /// Sealed objects that wait to be published.
    pub(crate) waiting: usize,
    /// Records in open batches and waiting objects, copies in the backup too.
    pub(crate) records: u64,
    /// Their bytes, before encoding.
    pub(crate) bytes: u64,
    /// Buckets and folders that they wait for.
    pub(crate) stores: BTreeSet<String>,
    /// Multipart uploads that were begun for them.
    pub(crate) uploads: Vec<NamedUpload>,
    /// The kind of source that it is of, where anything tells.
    pub(crate) kind: Option<&'static dyn SourceEntry>,
    /// What the source keeps there itself.
    pub(crate) local: LocalBacklog,
    /// What is wrong with one copy of the checkpoint store.
    pub(crate) damaged: Vec<String>,
    /// When the oldest record arrived that is in a batch or object, in ms.
    oldest_ms: Option<i64>,
    /// Bytes of batches and objects in the spool.
    spool_bytes: u64,
    /// Ranges of records that are lost in the source.
    pub(crate) missing: Vec<MissingRange>,
    /// What lies beside the state.
    pub(crate) beside: Beside,
}

/// What was accepted, is not delivered, and will not be unless a person does something: no checkpoint names it.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// Objects that were moved aside.
    pub(crate) objects: Vec<Result<Aside, UnreadableFile>>,
    /// Damaged blocks of records that were set aside.
    pub(crate) blocks: usize,
}

impl Beside {
    /// What a stream's directory has beside a state that lists `sealed`.
    fn of(disk: &dyn Disk, sealed: &[SealedObject]) -> io::Result<Self> {
        let blocks = match disk.list(Path::new(QUARANTINE_DIR)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            blocks => {
                let blocks = blocks?;
                blocks.iter().filter(|name| *name != UNFINISHED).count()
            }
        };
        let objects = aside::list(disk, sealed)?;
        Ok(Self { objects, blocks })
    }

    /// The same where the state cannot be read.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        Ok(Self::of(&HostDisk::private(dir)?, &[])?)
    }

    /// In words; `None`: there is nothing.
    pub(crate) fn told(&self) -> Option<String> {
        let known = self.objects.iter().flatten();
        let records: u64 = known.map(|aside| aside.object.records).sum();
        let objects = match self.objects.len() {
            0 => None,
            count => Some(format!(
                "{count} objects that were moved aside ({records} records)"
            )),
        };
        let blocks = match self.blocks {
            0 => None,
            count => Some(format!("{count} damaged blocks of records")),
        };
        let told: Vec<String> = [objects, blocks].into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join(" and "))
    }
}

impl Holdings {
    /// Looks into a stream's directory. `enough` records that the source keeps here end the search there.
    pub(crate) fn read(dir: &Path, enough: u64) -> anyhow::Result<Self> {
        let disk: Arc<dyn Disk> = Arc::new(HostDisk::private(dir)?);
        let stream = dir.file_name().unwrap_or_default().to_string_lossy();
        Self::of(&disk, &stream, enough)
    }

    /// The same of the directory that a disk is opened on.
    fn of(disk: &Arc<dyn Disk>, stream: &str, enough: u64) -> anyhow::Result<Self> {
        let found = CheckpointStore::peek(&**disk, Path::new(STORE))?;
        let known = Known {
            incarnation: found.incarnation,
            epoch: found.epoch,
            source: found.source.clone(),
            shards: found.shards.clone(),
        };
        let (mut kind, mut local) = (
            found.source.as_ref().and_then(registry::source_kind_of),
            LocalBacklog::default(),
        );
        if found.source.is_none() {
            for (of, its) in registry::local_records() {
                let held = its.peek(disk, stream, &known, enough);
                let held = held.map_err(anyhow::Error::from_boxed)?;
                if held.disk_bytes > 0 {
                    (kind, local) = (Some(of), held);
                }
            }
        }
        let uploads = found.uploads();
        let open = found.open.iter().map(|batch| (batch.records, batch.bytes));
        let sealed = found
            .sealed
            .iter()
            .map(|object| (object.records, object.bytes));
        let (records, bytes) = open
            .chain(sealed)
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let arrivals = found.open.iter().map(|batch| batch.arrival_ms);
        let arrivals = arrivals.chain(found.sealed.iter().map(|object| object.arrival_ms));
        let missing = found.missing.iter();
        let beside = Beside::of(&**disk, &found.sealed)?;
        let spool_bytes = found.extents().map(|extent| u64::from(extent.len)).sum();
        let targets = found.open.iter().map(|batch| &batch.target);
        let targets = targets.chain(found.sealed.iter().map(|object| &object.target));
        Ok(Self {
            incarnation: found.incarnation,
            epoch: found.epoch,
            source: found.source,
            shards: found.shards,
            oldest_ms: arrivals.min(),
            spool_bytes,
            missing: missing
                .map(|&(first, last)| MissingRange { first, last })
                .collect(),
            open: found.open.len(),
            waiting: found.sealed.len(),
            records,
            bytes,
            stores: targets.map(|target| target.store.clone()).collect(),
            uploads,
            kind,
            local,
            damaged: found.damaged,
            beside,
        })
    }

    /// The same, as far as it tells whether anything is left; `None`: no stream has begun there.
    pub(crate) fn read_if_any(dir: &Path) -> anyhow::Result<Option<Self>> {
        if !has_state(dir)? {
            return Ok(None);
        }
        Self::read(dir, 1).map(Some)
    }

    /// Whether everything that was accepted has been delivered.
    pub(crate) const fn is_delivered(&self) -> bool {
        self.open == 0 && self.waiting == 0 && self.local.records == 0
    }

    /// Whether it says how far a named stream was read: without it that begins anew.
    pub(crate) fn has_position(&self) -> bool {
        let is_read = |state: &ShardState| state.position.is_some() || state.ended;
        self.source.is_some() && self.shards.values().any(is_read)
    }

    /// Whether nothing is lost when the state is set aside for another one.
    pub(crate) fn may_be_set_aside(&self) -> bool {
        self.is_delivered() && !self.has_position()
    }

    /// Why a stream with these settings cannot go on with this state, as a sentence's end.
    pub(crate) fn misfit(&self, settings: &StreamSettings) -> Option<String> {
        let name = &settings.name;
        if settings.source.is_shared() {
            return Some(format!("{name} is shared by several machines"));
        }
        let own = settings.source.kind();
        let (of, is_own) = match (&self.source, self.kind) {
            (None, None) => return None,
            (None, Some(kind)) => (
                format!("records taken by {}", kind.noun()),
                kind.word() == own.word(),
            ),
            (Some(name), Some(kind)) => (
                format!("the {} {}", kind.noun(), name.arn),
                kind.word() == own.word(),
            ),
            (Some(name), None) => (format!("another source, {}", name.arn), false),
        };
        if !is_own {
            let does = settings.source.does();
            return Some(format!("it is of {of}, and {name} {does}"));
        }
        let other = settings.source.other_than(self.source.as_ref()?)?;
        Some(format!("it is of {of}, and {name} reads {other}"))
    }

    /// What is not delivered, in words.
    pub(crate) fn undelivered(&self) -> String {
        let beside = self.beside.told();
        if self.is_delivered() {
            let but = beside.map(|beside| format!(" but {beside}"));
            return "nothing undelivered".to_owned() + &but.unwrap_or_default();
        }
        let beside = beside.map_or_else(String::new, |beside| format!("; beside that {beside}"));
        let stores: Vec<&str> = self.stores.iter().map(String::as_str).collect();
        let stores = match &*stores {
            [] => String::new(),
            stores => format!(", for {}", stores.join(" and ")),
        };
        format!(
            "{} records ({}) in {} open batches and {} waiting objects, {} records ({}) in the \
             journal{stores}{beside}",
            self.records,
            size(self.bytes),
            self.open,
            self.waiting,
            self.local.records,
            size(self.local.bytes),
        )
    }
}

/// Shows what a stream holds that does not run. Blocks on the disk.
pub(super) fn show(disk: &Arc<dyn Disk>, stream: &str, status: &Status, clock: &Clock) {
    if !is_absent(&**disk) {
        let held = Holdings::of(disk, stream, 1).ok();
        status.observe(observation(held.as_ref(), clock));
    }
}

/// What a status shows of state that nobody works with. What cannot be read may hold anything, and counts
/// as waiting from now on.
pub(super) fn observation(held: Option<&Holdings>, clock: &Clock) -> Observation {
    let Some(held) = held else {
        return Observation {
            waits_since: Some(clock.moment()),
            ..Observation::default()
        };
    };
    let oldest = [held.oldest_ms, held.local.oldest_ms];
    let oldest_ms = oldest.into_iter().flatten().min();
    Observation {
        open_partitions: held.open as u64,
        waiting: held.waiting as u64,
        journal_bytes: held.local.disk_bytes,
        spool_bytes: held.spool_bytes,
        waits_since: oldest_ms.map(|ms| clock.moment_of(ms)),
        watermark: None,
    }
}

/// Whether no stream has begun there.
fn is_absent(disk: &dyn Disk) -> bool {
    let has = |dir: &str, wanted: &dyn Fn(&String) -> bool| {
        let files = disk.list(Path::new(dir));
        files.is_ok_and(|files| files.iter().any(wanted))
    };
    !has("", &|file| file == STORE || file == MIRROR)
        && !registry::local_records().any(|(_, local)| has(local.dir(), &|_| true))
}

/// Bytes in words, to the whole KiB from there on.
fn size(bytes: u64) -> String {
    display_size(if bytes < 1024 {
        bytes
    } else {
        bytes >> 10 << 10
    })
}

/// The names of all directories of streams under `state_dir`, in order; those that were set aside
/// left out.
pub(crate) fn streams(config: &Config) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(&config.state_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let ours = config.streams.contains_key(&name) || !name.contains(SET_ASIDE);
        if ours && entry.path().is_dir() && has_state(&entry.path())? {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a directory holds the state of a stream, or a part of it.
pub(crate) fn has_state(dir: &Path) -> io::Result<bool> {
    let locals = registry::local_records().map(|(_, local)| local.dir());
    for name in [STORE, MIRROR].into_iter().chain(locals) {
        if dir.join(name).try_exists()? {
            return Ok(true);
        }
    }
    Ok(false)
}
