//! Asks Kinesis which shards a stream has, for whoever shares them out.

use tokio::sync::OnceCell;

use super::KinesisSettings;
use super::client::{KinesisClient, ShardDescription};
use super::error::KinesisError;
use crate::error::with_causes;
use crate::shard::{ListedShard, Listing, Pending, ShardLister};

/// Lists the shards of one stream.
#[derive(Debug)]
pub(super) struct Lister {
    settings: KinesisSettings,
    client: OnceCell<KinesisClient>,
}

impl Lister {
    /// Nothing is asked of Kinesis yet.
    pub(super) fn new(settings: KinesisSettings) -> Self {
        Self {
            settings,
            client: OnceCell::new(),
        }
    }

    /// How long the stream keeps records, in ms. Asks once; the error is a sentence for a person.
    pub(super) async fn retention_ms(&self) -> Result<i64, String> {
        let asked = async { self.client().await?.describe().await };
        let description = asked
            .await
            .map_err(|error: KinesisError| with_causes(&error))?;
        Ok(description.retention_ms)
    }

    async fn client(&self) -> Result<&KinesisClient, KinesisError> {
        let connect = || KinesisClient::connect(&self.settings);
        self.client.get_or_try_init(connect).await
    }

    async fn ask(&self) -> Result<Listing, KinesisError> {
        let client = self.client().await?;
        let source = client.describe().await?.name;
        let shards = client.shards().await?.into_iter().map(listed).collect();
        Ok(Listing { source, shards })
    }
}

impl ShardLister for Lister {
    fn list(&self) -> Pending<'_, Result<Listing, String>> {
        Box::pin(async {
            self.ask().await.map_err(|error| match error {
                KinesisError::Missing(cause) => format!(
                    "{}: create the stream, or check `stream`, `region` and `endpoint` of the \
                     source",
                    with_causes(&cause)
                ),
                error => with_causes(&error),
            })
        })
    }
}

fn listed(shard: ShardDescription) -> ListedShard {
    let (first, last) = (shard.range.first, shard.range.last);
    ListedShard {
        id: shard.id,
        parents: shard.parents,
        hash_keys: (first.to_string(), last.to_string()),
        is_closed: shard.is_closed,
    }
}
