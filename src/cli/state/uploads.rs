//! Uploads that a verb gives up.

use std::io::Write;

use super::{CommandError, runtime, stores};
use crate::checkpoint::NamedUpload;
use crate::config::StoreSettings;
use crate::destination::Destination;

/// Aborts uploads of ours in the buckets they were begun in, reached as `now` is: the destination of
/// the stream, where the config names it. One that cannot be aborted is named: it holds nothing that
/// is needed, only room.
pub(super) fn abort(
    uploads: &[NamedUpload],
    now: Option<&StoreSettings>,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    if uploads.is_empty() {
        return Ok(());
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
        }
    }
    Ok(())
}

async fn try_abort(upload: &NamedUpload, now: Option<&StoreSettings>) -> Result<(), String> {
    let settings = stores::settings_of(&upload.store, now)?;
    let told = |error: crate::destination::PublishError| error.to_string();
    let destination = Destination::connect(&settings).await;
    let aborted = destination.map_err(told)?;
    let aborted = aborted.abort_upload(&upload.key, &upload.upload_id).await;
    aborted.map_err(told)
}
