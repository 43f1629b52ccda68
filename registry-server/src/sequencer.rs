//! In which order do entries enter the logs? One task takes what is waiting and commits it together.
//!
//! A batch is one database transaction: the only commit point. Authorised, folded and signed before it; acknowledged,
//! projected and witnessed after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use brick_schemas::api::EntryReceipt;
use brick_schemas::predicate::PublisherStatus;
use brick_schemas::{Digest, Origin, PublisherName};
use brick_store::{CommitError, crash_point};
use brick_trust::{BasisRoot, SignedEntry};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::closed::Closed;
use crate::drafting::{Answer, Draft, DraftError, draft_commons, draft_opening, draft_publisher};
use crate::keeping::Told;
use crate::kept_index::KeptIndex;
use crate::log_tail::LogTail;
use crate::nodes::Nodes;
use crate::own_heads;
use crate::problem::{Rejection, said};
use crate::proofs::entry_proof;
use crate::registry::{Registry, RegistryError};

/// Entries in one transaction, at most.
pub const MAX_BATCH: usize = 256;

/// An entry that has been received and checked as far as that needs no place in a log.
pub struct Submission {
    /// What it is.
    pub entry: Received,
    /// Where the answer goes.
    pub answer: Answer,
    /// Tells whether the blobs that it names are here, durable and checked; until then it must not be committed. Whoever sent
    /// it tells the client why not. `None` where that is known.
    pub blobs: Option<Told>,
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
        /// Leaves that the log had, at least, when the store was asked whether it holds the entry already.
        asked_at: u64,
    },
    /// For the commons log.
    Commons {
        /// The bytes as sent.
        leaf: Vec<u8>,
        /// SHA-256 of the payload.
        payload: Digest,
        /// As of an entry.
        asked_at: u64,
    },
    /// Not an entry: somebody else moved the commons log, or brought lost leaves of a hosted log back.
    LookAgain,
}

/// The task's state: the right edge of every hosted log.
pub struct Sequencer {
    registry: Arc<Registry>,
    queue: mpsc::Receiver<Submission>,
    tails: BTreeMap<Origin, LogTail>,
    kept: KeptIndex,
    /// How often the store had been opened again when the edges were read.
    resumed: u64,
    /// Where connections to others live.
    outside: Handle,
}

