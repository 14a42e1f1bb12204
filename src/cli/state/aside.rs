//! `state discard NAME --object KEY`: one object that cannot be published leaves the state of a stream. Its
//! bytes are moved aside first, and `state retry` puts them back.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::{CommandError, directory, uploads};
use crate::checkpoint::STORE;
use crate::checkpoint::{Commit, NamedUpload, Recovered, SealedObject, Store};
use crate::clock::Clock;
use crate::config::Config;
use crate::disk::{Disk, HostDisk, Open};
use crate::extent::{self, Extent};
use crate::pipeline::SPOOL_DIR;
use crate::spool::{self, Spool};

/// Where objects are moved to, below a stream's directory: a folder each, by object id, and beside it what
/// is known of the object.
const ASIDE: &str = "discarded";
/// How the name of that file ends; and how it does once the object is back in the state.
const TOLD: &str = "json";
const PUT_BACK: &str = "put-back";
/// The longest name of a file on Linux file systems, in bytes.
const NAME_MAX: usize = 255;
/// Keys that a message names.
const KEYS_MAX: usize = 20;

/// An object that was moved aside.
#[derive(Debug, Serialize, Deserialize)]
struct Aside {
    /// The name of the file that has its bytes.
    file: String,
    object: SealedObject,
}

/// Takes an object out of the state, its bytes moved aside before.
pub(super) fn discard(
    config: &Config,
    stream: &str,
    key: &str,
    yes: bool,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let dir = directory(config, stream)?;
    let disk = HostDisk::new(&dir).context("open the state")?;
    let found = Store::peek(&disk, Path::new(STORE)).context("read the state")?;
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
    if !yes {
        return Err(CommandError::Usage(
            "nothing was done: add --yes to move it aside, undelivered".to_owned(),
        ));
    }
    let (file, wrong) = move_aside(&disk, object)?;
    for wrong in wrong {
        writeln!(out, "its bytes are not what they were: {wrong}")?;
    }
    take_out(&disk, object)?;
    let file = dir.join(file);
    let file = std::path::absolute(&file).unwrap_or(file);
    let retry = config.command(&format!("state retry {stream} --object {key}"));
    writeln!(
        out,
        "its bytes are in {}; `{retry}` puts it back",
        file.display()
    )?;
    let upload = object.upload_id.as_ref().map(|upload_id| NamedUpload {
        store: object.target.store.clone(),
        key: key.to_owned(),
        upload_id: upload_id.clone(),
    });
    let settings = config.streams.get(stream);
    let now = settings.map(|settings| &settings.destination.store);
    uploads::abort(upload.as_slice(), now, out)
}

