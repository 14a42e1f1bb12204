//! A disk in memory that, at a crash, forgets and tears what was not synced.
//!
//! - Every write not yet synced is kept, dropped or torn, sector by sector (512 bytes), in any
//!   order between sectors; a sector holds what it held before some later write.
//! - Creations, renames and removals not yet followed by [`Disk::sync_dir`] may be undone, each
//!   for itself. Syncing a file does not make its name durable.
//! - After a failed sync the writes before it stay readable, but which of them are durable is
//!   settled there and then, and no later sync changes it (as Linux behaves).
//!
//! The same seeds and the same calls give the same bytes.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, OpenMode};
use file::{CrashFate, FileContent};

/// A kind of call, for faults and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskOperation {
    /// [`DiskFile::write_all_at`]: a failing one may have written a part.
    Write,
    /// [`DiskFile::sync_data`].
    Sync,
    /// [`DiskFile::set_len`].
    SetLen,
    /// [`DiskFile::read_exact_at`].
    Read,
    /// [`Disk::open`] where it creates a file.
    Create,
    /// [`Disk::rename`].
    Rename,
    /// [`Disk::remove`].
    Remove,
    /// [`Disk::sync_dir`].
    SyncDir,
}

/// A disk in memory; clones are handles to the same disk.
#[derive(Clone, Debug)]
pub struct TornDisk(Arc<Mutex<DiskState>>);

