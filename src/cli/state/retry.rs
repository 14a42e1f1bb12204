//! `state retry NAME`: objects that could not be published are sent again.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::{CommandError, aside, directory, named, runtime, uploads};
use crate::checkpoint::{CheckpointStore, STORE, SealedObject};
use crate::config::Config;
use crate::daemon;
use crate::disk::{Disk, HostDisk};
use crate::pipeline::{Tried, Wanted};
use crate::printable::shell_word;

/// Sends each object that waits once more, or the wanted one.
pub(super) fn run(
    config: &Config,
    stream: &str,
    wanted: Wanted<'_>,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let settings = named(config, stream)?;
    if settings.source.is_shared() {
        return Err(CommandError::Usage(format!(
            "{stream} is shared by several daemons: whoever holds a shard sends its objects again"
        )));
    }
    let disk = HostDisk::new(directory(config, stream)?).context("open the state")?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    if let Some(key) = wanted.key
        && aside::put_back(&disk, key, out)?.is_some()
    {
        writeln!(out, "{key} is back in the state")?;
    }
    let trying = daemon::try_again(config, settings.clone(), wanted);
    let all = runtime()?.block_on(trying).context("try again")?;
    if let (Some(key), true) = (wanted.key, all.is_empty()) {
        return Err(CommandError::Usage(not_tried(config, stream, &*disk, key)?));
    }
    let now = settings.destination.stores();
    for tried in &all {
        say(tried, out)?;
        uploads::abort(tried.given_up.as_slice(), &now, out)?;
    }
    let left = all.iter().filter(|tried| tried.refused.is_some()).count();
    writeln!(
        out,
        "{} of {} objects are published",
        all.len() - left,
        all.len()
    )?;
    if left > 0 {
        return Err(CommandError::Failed(anyhow::anyhow!(
            "{left} objects still wait; nothing of them is lost"
        )));
    }
    Ok(())
}

/// Why nothing was tried.
fn not_tried(config: &Config, stream: &str, disk: &dyn Disk, key: &str) -> anyhow::Result<String> {
    let found = CheckpointStore::peek(disk, Path::new(STORE)).context("read the state")?;
    let waiting = found.sealed.iter().find(|object| object.target.key == key);
    let Some(SealedObject { target, .. }) = waiting else {
        return Ok(format!("{key} neither waits nor was moved aside"));
    };
    let retarget = config.command(&format!("state retarget {}", shell_word(stream)));
    Ok(format!(
        "{key} waits for {}, which is not the destination of {stream}: name that again, or send what waits for \
         it to the one that is with `{retarget}`",
        target.store
    ))
}

fn say(tried: &Tried, out: &mut dyn Write) -> std::io::Result<()> {
    let Tried {
        key,
        renamed,
        refused,
        ..
    } = tried;
    if let Some(new_key) = renamed {
        writeln!(
            out,
            "something else is under {key}: it is {new_key} from now on"
        )?;
    }
    let key = renamed.as_ref().unwrap_or(key);
    match refused {
        None => writeln!(out, "{key} is published"),
        Some(cause) => writeln!(out, "{key} is not published: {cause}"),
    }
}
