//! A folder as destination: written aside, made durable, linked into place, made durable again.
//!
//! A group of objects shares its syncs. Few objects are fsynced one by one; for many, one
//! `syncfs` makes all their bytes durable, they are linked, and one more makes the names durable.

#![expect(
    clippy::disallowed_methods,
    reason = "the folder is a store of its own, not the state of a stream"
)]

mod beneath;
mod durable;
mod key;
mod list;
mod settings;
mod staging;

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use self::durable::Durability;
use self::key::PathKeys;
use self::staging::Temporary;
use super::{Conditional, Keeper, Publication, PublishError, Publisher, Whose};
use crate::failpoint;
use crate::shard::Pending;

pub(super) use self::settings::FolderKind;
pub use self::settings::FolderSettings;

/// Where objects are kept that are being written.
const STAGING_DIR: &str = ".firehose-tmp";
/// Objects in one call of [`Folder::publish`].
const GROUP_MAX: usize = 1024;
/// Calls at the same time: one writes while another waits for the disk.
const IN_FLIGHT_MAX: usize = 2;

/// A directory of the local file system. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Folder(Arc<OpenFolder>);

/// What all clones of a [`Folder`] share.
#[derive(Debug)]
struct OpenFolder {
    root: PathBuf,
    keys: PathKeys,
    temporaries: PathBuf,
    durability: Durability,
}

/// An object on its way.
struct Staged {
    /// Where it belongs.
    target: PathBuf,
    /// What to link there; `None` when the target holds the object already.
    temporary: Option<Temporary>,
}

impl Folder {
    /// Opens the folder, created where it is missing.
    pub(super) async fn open(path: PathBuf) -> Result<Self, PublishError> {
        blocking(move || {
            let named = |error| refused(&format!("creating the folder {}", path.display()), &error);
            std::fs::create_dir_all(&path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => is_a_file(&path),
                _ => named(error),
            })?;
            let root = path.canonicalize().map_err(named)?;
            staging::open(&root.join(STAGING_DIR))?;
            let durability = Durability::open(&root).map_err(named)?;
            Ok(Self(Arc::new(OpenFolder {
                temporaries: root.join(STAGING_DIR),
                keys: PathKeys::below(&root),
                root,
                durability,
            })))
        })
        .await
    }

    /// Opens the folder if objects were published to it before.
    pub(super) async fn reopen(path: PathBuf) -> Result<Self, PublishError> {
        if path.join(STAGING_DIR).is_dir() {
            return Self::open(path).await;
        }
        Err(PublishError::Permanent {
            cause: format!("{} has no {STAGING_DIR}", path.display()),
            advice: "it is not there, or not the folder that objects were published to".into(),
        })
    }

    /// See [`Publisher::holds`].
    pub(super) async fn holds(&self, object: &Publication) -> Result<bool, PublishError> {
        let (inner, object) = (Arc::clone(&self.0), object.clone());
        blocking(move || {
            let key = inner.keys.check(&object.key)?;
            let target = inner.root.join(key);
            match std::fs::symlink_metadata(&target) {
                // Below a file there is nothing.
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(false),
                _ => beneath::is_without_links(&inner.root, key)?,
            }
            holds(&target, &object)
        })
        .await
    }

    /// Calls of fsync and syncfs so far.
    #[cfg(test)]
    pub(super) fn syncs(&self) -> u64 {
        self.0.durability.syncs()
    }

    /// See [`Publisher::publish`].
    pub(super) async fn publish(&self, group: &[Publication]) -> Vec<Result<(), PublishError>> {
        let (inner, owned) = (Arc::clone(&self.0), group.to_vec());
        match blocking(move || Ok(inner.publish(&owned))).await {
            Ok(results) => results,
            Err(error) => group.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// See [`Keeper::claim`].
    pub(super) async fn claim(&self, key: &str, body: &[u8]) -> Result<bool, PublishError> {
        let (inner, key, body) = (Arc::clone(&self.0), key.to_owned(), body.to_vec());
        blocking(move || inner.claim(&key, &body)).await
    }

    /// See [`Publisher::recover`].
    pub(super) async fn recover(&self, named: &HashSet<Uuid>) -> Result<(), PublishError> {
        let (inner, named) = (Arc::clone(&self.0), named.clone());
        blocking(move || {
            staging::open(&inner.temporaries)?;
            staging::clear(&inner.temporaries, &named)
                .map_err(|error| refused("clearing temporary files", &error))
        })
        .await
    }
}

impl Publisher for Folder {
    fn describe(&self) -> String {
        format!("folder {}", self.0.root.display())
    }

    fn group_max(&self) -> usize {
        GROUP_MAX
    }

    fn in_flight_max(&self) -> usize {
        IN_FLIGHT_MAX
    }

    fn publish<'a>(
        &'a self,
        group: &'a [Publication],
    ) -> Pending<'a, Vec<Result<(), PublishError>>> {
        Box::pin(self.publish(group))
    }

    fn holds<'a>(&'a self, object: &'a Publication) -> Pending<'a, Result<bool, PublishError>> {
        Box::pin(self.holds(object))
    }

    fn recover<'a>(&'a self, named: &'a HashSet<Uuid>) -> Pending<'a, Result<(), PublishError>> {
        Box::pin(self.recover(named))
    }
}

