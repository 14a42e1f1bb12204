//! State of streams that the config no longer names: what it still holds is a loud stop of the
//! stream that is missing (design C6).

use std::sync::Arc;

use super::holdings::{self, Holdings};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::Orphan;
use crate::pipeline::Status;
use crate::telemetry::{Metrics, State, StreamMetrics};

/// Finds the orphans that hold something undelivered; the harmless ones are only told of. Blocks
/// on the disk.
pub(super) fn find(config: &Config, metrics: &Metrics, clock: &Clock) -> Vec<Orphan> {
    let names = holdings::streams(config).unwrap_or_else(|error| {
        let dir = config.state_dir.display();
        tracing::error!(%dir, %error, "cannot look for streams that the config does not name");
        Vec::new()
    });
    let mut orphans = Vec::new();
    for name in names {
        if config.streams.contains_key(&name) {
            continue;
        }
        let dir = config.state_dir.join(&name);
        let held = match Holdings::read(&dir, 1) {
            Ok(held) if held.is_delivered() => {
                tracing::info!(
                    stream = name,
                    state = %dir.display(),
                    "the config does not name this stream any more; its state holds nothing \
                     undelivered, and may be removed"
                );
                continue;
            }
            Ok(held) if held.journal.records > 0 => {
                "accepted records that are not delivered".into()
            }
            Ok(held) => held.undelivered(),
            Err(error) => format!("what cannot be read: {error:#}"),
        };
        let cause = format!(
            "the config does not name this stream, but {} holds {held}",
            dir.display()
        );
        let advice = format!(
            "name the stream again, or stop the daemon and run `firehose state drain {name} --like \
             STREAM` to deliver it, `firehose state adopt {name} NEW` to go on under another name, \
             or `firehose state discard {name}`"
        );
        tracing::error!(
            stream = name,
            cause,
            advice,
            "a stream is missing: a person must decide"
        );
        let stream_metrics = StreamMetrics::new(metrics, &name);
        let status = Arc::new(Status::new(stream_metrics.clone(), clock.clone()));
        status.set_state(State::Stopped { cause, advice });
        orphans.push(Orphan {
            name,
            status,
            metrics: stream_metrics,
        });
    }
    orphans
}
