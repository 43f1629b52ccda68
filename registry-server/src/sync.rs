//! Who is followed, and when? Every peer by a task of its own: a slow or broken one stops nobody else.

use std::sync::Arc;
use std::time::Duration;

use brick_index::follow::{FollowError, Follower, View};
use brick_schemas::Digest;
use brick_schemas::Origin;
use brick_store::SyncState;
use brick_trust::{Commons, Refused};
use tokio::io::AsyncReadExt as _;
use tokio::sync::broadcast;

use crate::blocking::blocking;
use crate::crew::{Crew, back_off, jittered};
use crate::git_process::GitProcess;
use crate::mirroring::Mirroring;
use crate::problem::{chain, said};
use crate::registry::{Registry, RegistryError, Wake, now};
use crate::settings::Peer;
use crate::sync_status::kept_reason;

/// Between two rounds of one peer at least, however often somebody asks for one.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// Between two rounds of a peer that cannot be followed, at most.
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// Bytes of git's last words that are read.
const MAX_WORDS: u64 = 4_096;

/// Why a log could not be brought forward.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The peer's repository cannot be fetched or read.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// It took too long.
    #[error("git fetch of {url} was stopped after {} s", limit.as_secs())]
    Slow {
        /// The address.
        url: String,
        /// The bound.
        limit: Duration,
    },
    /// This registry has just started, and does not know yet how far others saw the log.
    #[error("{why}")]
    CatchingUp {
        /// What it waits for.
        why: String,
    },
    /// What it says was refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// This registry's own store.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl SyncError {
    /// Whether the same bytes would be refused again: nothing but what was checked had a part in it.
    fn is_settled(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Registry(RegistryError::Refused(_)))
    }

    /// The reason in words, its step first where there is one, as `/api/v1/sync` shows it.
    fn kept(&self) -> String {
        match self {
            Self::Refused(refused) | Self::Registry(RegistryError::Refused(refused)) => {
                kept_reason(refused, None)
            }
            other => chain(other),
        }
    }
}

/// Follows the peers for as long as the registry runs: at every interval, and when somebody asks.
pub async fn run(registry: Arc<Registry>) {
    let mirroring = Arc::new(Mirroring::default());
    let mut crew = Crew::default();
    loop {
        let wanted = registry.peers().into_iter().map(|peer| (peer.git.clone(), peer)).collect();
        let gone = crew.keep(wanted, |peer| {
            let follower =
                PeerTask { registry: registry.clone(), mirroring: mirroring.clone(), peer, done: None };
            follower.follow_on(registry.follow_one.subscribe())
        });
        forget(&registry, &gone).await;
        tokio::select! {
            () = registry.follow.notified() => {
                let _ = registry.follow_one.send(Wake::All);
            }
            // Who is to be followed changes with the commons.
            () = tokio::time::sleep(registry.settings.sync_interval) => {}
        }
    }
}

/// Drops what is known of peers that are followed no more.
async fn forget(registry: &Registry, gone: &[String]) {
    if gone.is_empty() {
        return;
    }
    let followed: Vec<String> = registry.peers().into_iter().map(|peer| peer.name).collect();
    let Ok(rows) = registry.store.sync_states().await else { return };
    for row in rows {
        // What was refused is public for good, whoever sent it; only the state of a peer as such goes.
        if !followed.contains(&row.peer) && row.state == SyncState::Followed {
            let _ = registry.store.forget_sync(&row.peer).await;
        }
    }
}

/// Following one peer.
struct PeerTask {
    registry: Arc<Registry>,
    mirroring: Arc<Mirroring>,
    peer: Peer,
    /// The peer's tree, and the size of the commons log here, of which nothing more can come.
    done: Option<(String, u64)>,
}

impl PeerTask {
    async fn follow_on(mut self, mut woken: broadcast::Receiver<Wake>) {
        let interval = self.registry.settings.sync_interval;
        let mut failures = 0;
        loop {
            woken = woken.resubscribe();
            let outcome = self.round().await;
            let state = match &outcome {
                Ok(()) => SyncState::Followed,
                Err(err) => {
                    tracing::warn!(peer = self.peer.name, why = %said(err), "cannot follow");
                    self.registry.metrics.failed_rounds.inc();
                    SyncState::Failed { why: err.kept() }
                }
            };
            self.note(None, &state).await;
            failures = if outcome.is_ok() { 0 } else { failures + 1 };
            if failures > 0 {
                tokio::time::sleep(back_off(interval, failures, MAX_PAUSE.max(interval))).await;
                continue;
            }
            tokio::time::sleep(MIN_PAUSE).await;
            tokio::select! {
                () = tokio::time::sleep(jittered(interval)) => {}
                () = meant(&mut woken, &self.peer) => {}
            }
        }
    }

