//! What does a running registry hold? Its store, the folded commons, the heads that it shows, and who wakes whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use brick_index::projection::Projection;
use brick_schemas::predicate::Registry as RegistryRecord;
use brick_schemas::{Digest, Origin, PublisherName};
use brick_store::{CreateLogError, Log, Store, StoreOptions};
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::{Algorithm, KeyName, Vkey};
use brick_tlog::tree::Tree;
use brick_trust::{Commons, HeadRules, Pin, Refused};
use tokio::sync::{Notify, broadcast, mpsc};

use crate::archive_check::KeptVerdicts;
use crate::blocking::blocking;
use crate::clients::Clients;
use crate::closed::ClosedLogs;
use crate::counts::KeptCounts;
use crate::gap::Gaps;
use crate::heads::ShownHead;
use crate::heads_list::KeptHeads;
use crate::kept_answers::KeptAnswers;
use crate::metrics::Metrics;
use crate::nodes::KeptRoots;
use crate::peer_clients::PeerClients;
use crate::problem::Rejection;
use crate::sequencer::Submission;
use crate::settings::{Peer, Settings};
use crate::texts::KeptTexts;

/// Entries that wait for the sequencer, at most; beyond, publishers are told to come back.
pub const MAX_QUEUE: usize = 1_024;
/// Wakes that followers may have to catch up with; whoever falls behind looks once for all of them.
const MAX_WAKES: usize = 64;
/// Leaves read from the store at a time.
const READ_CHUNK: u64 = 256;

/// A registry: shared by its handlers and tasks.
pub struct Registry {
    /// What it was told.
    pub settings: Settings,
    /// Entries, tiles, index, blobs.
    pub store: Store,
    /// The git repository.
    pub projection: Projection,
    commons: RwLock<Arc<CommonsState>>,
    heads: RwLock<BTreeMap<Origin, Arc<ShownHead>>>,
    /// The way into the log.
    pub queue: mpsc::Sender<Submission>,
    /// Wakes the git projection.
    pub projected: Notify,
    /// Wakes whoever asks witnesses.
    pub ask_witnesses: Notify,
    /// Wakes the followers of all peers.
    pub follow: Notify,
    /// Wakes the follower of one peer.
    pub(crate) follow_one: broadcast::Sender<Wake>,
    /// Wakes whoever waits for a log to move.
    pub moved: Notify,
    /// What operators measure.
    pub metrics: Metrics,
    /// What each client has under way.
    pub clients: Arc<Clients>,
    /// Held for reading while an upload is received, so that no blob is swept away under it.
    pub uploads: Arc<tokio::sync::RwLock<()>>,
    pub(crate) closed: ClosedLogs,
    pub(crate) gaps: Gaps,
    pub(crate) peer_clients: PeerClients,
    pub(crate) kept_counts: KeptCounts,
    pub(crate) kept_heads: KeptHeads,
    /// Answers that lie ready.
    pub kept_answers: KeptAnswers,
    pub(crate) kept_texts: KeptTexts,
    pub(crate) kept_verdicts: KeptVerdicts,
    pub(crate) kept_roots: KeptRoots,
    /// Logs whose git files are behind.
    pub(crate) unprojected: Mutex<BTreeSet<Origin>>,
    /// Whether the git repository is being made again from the logs, and shows only some of them so far.
    pub(crate) git_is_in_the_making: AtomicBool,
    /// Long ways of logs that are being caught up with.
    pub(crate) histories: AtomicUsize,
}

/// Whom to follow now.
#[derive(Clone, Debug)]
pub(crate) enum Wake {
    /// Everybody.
    All,
    /// A registry, by its name and its addresses.
    One(Arc<RegistryRecord>),
}

impl Wake {
    /// Whether it means `peer`.
    pub(crate) fn is_for(&self, peer: &Peer) -> bool {
        match self {
            Self::All => true,
            Self::One(record) => {
                let is_its = |url: &String| peer.url.as_deref() == Some(url.trim_end_matches('/'));
                record.id.as_str() == peer.name || record.urls.iter().any(is_its)
            }
        }
    }
}

/// The commons log, folded, with its tree.
pub struct CommonsState {
    /// Roots and records; `None` until the first root is here.
    pub commons: Option<Commons>,
    /// The leaves' tree.
    pub tree: Tree,
}

