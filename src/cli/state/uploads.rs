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

async fn try_abort(upload: &NamedUpload, now: &[&StoreSettings]) -> Result<(), String> {
    let settings = destination::named(&upload.store, now)?;
    let told = |error: PublishError| error.to_string();
    let destination = Destination::connect(&settings).await;
    let aborted = destination.map_err(told)?;
    let aborted = aborted.abort_upload(&upload.key, &upload.upload_id).await;
    aborted.map_err(told)
}
