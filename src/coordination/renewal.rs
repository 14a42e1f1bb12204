//! Renews a lease, off the data path: however long a checkpoint or a publication takes, the lease is
//! held meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::LeaseError;
use super::lease::Signals;
use super::writes::Holder;
use crate::error::with_causes;

/// What KCL takes off its intervals.
pub(super) const EPSILON: Duration = Duration::from_millis(25);

/// Renews until the lease is over or lost. `taken` is when the request was made that took it: until a
/// failover time after the last request that has renewed it, by this machine's monotonic clock, nobody
/// else can find it expired.
pub(super) async fn renew(holder: Holder, signals: Signals, failover: Duration, taken: Instant) {
    let every = (failover / 3).saturating_sub(EPSILON);
    let mut renewed = taken;
    let mut next = taken + every;
    let shard = &*holder.shard;
    loop {
        tokio::select! {
            biased;
            () = signals.over.cancelled() => return,
            () = signals.lost.cancelled() => return,
            () = sleep_until(next) => {}
        }
        let (asked, deadline) = (Instant::now(), renewed + failover);
        let renewing = tokio::select! {
            biased;
            () = signals.over.cancelled() => return,
            answer = timeout_at(deadline, holder.renew()) => answer,
        };
        match renewing {
            Ok(Ok(())) if Instant::now() < deadline => {
                renewed = asked;
                next = asked + every;
            }
            Ok(Err(error @ (LeaseError::Refused(_) | LeaseError::NoTable(_)))) => {
                let cause = with_causes(&error);
                tracing::warn!(
                    shard,
                    cause,
                    "the lease is lost: another worker has taken it"
                );
                signals.lost.cancel();
                return;
            }
            Ok(Err(error)) if Instant::now() < deadline => {
                let cause = with_causes(&error);
                if let Some(unsaid) = holder.table.repeats.due_alike("renewal", &cause) {
                    tracing::warn!(
                        shard,
                        cause,
                        unsaid,
                        "the lease is not renewed, trying again"
                    );
                }
                next = Instant::now() + every / 4;
            }
            Ok(_) | Err(_) => {
                tracing::warn!(shard, "the lease is lost: it was not renewed in time");
                signals.lost.cancel();
                return;
            }
        }
    }
}
