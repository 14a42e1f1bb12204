//! `firehose run`: the daemon.

use std::io::Write;
use std::path::PathBuf;

use super::{CommandError, places, runtime, settings};
use crate::daemon::{self, RunOptions};

/// Loads the config and serves until stopped.
pub(super) fn run(config_path: PathBuf, err: &mut dyn Write) -> Result<(), CommandError> {
    let mut draft = settings::draft(&config_path)?;
    // A destination that cannot be written to now is waited for; without state nothing goes.
    let places = places::unwritable(&draft.config, &draft.spans, false);
    draft.found.extend(places);
    draft
        .found
        .extend(places::left_behind(&draft.config, &draft.spans));
    let loaded = draft.sound()?;
    if !loaded.warnings.is_empty() {
        writeln!(err, "{}\n", loaded.warnings)?;
    }
    let options = RunOptions { config_path };
    runtime()?.block_on(daemon::run(loaded.config, options))?;
    Ok(())
}
