//! Gauges that follow what exists.

use metrics::Gauge;

/// A gauge that goes up and down with what exists.
#[derive(Clone, Debug)]
pub struct LevelGauge(Gauge);

impl LevelGauge {
    pub(super) const fn new(gauge: Gauge) -> Self {
        Self(gauge)
    }

    /// Sets how many there are.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floating-point by format"
    )]
    pub fn set(&self, count: usize) {
        self.0.set(count as f64);
    }

    /// There is one more, until it is dropped.
    pub fn count(&self) -> Counted {
        self.0.increment(1.0);
        Counted(self.0.clone())
    }
}

/// Counts one of a gauge for as long as it lives.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// How far behind something is, in seconds; it falls to 0 when dropped.
#[derive(Debug)]
pub struct Lag(Gauge);

impl Lag {
    pub(super) const fn new(gauge: Gauge) -> Self {
        Self(gauge)
    }

    /// Sets how far behind it is, in milliseconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floating-point by format"
    )]
    pub fn set(&self, behind_ms: i64) {
        self.0.set(behind_ms.max(0) as f64 / 1000.0);
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.0.set(0.0);
    }
}
