//! When to say again what has been said: a line that would repeat is logged when its cause is new, then
//! once a minute for as long as it lasts.

#![expect(
    clippy::disallowed_methods,
    reason = "a line is said again after a while"
)]

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often what lasts is said again.
const EVERY: Duration = Duration::from_mins(1);
/// Causes that are told apart. Of more, the rest waits until these are a minute old.
const CAUSES_MAX: usize = 16;

/// What has been said lately.
#[derive(Debug, Default)]
pub struct Repeats(Mutex<HashMap<(&'static str, String), LastSaid>>);

#[derive(Debug)]
struct LastSaid {
    at: Instant,
    /// How often it would have been said since.
    unsaid: u64,
}

impl Repeats {
    /// Whether to say `line` of `cause` now; if so, how often it has not been said since the last time.
    ///
    /// What the cause says of one object or attempt must not be in it, or each would be new.
    pub fn due(&self, line: &'static str, cause: &str) -> Option<u64> {
        self.due_at(line, cause, Instant::now())
    }

    /// The same for a cause that begins with what was done, and to which object or shard, up to a colon: of
    /// many that fail alike one speaks for all.
    pub fn due_alike(&self, line: &'static str, cause: &str) -> Option<u64> {
        self.due(line, kind(cause))
    }

    /// The same of one of several stores, each of which has one to speak for it.
    pub fn due_at_store(&self, line: &'static str, store: &str, cause: &str) -> Option<u64> {
        self.due(line, &format!("{store}: {}", kind(cause)))
    }

    /// `line` is no longer true: whatever it is said of next is new.
    pub fn over(&self, line: &'static str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|(of, _), _| *of != line);
    }

    fn due_at(&self, line: &'static str, cause: &str, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |said: &LastSaid| now.saturating_duration_since(said.at) >= EVERY;
        let key = (line, cause.to_owned());
        if let Some(before) = said.get_mut(&key) {
            before.unsaid += 1;
            if !is_old(before) {
                return None;
            }
            before.at = now;
            return Some(std::mem::take(&mut before.unsaid) - 1);
        }
        if said.len() >= CAUSES_MAX {
            said.retain(|_, before| !is_old(before));
            if said.len() >= CAUSES_MAX {
                return None;
            }
        }
        said.insert(key, LastSaid { at: now, unsaid: 0 });
        Some(0)
    }
}

/// A cause without what was done.
fn kind(cause: &str) -> &str {
    cause.split_once(": ").map_or(cause, |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_once_then_when_its_cause_changes_or_each_minute() {
        let (repeats, begin) = (Repeats::default(), Instant::now());
        let due =
            |second, cause| repeats.due_at("not ready", cause, begin + Duration::from_secs(second));
        let said: Vec<u64> = (0..=150)
            .filter(|&second| due(second, "refused").is_some())
            .collect();
        assert_eq!(said, [0, 60, 120]);
        assert_eq!(due(151, "denied"), Some(0), "another cause");
        assert_eq!(
            due(152, "refused"),
            None,
            "which was said half a minute ago"
        );
        assert_eq!(due(180, "refused"), Some(31), "and how often it was not");
        repeats.over("not ready");
        assert_eq!(due(181, "refused"), Some(0), "it had passed");
    }

    #[test]
    fn of_many_objects_that_fail_alike_one_speaks() {
        let repeats = Repeats::default();
        let due = |cause| repeats.due_alike("publishing", cause).is_some();
        assert!(due("putting s3://lake/a: SlowDown: reduce your rate"));
        assert!(!due("putting s3://lake/b: SlowDown: reduce your rate"));
        assert!(due("putting s3://lake/b: InternalError"));
        assert!(due("no colon"));
    }

    #[test]
    fn of_two_stores_that_fail_alike_each_is_named() {
        let repeats = Repeats::default();
        let due = |store, cause| repeats.due_at_store("publishing", store, cause).is_some();
        assert!(due("s3://lake", "putting s3://lake/a: AccessDenied"));
        assert!(due("s3://errors", "putting s3://errors/a: AccessDenied"));
        assert!(!due("s3://errors", "putting s3://errors/b: AccessDenied"));
        repeats.over("publishing");
        assert!(due("s3://lake", "putting s3://lake/c: AccessDenied"));
    }

    #[test]
    fn causes_that_are_always_new_do_not_fill_the_log() {
        let (repeats, begin) = (Repeats::default(), Instant::now());
        let said = (0..600_u64).filter(|second| {
            let now = begin + Duration::from_secs(*second);
            repeats
                .due_at("not ready", &format!("request {second}"), now)
                .is_some()
        });
        assert!(said.count() <= 10 * CAUSES_MAX);
    }
}
