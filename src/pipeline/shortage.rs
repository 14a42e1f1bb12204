//! What a stream does for room on a full disk (design C8), beside reading no more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Pipeline;
use crate::disk::DISK_IS_FULL;

/// How often a stream without its reserve looks for room.
const RESERVE_EVERY: Duration = Duration::from_secs(1);
/// How often one that has it looks whether it is still enough.
const RESERVE_GROWS_EVERY: Duration = Duration::from_secs(10);

impl Pipeline {
    /// On a full disk: gives back what can be spared, and makes the reserve again when there is
    /// room.
    pub(super) fn mind_the_room(&mut self) {
        let reserve = &self.context.reserve;
        let short = reserve.is_short();
        self.context
            .status
            .set_shortage(short.then_some(DISK_IS_FULL));
        if short {
            self.source.drop_spares();
        }
        let was_given_up = reserve.is_given_up();
        let every = match (short, was_given_up) {
            (_, true) => RESERVE_EVERY,
            (false, false) => RESERVE_GROWS_EVERY,
            (true, false) => return,
        };
        if self.reserve_tried.elapsed() >= every {
            self.reserve_tried = Instant::now();
            let (stream, reserve) = (self.settings.name.clone(), Arc::clone(reserve));
            let status = Arc::clone(&self.context.status);
            tokio::task::spawn_blocking(move || match reserve.keep() {
                Ok(()) if was_given_up => {
                    status.repeats().over(DISK_IS_FULL);
                    tracing::info!(stream, "the disk has room again");
                }
                Ok(()) => {}
                Err(error) => tracing::debug!(stream, %error, "the disk has no room for a reserve"),
            });
        }
    }
}
