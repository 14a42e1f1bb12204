//! `firehose demo`: one command that shows data arriving.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::CommandError;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where objects and state go.
    #[arg(long, value_name = "DIR", default_value = "data/demo")]
    pub dir: PathBuf,
    /// Records a second.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Stop after so many seconds; until Ctrl-C when left out.
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Where the HTTP API listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4585")]
    pub listen: SocketAddr,
}

/// Runs the demo.
pub fn run(_args: &DemoArgs, _out: &mut dyn Write) -> Result<(), CommandError> {
    Err(CommandError::Usage("this build has no demo".to_owned()))
}
