//! Uploads that a verb gives up.

use std::io::Write;

use super::{CommandError, runtime};
use crate::checkpoint::NamedUpload;
use crate::config::StoreSettings;
use crate::destination::{self, Destination, PublishError};

/// Why an object of which the upload is not aborted may yet be where it was to go.
pub(super) const MAY_COMPLETE: &str =
    "its upload cannot be aborted, and an earlier attempt may still complete it";

/// Aborts uploads of ours in the buckets they were begun in, reached as `now` tells: the destinations of
/// the stream, where the config names it. One that cannot be aborted is named and returned: it holds nothing
/// that is needed, only room, but where all its parts have arrived a lost request may still complete it.
pub(super) fn abort(
    uploads: &[NamedUpload],
    now: &[&StoreSettings],
    out: &mut dyn Write,
) -> Result<Vec<NamedUpload>, CommandError> {
    let mut left = Vec::new();
    if uploads.is_empty() {
        return Ok(left);
    }
    let runtime = runtime()?;
    for upload in uploads {
        let NamedUpload {
            store,
            key,
            upload_id,
        } = upload;
        if let Err(cause) = runtime.block_on(try_abort(upload, now)) {
            writeln!(
                out,
                "upload {upload_id} of {store}/{key} stays behind, abort it there: {cause}"
            )?;
            left.push(upload.clone());
        }
    }
    Ok(left)
}

/// Where its store's name may mean several, it is aborted in each: it is gone when all say so.
async fn try_abort(upload: &NamedUpload, now: &[&StoreSettings]) -> Result<(), String> {
    let mut aborted = Ok(());
    for settings in destination::named(&upload.store, now)? {
        let tried = abort_at(upload, &settings).await;
        aborted = aborted.and(tried.map_err(|error| error.to_string()));
    }
    aborted
}

async fn abort_at(upload: &NamedUpload, settings: &StoreSettings) -> Result<(), PublishError> {
    let destination = Destination::connect(settings).await?;
    destination
        .abort_upload(&upload.key, &upload.upload_id)
        .await
}
