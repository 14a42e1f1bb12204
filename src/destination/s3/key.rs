//! Keys of a bucket.

use crate::config::Keys;
use crate::destination::PublishError;

/// Longest object key S3 takes, in bytes of UTF-8.
const KEY_MAX: usize = 1024;

/// Which keys objects are given.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketKeys;

impl Keys for BucketKeys {
    fn short(&self) -> usize {
        KEY_MAX
    }

    fn take(&self, key: &str) -> Result<(), String> {
        // Clients and stores resolve them, or refuse them.
        if key.split('/').any(|name| matches!(name, "." | "..")) {
            return Err("a part between slashes is `.` or `..`".to_owned());
        }
        hold(key)
    }
}

/// Whether the bucket can hold an object that has that key already, perhaps from a version that gave what
/// [`BucketKeys`] refuse: of that the store is the judge. The error says why not.
fn hold(key: &str) -> Result<(), String> {
    match key.len() {
        0 => Err("the key is empty".to_owned()),
        1..=KEY_MAX => Ok(()),
        bytes => Err(format!(
            "the key has {bytes} bytes in UTF-8, S3 takes {KEY_MAX}"
        )),
    }
}

/// Refuses keys that S3 cannot hold.
pub(super) fn check(key: &str) -> Result<(), PublishError> {
    hold(key).map_err(|why| PublishError::Permanent {
        cause: format!("the key {key:?} cannot be used: {why}"),
        advice: "shorten the prefix; an object that has its key already is moved aside by `firehose state discard \
                 STREAM --object KEY`"
            .into(),
    })
}
