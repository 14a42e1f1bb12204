//! Uploads that a verb gives up.

use std::io::Write;

use super::{CommandError, runtime};
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
    let (Some(StoreSettings::S3(settings)), Some(bucket)) =
        (now, upload.store.strip_prefix("s3://"))
    else {
        return Err("the config names no bucket any more".to_owned());
    };
    let mut settings = settings.clone();
    bucket.clone_into(&mut settings.bucket);
    let told = |error: crate::destination::PublishError| error.to_string();
    let destination = Destination::connect(&StoreSettings::S3(settings)).await;
    let aborted = destination.map_err(told)?;
    let aborted = aborted.abort_upload(&upload.key, &upload.upload_id).await;
    aborted.map_err(told)
}
