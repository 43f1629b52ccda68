//! Which of the waiting entries of one log count, and what does the log add up to with them? Decided before anything is
//! written.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use brick_index::fold::{Fold, IndexFile, Loaded};
use brick_index::replay::Touched;
use brick_schemas::api::{EntryReceipt, ProblemType};
use brick_schemas::predicate::{Predicate, Statement};
use brick_schemas::{BrickName, Digest, PublisherName};
use brick_store::{BlobRow, LeafKind, LeafRow, LogStep};
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::{Bucket, SnapshotLeaf, update_buckets};
use brick_tlog::tree::Node;
use brick_trust::{Envelope, Pin, Position, authorise};
use tokio::sync::oneshot;

use crate::closed::Closed;
use crate::kept_index::{KeptIndex, Known};
use crate::log_tail::LogTail;
use crate::problem::Rejection;
use crate::registry::{CommonsState, Registry, RegistryError, now};
use crate::sequencer::{Received, Submission};
use crate::signing::signed_step;
use crate::stored_index::fill_step;

/// Where the answer to a submission goes.
pub type Answer = oneshot::Sender<Result<EntryReceipt, Rejection>>;

/// One log's part of a batch, before it is committed.
pub struct Draft {
    /// The log's edge with the new leaves.
    pub tail: LogTail,
    /// What the store is to write.
    pub step: LogStep,
    /// The commons with the new records, where it is the commons log.
    pub commons: Option<CommonsState>,
    /// The entries among the leaves, and who waits for each.
    pub accepted: Vec<Accepted>,
    /// What was taken out of the kept index for it, with the tree's nodes, as the step leaves them.
    pub index: Option<(Loaded, Vec<(Node, Hash)>)>,
}

impl Borrow<LogStep> for Draft {
    fn borrow(&self) -> &LogStep {
        &self.step
    }
}

/// An entry that will be logged.
pub struct Accepted {
    /// Its place.
    pub index: u64,
    /// Its bytes, until its proof is made of them.
    pub leaf: Vec<u8>,
    /// SHA-256 of its payload.
    pub payload: Digest,
    /// Those who sent it: the first, and whoever sent the same while it waited.
    pub answers: Vec<Answer>,
}

/// Why a batch of one log could not be drafted; nothing of it was logged.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The log may not be signed.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The store or the commons.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// The entries of one batch that were accepted so far, and the leaves they make.
#[derive(Default)]
struct Batch {
    leaves: Vec<LeafRow>,
    accepted: Vec<Accepted>,
}

impl Batch {
    /// The answer back, unless the same entry is in this batch or in the log already, where it is given the same place.
    async fn not_yet_logged(
        &mut self,
        registry: &Registry,
        kept: &KeptIndex,
        tail: &LogTail,
        (payload, asked_at): (&Digest, u64),
        answer: Answer,
    ) -> Result<Option<Answer>, RegistryError> {
        if let Some(same) = self.accepted.iter_mut().find(|accepted| accepted.payload == *payload) {
            same.answers.push(answer);
            return Ok(None);
        }
        let stored = match kept.find_payload(tail.log, payload, asked_at) {
            Known::At(index) => Some(index),
            Known::NotSince => None,
            Known::Unknown => {
                registry.store.payload_index(tail.log, payload).await.map_err(RegistryError::store)?
            }
        };
        match stored {
            Some(index) => {
                let _ = answer.send(crate::proofs::receipt_of(registry, &tail.origin, index).await);
                Ok(None)
            }
            None => Ok(Some(answer)),
        }
    }

    fn accept(&mut self, tail: &mut LogTail, leaf: Vec<u8>, payload: Digest, answer: Answer) {
        let index = tail.size();
        tail.push(&leaf);
        self.leaves.push(LeafRow { bytes: leaf.clone(), kind: LeafKind::Envelope { payload } });
        self.accepted.push(Accepted { index, leaf, payload, answers: vec![answer] });
    }
}

