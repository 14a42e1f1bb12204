//! Takes a lease for one checkpoint, whoever holds it: what a person's decision needs.

use std::sync::Arc;

use uuid::Uuid;

use super::item::LeaseItem;
use super::lease::Lease;
use super::rest::Fitness;
use super::resumed::Resumed;
use super::table::Table;
use super::trouble::Trouble;
use super::writes::Holder;
use crate::config::{CoordinationSettings, StartSettings};
use crate::shard::ShardId;
use crate::telemetry::CoordinationMetrics;

/// Takes the lease as `seen`, by the name of `worker`. Nobody renews it, so it is to be released within
/// the failover time. The error is a sentence for a person.
pub async fn seize(
    settings: &CoordinationSettings,
    seen: &LeaseItem,
    worker: String,
    now_ms: i64,
    metrics: CoordinationMetrics,
) -> Result<Lease, String> {
    let taking = async {
        let table = Table::connect(settings).await?;
        let drawn = Uuid::new_v4().to_string();
        let taken = table.take(seen, &worker, &drawn, now_ms).await?;
        Ok::<_, Trouble>((table, taken))
    };
    let (table, taken) = taking.await.map_err(|trouble| match trouble {
        Trouble::Refused(_) => format!("the lease of {} has just changed: try again", seen.shard),
        trouble => trouble.to_string(),
    })?;
    let Some(fence) = taken.fence else {
        return Err(format!("the lease of {} has no fencing number", seen.shard));
    };
    let holder = Holder {
        table,
        shard: ShardId::clone(&taken.shard),
        worker,
        fence,
    };
    let resumed = Resumed::of(&taken, StartSettings::TrimHorizon);
    let fitness = Arc::new(Fitness::new(settings.failover, Arc::default()));
    Ok(Lease::new(holder, &taken, resumed, metrics, fitness))
}
