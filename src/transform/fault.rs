//! What can go wrong with a module, and the codes under which a failed record tells of it.

use std::sync::Arc;

use wasmtime::Trap;

use crate::failure::{ErrorOutputType, Failure, TransformFailure};

/// A message of a guest is cut after so many bytes.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// How a call broke. The instance is gone with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The guest panicked, or did what the machine forbids.
    Trap,
    /// It ran for longer than `timeout`.
    Timeout,
    /// It asked for more than `memory`.
    Memory,
    /// It returned more than `output`.
    Output,
    /// It returned another number of outcomes than it was given records.
    Count,
    /// It returned what its interface does not allow: text that is not UTF-8, lists beyond its memory.
    Result,
    /// `configure` refused the config, or a fresh instance could not be had.
    Start,
}

impl Cause {
    /// All causes, for metrics.
    pub const ALL: [Self; 7] = [
        Self::Trap,
        Self::Timeout,
        Self::Memory,
        Self::Output,
        Self::Count,
        Self::Result,
        Self::Start,
    ];

    /// The label of the metric.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Count => "count",
            Self::Result => "result",
            Self::Start => "start",
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Trap => "Transform.Trap",
            Self::Timeout => "Transform.Timeout",
            Self::Memory => "Transform.MemoryLimit",
            Self::Output => "Transform.OutputLimit",
            Self::Count => "Transform.WrongCount",
            Self::Result => "Transform.BadResult",
            Self::Start => "Transform.Start",
        }
    }
}

/// A call, or the start of an instance, that broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// How.
    pub cause: Cause,
    /// One sentence.
    pub message: String,
    /// Whether a loop gave up that would have gone on in the patient version.
    pub gave_up: bool,
}

impl Broken {
    pub(super) fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            message: message.into(),
            gave_up: false,
        }
    }

    /// The module has returned so many outcomes for so many records.
    pub(super) fn wrong_count(outcomes: usize, records: usize) -> Self {
        Self::new(
            Cause::Count,
            format!("the module returned {outcomes} outcomes for {records} records"),
        )
    }

    /// It has returned more than `output`.
    pub(super) fn over_output() -> Self {
        Self::new(Cause::Output, "the call returned more than output allows")
    }

    /// Reads an error of wasmtime. `said` is the last thing that the guest logged as an error: the
    /// text of a panic, which the trap itself lacks.
    pub(super) fn read(error: &wasmtime::Error, said: Option<String>) -> Self {
        if let Some(over) = error.downcast_ref::<OverMemory>() {
            return Self::new(Cause::Memory, over.to_string());
        }
        if let Some(over) = error.downcast_ref::<OverTime>() {
            return Self {
                cause: Cause::Timeout,
                message: over.to_string(),
                gave_up: *over == OverTime::GaveUp,
            };
        }
        let root = error.root_cause().to_string();
        match error.downcast_ref::<Trap>() {
            Some(trap) => {
                let trap = trap.to_string();
                Self::new(
                    Cause::Trap,
                    said.map_or(trap.clone(), |said| format!("{said} ({trap})")),
                )
            }
            // Wasmtime keeps the type of this one to itself.
            None if root.contains("fuel allocated for hostcalls") => Self::over_output(),
            None if error.downcast_ref::<GuestFault>().is_some() => Self::new(Cause::Trap, root),
            None => Self::new(Cause::Result, root),
        }
    }

    /// The failure of the record that broke the call.
    pub(super) fn failure(&self, module: &Arc<str>) -> Failure {
        failure(
            "Lambda.FunctionError",
            self.cause.code(),
            module,
            &self.message,
        )
    }
}

/// A record that the module itself failed.
pub(super) fn refused_record(module: &Arc<str>, message: &str) -> Failure {
    let message = if message.is_empty() {
        "ProcessingFailed status set for record"
    } else {
        message
    };
    failure(
        "Lambda.ProcessingFailedStatus",
        "Transform.RecordFailed",
        module,
        message,
    )
}

/// A record of a batch that the module failed as a whole, again and again.
pub(super) fn refused_batch(module: &Arc<str>, message: &str) -> Failure {
    failure(
        "Lambda.FunctionError",
        "Transform.BatchFailed",
        module,
        message,
    )
}

/// A record out of which the chain makes more than one call to the first module may make.
pub(super) fn expansion(module: &Arc<str>, limit: usize) -> Failure {
    let message = format!("more than {limit} bytes came out of the record");
    failure(
        "Lambda.FunctionError",
        Cause::Output.code(),
        module,
        &message,
    )
}

fn failure(
    code: &'static str,
    own_code: &'static str,
    module: &Arc<str>,
    message: &str,
) -> Failure {
    let message = cut(message, MESSAGE_BYTES_MAX).to_owned();
    let mut failure = Failure::new(ErrorOutputType::ProcessingFailed, code, message);
    failure.transform = Some(TransformFailure {
        module: Arc::clone(module),
        code: own_code,
    });
    failure
}

/// The text, or so much of its beginning as fits.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The guest asked for more memory than it may have.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the module asked for {wanted} bytes of memory; it may have {limit}")]
pub(super) struct OverMemory {
    pub(super) wanted: usize,
    pub(super) limit: usize,
}

/// A call has had its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OverTime {
    /// By the clock.
    #[error("the call took longer than timeout")]
    Timeout,
    /// By the number of a loop's turns, in the swift version.
    #[error("a loop took too long")]
    GaveUp,
}

/// The guest used the host in a way that is not allowed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct GuestFault(pub(super) &'static str);
