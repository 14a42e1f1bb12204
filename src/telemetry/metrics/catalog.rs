//! The metrics of what a stream tells its catalog.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Label};

use super::{Metrics, Total, name};
use crate::telemetry::CatalogStanding;

/// Codes of failures that have a series each: they are the catalog's own words. What comes beyond them is counted as
/// [`OTHER`].
const CODES_MAX: usize = 32;
const OTHER: &str = "other";
/// Characters of a code.
const CODE_MAX: usize = 64;

/// The metrics of what one stream tells its catalog.
pub struct CatalogMetrics {
    /// Partitions that the catalog knows since it was told.
    pub told: Total,
    /// Places that are no partition of the table.
    pub no_partition: Total,
    /// Partitions that the catalog refuses.
    pub refused: Total,
    /// Partitions that are not remembered, since too many wait.
    pub forgotten: Total,
    /// Changes of the table's columns, which were brought up to those of the stream.
    pub widened: Total,
    failures: HashMap<String, Counter>,
    metrics: Arc<Metrics>,
    stream: String,
}

impl fmt::Debug for CatalogMetrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CatalogMetrics")
    }
}

impl Metrics {
    /// Takes over how what a stream tells its catalog stands at `now_ms`; done for every scrape, since several pipelines
    /// of one stream tell.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floating-point by format"
    )]
    pub fn observe_catalog(&self, stream: &str, standing: &CatalogStanding, now_ms: i64) {
        let since_ms = standing.waiting_since_ms.unwrap_or(now_ms);
        let age_ms = now_ms.saturating_sub(since_ms).max(0);
        for (name, value) in [
            (name::CATALOG_WAITING, standing.waiting as f64),
            (name::CATALOG_OLDEST, age_ms as f64 / 1000.0),
            (name::CATALOG_CONFLICTS, standing.conflicting as f64),
        ] {
            let labels = vec![Label::new("stream", stream.to_owned())];
            self.gauge(name, labels).set(value);
        }
    }
}

impl CatalogMetrics {
    /// The handles of delivery stream `stream`.
    pub fn new(metrics: &Arc<Metrics>, stream: &str) -> Self {
        let labels = || vec![Label::new("stream", stream.to_owned())];
        let left_out = |reason| {
            let mut labels = labels();
            labels.push(Label::from_static_parts("reason", reason));
            Total::new(metrics.counter(name::CATALOG_LEFT_OUT, labels))
        };
        Self {
            told: Total::new(metrics.counter(name::CATALOG_TOLD, labels())),
            no_partition: left_out("no-partition"),
            refused: left_out("refused"),
            forgotten: left_out("too-many"),
            widened: Total::new(metrics.counter(name::CATALOG_WIDENED, labels())),
            failures: HashMap::new(),
            metrics: Arc::clone(metrics),
            stream: stream.to_owned(),
        }
    }

    /// Counts what the catalog, or the way to it, has answered with this code in place of success.
    pub fn failed(&mut self, code: &str) {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let mut code: String = code.chars().filter(is_plain).take(CODE_MAX).collect();
        let is_new = !self.failures.contains_key(&code);
        if code.is_empty() || is_new && self.failures.len() >= CODES_MAX {
            OTHER.clone_into(&mut code);
        }
        let (metrics, stream) = (&self.metrics, &self.stream);
        let counter = self.failures.entry(code).or_insert_with_key(|code| {
            let labels = vec![
                Label::new("stream", stream.clone()),
                Label::new("code", code.clone()),
            ];
            metrics.counter(name::CATALOG_FAILURES, labels)
        });
        counter.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_a_catalog_make_only_so_many_series() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut catalog = CatalogMetrics::new(&metrics, "clicks");
        for number in 0..100 {
            catalog.failed(&format!("Code{number}"));
        }
        catalog.failed("a \"b\"\n");
        catalog.failed("Code0");
        let page = metrics.render();
        let series = page
            .lines()
            .filter(|line| line.starts_with("firehose_catalog_failures_total{"));
        assert_eq!(series.count(), CODES_MAX + 1);
        let line = |code: &str| {
            format!("firehose_catalog_failures_total{{stream=\"clicks\",code=\"{code}\"}}")
        };
        assert!(page.contains(&format!("{} 69\n", line(OTHER))), "{page}");
        assert!(page.contains(&format!("{} 2\n", line("Code0"))), "{page}");
    }
}
