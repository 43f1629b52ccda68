//! Who is followed, and when? Every peer by a task of its own: a slow or broken one stops nobody else.
//!
//! A peer that answers at an address is asked there, by one question a round while nothing is new; any other git repository
//! of the right layout is fetched. See `docs/decisions/0014-following-over-http.md`.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use brick_client::{AskError, Client, Family, LogPath, NewClientError};
use brick_index::follow::FollowError;
use brick_schemas::{Origin, PublisherName};
use brick_store::SyncState;
use brick_trust::{Commons, Refused};
use futures_util::stream::StreamExt as _;
use tokio::sync::broadcast;

use crate::crew::{Crew, back_off, jittered};
use crate::mirroring::{Brought, Mirroring};
use crate::peer_heads::PeerHeads;
use crate::problem::{chain, said};
use crate::registry::{Registry, RegistryError, Wake, now};
use crate::settings::Peer;
use crate::source::{Source, in_view};
use crate::sync_status::kept_reason;

/// Between two rounds of one peer at least, however often somebody asks for one.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// Between two rounds of a peer that cannot be followed, at most.
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// Logs of one peer's that are brought forward at a time.
const LOGS_AT_A_TIME: usize = 4;

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
    /// The peer's address.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// There can be no client for it.
    #[error(transparent)]
    Address(#[from] NewClientError),
    /// It took too long to say what is new.
    #[error("{url} did not say within {} s how far its logs go", limit.as_secs())]
    Late {
        /// The address.
        url: String,
        /// The bound.
        limit: Duration,
    },
    /// It stopped answering.
    #[error("{peer} does not answer any more")]
    Silent {
        /// Who.
        peer: String,
    },
    /// What it shows a head of is not there.
    #[error("the leaves of {log} are not there")]
    Gone {
        /// The log's path.
        log: String,
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
            let (mirroring, heads) = (mirroring.clone(), PeerHeads::default());
            let follower = PeerTask { registry: registry.clone(), mirroring, peer, done: None, heads };
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
    /// The tree of the peer's repository, and the size of the commons log here, of which nothing more can come.
    done: Option<(String, u64)>,
    /// What the peer said of its logs, and which of it has come to something.
    heads: PeerHeads,
}

impl PeerTask {
    async fn follow_on(mut self, mut woken: broadcast::Receiver<Wake>) {
        let interval = self.registry.settings.sync_interval;
        let mut failures = 0;
        loop {
            woken = woken.resubscribe();
            let begun = Instant::now();
            let outcome = self.round().await;
            self.registry.metrics.round_seconds.observe(begun.elapsed().as_secs_f64());
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
    ///
    /// Returns whether the same bytes would come to the same again.
    async fn note_outcome(&self, log: &Origin, outcome: &Result<Brought, SyncError>) -> bool {
        match outcome {
            Ok(brought) => {
                self.note(Some(log), &SyncState::Followed).await;
                *brought == Brought::Forward
            }
            Err(SyncError::CatchingUp { .. }) => false,
            Err(err) => {
                self.note(Some(log), &SyncState::Failed { why: err.kept() }).await;
                err.is_settled()
            }
        }
    }

    /// One round: what the peer has, the commons log, then every publisher's.
    async fn round(&mut self) -> Result<(), SyncError> {
        match self.listed().await? {
            Some(client) => self.round_by_list(&Source::Http(client)).await,
            None => self.round_by_git().await,
        }
    }

    /// Asks the peer's address how far its logs go; `None` where nobody answers there who knows, and git is to be asked.
    async fn listed(&mut self) -> Result<Option<Client>, SyncError> {
        let Some(url) = &self.peer.url else { return Ok(None) };
        let client = self.registry.peer_client(url)?;
        let limit = self.registry.settings.patience.fetch;
        let asked = tokio::time::timeout(limit, client.heads(self.heads.etag())).await;
        match asked.map_err(|_| SyncError::Late { url: url.clone(), limit })? {
            Ok(Some(heads)) => self.heads.listed(heads),
            // What it said last still holds.
            Ok(None) => {}
            Err(err) if err.is_missing() || err.family() == Family::NotARegistry => return Ok(None),
            Err(err) if !self.peer.git.starts_with(url.as_str()) => {
                tracing::debug!(peer = self.peer.name, why = %said(&err), "followed by git, which is elsewhere");
                return Ok(None);
            }
            Err(err) => return Err(err.into()),
        }
        Ok(Some(client))
    }

    /// A round over what changed in the peer's list since it last came to something.
    async fn round_by_list(&mut self, source: &Source) -> Result<(), SyncError> {
        let registry = self.registry.clone();
        self.heads.begin(commons_size(&registry));
        if self.heads.is_due(&LogPath::Commons) {
            let is_settled = self.bring_commons(source).await?;
            // The records say whose entries count: who was refused before may be taken now.
            self.heads.begin(commons_size(&registry));
            self.heads.settle(&LogPath::Commons, is_settled);
        }
        if commons_origin(&registry).is_none() {
            return Ok(());
        }
        let silence = OnceLock::new();
        let (task, silent) = (&*self, &silence);
        let outcomes: Vec<(LogPath, bool)> = futures_util::stream::iter(task.heads.due_publishers())
            .map(|publisher| async move {
                // Who does not answer is not asked about every other log. What is under way comes to its end: it is not
                // dropped between storing and showing.
                let is_settled = match silent.get() {
                    Some(()) => false,
                    None => task.bring_publisher(source, &publisher, silent).await,
                };
                (LogPath::Publisher(publisher), is_settled)
            })
            .buffer_unordered(LOGS_AT_A_TIME)
            .collect()
            .await;
        for (path, is_settled) in outcomes {
            self.heads.settle(&path, is_settled);
        }
        match silence.get() {
            Some(()) => Err(SyncError::Silent { peer: self.peer.name.clone() }),
            None => Ok(()),
        }
    }

    /// A round over the peer's repository, if it is another one than before.
    async fn round_by_git(&mut self) -> Result<(), SyncError> {
        let follower = Source::fetch(&self.registry, &self.peer).await?;
        let Some((tree, publishers)) =
            in_view(&follower, |view| Ok((view.tree_id(), view.publishers()?))).await?
        else {
            return Ok(());
        };
        let registry = self.registry.clone();
        if self.done.as_ref().is_some_and(|(done, size)| *done == tree && *size == commons_size(&registry)) {
            return Ok(());
        }
        let source = Source::Git(follower);
        // The commons first: the records in it say whose entries count.
        let mut is_settled = self.bring_commons(&source).await?;
        if commons_origin(&registry).is_none() {
            return Ok(());
        }
        let size = commons_size(&registry);
        let silence = OnceLock::new();
        for publisher in publishers {
            is_settled &= self.bring_publisher(&source, &publisher, &silence).await;
        }
        self.done = is_settled.then_some((tree, size));
        Ok(())
    }

    /// Brings the commons log forward, and notes how it went. Returns whether there is nothing more to come of it.
    ///
    /// # Errors
    /// Why it was not taken, while there is no commons here: nothing says then which log that was.
    async fn bring_commons(&self, source: &Source) -> Result<bool, SyncError> {
        let registry = &self.registry;
        let outcome = self.mirroring.sync_commons(registry, &self.peer, source).await;
        if let Err(err) = &outcome {
            tracing::warn!(peer = self.peer.name, why = %said(err), "the commons log was not taken");
        }
        match commons_origin(registry) {
            None => Ok(outcome? == Brought::Forward),
            Some(commons) => Ok(self.note_outcome(&commons, &outcome).await),
        }
    }

    /// Brings a publisher's log forward, and notes how it went. Returns whether there is nothing more to come of it.
    ///
    /// - `silence`: set where the peer does not answer any more.
    async fn bring_publisher(
        &self,
        source: &Source,
        publisher: &PublisherName,
        silence: &OnceLock<()>,
    ) -> bool {
        let origin = Origin::of_publisher(publisher);
        let outcome = self.mirroring.sync_publisher(&self.registry, &self.peer, source, publisher).await;
        if let Err(err) = &outcome {
            tracing::warn!(peer = self.peer.name, %origin, why = %said(err), "a log was not taken");
        }
        if let Err(SyncError::Ask(err)) = &outcome
            && matches!(err.family(), Family::Unreachable | Family::Slow)
        {
            silence.get_or_init(|| ());
        }
        self.note_outcome(&origin, &outcome).await
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

/// The commons log's origin, once it is here.
pub(crate) fn commons_origin(registry: &Registry) -> Option<Origin> {
    registry.commons().commons.as_ref().map(Commons::origin)
}

fn commons_size(registry: &Registry) -> u64 {
    registry.commons().commons.as_ref().map_or(0, Commons::size)
}
