//! Connections: accepted up to a bound, served with time-outs, ended in order.

#![expect(clippy::disallowed_methods, reason = "a listener that fails rests")]

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::connection_activity::HEAD_BYTES_MAX;
use super::places::{Answering, Place, Places};
use super::watched::WatchedSocket;
use super::{ApiState, api, json, router};
use crate::telemetry::Repeats;

/// Pause after a failure to accept that is not one connection's own, such as no free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often raw histogram samples are folded.
const UPKEEP: Duration = Duration::from_secs(5);
/// Places beyond all others, kept for health, readiness and metrics: whoever gets one is told from its first
/// request whether it came for them, and is gone after that.
pub const KEPT: usize = 64;
/// How long a head that has begun keeps a place from being given away (elsewhere it fits one packet; an eighth of that
/// where nobody else can give way), and how long a body may take for 32 KiB, or its end, while there is no other place.
const HEAD_PATIENCE: Duration = Duration::from_secs(2);
/// How long a connection that must go may take for what it has begun.
const PARTING: Duration = Duration::from_secs(1);
/// What the refused are told.
const CROWDED: &str = "all connections are busy: come again";
/// Bytes of a refused request that are still taken, so that its sender gets to read why.
const LINGER_BYTES: u64 = 64 << 20;

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
    let host = Acceptor::new(&state, shutdown.clone());
    let mut upkeep = tokio::time::interval(UPKEEP);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connections = JoinSet::new();

    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            _ = upkeep.tick() => state.metrics.run_upkeep(),
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let gauge = state.metrics.connections();
                    if let Some(serving) = host.serve(stream, client(from.ip())) {
                        connections.spawn(async move {
                            gauge.increment(1.0);
                            serving.await;
                            gauge.decrement(1.0);
                        });
                    }
                }
                Err(error) => host.not_accepted(&error).await,
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

/// Whom an address stands for: of IPv6 one client has a whole network.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// A connection being served.
type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Lets connections in.
struct Acceptor {
    /// How connections are served that may stay, and those that are gone after one answer.
    staying: http1::Builder,
    passing: http1::Builder,
    router: TowerToHyperService<Router>,
    places: Arc<Places>,
    kept: Arc<Places>,
    limit: usize,
    answer_pace: Duration,
    shutdown: CancellationToken,
    repeats: Repeats,
}

impl Acceptor {
    fn new(state: &Arc<ApiState>, shutdown: CancellationToken) -> Self {
        let mut staying = http1::Builder::new();
        // hyper's read buffer is also what a body frame is cut from: of each body so much may be here, and be read
        // ahead, before it has its share of the memory for bodies.
        staying
            .timer(TokioTimer::new())
            .header_read_timeout(state.limits.head)
            .max_buf_size(HEAD_BYTES_MAX);
        let mut passing = staying.clone();
        passing
            .header_read_timeout(state.limits.head.min(HEAD_PATIENCE))
            .keep_alive(false);
        Self {
            staying,
            passing,
            router: TowerToHyperService::new(router(state.clone())),
            places: Places::new(state.limits.connections, HEAD_PATIENCE),
            kept: Places::new(KEPT, Duration::ZERO),
            limit: state.limits.connections,
            answer_pace: state.limits.answer_pace,
            shutdown,
            repeats: Repeats::default(),
        }
    }

