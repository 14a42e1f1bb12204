//! Request bodies: read at a pace that has a bound, counted against one memory, never buffered past a bound.

#![expect(clippy::disallowed_methods, reason = "what a body takes is measured")]

use std::time::Duration;

use axum::body::Body;
use axum::body::HttpBody as _;
use axum::http::header::{CONTENT_ENCODING, EXPECT};
use axum::http::request::Parts;
use bytes::Bytes;
use firehose_sigv4::{BodyCheck, Refusal};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ApiState;
use super::bodies::Hold;
use super::places::Visitor;

/// What a body brings in each of its steps, for which it has [`Limits::body_pace`](super::Limits::body_pace).
pub(super) const STEP: usize = 32 << 10;
/// A body of so many bytes, as it is announced and without an encoding, is small: it is over in [`STEP`]s that can
/// be counted on a hand.
const SMALL_MAX: u64 = 2 * STEP as u64;
/// A body that is refused for its size is still read up to here (and thrown away), because many
/// clients look for the answer only after they have sent everything.
const DISCARD_MAX: u64 = 64 << 20;
/// How long the rest of a body that has to give way is still waited for, all in all: half of what its connection
/// has left.
const HASTE: Duration = Duration::from_millis(500);

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// More bytes than allowed.
    #[error("the body is larger than {max} bytes")]
    TooLarge {
        /// What is allowed.
        max: usize,
    },
    /// It came too slowly.
    #[error(
        "the body came too slowly: of a body 32 KiB, or its end, must come in every {pace:?}, and all of it in \
         {total:?}"
    )]
    TimedOut {
        /// For each step.
        pace: Duration,
        /// For all of it.
        total: Duration,
    },
    /// The connection broke, or the transfer coding is wrong. No source: the client is told this much, and nothing beneath.
    #[error("the body could not be read: {0}")]
    Broken(axum::Error),
    /// Too many bodies at once.
    #[error("too many requests at once: bodies use all the memory set aside for them")]
    Busy,
    /// Others wait, and this one is slow, or its address has more than its share.
    #[error(
        "others wait for what this request takes, which came slowly or from an address that has more than \
         its share: come again"
    )]
    GaveWay,
    /// It is not the one that was signed.
    #[error(transparent)]
    Forged(#[from] Refusal),
}

/// A body as it arrives.
#[derive(Debug)]
pub(super) struct BodyFrames {
    body: Body,
    visitor: Visitor,
    hold: Hold,
    pace: Duration,
    total: Duration,
    /// How long the body has been waited for, all of it and the step that comes now, and how much of that is
    /// here. What we take for it ourselves is not in it.
    awaited: Duration,
    step_awaited: Duration,
    of_step: usize,
    /// The client waits for `100 Continue` before it sends the body.
    expects: bool,
    /// What its signature says of it, until that is known to be true.
    check: Option<BodyCheck>,
}

impl BodyFrames {
    pub(super) fn new(head: &Parts, body: Body, state: &ApiState) -> Self {
        let visitor = head.extensions.get::<Visitor>().cloned();
        let visitor = visitor.unwrap_or_default();
        let limits = &state.limits;
        let length = body.size_hint().exact();
        let is_plain = !head.headers.contains_key(CONTENT_ENCODING);
        let is_small = is_plain && length.is_some_and(|length| length <= SMALL_MAX);
        Self {
            body,
            hold: state.bodies.expect(visitor.clone(), is_small),
            visitor,
            pace: limits.body_pace,
            total: limits.body_total,
            awaited: Duration::ZERO,
            step_awaited: Duration::ZERO,
            of_step: 0,
            expects: head.headers.contains_key(EXPECT),
            check: None,
        }
    }

    /// Takes no other body than the one that was signed.
    pub(super) fn expect(&mut self, check: Option<BodyCheck>) {
        self.check = check;
    }

    /// Whether it was the one that was signed, now that all of it is here.
    pub(super) fn verified(&mut self) -> Result<(), BodyError> {
        let check = self.check.take();
        Ok(check.map_or(Ok(()), BodyCheck::finish)?)
    }

