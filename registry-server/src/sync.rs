//! What do the peers have that is new? Fetched through git, checked as if it came from an enemy, then stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brick_index::audit::check_leaves;
use brick_index::follow::{FollowError, Follower, View};
use brick_index::layout;
use brick_index::replay::{Before, CheckedLeaf, Segment, replay, touches};
use brick_schemas::predicate::{Predicate, Release};
use brick_schemas::{Blob, Digest, Origin, PublisherName};
use brick_store::{LeafKind, LeafRow, LogStep, SyncState};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::Note;
use brick_tlog::tree::Frontier;
use brick_trust::{Commons, Head, Pin, Refused, Step, open_head};

use crate::log_tail::LogTail;
use crate::nodes::Nodes;
use crate::problem::chain;
use crate::receive::check_archive;
use crate::registry::{CommonsState, Registry, RegistryError, digest, now};
use crate::sequencer::{fill_step, load_touched, stored_bucket_nodes};
use crate::settings::Peer;

/// Leaves taken from a peer in one step of one log, at most.
const MAX_LEAVES: u64 = 1 << 22;

/// Why a log could not be brought forward.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The peer's repository cannot be fetched or read.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// What it says was refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// This registry's own store.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Follows the peers for as long as the registry runs: at every interval, and when somebody asks.
pub async fn run(registry: Arc<Registry>) {
    loop {
        round(&registry).await;
        tokio::select! {
            () = registry.follow.notified() => {}
            () = tokio::time::sleep(registry.settings.sync_interval) => {}
        }
    }
}

/// One round: every peer once, then cosignatures, then missing blobs.
pub async fn round(registry: &Arc<Registry>) {
    for peer in registry.peers() {
        let state = match follow(registry, &peer).await {
            Ok(()) => SyncState::Followed,
            Err(err) => {
                tracing::warn!(peer = peer.name, err = &err as &dyn std::error::Error, "cannot follow");
                SyncState::Failed { why: explain(&err) }
            }
        };
        note_state(registry, &peer, None, &state).await;
    }
    if let Err(err) = registry.cosign_mirrored().await {
        tracing::warn!(err = &err as &dyn std::error::Error, "cannot cosign");
    }
    crate::blobs::fetch_missing(registry).await;
}

async fn note_state(registry: &Registry, peer: &Peer, log: Option<&Origin>, state: &SyncState) {
    if let Err(err) = registry.store.put_sync(&peer.name, log, state, now()).await {
        tracing::warn!(err = &err as &dyn std::error::Error, "cannot note how following went");
    }
}

/// The reason in words, its step first where there is one, as `/api/v1/sync` shows it.
fn explain(err: &SyncError) -> String {
    match err {
        SyncError::Refused(refused) | SyncError::Registry(RegistryError::Refused(refused)) => {
            format!("{}|{}", refused.step, chain(refused))
        }
        other => chain(other),
    }
}

async fn follow(registry: &Arc<Registry>, peer: &Peer) -> Result<(), SyncError> {
    let path = registry.settings.data.join("peers").join(format!("{}.git", Digest::of(peer.git.as_bytes())));
    let url = peer.git.clone();
    let follower = tokio::task::spawn_blocking(move || -> Result<Follower, FollowError> {
        let follower = Follower::open(&path, &url)?;
        follower.fetch()?;
        Ok(follower)
    })
    .await
    .expect("fetching does not panic")?;
    let Some(publishers) = in_view(&follower, |view| view.publishers()).await? else { return Ok(()) };
    // The commons first: the records in it say whose entries count.
    let commons = commons_origin(registry);
    let taken = sync_commons(registry, &follower).await;
    let Some(origin) = commons_origin(registry).or(commons) else {
        // No log can be named yet that this would be said of, so it is said of the peer.
        return taken;
    };
    let state = outcome(taken);
    if let SyncState::Failed { why } = &state {
        tracing::warn!(peer = peer.name, why, "the commons log was not taken");
    }
    note_state(registry, peer, Some(&origin), &state).await;
    for publisher in publishers {
        let origin = Origin::of_publisher(&publisher);
        let state = outcome(sync_publisher(registry, peer, &follower, &publisher).await);
        if let SyncState::Failed { why } = &state {
            tracing::warn!(peer = peer.name, %origin, why, "a log was not taken");
        }
        note_state(registry, peer, Some(&origin), &state).await;
    }
    Ok(())
}

