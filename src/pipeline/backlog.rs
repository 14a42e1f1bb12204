//! Since when the oldest record waits that was accepted and is in no batch yet, by steady time. Which
//! records wait is looked at now and then, so that it is exact to one look.

use std::collections::VecDeque;

use crate::clock::Moment;
use crate::position::Sequence;

/// Looks that are kept. Beyond, two are made one: records count as older than they are then.
const LOOKS_MAX: usize = 256;

/// Accepted records that are not applied, by when they were first seen.
#[derive(Debug)]
pub(super) struct Backlog {
    /// One past the last record that was seen at a look, and when; rising.
    looks: VecDeque<(Sequence, Moment)>,
    /// One past the last record that was ever seen.
    seen: Sequence,
    /// The first record that this process may have accepted.
    first: Sequence,
}

impl Backlog {
    /// What is accepted from `next` on. What a former process has accepted is dated by its own rows.
    pub(super) const fn from(next: Sequence) -> Self {
        Self {
            looks: VecDeque::new(),
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
        self.looks.push_back((next, now));
        if self.looks.len() > LOOKS_MAX {
            let looks = self.looks.make_contiguous();
            let pairs = looks.chunks(2).map(|pair| (pair[pair.len() - 1].0, pair[0].1));
            self.looks = pairs.collect();
        }
    }

    /// Every record up to `position` has been applied.
    pub(super) fn applied(&mut self, position: Sequence) {
        let is_applied = |(next, _): &mut (Sequence, Moment)| *next <= position.plus(1);
        while self.looks.pop_front_if(is_applied).is_some() {}
    }

    /// Whether this process has accepted the record at `position`.
    pub(super) fn knows(&self, position: Sequence) -> bool {
        position >= self.first
    }

    /// Since when the oldest waits; `None`: nothing does.
    pub(super) fn waits_since(&self) -> Option<Moment> {
        self.looks.front().map(|(_, since)| *since)
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
        let mut backlog = Backlog::from(begin);
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
        assert!(backlog.looks.len() <= LOOKS_MAX);
        // One too many is said to be older than it is, never younger.
        backlog.applied(begin.plus(4_999));
        let told = age(&backlog).unwrap();
        assert!((5_000..=5_200).contains(&told), "{told}");
        backlog.applied(begin.plus(9_998));
        assert!(age(&backlog).is_some(), "the last one waits");
        backlog.applied(begin.plus(9_999));
        assert_eq!(age(&backlog), None);
    }
}
