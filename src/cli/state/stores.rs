//! The stores that a state names, reached again: whether they hold objects that the state still lists.
//!
//! An attempt may have published an object and died before that was recorded. So before an object goes elsewhere, the
//! store that it was to go to is asked for it, by its id. Where the config names that store no more, and its lanes reach
//! stores in several ways, each of them is asked: the name alone does not say which it was.

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

    /// What is known when another store that may be the object's was asked, too: what is there was published, and it is
    /// nowhere only where all say so.
    fn and(self, other: Self) -> Self {
        let weight = |fate: &Self| match fate {
            Self::NotThere => 0,
            Self::Doubtful(_) => 1,
            Self::Unknown(_) => 2,
            Self::Published => 3,
        };
        if weight(&other) > weight(&self) {
            other
        } else {
            self
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
            let mut fate = ObjectPresence::NotThere;
            for opened in &opened[&*object.target.store] {
                fate = fate.and(match opened {
                    Ok(destination) => ObjectPresence::of(is_there(destination, object).await),
                    Err(why) => ObjectPresence::Unknown(why.clone()),
                });
            }
            fates.push(fate);
        }
        fates
    }))
}

/// All that a store's name may mean, opened; or why not.
async fn reopen(store: &str, now: &[&StoreSettings]) -> Vec<Result<Destination, String>> {
    let settings = match destination::named(store, now) {
        Ok(settings) => settings,
        Err(why) => return vec![Err(why)],
    };
    let mut opened = Vec::new();
    for settings in &settings {
        let reopened = Destination::reopen(settings).await;
        opened.push(reopened.map_err(|error| error.to_string()));
    }
    opened
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::{FolderSettings, S3Settings};

    fn bucket(bucket: &str, endpoint: &str) -> StoreSettings {
        let settings = S3Settings {
            bucket: bucket.to_owned(),
            endpoint: Some(endpoint.to_owned()),
            ..S3Settings::default()
        };
        settings.into()
    }

    #[test]
    fn a_store_that_is_named_no_more_is_looked_for_wherever_a_lane_reaches_one_of_its_kind() {
        let (here, there) = ("http://here", "http://there");
        let folder = FolderSettings {
            path: "/lake".into(),
        };
        let folder = StoreSettings::from(folder);
        let (data, errors) = (bucket("lake", here), bucket("errors", there));
        let named = |name| destination::named(name, &[&folder, &data, &errors]);
        assert_eq!(named("s3://errors").unwrap(), std::slice::from_ref(&errors));
        let both = [bucket("former", here), bucket("former", there)];
        assert_eq!(named("s3://former").unwrap(), both);
        let elsewhere = FolderSettings {
            path: "/old".into(),
        };
        let elsewhere = StoreSettings::from(elsewhere);
        assert_eq!(named("folder:/old").unwrap(), [elsewhere]);
        assert!(named("gs://former").is_err());

        let same = bucket("backup", here);
        let named = |now: &[&StoreSettings]| destination::named("s3://former", now);
        assert_eq!(named(&[&data, &same]).unwrap(), both[..1]);
        assert!(named(&[&folder]).unwrap_err().contains("no bucket"));
    }

    #[test]
    fn an_object_is_nowhere_only_where_all_stores_say_so_that_may_be_its_own() {
        let unknown = ObjectPresence::Unknown("no answer".to_owned());
        let doubtful = ObjectPresence::Doubtful("something".to_owned());
        let rising = [
            ObjectPresence::NotThere,
            doubtful,
            unknown,
            ObjectPresence::Published,
        ];
        for (at, fate) in rising.iter().enumerate() {
            for other in &rising[..=at] {
                assert_eq!(fate.clone().and(other.clone()), *fate);
                assert_eq!(other.clone().and(fate.clone()), *fate);
            }
        }
    }
}