/// Why an object cannot be moved aside.
fn not_waiting(config: &Config, stream: &str, key: &str, found: &Recovered) -> String {
    if found.open.iter().any(|batch| batch.target.key == key) {
        let drain = config.command(&format!("state drain {stream}"));
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

/// Writes an object's bytes aside, durably. Gives the file, and what is wrong with the bytes.
fn move_aside(disk: &dyn Disk, object: &SealedObject) -> anyhow::Result<(PathBuf, Vec<String>)> {
    let place = Path::new(ASIDE).join(object.id.to_string());
    disk.create_dir_all(&place)
        .with_context(|| format!("create {}", place.display()))?;
    let name = object.target.key.rsplit('/').next().unwrap_or_default();
    let is_name = (1..=NAME_MAX).contains(&name.len());
    let aside = Aside {
        file: if is_name { name } else { "object" }.to_owned(),
        object: object.clone(),
    };
    let path = place.join(&aside.file);
    let wrong = write_aside(disk, &path, object);
    let wrong = wrong.with_context(|| format!("write {}", path.display()))?;
    let told = serde_json::to_vec_pretty(&aside).context("write down what is known")?;
    disk.sync_dir(&place).context("sync the folder")?;
    write_whole(disk, &place.with_extension(TOLD), &told).context("write down what is known")?;
    disk.sync_dir(Path::new(ASIDE)).context("sync the folder")?;
    Ok((path, wrong))
}

fn write_aside(
    disk: &dyn Disk,
    path: &Path,
    object: &SealedObject,
) -> std::io::Result<Vec<String>> {
    let file = disk.open(path, Open::OrCreate)?;
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

fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = disk.open(path, Open::OrCreate)?;
    file.set_len(0)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()
}

/// One transaction, after which no checkpoint lists the object.
fn take_out(disk: &dyn Disk, object: &SealedObject) -> anyhow::Result<()> {
    let now_ms = Clock::system().now_ms();
    let (store, _) = Store::open(disk, Path::new(STORE), now_ms).context("open the state")?;
    let commit = Commit {
        published: vec![object.id],
        ..Commit::default()
    };
    store.commit(&commit).context("take it out of the state")
}

/// Puts an object back into the state that was moved aside, as it was. False: there is none of this key.
pub(super) fn put_back(disk: &Arc<dyn Disk>, key: &str) -> anyhow::Result<bool> {
    let Some((told, aside)) = find(&**disk, key)? else {
        return Ok(false);
    };
    let Aside { file, object } = aside;
    let path = told.with_extension("").join(file);
    let now_ms = Clock::system().now_ms();
    let (store, found) =
        Store::open(&**disk, Path::new(STORE), now_ms).context("open the state")?;
    // It is there where an earlier attempt was broken off behind its transaction.
    if !found.sealed.iter().any(|waiting| waiting.id == object.id) {
        let spool = Spool::open(Arc::clone(disk), Path::new(SPOOL_DIR), found.extents());
        let spool = spool.context("open the spool")?;
        let extents = copy(&**disk, &path, &object.extents, &spool);
        let extents = extents.with_context(|| format!("copy {} to the spool", path.display()))?;
        ensure!(
            extent::sum(&extents) == (object.size, object.crc64),
            "{} is not what the object was: it stays where it is",
            path.display()
        );
        let object = SealedObject {
            extents,
            // It was given up.
            upload_id: None,
            ..object
        };
        let commit = Commit {
            sealed: vec![object],
            ..Commit::default()
        };
        store
            .commit(&commit)
            .context("put it back into the state")?;
    }
    disk.rename(&told, &told.with_extension(PUT_BACK))
        .and_then(|()| disk.sync_dir(Path::new(ASIDE)))
        .context("note that it is put back")?;
    Ok(true)
}

/// Appends a file to the spool, durably, in pieces as the object was: each may be a block of its own.
fn copy(
    disk: &dyn Disk,
    path: &Path,
    was: &[Extent],
    spool: &Spool,
) -> std::io::Result<Vec<Extent>> {
    let file = disk.open(path, Open::Existing)?;
    let (mut at, mut extents) = (0, Vec::new());
    if file.len()? != extent::sum(was).0 {
        return Ok(extents); // which are not the object
    }
    for extent in was {
        let mut piece = vec![0; extent.len as usize];
        file.read_exact_at(&mut piece, at)?;
        extents.extend(spool.append(&[&piece])?);
        at += u64::from(extent.len);
    }
    spool.sync()?;
    Ok(extents)
}

/// An object of this key that was moved aside, and the file that tells of it.
fn find(disk: &dyn Disk, key: &str) -> anyhow::Result<Option<(PathBuf, Aside)>> {
    let names = match disk.list(Path::new(ASIDE)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        names => names.context("look for it")?,
    };
    for name in names {
        let path = Path::new(ASIDE).join(name);
        if path.extension().is_none_or(|extension| extension != TOLD) {
            continue;
        }
        let read = || format!("read {}", path.display());
        let told = read_whole(disk, &path).with_context(read)?;
        let aside: Aside = serde_json::from_slice(&told).with_context(read)?;
        if aside.object.target.key == key {
            return Ok(Some((path, aside)));
        }
    }
    Ok(None)
}

fn read_whole(disk: &dyn Disk, path: &Path) -> std::io::Result<Vec<u8>> {
    let file = disk.open(path, Open::Existing)?;
    let len = usize::try_from(file.len()?).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
