//! Does this registry cosign? Only heads whose every entry it has checked and whose snapshot it has recomputed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use brick_schemas::{Origin, PublisherName};
use brick_store::{WitnessState, crash_point};
use brick_tlog::checkpoint::{Checkpoint, open_checkpoint, open_note};
use brick_tlog::cosignature::cosign;
use brick_tlog::note::{KeyName, Note, SignatureLine, Vkey};
use brick_tlog::snapshot::SnapshotLeaf;
use brick_tlog::witness::{AddCheckpoint, Cosigned, Decision, decide};
use brick_trust::Refused;

use crate::heads::ShownHead;
use crate::nodes::Nodes;
use crate::registry::{Registry, RegistryError, digest, hash, now};

/// How long a request for a cosignature waits for this registry's own check of the entries.
const CHECK_WAIT: Duration = Duration::from_secs(20);
/// How often heads are looked over for renewal.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Moves that come within this time are looked at together.
const GATHER: Duration = Duration::from_millis(20);
/// A cosignature of an unchanged head is made again after this many seconds.
pub const RENEW_AFTER_S: u64 = 6 * 60 * 60;

/// What a request for a cosignature is answered with.
pub enum WitnessAnswer {
    /// This registry's line.
    Cosigned(SignatureLine),
    /// The table of C2SP tlog-witness says no.
    Decided(Decision),
    /// The entries could not be checked in time: ask again.
    NotChecked,
    /// This registry does not know yet how far it cosigned the log before it started: ask again.
    CatchingUp,
    /// The entries were checked and refused.
    Refused(Refused),
}

