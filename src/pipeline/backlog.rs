//! Since when the oldest record waits that was accepted and is in no batch yet, by steady time. Which
//! records wait is looked at now and then, so that it is exact to one look. What a former process has
//! accepted is dated by its arrivals.

use std::collections::VecDeque;

use crate::clock::Moment;
use crate::position::Sequence;

/// Spans that are kept. When there are more, each two are made one: records count as older then than they
/// are, by a small part of how long the oldest waits.
const SPANS_MAX: usize = 256;

/// Accepted records that are not applied, by when they were first seen.
#[derive(Debug)]
pub(super) struct Backlog {
    spans: VecDeque<Span>,
    /// Looks that make a span.
    looks: u64,
    /// One past the last record that was ever seen.
    seen: Sequence,
    /// The first record that this process may have accepted.
    first: Sequence,
}

/// Records that were first seen at looks in a row.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// One past the last of them.
    next: Sequence,
    since: Moment,
    looks: u64,
}

impl Backlog {
    /// What is accepted from `next` on, behind what a former process has left: up to the record before
    /// `former`, the oldest of which waits since then.
    pub(super) fn from(next: Sequence, former: Option<(Sequence, Moment)>) -> Self {
        let former = former.map(|(next, since)| Span {
            next,
            since,
            looks: 1,
        });
        Self {
            spans: former.into_iter().collect(),
            looks: 1,
            seen: next,
            first: next,
        }
    }

    /// Looks: `next` is the sequence number that the next accepted record gets.
    pub(super) fn look(&mut self, next: Sequence, now: Moment) {
        if next <= self.seen {
            return;
        }
        self.seen = next;
        match self.spans.back_mut() {
            Some(last) if last.looks < self.looks && last.next > self.first => {
                last.next = next;
                last.looks += 1;
            }
            _ => self.spans.push_back(Span {
                next,
                since: now,
                looks: 1,
            }),
        }
        if self.spans.len() > SPANS_MAX {
            self.looks *= 2;
            let pairs = self.spans.make_contiguous().chunks(2);
            let pairs = pairs.map(|pair| Span {
                next: pair[pair.len() - 1].next,
                since: pair[0].since,
                looks: pair.iter().map(|span| span.looks).sum(),
            });
            self.spans = pairs.collect();
        }
    }

    /// Every record up to `position` has been applied, or is gone; the last had arrived at that time.
    pub(super) fn applied(&mut self, position: Sequence, arrival: Option<Moment>) {
        // What is applied before anybody has looked no longer waits.
        self.seen = self.seen.max(position.plus(1));
        let is_applied = |span: &mut Span| span.next <= position.plus(1);
        while self.spans.pop_front_if(is_applied).is_some() {}
        if self.spans.is_empty() {
            self.looks = 1;
        }
        // What is left of the records of a former process arrived later than this one.
        if let (Some(front), Some(arrival)) = (self.spans.front_mut(), arrival)
            && front.next <= self.first
        {
            front.since = front.since.max(arrival);
        }
    }

    /// Whether this process has accepted the record at `position`.
    pub(super) fn knows(&self, position: Sequence) -> bool {
        position >= self.first
    }

    /// Since when the oldest waits; `None`: nothing does.
    pub(super) fn waits_since(&self) -> Option<Moment> {
        self.spans.front().map(|span| span.since)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_oldest_accepted_record_is_told_until_it_is_applied() {
        let (clock, begin) = (Clock::manual(0), Sequence::first_of(2));
        let mut backlog = Backlog::from(begin, None);
        let age = |backlog: &Backlog| {
            let since = backlog.waits_since();
            since.map(|since| since.until(clock.moment()).as_secs())
        };
        backlog.look(begin, clock.moment());
        assert_eq!(age(&backlog), None, "nothing was accepted");
        for second in 1..=10_000 {
            backlog.look(begin.plus(second), clock.moment());
            clock.advance(Duration::from_secs(1));
            assert_eq!(age(&backlog), Some(second));
        }
        assert!(backlog.spans.len() <= SPANS_MAX);
        // One too many is said to be older than it is, never younger.
        backlog.applied(begin.plus(4_999), None);
        let told = age(&backlog).unwrap();
        assert!((5_000..=5_200).contains(&told), "{told}");
        backlog.applied(begin.plus(9_998), None);
        assert!(age(&backlog).is_some(), "the last one waits");
        backlog.applied(begin.plus(9_999), None);
        assert_eq!(age(&backlog), None);
    }

    #[test]
    fn what_is_applied_between_two_looks_does_not_wait() {
        let (clock, begin) = (Clock::manual(0), Sequence::first_of(2));
        let mut backlog = Backlog::from(begin, None);
        backlog.applied(begin.plus(4), None);
        backlog.look(begin.plus(5), clock.moment());
        assert_eq!(backlog.waits_since(), None);
        backlog.look(begin.plus(6), clock.moment());
        assert_eq!(backlog.waits_since(), Some(clock.moment()));
    }

    #[test]
    fn what_a_former_process_has_left_is_as_old_as_it_arrived_until_it_is_applied() {
        let (clock, begin) = (Clock::manual(1_000_000), Sequence::first_of(3));
        let former = Sequence::first_of(2);
        let left = Some((former.plus(100), clock.moment_of(0)));
        let mut backlog = Backlog::from(begin, left);
        let age = |backlog: &Backlog| {
            let since = backlog.waits_since();
            since.map(|since| since.until(clock.moment()).as_secs())
        };
        assert_eq!(age(&backlog), Some(1000));
        backlog.look(begin.plus(1), clock.moment());
        backlog.applied(former.plus(49), Some(clock.moment_of(400_000)));
        assert_eq!(age(&backlog), Some(600), "what is left came later");
        // A clock was set back between two arrivals: nothing gets older by that.
        backlog.applied(former.plus(59), Some(clock.moment_of(300_000)));
        assert_eq!(age(&backlog), Some(600));
        backlog.applied(former.plus(99), Some(clock.moment_of(900_000)));
        assert_eq!(age(&backlog), Some(0), "the new one");
        backlog.applied(begin, Some(clock.moment()));
        assert_eq!(age(&backlog), None);
    }
}
