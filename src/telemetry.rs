//! What an operator sees of the daemon: logs, metrics, the state of each delivery stream.

pub mod logging;
pub mod metrics;
pub mod status;

pub use metrics::{Metrics, StreamMetrics, TransformMetrics};
pub use status::{LastObject, State, StatusSnapshot, StreamStatus};
