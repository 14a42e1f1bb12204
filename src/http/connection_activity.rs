//! What a connection's bytes tell of it: whether it has ever had a request, whether a head has begun and how large
//! it is, how fast a body comes, and how fast answers are taken.

#![expect(
    clippy::disallowed_methods,
    reason = "a stalled connection is recognised by elapsed time"
)]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Largest head of a request, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;

/// The state of one connection, as its socket and its requests tell it.
#[derive(Debug, Default)]
pub(super) struct ConnectionActivity {
    /// When the connection was accepted, in ms; 0: it has had a request.
    accepted: AtomicU64,
    /// 0: no head has begun; 1: a request is under way; above: when the first byte of a head came, in ms.
    request: AtomicU64,
    /// Bytes of a head that is not whole.
    head: AtomicUsize,
    /// Since when the next [`STEP`](super::body::STEP) of a body is waited for, in ms; 0: it is not.
    body: AtomicU64,
    /// Since when the client has not taken such a step of its answers, in ms; 0: it has.
    answer: AtomicU64,
}

impl ConnectionActivity {
    const QUIET: u64 = 0;
    const BUSY: u64 = 1;

    /// That of a connection just accepted.
    pub(super) fn accepted() -> Self {
        Self {
            accepted: now_ms().into(),
            ..Self::default()
        }
    }

    /// Bytes have come.
    pub(super) fn received(&self, bytes: usize) {
        match self.request.load(Ordering::Relaxed) {
            Self::BUSY => return,
            Self::QUIET => self.request.store(now_ms(), Ordering::Relaxed),
            _ => {}
        }
        self.head.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A request is under way.
    pub(super) fn busy(&self) {
        self.accepted.store(0, Ordering::Relaxed);
        self.request.store(Self::BUSY, Ordering::Relaxed);
    }

    /// No request is under way any more.
    pub(super) fn quiet(&self) {
        self.request.store(Self::QUIET, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
        self.body_done();
    }

    /// More of a body is waited for; for this step that long already.
    pub(super) fn body_is_awaited(&self, already: Duration) {
        let already_ms = u64::try_from(already.as_millis()).unwrap_or(u64::MAX);
        let since = now_ms().saturating_sub(already_ms).max(1);
        self.body.store(since, Ordering::Relaxed);
    }

    /// No body is waited for.
    pub(super) fn body_done(&self) {
        self.body.store(0, Ordering::Relaxed);
    }

    /// The client is to take more of its answers.
    pub(super) fn answer_is_awaited(&self) {
        self.answer.store(now_ms(), Ordering::Relaxed);
    }

    /// It has taken all there is.
    pub(super) fn answer_done(&self) {
        self.answer.store(0, Ordering::Relaxed);
    }

    /// Whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.request.load(Ordering::Relaxed) == Self::BUSY
    }

    /// Whether a head has begun that is not whole.
    pub(super) fn has_begun(&self) -> bool {
        self.request.load(Ordering::Relaxed) > Self::BUSY
    }

    /// Whether the connection was accepted less than `patience` ago and has had no request yet.
    pub(super) fn is_new(&self, patience: Duration) -> bool {
        let accepted = self.accepted.load(Ordering::Relaxed);
        accepted > 0 && age_ms(accepted) < patience.as_millis()
    }

    pub(super) fn has_begun_within(&self, patience: Duration) -> bool {
        let begun = self.request.load(Ordering::Relaxed);
        begun > Self::BUSY && age_ms(begun) < patience.as_millis()
    }

    /// Whether more of a head has come than any may have.
    pub(super) fn has_too_much_head(&self) -> bool {
        self.has_begun() && self.head.load(Ordering::Relaxed) > HEAD_BYTES_MAX
    }

    /// Since when a step of a body or of answers has been waited for, where that is longer than `patience`: the
    /// lower the longer.
    pub(super) fn slow_since(&self, patience: Duration) -> Option<u64> {
        let steps = [&self.body, &self.answer].map(|since| since.load(Ordering::Relaxed));
        let since = steps.into_iter().filter(|since| *since > 0).min()?;
        (age_ms(since) >= patience.as_millis()).then_some(since)
    }
}

fn age_ms(since: u64) -> u128 {
    u128::from(now_ms().saturating_sub(since))
}

/// Milliseconds that only go up, from above all that means something else.
fn now_ms() -> u64 {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGIN.elapsed().as_millis())
        .map_or(u64::MAX, |ms| ms + ConnectionActivity::BUSY + 1)
}
