//! What a stream leaves at its destination: where its objects stand, how their names are told from those of
//! others, and what tells when a state began to publish.

use uuid::Uuid;

use super::claim::{FIRST_EPOCH, claims};
use super::outputs::refused;
use super::prefixes::{self, MadeUp, STREAM_VERSION};
use crate::config::StreamSettings;
use crate::error::StreamError;
use crate::partition::{Partitioner, before_object_name, has_expression};

/// Where the objects of a stream are, by its settings as they are now.
#[derive(Clone, Debug)]
pub struct Footprint {
    stream: String,
    heads: Vec<String>,
    marker_head: String,
    /// Whether text of a prefix may stand before a name without a slash between.
    is_glued: bool,
}

impl Footprint {
    /// That of a stream with these settings. The error says why its prefixes cannot be compiled.
    pub fn of(settings: &StreamSettings) -> Result<Self, StreamError> {
        let compiled = prefixes::compile(settings, MadeUp::default());
        let compiled = compiled.map_err(|faults| refused(&faults))?;
        let backup = compiled.backup.iter().map(Partitioner::literal);
        let mut heads: Vec<&str> = [compiled.data.literal(), compiled.errors.literal()]
            .into_iter()
            .chain(compiled.data.late_literal())
            .chain(backup)
            .collect();
        heads.sort_unstable();
        // What begins with another is found with it.
        heads.dedup_by(|head, before| head.starts_with(*before));
        let heads = heads.into_iter().map(str::to_owned).collect();
        let destination = &settings.destination;
        let of_backup = settings
            .backup
            .as_ref()
            .and_then(|backup| backup.prefix.as_ref());
        let mut written = [
            &destination.prefix,
            &destination.late_prefix,
            &destination.error_prefix,
        ]
        .into_iter()
        .flatten()
        .chain(of_backup);
        // A prefix without expressions has a time behind it, which ends in a slash.
        let is_glued = written.any(|prefix| has_expression(prefix) && !prefix.ends_with('/'));
        Ok(Self {
            stream: settings.name.clone(),
            heads,
            marker_head: compiled.errors.literal_head().to_owned(),
            is_glued,
        })
    }

    /// What the keys of its objects begin with, each with one of these. None of them begins with another.
    pub fn heads(&self) -> &[String] {
        &self.heads
    }

    /// The key under which a state claims its first epoch, before it publishes anything.
    pub fn first_claim(&self, incarnation: Uuid) -> String {
        claims(&self.marker_head, incarnation) + &FIRST_EPOCH.to_string()
    }

    /// Whether an object of the stream can have this key.
    pub fn holds(&self, key: &str) -> bool {
        let before = before_object_name(key, &self.stream, STREAM_VERSION);
        before.is_some_and(|before| {
            let is_whole_name = before.is_empty() || before.ends_with('/');
            is_whole_name || self.is_glued
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn footprint(lines: &str) -> Footprint {
        let text = format!(
            "[stream.c]\nsource.type = \"direct-put\"\ndestination.type = \"folder\"\n\
             destination.path = \"out\"\n{lines}"
        );
        let loaded = crate::config::parse(
            text,
            Path::new("firehose.toml"),
            &|_| None,
            &crate::registry::registry(),
        );
        let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
        Footprint::of(&loaded.config.streams["c"]).unwrap()
    }

    const NAME: &str = "c-1-2026-11-22-07-49-36-c2f706b1-941f-430f-86b6-a3f1eac2f616";

    #[test]
    fn every_object_is_below_a_head_and_no_place_is_looked_at_twice() {
        for (lines, heads) in [
            ("", &[""][..]),
            ("destination.prefix = \"a/\"", &["a/"]),
            (
                "destination.prefix = \"a/\"\ndestination.error_prefix = \"a/errors/\"",
                &["a/"],
            ),
            (
                "destination.prefix = \"a/!{timestamp:yyyy}/\"\ndestination.error_prefix = \
                 \"errors-!{firehose:error-output-type}/\"\nbackup.prefix = \"b\"",
                &["a/", "b", "errors-"],
            ),
            (
                "buffering.watermark = \"1m\"\npartitioning.event_time = \".t\"\ndestination.prefix = \
                 \"a/!{eventTime:yyyy}/\"\ndestination.late_prefix = \"late/\"\n\
                 destination.error_prefix = \"a/errors/\"",
                &["a/", "late/"],
            ),
        ] {
            assert_eq!(footprint(lines).heads(), heads, "{lines}");
        }
    }

    #[test]
    fn a_name_counts_where_the_prefix_puts_it() {
        let whole = footprint("destination.prefix = \"a/\"");
        let glued = footprint(
            "destination.prefix = \"a/!{timestamp:yyyy}-\"\ndestination.error_prefix = \"errors/\"",
        );
        assert!(whole.holds(NAME) && whole.holds(&format!("a/{NAME}.gz")));
        let other = format!("a/2026-{NAME}");
        assert!(
            glued.holds(&other) && !whole.holds(&other),
            "of a stream x-{NAME}"
        );
        assert!(!glued.holds(&format!("a/{NAME}/x")));
    }

    #[test]
    fn the_first_claim_is_the_one_of_recovery() {
        let of = footprint("destination.error_prefix = \"errors/\"");
        let claim = of.first_claim(Uuid::nil());
        assert_eq!(claim, format!("errors/.firehose/{}/1", Uuid::nil()));
    }
}
