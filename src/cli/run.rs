//! `firehose run`: the daemon.

use std::io::Write;
use std::path::PathBuf;

use super::{CommandError, runtime, settings};
use crate::daemon::{self, RunOptions};

/// Loads the config and serves until stopped.
pub(super) fn run(config_path: PathBuf, err: &mut dyn Write) -> Result<(), CommandError> {
    let loaded = settings::load(&config_path)?;
    if !loaded.warnings.is_empty() {
        writeln!(err, "{}\n", loaded.warnings)?;
    }
    let options = RunOptions { config_path };
    runtime()?.block_on(daemon::run(loaded.config, options))?;
    Ok(())
}
