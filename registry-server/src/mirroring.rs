//! What does a peer's copy of a log have that is new? Checked as if it came from an enemy, then stored: a long way in
//! portions, each of which ends at a head that the log signed.
//!
//! A log that is hosted here is mirrored too, but only when it is closed for being behind: that is how what a restored
//! backup lacks comes back.

mod ahead;
mod archives;
mod going;
mod portions;
mod shown;
mod stretch;
mod together;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use brick_client::LogPath;
use brick_schemas::predicate::Statement;
use brick_schemas::{Origin, PublisherName};
use brick_store::{BlobRow, LeafKind, LeafRow, Log, crash_point};
use brick_trust::{Commons, Envelope, Head, HeadRules, Pin, Refused, Step, open_head};

use self::ahead::Ahead;
use self::archives::FETCHED_FIRST;
use self::going::{Bringing, Going, History};
use self::portions::Way;
use self::shown::{Through, claimed_size, demand_root, is_known, keep_lines, may_mirror};
pub(crate) use self::together::Merged;
use self::together::{commit, mirrored_step};
use crate::log_tail::LogTail;
use crate::registry::{Registry, RegistryError};
use crate::sequencer::{Received, Submission};
use crate::settings::Peer;
use crate::source::{BYTES_AT_A_TIME, Source};
use crate::sync::SyncError;

/// Times that a log is looked at again because another peer's task moved it meanwhile.
const MAX_TRIES: usize = 16;
/// Leaves of the commons log taken in one step, at most.
const MAX_COMMONS_LEAVES: usize = 1 << 22;

/// What the tasks of all peers share: who is writing which log.
#[derive(Default)]
pub struct Mirroring {
    /// Held from reading the commons until the new one is in place.
    commons: tokio::sync::Mutex<()>,
    logs: Mutex<BTreeMap<Origin, Arc<tokio::sync::Mutex<()>>>>,
}

/// Whether a log was brought as far as the peer has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Brought {
    /// As far as that.
    Forward,
    /// Somebody else moved it in between: look again.
    Elsewhere,
}

impl Mirroring {
    fn lock_of(&self, origin: &Origin) -> Arc<tokio::sync::Mutex<()>> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.entry(origin.clone()).or_default().clone()
    }

    /// Brings the commons log as far as a peer has it.
    ///
    /// Returns whether it is: others may have moved it without end.
    ///
    /// # Errors
    /// [`SyncError`]; nothing was taken then.
    pub async fn sync_commons(
        &self,
        registry: &Arc<Registry>,
        peer: &Peer,
        source: &Source,
    ) -> Result<Brought, SyncError> {
        for _ in 1..MAX_TRIES {
            if self.bring_commons(registry, peer, source).await? == Brought::Forward {
                return Ok(Brought::Forward);
            }
        }
        self.bring_commons(registry, peer, source).await
    }

    async fn bring_commons(
        &self,
        registry: &Arc<Registry>,
        peer: &Peer,
        source: &Source,
    ) -> Result<Brought, SyncError> {
        let path = LogPath::Commons;
        let mut state = registry.commons().fork();
        let from = state.commons.as_ref().map_or(0, Commons::size);
        let Some(note) = source.head(&path, None).await? else { return Ok(Brought::Forward) };
        let size = claimed_size(&note);
        // In one step, however many: who may sign the head is said by the last of them. But each of them is one that the
        // registrars signed, or it is the last.
        let pin = Pin { root_sha256: registry.settings.root_sha256 };
        let mut leaves: Vec<Vec<u8>> = Vec::new();
        while from + (leaves.len() as u64) < size && leaves.len() < MAX_COMMONS_LEAVES {
            let more = source.leaves(&path, from + leaves.len() as u64, size, size, BYTES_AT_A_TIME).await?;
            for leaf in &more {
                state.apply(&pin, leaf)?;
            }
            leaves.extend(more);
        }
        let commons = state.known()?;
        let (origin, rules) = (commons.origin(), commons.commons_rules()?);
        let head = open_head(&note, &rules)?;
        let _writing = self.commons.lock().await;
        // No blob that is here while the step is put together is swept before it is committed.
        let _upload = registry.uploads.read().await;
        let log = registry.log_with(&origin, None, &rules.log).await?;
        if log.size != from || registry.commons().commons.as_ref().map_or(0, Commons::size) != from {
            return Ok(Brought::Elsewhere);
        }
        let Some(mut tail) = load_tail(registry, &log).await? else { return Ok(Brought::Elsewhere) };
        if is_known(registry, &peer.name, &log, &head).await? {
            show_stored(registry, &log).await?;
            keep_lines(registry, &origin, &head, &rules).await?;
            return Ok(Brought::Forward);
        }
        may_mirror(registry, &origin, &head)?;
        let through = Through::of(registry, &origin);
        for leaf in &leaves {
            tail.push(leaf);
            if let Some(contradiction) = through.contradiction(&tail) {
                return Err(contradiction.keep(registry, &origin, &head).await?);
            }
        }
        demand_root(registry, source, &path, &tail, &head).await?;
        let mut step = mirrored_step(&log, log.size, &head);
        step.tiles = tail.take_tiles();
        for (index, leaf) in (log.size..).zip(leaves) {
            let envelope = Envelope::parse(&leaf)
                .map_err(|err| Refused::caused(Step::Signature, "a commons entry", err))?;
            if let Ok(statement) = Statement::parse(&envelope.payload) {
                step.blobs.extend(statement.predicate.blobs().into_iter().map(|blob| BlobRow {
                    sha256: blob.sha256,
                    bytes: blob.bytes,
                    entry: index,
                    is_here: false,
                }));
            }
            let kind = LeafKind::Envelope { payload: envelope.payload_digest() };
            step.leaves.push(LeafRow { bytes: leaf, kind });
        }
        if commit(registry, step).await? == Brought::Elsewhere {
            return Ok(Brought::Elsewhere);
        }
        registry.set_commons(state);
        after_move(registry, &log, &head, &rules, Place::AtItsEnd).await?;
        // New publishers may have this registry as their home.
        wake_sequencer(registry).await;
        Ok(Brought::Forward)
    }

    /// Brings a publisher's log as far as a peer has it.
    ///
    /// Returns whether it is: others may have moved it without end.
    ///
    /// # Errors
    /// [`SyncError`]; nothing was taken then, or of a long way the beginning, which the log signed.
    pub async fn sync_publisher(
        &self,
        registry: &Arc<Registry>,
        peer: &Peer,
        source: &Source,
        publisher: &PublisherName,
    ) -> Result<Brought, SyncError> {
        for _ in 1..MAX_TRIES {
            if self.bring_publisher(registry, peer, source, publisher).await? == Brought::Forward {
                return Ok(Brought::Forward);
            }
        }
        self.bring_publisher(registry, peer, source, publisher).await
    }

    async fn bring_publisher(
        &self,
        registry: &Arc<Registry>,
        peer: &Peer,
        source: &Source,
        publisher: &PublisherName,
    ) -> Result<Brought, SyncError> {
        let origin = Origin::of_publisher(publisher);
        let state = registry.commons();
        let rules = state.known()?.log_rules(publisher)?;
        let path = LogPath::Publisher(publisher.clone());
        let Some(note) = source.head(&path, None).await? else { return Ok(Brought::Forward) };
        let whole = open_head(&note, &rules)?;
        let log = registry.log_with(&origin, Some(publisher), &rules.log).await?;
        if is_known(registry, &peer.name, &log, &whole).await? {
            show_stored(registry, &log).await?;
            keep_lines(registry, &origin, &whole, &rules).await?;
            return Ok(Brought::Forward);
        }
        may_mirror(registry, &origin, &whole)?;
        crash_point("mirror-looked");
        let is_history = whole.checkpoint().size - log.size > FETCHED_FIRST;
        let history = is_history.then(|| History::begin(registry));
        let way = Way {
            registry: registry.clone(),
            source: source.clone(),
            path,
            origin: origin.clone(),
            whole,
            rules,
        };
        let bringing = Bringing { registry, peer, publisher, state, way: Arc::new(way), history };
        let Some(ahead) = Ahead::begin(registry, &log).await? else { return Ok(Brought::Elsewhere) };
        let outcome = Going::new(&bringing, log.clone(), ahead, self.lock_of(&origin)).go().await;
        let is_elsewhere = !matches!(outcome, Ok(Brought::Forward));
        if is_elsewhere && registry.head(&origin).is_some_and(|head| head.size > log.size) {
            // Part of the way was taken: git shall have it although the end was not reached.
            registry.mark_unprojected(&origin);
        }
        outcome
    }
}

