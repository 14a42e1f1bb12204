//! One shard alone, for a stream that several machines share: which shards there are, who reads them
//! and in what order is said by the leases.

use tokio::sync::mpsc;

use super::conduct::{Conductor, LIST_SOON};
use super::error::KinesisError;
use super::hash::EVERYTHING;
use super::shard_reader::{self, ReadOutcome};
use super::shards::Ready;
use super::{Halt, ShardRead};
use crate::source::Only;

impl Conductor {
    /// Reads the shard to its end, or until nobody takes what is read any more.
    pub(super) async fn read_alone(
        &mut self,
        only: Only,
        reads: &mpsc::Sender<ShardRead>,
    ) -> Result<(), Halt> {
        let shared = self.begin(reads).await?;
        let _counted = self.context.metrics.open_shards.count();
        let mut ready = Ready {
            id: only.shard,
            state: only.state,
            range: EVERYTHING,
            is_fresh: false,
        };
        loop {
            let listed = self.ask(|| shared.client.shards()).await;
            let Some(found) = listed.into_iter().find(|found| found.id == ready.id) else {
                return self.forgotten(ready, reads).await;
            };
            ready.range = found.range;
            let (again, cause) = match shard_reader::read(shared.clone(), ready).await {
                ReadOutcome::Ended(_) => return Ok(()),
                ReadOutcome::Halted => return Err(Halt::Closed),
                ReadOutcome::Missing(again, cause) => (again, cause),
            };
            self.context.health.failing(&again.id, cause);
            tokio::time::sleep(LIST_SOON).await;
            // The stream itself may be another one by now.
            let description = self.ask(|| shared.client.describe()).await;
            self.check_name(&description, reads).await?;
            ready = again;
        }
    }

    /// Asks for as long as it takes.
    async fn ask<T, F: Future<Output = Result<T, KinesisError>>>(
        &self,
        question: impl Fn() -> F,
    ) -> T {
        let mut attempt = 0;
        loop {
            match question().await {
                Ok(answer) => {
                    self.context.health.well(self.part());
                    return answer;
                }
                Err(error) => {
                    attempt += 1;
                    self.wait_out(&error, attempt).await;
                }
            }
        }
    }
}
