//! The log: text on a terminal, one JSON object a line otherwise. `RUST_LOG` filters both.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged without `RUST_LOG`. The AWS SDK repeats at `info` what the daemon says itself.
const DEFAULT_FILTER: &str = "info,aws_config=warn,aws_runtime=warn,aws_smithy_runtime=warn";

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `RUST_LOG` does not parse.
    #[error("RUST_LOG={value:?}: {cause} (allowed: a level such as debug, or target=level pairs)")]
    Filter {
        /// The variable's value.
        value: String,
        /// What is wrong with it.
        cause: tracing_subscriber::filter::ParseError,
    },
    /// A log is installed already.
    #[error("the log is set up already: {0}")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// Installs the process-wide log on standard error. Call once, first of all.
pub fn init() -> Result<(), LoggingError> {
    let value = std::env::var("RUST_LOG")
        .ok()
        .filter(|value| !value.trim().is_empty());
    let filter =
        EnvFilter::try_new(value.as_deref().unwrap_or(DEFAULT_FILTER)).map_err(|cause| {
            LoggingError::Filter {
                value: value.unwrap_or_default(),
                cause,
            }
        })?;
    let registry = tracing_subscriber::registry().with(filter);
    if std::io::stderr().is_terminal() {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let text = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(colours)
            .with_target(false);
        registry.with(text).try_init()?;
    } else {
        let json = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(std::io::stderr);
        registry.with(json).try_init()?;
    }
    Ok(())
}