fn outcome(result: Result<(), SyncError>) -> SyncState {
    match result {
        Ok(()) => SyncState::Followed,
        Err(err) => SyncState::Failed { why: explain(&err) },
    }
}

fn commons_origin(registry: &Registry) -> Option<Origin> {
    registry.commons().commons.as_ref().map(Commons::origin)
}

/// Reads from the peer's repository on a thread of its own; `None` where it has no commit yet.
async fn in_view<T: Send + 'static>(
    follower: &Follower,
    read: impl FnOnce(&View) -> Result<T, FollowError> + Send + 'static,
) -> Result<Option<T>, FollowError> {
    let follower = follower.clone();
    tokio::task::spawn_blocking(move || match follower.view()? {
        Some(view) => read(&view).map(Some),
        None => Ok(None),
    })
    .await
    .expect("reading a repository does not panic")
}

/// The head of a folder and how large it says the log is; nothing of it is believed yet.
fn claimed(note: &[u8], folder: &str) -> Result<Checkpoint, Refused> {
    let malformed = |err| Refused::caused(Step::Checkpoint, format!("the head in {folder}"), err);
    let parsed = Note::parse(note).map_err(malformed)?;
    Checkpoint::parse(&parsed.text)
        .map_err(|err| Refused::caused(Step::Checkpoint, format!("the head in {folder}"), err))
}

async fn sync_commons(registry: &Arc<Registry>, follower: &Follower) -> Result<(), SyncError> {
    let log = match commons_origin(registry) {
        Some(origin) => registry.stored_log(&origin).await?,
        None => None,
    };
    let hosted = log.as_ref().is_some_and(|log| log.hosted);
    let from = log.as_ref().map_or(0, |log| log.size);
    let read = move |view: &View| {
        let Some(note) = view.checkpoint(layout::COMMONS)? else { return Ok(None) };
        let size = claimed(&note, layout::COMMONS).map_or(0, |checkpoint| checkpoint.size);
        let leaves = if hosted {
            Vec::new()
        } else {
            view.leaves(layout::COMMONS, from, size.min(from + MAX_LEAVES))?
        };
        Ok(Some((note, leaves)))
    };
    let Some(Some((note, leaves))) = in_view(follower, read).await? else { return Ok(()) };
    let pin = Pin { root_sha256: registry.settings.root_sha256 };
    let mut state = registry.commons().fork();
    for leaf in &leaves {
        state.apply(&pin, leaf)?;
    }
    let commons = state.known()?;
    let origin = commons.origin();
    let head = open_head(&note, &commons.commons_rules()?)?;
    let Some(log) = (match log {
        Some(log) => Some(log),
        None => {
            let vkey = commons.root().terms.log.clone();
            registry.store.create_log(&origin, &vkey, None, false).await.map_err(RegistryError::store)?;
            registry.stored_log(&origin).await?
        }
    }) else {
        return Ok(());
    };
    let mut tail = LogTail::load(&registry.store, &log)
        .await
        .map_err(|err| RegistryError::Damaged { origin: origin.clone(), err: Box::new(err) })?;
    let checkpoint = head.checkpoint();
    if head_is_known(registry, &tail, &head).await? {
        registry.keep_cosignatures(&origin, head.note(), checkpoint.size).await?;
        return Ok(());
    }
    for leaf in &leaves {
        tail.push(leaf);
    }
    demand_root(registry, follower, layout::COMMONS, &tail, &head).await?;
    let mut step = mirrored_step(&mut tail, log.size, &head);
    for (index, leaf) in (log.size..).zip(leaves) {
        let envelope = brick_trust::Envelope::parse(&leaf)
            .map_err(|err| Refused::caused(Step::Signature, "a commons entry", err))?;
        if let Ok(statement) = brick_schemas::predicate::Statement::parse(&envelope.payload) {
            for blob in statement.predicate.blobs() {
                step.blobs.push(brick_store::BlobRow {
                    sha256: blob.sha256,
                    bytes: blob.bytes,
                    entry: index,
                });
            }
        }
        step.leaves
            .push(LeafRow { bytes: leaf, kind: LeafKind::Envelope { payload: envelope.payload_digest() } });
    }
    registry.store.commit(&[step]).await.map_err(RegistryError::store)?;
    adopt_commons(registry, state).await;
    after_move(registry, &origin, &head).await
}

