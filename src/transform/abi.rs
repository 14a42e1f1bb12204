//! The types of `transforms/wit/transform.wit`, as wasmtime carries them over the border.

use wasmtime::component::{ComponentType, Lift, Lower};

/// The interface with the types. It holds no functions, but a component imports it by name.
pub(super) const TYPES: &str = "firehose:transform/types@1.0.0";
/// The interface that modules import.
pub(super) const HOST: &str = "firehose:transform/host@1.0.0";
/// The export that takes the config.
pub(super) const CONFIGURE: &str = "configure";
/// The export that takes records.
pub(super) const TRANSFORM: &str = "transform";

/// `record input`
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Input<'a> {
    pub(super) data: &'a [u8],
    #[component(name = "arrival-ms")]
    pub(super) arrival_ms: i64,
}

/// One record that comes out of a transform.
#[derive(ComponentType, Lift, Clone, Debug, PartialEq, Eq)]
#[component(record)]
pub struct Output {
    /// Its bytes.
    pub data: Vec<u8>,
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
/// What `configure` takes.
pub(super) type ConfigureParams<'a> = (&'a str,);
/// What `configure` returns.
pub(super) type ConfigureResult = (Result<(), String>,);
