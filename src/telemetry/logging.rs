//! The log: text on a terminal, one JSON object a line otherwise. `RUST_LOG` filters both. Nothing that is logged
//! steers a terminal, and no password of a URL gets out, whoever logs it.

use std::io::{self, IsTerminal as _, Write};

use tracing::Subscriber;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::printable::{printable, printable_json, without_password};

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
        /// What is wrong with it. No source: it is told in the middle of the sentence.
        cause: tracing_subscriber::filter::ParseError,
    },
    /// A log is installed already.
    #[error("the log is set up already")]
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
    if io::stderr().is_terminal() {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        registry.with(text(io::stderr, colours)).try_init()?;
    } else {
        registry.with(json(io::stderr)).try_init()?;
    }
    Ok(())
}

/// The log for people.
fn text<S, W>(to: impl Fn() -> W + 'static, colours: bool) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: Write + 'static,
{
    tracing_subscriber::fmt::layer()
        .fmt_fields(format::debug_fn(field).delimited(" "))
        .with_writer(move || Discreet {
            to: to(),
            is_json: false,
        })
        .with_ansi(colours)
        .with_target(false)
}

/// The log for programs.
fn json<S, W>(to: impl Fn() -> W + 'static) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: Write + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(move || Discreet {
            to: to(),
            is_json: true,
        })
}

/// A field as text: what others have put into it stays in its line.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn std::fmt::Debug) -> std::fmt::Result {
    let text = format!("{value:?}");
    let text = printable(&text);
    match field.name() {
        "message" => writer.write_str(&text),
        name => write!(writer, "{name}={text}"),
    }
}

/// A writer of whole lines that keeps passwords to itself.
struct Discreet<W> {
    to: W,
    is_json: bool,
}

impl<W: Write> Write for Discreet<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = without_password(&text);
        let text = if self.is_json {
            printable_json(&text)
        } else {
            text.as_ref().into()
        };
        self.to.write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_others_say_stays_in_its_line_and_keeps_passwords() {
        let kept = Kept::default();
        let writer = || {
            let kept = kept.clone();
            move || kept.clone()
        };
        let log = |to: &dyn Fn(&dyn Fn())| {
            to(&|| {
                let said = "red \u{1b}[31m\nINFO forged \u{202e}\u{9b}2J";
                tracing::info!(line = %said, quoted = said, "module says {said}");
                tracing::warn!(
                    url = "http://user:hunter2@host/x",
                    "at http://user:hunter2@host:1/x"
                );
            });
            String::from_utf8(std::mem::take(&mut *kept.0.lock().unwrap())).unwrap()
        };
        let registry = tracing_subscriber::registry;
        let shown = log(&|say| {
            tracing::subscriber::with_default(registry().with(text(writer(), true)), say);
        });
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(
            shown.contains("module says red \\u{1b}[31m\\nINFO forged \\u{202e}\\u{9b}2J"),
            "{shown}"
        );
        assert!(
            !shown.contains("hunter2") && shown.contains("http://…@host:1/x"),
            "{shown}"
        );
        assert!(
            !shown.contains("\u{1b}[31m\n") && !shown.contains('\u{202e}'),
            "{shown}"
        );
        let shown =
            log(&|say| tracing::subscriber::with_default(registry().with(json(writer())), say));
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            !shown.contains(|c| crate::printable::steers(c) && c != '\n'),
            "{shown}"
        );
        let first: serde_json::Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
        assert!(
            first["line"]
                .as_str()
                .unwrap()
                .ends_with("\u{202e}\u{9b}2J")
        );
    }
}
