//! A connection's socket: it tells when bytes come, and holds the client to taking its answers. Nothing more is read of
//! a client that does not, so that answers to requests in a row do not gather here.

#![expect(
    clippy::disallowed_methods,
    reason = "a body that stands still has its time limit"
)]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::body::STEP;
use super::connection_activity::ConnectionActivity;

/// The socket, and whom it tells.
#[derive(Debug)]
pub(super) struct WatchedSocket {
    pub(super) socket: TcpStream,
    activity: Arc<ConnectionActivity>,
    /// How long the client may take for each [`STEP`] of its answers.
    pace: Duration,
    stalled: Option<Stalled>,
}

/// Answers that the client has not taken yet.
#[derive(Debug)]
struct Stalled {
    /// When the connection breaks, unless a step has been taken.
    until: Pin<Box<Sleep>>,
    of_step: usize,
    /// The task that would read more.
    reader: Option<Waker>,
}

impl WatchedSocket {
    /// Breaks where the client takes longer than `pace` for 32 KiB of its answers, or for what there is of them.
    pub(super) const fn new(
        socket: TcpStream,
        activity: Arc<ConnectionActivity>,
        pace: Duration,
    ) -> Self {
        Self {
            socket,
            activity,
            pace,
            stalled: None,
        }
    }

    fn wrote(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                if let Some(stalled) = &mut self.stalled {
                    stalled.of_step += bytes;
                    if stalled.of_step >= STEP {
                        stalled.of_step = 0;
                        stalled.until.as_mut().reset(Instant::now() + self.pace);
                        self.activity.answer_is_awaited();
                    }
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                let stalled = self.stalled.get_or_insert_with(|| {
                    self.activity.answer_is_awaited();
                    Stalled {
                        until: Box::pin(tokio::time::sleep(self.pace)),
                        of_step: 0,
                        reader: None,
                    }
                });
                ready!(stalled.until.as_mut().poll(context));
                let late = "the client does not take its answers";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)))
            }
        }
    }
}

impl AsyncRead for WatchedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(stalled) = &mut self.stalled {
            stalled.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        if self.activity.has_too_much_head() {
            let large = io::Error::new(io::ErrorKind::InvalidData, "the head is too large");
            return Poll::Ready(Err(large));
        }
        let before = into.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, into);
        let bytes = into.filled().len() - before;
        if bytes > 0 {
            self.activity.received(bytes);
        }
        read
    }
}

impl AsyncWrite for WatchedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.wrote(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.wrote(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// This is called when all there is has been written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(stalled) = self.stalled.take() {
            self.activity.answer_done();
            if let Some(reader) = stalled.reader {
                reader.wake();
            }
        }
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
