//! In which order do entries enter the logs? One task takes what is waiting and commits it together.
//!
//! A batch is one database transaction: the only commit point. Authorised, folded and signed before it; acknowledged,
//! projected and witnessed after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brick_index::fold::{Fold, Folded, Loaded, touched};
use brick_schemas::api::EntryReceipt;
use brick_schemas::predicate::PublisherStatus;
use brick_schemas::{BrickName, Digest, Origin, PublisherName};
use brick_store::{
    BlobRow, BucketNodeRow, CommitError, FileRow, LeafKind, LeafRow, LineRow, LogStep, ServiceRow,
};
use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::{Bucket, SnapshotLeaf, bucket_nodes, bucket_of, update_buckets};
use brick_tlog::tree::Node;
use brick_trust::{BasisRoot, Envelope, Pin, Position, Refused, SignedEntry, Step, authorise};
use tokio::sync::{mpsc, oneshot};

use crate::log_tail::LogTail;
use crate::problem::Rejection;
use crate::registry::{CommonsState, Registry, RegistryError, digest, hash, now};

/// Entries in one transaction, at most.
pub const MAX_BATCH: usize = 256;

/// An entry that has been received and checked as far as that needs no place in a log.
pub struct Submission {
    /// What it is.
    pub entry: Received,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<EntryReceipt, Rejection>>,
}

/// A received entry, by the log it is for.
pub enum Received {
    /// For a publisher's log.
    Publisher {
        /// Whose.
        publisher: PublisherName,
        /// Form and signatures are checked.
        signed: Box<SignedEntry>,
        /// The log's root at the entry's basis.
        basis_root: BasisRoot,
        /// The bytes as sent.
        leaf: Vec<u8>,
    },
    /// For the commons log.
    Commons {
        /// The bytes as sent.
        leaf: Vec<u8>,
        /// SHA-256 of the payload.
        payload: Digest,
    },
    /// Not an entry: makes the logs of newly admitted publishers that this registry hosts.
    OpenLogs,
}

/// The task's state: the right edge of every hosted log.
pub struct Sequencer {
    registry: Arc<Registry>,
    queue: mpsc::Receiver<Submission>,
    tails: BTreeMap<Origin, LogTail>,
}

/// One log's part of a batch, before it is committed.
struct Draft {
    tail: LogTail,
    step: LogStep,
    commons: Option<CommonsState>,
    accepted: Vec<(u64, Vec<u8>, oneshot::Sender<Result<EntryReceipt, Rejection>>)>,
}

impl Sequencer {
    /// Reads the edge of every log that this registry hosts.
    ///
    /// # Errors
    /// [`RegistryError::Damaged`] where one does not add up: then nothing is signed.
    pub async fn new(
        registry: Arc<Registry>,
        queue: mpsc::Receiver<Submission>,
    ) -> Result<Self, RegistryError> {
        let mut tails = BTreeMap::new();
        for log in registry.store.logs().await.map_err(RegistryError::store)? {
            if log.hosted {
                let tail = LogTail::load(&registry.store, &log).await.map_err(|err| {
                    RegistryError::Damaged { origin: log.origin.clone(), err: Box::new(err) }
                })?;
                tails.insert(log.origin.clone(), tail);
            }
        }
        Ok(Self { registry, queue, tails })
    }

    /// Runs until every sender of the queue is gone.
    pub async fn run(mut self) {
        if let Err(err) = self.open_logs().await {
            tracing::error!(
                err = &err as &dyn std::error::Error,
                "cannot open the logs of admitted publishers"
            );
        }
        while let Some(first) = self.queue.recv().await {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH
                && let Ok(next) = self.queue.try_recv()
            {
                batch.push(next);
            }
            self.sequence(batch).await;
        }
    }

