//! The verbs of `firehose state`, each from its checks to what it says. The lock is held.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::super::CommandError;
use super::{directory, named, runtime, shards, uploads};
use crate::checkpoint::SealedObject;
use crate::checkpoint::aside::UnreadableFile;
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::holdings::{self, Beside, Holdings, SET_ASIDE};
use crate::daemon::{self, Drained};
use crate::error::with_causes;
use crate::pipeline::QUARANTINE_DIR;
use crate::printable::shell_word;

/// `state list`.
pub(super) fn list(config: &Config, out: &mut dyn Write) -> Result<(), CommandError> {
    let streams = holdings::streams(config)?;
    if streams.is_empty() {
        writeln!(out, "no stream has state in {}", config.state_dir.display())?;
    }
    for stream in streams {
        let whose = match config.streams.get(&stream) {
            Some(settings) if settings.source.is_shared() => {
                "from when this machine read it alone: the config shares it"
            }
            Some(_) => "in the config",
            None => "an orphan: the config does not name it",
        };
        writeln!(out, "{stream} ({whose})")?;
        let held = match Holdings::read(&config.state_dir.join(&stream), u64::MAX) {
            Ok(held) => held,
            Err(error) => {
                let cause = with_causes(error.as_ref());
                writeln!(out, "   cannot be read: {cause}")?;
                continue;
            }
        };
        writeln!(
            out,
            "   holds {}\n   incarnation {}, epoch {}",
            held.undelivered(),
            held.incarnation,
            held.epoch,
        )?;
        for damage in &held.damaged {
            writeln!(
                out,
                "   one copy of its checkpoints is damaged ({damage}): the next start mends it from the \
                 other; see to the disk"
            )?;
        }
        write_beside(config, &stream, &held.beside, out)?;
        shards::write(&held, Clock::system().now_ms(), out)?;
        write_missing(&held, out)?;
    }
    Ok(())
}

/// Objects that were moved aside and are told one by one.
const ASIDE_MAX: usize = 20;

/// What lies beside the state, each with its place.
fn write_beside(
    config: &Config,
    stream: &str,
    beside: &Beside,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let dir = config.state_dir.join(stream);
    for object in beside.objects.iter().take(ASIDE_MAX) {
        match object {
            Ok(aside) => {
                let SealedObject {
                    records, target, ..
                } = &aside.object;
                let key = &target.key;
                let (name, object) = (shell_word(stream), shell_word(key));
                let retry = config.command(&format!("state retry {name} --object {object}"));
                let path = dir.join(aside.path());
                writeln!(
                    out,
                    "   moved aside, not delivered: {key}, {records} records, in {}; `{retry}` puts it back",
                    path.display()
                )?;
            }
            Err(UnreadableFile { path, error }) => {
                let path = dir.join(path);
                writeln!(
                    out,
                    "   moved aside, not delivered: nobody knows what, {} cannot be read: {error}",
                    path.display()
                )?;
            }
        }
    }
    let more = beside.objects.len().saturating_sub(ASIDE_MAX);
    if more > 0 {
        writeln!(out, "   and {more} objects more")?;
    }
    let blocks = beside.blocks;
    if blocks > 0 {
        let aside = dir.join(QUARANTINE_DIR);
        let aside = aside.display();
        writeln!(
            out,
            "   {blocks} damaged blocks of records are set aside in {aside}, not delivered"
        )?;
    }
    Ok(())
}

/// Ranges of the journal that are told one by one.
const RANGES_MAX: usize = 8;

/// What damage in the journal has cost.
fn write_missing(held: &Holdings, out: &mut dyn Write) -> std::io::Result<()> {
    for range in held.missing.iter().take(RANGES_MAX) {
        let (first, last) = (range.first.0, range.last.0);
        let records = match (range.is_exact(), range.records()) {
            (true, records) => format!("{records} records"),
            (false, 0) => "nobody knows how many records, if any".to_owned(),
            (false, records) => format!("at least {records} records"),
        };
        writeln!(
            out,
            "   lost to damage in the journal: {records}, {first} to {last}"
        )?;
    }
    let more = held.missing.len().saturating_sub(RANGES_MAX);
    if more > 0 {
        writeln!(out, "   and {more} ranges more")?;
    }
    Ok(())
}

/// `state drain NAME`.
pub(super) fn drain(
    config: &Config,
    stream: &str,
    like: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let settings = match (config.streams.get(stream), like) {
        (Some(_), Some(_)) => {
            return Err(CommandError::Usage(format!(
                "the config names {stream}: --like is for state that it does not name"
            )));
        }
        (Some(settings), None) => settings.clone(),
        (None, Some(like)) => {
            let mut settings = named(config, like)?.clone();
            stream.clone_into(&mut settings.name);
            settings
        }
        (None, None) => {
            return Err(CommandError::Usage(format!(
                "the config does not name {stream}, and its state does not hold how to reach its \
                 destination: name it again, or add --like STREAM to deliver with the settings of \
                 another stream"
            )));
        }
    };
    let dir = directory(config, stream)?;
    let done = runtime()?.block_on(daemon::drain(config, settings))?;
    let Drained {
        objects,
        records,
        failed,
    } = done;
    let held = Holdings::read(&dir, 1)?.undelivered();
    writeln!(
        out,
        "{stream}: {objects} objects published with {records} records, {failed} failed records \
         among the error objects; its state holds {held}"
    )?;
    Ok(())
}

