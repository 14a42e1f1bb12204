//! Whether a stream has forgotten what was not read yet. Pure.
//!
//! Kinesis does not say so: it goes on with the oldest record that it keeps. But it gives a record again that is still
//! there. So where reading begins anew it begins at the last record that was given, and where another one comes
//! first, that one is gone, and others may be. They are not where all had been read that arrived before what the
//! stream keeps.

use crate::position::SequenceNumber;
use crate::shard::{ShardStart, ShardState};

/// How far a shard has been read, and what is to come first.
#[derive(Debug)]
pub(super) struct Watch {
    /// All is read that had arrived by then, in ms.
    until_ms: Option<i64>,
    /// What followed was told to be gone.
    is_told: bool,
    /// Behind which record reading has begun last.
    begun: Option<SequenceNumber>,
    /// Whether that record is still to come.
    is_awaited: bool,
}

/// A time that the stream has forgotten before it was read, in which records may have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The last record that was given before it.
    pub(super) after: Option<SequenceNumber>,
    /// When it begins, in ms, where that is known.
    pub(super) since_ms: Option<i64>,
}

/// What a page tells of its place in the shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenPage {
    /// Its first record.
    pub(super) first: Option<SequenceNumber>,
    /// Nothing lies behind it, for now or for good.
    pub(super) is_last: bool,
    /// All that had arrived by then, in ms, is in it or came before it, where that is known.
    pub(super) until_ms: Option<i64>,
}

impl Gap {
    /// All that was to come of a shard that has been read so far.
    pub(super) fn behind(state: &ShardState) -> Self {
        Self {
            after: state.position.map(|position| position.sequence),
            since_ms: read_until_ms(state),
        }
    }
}

/// By when all of a shard had arrived that is read, or is not to be read. A time that reading is to begin at does not
/// count: the stream may never have kept what arrived then.
fn read_until_ms(state: &ShardState) -> Option<i64> {
    state.until_ms.or(match state.start {
        ShardStart::Latest(ms) => Some(ms),
        ShardStart::TrimHorizon | ShardStart::Time(_) => None,
    })
}

impl Watch {
    /// Of a shard that has been read so far.
    pub(super) fn of(state: &ShardState) -> Self {
        Self {
            until_ms: read_until_ms(state),
            is_told: false,
            begun: None,
            is_awaited: false,
        }
    }

    /// By when, in ms, all had arrived that is read.
    pub(super) const fn until_ms(&self) -> Option<i64> {
        self.until_ms
    }

    /// Whether the stream, which keeps what has arrived since then, may have forgotten what comes next.
    pub(super) fn is_overtaken(&self, kept_since_ms: i64) -> bool {
        self.until_ms
            .is_some_and(|until_ms| until_ms < kept_since_ms)
    }

    /// Whether reading would begin elsewhere than it did last.
    pub(super) fn has_moved(&self, given: Option<SequenceNumber>) -> bool {
        self.begun != given
    }

    /// Whether the record that reading has begun at, or what comes in its place, is still to come.
    pub(super) const fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// Reading begins at the record that was given last. Where there is none nobody can see whether anything is gone
    /// before what comes first.
    pub(super) fn begin(
        &mut self,
        given: Option<SequenceNumber>,
        kept_since_ms: i64,
    ) -> Option<Gap> {
        self.begun = given;
        self.is_awaited = given.is_some();
        if self.is_awaited || self.is_told || !self.is_overtaken(kept_since_ms) {
            return None;
        }
        self.is_told = true;
        Some(self.gap())
    }

    /// A page has come. While it holds nothing, and there is more, the record that is awaited may still come, and
    /// nothing is known to be read.
    pub(super) fn see(&mut self, page: SeenPage, kept_since_ms: i64) -> Option<Gap> {
        if self.is_awaited && page.first.is_none() && !page.is_last {
            return None;
        }
        let is_gone = self.is_awaited && page.first.is_none_or(|first| Some(first) > self.begun);
        let is_unread = self.until_ms.is_none() || self.is_overtaken(kept_since_ms);
        let gap = (is_gone && is_unread).then(|| self.gap());
        self.is_awaited = false;
        // What is read stays so, though an event that was pushed knows less of it than the one before.
        if page.until_ms > self.until_ms {
            (self.until_ms, self.is_told) = (page.until_ms, false);
        }
        gap
    }

