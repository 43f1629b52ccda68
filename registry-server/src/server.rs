//! How does a registry start, answer, and stop?

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{any, get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_http::timeout::TimeoutLayer;

use crate::problem::Rejection;
use crate::registry::{Registry, RegistryError};
use crate::sequencer::Sequencer;
use crate::settings::Settings;
use crate::{api, asking, git_http, projecting, reads, sync};

/// Time for one request, at most; long clones are bounded by git's own pace.
const REQUEST_TIME_LIMIT: Duration = Duration::from_secs(300);
/// Bytes of a request beside its archive.
const REQUEST_OVERHEAD_BYTES: u64 = 2 * 1024 * 1024;
/// Time that open requests are given when the registry stops.
const STOP_TIME_LIMIT: Duration = Duration::from_secs(10);

/// A running registry. Dropping it stops it at once; [`Server::stop`] lets requests finish.
pub struct Server {
    /// The shared state, for the program around it.
    pub registry: Arc<Registry>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Starts a registry: opens its directory, proves what it holds, listens, and begins to follow.
///
/// # Errors
/// [`RegistryError`].
pub async fn start(settings: Settings) -> Result<Server, RegistryError> {
    let listen = settings.listen;
    let (registry, queue) = Registry::open(settings).await?;
    let sequencer = Sequencer::new(registry.clone(), queue).await?;
    let listener =
        TcpListener::bind(listen).await.map_err(|err| RegistryError::Listen { address: listen, err })?;
    let address = listener.local_addr().map_err(|err| RegistryError::Listen { address: listen, err })?;
    let (stop, mut stopped) = watch::channel(false);
    let app = router(registry.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        if let Err(err) = serving.await {
            tracing::error!(err = &err as &dyn std::error::Error, "the server ended");
        }
    });
    for background in [
        tokio::spawn(sequencer.run()),
        tokio::spawn(projecting::run(registry.clone())),
        tokio::spawn(asking::run(registry.clone())),
        tokio::spawn(sync::run(registry.clone())),
    ] {
        tasks.spawn(until_stopped(stop.subscribe(), background));
    }
    registry.projected.notify_one();
    Ok(Server { registry, address, stop, tasks })
}

/// Ends a background task when the registry stops. Between two awaits nothing is half written: what counts is one
/// database transaction.
async fn until_stopped(mut stop: watch::Receiver<bool>, task: tokio::task::JoinHandle<()>) {
    let abort = task.abort_handle();
    tokio::select! {
        _ = task => {}
        _ = stop.wait_for(|stop| *stop) => abort.abort(),
    }
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address for HTTP on this machine.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no new requests, lets open ones finish, and ends.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIME_LIMIT, all).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
    }
}

fn router(registry: Arc<Registry>) -> Router {
    let body_limit =
        usize::try_from(registry.settings.archive_limit + REQUEST_OVERHEAD_BYTES).unwrap_or(usize::MAX);
    Router::new()
        .route("/.well-known/brickyard.json", get(api::well_known))
        .route("/commons/{*rest}", get(reads::commons))
        .route("/logs/{publisher}/{*rest}", get(reads::log))
        .route("/index/{publisher}/{file}", get(reads::index))
        .route("/bricks/{publisher}/{brick}/{version}/{what}", get(reads::release))
        .route("/blobs/sha256/{hex}", get(reads::blob))
        .route("/witness/add-checkpoint", post(api::add_checkpoint))
        .route("/witness/{hex}/checkpoint", get(reads::witness_checkpoint))
        .route("/api/v1/entries", post(api::entries))
        .route("/api/v1/search", get(api::search))
        .route("/api/v1/bricks", get(api::search))
        .route("/api/v1/publishers", get(api::publishers))
        .route("/api/v1/registries", get(api::registries))
        .route("/api/v1/services", get(api::services))
        .route("/api/v1/sync", get(api::sync))
        .route("/api/v1/evidence", get(api::evidence))
        .route("/git/{*path}", any(git_http::serve))
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .fallback(async || Rejection::not_found("such page"))
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIME_LIMIT))
        .with_state(registry)
}
