//! How do connections come in, and when do they end? HTTP/1.1 only: TLS and newer versions are the proxy's in front.
//!
//! One connection is one request at a time, so the bound on connections bounds everything that requests hold.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::Either;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clients::{self, Client, REFUSAL_PAUSE, Work};
use crate::metrics::{MethodLabel, RequestLabels, StatusLabel};
use crate::problem::Rejection;
use crate::registry::Registry;
use crate::settings::Patience;
use crate::slow::{MIN_BODY_RATE, MeteredStream};

/// Connections at a time, at most; fewer where the system allows the process fewer open files.
pub const MAX_CONNECTIONS: usize = 4_096;
/// Open files that are left for the database, blobs, git and the peers.
const RESERVED_FILES: u64 = 256;
/// Bytes of a request's line and header, at most.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Header lines of a request, at most.
const MAX_HEADERS: usize = 100;
/// Connections that wait for being told why there is no place for them, at a time; further ones are closed. Fewer where the
/// system allows fewer open files: a quarter of them.
const MAX_TURNED_AWAY: usize = 1_024;
/// Time for one of them to read that, with the pause before it.
const TURN_AWAY_LIMIT: Duration = Duration::from_millis(750);
/// Bytes of theirs that are read and dropped meanwhile, at most.
const MAX_DROPPED_BYTES: usize = 64 * 1024;
/// Pause after the system could not give a connection: it has run out of something. It doubles with each.
const AFTER_ACCEPT_FAILURE: Duration = Duration::from_millis(10);
/// That pause, at most.
const MAX_ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// What a connection of a client is told that has as many as it may.
const TOO_MANY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\ncache-control: no-store\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";
/// What a connection over the bound is told.
const SHED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncache-control: no-store\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";

/// Connections that this process can hold: the bound, or what its limit of open files leaves.
pub fn connection_bound() -> usize {
    let left = usize::try_from(open_file_bound().saturating_sub(RESERVED_FILES)).unwrap_or(usize::MAX);
    MAX_CONNECTIONS.min(left.saturating_sub(turned_away_bound()).max(64))
}

/// Connections that can be told to come back.
fn turned_away_bound() -> usize {
    MAX_TURNED_AWAY.min(usize::try_from(open_file_bound() / 4).unwrap_or(usize::MAX))
}

#[cfg(unix)]
fn open_file_bound() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(not(unix))]
fn open_file_bound() -> u64 {
    u64::MAX
}

/// Where a request goes: to the answer that lies ready, else through everything.
#[derive(Clone)]
pub struct Door {
    registry: Arc<Registry>,
    app: TowerToHyperService<Router>,
    /// Where the connection comes from.
    from: Option<IpAddr>,
    /// What it is counted with, unless it is a proxy's.
    connection: Option<Arc<clients::Connection>>,
}

impl Door {
    /// Puts the kept answers of `registry` before `app`.
    pub fn new(registry: Arc<Registry>, app: Router) -> Self {
        Self { registry, app: TowerToHyperService::new(app), from: None, connection: None }
    }

    /// The door for a connection from an address.
    fn to(&self, from: IpAddr, connection: Option<clients::Connection>) -> Self {
        Self { from: Some(from), connection: connection.map(Arc::new), ..self.clone() }
    }

    /// Begins a request, or says why its client has to wait.
    fn begin(&self, request: &mut Request<Incoming>) -> Result<Option<clients::Places>, Rejection> {
        let Some(from) = self.from else { return Ok(None) };
        let clients = &self.registry.clients;
        let places = clients::begin(clients, clients.who(from, request.headers()), request)?;
        // Whoever works on after the header of its answer holds on to them.
        request.extensions_mut().insert(places.clone());
        Ok(Some(places))
    }

    /// Lets a client wait before it is told that it asks for too much.
    fn refuse(
        &self,
        request: &Request<Incoming>,
        rejection: Rejection,
    ) -> <Self as Service<Request<Incoming>>>::Future {
        let refused = refused(self.registry.clone(), MethodLabel::from(request.method()), rejection);
        Either::Right(Box::pin(async { Ok(refused.await) }))
    }
}

