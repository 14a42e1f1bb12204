//! What samples of a stream's records, one after the other, say of fields and columns. Pure: time is an argument.
//!
//! A field that no column takes is told when it is seen, and is over when none was seen for a while. A column that gets
//! no values is told only where it had some, and only when chance does not explain it: fields may be optional, and a
//! sample of a slow stream is small.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::format::{Survey, ValueCount};
use crate::telemetry::DriftKind;
use crate::telemetry::fields::PATHS_MAX;

/// A field that no column takes is over when it was not seen for so long: it may be a rare one.
const UNSEEN: Duration = Duration::from_mins(10);
/// The logarithm of how likely it may be, by what is known of a column, that it is empty so often in a row: one in a
/// million.
const CHANCE: f64 = -13.8;
/// So many values more are taken for missing: little is known of a column that was there in each of a few rows.
const DOUBT: u64 = 10;
/// Of more values than these what is known counts half: records may change in kind as time goes by.
const PAST_MAX: u64 = 100_000;

/// What is known from all samples so far.
#[derive(Debug)]
pub(super) struct DriftWatch {
    minds_unknown: bool,
    columns: BTreeMap<String, ColumnPast>,
    /// When each was last seen.
    unknown: BTreeMap<String, Moment>,
}

/// What has changed with a sample, by path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DriftNews {
    pub(super) begun: Vec<(DriftKind, String)>,
    pub(super) over: Vec<(DriftKind, String)>,
}

/// How often a column had a value.
#[derive(Clone, Copy, Debug, Default)]
struct ColumnPast {
    /// Up to its last value.
    known: ValueCount,
    /// How often it could have had one since.
    empty: u64,
    is_missing: bool,
}

impl ColumnPast {
    fn learn(&mut self, count: ValueCount) {
        self.empty += count.of;
        if count.there > 0 {
            self.known.there += count.there;
            self.known.of += std::mem::take(&mut self.empty);
            self.is_missing = false;
        }
        if self.known.of > PAST_MAX {
            self.known.there = self.known.there.div_ceil(2);
            self.known.of /= 2;
        }
    }

    /// Whether it is no chance that it is empty.
    #[expect(
        clippy::cast_precision_loss,
        reason = "it is about orders of magnitude"
    )]
    fn has_lost_its_field(&self) -> bool {
        let share = self.known.there as f64 / (self.known.of + DOUBT) as f64;
        self.known.there > 0 && self.empty as f64 * (1.0 - share).ln() <= CHANCE
    }
}

