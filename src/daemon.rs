//! daemon: being written.

use std::path::PathBuf;

use crate::config::Config;

/// What the command line says beyond the config.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The file the config came from.
    pub config_path: PathBuf,
}

/// Runs every stream of the config until the process is told to stop.
pub async fn run(_config: Config, _options: RunOptions) -> anyhow::Result<()> {
    anyhow::bail!("this build has no daemon")
}
