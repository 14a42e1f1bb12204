//! What a stream does for room on a full disk (design C8), beside reading no more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Pipeline;
use crate::disk::DISK_IS_FULL;

/// How often a stream without its reserve looks for room.
const RESERVE_EVERY: Duration = Duration::from_secs(1);

impl Pipeline {
    /// On a full disk: gives back what can be spared, and makes the reserve again when there is
    /// room.
    pub(super) fn mind_the_room(&mut self) {
        let reserve = &self.around.reserve;
        let short = reserve.is_short();
        self.around
            .status
            .set_shortage(short.then_some(DISK_IS_FULL));
        if !short {
            return;
        }
        self.source.drop_spares();
        if reserve.is_given_up() && self.reserve_tried.elapsed() >= RESERVE_EVERY {
            self.reserve_tried = Instant::now();
            let (stream, reserve) = (self.settings.name.clone(), Arc::clone(reserve));
            let status = Arc::clone(&self.around.status);
            tokio::task::spawn_blocking(move || match reserve.keep() {
                Ok(()) => {
                    status.repeats().over(DISK_IS_FULL);
                    tracing::info!(stream, "the disk has room again");
                }
                Err(error) => tracing::debug!(stream, %error, "the disk is still full"),
            });
        }
    }
}
