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
