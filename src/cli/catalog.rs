//! `firehose catalog`: what a stream's catalog is told beside what the daemon tells it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::{CommandError, runtime, schema, settings};
use crate::catalog::{self, Catalog, CatalogError, Fate, Standing, TableWish};
use crate::config::{Config, StreamSettings};
use crate::destination;
use crate::failure::ErrorOutputType;
use crate::partition::PrefixLayout;
use crate::pipeline;
use crate::printable::printable;
use crate::retry;
use crate::schema::TableJoin;

/// Places that are held in memory. A catalog takes no such table.
const PLACES_MAX: usize = 1_000_000;
/// How often a group is told before it is given up.
const ATTEMPTS_MAX: u32 = 8;
/// Places of each kind that are named.
const NAMED_MAX: usize = 20;

/// What is done with a catalog.
#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Tell the catalog of all partitions that the objects of a stream lie in, and of its columns. The daemon may run.
    Sync(SyncArgs),
}

/// Arguments of `catalog sync`.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// The delivery stream.
    stream: String,
    /// Say what would be told, and tell nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs `firehose catalog …`.
pub(super) fn run(
    command: &CatalogCommand,
    config: &Path,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let CatalogCommand::Sync(args) = command;
    let loaded = settings::load(config)?;
    let stream = settings::stream(&loaded.config, &args.stream)?;
    let Some(told) = &stream.catalog else {
        return Err(CommandError::Usage(format!(
            "stream \"{0}\" has no catalog; write [stream.{0}.catalog] with type and table",
            stream.name
        )));
    };
    let catalog = catalog::open(told).ok_or_else(|| anyhow!("no catalog is behind {told:?}"))?;
    let (wish, unread) = if told.creates() || pipeline::updates(stream) {
        wish(&loaded.config, config, stream)?
    } else {
        (TableWish::default(), None)
    };
    let syncing = Syncing {
        stream,
        catalog: &*catalog,
        name: told.name(),
        wish,
        dry_run: args.dry_run,
    };
    runtime()?.block_on(syncing.run(out))?;
    unread.map_or(Ok(()), Err)
}

/// What the table is to be, and why nothing is known of its columns where that keeps no partition from being told. A stream
/// that has learned no columns yet has no objects with any.
fn wish(
    config: &Config,
    file: &Path,
    stream: &StreamSettings,
) -> Result<(TableWish, Option<CommandError>), CommandError> {
    let creates = stream.catalog.as_ref().is_some_and(|told| told.creates());
    let columns = match schema::columns_in_force(config, file, stream) {
        Err(CommandError::Usage(_)) if !creates => return Ok((TableWish::default(), None)),
        Err(unread) if !creates => return Ok((TableWish::default(), Some(unread))),
        columns => columns?,
    };
    let draft = creates.then(|| pipeline::table_draft(stream, columns.clone()));
    let updates = pipeline::updates(stream).then_some(columns);
    let wish = TableWish {
        draft: draft.transpose().map_err(CommandError::Usage)?,
        objects: updates.and_then(|columns| pipeline::table_objects(stream, columns)),
    };
    Ok((wish, None))
}

/// Where the type of errors stands in a prefix of errors.
const ERROR_TYPE: &str = "!{firehose:error-output-type}";

/// One run.
struct Syncing<'a> {
    stream: &'a StreamSettings,
    catalog: &'a dyn Catalog,
    name: String,
    wish: TableWish,
    dry_run: bool,
}