/// Why a registry could not start, or a task of it could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The store.
    #[error("the registry's store")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The git repository.
    #[error("the registry's git repository")]
    Git(#[from] brick_index::projection::ProjectionError),
    /// A stored log does not add up.
    #[error("the stored log {origin} does not add up: nothing will be signed")]
    Damaged {
        /// Which log.
        origin: Origin,
        /// What is wrong.
        #[source]
        err: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A peer's entry or record was refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The network.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        #[source]
        err: std::io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl RegistryError {
    /// Wraps whatever the store says.
    pub fn store(err: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Store(Box::new(err))
    }
}

impl Registry {
    /// Opens a registry's directory and reads what it holds.
    ///
    /// # Errors
    /// [`RegistryError`]; a log that does not add up stops the start.
    pub async fn open(settings: Settings) -> Result<(Arc<Self>, mpsc::Receiver<Submission>), RegistryError> {
        let options = StoreOptions { cache_bytes: settings.database_cache_bytes, ..StoreOptions::default() };
        let store = Store::open(&settings.data, options).await;
        Self::over(settings, store.map_err(RegistryError::store)?).await
    }

    /// A registry to fold logs in, of which nothing need outlive this process.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_scratch(settings: Settings) -> Result<Arc<Self>, RegistryError> {
        let store = Store::open_scratch(&settings.data).await.map_err(RegistryError::store)?;
        Ok(Self::over(settings, store).await?.0)
    }

    async fn over(
        mut settings: Settings,
        store: Store,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Submission>), RegistryError> {
        // Programs that are started in folders of their own are told paths in it.
        settings.data = std::path::absolute(&settings.data).map_err(RegistryError::store)?;
        let git = settings.data.join("commons.git");
        let (projection, _) = blocking(move || Projection::open(&git)).await?;
        let projection = projection.watched_by(crate::projecting::crash_at);
        let (queue, receiver) = mpsc::channel(MAX_QUEUE);
        let kept_answers = KeptAnswers::new(settings.read_cache_bytes);
        let clients = Clients::new(settings.clients.clone());
        let registry = Arc::new(Self {
            settings,
            store,
            projection,
            commons: RwLock::new(Arc::new(CommonsState { commons: None, tree: Tree::new() })),
            heads: RwLock::new(BTreeMap::new()),
            queue,
            projected: Notify::new(),
            ask_witnesses: Notify::new(),
            follow: Notify::new(),
            follow_one: broadcast::channel(MAX_WAKES).0,
            moved: Notify::new(),
            metrics: Metrics::default(),
            clients,
            uploads: Arc::default(),
            closed: ClosedLogs::default(),
            gaps: Gaps::default(),
            peer_clients: PeerClients::default(),
            kept_counts: KeptCounts::default(),
            kept_heads: KeptHeads::default(),
            kept_answers,
            kept_texts: KeptTexts::default(),
            kept_verdicts: KeptVerdicts::default(),
            kept_roots: KeptRoots::default(),
            unprojected: Mutex::new(BTreeSet::new()),
            git_is_in_the_making: AtomicBool::new(false),
            histories: AtomicUsize::new(0),
        });
        registry.load_commons().await?;
        let logs = registry.store.logs().await.map_err(RegistryError::store)?;
        for log in logs {
            registry.refresh_head(&log.origin).await?;
            registry.mark_unprojected(&log.origin);
        }
        Ok((registry, receiver))
    }

    pub(crate) async fn load_commons(&self) -> Result<(), RegistryError> {
        let logs = self.store.logs().await.map_err(RegistryError::store)?;
        let Some(log) = logs.into_iter().find(|log| log.publisher.is_none()) else { return Ok(()) };
        let pin = Pin { root_sha256: self.settings.root_sha256 };
        let mut state = CommonsState { commons: None, tree: Tree::new() };
        let mut next = 0;
        while next < log.size {
            let end = (next + READ_CHUNK).min(log.size);
            let leaves = self.store.leaves(log.id, next..end).await.map_err(RegistryError::store)?;
            if leaves.is_empty() {
                break;
            }
            for leaf in &leaves {
                state.apply(&pin, leaf).map_err(|err| RegistryError::Damaged {
                    origin: log.origin.clone(),
                    err: Box::new(err),
                })?;
            }
            next += leaves.len() as u64;
        }
        let signed = self.store.last_checkpoint(log.id).await.map_err(RegistryError::store)?;
        if let Some(signed) = signed.filter(|signed| signed.root != digest(state.tree.root())) {
            let what = format!("its leaves are not those under its head of {} leaves", signed.size);
            let err = Refused::new(brick_trust::Step::Inclusion, what).into();
            return Err(RegistryError::Damaged { origin: log.origin, err });
        }
        self.set_commons(state);
        Ok(())
    }

    /// The commons as it stands.
    pub fn commons(&self) -> Arc<CommonsState> {
        self.commons.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a new state of the commons in place.
    pub fn set_commons(&self, state: CommonsState) {
        *self.commons.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }

    /// What readers see of a log.
    pub fn head(&self, origin: &Origin) -> Option<Arc<ShownHead>> {
        self.heads.read().unwrap_or_else(PoisonError::into_inner).get(origin).cloned()
    }

    /// What readers see of every log, in order of origin.
    pub fn heads(&self) -> Vec<(Origin, Arc<ShownHead>)> {
        let heads = self.heads.read().unwrap_or_else(PoisonError::into_inner);
        heads.iter().map(|(origin, head)| (origin.clone(), head.clone())).collect()
    }

    pub(crate) fn put_head(&self, origin: &Origin, mut head: ShownHead) {
        let mut heads = self.heads.write().unwrap_or_else(PoisonError::into_inner);
        let before = heads.get(origin).cloned();
        if let Some(before) = &before {
            head.merge(before);
        }
        heads.insert(origin.clone(), Arc::new(head));
        drop(heads);
        self.kept_heads.note_move();
        if let Some(before) = before {
            before.superseded.note();
        }
        self.moved.notify_waiters();
    }

    /// Notes that git is behind on a log, and wakes the projection.
    pub fn mark_unprojected(&self, origin: &Origin) {
        self.unprojected.lock().unwrap_or_else(PoisonError::into_inner).insert(origin.clone());
        self.projected.notify_one();
    }

    /// Whether git is behind on a log that is signed here.
    pub(crate) fn has_hosted_due(&self) -> bool {
        let due = self.unprojected.lock().unwrap_or_else(PoisonError::into_inner);
        due.iter().any(|origin| self.head(origin).is_some_and(|head| head.hosted))
    }

    /// The rules for a log's heads, by the commons as it stands.
    ///
    /// # Errors
    /// [`Refused`] where the commons does not know the log.
    pub fn rules(&self, publisher: Option<&PublisherName>) -> Result<HeadRules, Refused> {
        let state = self.commons();
        let commons = state.known()?;
        match publisher {
            None => commons.commons_rules(),
            Some(publisher) => commons.log_rules(publisher),
        }
    }

    /// This registry's log key under an origin's name.
    ///
    /// Origins are 255 bytes of letters, digits, `.`, `-` and `/`, which key names allow.
    pub fn log_key_name(origin: &Origin) -> KeyName {
        KeyName::new(origin.as_str()).expect("an origin is a key name")
    }

    /// This registry's verifier key for a log it hosts.
    pub fn hosted_vkey(&self, origin: &Origin) -> Vkey {
        Vkey::of(Self::log_key_name(origin), Algorithm::Ed25519, &self.settings.log_key)
    }

    /// The name of this registry's witness.
    pub fn witness_name(&self) -> KeyName {
        witness_name(&self.settings.id)
    }

    /// Every registry to follow: those configured, then those with a record and an address, this one left out.
    pub fn peers(&self) -> Vec<Peer> {
        let mut peers = self.settings.peers.clone();
        for record in self.registry_records() {
            let configured =
                |url: &String| peers.iter().any(|p| p.url.as_deref() == Some(url.trim_end_matches('/')));
            if record.id != self.settings.id
                && let Some(url) = record.urls.first()
                && !record.urls.iter().any(configured)
            {
                peers.push(Peer::at(record.id.as_str(), url));
            }
        }
        peers
    }

    /// The records of all registries.
    pub fn registry_records(&self) -> Vec<RegistryRecord> {
        let state = self.commons();
        state.commons.iter().flat_map(Commons::registries).cloned().collect()
    }

    /// The record of the registry that hosts a log.
    pub fn home_of(&self, origin: &Origin) -> Option<RegistryRecord> {
        let state = self.commons();
        let commons = state.commons.as_ref()?;
        if *origin == commons.origin() {
            return commons.commons_host().cloned();
        }
        commons.registry(&commons.publisher(&origin.domain())?.home).cloned()
    }

    /// Has the home of a log followed now.
    pub fn follow_home(&self, origin: &Origin) {
        if let Some(home) = self.home_of(origin) {
            // Nobody listens while the registry starts or stops.
            let _ = self.follow_one.send(Wake::One(Arc::new(home)));
        }
    }

    /// The refusal of an entry for a log that another registry moves, or nobody.
    pub fn not_hosted(&self, origin: &Origin) -> Rejection {
        match self.home_of(origin) {
            Some(home) if home.id == self.settings.id => {
                Rejection::busy(&format!("{origin} is about to be opened here; send the entry again"))
            }
            Some(home) => {
                let urls = home.urls.first().map(|url| format!(" at {url}")).unwrap_or_default();
                Rejection::not_hosted(origin.as_str(), &format!("{}{urls}", home.id))
            }
            None => Rejection::not_hosted(origin.as_str(), "which the records do not name"),
        }
    }

    /// The stored log of a publisher or of the commons, made if it is not there.
    ///
    /// # Errors
    /// [`RegistryError`], also where the commons does not know the log.
    pub async fn log_of(
        &self,
        origin: &Origin,
        publisher: Option<&PublisherName>,
    ) -> Result<Log, RegistryError> {
        let vkey = self.rules(publisher)?.log;
        self.log_with(origin, publisher, &vkey).await
    }

    /// The stored log of that origin, made if it is not there: hosted if this registry's key is the log's.
    ///
    /// - `vkey`: the log's key by its record or root.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn log_with(
        &self,
        origin: &Origin,
        publisher: Option<&PublisherName>,
        vkey: &Vkey,
    ) -> Result<Log, RegistryError> {
        if let Some(log) = self.stored_log(origin).await? {
            return Ok(log);
        }
        let hosted = *vkey == self.hosted_vkey(origin);
        match self.store.create_log(origin, &vkey.to_string(), publisher, hosted).await {
            Ok(log) => Ok(log),
            // Two peers brought the same new log at once.
            Err(CreateLogError::Exists { .. }) => {
                let log = self.stored_log(origin).await?;
                log.ok_or_else(|| RegistryError::store(std::io::Error::other("a log just made is not there")))
            }
            Err(err) => Err(RegistryError::store(err)),
        }
    }

    /// A stored log by its origin.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn stored_log(&self, origin: &Origin) -> Result<Option<Log>, RegistryError> {
        self.store.log(origin).await.map_err(RegistryError::store)
    }
}

