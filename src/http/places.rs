//! Places for connections: a bounded number, of which the one that has been idle for longest is given to
//! whoever comes when all are taken. A connection with a request under way keeps its place, unless its body
//! comes slowly, or its answers are taken slowly, and nobody is idle. One that has begun to send a head is not idle
//! for a while, but only for a moment where nobody else can give way. One that was accepted a moment ago is taken for
//! idle last of all: its first request may be here already, and not have been read yet.

#![expect(
    clippy::disallowed_methods,
    reason = "requests wait for a place for so long"
)]

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use super::connection_activity::ConnectionActivity;

/// Places of one kind.
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    /// How long a connection that has begun to send a head counts as busy, and how long one counts so that
    /// waits for more of a body.
    patience: Duration,
    /// How long a head counts that has begun, where nobody else can give way; and how long a connection is new.
    haste: Duration,
    taken: Mutex<Occupancy>,
}

/// What part of the patience with a head is left where nobody else can give way. A head that is sent at once has come
/// by then, also over a slow line.
const HASTE_PART: u32 = 8;

#[derive(Debug, Default)]
struct Occupancy {
    guests: HashMap<u64, Guest>,
    /// Guests without a request under way, by the order in which they have become idle.
    idle: BTreeMap<u64, u64>,
    next: u64,
}

#[derive(Debug)]
struct Guest {
    /// Where it stands among the idle; `None`: a request is under way.
    idle: Option<u64>,
    activity: Arc<ConnectionActivity>,
    gives_way: CancellationToken,
}

/// A connection's place, for as long as it is held.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    activity: Arc<ConnectionActivity>,
    gives_way: CancellationToken,
}

impl Places {
    /// So many places.
    pub(super) fn new(limit: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit,
            patience,
            haste: patience / HASTE_PART,
            taken: Mutex::default(),
        })
    }

    /// A place: a free one, or that of the connection that has been idle for longest, or else of the one that is
    /// slowest with a body or with taking answers, or else of one that is at its head for longer than heads take, or
    /// else of a new one that has said nothing so far. `None`: all are busy.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.lock();
        if taken.guests.len() >= self.limit
            && !taken.dismiss(|activity| self.is_idle(activity, self.patience))
            && !taken.dismiss_slow(self.patience)
            && !taken.dismiss(|activity| self.is_idle(activity, self.haste))
            && !taken.dismiss(|activity| !activity.has_begun_within(self.haste))
        {
            return None;
        }
        let activity = Arc::new(ConnectionActivity::accepted());
        let gives_way = CancellationToken::new();
        let number = taken.next();
        let idle = taken.next();
        taken.idle.insert(idle, number);
        let guest = Guest {
            idle: Some(idle),
            activity: Arc::clone(&activity),
            gives_way: gives_way.clone(),
        };
        taken.guests.insert(number, guest);
        Some(Place {
            places: Arc::clone(self),
            number,
            activity,
            gives_way,
        })
    }

    /// Makes the connection go that has been idle for longest, if any is.
    pub(super) fn dismiss(&self) {
        let mut taken = self.lock();
        let _ = taken.dismiss(|activity| self.is_idle(activity, self.patience))
            || taken.dismiss(|activity| !activity.has_begun_within(self.patience));
    }

    /// Whether a connection without a request under way is idle: it is not new, and is at no head, or for longer than
    /// `patience`.
    fn is_idle(&self, activity: &ConnectionActivity, patience: Duration) -> bool {
        !activity.is_new(self.haste) && !activity.has_begun_within(patience)
    }

    fn lock(&self) -> MutexGuard<'_, Occupancy> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Occupancy {
    const fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Makes the connection go that has been without a request for longest, of those that `may_go`.
    fn dismiss(&mut self, may_go: impl Fn(&ConnectionActivity) -> bool) -> bool {
        let guests = &self.guests;
        let mut idle = self.idle.iter();
        let longest = idle.find_map(|(idle, number)| {
            let guest = guests.get(number)?;
            may_go(&guest.activity).then_some((*idle, *number))
        });
        let Some((idle, number)) = longest else {
            return false;
        };
        self.idle.remove(&idle);
        self.remove(number);
        true
    }

    fn dismiss_slow(&mut self, patience: Duration) -> bool {
        let slow = self.guests.iter();
        let slow = slow
            .filter_map(|(number, guest)| Some((guest.activity.slow_since(patience)?, *number)));
        let Some((_, number)) = slow.min() else {
            return false;
        };
        self.remove(number);
        true
    }

    fn remove(&mut self, number: u64) {
        if let Some(guest) = self.guests.remove(&number) {
            guest.gives_way.cancel();
        }
    }
}