/// Drafts a batch of the commons log. `None` where nothing of it counts; everybody has been answered then.
///
/// # Errors
/// [`DraftError`]; then nobody has who is not answered yet.
pub async fn draft_commons(
    registry: &Registry,
    kept: &KeptIndex,
    mut tail: LogTail,
    submissions: Vec<Submission>,
) -> Result<Option<Draft>, DraftError> {
    let pin = Pin { root_sha256: registry.settings.root_sha256 };
    let mut state = registry.commons().fork();
    let mut batch = Batch::default();
    let mut blobs = Vec::new();
    for submission in submissions {
        let Received::Commons { leaf, payload, asked_at } = submission.entry else { continue };
        let asked = (&payload, asked_at);
        let Some(answer) = batch.not_yet_logged(registry, kept, &tail, asked, submission.answer).await?
        else {
            continue;
        };
        if let Err(refused) = state.apply(&pin, &leaf) {
            let _ = answer.send(Err(Rejection::refused(&refused)));
            continue;
        }
        let entry = tail.size();
        blobs.extend(blobs_of(&leaf).into_iter().map(|blob| BlobRow {
            sha256: blob.sha256,
            bytes: blob.bytes,
            entry,
            is_here: true,
        }));
        batch.accept(&mut tail, leaf, payload, answer);
    }
    if batch.accepted.is_empty() {
        return Ok(None);
    }
    let mut step = signed_step(registry, &mut tail, batch.leaves).await?;
    step.blobs = blobs;
    Ok(Some(Draft { tail, step, commons: Some(state), accepted: batch.accepted, index: None }))
}

/// The blobs that a commons entry names; none where it is a root.
fn blobs_of(leaf: &[u8]) -> Vec<brick_schemas::Blob> {
    Envelope::parse(leaf)
        .ok()
        .and_then(|envelope| Statement::parse(&envelope.payload).ok())
        .map(|statement| statement.predicate.blobs())
        .unwrap_or_default()
}

/// Drafts a batch of a publisher's log, with the snapshot that ends it. `None` where nothing of it counts.
///
/// # Errors
/// As [`draft_commons`].
pub async fn draft_publisher(
    registry: &Registry,
    kept: &mut KeptIndex,
    publisher: &PublisherName,
    mut tail: LogTail,
    submissions: Vec<Submission>,
) -> Result<Option<Draft>, DraftError> {
    let state = registry.commons();
    let commons = state.known().map_err(RegistryError::from)?;
    let old_size = tail.size();
    let touched = Touched::by(submissions.iter().filter_map(|submission| match &submission.entry {
        Received::Publisher { signed, .. } => Some(&signed.entry().statement),
        _ => None,
    }));
    let damaged = |tail: &LogTail, err: &dyn std::error::Error| Closed::Damaged {
        origin: tail.origin.clone(),
        what: crate::problem::chain(err),
    };
    let loaded = kept.take(registry, &tail, &touched.bricks).await?;
    let mut room = Room::of(registry, &mut tail, &touched.bricks, &loaded.files).await?;
    let mut fold = Fold::begin(loaded);
    let mut batch = Batch::default();
    for submission in submissions {
        let Received::Publisher { signed, basis_root, leaf, asked_at, .. } = submission.entry else {
            continue;
        };
        let index = tail.size();
        let payload = signed.entry().payload;
        let asked = (&payload, asked_at);
        let Some(answer) = batch.not_yet_logged(registry, kept, &tail, asked, submission.answer).await?
        else {
            continue;
        };
        let checked = commons
            .record_at(publisher, index)
            .and_then(|record| authorise(&signed, &Position { record, index, basis_root, seen: false }))
            .map_err(|refused| Rejection::refused(&refused))
            .and_then(|()| room.check(&signed.entry().statement))
            .and_then(|()| {
                fold.apply(index, &signed.entry().statement)
                    .map_err(|conflict| Rejection::conflict(&conflict))
            });
        if let Err(rejection) = checked {
            let _ = answer.send(Err(rejection));
            continue;
        }
        room.take(&signed.entry().statement);
        batch.accept(&mut tail, leaf, payload, answer);
    }
    if batch.accepted.is_empty() {
        // What was refused changed nothing.
        kept.keep(tail.log, fold.into_loaded(), Vec::new());
        return Ok(None);
    }
    let time = now().max(tail.snapshot_time.unwrap_or(0));
    let folded = fold.snapshot(time).map_err(|err| damaged(&tail, &err))?;
    let nodes = move_index_root(registry, kept, &mut tail, old_size, &folded.buckets).await?;
    batch.leaves.push(push_snapshot(&mut tail, time));
    tail.brick_count = room.brick_count;
    let mut step = signed_step(registry, &mut tail, batch.leaves).await?;
    // No entry is queued before all of its blobs are here.
    fill_step(&mut step, folded, nodes.clone(), true);
    let index = Some((fold.into_loaded(), nodes));
    Ok(Some(Draft { tail, step, commons: None, accepted: batch.accepted, index }))
}