impl DriftWatch {
    /// `minds_unknown` says whether a field that no column takes is worth telling.
    pub(super) const fn new(minds_unknown: bool) -> Self {
        Self {
            minds_unknown,
            columns: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Takes in what the next sample shows; says what is so since then, and what no more.
    pub(super) fn learn(&mut self, survey: &Survey, now: Moment) -> DriftNews {
        let mut news = DriftNews::default();
        if self.minds_unknown {
            self.learn_unknown(survey, now, &mut news);
        }
        // Where no record fits nothing is known of columns.
        if !survey.columns.is_empty() {
            self.learn_columns(survey, &mut news);
        }
        news
    }

    fn learn_unknown(&mut self, survey: &Survey, now: Moment, news: &mut DriftNews) {
        for path in &survey.unknown {
            if let Some(seen) = self.unknown.get_mut(path) {
                *seen = now;
            } else if self.unknown.len() < PATHS_MAX {
                self.unknown.insert(path.clone(), now);
                news.begun.push((DriftKind::Unknown, path.clone()));
            }
        }
        news.over.extend(self.expire(now));
    }

    /// Forgets fields that were not seen for a while, which no sample says where nothing comes any more; says which.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<(DriftKind, String)> {
        let mut over = Vec::new();
        self.unknown.retain(|path, seen| {
            let lasts = seen.until(now) < UNSEEN;
            if !lasts {
                over.push((DriftKind::Unknown, path.clone()));
            }
            lasts
        });
        over
    }

    fn learn_columns(&mut self, survey: &Survey, news: &mut DriftNews) {
        // The columns may be others than before.
        self.columns.retain(|path, past| {
            let is_there = survey.columns.contains_key(path);
            if past.is_missing && !is_there {
                news.over.push((DriftKind::Missing, path.clone()));
            }
            is_there
        });
        for (path, count) in &survey.columns {
            let past = self.columns.entry(path.clone()).or_default();
            let was_missing = past.is_missing;
            past.learn(*count);
            past.is_missing |= past.has_lost_its_field();
            if past.is_missing != was_missing {
                let changed = if was_missing {
                    &mut news.over
                } else {
                    &mut news.begun
                };
                changed.push((DriftKind::Missing, path.clone()));
            }
        }
    }

    /// What is so now.
    pub(super) fn lasting(&self) -> impl Iterator<Item = (DriftKind, &str)> {
        let unknown = self.unknown.keys();
        let unknown = unknown.map(|path| (DriftKind::Unknown, path.as_str()));
        let missing = self.columns.iter().filter(|(_, past)| past.is_missing);
        unknown.chain(missing.map(|(path, _)| (DriftKind::Missing, path.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const EVERY: Duration = Duration::from_secs(20);

    /// A sample in which so many of so many rows have a value of `price`.
    fn survey(there: u64, of: u64, unknown: &[&str]) -> Survey {
        Survey {
            columns: [("price".to_owned(), ValueCount { there, of })].into(),
            unknown: unknown.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    fn news(begun: &[(DriftKind, &str)], over: &[(DriftKind, &str)]) -> DriftNews {
        let owned = |paths: &[(DriftKind, &str)]| {
            let paths = paths.iter();
            paths
                .map(|(kind, path)| (*kind, (*path).to_owned()))
                .collect()
        };
        DriftNews {
            begun: owned(begun),
            over: owned(over),
        }
    }

    #[test]
    fn a_renamed_field_is_told_once_under_both_names_and_over_when_it_is_back() {
        let (mut watch, clock) = (DriftWatch::new(true), Clock::manual(0));
        let (unknown, missing) = (DriftKind::Unknown, DriftKind::Missing);
        let renamed = [(unknown, "cost"), (missing, "price")];
        for (sample, expected) in [
            (survey(1000, 1000, &[]), news(&[], &[])),
            (survey(0, 1000, &["cost"]), news(&renamed, &[])),
            (survey(0, 1000, &["cost"]), news(&[], &[])),
            (survey(1, 1000, &["cost"]), news(&[], &[(missing, "price")])),
        ] {
            assert_eq!(watch.learn(&sample, clock.moment()), expected);
            clock.advance(EVERY);
        }
        assert_eq!(watch.lasting().collect::<Vec<_>>(), [(unknown, "cost")]);
        clock.advance(UNSEEN);
        let quiet = watch.learn(&survey(1000, 1000, &[]), clock.moment());
        assert_eq!(quiet, news(&[], &[(unknown, "cost")]));
        let again = watch.learn(&survey(1000, 1000, &["cost"]), clock.moment());
        assert_eq!(again, news(&[(unknown, "cost")], &[]));
    }

    #[test]
    fn a_field_is_over_after_a_while_also_where_no_sample_is_read_any_more() {
        let (mut watch, clock) = (DriftWatch::new(true), Clock::manual(0));
        watch.learn(&survey(1, 1, &["cost"]), clock.moment());
        clock.advance(EVERY);
        watch.learn(&survey(1, 1, &["note"]), clock.moment());
        clock.advance(UNSEEN.saturating_sub(EVERY));
        let over = [(DriftKind::Unknown, "cost".to_owned())];
        assert_eq!(watch.expire(clock.moment()), over);
        assert!(watch.expire(clock.moment()).is_empty(), "it is told once");
        let lasting: Vec<_> = watch.lasting().collect();
        assert_eq!(lasting, [(DriftKind::Unknown, "note")]);
        clock.advance(EVERY);
        assert_eq!(watch.expire(clock.moment()).len(), 1);
        assert_eq!(watch.lasting().count(), 0);
    }

    /// How many empty rows it takes to tell of a column, after so many rows of which so many had a value.
    fn patience(there: u64, of: u64) -> Option<u64> {
        let (mut watch, now) = (DriftWatch::new(true), Clock::manual(0).moment());
        watch.learn(&survey(there, of, &[]), now);
        (1..100_000).find(|_| !watch.learn(&survey(0, 1, &[]), now).begun.is_empty())
    }

    #[test]
    fn the_surer_a_field_was_the_sooner_it_is_missed() {
        assert_eq!(patience(1000, 1000), Some(3), "it was always there");
        assert_eq!(patience(100, 100), Some(6));
        assert_eq!(patience(10, 10), Some(20));
        assert_eq!(patience(500, 1000), Some(21), "every other one had it");
        assert_eq!(patience(10, 1000), Some(1387), "it is a rare one");
        assert_eq!(patience(0, 1000), None, "it never was there");
    }

    #[test]
    fn a_field_that_comes_and_goes_is_known_for_that() {
        let (mut watch, now) = (DriftWatch::new(true), Clock::manual(0).moment());
        for _ in 0..10_000 {
            // Of kinds of records that take turns one has it.
            for there in [10, 0] {
                let news = watch.learn(&survey(there, 10, &[]), now);
                assert_eq!(news, DriftNews::default());
            }
        }
        assert!(watch.columns["price"].known.of <= PAST_MAX);
        let gone = watch.learn(&survey(0, 1000, &[]), now);
        assert_eq!(gone, news(&[(DriftKind::Missing, "price")], &[]));
    }

    #[test]
    fn columns_that_are_no_more_are_not_missed_and_learned_ones_leave_no_field_over() {
        let (mut watch, now) = (DriftWatch::new(false), Clock::manual(0).moment());
        watch.learn(&survey(1000, 1000, &[]), now);
        let gone = watch.learn(&survey(0, 1000, &["note"]), now);
        assert_eq!(gone, news(&[(DriftKind::Missing, "price")], &[]));
        // Where nothing fits it stays as it was.
        let nothing = watch.learn(&Survey::default(), now);
        assert_eq!(nothing, DriftNews::default());
        let mut other = survey(5, 5, &[]);
        other.columns = [("cost".to_owned(), ValueCount { there: 5, of: 5 })].into();
        let over = watch.learn(&other, now);
        assert_eq!(over, news(&[], &[(DriftKind::Missing, "price")]));
        assert_eq!(watch.lasting().count(), 0);
    }

    #[test]
    fn whatever_fields_there_are_a_bounded_number_is_remembered() {
        let (mut watch, now) = (DriftWatch::new(true), Clock::manual(0).moment());
        for number in 0..1000 {
            watch.learn(&survey(1, 1, &[&format!("field {number}")]), now);
        }
        assert_eq!(watch.lasting().count(), PATHS_MAX);
    }
}