impl Sequencer {
    /// Reads the edge of every log that this registry hosts. One that does not add up is closed; reading goes on. The runtime
    /// that this is called in asks peers for it later, wherever it runs.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn new(
        registry: Arc<Registry>,
        queue: mpsc::Receiver<Submission>,
    ) -> Result<Self, RegistryError> {
        let (tails, kept, resumed) = (BTreeMap::new(), KeptIndex::default(), registry.store.resumed());
        let outside = Handle::current();
        let mut sequencer = Self { registry, queue, tails, kept, resumed, outside };
        sequencer.load_tails().await?;
        Ok(sequencer)
    }

    /// Reads the edges of hosted logs that are not known, or that moved without this task.
    async fn load_tails(&mut self) -> Result<(), RegistryError> {
        let resumed = self.registry.store.resumed();
        if resumed != self.resumed {
            // What was kept of before a disk failure may not be what is stored.
            self.tails.clear();
            self.kept.forget();
            self.resumed = resumed;
        }
        for log in self.registry.store.logs().await.map_err(RegistryError::store)? {
            let is_known = self.tails.get(&log.origin).is_some_and(|tail| tail.size() == log.size);
            if !log.hosted || is_known || log.size == 0 {
                continue;
            }
            // Somebody else moved it, or nothing of it was read yet.
            self.kept.forget();
            match LogTail::load(&self.registry.store, &log).await {
                Ok(tail) => {
                    self.tails.insert(log.origin.clone(), tail);
                }
                Err(err) => {
                    self.tails.remove(&log.origin);
                    let what = crate::problem::chain(&err);
                    self.registry
                        .close_log(&log.origin, Closed::Damaged { origin: log.origin.clone(), what });
                }
            }
        }
        Ok(())
    }

    /// Asks the peers how far they have seen the hosted logs, then takes entries until every sender of the queue is gone.
    pub async fn run(mut self) {
        match self.registry.hosted_origins().await {
            Ok(origins) => {
                self.ask(origins).await;
            }
            Err(err) => tracing::error!(why = %said(&err), "cannot tell which logs are hosted here"),
        }
        self.look_again().await;
        while let Some(first) = self.queue.recv().await {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH
                && let Ok(next) = self.queue.try_recv()
            {
                batch.push(next);
            }
            crash_point("batch-taken");
            self.sequence(batch).await;
        }
    }

    /// Asks the peers how far they have seen logs, before those are signed.
    async fn ask(&self, origins: Vec<Origin>) {
        let registry = self.registry.clone();
        let asked = self.outside.spawn(async move { own_heads::ask(&registry, &origins).await });
        if let Err(err) = AbortOnDropHandle::new(asked).await
            && let Ok(panic) = err.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }

    async fn look_again(&mut self) {
        let looked = match self.load_tails().await {
            Ok(()) => self.open_logs().await,
            Err(err) => Err(err),
        };
        if let Err(err) = looked {
            tracing::error!(why = %said(&err), "cannot open the logs of admitted publishers");
        }
    }

    async fn sequence(&mut self, mut batch: Vec<Submission>) {
        // An entry that is alone is drafted and written while its blobs are flushed; among others it must not hold them up.
        let told = match batch.as_mut_slice() {
            [alone] => alone.blobs.take(),
            _ => {
                batch.retain(|submission| submission.blobs.as_ref().is_none_or(Told::is_yes));
                None
            }
        };
        if self.resumed != self.registry.store.resumed() {
            self.look_again().await;
        }
        let commons = self.registry.commons().commons.as_ref().map(brick_trust::Commons::origin);
        let mut by_log: BTreeMap<Origin, Vec<Submission>> = BTreeMap::new();
        let mut must_look = false;
        for submission in batch {
            let origin = match &submission.entry {
                Received::Publisher { publisher, .. } => Some(Origin::of_publisher(publisher)),
                Received::Commons { .. } => commons.clone(),
                Received::LookAgain => {
                    must_look = true;
                    continue;
                }
            };
            match origin {
                Some(origin) => by_log.entry(origin).or_default().push(submission),
                None => {
                    let busy = Rejection::busy("this registry does not hold the commons log yet");
                    let _ = submission.answer.send(Err(busy));
                }
            }
        }
        if must_look {
            self.look_again().await;
        }
        let mut drafts = Vec::new();
        for (origin, submissions) in by_log {
            match self.draft(&origin, submissions).await {
                Ok(draft) => drafts.extend(draft),
                Err(DraftError::Closed(why)) => self.registry.close_log(&origin, why),
                Err(DraftError::Registry(err)) => {
                    tracing::error!(%origin, why = %said(&err), "cannot draft a batch");
                }
            }
        }
        if !drafts.is_empty() {
            self.commit(drafts, told).await;
        }
    }

    async fn draft(
        &mut self,
        origin: &Origin,
        submissions: Vec<Submission>,
    ) -> Result<Option<Draft>, DraftError> {
        let refusal = match (self.registry.closed_log(origin), self.tails.get(origin)) {
            (Some(why), _) => Rejection::from(&why),
            (None, None) => self.registry.not_hosted(origin),
            (None, Some(tail)) => {
                return match &tail.publisher {
                    None => draft_commons(&self.registry, &self.kept, tail.clone(), submissions).await,
                    Some(publisher) => {
                        let (registry, kept) = (&self.registry, &mut self.kept);
                        draft_publisher(registry, kept, publisher, tail.clone(), submissions).await
                    }
                };
            }
        };
        for submission in submissions {
            let _ = submission.answer.send(Err(refusal.clone()));
        }
        Ok(None)
    }

    /// - `told`: what the commit waits for.
    async fn commit(&mut self, mut drafts: Vec<Draft>, told: Option<Told>) {
        crash_point("batch-drafted");
        // Made before the commit, while blobs are being flushed; given only after it.
        let mut receipts = Vec::with_capacity(drafts.len());
        for draft in &mut drafts {
            receipts.push(self.receipts(draft).await);
        }
        let is_due = || told.as_ref().is_none_or(Told::is_yes);
        match self.registry.store.commit_when(&drafts, is_due).await {
            Ok(()) => {}
            // What was taken out of the kept index for it is read again when it is needed.
            Err(CommitError::TakenBack) => return,
            Err(err) => {
                self.refuse(drafts, &err).await;
                return;
            }
        }
        crash_point("batch-committed");
        self.registry.metrics.batches.inc();
        let mut is_admission = false;
        for (draft, receipts) in drafts.into_iter().zip(receipts) {
            let origin = draft.tail.origin.clone();
            let shown = match draft.commons {
                Some(state) => {
                    self.registry.set_commons(state);
                    is_admission = true;
                    self.registry.refresh_head(&origin).await
                }
                None => {
                    let (size, step) = (draft.tail.size(), &draft.step);
                    self.registry.show_appended(&origin, size, &step.checkpoint, step.is_served).await
                }
            };
            if let Err(err) = shown {
                tracing::error!(%origin, why = %said(&err), "cannot show the new head");
            }
            crash_point("batch-shown");
            self.registry.mark_unprojected(&origin);
            self.registry.kept_roots.keep(draft.tail.log, draft.tail.size(), draft.tail.root());
            let envelopes: Vec<(u64, Digest)> =
                draft.accepted.iter().map(|accepted| (accepted.index, accepted.payload)).collect();
            for (accepted, receipt) in draft.accepted.into_iter().zip(receipts) {
                for (at, answer) in accepted.answers.into_iter().enumerate() {
                    let given = receipt.clone().map(|receipt| EntryReceipt { duplicate: at > 0, ..receipt });
                    let _ = answer.send(given);
                }
            }
            crash_point("batch-answered");
            // Nobody waits for this.
            self.kept.note_payloads(draft.tail.log, draft.step.old_size, envelopes);
            if let Some((loaded, nodes)) = draft.index {
                self.kept.keep(draft.tail.log, loaded, nodes);
            }
            self.tails.insert(origin, draft.tail);
        }
        if is_admission && let Err(err) = self.open_logs().await {
            tracing::error!(why = %said(&err), "cannot open the logs of admitted publishers");
        }
    }

    /// The place and proof of each entry that was accepted.
    async fn receipts(&self, draft: &mut Draft) -> Vec<Result<EntryReceipt, Rejection>> {
        let Draft { tail, step, accepted, .. } = draft;
        let mut nodes = Nodes::new(&self.registry.store, tail.log);
        nodes.keep(step.tiles.iter().filter(|tile| tile.is_full()).cloned());
        nodes.keep(tail.edge_tiles());
        let mut receipts = Vec::with_capacity(accepted.len());
        for accepted in accepted {
            let (index, leaf) = (accepted.index, std::mem::take(&mut accepted.leaf));
            let proof = entry_proof(&mut nodes, tail.size(), index, leaf, &step.checkpoint).await;
            let log = tail.origin.clone();
            receipts.push(proof.map(|proof| EntryReceipt { log, index, proof, duplicate: false }));
        }
        receipts
    }

    /// Tells everybody of a batch that it was not committed, and looks at what is stored again.
    async fn refuse(&mut self, drafts: Vec<Draft>, err: &CommitError) {
        tracing::error!(why = %said(err), "a batch was not committed");
        let rejection = match err {
            // Somebody else moved a log, or logged the same entry: both are seen when it is sent again.
            CommitError::Replayed { .. } | CommitError::Conflict { .. } => {
                Rejection::busy("the log has just been moved; send the entry again")
            }
            CommitError::RootChanged { .. } | CommitError::TileChanged { .. } => {
                for draft in &drafts {
                    let origin = draft.tail.origin.clone();
                    let what = crate::problem::chain(err);
                    self.registry.close_log(&origin, Closed::Damaged { origin: origin.clone(), what });
                }
                Rejection::storage(err)
            }
            _ => Rejection::storage(err),
        };
        for answer in drafts.into_iter().flat_map(|draft| draft.accepted).flat_map(|entry| entry.answers) {
            let _ = answer.send(Err(rejection.clone()));
        }
        if let Err(err) = self.load_tails().await {
            tracing::error!(why = %said(&err), "cannot read the logs' edges again");
        }
    }

    /// Makes the logs of publishers whose record names this registry as their home, unless a peer has seen more of one than
    /// is here.
    async fn open_logs(&mut self) -> Result<(), RegistryError> {
        let state = self.registry.commons();
        let Some(commons) = &state.commons else { return Ok(()) };
        let new: Vec<_> = commons
            .publishers()
            .filter(|record| {
                record.home == self.registry.settings.id
                    && record.status == PublisherStatus::Active
                    && !self.tails.contains_key(&record.origin)
                    && self.registry.closed_log(&record.origin).is_none()
            })
            .collect();
        let origins: Vec<Origin> = new.iter().map(|record| record.origin.clone()).collect();
        self.ask(origins).await;
        let mut drafts = Vec::new();
        for record in new {
            if self.registry.closed_log(&record.origin).is_some() {
                continue;
            }
            let log = self.registry.log_of(&record.origin, Some(&record.id)).await?;
            if !log.hosted || log.size > 0 {
                continue;
            }
            let tail = LogTail::load(&self.registry.store, &log)
                .await
                .map_err(|err| RegistryError::Damaged { origin: log.origin.clone(), err: Box::new(err) })?;
            match draft_opening(&self.registry, tail).await {
                Ok(draft) => drafts.push(draft),
                Err(why) => self.registry.close_log(&log.origin, why),
            }
        }
        if !drafts.is_empty() {
            Box::pin(self.commit(drafts, None)).await;
        }
        Ok(())
    }
}
