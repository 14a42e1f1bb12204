//! `state discard NAME --object KEY`: one object that cannot be published leaves the state of a stream. Its
//! bytes are moved aside first, and `state retry` puts them back.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use super::stores::{self, ObjectPresence};
use super::{CommandError, directory, uploads};
use crate::checkpoint::aside::{self, Aside, UnreadableFile};
use crate::checkpoint::{CheckpointStore, Commit, NamedUpload, STORE, SealedObject, StoredState};
use crate::clock::Clock;
use crate::config::{Config, StoreSettings};
use crate::disk::{Disk, HostDisk, OpenMode, read_around};
use crate::extent::{self, Extent};
use crate::pipeline::SPOOL_DIR;
use crate::printable::shell_word;
use crate::spool::{self, Spool};

/// Keys that a message names.
const KEYS_MAX: usize = 20;

/// What a person allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consent {
    /// To do it.
    pub(super) yes: bool,
    /// To do it also where the store does not say whether it has the object.
    pub(super) unasked: bool,
}

/// Takes an object out of the state, its bytes moved aside before; one that is published is only recorded.
pub(super) fn discard(
    config: &Config,
    stream: &str,
    key: &str,
    consent: Consent,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let dir = directory(config, stream)?;
    let disk = HostDisk::new(&dir).context("open the state")?;
    let found = CheckpointStore::peek(&disk, Path::new(STORE)).context("read the state")?;
    let Some(object) = found.sealed.iter().find(|object| object.target.key == key) else {
        return Err(CommandError::Usage(not_waiting(
            config, stream, key, &found,
        )));
    };
    let SealedObject { records, size, .. } = object;
    writeln!(
        out,
        "{key} holds {records} records in {size} bytes for {}",
        object.target.store
    )?;
    if !consent.yes {
        return Err(CommandError::Usage(
            "nothing was done: add --yes to move it aside, undelivered".to_owned(),
        ));
    }
    let settings = config.streams.get(stream);
    let now = settings.map_or_else(Vec::new, |settings| settings.destination.stores());
    let mut fate = ask(object, &now, consent)?;
    if let (Some(upload), false) = (NamedUpload::of(object), fate == ObjectPresence::Published) {
        // Before the object leaves the state: until its upload is aborted, somebody may complete it.
        let left = uploads::abort(&[upload], &now, out)?;
        if !left.is_empty() && !consent.unasked {
            return Err(not_decided(uploads::MAY_COMPLETE));
        }
        fate = ask(object, &now, consent)?;
    }
    match fate {
        ObjectPresence::Published => {
            record(&disk, object)?;
            let at = object.target.location();
            writeln!(
                out,
                "{at} is published already: it is recorded, and nothing was moved"
            )?;
            return Ok(());
        }
        ObjectPresence::Doubtful(found) => writeln!(out, "look at what is there: {found}")?,
        ObjectPresence::NotThere | ObjectPresence::Unknown(_) => {}
    }
    let (store, found) = open(&disk)?;
    let (file, wrong) = move_out(&disk, &store, &found, object)?;
    for wrong in wrong {
        writeln!(out, "its bytes are not what they were: {wrong}")?;
    }
    let file = dir.join(file);
    let file = std::path::absolute(&file).unwrap_or(file);
    let retry = format!(
        "state retry {} --object {}",
        shell_word(stream),
        shell_word(key)
    );
    let retry = config.command(&retry);
    writeln!(
        out,
        "its bytes are in {}; `{retry}` puts it back",
        file.display()
    )?;
    Ok(())
}

/// Asks the store of an object for it. Fails where that does not say, and the person has not looked.
fn ask(
    object: &SealedObject,
    now: &[&StoreSettings],
    consent: Consent,
) -> Result<ObjectPresence, CommandError> {
    let fates = stores::ask(std::slice::from_ref(object), now)?;
    match fates.into_iter().next() {
        Some(ObjectPresence::Unknown(why)) if !consent.unasked => Err(not_decided(&why)),
        Some(fate) => Ok(fate),
        None => Ok(ObjectPresence::NotThere),
    }
}

fn not_decided(why: &str) -> CommandError {
    CommandError::Usage(format!(
        "nothing was done: whether it is published already cannot be known ({why}); add --unasked to move \
         it aside all the same"
    ))
}

/// Why an object cannot be moved aside.
fn not_waiting(config: &Config, stream: &str, key: &str, found: &StoredState) -> String {
    if found.open.iter().any(|batch| batch.target.key == key) {
        let drain = config.command(&format!("state drain {}", shell_word(stream)));
        return format!(
            "{key} is of a batch that is still open: it is sealed when the daemon runs, or by `{drain}`"
        );
    }
    let keys = found.sealed.iter().map(|object| &*object.target.key);
    let mut keys: Vec<&str> = keys.take(KEYS_MAX).collect();
    keys.sort_unstable();
    match found.sealed.len() {
        0 => format!("no object of {stream} waits to be published"),
        1..=KEYS_MAX => format!("{key} does not wait; there are: {}", keys.join(", ")),
        count => format!(
            "{key} does not wait; of {count} there are: {}",
            keys.join(", ")
        ),
    }
}

