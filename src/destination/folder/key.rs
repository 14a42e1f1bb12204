//! Keys as paths below a folder.

use std::path::Path;

use crate::destination::{Keys, PublishError};

/// The key as a relative path that stays below the folder and names exactly one file.
pub(super) fn check(keys: Keys, key: &str) -> Result<&Path, PublishError> {
    match keys.hold(key) {
        Ok(()) => Ok(Path::new(key)),
        Err(fault) => Err(PublishError::Permanent {
            cause: format!("the key {key:?} is no file name below a folder: {fault}"),
            advice: "change the prefix; an object that has its key already is moved aside by `firehose state \
                     discard STREAM --object KEY`"
                .into(),
        }),
    }
}
