//! What an operator sees of the daemon: logs, metrics, the state of each delivery stream, its failures.

pub mod drift;
pub mod failures;
pub mod fields;
pub mod logging;
pub mod metrics;
pub mod refusals;
pub mod repeats;
pub mod source;
pub mod status;

pub use drift::{DriftKind, FieldDrift, FieldDrifts};
pub use failures::{
    FailedRecords, FailureKind, FailureSample, Failures, KnownFailure, Notice, Reasons, Tally,
};
pub use fields::{FieldCount, FieldCounts, FieldFate, FieldTally};
pub use metrics::{
    CatalogMetrics, CoordinationMetrics, Counted, Lag, LevelGauge, MetricInfo, Metrics,
    RefusedRequests, StreamMetrics, Total, TransformMetrics,
};
pub use refusals::{Knock, Refusals};
pub use repeats::Repeats;
pub use source::SourceHealth;
pub use status::{
    CatalogStanding, LastObject, StatusSnapshot, StreamState, StreamStatus, TableAccount,
};
