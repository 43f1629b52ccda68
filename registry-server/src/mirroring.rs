//! What does a peer's copy of a log have that is new? Checked as if it came from an enemy, then stored in one step.
//!
//! A log that is hosted here is mirrored too, but only when it is closed for being behind: that is how what a restored
//! backup lacks comes back.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use brick_index::audit::check_leaves;
use brick_index::fold::Folded;
use brick_index::follow::{Follower, View};
use brick_index::layout;
use brick_index::replay::{Before, CheckedLeaf, Segment, replay, touches};
use brick_schemas::predicate::{Predicate, Statement};
use brick_schemas::{Origin, PublisherName};
use brick_store::{BlobRow, CommitError, LeafKind, LeafRow, Log, LogStep, crash_point};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::{Note, SignatureLine};
use brick_tlog::tree::Frontier;
use brick_trust::{Commons, Envelope, Head, HeadRules, Pin, Refused, Step, open_head};
use futures_util::stream::{StreamExt as _, TryStreamExt as _};

use crate::blobs::{Fetched, fetch_from};
use crate::blocking::blocking;
use crate::closed::Closed;
use crate::log_tail::LogTail;
use crate::nodes::Nodes;
use crate::registry::{CommonsState, Registry, RegistryError, digest};
use crate::sequencer::{Received, Submission};
use crate::settings::Peer;
use crate::stored_index::{fill_step, load_touched, stored_bucket_nodes};
use crate::sync::{SyncError, commons_origin, in_view};

/// Leaves taken from a peer in one step of one log, at most.
const MAX_LEAVES: u64 = 1 << 22;
/// Leaves that are held in memory while a history is walked from its beginning.
const LEAVES_AT_A_TIME: u64 = 1_024;
/// Times that a log is looked at again because another peer's task moved it meanwhile.
const MAX_TRIES: usize = 4;
/// Entries that come at once whose archives are fetched before they are taken, at most. More are a history that is caught up
/// with: it is taken first, and its archives are fetched and checked afterwards.
const FETCHED_FIRST: usize = 256;
/// Archives fetched at a time for one log.
const FETCHES: usize = 4;
/// Time for fetching a step's blobs before its entries are taken without them; they are asked for again later.
const FETCH_LIMIT: Duration = Duration::from_secs(20);

/// What the tasks of all peers share: who is writing which log.
#[derive(Default)]
pub struct Mirroring {
    /// Held from reading the commons until the new one is in place.
    commons: tokio::sync::Mutex<()>,
    logs: Mutex<BTreeMap<Origin, Arc<tokio::sync::Mutex<()>>>>,
}

/// Whether a log was brought as far as the peer has it.
#[derive(PartialEq, Eq)]
enum Brought {
    Forward,
    /// Somebody else moved it in between: look again.
    Elsewhere,
}

/// What a peer's repository shows of a log. Nothing of it is believed yet.
struct Shown {
    note: Vec<u8>,
    leaves: Vec<Vec<u8>>,
}

/// The head of a folder, and the leaves from `from` up to the size that it claims.
async fn look(follower: &Follower, folder: String, from: u64) -> Result<Option<Shown>, SyncError> {
    let read = move |view: &View| {
        let Some(note) = view.checkpoint(&folder)? else { return Ok(None) };
        let size = claimed_size(&note);
        let leaves = match size > from {
            true => view.leaves(&folder, from, size.min(from.saturating_add(MAX_LEAVES)))?,
            false => Vec::new(),
        };
        Ok(Some(Shown { note, leaves }))
    };
    Ok(in_view(follower, read).await?.flatten())
}

/// How large a head says its log is; a malformed one is refused when it is opened.
fn claimed_size(note: &[u8]) -> u64 {
    Note::parse(note)
        .ok()
        .and_then(|note| Checkpoint::parse(&note.text).ok())
        .map_or(0, |checkpoint| checkpoint.size)
}

