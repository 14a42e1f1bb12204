//! `firehose run`: the daemon.

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;

use tracing::Level;

use super::{CommandError, places, runtime, settings};
use crate::daemon::{self, RunOptions};
use crate::error::with_causes;

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
    let is_read_by_people = std::io::stderr().is_terminal() || !tracing::enabled!(Level::ERROR);
    if !loaded.warnings.is_empty() && is_read_by_people {
        writeln!(err, "{}\n", loaded.warnings)?;
    } else if !loaded.warnings.is_empty() {
        tracing::warn!("{}", loaded.warnings);
    }
    let options = RunOptions { config_path };
    let ended = runtime()?.block_on(daemon::run(loaded.config, options));
    ended.map_err(|error| {
        if is_read_by_people {
            return error.into();
        }
        // The last line, too, is for whatever reads the log.
        tracing::error!("{}", with_causes(error.as_ref()));
        CommandError::Logged
    })
}