/// `state adopt OLD NEW`.
pub(super) fn adopt(
    config: &Config,
    old: &str,
    new: &str,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let settings = named(config, new)?;
    let from = directory(config, old)?;
    if config.streams.contains_key(old) {
        return Err(CommandError::Usage(format!(
            "the config still names {old}: rename its table to {new} first"
        )));
    }
    let refused = |why: String| {
        let (old, new) = (shell_word(old), shell_word(new));
        let drain = config.command(&format!("state drain {old} --like {new}"));
        Err(CommandError::Usage(format!(
            "{why}: deliver what {old} holds with `{drain}`"
        )))
    };
    // What cannot be read is for the start to judge, as it would be under its old name.
    let misfit = Holdings::read(&from, 1).ok();
    if let Some(misfit) = misfit.and_then(|held| held.misfit(settings)) {
        return refused(format!(
            "{new} cannot go on with the state of {old}: {misfit}"
        ));
    }
    let to = config.state_dir.join(new);
    let mut held = "nothing undelivered".to_owned();
    if holdings::has_state(&to)? {
        match Holdings::read(&to, u64::MAX) {
            Ok(own) if own.may_be_set_aside() => held = own.undelivered(),
            Ok(own) if own.is_delivered() => {
                let noun = own.kind.map_or("source", |kind| kind.noun());
                return refused(format!(
                    "{new} has read its {noun} by itself, and would read that again from where \
                     {old} was"
                ));
            }
            Ok(own) => return refused(format!("{new} holds {} of its own", own.undelivered())),
            Err(error) => {
                let cause = with_causes(error.as_ref());
                return refused(format!(
                    "{new} has state of its own that cannot be read ({cause})"
                ));
            }
        }
    }
    if to.try_exists()? {
        let aside = set_aside(config, new)?;
        writeln!(
            out,
            "the state that {new} has begun holds {held}, and is set aside as {}",
            aside.display()
        )?;
    }
    rename(&config.state_dir, &from, &to)?;
    writeln!(out, "{new} has the state of {old} from now on")?;
    Ok(())
}

/// `state discard NAME`.
pub(super) fn discard(
    config: &Config,
    stream: &str,
    yes: bool,
    delete: bool,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let dir = directory(config, stream)?;
    let (held, given_up) = match Holdings::read(&dir, u64::MAX) {
        Ok(held) => (held.undelivered(), held.uploads),
        Err(error) => {
            let beside = Beside::read(&dir).ok().and_then(|beside| beside.told());
            let beside = beside.map_or_else(String::new, |beside| format!(", and {beside}"));
            let cause = with_causes(error.as_ref());
            (format!("what cannot be read ({cause}){beside}"), Vec::new())
        }
    };
    writeln!(out, "{stream} holds {held}")?;
    if !yes {
        return Err(CommandError::Usage(
            "nothing was done: add --yes to set it aside, --yes --delete to delete it".to_owned(),
        ));
    }
    let settings = config.streams.get(stream);
    let now = settings.map_or_else(Vec::new, |settings| settings.destination.stores());
    uploads::abort(&given_up, &now, out)?;
    if delete {
        fs::remove_dir_all(&dir).with_context(|| format!("delete {}", dir.display()))?;
        sync(&config.state_dir)?;
        writeln!(out, "deleted {}", dir.display())?;
        return Ok(());
    }
    let aside = set_aside(config, stream)?;
    writeln!(out, "set aside as {}", aside.display())?;
    Ok(())
}

/// Gives the directory of a stream a name that nothing reads.
fn set_aside(config: &Config, stream: &str) -> anyhow::Result<PathBuf> {
    let mut time = Clock::system().now_ms() / 1000;
    let aside = loop {
        let aside = config.state_dir.join(format!("{stream}{SET_ASIDE}{time}"));
        if !aside.try_exists()? {
            break aside;
        }
        time += 1;
    };
    rename(&config.state_dir, &config.state_dir.join(stream), &aside)?;
    Ok(aside)
}

/// Renames a stream's directory, durably.
fn rename(state_dir: &Path, from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::rename(from, to)
        .with_context(|| format!("rename {} to {}", from.display(), to.display()))?;
    sync(state_dir)
}

fn sync(dir: &Path) -> anyhow::Result<()> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.with_context(|| format!("sync {}", dir.display()))
}