impl Service<Request<Incoming>> for Door {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<
        Ready<Result<Response, Infallible>>,
        Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>,
    >;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(Err(rejection)) = self.connection.as_ref().map(|connection| connection.ask()) {
            return self.refuse(&request, rejection);
        }
        if let Some(response) = self.registry.kept_answers.answer(&request) {
            return Either::Left(ready(Ok(response)));
        }
        match self.begin(&mut request) {
            Ok(places) => {
                // Publishes and clones are bounded apart, and take their time.
                let is_read = request.method() == Method::GET && !request.uri().path().starts_with("/git/");
                let connection = self.connection.clone().filter(|_| is_read);
                let (registry, method) = (self.registry.clone(), MethodLabel::from(request.method()));
                let answering = self.app.call(request);
                Either::Right(Box::pin(async move {
                    let _places = places;
                    let _turn = match connection {
                        Some(connection) => match connection.turn().await {
                            Ok(turn) => Some(turn),
                            Err(rejection) => return Ok(refused(registry, method, rejection).await),
                        },
                        None => None,
                    };
                    answering.await
                }))
            }
            Err(rejection) => self.refuse(&request, rejection),
        }
    }
}

/// Tells a client that it asks for too much, after a pause.
async fn refused(registry: Arc<Registry>, method: MethodLabel, rejection: Rejection) -> Response {
    let labels = RequestLabels { route: "other", method, status: StatusLabel::ClientError };
    registry.metrics.requests.get_or_create(&labels).inc();
    tokio::time::sleep(REFUSAL_PAUSE).await;
    rejection.into_response()
}

/// Answers connections until `stop` turns true; then takes no more, lets open requests finish for `patience.stop`, and
/// cuts the rest. Returns how many were cut.
pub async fn serve(
    listener: TcpListener,
    door: Door,
    patience: Patience,
    bound: usize,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let places = Arc::new(Semaphore::new(bound));
    let mut connections = JoinSet::new();
    let leaving = Arc::new(Semaphore::new(turned_away_bound()));
    let mut pause = AFTER_ACCEPT_FAILURE;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, from)) => {
                pause = AFTER_ACCEPT_FAILURE;
                let (from, clients) = (from.ip(), &door.registry.clients);
                // A proxy's connections are those of many.
                let own = match clients.is_proxy(from) {
                    true => Ok(None),
                    false => clients.begin(Client::at(from), Work::Connection).map(Some).ok_or(()),
                };
                match (own, places.clone().try_acquire_owned()) {
                    (Ok(own), Ok(place)) => {
                        let connection = own.as_ref().map(|_| clients.connection(Client::at(from)));
                        let door = door.to(from, connection);
                        let answering = answer(stream, door, patience, place, stop.clone());
                        connections.spawn(async move {
                            let _own = own;
                            answering.await;
                        });
                    }
                    (own, _) => {
                        let why = if own.is_err() { TOO_MANY } else { SHED };
                        if let Ok(place) = leaving.clone().try_acquire_owned() {
                            connections.spawn(turn_away(stream, why, place));
                        }
                    }
                }
            }
            Err(err) => {
                tracing::warn!(why = %crate::problem::said(&err), "cannot accept a connection");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_ACCEPT_PAUSE);
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(patience.stop, all).await;
    let cut = connections.len();
    connections.shutdown().await;
    cut
}

/// Says why there is no place, and reads on for a moment: closing on bytes that nobody read would take the words back.
async fn turn_away(mut stream: TcpStream, why: &'static [u8], _place: OwnedSemaphorePermit) {
    let leave = async {
        tokio::time::sleep(REFUSAL_PAUSE).await;
        stream.write_all(why).await?;
        stream.shutdown().await?;
        let mut dropped = [0; 1_024];
        for _ in 0..MAX_DROPPED_BYTES / dropped.len() {
            if stream.read(&mut dropped).await? == 0 {
                break;
            }
        }
        Ok::<(), std::io::Error>(())
    };
    let _ = tokio::time::timeout(TURN_AWAY_LIMIT, leave).await;
}

/// Answers one connection's requests, one after the other.
async fn answer(
    stream: TcpStream,
    door: Door,
    patience: Patience,
    _place: OwnedSemaphorePermit,
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let (stream, meter) = MeteredStream::new(stream);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.header)
        .max_header_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), door);
    let mut connection = std::pin::pin!(connection);
    let mut look = tokio::time::interval_at(Instant::now() + patience.idle, patience.idle);
    let mut written_before = 0;
    let mut stopping = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                let written = meter.written();
                if meter.is_stuck() && written - written_before < MIN_BODY_RATE * patience.idle.as_secs().max(1) {
                    // Dropping the connection drops the answer's body, and with it the file or process behind it.
                    return;
                }
                written_before = written;
            }
        }
    }
}