impl Syncing<'_> {
    async fn run(&self, out: &mut dyn Write) -> Result<(), CommandError> {
        let (head, places) = self.places().await?;
        let store = &self.stream.destination.store;
        let at = store.location(&head);
        let compared = self.catalog.compare(&places, &self.wish).await;
        let compared = compared.map_err(|error| failed(&error))?;
        let (mut known, mut new) = (0, Vec::new());
        let (mut elsewhere, mut strange) = (Vec::new(), Vec::new());
        for (place, standing) in places.into_iter().zip(compared.standings) {
            match standing {
                Standing::Known => known += 1,
                Standing::New => new.push(place),
                Standing::Elsewhere(other) => {
                    elsewhere.push(format!("{place}: the catalog has it at {other}"));
                }
                Standing::NoPartition(why) => strange.push(format!("{place}: {why}")),
            }
        }
        let name = &self.name;
        writeln!(
            out,
            "under {at} there are objects in {} partitions that {name} knows, and in {} that it does not",
            known,
            new.len()
        )?;
        // What is wrong with columns keeps no partition from being told.
        let columns = match &compared.columns {
            Ok(join) => self.columns(join, out).await,
            Err(error) => Err(failed(error)),
        };
        if self.dry_run {
            list(out, "would be told", &new)?;
        } else {
            let (told, left_out) = self.tell(new).await?;
            list(out, "told", &told)?;
            strange.extend(left_out);
        }
        list(
            out,
            "not told, since their partitions lie elsewhere",
            &elsewhere,
        )?;
        list(out, "left out", &strange)?;
        columns
    }

    /// Brings up the table's columns, and says what has become of them.
    async fn columns(&self, join: &TableJoin, out: &mut dyn Write) -> Result<(), CommandError> {
        let changes: Vec<String> = join.changes.iter().map(ToString::to_string).collect();
        if self.dry_run {
            list(out, "columns of the table that would change", &changes)?;
        } else if !changes.is_empty() {
            self.bring_up().await?;
            list(out, "columns of the table that have changed", &changes)?;
        }
        let conflicts: Vec<String> = join.conflicts.iter().map(ToString::to_string).collect();
        let what = "columns that have other types in the table than in objects, and that stay so";
        list(out, what, &conflicts)?;
        Ok(())
    }

    async fn bring_up(&self) -> Result<(), CommandError> {
        let mut attempt = 0;
        loop {
            let told = self.catalog.tell(&[], &self.wish).await;
            let Err(error) = told.and_then(|told| told.columns) else {
                return Ok(());
            };
            attempt += 1;
            if !error.advice.is_empty() || attempt >= ATTEMPTS_MAX {
                return Err(failed(&error));
            }
            tokio::time::sleep(retry::delay(attempt, retry::TRANSIENT_MAX)).await;
        }
    }

    /// All places below the head of the prefix in which objects of data lie, and the head.
    async fn places(&self) -> Result<(String, Vec<String>), CommandError> {
        let destination = &self.stream.destination;
        let head = PrefixLayout::of(destination.prefix.as_deref()).head;
        let others = self.others(&head)?;
        let mut folders = BTreeSet::new();
        let mut take = |object: destination::ListedObject| {
            let (folder, name) = object.key.rsplit_once('/').unwrap_or(("", &object.key));
            let is_other = others.iter().any(|other| object.key.starts_with(other));
            // Readers pass over such names, and the stream's own markers lie in one.
            let is_hidden = name.is_empty()
                || name.starts_with(['.', '_'])
                || folder.split('/').any(|part| part.starts_with('.'));
            if is_other || is_hidden || folders.contains(folder) {
                return Ok(());
            }
            if folders.len() >= PLACES_MAX {
                let why = format!("there are objects in more than {PLACES_MAX} folders");
                return Err(io::Error::other(why));
            }
            folders.insert(folder.to_owned());
            Ok(())
        };
        let listed = destination::list(&destination.store, &head, &mut take).await;
        listed.map_err(|error| anyhow!(error))?;
        let place = |folder: String| match folder.as_str() {
            "" => destination.store.location(""),
            folder => destination.store.location(&format!("{folder}/")),
        };
        let places = folders.into_iter().map(place).collect();
        Ok((head, places))
    }

    /// What the keys of error and backup objects begin with, where those lie below the head of data. The error says which
    /// cannot be told apart from it.
    fn others(&self, head: &str) -> Result<Vec<String>, CommandError> {
        let destination = &self.stream.destination;
        // The type stands where the prefix of data ends, which has no expressions then.
        let usual = || {
            format!(
                "{}{ERROR_TYPE}/",
                destination.prefix.as_deref().unwrap_or_default()
            )
        };
        let errors = destination.error_prefix.clone().unwrap_or_else(usual);
        let of_type = |kind: &ErrorOutputType| ("error", errors.replace(ERROR_TYPE, kind.as_str()));
        // What has a destination of its own lies elsewhere.
        let are_here = destination.errors.is_none();
        let errors = ErrorOutputType::ALL
            .iter()
            .filter(|_| are_here)
            .map(of_type);
        let backup = self
            .stream
            .backup
            .as_ref()
            .filter(|_| destination.backup.is_none());
        let backup = backup.and_then(|backup| Some(("backup", backup.prefix.clone()?)));
        let late = destination.late_prefix.clone().map(|late| ("late", late));
        let mut others = Vec::new();
        for (whose, prefix) in errors.chain(backup).chain(late) {
            let fixed = prefix.split("!{").next().unwrap_or_default();
            if fixed == head {
                return Err(CommandError::Usage(format!(
                    "{whose} objects of stream {} lie among those of data: nothing in the text of their prefix \
                     \"{prefix}\" tells them apart before its first expression, so that they would be told as partitions",
                    self.stream.name
                )));
            }
            others.push(fixed.to_owned());
        }
        others.retain(|other| other.starts_with(head));
        Ok(others)
    }

    /// Tells of places in groups; those that the catalog knows now, and those that it does not take, with the reason.
    async fn tell(&self, new: Vec<String>) -> Result<(Vec<String>, Vec<String>), CommandError> {
        let (mut told, mut left_out) = (Vec::new(), Vec::new());
        for group in new.chunks(self.catalog.group_max().max(1)) {
            let (mut group, mut attempt) = (group.to_vec(), 0);
            while !group.is_empty() {
                let answer = self.catalog.tell(&group, &self.wish).await;
                let (fates, mut last_error) = match answer.and_then(|answer| answer.fates) {
                    Ok(fates) => (fates, None),
                    Err(error) if error.advice.is_empty() => (Vec::new(), Some(error)),
                    Err(error) => return Err(failed(&error)),
                };
                let mut later = Vec::new();
                let none = std::iter::repeat_with(|| None);
                let fates = fates.into_iter().map(Some).chain(none);
                for (place, fate) in group.into_iter().zip(fates) {
                    match fate {
                        Some(Fate::Told | Fate::Known) => told.push(place),
                        Some(Fate::NoPartition(why)) => left_out.push(format!("{place}: {why}")),
                        Some(Fate::Refused { code, cause }) => {
                            left_out.push(format!("{place}: {code}: {cause}"));
                        }
                        Some(Fate::Later { code, cause }) => {
                            let cause = format!("{place}: {code}: {cause}");
                            let advice = String::new();
                            last_error = Some(CatalogError {
                                code,
                                cause,
                                advice,
                            });
                            later.push(place);
                        }
                        None => later.push(place),
                    }
                }
                group = later;
                attempt += 1;
                if let Some(last_error) = last_error {
                    if attempt >= ATTEMPTS_MAX {
                        return Err(failed(&last_error));
                    }
                    tokio::time::sleep(retry::delay(attempt, retry::TRANSIENT_MAX)).await;
                }
            }
        }
        Ok((told, left_out))
    }
}

fn failed(error: &CatalogError) -> CommandError {
    CommandError::Failed(anyhow!("{error}"))
}

/// So many of what there is by name, under a line that says how many there are.
fn list(out: &mut dyn Write, what: &str, items: &[String]) -> io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "{what}: {}", items.len())?;
    for item in items.iter().take(NAMED_MAX) {
        writeln!(out, "  {}", printable(item))?;
    }
    if items.len() > NAMED_MAX {
        writeln!(out, "  and {} more", items.len() - NAMED_MAX)?;
    }
    Ok(())
}
