//! The metrics of a stream that several daemons share.

use std::sync::Arc;

use metrics::Label;

use super::level::LevelGauge;
use super::{Metrics, Total, name};

/// The metrics of one shared stream in this process. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct CoordinationMetrics {
    /// Leases that this process holds.
    pub held: LevelGauge,
    /// Leases taken.
    pub taken: Total,
    /// Leases lost.
    pub lost: Total,
    /// Checkpoints that have become durable in the lease table.
    pub checkpoints: Total,
}

impl CoordinationMetrics {
    /// The handles of delivery stream `stream`.
    pub fn new(metrics: &Arc<Metrics>, stream: &str) -> Self {
        let labels = || vec![Label::new("stream", stream.to_owned())];
        let total = |name| Total::new(metrics.counter(name, labels()));
        Self {
            held: LevelGauge::new(metrics.gauge(name::LEASES, labels())),
            taken: total(name::LEASES_TAKEN),
            lost: total(name::LEASES_LOST),
            checkpoints: total(name::SHARED_CHECKPOINTS),
        }
    }
}