impl WitnessAnswer {
    /// The HTTP status of an answer that is no cosignature.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Cosigned(_) => StatusCode::OK,
            Self::Decided(decision) => {
                StatusCode::from_u16(decision.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::NotChecked | Self::CatchingUp => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// Cosigns mirrored logs as they move, and again in time, for as long as the registry runs.
pub async fn run(registry: Arc<Registry>) {
    let mut newest: BTreeMap<Origin, (u64, u64)> = BTreeMap::new();
    loop {
        let mut moved = std::pin::pin!(registry.moved.notified());
        // From here on no move is missed, though nobody waits yet.
        moved.as_mut().enable();
        for (origin, head) in registry.heads() {
            let known = newest.get(&origin);
            if head.hosted || known.is_some_and(|(size, time)| !is_due(*size, *time, &head)) {
                continue;
            }
            match registry.cosign_newest(&origin, &head).await {
                Ok(Some(state)) => {
                    newest.insert(origin, state);
                }
                Ok(None) => {}
                Err(err) => tracing::warn!(%origin, why = %crate::problem::said(&err), "cannot cosign"),
            }
        }
        tokio::select! {
            () = moved => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

/// A head with the log's own signature lines, and no freight of others.
pub(crate) fn log_lines(checkpoint: &Checkpoint, note: &Note) -> Note {
    let is_log = |line: &&SignatureLine| line.name == checkpoint.origin;
    Note { text: note.text.clone(), signatures: note.signatures.iter().filter(is_log).cloned().collect() }
}

/// Whether a head is to be cosigned by a witness that cosigned `size` leaves of its log at `time`.
fn is_due(size: u64, time: u64, head: &ShownHead) -> bool {
    size < head.size || time.saturating_add(RENEW_AFTER_S) <= now()
}

impl Registry {
    /// Decides on a request for a cosignature. Waits for the following of peers to check the entries first.
    ///
    /// # Errors
    /// [`RegistryError`] where the store fails.
    pub async fn add_checkpoint(&self, request: &AddCheckpoint) -> Result<WitnessAnswer, RegistryError> {
        let log = self.witnessed_log(request.origin());
        // Only what the log signed is worth asking the others about.
        if let Some((origin, _, vkey)) = &log
            && !self.is_caught_up(origin)
            && open_note(request.note().clone(), vkey).is_ok()
            && !self.wait_until_caught_up(origin, CHECK_WAIT).await
        {
            return Ok(WitnessAnswer::CatchingUp);
        }
        let vkey = log.as_ref().map(|(_, _, vkey)| vkey);
        let last = match &log {
            Some((origin, _, _)) => self.last_cosigned(origin).await?,
            None => Cosigned::NOTHING,
        };
        let checkpoint = match decide(request, vkey, last) {
            Decision::Cosign { checkpoint } => checkpoint,
            refusal => {
                let is_signed = matches!(refusal, Decision::Conflict { .. } | Decision::Unprocessable { .. });
                if let (true, Some((origin, ..)), Ok(checkpoint)) =
                    (is_signed, &log, Checkpoint::parse(&request.note().text))
                {
                    self.keep_if_forked(origin, &checkpoint, request.note()).await?;
                }
                return Ok(WitnessAnswer::Decided(refusal));
            }
        };
        let Some((origin, _, _)) = log else { return Ok(WitnessAnswer::NotChecked) };
        if !self.wait_for(&origin, checkpoint.size).await {
            return Ok(WitnessAnswer::NotChecked);
        }
        let answer = self.cosign_checked(&origin, &checkpoint, request.note()).await?;
        // The sender passes on the lines of others too: they make this registry's copy worth as much as the home's.
        self.keep_cosignatures(&origin, request.note(), checkpoint.size).await?;
        Ok(answer)
    }

    /// The log of that name, if this registry knows it and does not host it.
    fn witnessed_log(&self, name: &KeyName) -> Option<(Origin, Option<PublisherName>, Vkey)> {
        let origin = Origin::parse(name.as_str()).ok()?;
        let state = self.commons();
        let commons = state.commons.as_ref()?;
        let publisher = (origin != commons.origin()).then(|| origin.domain());
        if let Some(publisher) = &publisher
            && *commons.publisher(publisher)?.origin.as_str() != *origin.as_str()
        {
            return None;
        }
        if self.head(&origin).is_some_and(|head| head.hosted) {
            return None;
        }
        let rules = self.rules(publisher.as_ref()).ok()?;
        Some((origin, publisher, rules.log))
    }

    async fn last_cosigned(&self, origin: &Origin) -> Result<Cosigned, RegistryError> {
        let state = self.store.witness_state(origin).await.map_err(RegistryError::store)?;
        Ok(state.map_or(Cosigned::NOTHING, |state| Cosigned { size: state.size, root: hash(state.root) }))
    }

    /// Waits until this registry holds (and so has checked) `size` leaves of a log.
    async fn wait_for(&self, origin: &Origin, size: u64) -> bool {
        let deadline = tokio::time::Instant::now() + CHECK_WAIT;
        loop {
            let moved = self.moved.notified();
            if self.head(origin).is_some_and(|head| head.size >= size) {
                return true;
            }
            self.follow_home(origin);
            let pause = tokio::time::Instant::now() + Duration::from_millis(250);
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep_until(pause.min(deadline)) => {}
            }
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
        }
    }

    /// Cosigns a head of a mirrored log, if it is what this registry's own copy adds up to.
    ///
    /// # Errors
    /// [`RegistryError`] where the store fails.
    pub async fn cosign_checked(
        &self,
        origin: &Origin,
        checkpoint: &Checkpoint,
        note: &Note,
    ) -> Result<WitnessAnswer, RegistryError> {
        let Some(head) = self.head(origin) else { return Ok(WitnessAnswer::NotChecked) };
        if let Some(refused) = self.keep_if_forked(origin, checkpoint, note).await? {
            return Ok(WitnessAnswer::Refused(refused));
        }
        let before = self.store.witness_state(origin).await.map_err(RegistryError::store)?;
        if let Some(refused) = self.departs(origin, &head, before.as_ref()).await? {
            return Ok(WitnessAnswer::Refused(refused));
        }
        let time = now().max(before.as_ref().map_or(0, |state| state.time));
        if head.publisher.is_some()
            && let Some(refused) = self.snapshot_time_refusal(&head, checkpoint.size, before.as_ref()).await?
        {
            return Ok(WitnessAnswer::Refused(refused));
        }
        crash_point("witness-checked");
        let line = cosign(&note.text, &self.witness_name(), &self.settings.witness_key, time);
        let mut kept = log_lines(checkpoint, note);
        kept.signatures.push(line.clone());
        let expected = before.map(|state| (state.size, state.root));
        let state = WitnessState {
            size: checkpoint.size,
            root: digest(checkpoint.root),
            time,
            note: kept.to_bytes(),
        };
        crash_point("witness-signed");
        // Persisted before it is answered; of two racing requests one wins, the other is told the new size.
        match self.store.advance_witness(origin, expected, &state).await.map_err(RegistryError::store)? {
            true => {}
            false => {
                let size = self.last_cosigned(origin).await?.size;
                return Ok(WitnessAnswer::Decided(Decision::Conflict { size }));
            }
        }
        crash_point("witness-persisted");
        self.metrics.cosignatures.inc();
        self.keep_cosignatures(origin, &kept, checkpoint.size).await?;
        crash_point("witness-answering");
        Ok(WitnessAnswer::Cosigned(line))
    }

    /// Keeps a head that the log signed as evidence, if it is not one that this registry's copy went through.
    ///
    /// - `note`: verified to be signed by the log.
    ///
    /// Returns what is wrong with it then. Of heads larger than the copy nothing is known.
    ///
    /// # Errors
    /// [`RegistryError`] where the store fails.
    pub(crate) async fn keep_if_forked(
        &self,
        origin: &Origin,
        checkpoint: &Checkpoint,
        note: &Note,
    ) -> Result<Option<Refused>, RegistryError> {
        let Some(head) = self.head(origin).filter(|head| checkpoint.size <= head.size) else {
            return Ok(None);
        };
        let root =
            Nodes::new(&self.store, head.id).root_at(checkpoint.size).await.map_err(RegistryError::store)?;
        if root == checkpoint.root {
            return Ok(None);
        }
        let why = format!("{origin} shows two different logs of {} leaves", checkpoint.size);
        let theirs = log_lines(checkpoint, note).to_bytes();
        self.keep_evidence(origin, &head.newest, &theirs, &why).await?;
        Ok(Some(Refused::new(brick_trust::Step::Consistency, why)))
    }

    /// What is wrong where the copy here does not go through the head that was cosigned last: it is of another history, or
    /// its memory or this one is damaged.
    async fn departs(
        &self,
        origin: &Origin,
        head: &ShownHead,
        before: Option<&WitnessState>,
    ) -> Result<Option<Refused>, RegistryError> {
        let Some(before) = before.filter(|before| before.size <= head.size) else { return Ok(None) };
        let root =
            Nodes::new(&self.store, head.id).root_at(before.size).await.map_err(RegistryError::store)?;
        if digest(root) == before.root {
            return Ok(None);
        }
        let why =
            format!("{origin} as it is here does not extend the {} leaves that were cosigned", before.size);
        self.keep_evidence(origin, &head.newest, &before.note, &why).await?;
        Ok(Some(Refused::new(brick_trust::Step::Consistency, why)))
    }

    async fn snapshot_time_refusal(
        &self,
        head: &ShownHead,
        size: u64,
        before: Option<&WitnessState>,
    ) -> Result<Option<Refused>, RegistryError> {
        // The snapshot under a head cosigned before was checked then: renewing it brings nothing new.
        if before.is_some_and(|state| state.size == size) {
            return Ok(None);
        }
        let Some(last) = size.checked_sub(1) else { return Ok(None) };
        let leaf = self.store.leaves(head.id, last..size).await.map_err(RegistryError::store)?.pop();
        let snapshot = leaf.and_then(|leaf| SnapshotLeaf::parse(&leaf).ok());
        Ok(match snapshot {
            Some(snapshot) => {
                brick_trust::snapshot::check_time(&snapshot, now(), before.map(|state| state.time)).err()
            }
            None => Some(Refused::new(
                brick_trust::Step::Snapshot,
                "the last leaf under the head is not a snapshot",
            )),
        })
    }

    /// Cosigns the newest head of a mirrored log, unless it has done so lately. Returns the size and time of its newest
    /// cosignature.
    async fn cosign_newest(
        &self,
        origin: &Origin,
        head: &ShownHead,
    ) -> Result<Option<(u64, u64)>, RegistryError> {
        let state = self.store.witness_state(origin).await.map_err(RegistryError::store)?;
        if let Some(state) = state
            && !is_due(state.size, state.time, head)
        {
            return Ok(Some((state.size, state.time)));
        }
        if !self.is_caught_up(origin) {
            return Ok(None);
        }
        let Some((_, _, vkey)) = self.witnessed_log(&Self::log_key_name(origin)) else { return Ok(None) };
        let Ok(signed) = open_checkpoint(&head.newest, &vkey) else { return Ok(None) };
        let (checkpoint, note) = signed.into_parts();
        match self.cosign_checked(origin, &checkpoint, &note).await? {
            WitnessAnswer::Refused(refused) => {
                tracing::warn!(%origin, why = %crate::problem::said(&refused), "not cosigned");
                Ok(None)
            }
            _ => Ok(Some((checkpoint.size, now()))),
        }
    }

    /// Keeps two heads that cannot be connected, and says so loudly.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn keep_evidence(
        &self,
        origin: &Origin,
        ours: &[u8],
        theirs: &[u8],
        why: &str,
    ) -> Result<(), RegistryError> {
        tracing::error!(%origin, why, "EVIDENCE of misbehaviour kept: see /api/v1/evidence");
        self.store.put_evidence(origin, ours, theirs, why).await.map(|_| ()).map_err(RegistryError::store)
    }
}
