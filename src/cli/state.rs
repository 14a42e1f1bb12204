//! `firehose state`: what a person can do to the state folder of a stopped daemon.

mod uploads;

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;

use super::{CommandError, runtime, settings};
use crate::checkpoint::Store;
use crate::clock::Clock;
use crate::daemon;
use crate::disk::HostDisk;
use crate::pipeline::store_name;

/// What is done to the state.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Send what waits for another bucket or folder to the one that the config names now.
    Retarget {
        /// The delivery stream's name.
        stream: String,
    },
}

/// Runs `firehose state …`. The daemon must not run: the state folder is locked.
pub(super) fn run(
    command: &StateCommand,
    config_path: &Path,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let StateCommand::Retarget { stream } = command;
    let config = settings::load(config_path)?.config;
    let settings = config.streams.get(stream).ok_or_else(|| {
        let names: Vec<&str> = config.streams.keys().map(String::as_str).collect();
        CommandError::Usage(format!(
            "no stream {stream}; there are: {}",
            names.join(", ")
        ))
    })?;
    let _lock = daemon::lock(&config.state_dir)?;
    let dir = config.state_dir.join(stream);
    if !dir.join("checkpoint.redb").exists() {
        return Err(CommandError::Usage(format!(
            "stream {stream} has no state in {}",
            dir.display()
        )));
    }
    let disk = HostDisk::new(&dir)?;
    let (store, _) = Store::open(
        &disk,
        Path::new("checkpoint.redb"),
        Clock::system().now_ms(),
    )
    .context("open the checkpoint store")?;
    let target = store_name(&settings.destination.store);
    let given_up = store.uploads_elsewhere(&target).context("retarget")?;
    uploads::abort(&given_up, &settings.destination.store, out)?;
    let (open, sealed) = store.retarget(&target).context("retarget")?;
    writeln!(
        out,
        "{stream}: {open} open batches and {sealed} sealed objects go to {target} from now on"
    )?;
    Ok(())
}