    const fn gap(&self) -> Gap {
        Gap {
            after: self.begun,
            since_ms: self.until_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Sequence;

    const KEPT_SINCE_MS: i64 = 1000;

    fn number(number: u64) -> SequenceNumber {
        Sequence(number).into()
    }

    fn page(first: Option<u64>, is_last: bool, until_ms: i64) -> SeenPage {
        SeenPage {
            first: first.map(number),
            is_last,
            until_ms: Some(until_ms),
        }
    }

    /// A shard of which nothing was given, and that was read until then.
    fn read(until_ms: Option<i64>) -> Watch {
        Watch::of(&ShardState {
            until_ms,
            ..ShardState::default()
        })
    }

    /// A shard that was read up to record 7, and until then.
    fn begun(until_ms: Option<i64>) -> Watch {
        let mut watch = read(until_ms);
        assert_eq!(watch.begin(Some(number(7)), KEPT_SINCE_MS), None);
        watch
    }

    fn gap(since_ms: Option<i64>) -> Gap {
        Gap {
            after: Some(number(7)),
            since_ms,
        }
    }

    #[test]
    fn a_shard_that_is_gone_is_a_gap_since_it_was_read_or_was_to_be_read() {
        for (until_ms, start, since_ms) in [
            (Some(2000), ShardStart::TrimHorizon, Some(2000)),
            (Some(2000), ShardStart::Latest(1000), Some(2000)),
            (None, ShardStart::Latest(1000), Some(1000)),
            (None, ShardStart::Time(1000), None),
            (None, ShardStart::TrimHorizon, None),
        ] {
            let state = ShardState {
                start,
                until_ms,
                ..ShardState::default()
            };
            let gap = Gap::behind(&state);
            assert_eq!((gap.after, gap.since_ms), (None, since_ms), "{state:?}");
        }
    }

    #[test]
    fn a_record_that_is_gone_is_a_gap_where_its_time_was_not_read() {
        for (until_ms, first, expected) in [
            (Some(999), Some(8), Some(gap(Some(999)))),
            (None, Some(8), Some(gap(None))),
            (Some(1000), Some(8), None),
            (Some(999), Some(7), None),
            (None, Some(7), None),
        ] {
            let mut watch = begun(until_ms);
            let seen = page(first, false, 2000);
            assert_eq!(
                watch.see(seen, KEPT_SINCE_MS),
                expected,
                "{until_ms:?} {first:?}"
            );
            assert_eq!(watch.until_ms(), Some(2000));
            // Once.
            assert_eq!(watch.see(page(Some(9), true, 3000), 2500), None);
        }
    }

    #[test]
    fn pages_without_a_record_neither_decide_nor_count_before_the_last() {
        for (last, expected) in [
            (page(Some(8), false, 2000), Some(gap(Some(999)))),
            (page(None, true, 2000), Some(gap(Some(999)))),
            (page(Some(7), false, 2000), None),
        ] {
            let mut watch = begun(Some(999));
            for until_ms in [1500, 1600] {
                assert_eq!(watch.see(page(None, false, until_ms), KEPT_SINCE_MS), None);
                // Whoever dies here sees the gap the next time.
                assert_eq!(watch.until_ms(), Some(999));
            }
            assert_eq!(watch.see(last, KEPT_SINCE_MS), expected, "{last:?}");
            assert_eq!(watch.until_ms(), Some(2000));
        }
    }

    #[test]
    fn what_is_read_stays_so_and_what_is_told_is_told_once_though_a_page_knows_less() {
        let mut watch = read(Some(999));
        assert!(watch.begin(None, KEPT_SINCE_MS).is_some());
        let unknown = SeenPage {
            until_ms: None,
            ..page(Some(8), false, 0)
        };
        for less in [page(Some(7), false, 998), unknown] {
            assert_eq!(watch.see(less, KEPT_SINCE_MS), None);
            assert_eq!(watch.until_ms(), Some(999));
            assert_eq!(watch.begin(None, KEPT_SINCE_MS), None);
        }
        assert_eq!(watch.see(page(Some(9), false, 2000), KEPT_SINCE_MS), None);
        assert_eq!(watch.see(page(Some(10), true, 1500), KEPT_SINCE_MS), None);
        assert_eq!(watch.until_ms(), Some(2000));
        assert!(watch.begin(None, 2001).is_some());
    }

    #[test]
    fn where_no_record_was_given_a_forgotten_time_is_a_gap_at_once_and_once() {
        let mut watch = read(Some(999));
        let expected = Gap {
            after: None,
            since_ms: Some(999),
        };
        assert_eq!(watch.begin(None, KEPT_SINCE_MS), Some(expected));
        assert_eq!(watch.begin(None, KEPT_SINCE_MS + 1), None);
        assert_eq!(watch.see(page(None, false, 2000), KEPT_SINCE_MS), None);
        assert_eq!(watch.begin(None, 2000), None);
        // And the next one again.
        assert!(watch.begin(None, 2001).is_some());
        // All of the time was read, or nobody knows that any was to be.
        for until_ms in [Some(1000), None] {
            assert_eq!(read(until_ms).begin(None, KEPT_SINCE_MS), None);
        }
    }
}
