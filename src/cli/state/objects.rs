//! The list of what a destination holds of a stream, for a person who cannot ask the checkpoints.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;

use super::super::CommandError;
use super::runtime;
use crate::config::{StoreSettings, StreamSettings};
use crate::destination::{self, ListError};
use crate::disk::Disk;
use crate::pipeline::Footprint;
use crate::source;

/// The list, in the folder of an export…
const OBJECTS: &str = "objects.jsonl";
/// …and its name while there may be more.
const UNFINISHED: &str = "objects.jsonl.unfinished";
/// What was being done when the list itself could not be written.
const BEGUN: &str = "write the list of objects";
/// By how much an object may be older than the claim that came before it: clocks are set.
const MARGIN_MS: i64 = 24 * 60 * 60 * 1000;

/// Lists the objects of a stream that are at its stores and not older than the state on `disk`, as lines of JSON in a
/// file of `to`: one too many does no harm, one too few would be sent twice. Where a store does not tell, the others
/// are listed all the same, under a name that says that there may be more.
pub(super) fn list(
    settings: &StreamSettings,
    disk: &dyn Disk,
    to: &Path,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let stream = &settings.name;
    let footprint = Footprint::of(settings).map_err(anyhow::Error::from)?;
    // Why nothing there tells is told with the records.
    let mut locals = source::locals();
    let incarnation = locals.find_map(|(_, local)| local.incarnation(disk).unwrap_or_default());
    let (path, unfinished) = (to.join(OBJECTS), to.join(UNFINISHED));
    let mut lines = File::create_new(&unfinished)
        .map(BufWriter::new)
        .context(BEGUN)?;
    let (mut told, mut untold) = (Vec::new(), Vec::new());
    for store in settings.destination.stores() {
        let named = store.name();
        let done = runtime()?.block_on(async {
            let since = match incarnation {
                Some(incarnation) => {
                    let claimed_ms = written_ms(store, &footprint.first_claim(incarnation)).await?;
                    claimed_ms.map_or(Since::Unclaimed, Since::Claimed)
                }
                None => Since::Unknown,
            };
            let objects = write(store, &footprint, since.oldest_ms(), &mut lines).await?;
            Ok::<_, ListError>((since, objects))
        });
        match done {
            Ok((since, objects)) => told.push((named, since, objects)),
            Err(ListError::Store(why)) => untold.push(format!("{named}: {why}")),
            Err(error) => return Err(anyhow::Error::from(error).context(BEGUN).into()),
        }
    }
    let listed = lines.into_inner().map_err(std::io::Error::from);
    let synced = listed.and_then(|file| file.sync_all());
    let path = if untold.is_empty() {
        let renamed = synced.and_then(|()| fs::rename(&unfinished, &path));
        renamed.map(|()| path)
    } else {
        synced.map(|()| unfinished)
    };
    let path = path.context("finish the list of objects")?;
    for (named, since, objects) in told {
        writeln!(
            out,
            "{objects} objects of {stream} that {named} holds are listed in {}: store, key, size, lastModified; {}",
            path.display(),
            since.told()
        )?;
    }
    if untold.is_empty() {
        return Ok(());
    }
    Err(CommandError::Failed(anyhow::anyhow!(
        "what these hold of {stream} is not listed: {} (all else is exported; the list is {UNFINISHED}; mend the cause \
         and export into another folder)",
        untold.join("; ")
    )))
}

/// From when on objects can belong to a state.
#[derive(Clone, Copy, Debug)]
enum Since {
    /// It claimed its first epoch then, by the destination's clock, and had published nothing before.
    Claimed(i64),
    /// Its first claim is not there.
    Unclaimed,
    /// Nothing tells which state it is.
    Unknown,
}

impl Since {
    const fn oldest_ms(self) -> i64 {
        match self {
            Self::Claimed(claimed_ms) => claimed_ms.saturating_sub(MARGIN_MS),
            Self::Unclaimed | Self::Unknown => i64::MIN,
        }
    }

    const fn told(self) -> &'static str {
        match self {
            Self::Claimed(_) => {
                "from a day before this state first came to its destination; older ones are not of it"
            }
            Self::Unclaimed => {
                "all there are of the stream, those of earlier states too: the marker of when this state \
                 first came to its destination is not there"
            }
            Self::Unknown => {
                "all there are of the stream, those of earlier states too: no journal tells which state \
                 this is"
            }
        }
    }
}

/// When the object at `key` was written; `None`: there is none.
async fn written_ms(store: &StoreSettings, key: &str) -> Result<Option<i64>, ListError> {
    let mut written_ms = None;
    let mut look = |found: destination::ListedObject| {
        if found.key == key {
            written_ms = Some(found.modified_ms);
        }
        Ok(())
    };
    destination::list(store, key, &mut look).await?;
    Ok(written_ms)
}

/// Writes the objects of one store; how many there are.
async fn write(
    store: &StoreSettings,
    footprint: &Footprint,
    oldest_ms: i64,
    lines: &mut BufWriter<File>,
) -> Result<u64, ListError> {
    let (mut objects, named) = (0, store.name());
    let mut take = |found: destination::ListedObject| {
        if found.modified_ms < oldest_ms || !footprint.holds(&found.key) {
            return Ok(());
        }
        objects += 1;
        let line = serde_json::json!({
            "store": named,
            "key": found.key,
            "size": found.size,
            "lastModified": found.modified_ms,
        });
        writeln!(lines, "{line}")
    };
    for head in footprint.heads() {
        destination::list(store, head, &mut take).await?;
    }
    Ok(objects)
}