impl Keeper for Folder {
    fn claim<'a>(
        &'a self,
        key: &'a str,
        body: &'a [u8],
    ) -> Pending<'a, Result<bool, PublishError>> {
        Box::pin(self.claim(key, body))
    }

    /// A link replaces nothing.
    fn probe<'a>(&'a self, _key: &'a str) -> Pending<'a, Result<Conditional, PublishError>> {
        Box::pin(std::future::ready(Ok(Conditional::Yes)))
    }
}

impl OpenFolder {
    /// Publishes a group: bytes, one sync, names, one sync.
    fn publish(&self, group: &[Publication]) -> Vec<Result<(), PublishError>> {
        let pass = match self.durability.begin() {
            Ok(pass) => pass,
            Err(error) => {
                let error = refused("opening the destination folder", &error);
                return group.iter().map(|_| Err(error.clone())).collect();
            }
        };
        let many = pass.is_many(group.len());
        let mut staged: Vec<_> = group.iter().map(|one| self.stage(one, many)).collect();
        if many && let Err(error) = pass.sync_all() {
            let error = refused("making objects durable", &error);
            fail_all(&mut staged, &error);
        }
        for (entry, publication) in staged.iter_mut().zip(group) {
            advance(entry, |staged| self.link(staged, publication));
        }
        let parents = staged
            .iter()
            .flatten()
            .filter_map(|staged| staged.target.parent());
        if let Err(error) = pass.sync_names(parents) {
            let error = refused("making folders durable", &error);
            fail_all(&mut staged, &error);
        }
        staged.into_iter().map(|entry| entry.map(drop)).collect()
    }

    /// Writes an object aside, unless the key holds it already; durably, unless a sync of the
    /// whole group follows.
    fn stage(&self, publication: &Publication, group_sync: bool) -> Result<Staged, PublishError> {
        let key = self.keys.check(&publication.key)?;
        let target = self.root.join(key);
        beneath::is_without_links(&self.root, key)?;
        let temporary = self.temporary(publication.object_id)?;
        let (temporary, file) = if holds(&target, publication)? {
            // Its temporary file goes now: a process that died after the link has left it.
            drop(temporary);
            (
                None,
                File::open(&target).map_err(|error| at(&target, &error))?,
            )
        } else {
            failpoint::hit("publish-before-put");
            let file = temporary.write(publication)?;
            failpoint::hit("publish-after-put");
            (Some(temporary), file)
        };
        if !group_sync {
            self.durability
                .sync_file(&file)
                .map_err(|error| at(&target, &error))?;
        }
        Ok(Staged { target, temporary })
    }

    /// Gives a durable file its name, unless the name holds the same bytes already.
    fn link(&self, staged: &mut Staged, publication: &Publication) -> Result<(), PublishError> {
        let Some(temporary) = staged.temporary.take() else {
            return Ok(());
        };
        let target = &staged.target;
        match self.durability.link(temporary.path(), target) {
            Ok(()) => {
                failpoint::hit("publish-after-link");
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                holds(target, publication)?;
                self.durability
                    .sync_path(target)
                    .map_err(|error| at(target, &error))
            }
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {
                Err(at(
                    target,
                    &io::Error::new(io::ErrorKind::Unsupported, error),
                ))
            }
            Err(error) => Err(at(target, &error)),
        }
    }