    /// Serves a connection where there is a place for it, or at a kept one. `None`: there is none at all.
    fn serve(&self, stream: TcpStream, from: IpAddr) -> Option<Serving> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        if let Some(place) = self.places.take() {
            let client = self.client(stream, from, place);
            return Some(Box::pin(stay(self.staying.clone(), client)));
        }
        if let Some(unsaid) = self.repeats.due("connections are all busy", "") {
            tracing::warn!(
                connections = self.limit,
                unsaid,
                "connections are all busy: new ones are told to come again, but for /healthz, /readyz and \
                 /metrics. `connections` in [http] allows more"
            );
        }
        let Some(place) = self.kept.take() else {
            // What fits the socket's buffer, as it goes.
            let _ = stream.try_write(
                b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
                connection: close\r\ncontent-length: 0\r\n\r\n",
            );
            return None;
        };
        let client = self.client(stream, from, place);
        Some(Box::pin(pass(self.passing.clone(), client)))
    }

    fn client(&self, socket: TcpStream, from: IpAddr, place: Place) -> ClientConnection {
        ClientConnection {
            socket: WatchedSocket::new(socket, place.activity(), self.answer_pace),
            from,
            place: Arc::new(place),
            router: self.router.clone(),
            shutdown: self.shutdown.clone(),
        }
    }

    /// Never gives up: a listener that works today works tomorrow, whatever one `accept` says.
    async fn not_accepted(&self, error: &io::Error) {
        if is_of_one_connection(error) {
            return;
        }
        if let Some(unsaid) = self.repeats.due("not accepted", &error.to_string()) {
            tracing::warn!(%error, unsaid, "a connection could not be accepted");
        }
        // It may be for want of descriptors.
        self.places.dismiss();
        tokio::time::sleep(ACCEPT_PAUSE).await;
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

/// A connection, its place, and what answers it.
struct ClientConnection {
    socket: WatchedSocket,
    from: IpAddr,
    place: Arc<Place>,
    router: TowerToHyperService<Router>,
    shutdown: CancellationToken,
}

/// Serves a connection for as long as its client likes, unless it is idle and another needs the place.
/// Errors are the client's: it went away or spoke nonsense.
async fn stay(builder: http1::Builder, client: ClientConnection) {
    let ClientConnection {
        socket,
        from,
        place,
        router,
        shutdown,
    } = client;
    // A request is under way when it is answered, not when its head is here: it may stand behind answers that
    // nobody takes.
    let service = service_fn(|mut request: Request<Incoming>| {
        let (place, router) = (Arc::clone(&place), router.clone());
        async move {
            let turn = place.begin();
            request.extensions_mut().insert(place.visitor(from));
            let answer = match turn {
                Some(_) => router.call(request).await?,
                None => crowded(false),
            };
            Ok::<_, Infallible>(answer.map(|body| Answering { body, _turn: turn }))
        }
    });
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = place.lost() => {
            if place.has_begun() {
                return;
            }
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(PARTING, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                // A head that has begun may come to nothing.
                () = place.idle_for(PARTING) => return,
            }
        }
    };
    tell(ended);
}

/// Serves one request of a connection for which there is no place: health, readiness and metrics, or word
/// to come again. Nothing of a body is read.
async fn pass(builder: http1::Builder, client: ClientConnection) {
    let ClientConnection {
        socket,
        from,
        place,
        router,
        shutdown,
    } = client;
    let service = service_fn(|request: Request<Incoming>| {
        let (place, router) = (Arc::clone(&place), router.clone());
        async move {
            let turn = place.begin();
            let is_api = request.uri().path() == "/";
            let mut request = request.map(|_| Body::empty());
            request.extensions_mut().insert(place.visitor(from));
            let answer = if is_watching(&request) {
                router.call(request).await?
            } else {
                crowded(is_api)
            };
            Ok::<_, Infallible>(answer.map(|body| Answering { body, _turn: turn }))
        }
    });
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    let parting = async {
        let socket = connection.without_shutdown().await?.io.into_inner().socket;
        linger(socket).await;
        Ok(())
    };
    tokio::select! {
        biased;
        ended = parting => tell(ended),
        () = place.lost() => {}
        () = shutdown.cancelled() => {}
    }
}

/// Whether a request looks after the daemon.
fn is_watching<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics")
}

/// What a request is told for which there is no place. Nothing of it was accepted.
fn crowded(is_api: bool) -> Response<Body> {
    let mut answer = if is_api {
        api::crowded(CROWDED)
    } else {
        let body = serde_json::json!({ "error": CROWDED, "accepted": 0, "bytes": 0 });
        json(StatusCode::SERVICE_UNAVAILABLE, &body)
    };
    let headers = answer.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Lets the client read the answer: a socket closed on bytes that nobody has read takes back what was sent.
async fn linger(mut socket: TcpStream) {
    let lingering = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(PARTING, lingering).await;
}

fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
