//! Request bodies: read with time-outs, counted against one budget, never buffered past a bound.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::body::HttpBody as _;
use axum::http::HeaderMap;
use axum::http::header::EXPECT;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Limits;

/// A body that is refused for its size is still read up to here (and thrown away), because many
/// clients look for the answer only after they have sent everything.
const DISCARD_MAX: u64 = 64 << 20;
/// The budget's unit.
const UNIT: usize = 1 << 10;

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
    #[error("the body did not arrive in time")]
    TimedOut,
    /// The connection broke, or the transfer coding is wrong.
    #[error("the body could not be read: {0}")]
    Broken(axum::Error),
    /// Too many bodies at once.
    #[error("too many requests at once: bodies use all the memory set aside for them")]
    Busy,
}

/// Memory for bodies, all connections together.
#[derive(Debug)]
pub(super) struct Budget {
    free: Arc<Semaphore>,
    units: u32,
    wait: Duration,
}

impl Budget {
    /// A budget of `bytes`, whose reservations wait at most `wait`.
    pub(super) fn new(bytes: usize, wait: Duration) -> Self {
        let units = units(bytes).max(1);
        Self {
            free: Arc::new(Semaphore::new(units as usize)),
            units,
            wait,
        }
    }

    /// Reserves `bytes`, or all there is if that is less, waiting in turn.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<Reservation, BodyError> {
        let wanted = units(bytes).min(self.units);
        let free = self.free.clone();
        let permit = match free.clone().try_acquire_many_owned(wanted) {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(self.wait, free.clone().acquire_many_owned(wanted))
                .await
                .map_err(|_| BodyError::Busy)?
                .map_err(|_| BodyError::Busy)?,
        };
        Ok(Reservation {
            free,
            permit,
            all: self.units,
        })
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// A share of the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    free: Arc<Semaphore>,
    permit: OwnedSemaphorePermit,
    all: u32,
}

impl Reservation {
    /// Makes the share at least `bytes`. Does not wait: whoever holds a share and waits for more
    /// could wait for another who does the same.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), BodyError> {
        let held = u32::try_from(self.permit.num_permits()).unwrap_or(u32::MAX);
        let more = units(bytes).min(self.all).saturating_sub(held);
        if more > 0 {
            let permit = self.free.clone().try_acquire_many_owned(more);
            self.permit.merge(permit.map_err(|_| BodyError::Busy)?);
        }
        Ok(())
    }
}

/// A body as it arrives.
#[derive(Debug)]
pub(super) struct Frames {
    body: Body,
    idle: Duration,
    deadline: Instant,
    /// The client waits for `100 Continue` before it sends the body.
    expects: bool,
}

impl Frames {
    pub(super) fn new(headers: &HeaderMap, body: Body, limits: &Limits) -> Self {
        let deadline = Instant::now() + limits.body_total;
        let expects = headers.contains_key(EXPECT);
        Self {
            body,
            idle: limits.body_idle,
            deadline,
            expects,
        }
    }

    /// The body's length where the client announced it.
    pub(super) fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            let until = self.deadline.min(Instant::now() + self.idle);
            match tokio::time::timeout_at(until, self.body.frame()).await {
                Err(_) => return Err(BodyError::TimedOut),
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

    /// Throws away what is left, within bounds, so that the client gets to read the answer.
    pub(super) async fn discard(mut self) {
        if self.expects || self.announced().is_some_and(|length| length > DISCARD_MAX) {
            return;
        }
        let mut left = DISCARD_MAX;
        while let Ok(Some(data)) = self.next().await {
            match left.checked_sub(data.len() as u64) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}

/// Reads a whole body of at most `max` bytes. The reservation covers it twice over: as it came,
/// and the records that are decoded from it.
pub(super) async fn read_whole(
    mut frames: Frames,
    max: usize,
    budget: &Budget,
) -> Result<(Bytes, Reservation), BodyError> {
    let announced = frames.announced();
    if announced.is_some_and(|length| length > max as u64) {
        frames.discard().await;
        return Err(BodyError::TooLarge { max });
    }
    let length = announced.and_then(|length| usize::try_from(length).ok());
    let mut reservation = budget.reserve(2 * length.unwrap_or(UNIT)).await?;
    let Some(first) = frames.next().await? else {
        return Ok((Bytes::new(), reservation));
    };
    if length == Some(first.len()) {
        return Ok((first, reservation)); // the common small request: no copy
    }
    let mut whole = Vec::with_capacity(length.unwrap_or(first.len()));
    let mut next = Some(first);
    while let Some(data) = next {
        if whole.len() + data.len() > max {
            frames.discard().await;
            return Err(BodyError::TooLarge { max });
        }
        whole.extend_from_slice(&data);
        reservation.grow_to(2 * whole.len())?;
        next = frames.next().await?;
    }
    Ok((whole.into(), reservation))
}
