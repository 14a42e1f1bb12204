//! The stores that a state names, reached again: whether they hold objects that the state still lists.
//!
//! An attempt may have published an object and died before that was recorded. So before an object goes elsewhere, the
//! store that it was to go to is asked for it, by its id.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use super::{CommandError, runtime};
use crate::checkpoint::SealedObject;
use crate::config::StoreSettings;
use crate::destination::{self, Destination, PublishError, Whose};
use crate::pipeline::is_there;

/// Objects that a message names.
const TOLD_MAX: usize = 20;

/// What the store of an object says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ObjectPresence {
    /// It is there: it was published, and not recorded.
    Published,
    /// It is not there.
    NotThere,
    /// Something is there that may be the object, changed since: what was found.
    Doubtful(String),
    /// There was no good answer, for this reason.
    Unknown(String),
}

impl ObjectPresence {
    fn of(answer: Result<bool, PublishError>) -> Self {
        match answer {
            Ok(true) => Self::Published,
            Ok(false) => Self::NotThere,
            Err(PublishError::Foreign { whose, cause, .. }) => match whose {
                Whose::Anothers => Self::NotThere,
                Whose::Ours | Whose::Unknown => Self::Doubtful(cause),
            },
            Err(error) => Self::Unknown(error.to_string()),
        }
    }

    /// Why nobody knows; `None`: it is known.
    fn doubt(&self) -> Option<&str> {
        match self {
            Self::Published | Self::NotThere => None,
            Self::Doubtful(why) | Self::Unknown(why) => Some(why),
        }
    }
}

/// Asks the store of each object for it; one answer for each, in order.
pub(super) fn ask(
    objects: &[SealedObject],
    now: &[&StoreSettings],
) -> Result<Vec<ObjectPresence>, CommandError> {
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    Ok(runtime()?.block_on(async {
        let stores = objects.iter().map(|object| &*object.target.store);
        let mut opened = BTreeMap::new();
        for store in stores.collect::<BTreeSet<&str>>() {
            opened.insert(store, reopen(store, now).await);
        }
        let mut fates = Vec::new();
        for object in objects {
            let store = &*object.target.store;
            fates.push(match &opened[store] {
                Ok(destination) => ObjectPresence::of(is_there(destination, object).await),
                Err(why) => ObjectPresence::Unknown(why.clone()),
            });
        }
        fates
    }))
}

async fn reopen(store: &str, now: &[&StoreSettings]) -> Result<Destination, String> {
    let reopened = Destination::reopen(&destination::named(store, now)?).await;
    reopened.map_err(|error| error.to_string())
}

/// Says of which objects nobody knows whether they are published; how many these are.
pub(super) fn tell_doubts(
    objects: &[SealedObject],
    fates: &[ObjectPresence],
    out: &mut dyn Write,
) -> std::io::Result<usize> {
    let mut doubts = 0;
    for (object, fate) in objects.iter().zip(fates) {
        let Some(why) = fate.doubt() else { continue };
        doubts += 1;
        if doubts <= TOLD_MAX {
            let at = object.target.location();
            writeln!(out, "{at} may be published already: {why}")?;
        }
    }
    if doubts > TOLD_MAX {
        writeln!(out, "and {} objects more", doubts - TOLD_MAX)?;
    }
    Ok(doubts)
}