/// The edge of a log, unless somebody else moves it meanwhile: then what was read need not add up.
async fn load_tail(registry: &Registry, log: &Log) -> Result<Option<LogTail>, RegistryError> {
    match LogTail::load(&registry.store, log).await {
        Ok(tail) => Ok(Some(tail)),
        Err(_) if registry.stored_log(&log.origin).await?.is_none_or(|now| now.size != log.size) => Ok(None),
        Err(err) => Err(RegistryError::Damaged { origin: log.origin.clone(), err: Box::new(err) }),
    }
}

/// Has the sequencer look at hosted logs again, and at who has been admitted.
pub(crate) async fn wake_sequencer(registry: &Registry) {
    let (answer, _) = tokio::sync::oneshot::channel();
    if registry.queue.send(Submission { entry: Received::LookAgain, answer, blobs: None }).await.is_err() {
        tracing::warn!("the sequencer has stopped");
    }
}

/// Shows what is stored, should that not be so already: a task that ends between the two leaves it undone.
async fn show_stored(registry: &Registry, log: &Log) -> Result<(), RegistryError> {
    if log.size > 0 && registry.head(&log.origin).is_none_or(|head| head.size < log.size) {
        registry.refresh_head(&log.origin).await?;
        registry.mark_unprojected(&log.origin);
    }
    Ok(())
}

/// Which head of a way a log was brought to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    OnTheWay,
    AtItsEnd,
}

async fn after_move(
    registry: &Registry,
    log: &Log,
    head: &Head,
    rules: &HeadRules,
    place: Place,
) -> Result<(), RegistryError> {
    crash_point("mirror-committed");
    match place {
        // Readers go on seeing the newest head with a quorum. Of a log that never had one here they see this one, as they
        // would any newest head: it says itself that no quorum stands behind it, and they demand one.
        Place::OnTheWay => registry.show_mirrored(&log.origin, head.checkpoint().size).await?,
        Place::AtItsEnd => registry.refresh_head(&log.origin).await?,
    }
    crash_point("mirror-shown");
    if place == Place::OnTheWay {
        return Ok(());
    }
    keep_lines(registry, &log.origin, head, rules).await?;
    registry.mark_unprojected(&log.origin);
    if log.hosted {
        registry.reopen_log(&log.origin, head.checkpoint().size);
    }
    Ok(())
}