/// Moves an object out of the state: its bytes first. Gives the file that has them, and what is wrong with them.
fn move_out(
    disk: &dyn Disk,
    store: &CheckpointStore,
    found: &StoredState,
    object: &SealedObject,
) -> anyhow::Result<(PathBuf, Vec<String>)> {
    let one = Aside::of(object);
    let (folder, path) = (one.folder(), one.path());
    disk.create_dir_all(&folder)
        .with_context(|| format!("create {}", folder.display()))?;
    let wrong = write_aside(disk, &path, object);
    let wrong = wrong.with_context(|| format!("write {}", path.display()))?;
    disk.sync_dir(&folder).context("sync the folder")?;
    one.begin_leaving(disk)
        .context("write down what is known")?;
    let commit = Commit {
        published: vec![object.id],
        ..Commit::default()
    };
    store.commit(&commit).context("take it out of the state")?;
    let left = found.sealed.iter().filter(|left| left.id != object.id);
    aside::settle(disk, left).context("note that it is moved aside")?;
    Ok((path, wrong))
}

/// Records that an object is published.
fn record(disk: &dyn Disk, object: &SealedObject) -> anyhow::Result<()> {
    let (store, _) = open(disk)?;
    let commit = Commit {
        published: vec![object.id],
        ..Commit::default()
    };
    store
        .commit(&commit)
        .context("record that it is published")?;
    Ok(())
}

/// Opens the state, and settles what was broken off before.
pub(super) fn open(disk: &dyn Disk) -> anyhow::Result<(CheckpointStore, StoredState)> {
    let now_ms = Clock::system().now_ms();
    let (store, found) =
        CheckpointStore::open(disk, Path::new(STORE), now_ms).context("open the state")?;
    aside::settle(disk, &found.sealed).context("look after what was moved aside")?;
    Ok((store, found))
}

fn write_aside(
    disk: &dyn Disk,
    path: &Path,
    object: &SealedObject,
) -> std::io::Result<Vec<String>> {
    let file = disk.open(path, OpenMode::OrCreate)?;
    file.set_len(0)?;
    let (mut at, mut wrong) = (0, Vec::new());
    for extent in &object.extents {
        let (bytes, fault) = spool::salvage(disk, Path::new(SPOOL_DIR), *extent)?;
        file.write_all_at(&bytes, at)?;
        at += bytes.len() as u64;
        wrong.extend(fault);
    }
    file.sync_data()?;
    Ok(wrong)
}

/// Puts an object back into the state that was moved aside, as it was, damaged or not; `None`: there is none of
/// this key. What cannot be read is told, and is no reason to stop.
pub(super) fn put_back(
    disk: &Arc<dyn Disk>,
    key: &str,
    out: &mut dyn Write,
) -> Result<Option<SealedObject>, CommandError> {
    let (store, found) = open(&**disk)?;
    let all = aside::list(&**disk, &found.sealed).context("look for it")?;
    let mut wanted = None;
    for one in all {
        match one {
            Ok(one) if one.object.target.key == key => wanted = Some(one),
            Ok(_) => {}
            Err(UnreadableFile { path, error }) => {
                writeln!(out, "{} cannot be read: {error}", path.display())?;
            }
        }
    }
    match wanted {
        Some(one) => Ok(Some(bring_back(disk, &store, &found, one)?)),
        None => Ok(None),
    }
}

fn bring_back(
    disk: &Arc<dyn Disk>,
    store: &CheckpointStore,
    found: &StoredState,
    one: Aside,
) -> anyhow::Result<SealedObject> {
    let path = one.path();
    let spool = Spool::open(Arc::clone(disk), Path::new(SPOOL_DIR), found.extents());
    let spool = spool.context("open the spool")?;
    let extents = copy(&**disk, &path, &one.object.extents, &spool);
    let extents = extents.with_context(|| format!("copy {} to the spool", path.display()))?;
    one.begin_return(&**disk)
        .context("note that it is being put back")?;
    let object = SealedObject {
        extents,
        // The upload was given up when the object left the state.
        upload_id: None,
        ..one.object
    };
    let commit = Commit {
        sealed: vec![object.clone()],
        ..Commit::default()
    };
    store
        .commit(&commit)
        .context("put it back into the state")?;
    aside::settle(&**disk, found.sealed.iter().chain([&object]))
        .context("note that it is put back")?;
    Ok(object)
}

/// Appends a file to the spool, durably, in pieces as the object was: each may be a block of its own. Each keeps the
/// checksum that it had, so that a flipped bit is put right, and what is damaged more is found and mended as in any
/// object.
fn copy(
    disk: &dyn Disk,
    path: &Path,
    was: &[Extent],
    spool: &Spool,
) -> anyhow::Result<Vec<Extent>> {
    let file = disk.open(path, OpenMode::Existing)?;
    let (found, size) = (file.len()?, extent::sum(was).0);
    ensure!(
        found == size,
        "it is {found} bytes long, and the object was {size}: it stays where it is"
    );
    let (mut at, mut extents) = (0, Vec::new());
    for extent in was {
        let mut piece = vec![0; extent.len as usize];
        read_around(&*file, &mut piece, at)?;
        let appended = spool.append(&[&piece])?.into_iter();
        extents.extend(appended.map(|appended| Extent {
            crc64: extent.crc64,
            ..appended
        }));
        at += u64::from(extent.len);
    }
    spool.sync()?;
    Ok(extents)
}

#[cfg(test)]
mod tests;
