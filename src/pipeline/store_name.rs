//! What a store is called in checkpoints: it tells one bucket or folder from another.

use std::path::{Path, PathBuf};

use crate::checkpoint::Recovered;
use crate::config::StoreSettings;

/// What the name of a folder begins with.
const FOLDER: &str = "folder:";

/// The store's name in checkpoints. A folder's path is whole in it, however the config and its folder
/// are named.
pub fn store_name(store: &StoreSettings) -> String {
    match store {
        StoreSettings::Folder { path } => format!("{FOLDER}{}", whole(path).display()),
        StoreSettings::S3(s3) => format!("s3://{}", s3.bucket),
    }
}

/// Names in a state from before paths were whole begin at the working directory, as they did then:
/// those that mean `store` get its name now.
pub(super) fn rename(recovered: &mut Recovered, store: &str) {
    let Some(now) = store.strip_prefix(FOLDER) else {
        return;
    };
    let open = recovered.open.iter_mut().map(|batch| &mut batch.target);
    let sealed = recovered.sealed.iter_mut();
    let sealed = sealed.map(|object| &mut object.target);
    for target in open.chain(sealed) {
        let path = target.store.strip_prefix(FOLDER);
        if path.is_some_and(|path| whole(Path::new(path)) == Path::new(now)) {
            store.clone_into(&mut target.store);
        }
    }
}

/// A relative path from the root on, without parts that mean nothing; another one as it is.
fn whole(path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    here.join(path).components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::S3Settings;

    fn folder(path: &Path) -> String {
        store_name(&StoreSettings::Folder {
            path: path.to_owned(),
        })
    }

    #[test]
    fn a_folder_has_one_name_however_it_is_written() {
        let here = std::env::current_dir().unwrap();
        let name = format!("folder:{}", here.join("a/b").display());
        for path in ["a/b", "./a/b", "a/./b/", "a//b"] {
            assert_eq!(folder(Path::new(path)), name, "{path}");
        }
        assert_eq!(folder(&here.join("a/b")), name);
        assert_eq!(folder(Path::new("/x/y/")), "folder:/x/y/");
        let s3 = S3Settings {
            bucket: "lake".into(),
            ..S3Settings::default()
        };
        assert_eq!(store_name(&StoreSettings::S3(Box::new(s3))), "s3://lake");
    }
}