impl Place {
    /// The connection as its requests see it.
    pub(super) fn visitor(&self, address: IpAddr) -> Visitor {
        Visitor {
            address: Some(address),
            activity: Arc::clone(&self.activity),
            gives_way: self.gives_way.clone(),
        }
    }

    /// What the connection's bytes are told to.
    pub(super) fn activity(&self) -> Arc<ConnectionActivity> {
        Arc::clone(&self.activity)
    }

    /// A request begins: until the turn is over the connection keeps its place. `None`: it has lost it.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Turn> {
        let mut taken = self.places.lock();
        let idle = taken.guests.get_mut(&self.number)?.idle.take();
        if let Some(idle) = idle {
            taken.idle.remove(&idle);
        }
        self.activity.busy();
        Some(Turn(Arc::clone(self)))
    }

    /// Resolves when another connection has been given the place.
    pub(super) async fn lost(&self) {
        self.gives_way.cancelled().await;
    }

    /// Resolves when no request has been under way for so long, looked at now and then.
    pub(super) async fn idle_for(&self, time: Duration) {
        loop {
            tokio::time::sleep(time).await;
            if !self.activity.is_busy() {
                return;
            }
        }
    }

    /// Whether a head has begun that is not whole.
    pub(super) fn has_begun(&self) -> bool {
        self.activity.has_begun()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        let guest = taken.guests.remove(&self.number);
        if let Some(idle) = guest.and_then(|guest| guest.idle) {
            taken.idle.remove(&idle);
        }
    }
}

/// Whom a request is from.
#[derive(Clone, Debug, Default)]
pub(super) struct Visitor {
    pub(super) address: Option<IpAddr>,
    pub(super) activity: Arc<ConnectionActivity>,
    /// Cancelled when the connection has to go.
    pub(super) gives_way: CancellationToken,
}

/// A request under way, from its head to the last byte of its answer.
#[derive(Debug)]
pub(super) struct Turn(Arc<Place>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.0.places.lock();
        let idle = taken.next();
        if let Some(guest) = taken.guests.get_mut(&self.0.number) {
            guest.idle = Some(idle);
            taken.idle.insert(idle, self.0.number);
        }
        self.0.activity.quiet();
    }
}

/// An answer's body, which ends its turn when it has been taken over.
pub(super) struct Answering {
    pub(super) body: Body,
    pub(super) _turn: Option<Turn>,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn places(limit: usize) -> Arc<Places> {
        Places::new(limit, Duration::from_mins(1))
    }

    fn take(places: &Arc<Places>) -> Option<Arc<Place>> {
        places.take().map(Arc::new)
    }

    #[test]
    fn the_longest_idle_gives_way_and_the_busy_stay() {
        let places = places(3);
        let [one, two, three] = [(); 3].map(|()| take(&places).unwrap());
        let busy = one.begin().unwrap();
        drop(three.begin());
        drop(two.begin()); // idle again, after the third
        let four = take(&places).unwrap();
        let lost = |place: &Place| place.gives_way.is_cancelled();
        assert_eq!(
            [&one, &two, &three].map(|place| lost(place)),
            [false, false, true]
        );
        let _four = four.begin().unwrap();
        let five = take(&places).unwrap();
        let _five = five.begin().unwrap();
        assert!(lost(&two));
        assert!(two.begin().is_none(), "what comes too late is told so");
        drop(busy);
        assert!(
            take(&places).is_some() && lost(&one),
            "idle since its answer"
        );
    }