impl Mirroring {
    fn lock_of(&self, origin: &Origin) -> Arc<tokio::sync::Mutex<()>> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.entry(origin.clone()).or_default().clone()
    }

    /// Brings the commons log as far as a peer has it.
    ///
    /// # Errors
    /// [`SyncError`]; nothing was taken then.
    pub async fn sync_commons(
        &self,
        registry: &Arc<Registry>,
        peer: &Peer,
        follower: &Follower,
    ) -> Result<(), SyncError> {
        for _ in 0..MAX_TRIES {
            if self.bring_commons(registry, peer, follower).await? == Brought::Forward {
                break;
            }
        }
        Ok(())
    }

    async fn bring_commons(
        &self,
        registry: &Arc<Registry>,
        peer: &Peer,
        follower: &Follower,
    ) -> Result<Brought, SyncError> {
        let _writing = self.commons.lock().await;
        // No blob that is here while the step is put together is swept before it is committed.
        let _upload = registry.uploads.read().await;
        let log = match commons_origin(registry) {
            Some(origin) => registry.stored_log(&origin).await?,
            None => None,
        };
        let from = log.as_ref().map_or(0, |log| log.size);
        let Some(Shown { note, leaves }) = look(follower, layout::COMMONS.to_owned(), from).await? else {
            return Ok(Brought::Forward);
        };
        let pin = Pin { root_sha256: registry.settings.root_sha256 };
        let mut state = registry.commons().fork();
        if state.commons.as_ref().map_or(0, Commons::size) != from {
            return Ok(Brought::Elsewhere);
        }
        for leaf in &leaves {
            state.apply(&pin, leaf)?;
        }
        let commons = state.known()?;
        let (origin, rules) = (commons.origin(), commons.commons_rules()?);
        let head = open_head(&note, &rules)?;
        let log = match log {
            Some(log) => log,
            None => registry.log_with(&origin, None, &rules.log).await?,
        };
        let Some(mut tail) = load_tail(registry, &log).await? else { return Ok(Brought::Elsewhere) };
        if self.is_known(registry, peer, &tail, &log, &head).await? {
            keep_lines(registry, &origin, &head, &rules).await?;
            return Ok(Brought::Forward);
        }
        may_mirror(registry, &origin, &head)?;
        let through = registry.must_go_through(&origin);
        for leaf in &leaves {
            tail.push(leaf);
            demand_seen(registry, &tail, &through, &head).await?;
        }
        demand_root(registry, follower, &tail, &head).await?;
        let mut step = mirrored_step(&mut tail, log.size, &head);
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
        after_move(registry, &log, &head, &rules).await?;
        // New publishers may have this registry as their home.
        wake_sequencer(registry).await;
        Ok(Brought::Forward)
    }

    /// Brings a publisher's log as far as a peer has it.
    ///
    /// # Errors
    /// [`SyncError`]; nothing was taken then.
    pub async fn sync_publisher(
        &self,
        registry: &Arc<Registry>,
        peer: &Peer,
        follower: &Follower,
        publisher: &PublisherName,
    ) -> Result<(), SyncError> {
        for _ in 0..MAX_TRIES {
            if self.bring_publisher(registry, peer, follower, publisher).await? == Brought::Forward {
                break;
            }
        }
        Ok(())
    }

    async fn bring_publisher(
        &self,
        registry: &Arc<Registry>,
        peer: &Peer,
        follower: &Follower,
        publisher: &PublisherName,
    ) -> Result<Brought, SyncError> {
        let origin = Origin::of_publisher(publisher);
        let state = registry.commons();
        let rules = state.known()?.log_rules(publisher)?;
        let from = registry.stored_log(&origin).await?.map_or(0, |log| log.size);
        let Some(Shown { note, leaves }) = look(follower, layout::log(publisher), from).await? else {
            return Ok(Brought::Forward);
        };
        let head = open_head(&note, &rules)?;
        let log = registry.log_with(&origin, Some(publisher), &rules.log).await?;
        if log.size != from {
            return Ok(Brought::Elsewhere);
        }
        let Some(mut tail) = load_tail(registry, &log).await? else { return Ok(Brought::Elsewhere) };
        if self.is_known(registry, peer, &tail, &log, &head).await? {
            keep_lines(registry, &origin, &head, &rules).await?;
            return Ok(Brought::Forward);
        }
        may_mirror(registry, &origin, &head)?;
        crash_point("mirror-looked");
        let _upload = registry.uploads.read().await;
        // Signatures and archives need no turn: this is where the time goes.
        let (leaves, checked) = check(&state, publisher, from, leaves).await?;
        fetch_archives(registry, peer, &checked, from).await?;
        crash_point("mirror-archives-fetched");
        let lock = self.lock_of(&origin);
        let _writing = lock.lock().await;
        if registry.stored_log(&origin).await?.is_none_or(|log| log.size != from) {
            return Ok(Brought::Elsewhere);
        }
        let commons = state.known()?;
        let segments =
            replay_stretch(registry, follower, commons, &mut tail, (&leaves, &checked), &head).await?;
        let mut step = mirrored_step(&mut tail, from, &head);
        for (leaf, checked) in leaves.into_iter().zip(&checked) {
            let kind = match checked {
                CheckedLeaf::Entry(entry) => LeafKind::Envelope { payload: entry.entry().payload },
                CheckedLeaf::Snapshot(_) => LeafKind::Snapshot,
            };
            step.leaves.push(LeafRow { bytes: leaf, kind });
        }
        fill_from_segments(&mut step, segments);
        crash_point("mirror-replayed");
        if commit(registry, step).await? == Brought::Elsewhere {
            return Ok(Brought::Elsewhere);
        }
        after_move(registry, &log, &head, &rules).await?;
        if log.hosted {
            wake_sequencer(registry).await;
        }
        Ok(Brought::Forward)
    }

    /// Whether the head tells nothing new: it is no larger than what is stored. Its root must then be the stored one.
    ///
    /// A larger head of a log that is hosted here closes it, whoever shows it: only this registry's key can have signed it.
    async fn is_known(
        &self,
        registry: &Registry,
        peer: &Peer,
        tail: &LogTail,
        log: &Log,
        head: &Head,
    ) -> Result<bool, SyncError> {
        let checkpoint = head.checkpoint();
        if log.hosted {
            registry.compare_own_head(&log.origin, checkpoint, head.note(), &peer.name).await?;
        }
        if checkpoint.size > tail.size() {
            return Ok(false);
        }
        let root = Nodes::new(&registry.store, tail.log)
            .root_at(checkpoint.size)
            .await
            .map_err(RegistryError::store)?;
        if root == checkpoint.root {
            return Ok(true);
        }
        Err(forked(registry, &tail.origin, head).await?.into())
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

async fn check(
    state: &Arc<CommonsState>,
    publisher: &PublisherName,
    first: u64,
    leaves: Vec<Vec<u8>>,
) -> Result<(Vec<Vec<u8>>, Vec<CheckedLeaf>), Refused> {
    let (state, publisher) = (state.clone(), publisher.clone());
    blocking(move || {
        let checked = check_leaves(state.known()?, &publisher, first, &leaves)?;
        Ok((leaves, checked))
    })
    .await
}

/// Has the sequencer look at hosted logs again, and at who has been admitted.
pub(crate) async fn wake_sequencer(registry: &Registry) {
    let (answer, _) = tokio::sync::oneshot::channel();
    if registry.queue.send(Submission { entry: Received::LookAgain, answer }).await.is_err() {
        tracing::warn!("the sequencer has stopped");
    }
}

async fn commit(registry: &Registry, step: LogStep) -> Result<Brought, SyncError> {
    match registry.store.commit(&[step]).await {
        Ok(()) => Ok(Brought::Forward),
        Err(CommitError::Conflict { .. }) => Ok(Brought::Elsewhere),
        Err(err) => Err(RegistryError::store(err).into()),
    }
}

/// Walks the new leaves: moves `tail` over them, and says what they add up to if all of them hold under the head.
async fn replay_stretch(
    registry: &Registry,
    follower: &Follower,
    commons: &Commons,
    tail: &mut LogTail,
    (leaves, checked): (&[Vec<u8>], &[CheckedLeaf]),
    head: &Head,
) -> Result<Vec<Segment>, SyncError> {
    let publisher = &tail.origin.domain();
    let first = tail.size();
    // Roots at the sizes that entries name as their basis: old ones from the store, new ones on the way.
    let mut roots: BTreeMap<u64, Hash> = BTreeMap::new();
    let mut nodes = Nodes::new(&registry.store, tail.log);
    let mut payloads = Vec::new();
    for leaf in checked {
        if let CheckedLeaf::Entry(entry) = leaf {
            let entry = entry.entry();
            let basis = entry.statement.predicate.place().basis.size;
            if basis <= first && !roots.contains_key(&basis) {
                roots.insert(basis, nodes.root_at(basis).await.map_err(RegistryError::store)?);
            }
            payloads.push(entry.payload);
        }
    }
    let seen = match first {
        0 => HashSet::new(),
        _ => registry.store.known_payloads(tail.log, &payloads).await.map_err(RegistryError::store)?,
    };
    let (bricks, buckets) = touches(checked);
    let loaded = load_touched(registry, tail, &bricks).await?;
    let index_nodes = stored_bucket_nodes(registry, tail.log, first, buckets).await?;
    let (snapshot_time, index_root) = (tail.snapshot_time, tail.index_root);
    let through = registry.must_go_through(&tail.origin);
    for (index, leaf) in (first + 1..).zip(leaves) {
        tail.push(leaf);
        roots.insert(index, tail.root());
        demand_seen(registry, tail, &through, head).await?;
    }
    demand_root(registry, follower, tail, head).await?;
    let before = Before { publisher, commons, first, snapshot_time, loaded, nodes: index_nodes, index_root };
    Ok(replay(before, checked, |size| roots.get(&size).copied(), |payload| seen.contains(payload))?)
}

/// Whether the log may be brought forward at all, shortly after a start.
fn may_mirror(registry: &Registry, origin: &Origin, head: &Head) -> Result<(), SyncError> {
    registry.may_mirror(origin, head.checkpoint().size).map_err(|why| SyncError::CatchingUp { why })
}

/// Demands that the leaves held now are the ones under a head that somebody else showed, if there is one of so many.
///
/// - `through`: roots and heads by size.
async fn demand_seen(
    registry: &Registry,
    tail: &LogTail,
    through: &BTreeMap<u64, (Hash, Vec<u8>)>,
    head: &Head,
) -> Result<(), SyncError> {
    let size = tail.size();
    match through.get(&size) {
        Some((root, seen)) if *root != tail.root() => {
            let why = format!("{} shows two different logs of {size} leaves", tail.origin);
            registry.keep_evidence(&tail.origin, seen, &head.note().to_bytes(), &why).await?;
            Err(Refused::new(Step::Consistency, why).into())
        }
        _ => Ok(()),
    }
}

/// Demands that the leaves held now are the ones under the head.
async fn demand_root(
    registry: &Registry,
    follower: &Follower,
    tail: &LogTail,
    head: &Head,
) -> Result<(), SyncError> {
    let (checkpoint, origin) = (head.checkpoint(), &tail.origin);
    if checkpoint.size == tail.size() && checkpoint.root == tail.root() {
        return Ok(());
    }
    if checkpoint.size != tail.size() {
        let what = format!("{origin}: its head has {} leaves, {} are here", checkpoint.size, tail.size());
        return Err(Refused::new(Step::Inclusion, what).into());
    }
    // Either the peer's leaves are wrong, or the log signed another history. The peer's own leaves from the first tell
    // the two apart: if they add up to the signed head, the ones here do not belong to it.
    let folder = tail.publisher.as_ref().map_or_else(|| layout::COMMONS.to_owned(), layout::log);
    let size = checkpoint.size;
    let theirs = in_view(follower, move |view| {
        let mut frontier = Frontier::new();
        while frontier.size() < size {
            let end = size.min(frontier.size() + LEAVES_AT_A_TIME);
            for leaf in view.leaves(&folder, frontier.size(), end)? {
                frontier.push(leaf_hash(&leaf));
            }
        }
        Ok(frontier.root())
    })
    .await?;
    if theirs == Some(checkpoint.root) {
        return Err(forked(registry, origin, head).await?.into());
    }
    Err(Refused::new(Step::Inclusion, format!("the leaves of {origin} do not add up to its head")).into())
}

/// Keeps a head that contradicts what is here: both are signed by the log, for as many leaves or fewer.
async fn forked(registry: &Registry, origin: &Origin, head: &Head) -> Result<Refused, RegistryError> {
    let size = head.checkpoint().size;
    let why = format!("{origin} shows a head of {size} leaves that what is here cannot be connected with");
    let known = registry.head(origin);
    let ours = known.as_ref().map(|head| head.newest.clone()).unwrap_or_default();
    registry.keep_evidence(origin, &ours, &head.note().to_bytes(), &why).await?;
    if known.is_some_and(|head| head.hosted) {
        registry.close_log(origin, Closed::Forked { origin: origin.clone(), size });
    }
    Ok(Refused::new(Step::Consistency, why))
}

/// A step that stores a peer's head as the log signed it; cosignatures are kept apart.
fn mirrored_step(tail: &mut LogTail, old_size: u64, head: &Head) -> LogStep {
    let checkpoint = head.checkpoint();
    let is_log = |line: &&SignatureLine| line.name == checkpoint.origin;
    let signed = Note {
        text: head.note().text.clone(),
        signatures: head.note().signatures.iter().filter(is_log).take(1).cloned().collect(),
    };
    let mut step =
        LogStep::new(tail.log, old_size, checkpoint.size, signed.to_bytes(), digest(checkpoint.root));
    step.tiles = tail.take_tiles();
    step
}

/// Several snapshots become one step: of each line, file, node and service the last state counts.
pub(crate) fn fill_from_segments(step: &mut LogStep, segments: Vec<Segment>) {
    let mut lines = BTreeMap::new();
    let mut merged = Folded {
        lines: Vec::new(),
        files: BTreeMap::new(),
        buckets: BTreeMap::new(),
        services: BTreeMap::new(),
        blobs: Vec::new(),
    };
    let mut nodes = BTreeMap::new();
    for segment in segments {
        for (brick, version, entry, line) in segment.folded.lines {
            lines.insert((brick, version), (entry, line));
        }
        merged.files.extend(segment.folded.files);
        merged.services.extend(segment.folded.services);
        merged.blobs.extend(segment.folded.blobs);
        nodes.extend(segment.nodes);
    }
    merged.lines =
        lines.into_iter().map(|((brick, version), (entry, line))| (brick, version, entry, line)).collect();
    fill_step(step, merged, nodes.into_iter().collect(), false);
}

/// Keeps the cosignatures on a head that is stored already, if any of them is new.
async fn keep_lines(
    registry: &Registry,
    origin: &Origin,
    head: &Head,
    rules: &HeadRules,
) -> Result<(), RegistryError> {
    let size = head.checkpoint().size;
    let known = registry.head(origin).filter(|known| known.size == size);
    let is_known = |line: &SignatureLine| {
        let line = line.to_string();
        known.as_ref().is_some_and(|known| {
            std::str::from_utf8(&known.newest).is_ok_and(|note| note.lines().any(|known| known == line))
        })
    };
    let is_counted =
        |line: &&SignatureLine| rules.witnesses.iter().any(|witness| *witness.vkey.name() == line.name);
    if !head.note().signatures.iter().filter(is_counted).all(is_known) {
        registry.keep_cosignatures(origin, head.note(), size).await?;
    }
    Ok(())
}

async fn after_move(
    registry: &Registry,
    log: &Log,
    head: &Head,
    rules: &HeadRules,
) -> Result<(), RegistryError> {
    crash_point("mirror-committed");
    registry.refresh_head(&log.origin).await?;
    crash_point("mirror-shown");
    keep_lines(registry, &log.origin, head, rules).await?;
    registry.mark_unprojected(&log.origin);
    if log.hosted {
        registry.reopen_log(&log.origin, head.checkpoint().size);
    }
    Ok(())
}

/// Fetches the archives of new releases and holds them against their entries before the entries are taken.
///
/// One that nobody has at present does not stop the log: it is asked for again, and checked when it comes.
async fn fetch_archives(
    registry: &Arc<Registry>,
    peer: &Peer,
    leaves: &[CheckedLeaf],
    first: u64,
) -> Result<(), SyncError> {
    if leaves.len() > FETCHED_FIRST {
        return Ok(());
    }
    let mut fetches = Vec::new();
    for (index, leaf) in (first..).zip(leaves) {
        if let CheckedLeaf::Entry(entry) = leaf {
            fetches.push(fetch_of_entry(registry, peer, index, &entry.entry().statement));
        }
    }
    let all = futures_util::stream::iter(fetches)
        .buffer_unordered(FETCHES)
        .try_for_each(|()| std::future::ready(Ok(())));
    match tokio::time::timeout(FETCH_LIMIT, all).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Ok(()),
    }
}

async fn fetch_of_entry(
    registry: &Arc<Registry>,
    peer: &Peer,
    index: u64,
    statement: &Statement,
) -> Result<(), Refused> {
    let release = match &statement.predicate {
        Predicate::Release(release) => Some(&**release),
        _ => None,
    };
    for blob in statement.predicate.blobs() {
        let fetched = fetch_from(registry, peer, &blob, release).await;
        if let Fetched::Refused(mut refused) = fetched {
            refused.what = format!("leaf {index}: {}", refused.what);
            return Err(refused);
        }
    }
    Ok(())
}