    /// Creates a marker durably if its name is free.
    fn claim(&self, key: &str, body: &[u8]) -> Result<bool, PublishError> {
        beneath::is_without_links(&self.root, Path::new(key))?;
        let target = self.root.join(self.keys.check(key)?);
        let failed = |error: io::Error| at(&target, &error);
        let pass = self.durability.begin().map_err(failed)?;
        let temporary = self.temporary(Uuid::new_v4())?;
        let file = temporary.write_marker(body).map_err(failed)?;
        self.durability.sync_file(&file).map_err(failed)?;
        match self.durability.link(temporary.path(), &target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if std::fs::read(&target).map_err(failed)? != body {
                    return Ok(false);
                }
                self.durability.sync_path(&target).map_err(failed)?;
            }
            result => result.map_err(failed)?,
        }
        pass.sync_names(target.parent().into_iter())
            .map_err(failed)?;
        Ok(true)
    }

    /// The temporary file of an object.
    fn temporary(&self, object_id: Uuid) -> Result<Temporary, PublishError> {
        Temporary::take(&self.temporaries, object_id).ok_or_else(|| {
            PublishError::Transient(format!(
                "an earlier attempt still writes object {object_id}"
            ))
        })
    }
}

/// Takes an object that is still fine one step further.
fn advance(
    entry: &mut Result<Staged, PublishError>,
    step: impl FnOnce(&mut Staged) -> Result<(), PublishError>,
) {
    if let Ok(staged) = entry
        && let Err(error) = step(staged)
    {
        *entry = Err(error);
    }
}

/// Fails every object that is still fine.
fn fail_all(staged: &mut [Result<Staged, PublishError>], error: &PublishError) {
    for entry in staged {
        advance(entry, |_| Err(error.clone()));
    }
}

/// Whether the target holds the object; something else there is foreign.
fn holds(target: &Path, publication: &Publication) -> Result<bool, PublishError> {
    match staging::matches(target, publication).map_err(|error| at(target, &error))? {
        Some(true) => Ok(true),
        None => Ok(false),
        // A file has no id: a reader that rewrites one of ours leaves nothing that would tell it from another.
        Some(false) => Err(PublishError::Foreign {
            whose: Whose::Unknown,
            cause: format!(
                "{} holds something other than this object",
                target.display()
            ),
            advice: Whose::Unknown.advice(),
        }),
    }
}

/// What stands under the folder's own name is none.
fn is_a_file(path: &Path) -> PublishError {
    PublishError::Permanent {
        cause: format!("{} is a file", path.display()),
        advice: "name a folder as the destination's `path`, or move the file away".into(),
    }
}

/// A file error at a target.
fn at(target: &Path, error: &io::Error) -> PublishError {
    refused(&format!("publishing {}", target.display()), error)
}

/// What a file error means for publishing.
fn refused(what: &str, error: &io::Error) -> PublishError {
    use io::ErrorKind as Kind;
    let cause = format!("{what}: {error}");
    let advice = match error.kind() {
        Kind::PermissionDenied => "let firehose write to the destination's `path`",
        Kind::ReadOnlyFilesystem => "the destination's `path` is on a read-only file system",
        Kind::NotADirectory | Kind::IsADirectory => {
            "a file and a folder of the destination want the same name; change the prefix"
        }
        Kind::InvalidFilename => "the file system takes no name this long; shorten the prefix",
        Kind::CrossesDevices => {
            "a part of the destination is another mount; `path` must be one file system"
        }
        Kind::Unsupported => "the file system of `path` must support hard links",
        _ => return PublishError::Transient(cause),
    };
    PublishError::Permanent {
        cause,
        advice: advice.into(),
    }
}

/// Runs file work off the async threads. Work once begun is finished even when nobody waits.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, PublishError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(PublishError::Transient(format!("file work ended: {error}"))))
}

#[cfg(test)]
mod tests;
