//! Takes a lease for one checkpoint, whoever holds it: what a person's decision needs.

use std::sync::Arc;

use uuid::Uuid;

use super::decisions::{Taken, Taking};
use super::error::LeaseError;
use super::item::{LeaseItem, TableTerms};
use super::lease::Lease;
use super::rest::Fitness;
use super::resumed::Resumed;
use super::table::LeaseTable;
use super::writes::Holder;
use crate::config::{CoordinationSettings, StartSettings};
use crate::shard::ShardId;
use crate::telemetry::CoordinationMetrics;

/// How often a lease is looked at and taken anew that changes in between: whoever holds it renews it.
const TRIES: u32 = 20;

/// Takes the lease of `shard`, by the name of `worker`. Nobody renews it, so it is to be released within
/// the failover time.
pub async fn seize(
    settings: &CoordinationSettings,
    shard: &str,
    worker: String,
    now_ms: i64,
    metrics: CoordinationMetrics,
) -> Result<Lease, LeaseError> {
    let taking = async {
        let table = LeaseTable::connect(settings).await?;
        for _ in 0..TRIES {
            match take(&table, shard, &worker, now_ms).await {
                Err(LeaseError::Refused(_)) => {}
                taken => return taken.map(|taken| (table, taken)),
            }
        }
        let cause = format!("the lease of {shard} changes all the time: try again");
        Err(LeaseError::Refused(cause.into()))
    };
    let (table, taken) = taking.await?;
    let refused = |what: &str| LeaseError::Refused(format!("the lease of {shard} {what}").into());
    let (taking, taken) = taken.ok_or_else(|| refused("is gone"))?;
    let tenure = taking.tenure(&taken);
    let holder = Holder {
        table,
        shard: ShardId::clone(&taken.item().shard),
        tenure: tenure.ok_or_else(|| refused("has no fencing number"))?,
    };
    let resumed = Resumed::of(&taken, StartSettings::TrimHorizon);
    let fitness = Arc::new(Fitness::new(settings.failover, Arc::default()));
    Ok(Lease::new(holder, &taken, resumed, metrics, fitness))
}

/// Takes the lease as it stands now; `None` where there is none. `Refused` when it has changed since.
async fn take(
    table: &LeaseTable,
    shard: &str,
    worker: &str,
    now_ms: i64,
) -> Result<Option<(Taking<TableTerms>, Taken<LeaseItem>)>, LeaseError> {
    let Some(seen) = table.get(shard).await? else {
        return Ok(None);
    };
    let taking = Taking::new(worker.to_owned(), Uuid::new_v4().to_string());
    let taken = match table.take(&seen, &taking, now_ms).await {
        Ok(item) => taking.found(Some(item)),
        Err(error @ LeaseError::Refused(_)) => return Err(error),
        // It may have been carried out, and nobody else would let go of the lease then.
        Err(error) => Some(taking.found(table.get(shard).await?).ok_or(error)?),
    };
    Ok(taken.map(|taken| (taking, taken)))
}
