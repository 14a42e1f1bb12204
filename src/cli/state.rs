//! `firehose state`: what a person can do to the state folder of a stopped daemon.

mod aside;
mod export;
mod objects;
mod retarget;
mod retry;
mod shards;
mod shared;
mod stores;
mod unlist;
mod uploads;
mod verbs;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use self::aside::Consent;
use super::{CommandError, places, runtime, settings};
use crate::clock::Clock;
use crate::config::{Config, StreamSettings};
use crate::daemon::{self, holdings};
use crate::pipeline::Wanted;

/// What is done to the state.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Show what the state of each stream holds; change nothing.
    List,
    /// Deliver what the state of a stream holds, exactly as the daemon would, and end.
    Drain {
        /// The stream's name, in the config or not.
        stream: String,
        /// Take the settings of this stream: for state that the config does not name. Records that
        /// no batch holds yet are partitioned by its query and prefixes.
        #[arg(long, value_name = "STREAM")]
        like: Option<String>,
    },
    /// Make the state that the config does not name that of a stream which has no records of its own.
    Adopt {
        /// The name that the state has.
        old: String,
        /// A stream that the config names.
        new: String,
    },
    /// Set the state of a stream aside: what it holds is not delivered.
    Discard {
        /// The stream's name, in the config or not.
        stream: String,
        /// Do it; without, only say what would be thrown away.
        #[arg(long)]
        yes: bool,
        /// Delete the folder instead of renaming it.
        #[arg(long)]
        delete: bool,
        /// Move only this object aside that cannot be published. Of a shared stream: give up one whose
        /// upload the bucket has lost, while the daemons run.
        #[arg(long, value_name = "KEY", conflicts_with = "delete")]
        object: Option<String>,
        /// Move it aside although its store does not say whether it has it already.
        #[arg(long, requires = "object")]
        unasked: bool,
    },
    /// Write all that can be read of the state of a stream to files, and a list of what its destination
    /// holds of it; change nothing.
    Export {
        /// The stream's name, in the config or not.
        stream: String,
        /// A folder, which is made.
        dir: PathBuf,
    },
    /// Send objects again that could not be published: under a new key where another object is under
    /// theirs. What `discard --object` has moved aside is put back.
    Retry {
        /// The delivery stream's name.
        stream: String,
        /// Only this object; also one that was moved aside.
        #[arg(long, value_name = "KEY")]
        object: Option<String>,
        /// Give it a new key where nothing tells whose it is what is under its own: you have looked, and it never
        /// was this object, which is there twice otherwise.
        #[arg(long, requires = "object")]
        new_key: bool,
    },
    /// Send what waits for another bucket or folder to the one that the config names now, but for what is
    /// published there already.
    Retarget {
        /// The delivery stream's name.
        stream: String,
        /// Send objects, too, of which their store does not say whether it has them: you know that it has not.
        #[arg(long)]
        unasked: bool,
    },
}

/// Runs `firehose state …`. The daemon must not run: the state folder is locked. Only shared streams
/// are listed and mended while it does.
pub(super) fn run(
    command: &StateCommand,
    config_path: &Path,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut draft = settings::draft(config_path)?;
    let left_behind = places::left_behind(&draft.config, &draft.spans);
    draft.found.extend(left_behind);
    let config = draft.sound()?.config;
    if let StateCommand::List = command {
        shared::list(&config, Clock::system().now_ms(), out)?;
        // Without the lock, so that daemons may run, unless there is also state that one machine has.
        if shared::are_all(&config) && holdings::streams(&config)?.is_empty() {
            return Ok(());
        }
    }
    if let StateCommand::Discard {
        stream,
        yes,
        object: Some(key),
        ..
    } = command
        && config
            .streams
            .get(stream)
            .is_some_and(|settings| settings.source.is_shared())
    {
        return unlist::run(&config, stream, key, *yes, out);
    }
    let _lock = daemon::lock(&config.state_dir)?;
    match command {
        StateCommand::List => verbs::list(&config, out),
        StateCommand::Drain { stream, like } => verbs::drain(&config, stream, like.as_deref(), out),
        StateCommand::Adopt { old, new } => verbs::adopt(&config, old, new, out),
        StateCommand::Discard {
            stream,
            yes,
            object: Some(key),
            unasked,
            ..
        } => {
            let consent = Consent {
                yes: *yes,
                unasked: *unasked,
            };
            aside::discard(&config, stream, key, consent, out)
        }
        StateCommand::Retry {
            stream,
            object,
            new_key,
        } => {
            let wanted = Wanted {
                key: object.as_deref(),
                may_rename: *new_key,
            };
            retry::run(&config, stream, wanted, out)
        }
        StateCommand::Discard {
            stream,
            yes,
            delete,
            object: None,
            ..
        } => verbs::discard(&config, stream, *yes, *delete, out),
        StateCommand::Export { stream, dir } => export::run(&config, stream, dir, out),
        StateCommand::Retarget { stream, unasked } => retarget::run(&config, stream, *unasked, out),
    }
}

/// The stream of that name in the config.
fn named<'a>(config: &'a Config, stream: &str) -> Result<&'a StreamSettings, CommandError> {
    config.streams.get(stream).ok_or_else(|| {
        let names: Vec<&str> = config.streams.keys().map(String::as_str).collect();
        CommandError::Usage(format!(
            "no stream {stream} in the config; there are: {}",
            names.join(", ")
        ))
    })
}

/// The directory of a stream that has state.
fn directory(config: &Config, stream: &str) -> Result<PathBuf, CommandError> {
    let found = holdings::streams(config)?;
    if found.iter().any(|name| name == stream) {
        return Ok(config.state_dir.join(stream));
    }
    let (dir, found) = (config.state_dir.display(), found.join(", "));
    let there_are = if found.is_empty() {
        "none has".to_owned()
    } else {
        format!("there is state of: {found}")
    };
    Err(CommandError::Usage(format!(
        "stream {stream} has no state in {dir}; {there_are}"
    )))
}

#[cfg(test)]
mod tests;
