//! The types of `transforms/wit/transform.wit`, as wasmtime carries them over the border.

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::failure::Failure;
use crate::record::Record;

/// The interface with the types. It holds no functions, but a component imports it by name.
pub(super) const TYPES: &str = "firehose:transform/types@1.0.0";
/// The interface that modules import.
pub(super) const HOST: &str = "firehose:transform/host@1.0.0";
/// The interface with the types of the packed form.
pub(super) const PACKED: &str = "firehose:transform/packed@1.0.0";
/// The export that takes the config.
pub(super) const CONFIGURE: &str = "configure";
/// The export that takes records, and the world that has it.
pub(super) const TRANSFORM: &str = "transform";
/// The export that takes packed records, and the world that has it.
pub(super) const TRANSFORM_PACKED: &str = "transform-packed";

/// `record input`
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Input<'a> {
    pub(super) data: &'a [u8],
    #[component(name = "arrival-ms")]
    pub(super) arrival_ms: i64,
}

impl<'a> Input<'a> {
    pub(super) const fn of(record: &Record<'a>) -> Self {
        Self {
            data: record.data,
            arrival_ms: record.arrival_ms,
        }
    }
}

/// One record that comes out of a transform.
#[derive(ComponentType, Lift, Clone, Debug, PartialEq, Eq)]
#[component(record)]
pub struct Output {
    /// Its bytes.
    pub data: Bytes,
    /// Partition keys: name and value.
    #[component(name = "partition-keys")]
    pub keys: Vec<(String, String)>,
}

/// What became of a record in one module.
#[derive(ComponentType, Lift, Clone, Debug, PartialEq, Eq)]
#[component(variant)]
pub enum Outcome {
    /// One record comes out.
    #[component(name = "ok")]
    Ok(Output),
    /// Several come out, or none.
    #[component(name = "many")]
    Many(Vec<Output>),
    /// Left out on purpose.
    #[component(name = "dropped")]
    Dropped,
    /// The module cannot process it.
    #[component(name = "failed")]
    Failed(String),
}

/// What became of a record: anything but `Outcome::Failed`, or why it failed and after how many calls
/// with it.
pub type Verdict = Result<Outcome, (Failure, u32)>;

/// `record inputs`
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Inputs<'a> {
    pub(super) data: &'a [u8],
    pub(super) ends: &'a [u32],
    #[component(name = "arrivals-ms")]
    pub(super) arrivals_ms: &'a [i64],
}

/// `record outcomes`
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Outcomes {
    pub(super) data: Bytes,
    pub(super) ends: Vec<u32>,
    pub(super) counts: Vec<u32>,
    pub(super) failures: Vec<String>,
    #[component(name = "partition-keys")]
    pub(super) keys: Vec<PartitionKey>,
}

/// `record partition-key`
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct PartitionKey {
    pub(super) output: u32,
    pub(super) name: String,
    pub(super) value: String,
}

/// How much a log line matters.
#[derive(ComponentType, Lift, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// Something is wrong.
    #[component(name = "error")]
    Error,
    /// Something looks wrong.
    #[component(name = "warn")]
    Warn,
    /// What happens.
    #[component(name = "info")]
    Info,
    /// For whoever looks for a fault.
    #[component(name = "debug")]
    Debug,
}

/// `record origin`
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Origin {
    #[component(name = "delivery-stream")]
    pub(super) delivery_stream: String,
    pub(super) shard: String,
    #[component(name = "sequence-number")]
    pub(super) sequence_number: String,
    #[component(name = "sub-sequence-number")]
    pub(super) sub_sequence_number: u32,
    #[component(name = "partition-key")]
    pub(super) partition_key: Option<String>,
}

/// What `transform` takes.
pub(super) type TransformParams<'a> = (&'a [Input<'a>],);
/// What `transform` returns.
pub(super) type TransformResult = (Result<Vec<Outcome>, String>,);
/// What `transform-packed` takes.
pub(super) type PackedParams<'a> = (Inputs<'a>,);
/// What `transform-packed` returns.
pub(super) type PackedResult = (Result<Outcomes, String>,);
/// What `configure` takes.
pub(super) type ConfigureParams<'a> = (&'a str,);
/// What `configure` returns.
pub(super) type ConfigureResult = (Result<(), String>,);
