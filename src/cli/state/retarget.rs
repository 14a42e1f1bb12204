//! `state retarget NAME`: what waits for another bucket or folder goes to the one that the config names now, but
//! for what is there already.

use std::io::Write;

use anyhow::Context as _;

use super::stores::{self, ObjectPresence};
use super::{CommandError, aside, directory, named, uploads};
use crate::checkpoint::{Commit, LaneStores, NamedUpload, SealedObject};
use crate::config::Config;
use crate::disk::HostDisk;

/// Moves what waits for elsewhere. `unasked`: objects go, too, of which nobody knows whether they are there.
pub(super) fn run(
    config: &Config,
    stream: &str,
    unasked: bool,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let settings = named(config, stream)?;
    let disk = HostDisk::private(directory(config, stream)?).context("open the state")?;
    let (store, found) = aside::open(&disk)?;
    let targets = LaneStores::of(&settings.destination);
    let now = settings.destination.stores();
    let elsewhere = found.sealed.into_iter();
    let elsewhere: Vec<SealedObject> = elsewhere
        .filter(|object| !targets.names(&object.target.store))
        .collect();
    let mut fates = stores::ask(&elsewhere, &now)?;
    let undecided = |fates: &[ObjectPresence], out: &mut dyn Write| -> Result<(), CommandError> {
        match stores::tell_doubts(&elsewhere, fates, out)? {
            doubts if doubts > 0 && !unasked => Err(CommandError::Usage(format!(
                "nothing was moved: {doubts} objects may be published already, and would be there twice. Let \
                 their store answer, or look yourself; add --unasked where they are not there, as when it never \
                 was"
            ))),
            _ => Ok(()),
        }
    };
    undecided(&fates, out)?;
    let given_up = store.uploads_elsewhere(&targets).context("retarget")?;
    let left = uploads::abort(&given_up, &now, out)?;
    // Until now somebody may have completed one; and until it is aborted somebody may yet.
    let with_uploads =
        |at: &usize| fates[*at] == ObjectPresence::NotThere && elsewhere[*at].upload_id.is_some();
    for at in (0..fates.len()).filter(with_uploads).collect::<Vec<_>>() {
        fates.splice(at..=at, stores::ask(&elsewhere[at..=at], &now)?);
        let is_left = NamedUpload::of(&elsewhere[at]).is_some_and(|upload| left.contains(&upload));
        if is_left && fates[at] == ObjectPresence::NotThere {
            fates[at] = ObjectPresence::Unknown(uploads::MAY_COMPLETE.to_owned());
        }
    }
    undecided(&fates, out)?;
    let there = elsewhere.iter().zip(&fates);
    let there = there.filter(|(_, fate)| **fate == ObjectPresence::Published);
    let commit = Commit {
        published: there.map(|(object, _)| object.id).collect(),
        ..Commit::default()
    };
    if !commit.published.is_empty() {
        store.commit(&commit).context("record what is published")?;
        writeln!(
            out,
            "{stream}: {} objects are published already where they were to go, and are recorded so",
            commit.published.len()
        )?;
    }
    let (open, sealed) = store.retarget(&targets).context("retarget")?;
    writeln!(
        out,
        "{stream}: {open} open batches and {sealed} sealed objects go to {} from now on",
        targets.told()
    )?;
    Ok(())
}