/// What this registry's own limits leave for new releases, where they are lower than the commons'.
struct Room {
    release_limit: u64,
    brick_limit: u64,
    /// Releases of each brick that the batch touches; absent: a new brick.
    releases: BTreeMap<BrickName, u64>,
    /// Bricks of the publisher, counted once a new one is about to come.
    brick_count: Option<u64>,
}

impl Room {
    async fn of(
        registry: &Registry,
        tail: &mut LogTail,
        bricks: &BTreeMap<BrickName, bool>,
        files: &BTreeMap<BrickName, IndexFile>,
    ) -> Result<Self, RegistryError> {
        let limits = &registry.settings.limits;
        let releases = files.iter().map(|(brick, file)| (brick.clone(), file.releases() as u64)).collect();
        if tail.brick_count.is_none() && bricks.keys().any(|brick| !files.contains_key(brick)) {
            let all = registry.store.files_changed(tail.log, 0, tail.size()).await;
            tail.brick_count = Some(all.map_err(RegistryError::store)?.len() as u64);
        }
        Ok(Self {
            release_limit: limits.release_count,
            brick_limit: limits.brick_count,
            releases,
            brick_count: tail.brick_count,
        })
    }

    fn check(&self, statement: &Statement) -> Result<(), Rejection> {
        let Predicate::Release(release) = &statement.predicate else { return Ok(()) };
        let full = |what: String| Err(Rejection::new(ProblemType::TooLarge, what));
        match self.releases.get(&release.name.brick) {
            Some(count) if *count >= self.release_limit => {
                full(format!("{} has {count} releases, as many as a brick can have here", release.name))
            }
            None if self.brick_count.is_some_and(|count| count >= self.brick_limit) => full(format!(
                "{} has {} bricks, as many as a publisher can have here",
                release.name.publisher, self.brick_limit
            )),
            _ => Ok(()),
        }
    }

    fn take(&mut self, statement: &Statement) {
        let Predicate::Release(release) = &statement.predicate else { return };
        if !self.releases.contains_key(&release.name.brick) {
            self.brick_count = self.brick_count.map(|count| count + 1);
        }
        *self.releases.entry(release.name.brick.clone()).or_insert(0) += 1;
    }
}

async fn move_index_root(
    registry: &Registry,
    kept: &mut KeptIndex,
    tail: &mut LogTail,
    stored_size: u64,
    buckets: &BTreeMap<u16, Bucket>,
) -> Result<Vec<(Node, Hash)>, RegistryError> {
    if buckets.is_empty() {
        return Ok(Vec::new());
    }
    let before = kept.nodes(registry, tail.log, stored_size, buckets.keys().copied()).await?;
    let changes = buckets.iter().map(|(number, bucket)| (*number, bucket.leaf_hash()));
    let update =
        update_buckets(changes, |node| Ok::<_, std::convert::Infallible>(before.get(&node).copied()));
    let Ok(update) = update;
    tail.index_root = update.root;
    Ok(update.nodes)
}

/// Drafts the first head of a publisher's log: a snapshot of nothing, so that there is a head to witness, and a proof that
/// nothing is there.
///
/// # Errors
/// [`Closed`].
pub async fn draft_opening(registry: &Registry, mut tail: LogTail) -> Result<Draft, Closed> {
    let leaf = push_snapshot(&mut tail, now());
    let step = signed_step(registry, &mut tail, vec![leaf]).await?;
    Ok(Draft { tail, step, commons: None, accepted: Vec::new(), index: None })
}

fn push_snapshot(tail: &mut LogTail, time: u64) -> LeafRow {
    let snapshot = SnapshotLeaf { size: tail.size(), time, index_root: tail.index_root };
    let bytes = snapshot.to_string().into_bytes();
    tail.push(&bytes);
    tail.snapshot_time = Some(time);
    LeafRow { bytes, kind: LeafKind::Snapshot }
}