    async fn sequence(&mut self, batch: Vec<Submission>) {
        let mut by_log: BTreeMap<Origin, Vec<Submission>> = BTreeMap::new();
        let mut open_logs = Vec::new();
        for submission in batch {
            let origin = match &submission.entry {
                Received::Publisher { publisher, .. } => Origin::of_publisher(publisher),
                Received::Commons { .. } => match self.registry.commons().commons.as_ref() {
                    Some(commons) => commons.origin(),
                    None => {
                        let _ = submission.answer.send(Err(Rejection::not_hosted("the commons log")));
                        continue;
                    }
                },
                Received::OpenLogs => {
                    open_logs.push(submission);
                    continue;
                }
            };
            by_log.entry(origin).or_default().push(submission);
        }
        if !open_logs.is_empty()
            && let Err(err) = self.open_logs().await
        {
            tracing::error!(
                err = &err as &dyn std::error::Error,
                "cannot open the logs of admitted publishers"
            );
        }
        let mut drafts = Vec::new();
        for (origin, submissions) in by_log {
            match self.draft(&origin, submissions).await {
                Ok(Some(draft)) => drafts.push(draft),
                Ok(None) => {}
                Err(err) => {
                    tracing::error!(%origin, err = &err as &dyn std::error::Error, "cannot draft a batch")
                }
            }
        }
        if !drafts.is_empty() {
            self.commit(drafts).await;
        }
    }

    async fn draft(
        &self,
        origin: &Origin,
        submissions: Vec<Submission>,
    ) -> Result<Option<Draft>, RegistryError> {
        let Some(tail) = self.tails.get(origin) else {
            for submission in submissions {
                let _ = submission.answer.send(Err(Rejection::not_hosted(origin.as_str())));
            }
            return Ok(None);
        };
        match &tail.publisher {
            None => self.draft_commons(tail.clone(), submissions).await,
            Some(publisher) => self.draft_publisher(publisher.clone(), tail.clone(), submissions).await,
        }
    }

    async fn draft_commons(
        &self,
        mut tail: LogTail,
        submissions: Vec<Submission>,
    ) -> Result<Option<Draft>, RegistryError> {
        let registry = &self.registry;
        let pin = Pin { root_sha256: registry.settings.root_sha256 };
        let mut state = registry.commons().fork();
        let old_size = tail.size();
        let mut leaves = Vec::new();
        let mut blobs = Vec::new();
        let mut accepted = Vec::new();
        for submission in submissions {
            let Received::Commons { leaf, payload } = submission.entry else { continue };
            if let Some(index) =
                registry.store.payload_index(tail.log, &payload).await.map_err(RegistryError::store)?
            {
                answer_duplicate(registry, &tail, index, submission.answer).await;
                continue;
            }
            match state.apply(&pin, &leaf) {
                Ok(()) => {}
                Err(refused) => {
                    let _ = submission.answer.send(Err(Rejection::refused(&refused)));
                    continue;
                }
            }
            let index = tail.size();
            tail.push(&leaf);
            for blob in blobs_of(&leaf) {
                blobs.push(BlobRow { sha256: blob.sha256, bytes: blob.bytes, entry: index });
            }
            leaves.push(LeafRow { bytes: leaf.clone(), kind: LeafKind::Envelope { payload } });
            accepted.push((index, leaf, submission.answer));
        }
        if accepted.is_empty() {
            return Ok(None);
        }
        let mut step = self.signed_step(&mut tail, old_size);
        step.leaves = leaves;
        step.blobs = blobs;
        Ok(Some(Draft { tail, step, commons: Some(state), accepted }))
    }

