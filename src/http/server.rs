//! Connections: accepted up to a bound, served with time-outs, ended in order.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{ApiState, router};

/// Largest head of a request, in bytes. hyper's read buffer is also what a body frame is cut from.
const BUFFER_MAX: usize = 512 << 10;
/// Pause after a failure to accept that is not one connection's own, such as no free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often raw histogram samples are folded.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves until `shutdown`: then accepts no more, closes idle connections, lets requests under way
/// finish (for at most [`Limits::drain`](super::Limits::drain)) and returns.
///
/// A request cut off by that bound has not been answered; whether its records were accepted is as
/// open to its producer as after any lost reply.
pub async fn serve(
    listener: TcpListener,
    state: Arc<ApiState>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = router(state.clone());
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(state.limits.head)
        .max_buf_size(BUFFER_MAX);
    let places = Arc::new(Semaphore::new(state.limits.connections));
    let mut upkeep = tokio::time::interval(UPKEEP);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connections = JoinSet::new();

    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            _ = upkeep.tick() => state.metrics.run_upkeep(),
            (stream, place) = accept(&listener, &places) => {
                let connection = serve_connection(
                    builder.clone(), stream, router.clone(), shutdown.clone());
                let gauge = state.metrics.connections();
                connections.spawn(async move {
                    gauge.increment(1.0);
                    connection.await;
                    gauge.decrement(1.0);
                    drop(place);
                });
            }
        }
    }

    drop(listener);
    let all_done = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(state.limits.drain, all_done)
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "requests still under way were cut off: their producers got no answer"
        );
        connections.shutdown().await;
    }
    Ok(())
}

/// The next connection, once there is a place for it. Never gives up: a listener that works today
/// works tomorrow, whatever one `accept` says.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let place = places
        .clone()
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                return (stream, place);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the error is of the connection that was being accepted, so that the next may succeed.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Serves one connection to its end. Errors are the client's: it went away or spoke nonsense.
async fn serve_connection(
    builder: http1::Builder,
    stream: TcpStream,
    router: Router,
    shutdown: CancellationToken,
) {
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