    proptest! {
        #[test]
        fn whoever_comes_asks_and_goes_the_busy_keep_their_places_and_no_one_is_refused_else(
            steps in vec((0..4_u8, any::<usize>()), 1..200),
        ) {
            const LIMIT: usize = 4;
            let places = places(LIMIT);
            let mut guests: Vec<(Arc<Place>, Option<Turn>)> = Vec::new();
            for (step, which) in steps {
                let index = which % guests.len().max(1);
                match (step, guests.get_mut(index)) {
                    (0, _) => {
                        let busy = guests.iter().filter(|(_, turn)| turn.is_some()).count();
                        let place = take(&places);
                        prop_assert_eq!(place.is_none(), busy == LIMIT);
                        guests.extend(place.map(|place| (place, None)));
                    }
                    (1, Some((place, turn))) if turn.is_none() => {
                        *turn = place.begin();
                        prop_assert_eq!(turn.is_none(), place.gives_way.is_cancelled());
                    }
                    (2, Some((_, turn))) => *turn = None,
                    (3, Some(_)) => drop(guests.swap_remove(index)),
                    _ => {}
                }
                let is_seated = |place: &Place| !place.gives_way.is_cancelled();
                prop_assert!(guests.iter().all(|(place, turn)| turn.is_none() || is_seated(place)));
                let seated = guests.iter().filter(|(place, _)| is_seated(place)).count();
                prop_assert!(seated <= LIMIT);
                prop_assert_eq!(places.lock().guests.len(), seated);
            }
        }
    }

    #[test]
    fn where_all_are_busy_nobody_gives_way_until_one_goes() {
        let places = places(2);
        let [one, two] = [(); 2].map(|()| take(&places).unwrap());
        let turns = [one.begin(), two.begin()];
        assert!(take(&places).is_none());
        drop(turns);
        drop((one, two));
        assert!(places.lock().guests.is_empty() && places.lock().idle.is_empty());
        assert!(take(&places).is_some());
    }

    #[test]
    fn a_head_that_has_just_begun_is_waited_for_and_one_that_lingers_is_not() {
        let begun = |patience| {
            let places = Places::new(1, patience);
            let one = take(&places).unwrap();
            one.activity().received(1);
            take(&places).is_some()
        };
        assert!(!begun(Duration::from_mins(1)));
        assert!(begun(Duration::ZERO));
    }

    #[test]
    fn a_new_connection_gives_way_after_all_others_that_can_and_before_a_newcomer_is_refused() {
        let places = Arc::new(Places {
            patience: Duration::ZERO,
            haste: Duration::from_hours(1),
            ..Arc::into_inner(places(3)).unwrap()
        });
        let [new, newer, seasoned] = [(); 3].map(|()| take(&places).unwrap());
        drop(seasoned.begin());
        let lost = |place: &Place| place.gives_way.is_cancelled();
        let next = take(&places).unwrap();
        assert!(lost(&seasoned) && !lost(&new), "it has had a request");
        let _next = next.begin().unwrap();
        let slow = newer.begin().unwrap();
        newer.activity().body_is_awaited(Duration::ZERO);
        let last = take(&places).unwrap();
        assert!(lost(&newer) && !lost(&new), "its body comes slowly");
        drop(slow);
        let _last = last.begin().unwrap();
        assert!(take(&places).is_some() && lost(&new), "all others are busy");
    }

    #[test]
    fn heads_that_linger_give_way_the_oldest_first_where_all_places_are_theirs() {
        let places = Arc::new(Places {
            haste: Duration::ZERO,
            ..Arc::into_inner(places(3)).unwrap()
        });
        let [one, two, busy] = [(); 3].map(|()| take(&places).unwrap());
        let _busy = busy.begin().unwrap();
        for place in [&two, &one] {
            place.activity().received(1);
        }
        let lost = |place: &Place| place.gives_way.is_cancelled();
        let next = take(&places).unwrap();
        assert!(lost(&one) && !lost(&two) && !lost(&busy));
        let _next = next.begin().unwrap();
        let _last = take(&places).unwrap().begin().unwrap();
        assert!(lost(&two));
        assert!(take(&places).is_none(), "all are busy");
    }
}