    async fn draft_publisher(
        &self,
        publisher: PublisherName,
        mut tail: LogTail,
        submissions: Vec<Submission>,
    ) -> Result<Option<Draft>, RegistryError> {
        let registry = &self.registry;
        let state = registry.commons();
        let commons = state.known()?;
        let old_size = tail.size();
        let bricks: BTreeSet<BrickName> = submissions
            .iter()
            .filter_map(|submission| match &submission.entry {
                Received::Publisher { signed, .. } => touched(&signed.entry().statement).cloned(),
                _ => None,
            })
            .collect();
        let loaded = load_touched(registry, &tail, &bricks).await?;
        let mut fold = Fold::begin(loaded)
            .map_err(|err| RegistryError::Damaged { origin: tail.origin.clone(), err: Box::new(err) })?;
        let mut leaves = Vec::new();
        let mut accepted = Vec::new();
        let mut in_batch = BTreeMap::new();
        for submission in submissions {
            let Received::Publisher { signed, basis_root, leaf, .. } = submission.entry else { continue };
            let index = tail.size();
            let payload = signed.entry().payload;
            let stored =
                registry.store.payload_index(tail.log, &payload).await.map_err(RegistryError::store)?;
            if let Some(index) = stored {
                answer_duplicate(registry, &tail, index, submission.answer).await;
                continue;
            }
            if in_batch.contains_key(&payload) {
                let _ = submission.answer.send(Err(Rejection::busy("the same entry is being logged")));
                continue;
            }
            let checked = commons
                .record_at(&publisher, index)
                .and_then(|record| authorise(&signed, &Position { record, index, basis_root, seen: false }));
            if let Err(refused) = checked {
                let _ = submission.answer.send(Err(Rejection::refused(&refused)));
                continue;
            }
            if let Err(conflict) = fold.apply(index, &signed.entry().statement) {
                let _ = submission.answer.send(Err(Rejection::conflict(&conflict)));
                continue;
            }
            tail.push(&leaf);
            in_batch.insert(payload, index);
            leaves.push(LeafRow { bytes: leaf.clone(), kind: LeafKind::Envelope { payload } });
            accepted.push((index, leaf, submission.answer));
        }
        if accepted.is_empty() {
            return Ok(None);
        }
        let time = now().max(tail.snapshot_time.unwrap_or(0));
        let folded = fold
            .snapshot(time)
            .map_err(|err| RegistryError::Damaged { origin: tail.origin.clone(), err: Box::new(err) })?;
        let nodes = self.move_index_root(&mut tail, old_size, &folded.buckets).await?;
        leaves.push(push_snapshot(&mut tail, time));
        let mut step = self.signed_step(&mut tail, old_size);
        step.leaves = leaves;
        fill_step(&mut step, folded, nodes);
        Ok(Some(Draft { tail, step, commons: None, accepted }))
    }

    async fn move_index_root(
        &self,
        tail: &mut LogTail,
        stored_size: u64,
        buckets: &BTreeMap<u16, Bucket>,
    ) -> Result<Vec<(Node, Hash)>, RegistryError> {
        if buckets.is_empty() {
            return Ok(Vec::new());
        }
        let before =
            stored_bucket_nodes(&self.registry, tail.log, stored_size, buckets.keys().copied()).await?;
        let changes = buckets.iter().map(|(number, bucket)| (*number, bucket.leaf_hash()));
        let update =
            update_buckets(changes, |node| Ok::<_, std::convert::Infallible>(before.get(&node).copied()));
        let Ok(update) = update;
        tail.index_root = update.root;
        Ok(update.nodes)
    }

    /// Signs the head at the tail's size. The root is the frontier's, which grew from stored tiles that were proved
    /// against the last signed head when the tail was loaded.
    fn signed_step(&self, tail: &mut LogTail, old_size: u64) -> LogStep {
        let checkpoint =
            Checkpoint { origin: Registry::log_key_name(&tail.origin), size: tail.size(), root: tail.root() };
        let note = sign_checkpoint(&checkpoint, &self.registry.settings.log_key);
        let mut step = LogStep::new(tail.log, old_size, tail.size(), note.to_bytes(), digest(tail.root()));
        step.tiles = tail.take_tiles();
        step
    }

