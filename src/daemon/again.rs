//! Sends objects once more that could not be published, with the stream's state opened as a start does.

use super::Common;
use crate::config::{Config, StreamSettings};
use crate::pipeline::{self, Tried, Wanted};

/// Tries each object of the stream that waits, or the wanted one. The caller holds the lock.
pub(crate) async fn try_again(
    config: &Config,
    settings: StreamSettings,
    wanted: Wanted<'_>,
) -> anyhow::Result<Vec<Tried>> {
    let common = Common::new(config)?;
    // Objects that wait have been through the transforms.
    let opening = common.open(&config.state_dir, settings.clone(), None, None);
    let Some(recovered) = opening.await?.into_recovered() else {
        return Ok(Vec::new());
    };
    Ok(pipeline::try_again(recovered?, &settings, wanted, common.clock.now_ms()).await?)
}
