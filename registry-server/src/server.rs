//! How does a registry start, answer, and stop?

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::own_thread::OwnThread;
use crate::registry::{Registry, RegistryError};
use crate::sequencer::Sequencer;
use crate::settings::Settings;
use crate::{asking, blobs, gap, listening, projecting, recovering, routes, sweep, sync, witness};

/// A running registry. Dropping it stops it at once; [`Server::stop`] lets requests finish.
pub struct Server {
    /// The shared state, for the program around it.
    pub registry: Arc<Registry>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    listening: JoinHandle<usize>,
    tasks: JoinSet<()>,
    /// Of what waits for the disk.
    threads: [OwnThread; 2],
}

/// Starts a registry: opens its directory, proves what it holds, listens, and begins to follow.
///
/// # Errors
/// [`RegistryError`].
pub async fn start(settings: Settings) -> Result<Server, RegistryError> {
    let listen = settings.listen;
    let (registry, queue) = Registry::open(settings).await?;
    registry.begin_gap().await?;
    let sequencer = Sequencer::new(registry.clone(), queue).await?;
    let failed = |err| RegistryError::Listen { address: listen, err };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (stop, stopped) = watch::channel(false);
    projecting::look(&registry);
    let door = listening::Door::new(registry.clone(), routes::router(registry.clone()));
    let (patience, bound) = (registry.settings.patience, listening::connection_bound());
    let listening = tokio::spawn(listening::serve(listener, door, patience, bound, stopped));
    // The sequencer has no sockets: what asks others is left to this runtime.
    let (mut alone, mut with_processes) = (Builder::new_current_thread(), Builder::new_current_thread());
    let sequencing = OwnThread::start("sequencer", alone.enable_time(), || sequencer.run());
    let projected = registry.clone();
    let projecting = OwnThread::start("git", with_processes.enable_all(), || projecting::run(projected));
    let threads = [sequencing.map_err(RegistryError::Thread)?, projecting.map_err(RegistryError::Thread)?];
    let mut tasks = JoinSet::new();
    tasks.spawn(gap::run(registry.clone()));
    tasks.spawn(recovering::run(registry.clone()));
    tasks.spawn(asking::run(registry.clone()));
    tasks.spawn(sync::run(registry.clone()));
    tasks.spawn(witness::run(registry.clone()));
    tasks.spawn(blobs::run(registry.clone()));
    tasks.spawn(sweep::run(registry.clone()));
    registry.projected.notify_one();
    Ok(Server { registry, address, stop, listening, tasks, threads })
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

    /// Takes no new requests, lets open ones finish, and ends; the database is closed when this returns.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        // Requests first: an upload that is nearly here still needs the sequencer.
        let cut = (&mut self.listening).await.unwrap_or(0);
        if cut > 0 {
            tracing::warn!(cut, "connections were cut: they did not finish in time");
        }
        // Between two awaits nothing is half written: what counts is one database transaction.
        for thread in &mut self.threads {
            thread.stop().await;
        }
        self.tasks.shutdown().await;
        self.registry.store.clone().close().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