    async fn commit(&mut self, drafts: Vec<Draft>) {
        let steps: Vec<LogStep> = drafts.iter().map(|draft| draft.step.clone()).collect();
        if let Err(err) = self.registry.store.commit(&steps).await {
            tracing::error!(err = &err as &dyn std::error::Error, "a batch was not committed");
            let replayed = matches!(err, CommitError::Replayed { .. });
            for draft in drafts {
                for (_, _, answer) in draft.accepted {
                    let rejection = if replayed {
                        Rejection::busy("the same entry is being logged")
                    } else {
                        Rejection::storage(&err)
                    };
                    let _ = answer.send(Err(rejection));
                }
            }
            return;
        }
        let mut admitted = false;
        for draft in drafts {
            let origin = draft.tail.origin.clone();
            if let Some(state) = draft.commons {
                self.registry.set_commons(state);
                admitted = true;
            }
            for (index, leaf, answer) in draft.accepted {
                let receipt = crate::proofs::entry_proof(
                    &self.registry,
                    &draft.tail,
                    index,
                    leaf,
                    &draft.step.checkpoint,
                )
                .await;
                let _ = answer.send(receipt.map(|proof| EntryReceipt {
                    log: origin.clone(),
                    index,
                    proof,
                    duplicate: false,
                }));
            }
            self.tails.insert(origin.clone(), draft.tail);
            if let Err(err) = self.registry.refresh_head(&origin).await {
                tracing::error!(%origin, err = &err as &dyn std::error::Error, "cannot show the new head");
            }
            self.registry.mark_unprojected(&origin);
        }
        if admitted && let Err(err) = self.open_logs().await {
            tracing::error!(
                err = &err as &dyn std::error::Error,
                "cannot open the logs of admitted publishers"
            );
        }
    }

    /// Makes the logs of publishers whose record names this registry as their home: a snapshot of nothing each, so that
    /// there is a head to witness, and a proof that nothing is there.
    async fn open_logs(&mut self) -> Result<(), RegistryError> {
        let state = self.registry.commons();
        let Some(commons) = &state.commons else { return Ok(()) };
        let mut drafts = Vec::new();
        for record in commons.publishers() {
            if record.home != self.registry.settings.id
                || record.status != PublisherStatus::Active
                || self.tails.contains_key(&record.origin)
            {
                continue;
            }
            let store = &self.registry.store;
            let log = match store.log(&record.origin).await.map_err(RegistryError::store)? {
                Some(log) => log,
                None => {
                    let vkey = self.registry.hosted_vkey(&record.origin).to_string();
                    store
                        .create_log(&record.origin, &vkey, Some(&record.id), true)
                        .await
                        .map_err(RegistryError::store)?;
                    store.log(&record.origin).await.map_err(RegistryError::store)?.ok_or_else(|| {
                        RegistryError::store(std::io::Error::other("a log just made is not there"))
                    })?
                }
            };
            let mut tail = LogTail::load(store, &log)
                .await
                .map_err(|err| RegistryError::Damaged { origin: log.origin.clone(), err: Box::new(err) })?;
            if log.size == 0 {
                let leaf = push_snapshot(&mut tail, now());
                let mut step = self.signed_step(&mut tail, 0);
                step.leaves = vec![leaf];
                drafts.push(Draft { tail, step, commons: None, accepted: Vec::new() });
            } else {
                self.tails.insert(log.origin.clone(), tail);
            }
        }
        if !drafts.is_empty() {
            Box::pin(self.commit(drafts)).await;
        }
        Ok(())
    }
}

fn push_snapshot(tail: &mut LogTail, time: u64) -> LeafRow {
    let snapshot = SnapshotLeaf { size: tail.size(), time, index_root: tail.index_root };
    let bytes = snapshot.to_string().into_bytes();
    tail.push(&bytes);
    tail.snapshot_time = Some(time);
    LeafRow { bytes, kind: LeafKind::Snapshot }
}

/// Puts what a stretch of a log adds up to into its step.
pub fn fill_step(step: &mut LogStep, folded: Folded, nodes: Vec<(Node, Hash)>) {
    for (brick, version, entry, line) in folded.lines {
        step.lines.push(LineRow { brick, version, entry, line });
    }
    for (brick, file) in folded.files {
        let bucket = bucket_of(brick.as_str());
        step.files.push(FileRow { brick, bucket, sha256: Digest::of(&file), bytes: file.len() as u64 });
    }
    for (node, hash) in nodes {
        let index = u32::try_from(node.index).expect("a bucket tree has 65,536 leaves");
        step.nodes.push(BucketNodeRow { level: node.level, index, hash: digest(hash) });
    }
    for (service, (entry, json)) in folded.services {
        step.services.push(ServiceRow { service, entry, json });
    }
    for (blob, entry) in folded.blobs {
        step.blobs.push(BlobRow { sha256: blob.sha256, bytes: blob.bytes, entry });
    }
}

