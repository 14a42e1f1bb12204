//! What modules log while a command runs them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use crate::printable::printable;
use crate::transform::{Level, Observer};

/// Lines that were logged and not written yet.
pub(in crate::cli) struct LogLines {
    sender: Sender<(Level, String)>,
    lines: Receiver<(Level, String)>,
}

impl LogLines {
    pub(in crate::cli) fn new() -> Self {
        let (sender, lines) = mpsc::channel();
        Self { sender, lines }
    }

    /// Takes a module's lines.
    pub(in crate::cli) fn observer(&self) -> anyhow::Result<Observer> {
        let sender = self.sender.clone();
        Observer::of_log(Arc::new(move |level, line| {
            // Nobody listens any more when the command ends.
            let _ = sender.send((level, line.to_owned()));
        }))
    }

    /// Writes what was logged since; returns how many lines that were.
    pub(in crate::cli) fn write(&self, err: &mut dyn Write) -> io::Result<u64> {
        let mut count = 0;
        for (level, line) in self.lines.try_iter() {
            let level = match level {
                Level::Error => "error",
                Level::Warn => "warn",
                Level::Info => "info",
                Level::Debug => "debug",
            };
            writeln!(err, "log {level}: {}", printable(&line))?;
            count += 1;
        }
        Ok(count)
    }
}
