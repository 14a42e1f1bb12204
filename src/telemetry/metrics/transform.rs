//! The metrics of one module of a delivery stream.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Gauge, Label};

use super::{Metrics, Timing, Total, name};

/// The metrics of one module: looked up once, then plain atomics. Cheap to clone; clones count
/// together. Modules of one name in one stream share their counters; gauges show the last that changed.
#[derive(Clone, Debug)]
pub struct TransformMetrics {
    /// Calls with records, those that broke and those that were made again too.
    pub calls: Total,
    /// Time that one call took.
    pub call: Timing,
    /// Records that the module was given, each once however many calls were made with it.
    pub incoming_records: Total,
    /// Their bytes.
    pub incoming_bytes: Total,
    /// Records out of which one came.
    pub ok: Total,
    /// Records out of which several came.
    pub many: Total,
    /// Records that were dropped on purpose.
    pub dropped: Total,
    /// Records that failed, by the module's word or because a call broke.
    pub failed: Total,
    /// Records that came out.
    pub outgoing_records: Total,
    /// Their bytes.
    pub outgoing_bytes: Total,
    /// Calls that were made again because the module refused the batch.
    pub retries: Total,
    /// Instances started.
    pub instance_starts: Total,
    /// Log lines that were not written for being too many.
    pub suppressed_log_lines: Total,
    /// The most memory that an instance has held, in bytes.
    pub memory_peak: Peak,
    /// New versions of the module that are at work.
    pub reloads: Total,
    /// New versions of the module that could not be used.
    pub failed_reloads: Total,
    broken_calls: Vec<Total>,
    compile_seconds: Gauge,
    compile_cached: Gauge,
}

impl TransformMetrics {
    /// The handles of module `module` of delivery stream `stream`. `causes` are the labels of what can
    /// break a call.
    pub fn new(metrics: &Metrics, stream: &str, module: &str, causes: &[&'static str]) -> Self {
        let labels = || {
            vec![
                Label::new("stream", stream.to_owned()),
                Label::new("module", module.to_owned()),
            ]
        };
        let total = |name| Total::new(metrics.counter(name, labels()));
        let gauge = |name| metrics.gauge(name, labels());
        let total_of = |name, key, word| {
            let mut labels = labels();
            labels.push(Label::from_static_parts(key, word));
            Total::new(metrics.counter(name, labels))
        };
        let outcome = |word| total_of(name::TRANSFORM_OUTCOMES, "outcome", word);
        Self {
            calls: total(name::TRANSFORM_CALLS),
            call: Timing(metrics.histogram(name::TRANSFORM_CALL, labels())),
            incoming_records: total(name::TRANSFORM_RECORDS_IN),
            incoming_bytes: total(name::TRANSFORM_BYTES_IN),
            ok: outcome("ok"),
            many: outcome("many"),
            dropped: outcome("dropped"),
            failed: outcome("failed"),
            outgoing_records: total(name::TRANSFORM_RECORDS_OUT),
            outgoing_bytes: total(name::TRANSFORM_BYTES_OUT),
            retries: total(name::TRANSFORM_RETRIES),
            instance_starts: total(name::TRANSFORM_STARTS),
            suppressed_log_lines: total(name::TRANSFORM_LOG_LINES),
            memory_peak: Peak::new(gauge(name::TRANSFORM_MEMORY)),
            reloads: total_of(name::TRANSFORM_RELOADS, "result", "ok"),
            failed_reloads: total_of(name::TRANSFORM_RELOADS, "result", "failed"),
            broken_calls: causes
                .iter()
                .map(|cause| total_of(name::TRANSFORM_BROKEN_CALLS, "cause", cause))
                .collect(),
            compile_seconds: gauge(name::TRANSFORM_COMPILE),
            compile_cached: gauge(name::TRANSFORM_CACHED),
        }
    }

    /// The counter of calls that broke for the cause at index `cause` of those that were named.
    pub fn broken_calls(&self, cause: usize) -> &Total {
        &self.broken_calls[cause]
    }

    /// Notes that the module was compiled, or read from the cache.
    pub fn compiled(&self, took: Duration, from_cache: bool) {
        self.compile_seconds.set(took.as_secs_f64());
        self.compile_cached.set(f64::from(u8::from(from_cache)));
    }
}

/// A gauge that only rises.
#[derive(Clone, Debug)]
pub struct Peak {
    shown: Gauge,
    /// Locked while it is shown, so that no thread sets it back.
    peak: Arc<Mutex<u64>>,
}

impl Peak {
    fn new(shown: Gauge) -> Self {
        Self {
            shown,
            peak: Arc::default(),
        }
    }

    /// Raises it to `value` if it is lower.
    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges are floating-point by format"
    )]
    pub fn raise(&self, value: u64) {
        let mut peak = self.peak.lock().unwrap_or_else(PoisonError::into_inner);
        if value > *peak {
            *peak = value;
            self.shown.set(value as f64);
        }
    }

    /// The highest value since the process began.
    pub fn get(&self) -> u64 {
        *self.peak.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_has_its_own_series_and_each_word_its_counter() {
        let metrics = Metrics::new().unwrap();
        let of = |module| TransformMetrics::new(&metrics, "clicks", module, &["trap", "timeout"]);
        let (first, second) = (of("a.wasm"), of("b.wasm"));
        first.outgoing_records.add(3);
        second.many.add(2);
        second.broken_calls(1).add(1);
        second.failed_reloads.add(1);
        first.compiled(Duration::from_millis(250), true);
        let page = metrics.render();
        for line in [
            r#"outgoing_records_total{stream="clicks",module="a.wasm"} 3"#,
            r#"outcomes_total{stream="clicks",module="b.wasm",outcome="many"} 2"#,
            r#"outcomes_total{stream="clicks",module="b.wasm",outcome="ok"} 0"#,
            r#"broken_calls_total{stream="clicks",module="b.wasm",cause="timeout"} 1"#,
            r#"reloads_total{stream="clicks",module="b.wasm",result="failed"} 1"#,
            r#"compile_seconds{stream="clicks",module="a.wasm"} 0.25"#,
            r#"compile_cached{stream="clicks",module="a.wasm"} 1"#,
        ] {
            let line = format!("firehose_transform_{line}\n");
            assert!(page.contains(&line), "{line}: {page}");
        }
    }

    #[test]
    fn a_peak_rises_whatever_the_order_of_threads() {
        let metrics = Metrics::new().unwrap();
        let transform = TransformMetrics::new(&metrics, "c", "a.wasm", &[]);
        std::thread::scope(|scope| {
            for value in [7, 3, 9, 1] {
                let peak = transform.memory_peak.clone();
                scope.spawn(move || (0..=value << 10).for_each(|value| peak.raise(value)));
            }
        });
        assert_eq!(transform.memory_peak.get(), 9 << 10);
        let shown = format!(
            "memory_peak_bytes{{stream=\"c\",module=\"a.wasm\"}} {}\n",
            9 << 10
        );
        assert!(metrics.render().contains(&shown), "{}", metrics.render());
    }
}