/// Puts the new commons in place, and has the logs of publishers made that this registry is now the home of.
async fn adopt_commons(registry: &Arc<Registry>, state: CommonsState) {
    registry.set_commons(state);
    let (answer, _) = tokio::sync::oneshot::channel();
    let submission = crate::sequencer::Submission { entry: crate::sequencer::Received::OpenLogs, answer };
    if registry.queue.send(submission).await.is_err() {
        tracing::warn!("the sequencer has stopped");
    }
}

async fn sync_publisher(
    registry: &Arc<Registry>,
    peer: &Peer,
    follower: &Follower,
    publisher: &PublisherName,
) -> Result<(), SyncError> {
    let origin = Origin::of_publisher(publisher);
    let state = registry.commons();
    let commons = state.known()?;
    let rules = commons.log_rules(publisher)?;
    let stored = registry.stored_log(&origin).await?;
    let hosted = stored.as_ref().is_some_and(|log| log.hosted);
    let from = stored.as_ref().map_or(0, |log| log.size);
    let folder = layout::log(publisher);
    let read = move |view: &View| {
        let Some(note) = view.checkpoint(&folder)? else { return Ok(None) };
        let size = claimed(&note, &folder).map_or(0, |checkpoint| checkpoint.size);
        let leaves =
            if hosted { Vec::new() } else { view.leaves(&folder, from, size.min(from + MAX_LEAVES))? };
        Ok(Some((note, leaves)))
    };
    let Some(Some((note, leaves))) = in_view(follower, read).await? else { return Ok(()) };
    let head = open_head(&note, &rules)?;
    let log = match stored {
        Some(log) => log,
        None => {
            let vkey = rules.log.to_string();
            registry
                .store
                .create_log(&origin, &vkey, Some(publisher), false)
                .await
                .map_err(RegistryError::store)?;
            match registry.stored_log(&origin).await? {
                Some(log) => log,
                None => return Ok(()),
            }
        }
    };
    let mut tail = LogTail::load(&registry.store, &log)
        .await
        .map_err(|err| RegistryError::Damaged { origin: origin.clone(), err: Box::new(err) })?;
    if head_is_known(registry, &tail, &head).await? {
        registry.keep_cosignatures(&origin, head.note(), head.checkpoint().size).await?;
        return Ok(());
    }
    let checked = {
        let state = state.clone();
        let publisher = publisher.clone();
        let leaves = leaves.clone();
        tokio::task::spawn_blocking(move || check_leaves(state.known()?, &publisher, from, &leaves))
            .await
            .expect("checking leaves does not panic")?
    };
    fetch_archives(registry, peer, &checked).await?;
    let stretch = Stretch { publisher, leaves: &leaves, checked: &checked, head: &head };
    let segments = replay_stretch(registry, follower, commons, &mut tail, &stretch).await?;
    let mut step = mirrored_step(&mut tail, from, &head);
    for (leaf, checked) in leaves.into_iter().zip(&checked) {
        let kind = match checked {
            CheckedLeaf::Entry(entry) => LeafKind::Envelope { payload: entry.entry().payload },
            CheckedLeaf::Snapshot(_) => LeafKind::Snapshot,
        };
        step.leaves.push(LeafRow { bytes: leaf, kind });
    }
    fill_from_segments(&mut step, segments);
    registry.store.commit(&[step]).await.map_err(RegistryError::store)?;
    after_move(registry, &origin, &head).await
}