/// The name under which a registry cosigns.
pub fn witness_name(registry: &PublisherName) -> KeyName {
    KeyName::new(format!("{registry}/witness")).expect("a DNS name and a word are a key name")
}

impl CommonsState {
    /// The folded commons.
    ///
    /// # Errors
    /// [`Refused`] while the first root has not arrived.
    pub fn known(&self) -> Result<&Commons, Refused> {
        self.commons.as_ref().ok_or_else(|| {
            Refused::new(brick_trust::Step::Root, "this registry does not hold the commons log yet")
        })
    }

    /// Applies the next leaf of the commons log, or changes nothing.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn apply(&mut self, pin: &Pin, leaf: &[u8]) -> Result<(), Refused> {
        match &mut self.commons {
            None => self.commons = Some(Commons::begin(leaf, pin)?),
            Some(commons) => {
                commons.apply(leaf, |size| self.tree.root_at(size).ok())?;
            }
        }
        self.tree.push(leaf_hash(leaf));
        Ok(())
    }

    /// A copy to try leaves on.
    pub fn fork(&self) -> Self {
        Self { commons: self.commons.clone(), tree: self.tree.clone() }
    }
}

/// Now, in Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The store's digest as the log crate's hash.
pub fn hash(digest: Digest) -> Hash {
    Hash::from(*digest.as_bytes())
}

/// The log crate's hash as a digest.
pub fn digest(hash: Hash) -> Digest {
    Digest::from(*hash.as_bytes())
}
