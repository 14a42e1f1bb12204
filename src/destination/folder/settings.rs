//! The keys of a folder in the config, and what they tell of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Folder;
use super::key::PathKeys;
use crate::config::{Keys, OneMachine, StoreKind, StoreSettings, StoreSpec, StoreTable};
use crate::destination::listing::{ListError, Take};
use crate::destination::{Destination, PublishError, Store};
use crate::shard::Pending;

/// What the name of a folder in checkpoints begins with.
const NAME: &str = "folder:";

/// A directory of the local file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderSettings {
    /// The directory; created where missing.
    pub path: PathBuf,
}

impl From<FolderSettings> for StoreSettings {
    fn from(settings: FolderSettings) -> Self {
        Self::new(settings)
    }
}

/// `type = "folder"`.
#[derive(Debug)]
pub(in crate::destination) struct FolderKind;

impl StoreKind for FolderKind {
    fn word(&self) -> &'static str {
        "folder"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["path"]
    }

    fn read(&self, table: &mut StoreTable<'_, '_>) -> Option<StoreSettings> {
        let help = "name the directory that objects go to: path = \"data/out\"";
        table.require("path", help);
        let path = table.path("path")?;
        Some(FolderSettings { path }.into())
    }

    fn named(
        &self,
        name: &str,
        _like: Option<&StoreSettings>,
    ) -> Option<Result<StoreSettings, String>> {
        let path = name.strip_prefix(NAME)?.into();
        Some(Ok(FolderSettings { path }.into()))
    }
}

impl Store for FolderKind {
    fn connect<'a>(
        &'a self,
        settings: &'a StoreSettings,
    ) -> Option<Pending<'a, Result<Destination, PublishError>>> {
        let path = settings.get::<FolderSettings>()?.path.clone();
        Some(Box::pin(async {
            Folder::open(path).await.map(Destination::new)
        }))
    }

    fn reopen<'a>(
        &'a self,
        settings: &'a StoreSettings,
    ) -> Option<Pending<'a, Result<Destination, PublishError>>> {
        let path = settings.get::<FolderSettings>()?.path.clone();
        Some(Box::pin(async {
            Folder::reopen(path).await.map(Destination::new)
        }))
    }

    fn list<'a>(
        &'a self,
        settings: &'a StoreSettings,
        head: &'a str,
        take: &'a mut Take<'_>,
    ) -> Option<Pending<'a, Result<(), ListError>>> {
        let FolderSettings { path } = settings.get()?;
        Some(Box::pin(async move { Folder::list(path, head, take) }))
    }
}

impl StoreSpec for FolderSettings {
    /// A folder's path is whole in it, however the config and its folder are named.
    fn name(&self) -> String {
        format!("{NAME}{}", whole(&self.path).display())
    }

    /// Names in a state from before paths were whole begin at the working directory, as they did then, and may have parts
    /// that mean nothing.
    fn has_name(&self, name: &str) -> bool {
        let path = name.strip_prefix(NAME);
        path.is_some_and(|path| whole(Path::new(path)) == whole(&self.path))
    }

    fn location(&self, key: &str) -> String {
        self.path.join(key).display().to_string()
    }

    fn keys(&self) -> Arc<dyn Keys> {
        Arc::new(PathKeys::below(&real(&self.path)))
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn of_one_machine(&self) -> Option<OneMachine> {
        Some(OneMachine {
            message: "a folder is of one machine: a stream with `coordination` needs a bucket",
            help: "deliver to a bucket, or remove `coordination` from the source",
        })
    }

    /// No bucket: a name that no store will take for one.
    fn arn(&self) -> String {
        format!("arn:firehose:folder:::{}", self.path.display())
    }
}

/// A path from the root on, without parts that mean nothing.
fn whole(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    here.join(path).components().collect()
}

/// The path of a folder that may not be there yet, without symbolic links as far as it is.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = path.ancestors().find_map(|existing| {
        let real = existing.canonicalize().ok()?;
        Some(real.join(path.strip_prefix(existing).ok()?))
    });
    found.unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_name_however_it_is_written() {
        let folder = |path: &Path| FolderSettings {
            path: path.to_owned(),
        };
        let here = std::env::current_dir().unwrap();
        let name = format!("folder:{}", here.join("a/b").display());
        for path in ["a/b", "./a/b", "a/./b", "a//b"] {
            assert_eq!(folder(Path::new(path)).name(), name, "{path}");
            let former = format!("folder:{path}");
            assert!(folder(&here.join("a/b")).has_name(&former), "{former}");
        }
        assert_eq!(folder(&here.join("a/b")).name(), name);
        for path in ["/x/y", "/x/y/", "/x//y", "/x/./y/"] {
            assert_eq!(folder(Path::new(path)).name(), "folder:/x/y", "{path}");
            assert!(folder(Path::new("/x/y")).has_name(&format!("folder:{path}")));
        }
        assert!(!folder(Path::new("/x/y/")).has_name("s3:///x/y/"));
    }
}
