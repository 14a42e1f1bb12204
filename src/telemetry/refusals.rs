//! Whether producers are let in: refusals that go on, and appends that nobody answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment};

/// What the door of a stream has told its producers lately. Written by the door, shown by the stream's
/// status.
#[derive(Debug)]
pub struct Refusals {
    clock: Clock,
    inner: Mutex<RefusalState>,
}

/// What the door has told, and what it has not answered yet.
#[derive(Debug, Default)]
struct RefusalState {
    /// The first refusal since a batch was accepted.
    since: Option<Moment>,
    /// The last one.
    last: Option<LastRefusal>,
    /// Appends that wait for their answer.
    pending: usize,
    /// Since when no answer has come, while some are waited for.
    unanswered: Option<Moment>,
}

/// What a producer was refused for.
#[derive(Debug)]
struct LastRefusal {
    at: Moment,
    cause: String,
    /// How long it had waited then: the next one's comes no sooner.
    waited: Duration,
    /// Whether it is known to have been this stream's.
    is_own: bool,
}

/// An append that waits for its answer, or is given up when dropped.
#[derive(Debug)]
pub struct Knock {
    refusals: Arc<Refusals>,
}

impl Refusals {
    /// Nobody has knocked yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            inner: Mutex::default(),
        }
    }

    /// A batch is handed over.
    pub fn knock(self: &Arc<Self>) -> Knock {
        let now = self.clock.moment();
        let mut inner = self.lock();
        inner.pending += 1;
        inner.unanswered.get_or_insert(now);
        drop(inner);
        Knock {
            refusals: Arc::clone(self),
        }
    }

    /// Why producers are not served, if they have not been for longer than `patience`. Refusals that
    /// nobody has met for as long do not count: whether the next would be refused is not known.
    pub fn stall(&self, patience: Duration) -> Option<String> {
        let now = self.clock.moment();
        let inner = self.lock();
        // First: producers that wait for the disk hold the memory that others are turned away for.
        let waits = inner.unanswered.filter(|_| inner.pending > 0);
        if waits.is_some_and(|since| since.until(now) >= patience) {
            let cause = "producers get no answer: the disk under state_dir takes no writes";
            return Some(cause.to_owned());
        }
        let (since, last) = (inner.since?, inner.last.as_ref()?);
        let goes_on = since.until(last.at) >= patience && !last.is_over(now, patience);
        goes_on.then(|| format!("producers are refused: {}", last.cause))
    }

    /// A batch was refused before it was handed over, after it has `waited`; whether it was this stream's may not be
    /// known. Gives what [`Refusals::stall`] says now.
    pub fn turned_away(
        &self,
        cause: String,
        waited: Duration,
        is_own: bool,
        patience: Duration,
    ) -> Option<String> {
        let now = self.clock.moment();
        let refusal = LastRefusal {
            at: now,
            cause,
            waited,
            is_own,
        };
        self.lock().refuse(refusal, now.before(waited), patience);
        self.stall(patience)
    }

    /// A batch was accepted, of any stream: refusals that may have been another one's are over.
    pub fn let_in(&self) {
        let mut inner = self.lock();
        if inner.last.as_ref().is_some_and(|last| !last.is_own) {
            (inner.since, inner.last) = (None, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, RefusalState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RefusalState {
    /// Nobody was served from `since` on.
    fn refuse(&mut self, refusal: LastRefusal, since: Moment, patience: Duration) {
        let is_over = |last: &LastRefusal| last.is_over(refusal.at, patience);
        if self.last.as_ref().is_none_or(is_over) {
            self.since = Some(since);
        }
        self.last = Some(refusal);
    }
}

impl LastRefusal {
    /// Whether nobody has met it for so long that the next one may be served.
    fn is_over(&self, now: Moment, patience: Duration) -> bool {
        self.at.until(now) >= patience + self.waited
    }
}

impl Knock {
    /// The batch was accepted.
    pub fn accepted(self) {
        let mut inner = self.refusals.lock();
        (inner.since, inner.last) = (None, None);
        inner.unanswered = Some(self.refusals.clock.moment());
    }

    /// It was refused. Gives what [`Refusals::stall`] says now.
    pub fn refused(self, cause: String, patience: Duration) -> Option<String> {
        let now = self.refusals.clock.moment();
        let refusal = LastRefusal {
            at: now,
            cause,
            waited: Duration::ZERO,
            is_own: true,
        };
        let mut inner = self.refusals.lock();
        inner.refuse(refusal, now, patience);
        inner.unanswered = Some(now);
        drop(inner);
        self.refusals.stall(patience)
    }
}

impl Drop for Knock {
    fn drop(&mut self) {
        let mut inner = self.refusals.lock();
        inner.pending -= 1;
        if inner.pending == 0 {
            inner.unanswered = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn refusals() -> (Clock, Arc<Refusals>) {
        let clock = Clock::manual(0);
        (clock.clone(), Arc::new(Refusals::new(clock)))
    }

    fn pass(clock: &Clock, seconds: u64) {
        clock.advance(Duration::from_secs(seconds));
    }

    #[test]
    fn refusals_are_an_alarm_when_they_go_on_and_none_when_they_pass() {
        let (clock, refusals) = refusals();
        let refuse = || refusals.knock().refused("it is full".to_owned(), PATIENCE);
        let mut told = 0;
        for second in 0..40 {
            let stall = refuse();
            assert_eq!(stall.is_some(), second >= 30, "after {second} s");
            assert_eq!(stall, refusals.stall(PATIENCE));
            told += u32::from(stall.is_some());
            pass(&clock, 1);
        }
        assert_eq!(told, 10);
        let stall = refusals.stall(PATIENCE).unwrap();
        assert_eq!(stall, "producers are refused: it is full");
        refusals.knock().accepted();
        assert_eq!(refusals.stall(PATIENCE), None);
        // Back-pressure: some are refused, some are not.
        for _ in 0..100 {
            assert_eq!(refuse(), None);
            pass(&clock, 10);
            refusals.knock().accepted();
        }
    }

    #[test]
    fn refusals_that_nobody_meets_any_more_are_forgotten() {
        let (clock, refusals) = refusals();
        let refuse = || refusals.knock().refused("it is full".to_owned(), PATIENCE);
        for _ in 0..40 {
            refuse();
            pass(&clock, 1);
        }
        pass(&clock, 28);
        assert!(refusals.stall(PATIENCE).is_some());
        pass(&clock, 1);
        assert_eq!(refusals.stall(PATIENCE), None);
        assert_eq!(refuse(), None, "they begin anew");
    }

    #[test]
    fn appends_that_nobody_answers_are_an_alarm_until_they_are_given_up() {
        let (clock, refusals) = refusals();
        let (one, two) = (refusals.knock(), refusals.knock());
        pass(&clock, 29);
        assert_eq!(refusals.stall(PATIENCE), None);
        one.accepted();
        pass(&clock, 29);
        assert_eq!(refusals.stall(PATIENCE), None, "one was answered since");
        pass(&clock, 1);
        assert!(refusals.stall(PATIENCE).unwrap().contains("no answer"));
        drop(two);
        assert_eq!(refusals.stall(PATIENCE), None);
        pass(&clock, 100);
        let _late = refusals.knock();
        assert_eq!(refusals.stall(PATIENCE), None, "it has just come");
    }

    #[test]
    fn who_is_turned_away_while_others_wait_for_the_disk_is_told_of_the_disk() {
        let (clock, refusals) = refusals();
        let waited = Duration::ZERO;
        let turn_away = || refusals.turned_away("no memory".to_owned(), waited, true, PATIENCE);
        let stuck = refusals.knock();
        for _ in 0..30 {
            assert_eq!(turn_away(), None);
            pass(&clock, 1);
        }
        assert!(turn_away().unwrap().contains("no answer"));
        drop(stuck);
        let stall = turn_away().unwrap();
        assert_eq!(stall, "producers are refused: no memory");
        refusals.knock().accepted();
        assert_eq!(refusals.stall(PATIENCE), None);
    }

    #[test]
    fn who_waits_before_it_is_turned_away_is_not_served_all_that_time() {
        let (clock, refusals) = refusals();
        let wait = Duration::from_secs(10);
        let turn_away = |patience| {
            clock.advance(wait);
            refusals.turned_away("no memory".to_owned(), wait, true, patience)
        };
        // One producer that comes again and again.
        assert_eq!(turn_away(PATIENCE), None);
        assert_eq!(turn_away(PATIENCE), None);
        assert!(turn_away(PATIENCE).is_some());
        refusals.knock().accepted();
        let short = Duration::from_secs(1);
        assert!(turn_away(short).is_some());
        pass(&clock, 10);
        assert!(refusals.stall(short).is_some(), "the next one waits");
        pass(&clock, 1);
        assert_eq!(refusals.stall(short), None);
    }

    #[test]
    fn refusals_that_may_be_anothers_are_over_when_anybody_is_let_in() {
        let (_, refusals) = refusals();
        let turn_away = |is_own| {
            let waited = PATIENCE;
            refusals.turned_away("no memory".to_owned(), waited, is_own, PATIENCE)
        };
        assert!(turn_away(false).is_some());
        refusals.let_in();
        assert_eq!(refusals.stall(PATIENCE), None);
        assert!(turn_away(true).is_some());
        refusals.let_in();
        assert!(refusals.stall(PATIENCE).is_some());
    }
}