/// New leaves of a publisher's log, and the head that they should lead to.
struct Stretch<'a> {
    publisher: &'a PublisherName,
    leaves: &'a [Vec<u8>],
    checked: &'a [CheckedLeaf],
    head: &'a Head,
}

/// Walks the new leaves, and moves `tail` over them only if all of them hold and add up to the head's root.
async fn replay_stretch(
    registry: &Registry,
    follower: &Follower,
    commons: &Commons,
    tail: &mut LogTail,
    stretch: &Stretch<'_>,
) -> Result<Vec<Segment>, SyncError> {
    let Stretch { publisher, leaves, checked, head } = *stretch;
    let first = tail.size();
    // Roots at the sizes that entries name as their basis: old ones from the store, new ones on the way.
    let mut roots: BTreeMap<u64, Hash> = BTreeMap::new();
    let mut nodes = Nodes::new(&registry.store, tail.log);
    let mut seen = BTreeSet::new();
    for leaf in checked {
        if let CheckedLeaf::Entry(entry) = leaf {
            let entry = entry.entry();
            let basis = entry.statement.predicate.place().basis.size;
            if basis <= first && !roots.contains_key(&basis) {
                roots.insert(basis, nodes.root_at(basis).await.map_err(RegistryError::store)?);
            }
            let known =
                registry.store.payload_index(tail.log, &entry.payload).await.map_err(RegistryError::store)?;
            if known.is_some() {
                seen.insert(entry.payload);
            }
        }
    }
    let (bricks, buckets) = touches(checked);
    let loaded = load_touched(registry, tail, &bricks).await?;
    let index_nodes = stored_bucket_nodes(registry, tail.log, first, buckets).await?;
    let (snapshot_time, index_root) = (tail.snapshot_time, tail.index_root);
    for (index, leaf) in (first + 1..).zip(leaves) {
        tail.push(leaf);
        roots.insert(index, tail.root());
    }
    demand_root(registry, follower, &layout::log(publisher), tail, head).await?;
    let before = Before { publisher, commons, first, snapshot_time, loaded, nodes: index_nodes, index_root };
    let segments =
        replay(before, checked, |size| roots.get(&size).copied(), |payload| seen.contains(payload))?;
    Ok(segments)
}

/// Whether the head tells nothing new: it is no larger than what is stored. Its root must then be the stored one.
async fn head_is_known(registry: &Registry, tail: &LogTail, head: &Head) -> Result<bool, SyncError> {
    let checkpoint = head.checkpoint();
    if checkpoint.size > tail.size() {
        return Ok(false);
    }
    let root =
        Nodes::new(&registry.store, tail.log).root_at(checkpoint.size).await.map_err(RegistryError::store)?;
    if root == checkpoint.root {
        return Ok(true);
    }
    Err(forked(registry, &tail.origin, head).await?.into())
}

/// Demands that the leaves held now are the ones under the head; two signed heads that cannot be connected are kept.
async fn demand_root(
    registry: &Registry,
    follower: &Follower,
    folder: &str,
    tail: &LogTail,
    head: &Head,
) -> Result<(), SyncError> {
    let (checkpoint, origin) = (head.checkpoint(), &tail.origin);
    if checkpoint.size == tail.size() && checkpoint.root == tail.root() {
        return Ok(());
    }
    if checkpoint.size != tail.size() {
        return Err(Refused::new(
            Step::Inclusion,
            format!("{origin}: its head has {} leaves, {} are here", checkpoint.size, tail.size()),
        )
        .into());
    }
    // Whoever keeps a repository can put any leaves under an honest head. Only where all that lie there are the ones
    // under the head is it the log that has another history than the one held here.
    if registry.head(origin).is_none() || !adds_up(follower, folder, checkpoint).await? {
        return Err(Refused::new(
            Step::Inclusion,
            format!("the leaves of {origin} do not add up to its head"),
        )
        .into());
    }
    Err(forked(registry, origin, head).await?.into())
}