    async fn note(&self, log: Option<&Origin>, state: &SyncState) {
        if let Err(err) = self.registry.store.put_sync(&self.peer.name, log, state, now()).await {
            tracing::warn!(why = %said(&err), "cannot note how following went");
        }
    }

    /// Notes how a log went. One that waits for what others saw of it was neither taken nor refused: `catching_up` shows it.
    async fn note_outcome(&self, log: &Origin, outcome: &Result<(), SyncError>) {
        if !matches!(outcome, Err(SyncError::CatchingUp { .. })) {
            self.note(Some(log), &state_of(outcome)).await;
        }
    }

    /// One round: fetch, the commons log, then every publisher's.
    async fn round(&mut self) -> Result<(), SyncError> {
        let follower = self.fetch().await?;
        let Some((tree, publishers)) =
            in_view(&follower, |view| Ok((view.tree_id(), view.publishers()?))).await?
        else {
            return Ok(());
        };
        let registry = self.registry.clone();
        if self.done.as_ref().is_some_and(|(done, size)| *done == tree && *size == commons_size(&registry)) {
            return Ok(());
        }
        let mut is_settled = true;
        // The commons first: the records in it say whose entries count.
        let outcome = self.mirroring.sync_commons(&registry, &self.peer, &follower).await;
        is_settled &= outcome.as_ref().err().is_none_or(SyncError::is_settled);
        if let Err(err) = &outcome {
            tracing::warn!(peer = self.peer.name, why = %said(err), "the commons log was not taken");
        }
        let Some(commons) = commons_origin(&registry) else {
            // Until there is a commons nothing else can be checked, and nothing says which log was refused.
            return outcome;
        };
        self.note_outcome(&commons, &outcome).await;
        let size = commons_size(&registry);
        for publisher in publishers {
            let origin = Origin::of_publisher(&publisher);
            let outcome = self.mirroring.sync_publisher(&registry, &self.peer, &follower, &publisher).await;
            is_settled &= outcome.as_ref().err().is_none_or(SyncError::is_settled);
            if let Err(err) = &outcome {
                tracing::warn!(peer = self.peer.name, %origin, why = %said(err), "a log was not taken");
            }
            self.note_outcome(&origin, &outcome).await;
        }
        self.done = is_settled.then_some((tree, size));
        Ok(())
    }

    /// Brings the copy of the peer's repository forward. A fetch that takes too long is killed, its helpers with it.
    async fn fetch(&self) -> Result<Follower, SyncError> {
        let name = format!("{}.git", Digest::of(self.peer.git.as_bytes()));
        let path = self.registry.settings.data.join("peers").join(name);
        let url = self.peer.git.clone();
        let follower = blocking(move || Follower::open(&path, &url)).await?;
        let mut git = GitProcess::start(follower.fetch_command()).map_err(FollowError::Start)?;
        let stderr = git.child.stderr.take();
        let run = async {
            let mut words = Vec::new();
            if let Some(stderr) = stderr {
                let _ = stderr.take(MAX_WORDS).read_to_end(&mut words).await;
            }
            git.child.wait().await.map(|status| (status, words))
        };
        let limit = self.registry.settings.patience.fetch;
        let ended = tokio::time::timeout(limit, run).await;
        let slow = |_| SyncError::Slow { url: self.peer.git.clone(), limit };
        let (status, words) = ended.map_err(slow)?.map_err(FollowError::Start)?;
        match status.success() {
            true => Ok(follower),
            false => Err(follower.fetch_error(&words).into()),
        }
    }
}

/// Waits until somebody wants `peer` followed.
async fn meant(woken: &mut broadcast::Receiver<Wake>, peer: &Peer) {
    use broadcast::error::RecvError;
    loop {
        match woken.recv().await {
            Ok(wake) if !wake.is_for(peer) => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            // The registry is going down, and this task with it.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn state_of(outcome: &Result<(), SyncError>) -> SyncState {
    match outcome {
        Ok(()) => SyncState::Followed,
        Err(err) => SyncState::Failed { why: err.kept() },
    }
}

/// The commons log's origin, once it is here.
pub(crate) fn commons_origin(registry: &Registry) -> Option<Origin> {
    registry.commons().commons.as_ref().map(Commons::origin)
}

fn commons_size(registry: &Registry) -> u64 {
    registry.commons().commons.as_ref().map_or(0, Commons::size)
}

/// Reads from the peer's repository on a thread of its own; `None` where it has no commit yet.
pub(crate) async fn in_view<T: Send + 'static>(
    follower: &Follower,
    read: impl FnOnce(&View) -> Result<T, FollowError> + Send + 'static,
) -> Result<Option<T>, FollowError> {
    let follower = follower.clone();
    blocking(move || match follower.view()? {
        Some(view) => read(&view).map(Some),
        None => Ok(None),
    })
    .await
}
