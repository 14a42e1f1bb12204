//! What is seen of a module from outside: its log lines and its metrics.

use std::sync::Arc;

use super::abi::{Level, Outcome, Verdict};
use super::fault::Cause;
use crate::record::Record;
use crate::telemetry::{Metrics, TransformMetrics};

/// Where log lines of modules go.
pub type LogSink = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// Sees what one module does, through all of its versions. Cheap to clone.
#[derive(Clone)]
pub struct Observer {
    pub(super) log: LogSink,
    pub(super) metrics: TransformMetrics,
}

impl Observer {
    /// Counts for `stream` and `module` in `metrics`, and hands log lines to `log`.
    pub fn new(metrics: &Metrics, stream: &str, module: &str, log: LogSink) -> Self {
        let causes = Cause::ALL.map(Cause::as_str);
        Self {
            log,
            metrics: TransformMetrics::new(metrics, stream, module, &causes),
        }
    }

    /// Hands log lines to `log`; nobody sees the counters.
    pub fn of_log(log: LogSink) -> anyhow::Result<Self> {
        Ok(Self::new(&Metrics::new()?, "", "", log))
    }

    /// Counts what became of the records of one call.
    pub(super) fn settled(&self, records: &[Record<'_>], verdicts: &[Verdict]) {
        let metrics = &self.metrics;
        metrics.incoming_records.add(records.len() as u64);
        metrics
            .incoming_bytes
            .add(bytes(records.iter().map(|record| record.data.len())));
        let (mut ok, mut many, mut dropped, mut failed) = (0, 0, 0, 0);
        let (mut out, mut out_bytes) = (0, 0);
        for verdict in verdicts {
            match verdict {
                Ok(Outcome::Ok(output)) => {
                    ok += 1;
                    out += 1;
                    out_bytes += output.data.len() as u64;
                }
                Ok(Outcome::Many(outputs)) if !outputs.is_empty() => {
                    many += 1;
                    out += outputs.len() as u64;
                    out_bytes += bytes(outputs.iter().map(|output| output.data.len()));
                }
                Ok(_) => dropped += 1,
                Err(_) => failed += 1,
            }
        }
        metrics.ok.add(ok);
        metrics.many.add(many);
        metrics.dropped.add(dropped);
        metrics.failed.add(failed);
        metrics.outgoing_records.add(out);
        metrics.outgoing_bytes.add(out_bytes);
    }
}

fn bytes(lengths: impl Iterator<Item = usize>) -> u64 {
    lengths.map(|length| length as u64).sum()
}