/// Reads the index files and buckets of `bricks` as of the newest leaf.
///
/// # Errors
/// [`RegistryError::Store`].
pub async fn load_touched(
    registry: &Registry,
    tail: &LogTail,
    bricks: &BTreeSet<BrickName>,
) -> Result<Loaded, RegistryError> {
    let mut loaded = Loaded::default();
    for brick in bricks {
        let file =
            registry.store.index_file(tail.log, brick, tail.size()).await.map_err(RegistryError::store)?;
        if let Some((file, _)) = file {
            loaded.files.insert(brick.clone(), file);
        }
        let number = bucket_of(brick.as_str());
        if let std::collections::btree_map::Entry::Vacant(place) = loaded.buckets.entry(number) {
            place.insert(stored_bucket(registry, tail.log, number, tail.size()).await?);
        }
    }
    Ok(loaded)
}

/// A bucket as of a size of its log.
///
/// # Errors
/// [`RegistryError::Store`].
pub async fn stored_bucket(
    registry: &Registry,
    log: brick_store::LogId,
    number: u16,
    size: u64,
) -> Result<Bucket, RegistryError> {
    let mut bucket = Bucket::new();
    for (brick, sha256) in
        registry.store.bucket_lines(log, number, size).await.map_err(RegistryError::store)?
    {
        bucket.insert(brick.as_str(), hash(sha256)).map_err(RegistryError::store)?;
    }
    Ok(bucket)
}

/// The bucket-tree nodes that updates of `buckets` read, in one step or one after another, as of a size of the log.
///
/// The siblings of each bucket: two that change in different snapshots are each other's siblings somewhere, and the one
/// that changes first needs the other as it was.
///
/// # Errors
/// [`RegistryError::Store`].
pub async fn stored_bucket_nodes(
    registry: &Registry,
    log: brick_store::LogId,
    size: u64,
    buckets: impl IntoIterator<Item = u16>,
) -> Result<BTreeMap<Node, Hash>, RegistryError> {
    let nodes: BTreeSet<Node> = buckets.into_iter().flat_map(bucket_nodes).collect();
    let nodes: Vec<Node> = nodes.into_iter().collect();
    let mut known = BTreeMap::new();
    for part in nodes.chunks(brick_store::MAX_NODES_PER_READ) {
        let keys: Vec<(u8, u32)> = part
            .iter()
            .map(|node| (node.level, u32::try_from(node.index).expect("a bucket tree has 65,536 leaves")))
            .collect();
        let hashes = registry.store.bucket_nodes(log, &keys, size).await.map_err(RegistryError::store)?;
        known.extend(part.iter().zip(hashes).filter_map(|(node, found)| Some((*node, hash(found?)))));
    }
    Ok(known)
}

/// The blobs that a commons entry names; none where it is a root.
fn blobs_of(leaf: &[u8]) -> Vec<brick_schemas::Blob> {
    Envelope::parse(leaf)
        .ok()
        .and_then(|envelope| brick_schemas::predicate::Statement::parse(&envelope.payload).ok())
        .map(|statement| statement.predicate.blobs())
        .unwrap_or_default()
}

async fn answer_duplicate(
    registry: &Registry,
    tail: &LogTail,
    index: u64,
    answer: oneshot::Sender<Result<EntryReceipt, Rejection>>,
) {
    let _ = answer.send(crate::proofs::receipt_of(registry, &tail.origin, index).await);
}

/// The refusal of an entry whose basis lies ahead of the log.
pub fn ahead(origin: &Origin, basis: u64, size: u64) -> Refused {
    Refused::new(Step::Basis, format!("its signer saw {basis} leaves of {origin}, this registry has {size}"))
}
