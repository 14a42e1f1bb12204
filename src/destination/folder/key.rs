//! Keys as paths below a folder.

use std::path::Path;

use super::STAGING_DIR;
use crate::destination::PublishError;

/// Longest name of a file or folder on Linux file systems, in bytes.
const COMPONENT_MAX: usize = 255;

/// The key as a relative path that stays below the folder and names exactly one file.
pub(super) fn check(key: &str) -> Result<&Path, PublishError> {
    let wrong = |fault: &str| PublishError::Permanent {
        cause: format!("the key {key:?} is no file name below a folder: {fault}"),
        advice: "change the prefix, or publish to S3, where such keys are allowed".into(),
    };
    if key.contains('\0') {
        return Err(wrong("it holds a NUL"));
    }
    for (index, component) in key.split('/').enumerate() {
        match component {
            "" if key.starts_with('/') => return Err(wrong("it begins with `/`")),
            "" => return Err(wrong("a name between slashes is empty")),
            "." | ".." => return Err(wrong("`.` and `..` are no names")),
            STAGING_DIR if index == 0 => {
                return Err(wrong("`.firehose-tmp` holds unfinished objects"));
            }
            long if long.len() > COMPONENT_MAX => {
                return Err(wrong("a name between slashes is longer than 255 bytes"));
            }
            _ => {}
        }
    }
    Ok(Path::new(key))
}
