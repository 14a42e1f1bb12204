//! State of streams that the config no longer names: what it still holds is a loud stop of the
//! stream that is missing (C6).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::holdings::{self, Holdings};
use crate::checkpoint::LaneStores;
use crate::clock::Clock;
use crate::config::{Config, StreamSettings};
use crate::error::{StreamError, with_causes};
use crate::http::Orphan;
use crate::pipeline::Status;
use crate::printable::shell_word;
use crate::telemetry::{Metrics, StreamMetrics, StreamState};

/// Finds the orphans that hold something undelivered; the harmless ones are only told of. Blocks
/// on the disk.
pub(super) fn find(config: &Config, metrics: &Metrics, clock: &Clock) -> Vec<Orphan> {
    let names = holdings::streams(config).unwrap_or_else(|error| {
        let dir = config.state_dir.display();
        tracing::error!(%dir, %error, "cannot look for streams that the config does not name");
        Vec::new()
    });
    let mut orphans = Vec::new();
    for name in names {
        if config.streams.contains_key(&name) {
            continue;
        }
        let dir = config.state_dir.join(&name);
        let held = Holdings::read(&dir, 1);
        let told = match &held {
            Ok(held) if held.is_delivered() => {
                tell_of_harmless(config, &name, held);
                continue;
            }
            Ok(held) if held.local.records > 0 => "accepted records that are not delivered".into(),
            Ok(held) => held.undelivered(),
            Err(error) => format!("what cannot be read: {}", with_causes(error.as_ref())),
        };
        let cause = format!(
            "the config does not name this stream, but {} holds {told}",
            dir.display()
        );
        let advice = advice(config, &name, held.as_ref().ok());
        tracing::error!(
            stream = name,
            cause,
            advice,
            "a stream is missing: a person must decide"
        );
        let stream_metrics = StreamMetrics::new(metrics, &name);
        let status = Arc::new(Status::new(stream_metrics.clone(), clock.clone()));
        status.set_state(StreamState::Stopped { cause, advice });
        status.observe(holdings::observation(held.as_ref().ok(), clock));
        orphans.push(Orphan {
            name,
            status,
            metrics: stream_metrics,
        });
    }
    orphans
}

/// Streams that must not begin: where an orphan says how far their source was read, they would
/// read it again, and could not adopt that state any more. Blocks on the disk.
pub(super) fn withheld(config: &Config) -> BTreeMap<String, StreamError> {
    let names = holdings::streams(config).unwrap_or_default();
    let orphans = names
        .iter()
        .filter(|name| !config.streams.contains_key(*name));
    let mut withheld = BTreeMap::new();
    for name in orphans {
        let Ok(held) = Holdings::read(&config.state_dir.join(name), 1) else {
            continue;
        };
        if !held.has_position() {
            continue;
        }
        for stream in config.streams.values() {
            let own = Holdings::read_if_any(&config.state_dir.join(&stream.name));
            let may_begin = own.is_ok_and(|own| own.is_none_or(|own| !own.has_position()));
            if may_begin && held.misfit(stream).is_none() {
                let noun = stream.source.kind().noun();
                let error = taken_over(config, name, &stream.name, noun);
                withheld.insert(stream.name.clone(), error);
            }
        }
    }
    withheld
}

fn taken_over(config: &Config, old: &str, new: &str, noun: &str) -> StreamError {
    let word = shell_word(old);
    let adopt = config.command(&format!("state adopt {word} {new}"));
    let discard = config.command(&format!("state discard {word} --yes"));
    StreamError::LoudStop {
        cause: format!(
            "{old}, which the config does not name any more, has read the {noun} that {new} \
             reads: {new} would read it again from its `start` on"
        ),
        advice: format!(
            "name {old} again, or stop the daemon and run `{adopt}` to go on where it was, or \
             `{discard}` to begin at `start`"
        ),
    }
}

/// State that holds no records, but perhaps a position.
fn tell_of_harmless(config: &Config, name: &str, held: &Holdings) {
    let dir = config.state_dir.join(name);
    let state = dir.display();
    if held.has_position() {
        let noun = held.kind.map_or("source", |kind| kind.noun());
        let advice = heirs(config, Some(held));
        let word = shell_word(name);
        let advice = advice.map(|new| config.command(&format!("state adopt {word} {new}")));
        tracing::warn!(
            stream = name,
            %state,
            holds = held.undelivered(),
            advice,
            "the config does not name this stream any more; its state says how far its {noun} was read"
        );
    } else if held.beside.told().is_some() {
        let advice = config.command("state list");
        tracing::warn!(
            stream = name,
            %state,
            holds = held.undelivered(),
            advice,
            "the config does not name this stream any more, but something lies beside its state: look at it \
             before that is removed"
        );
    } else {
        tracing::info!(
            stream = name,
            %state,
            "the config does not name this stream any more; its state holds nothing undelivered, and \
             may be removed"
        );
    }
}

/// What a person can do, in commands that work as they stand.
fn advice(config: &Config, name: &str, held: Option<&Holdings>) -> String {
    let name = shell_word(name);
    let mut ways = Vec::new();
    if held.is_some() {
        let like = choice(&drainers(config, held)).unwrap_or_else(|| "STREAM".to_owned());
        let drain = config.command(&format!("state drain {name} --like {like}"));
        ways.push(format!("`{drain}` to deliver it"));
    }
    if let Some(new) = heirs(config, held) {
        let adopt = config.command(&format!("state adopt {name} {new}"));
        ways.push(format!("`{adopt}` to go on under that name"));
    }
    let discard = config.command(&format!("state discard {name} --yes"));
    ways.push(format!("`{discard}` to set it aside undelivered"));
    let last = ways.pop().unwrap_or_default();
    let ways = match ways.join(", ") {
        none if none.is_empty() => last,
        others => format!("{others}, or {last}"),
    };
    format!("name the stream again, or stop the daemon and run {ways}")
}

/// The streams whose settings lead to where the state's objects wait to go; all, where none do.
fn drainers<'c>(config: &'c Config, held: Option<&Holdings>) -> Vec<&'c str> {
    let leads_there = |stream: &&StreamSettings| {
        let stores = LaneStores::of(&stream.destination);
        held.is_some_and(|held| held.stores.iter().all(|waiting| stores.names(waiting)))
    };
    let found: Vec<_> = config.streams.values().filter(leads_there).collect();
    let found = if found.is_empty() {
        config.streams.values().collect()
    } else {
        found
    };
    found.into_iter().map(|stream| &*stream.name).collect()
}

/// The streams that can take the state over: of the same source, and without records of their own.
fn heirs(config: &Config, held: Option<&Holdings>) -> Option<String> {
    let can_adopt = |stream: &&StreamSettings| {
        let dir = config.state_dir.join(&stream.name);
        let own = Holdings::read_if_any(&dir);
        let is_free = own.is_ok_and(|own| own.is_none_or(|own| own.may_be_set_aside()));
        is_free && held.is_some_and(|held| held.misfit(stream).is_none())
    };
    let found = config.streams.values().filter(can_adopt);
    choice(&found.map(|stream| &*stream.name).collect::<Vec<_>>())
}

/// The one that there is, or all to choose from.
fn choice(names: &[&str]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some((*one).to_owned()),
        many => Some(format!("<one of {}>", many.join(", "))),
    }
}
