//! Objects that a person has moved out of a stream's state: `discarded/<object id>/` has the bytes of one, and a
//! file beside it says what is known of it.
//!
//! An object is in the state or moved aside, and the state alone decides: the file says `moving` before the
//! transaction that takes the object out or puts it back, and [`settle`] gives it the name that is true after it.
//! Every opening of the state settles before anything is published; so no name is believed that a kill has left.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::SealedObject;
use crate::disk::{Disk, OpenMode};

/// Where objects are moved to, below a stream's directory.
const ASIDE: &str = "discarded";
/// How the name of a file ends that tells of an object: it is moved aside; it is being moved, one way or the
/// other; it is in the state again.
const TOLD: &str = "json";
const MOVING: &str = "moving";
const PUT_BACK: &str = "put-back";
/// A file that is not written whole yet.
const FRESH: &str = "fresh";
/// The longest name of a file on Linux file systems, in bytes.
const NAME_MAX: usize = 255;

/// An object that is moved aside, or is to be.
#[derive(Debug, Serialize, Deserialize)]
pub struct Aside {
    /// The name of the file that has its bytes.
    file: String,
    /// Its row.
    pub object: SealedObject,
}

/// A file of which nothing can be learnt.
#[derive(Debug)]
pub struct UnreadableFile {
    /// Its path below the stream's directory.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl Aside {
    /// An object of which the bytes will be in a file that is named as the object is, if a file can be.
    pub fn of(object: &SealedObject) -> Self {
        let name = object.target.key.rsplit('/').next().unwrap_or_default();
        let is_name = (1..=NAME_MAX).contains(&name.len())
            && !matches!(name, "." | "..")
            && !name.contains('\0');
        Self {
            file: if is_name { name } else { "object" }.to_owned(),
            object: object.clone(),
        }
    }

    /// The folder of its bytes, below the stream's directory.
    pub fn folder(&self) -> PathBuf {
        folder_of(self.object.id)
    }

    /// The file with its bytes, below the stream's directory.
    pub fn path(&self) -> PathBuf {
        self.folder().join(&self.file)
    }

    /// Notes durably that the object is about to leave the state. Its bytes are durable already.
    pub fn begin_leaving(&self, disk: &dyn Disk) -> io::Result<()> {
        let told = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let fresh = told_of(self.object.id, FRESH);
        let file = disk.open(&fresh, OpenMode::OrCreate)?;
        file.set_len(0)?;
        file.write_all_at(&told, 0)?;
        file.sync_data()?;
        disk.rename(&fresh, &told_of(self.object.id, MOVING))?;
        disk.sync_dir(Path::new(ASIDE))
    }

    /// Notes durably that the object is about to come back into the state.
    pub fn begin_return(&self, disk: &dyn Disk) -> io::Result<()> {
        let (told, moving) = (
            told_of(self.object.id, TOLD),
            told_of(self.object.id, MOVING),
        );
        disk.rename(&told, &moving)?;
        disk.sync_dir(Path::new(ASIDE))
    }
}

/// Gives each file the name that is true, durably, by what the state holds, and removes what is left of objects that
/// are in it again: nobody may change the state meanwhile.
pub fn settle<'a>(
    disk: &dyn Disk,
    sealed: impl IntoIterator<Item = &'a SealedObject>,
) -> io::Result<()> {
    let names = names(disk)?;
    if names.is_empty() {
        return Ok(());
    }
    let sealed: HashSet<Uuid> = sealed.into_iter().map(|object| object.id).collect();
    let (mut aside, mut back) = (HashSet::new(), HashSet::new());
    let mut has_changed = false;
    for (id, now) in names {
        let is_back = now == PUT_BACK || sealed.contains(&id);
        let then = if is_back { PUT_BACK } else { TOLD };
        if now != then {
            disk.rename(&told_of(id, now), &told_of(id, then))?;
            has_changed = true;
        }
        let place = if is_back { &mut back } else { &mut aside };
        place.insert(id);
    }
    if has_changed {
        disk.sync_dir(Path::new(ASIDE))?;
    }
    remove(disk, &back, &aside)
}

/// Removes what is left of objects that have come back, durably: the spool has their bytes, or had them until they
/// were published. One that was moved aside again since keeps its own.
fn remove(disk: &dyn Disk, back: &HashSet<Uuid>, aside: &HashSet<Uuid>) -> io::Result<()> {
    if back.is_empty() {
        return Ok(());
    }
    for id in back.difference(aside) {
        disk.remove_dir_all(&folder_of(*id))?;
    }
    // Whoever finds one of these names looks for the bytes.
    disk.sync_dir(Path::new(ASIDE))?;
    for id in back {
        disk.remove(&told_of(*id, PUT_BACK))?;
    }
    disk.sync_dir(Path::new(ASIDE))
}

/// The objects that are moved aside, in no order, told without changing anything: none that `sealed` has.
pub fn list(
    disk: &dyn Disk,
    sealed: &[SealedObject],
) -> io::Result<Vec<Result<Aside, UnreadableFile>>> {
    let sealed: HashSet<Uuid> = sealed.iter().map(|object| object.id).collect();
    let names = names(disk)?.into_iter();
    let aside = names.filter(|(id, now)| *now != PUT_BACK && !sealed.contains(id));
    let read = aside.map(|(id, now)| {
        let path = told_of(id, now);
        let read = read_whole(disk, &path);
        let aside = read.and_then(|told| serde_json::from_slice(&told).map_err(io::Error::other));
        aside.map_err(|error| UnreadableFile { path, error })
    });
    Ok(read.collect())
}

/// The files that tell of an object, each by how its name ends.
fn names(disk: &dyn Disk) -> io::Result<Vec<(Uuid, &'static str)>> {
    let names = match disk.list(Path::new(ASIDE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let told = names.iter().filter_map(|name| {
        let (id, extension) = name.rsplit_once('.')?;
        let known = [TOLD, MOVING, PUT_BACK];
        let known = known.into_iter().find(|known| *known == extension)?;
        Some((Uuid::try_parse(id).ok()?, known))
    });
    Ok(told.collect())
}

/// The folder of an object's bytes.
fn folder_of(id: Uuid) -> PathBuf {
    Path::new(ASIDE).join(id.to_string())
}

/// The file that tells of an object.
fn told_of(id: Uuid, extension: &str) -> PathBuf {
    Path::new(ASIDE)
        .join(id.to_string())
        .with_extension(extension)
}

fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Existing)?;
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