#[derive(Debug)]
struct DiskState {
    files: BTreeMap<u64, FileContent>,
    next_file: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names not yet synced, in order.
    unsynced_names: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    capacity: u64,
    random: fastrand::Rng,
    counts: BTreeMap<DiskOperation, u64>,
    /// Operation, at which of its counts, and the error.
    faults: Vec<(DiskOperation, u64, io::ErrorKind)>,
    /// Changing calls that are still carried out.
    power: u64,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl NameChange {
    fn path(&self) -> &Path {
        match self {
            Self::Create(path, _) | Self::Rename(path, _) | Self::Remove(path) => path,
        }
    }

    /// Carries the change out where it still makes sense.
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Create(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

impl TornDisk {
    /// An empty disk; `seed` settles what failing calls leave behind.
    pub fn new(seed: u64) -> Self {
        Self::from_parts(
            BTreeMap::new(),
            BTreeMap::new(),
            BTreeSet::from([PathBuf::new()]),
            seed,
        )
    }

    fn from_parts(
        files: BTreeMap<u64, FileContent>,
        names: BTreeMap<PathBuf, u64>,
        dirs: BTreeSet<PathBuf>,
        seed: u64,
    ) -> Self {
        Self(Arc::new(Mutex::new(DiskState {
            next_file: files.keys().next_back().map_or(0, |last| last + 1),
            files,
            durable_names: names.clone(),
            names,
            unsynced_names: Vec::new(),
            dirs,
            capacity: u64::MAX,
            random: fastrand::Rng::with_seed(seed),
            counts: BTreeMap::new(),
            faults: Vec::new(),
            power: u64::MAX,
        })))
    }

    /// The disk as the next start finds it after the power goes now. This one goes on by itself:
    /// what a dead process's threads still write to it is seen by nobody.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let state = self.lock();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut names = state.durable_names.clone();
        let fate = CrashFate::draw(&mut random, state.unsynced_names.len());
        for (index, change) in state.unsynced_names.iter().enumerate() {
            if fate.keeps(index, &mut random) {
                change.apply(&mut names);
            }
        }
        let files = state
            .files
            .iter()
            .filter(|(file, _)| names.values().any(|name| name == *file));
        let files = files
            .map(|(file, content)| (*file, content.crashed(&mut random)))
            .collect();
        Self::from_parts(files, names, state.dirs.clone(), random.u64(..))
    }

    /// From now on the `nth` call of that kind (1: the next one) fails, once.
    pub fn fail(&self, operation: DiskOperation, nth: u64, error: io::ErrorKind) {
        let mut state = self.lock();
        let at = state.counts.get(&operation).copied().unwrap_or(0) + nth;
        state.faults.push((operation, at, error));
    }

    /// Forgets the faults that have not come up yet, the bound on the files' lengths, and what is
    /// spoilt.
    pub fn mend(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.files.values_mut().for_each(FileContent::mend);
        state.capacity = u64::MAX;
    }

    /// The power goes after `calls` more calls that change anything: all later calls fail, and
    /// [`TornDisk::crash`] tells what is left. Once off it stays off.
    pub fn power_off_after(&self, calls: u64) {
        let mut state = self.lock();
        if state.power > 0 {
            state.power = calls;
        }
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.lock().power == 0
    }

    /// Bound on the sum of all files' lengths: what goes beyond fails with `StorageFull`.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// How often that operation was called.
    pub fn count(&self, operation: DiskOperation) -> u64 {
        self.lock().counts.get(&operation).copied().unwrap_or(0)
    }

    /// Damages a file at rest, as bit rot does: flips bits of the byte at `offset`, durably.
    pub fn rot(&self, path: &Path, offset: u64, flip: u8) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.find(path)?;
        state.content(file)?.rot(offset, flip);
        Ok(())
    }

    /// Spoils a file's bytes for good: whoever reads any of them fails with `EIO`.
    pub fn spoil(&self, path: &Path, bytes: Range<u64>) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.find(path)?;
        state.content(file)?.spoil(bytes);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskState {
    /// Counts a call and fails it where it shall fail.
    fn enter(&mut self, operation: DiskOperation) -> io::Result<()> {
        if self.power == 0 {
            return Err(io::Error::other("the power is off"));
        }
        if operation != DiskOperation::Read {
            self.power -= 1;
        }
        let count = self.counts.entry(operation).or_insert(0);
        *count += 1;
        let now = (operation, *count);
        match self
            .faults
            .iter()
            .position(|(operation, at, _)| (*operation, *at) == now)
        {
            Some(index) => Err(self.faults.swap_remove(index).2.into()),
            None => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn content(&mut self, file: u64) -> io::Result<&mut FileContent> {
        self.files
            .get_mut(&file)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    /// Bytes that files may still grow by.
    fn room(&self) -> u64 {
        let named = self.names.values().filter_map(|file| self.files.get(file));
        self.capacity
            .saturating_sub(named.map(FileContent::len).sum::<u64>())
    }

    /// Whether a file may grow by this much.
    fn check_room(&self, growth: u64) -> io::Result<()> {
        if growth > self.room() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

impl Disk for TornDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        if state.power == 0 {
            return Err(io::Error::other("the power is off"));
        }
        if !state.dirs.contains(parent(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = match (state.names.get(path).copied(), how) {
            (Some(_), OpenMode::New) => return Err(io::ErrorKind::AlreadyExists.into()),
            (None, OpenMode::Existing) => return Err(io::ErrorKind::NotFound.into()),
            (Some(file), _) => file,
            (None, _) => {
                state.enter(DiskOperation::Create)?;
                let file = state.next_file;
                state.next_file += 1;
                state.files.insert(file, FileContent::default());
                state.change_names(NameChange::Create(path.to_owned(), file));
                file
            }
        };
        Ok(Arc::new(TornFile {
            disk: self.clone(),
            file,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.dirs.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let paths = state.names.keys().filter(|path| parent(path) == dir);
        let names = paths.filter_map(|path| path.file_name());
        Ok(names
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if parent(from) != parent(to) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        state.find(from)?;
        state.enter(DiskOperation::Rename)?;
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.find(path)?;
        state.enter(DiskOperation::Remove)?;
        state.change_names(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let names = self.lock().names.keys().cloned().collect::<Vec<_>>();
        let mut within = names.iter().filter(|name| name.starts_with(dir));
        within.try_for_each(|name| self.remove(name))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.enter(DiskOperation::SyncDir)?;
        let changes = std::mem::take(&mut state.unsynced_names);
        for change in changes {
            if parent(change.path()) == dir {
                change.apply(&mut state.durable_names);
            } else {
                state.unsynced_names.push(change);
            }
        }
        Ok(())
    }

    fn room(&self) -> io::Result<u64> {
        Ok(self.lock().room())
    }
}

/// An open file of a [`TornDisk`].
#[derive(Debug)]
struct TornFile {
    disk: TornDisk,
    file: u64,
}

impl DiskFile for TornFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.enter(DiskOperation::Read)?;
        state.content(self.file)?.read(buffer, offset)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let len = state.content(self.file)?.len();
        let growth = (offset + data.len() as u64).saturating_sub(len);
        let allowed = state
            .enter(DiskOperation::Write)
            .and_then(|()| state.check_room(growth));
        let written = match &allowed {
            Ok(()) => data.len(),
            // A failing write may have got some way, but not beyond the room there is.
            Err(_) if state.power > 0 && growth == 0 => state.random.usize(..=data.len()),
            Err(_) => 0,
        };
        state.content(self.file)?.write(&data[..written], offset);
        allowed
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let synced = state.enter(DiskOperation::Sync);
        let mut random = fastrand::Rng::with_seed(state.random.u64(..));
        let off = state.power == 0;
        let content = state.content(self.file)?;
        match &synced {
            Ok(()) => content.sync(),
            Err(_) if !off => content.fail_sync(&mut random),
            Err(_) => {}
        }
        synced
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.enter(DiskOperation::SetLen)?;
        let growth = len.saturating_sub(state.content(self.file)?.len());
        state.check_room(growth)?;
        state.content(self.file)?.set_len(len);
        Ok(())
    }

    /// Files have no holes here.
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().content(self.file)?.len())
    }

    fn neighbours(&self) -> io::Result<Vec<Arc<dyn DiskFile>>> {
        let state = self.disk.lock();
        let others = state.names.values().filter(|file| **file != self.file);
        let open = |file: &u64| {
            let (disk, file) = (self.disk.clone(), *file);
            Arc::new(Self { disk, file }) as Arc<dyn DiskFile>
        };
        Ok(others.map(open).collect())
    }
}

#[cfg(test)]
mod tests;