/// Whether all the leaves in a peer's repository are those of the head: read from the first, a bundle's worth at a time.
async fn adds_up(follower: &Follower, folder: &str, checkpoint: &Checkpoint) -> Result<bool, SyncError> {
    let (folder, size, root) = (folder.to_owned(), checkpoint.size, checkpoint.root);
    let read = move |view: &View| {
        let mut tree = Frontier::new();
        while tree.size() < size {
            let end = size.min(tree.size() + layout::ENTRIES_PER_FOLDER);
            for leaf in view.leaves(&folder, tree.size(), end)? {
                tree.push(leaf_hash(&leaf));
            }
        }
        Ok(tree.root() == root)
    };
    Ok(in_view(follower, read).await?.unwrap_or(false))
}

async fn forked(registry: &Registry, origin: &Origin, head: &Head) -> Result<Refused, RegistryError> {
    let checkpoint = head.checkpoint();
    let why = format!(
        "{origin} shows a head of {} leaves that what is here cannot be connected with",
        checkpoint.size
    );
    let ours = registry.head(origin).map(|head| head.newest.clone()).unwrap_or_default();
    registry.keep_evidence(origin, &ours, &head.note().to_bytes(), &why).await?;
    Ok(Refused::new(Step::Consistency, why))
}

/// A step that stores a peer's head as the log signed it; cosignatures are kept apart.
fn mirrored_step(tail: &mut LogTail, old_size: u64, head: &Head) -> LogStep {
    let checkpoint = head.checkpoint();
    let signed = Note {
        text: head.note().text.clone(),
        signatures: head
            .note()
            .signatures
            .iter()
            .filter(|line| line.name == checkpoint.origin)
            .take(1)
            .cloned()
            .collect(),
    };
    let mut step =
        LogStep::new(tail.log, old_size, checkpoint.size, signed.to_bytes(), digest(checkpoint.root));
    step.tiles = tail.take_tiles();
    step
}

/// Several snapshots become one step: of each line, file, node and service the last state counts.
fn fill_from_segments(step: &mut LogStep, segments: Vec<Segment>) {
    let mut lines = BTreeMap::new();
    let mut merged = brick_index::fold::Folded {
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
    fill_step(step, merged, nodes.into_iter().collect());
}

async fn after_move(registry: &Registry, origin: &Origin, head: &Head) -> Result<(), SyncError> {
    registry.keep_cosignatures(origin, head.note(), head.checkpoint().size).await?;
    registry.refresh_head(origin).await?;
    registry.mark_unprojected(origin);
    Ok(())
}

/// Fetches the archives of new releases and holds them against their entries before the entries are taken.
///
/// One that nobody has at present does not stop the log: it is asked for again, and checked when it comes.
async fn fetch_archives(
    registry: &Arc<Registry>,
    peer: &Peer,
    leaves: &[CheckedLeaf],
) -> Result<(), SyncError> {
    for leaf in leaves {
        let CheckedLeaf::Entry(entry) = leaf else { continue };
        let statement = &entry.entry().statement;
        for blob in statement.predicate.blobs() {
            crate::blobs::fetch_from(registry, peer, &blob).await;
        }
        if let Predicate::Release(release) = &statement.predicate {
            check_if_here(registry, release).await?;
        }
    }
    Ok(())
}

async fn check_if_here(registry: &Registry, release: &Release) -> Result<(), SyncError> {
    let Blob { sha256, bytes } = release.archive;
    let read = registry.store.read_blob(&sha256, bytes).await;
    let Ok(Some(bytes)) = read else { return Ok(()) };
    let release = release.clone();
    tokio::task::spawn_blocking(move || check_archive(&bytes, &release))
        .await
        .expect("checking an archive does not panic")?;
    Ok(())
}