    /// The body's length where the client announced it.
    pub(super) fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.visitor.gives_way.is_cancelled() {
            return Err(BodyError::GaveWay);
        }
        let begun = Instant::now();
        self.visitor.activity.body_is_awaited(self.step_awaited);
        let pace = self.pace.saturating_sub(self.step_awaited);
        let until = begun + pace.min(self.total.saturating_sub(self.awaited));
        // Who is asked for its body sends it.
        self.expects = false;
        let piece = self.piece(until).await;
        self.visitor.activity.body_done();
        self.awaited += begun.elapsed();
        self.step_awaited += begun.elapsed();
        if let Ok(Some(data)) = &piece {
            self.came(data.len());
            if let Some(check) = &mut self.check {
                check.update(data);
            }
        }
        piece
    }

    async fn piece(&mut self, until: Instant) -> Result<Option<Bytes>, BodyError> {
        loop {
            let frame = tokio::select! {
                biased;
                frame = tokio::time::timeout_at(until, self.body.frame()) => frame,
                () = self.visitor.gives_way.cancelled() => return Err(BodyError::GaveWay),
            };
            match frame {
                Err(_) => {
                    let (pace, total) = (self.pace, self.total);
                    return Err(BodyError::TimedOut { pace, total });
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(BodyError::Broken(error)),
                Ok(Some(Ok(frame))) => {
                    // Trailers carry nothing for us.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    const fn came(&mut self, bytes: usize) {
        self.of_step += bytes;
        if self.of_step >= STEP {
            self.of_step = 0;
            self.step_awaited = Duration::ZERO;
        }
    }

    /// Sees to it that the body's memory is at least `bytes`, waiting where it must.
    pub(super) async fn hold(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.hold.grow_to(bytes).await
    }

    /// What the body holds, now that all of it is here. Nobody gets it of a body that was not signed.
    pub(super) fn into_hold(mut self) -> Result<Hold, BodyError> {
        self.verified()?;
        self.hold.is_whole();
        Ok(self.hold)
    }

    /// Gives back what is held and throws away what is left, within bounds, so that the client gets to read the
    /// answer.
    pub(super) async fn discard(mut self) {
        self.hold.give_back();
        self.check = None;
        if self.expects || self.announced().is_some_and(|length| length > DISCARD_MAX) {
            return;
        }
        let mut left = DISCARD_MAX;
        loop {
            match self.next().await {
                Ok(Some(data)) => match left.checked_sub(data.len() as u64) {
                    Some(rest) => left = rest,
                    None => return,
                },
                Err(BodyError::GaveWay) => self.hurry(),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// The same; but where only the body proves who has sent it, that is made sure of, since the answer is for nobody else.
    pub(super) async fn discard_verified(mut self) -> Result<(), BodyError> {
        if self.check.as_ref().is_none_or(BodyCheck::has_proof) {
            self.discard().await;
            return Ok(());
        }
        self.hold.give_back();
        let max = usize::try_from(DISCARD_MAX).unwrap_or(usize::MAX);
        let mut left = max;
        while let Some(data) = self.next().await? {
            let rest = left.checked_sub(data.len());
            left = rest.ok_or(BodyError::TooLarge { max })?;
        }
        self.verified()
    }

    /// The body gives way: it is no longer told to, and only what comes within a moment is still read.
    fn hurry(&mut self) {
        self.visitor.gives_way = CancellationToken::new();
        self.total = self.total.min(self.awaited + HASTE);
    }
}

/// Reads a whole body of at most `max` bytes. What is held covers it twice over: as it came, and the records
/// that are decoded from it.
pub(super) async fn read_whole(
    mut frames: BodyFrames,
    max: usize,
) -> Result<(Bytes, Hold), BodyError> {
    match gather(&mut frames, max).await {
        Ok(whole) => Ok((whole, frames.into_hold()?)),
        Err(error) => {
            frames.discard().await;
            Err(error)
        }
    }
}

async fn gather(frames: &mut BodyFrames, max: usize) -> Result<Bytes, BodyError> {
    let announced = frames.announced();
    if announced.is_some_and(|length| length > max as u64) {
        return Err(BodyError::TooLarge { max });
    }
    let length = announced.and_then(|length| usize::try_from(length).ok());
    let Some(first) = frames.next().await? else {
        return Ok(Bytes::new());
    };
    if length == Some(first.len()) {
        frames.hold(2 * first.len()).await?;
        return Ok(first); // the common small request: no copy
    }
    let mut whole = Vec::new();
    let mut next = Some(first);
    while let Some(data) = next {
        let needed = whole.len() + data.len();
        if needed > max {
            return Err(BodyError::TooLarge { max });
        }
        if needed > whole.capacity() {
            let room = (4 * needed).min(length.unwrap_or(max)).max(needed);
            frames.hold(room + needed).await?;
            whole.reserve_exact(room - whole.len());
        }
        whole.extend_from_slice(&data);
        next = frames.next().await?;
    }
    frames.hold(whole.capacity() + whole.len()).await?;
    Ok(whole.into())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use axum::body::HttpBody;
    use axum::http::Request;
    use hyper::body::Frame;

    use super::*;
    use crate::clock::Clock;
    use crate::http::Limits;
    use crate::telemetry::Metrics;

    /// A body of which all pieces are here, and which are left.
    struct Pieces(Arc<AtomicUsize>);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            let left = self.0.load(Ordering::Relaxed);
            self.0.store(left.saturating_sub(1), Ordering::Relaxed);
            let piece = Frame::data(Bytes::from_static(b"piece\n"));
            Poll::Ready((left > 0).then_some(Ok(piece)))
        }
    }

    #[tokio::test]
    async fn what_is_here_of_a_body_that_has_to_give_way_is_thrown_away() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let clock = Clock::manual(0);
        let state = ApiState::new([], clock, metrics, Limits::default());
        let visitor = Visitor::default();
        let request = Request::builder().extension(visitor.clone());
        let (head, ()) = request.body(()).unwrap().into_parts();
        let left = Arc::new(AtomicUsize::new(100));
        let mut frames = BodyFrames::new(&head, Body::new(Pieces(Arc::clone(&left))), &state);
        assert!(frames.next().await.unwrap().is_some());
        visitor.gives_way.cancel();
        let told = frames.next().await.unwrap_err();
        assert!(matches!(told, BodyError::GaveWay), "{told}");
        frames.discard().await;
        assert_eq!(left.load(Ordering::Relaxed), 0, "pieces are left");
    }
}
