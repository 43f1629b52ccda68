//! May this registry sign or cosign a log yet? After a start only when those who would know have said how far it was seen.
//!
//! A restored backup, a stale copy of a disk and a machine that was put back to a snapshot all look like any other start: the
//! store is whole, and ends too early. So every start is taken for one after a gap. Of each log, hosted here or mirrored,
//! the other operators whose witnesses count for it are asked what they cosigned and what they show ([`own_heads`]); until
//! enough have answered, and this registry's own copy extends all that they named, it signs no head of that log and
//! cosigns none. A log that nobody can be asked about stays closed, alone, and is asked about again.
//!
//! Enough is 2f+1 of them, f being the operators that a quorum may do without: then every quorum that this registry ever
//! was one of has an honest member among those that answered, and what readers may have believed is known. The commons
//! log comes first: its records say who the others are. See `docs/decisions/0012-after-a-gap.md`.
//!
//! [`own_heads`]: crate::own_heads

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brick_schemas::api::CatchingUp;
use brick_schemas::{Origin, PublisherName};
use brick_store::{RESTORED, WitnessState};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::cosignature::verify_cosignatures;
use brick_tlog::hash::Hash;
use brick_tlog::note::{Algorithm, Note, Vkey};
use brick_trust::HeadRules;
use tokio::sync::Notify;

use crate::crew::back_off;
use crate::mirroring::wake_sequencer;
use crate::own_heads;
use crate::problem::said;
use crate::registry::{Registry, RegistryError, digest};
use crate::sync::commons_origin;
use crate::witness::log_lines;

/// Rounds of asking during which a mirrored log waits for what others saw of it, before it is brought forward all the same.
const PATIENT_ROUNDS: u32 = 3;
/// Between two rounds of asking about logs that are not caught up, doubled with each.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// That wait at most.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How often logs are looked for that were not known before.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How far this registry has caught up since it started.
#[derive(Default)]
pub struct Gaps {
    /// Off in a program that signs nothing of what peers see: a check, a rebuild.
    is_on: AtomicBool,
    /// Whether the store says that a backup was put back: then no setting makes fewer answers do.
    is_restored: AtomicBool,
    logs: Mutex<BTreeMap<Origin, Gap>>,
    wake: Notify,
    opened: Notify,
}

/// What is known of one log.
#[derive(Default)]
struct Gap {
    is_open: bool,
    /// Rounds of asking.
    rounds: u32,
    /// Registries that have said how far they saw it.
    answered: BTreeSet<PublisherName>,
    /// Heads named by others that are larger than the copy here, by size.
    ahead: BTreeMap<u64, Note>,
    /// Why it stays closed until an operator has looked.
    stuck: Option<String>,
}

/// Whether a log may be signed or cosigned, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Open,
    /// Too few have answered.
    Asking {
        answered: usize,
        needed: usize,
    },
    /// The copy here does not extend what others saw.
    Behind {
        theirs: u64,
    },
    Stuck {
        why: String,
    },
    /// The records are not known to be the newest.
    AfterCommons,
}

impl Standing {
    fn words(&self, origin: &Origin) -> String {
        match self {
            Self::Open => format!("{origin} is caught up"),
            Self::Asking { answered, needed } => format!(
                "{origin}: {answered} of {needed} other registries have said how far they saw it since this one started"
            ),
            Self::Behind { theirs } => {
                format!("{origin} was seen with {theirs} leaves, which are not all here yet")
            }
            Self::Stuck { why } => why.clone(),
            Self::AfterCommons => format!("{origin} waits for the commons log"),
        }
    }
}

impl Gaps {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Origin, Gap>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks about every log that is not caught up, until all are, for as long as the registry runs.
pub async fn run(registry: Arc<Registry>) {
    let mut rounds = 0_u32;
    loop {
        let waiting = registry.waiting_logs().await;
        if waiting.is_empty() {
            registry.forget_restore().await;
            rounds = 0;
            tokio::select! {
                () = registry.gaps.wake.notified() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            continue;
        }
        own_heads::ask(&registry, &waiting).await;
        rounds = rounds.saturating_add(1);
        if registry.waiting_logs().await.is_empty() {
            continue;
        }
        // What is missing may be at any of them.
        registry.follow.notify_one();
        let deadline = tokio::time::Instant::now() + back_off(FIRST_WAIT, rounds, MAX_WAIT);
        loop {
            let moved = registry.moved.notified();
            tokio::select! {
                () = moved => registry.look_at_gaps(&waiting).await,
                () = registry.gaps.wake.notified() => break,
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        registry.look_at_gaps(&waiting).await;
    }
}

impl Registry {
    /// Takes this start for one after a gap.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub(crate) async fn begin_gap(&self) -> Result<(), RegistryError> {
        let restored = self.store.meta_get(RESTORED).await.map_err(RegistryError::store)?;
        if let Some(time) = restored.filter(|time| !time.is_empty()) {
            let time = String::from_utf8_lossy(&time).into_owned();
            tracing::warn!(time, "this store was restored: nothing is signed before it has caught up");
            self.gaps.is_restored.store(true, Ordering::Release);
        }
        self.gaps.is_on.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether a log is known to go as far here as others saw it since this registry started.
    pub fn is_caught_up(&self, origin: &Origin) -> bool {
        !self.gaps.is_on.load(Ordering::Acquire)
            || self.gaps.lock().get(origin).is_some_and(|gap| gap.is_open)
    }

    /// Whether everybody was asked about a log at least once.
    pub(crate) fn was_asked(&self, origin: &Origin) -> bool {
        self.gaps.lock().get(origin).is_some_and(|gap| gap.rounds > 0)
    }

    /// Waits until a log is caught up, which is asked about at once.
    ///
    /// Returns whether it is, within `limit`.
    pub(crate) async fn wait_until_caught_up(&self, origin: &Origin, limit: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let mut opened = std::pin::pin!(self.gaps.opened.notified());
            opened.as_mut().enable();
            if self.is_caught_up(origin) {
                return true;
            }
            self.gaps.wake.notify_one();
            if tokio::time::timeout_at(deadline, opened).await.is_err() {
                return self.is_caught_up(origin);
            }
        }
    }

    /// The logs that were asked about and are not caught up, with why not; hosted ones alone where `hosted` says so.
    pub fn catching_up(&self, hosted: bool) -> Vec<CatchingUp> {
        if !self.gaps.is_on.load(Ordering::Acquire) {
            return Vec::new();
        }
        let asked: Vec<Origin> = {
            let logs = self.gaps.lock();
            logs.iter()
                .filter(|(_, gap)| !gap.is_open && gap.rounds > 0)
                .map(|(origin, _)| origin.clone())
                .collect()
        };
        asked
            .into_iter()
            .filter(|origin| !hosted || self.is_hosted(origin))
            .map(|origin| CatchingUp { why: self.standing(&origin).words(&origin), log: origin })
            .collect()
    }

    /// Why a hosted log is not caught up, in words.
    pub(crate) fn gap_words(&self, origin: &Origin) -> String {
        self.standing(origin).words(origin)
    }

    /// Whether this registry signs a log, by what it stores or by the records.
    pub(crate) fn is_hosted(&self, origin: &Origin) -> bool {
        match self.head(origin) {
            Some(head) => head.hosted,
            None => self.home_of(origin).is_some_and(|home| home.id == self.settings.id),
        }
    }

    /// Every known log that is not caught up.
    async fn waiting_logs(&self) -> Vec<Origin> {
        let mut origins = match self.hosted_origins().await {
            Ok(origins) => origins,
            Err(err) => {
                tracing::error!(why = %said(&err), "cannot tell which logs are hosted here");
                Vec::new()
            }
        };
        origins.extend(self.heads().into_iter().map(|(origin, _)| origin));
        let state = self.commons();
        if let Some(commons) = &state.commons {
            origins.push(commons.origin());
            origins.extend(commons.publishers().map(|record| record.origin.clone()));
        }
        origins.sort();
        origins.dedup();
        origins.retain(|origin| !self.is_caught_up(origin));
        // The records first.
        let first = commons_origin(self);
        origins.sort_by_key(|origin| Some(origin) != first.as_ref());
        origins
    }

    /// The registries that have not yet said how far they saw a log; none of a log that is caught up.
    pub(crate) fn is_unanswered(&self, origin: &Origin, by: Option<&PublisherName>) -> bool {
        let logs = self.gaps.lock();
        match (logs.get(origin), by) {
            (Some(gap), Some(by)) => !gap.is_open && !gap.answered.contains(by),
            _ => true,
        }
    }

    /// Notes that a registry said how far it saw a log.
    pub(crate) fn note_answer(&self, origin: &Origin, by: &PublisherName) {
        let mut logs = self.gaps.lock();
        let gap = logs.entry(origin.clone()).or_default();
        if !gap.is_open {
            gap.answered.insert(by.clone());
        }
    }

    /// Whether a mirrored log may be brought forward to a head of `size` leaves: what others saw of it comes first, lest a
    /// second history be taken in that nobody else has.
    ///
    /// # Errors
    /// What it waits for, in words.
    pub(crate) fn may_mirror(&self, origin: &Origin, size: u64) -> Result<(), String> {
        // Before the first root is here nobody is known who could be asked.
        if self.is_caught_up(origin) || self.is_hosted(origin) || self.commons().commons.is_none() {
            return Ok(());
        }
        let standing = self.standing(origin);
        let waits = {
            let logs = self.gaps.lock();
            let gap = logs.get(origin);
            match gap.and_then(|gap| gap.ahead.last_key_value()) {
                Some((theirs, _)) => size < *theirs,
                None => standing != Standing::Open && gap.is_none_or(|gap| gap.rounds < PATIENT_ROUNDS),
            }
        };
        if !waits {
            return Ok(());
        }
        self.gaps.wake.notify_one();
        Err(standing.words(origin))
    }

    /// The heads that a mirrored log must go through, by size: root and note. Others showed them, and the log signed them.
    pub(crate) fn must_go_through(&self, origin: &Origin) -> BTreeMap<u64, (Hash, Vec<u8>)> {
        let logs = self.gaps.lock();
        let ahead = logs.get(origin).map(|gap| &gap.ahead);
        let heads = ahead.into_iter().flatten();
        heads
            .filter_map(|(size, note)| {
                Some((*size, (Checkpoint::parse(&note.text).ok()?.root, note.to_bytes())))
            })
            .collect()
    }

    /// Notes that everybody was asked about logs, whoever answered.
    pub(crate) fn note_round(&self, origins: &[Origin]) {
        let mut logs = self.gaps.lock();
        for origin in origins {
            let gap = logs.entry(origin.clone()).or_default();
            gap.rounds = gap.rounds.saturating_add(1);
        }
    }

    /// Holds a head of a mirrored log that somebody else showed against the copy here.
    ///
    /// - `note`: verified to be signed by the log.
    ///
    /// # Errors
    /// [`RegistryError`] where the store fails.
    pub(crate) async fn compare_seen(
        &self,
        origin: &Origin,
        checkpoint: &Checkpoint,
        note: &Note,
    ) -> Result<(), RegistryError> {
        // Whatever it leads to: what bears this registry's cosignature is never contradicted.
        self.remember_cosigned(origin, checkpoint, note).await?;
        if self.head(origin).is_none_or(|head| head.size < checkpoint.size) {
            let mut logs = self.gaps.lock();
            let gap = logs.entry(origin.clone()).or_default();
            if !gap.is_open {
                gap.ahead.insert(checkpoint.size, note.clone());
            }
            return Ok(());
        }
        if let Some(refused) = self.keep_if_forked(origin, checkpoint, note).await? {
            self.gaps.lock().entry(origin.clone()).or_default().stuck = Some(refused.what);
        }
        Ok(())
    }

    /// Raises what this registry remembers to have cosigned of a log, where a head bears its own cosignature and is larger.
    ///
    /// - `note`: verified to be signed by the log.
    async fn remember_cosigned(
        &self,
        origin: &Origin,
        checkpoint: &Checkpoint,
        note: &Note,
    ) -> Result<(), RegistryError> {
        let own = Vkey::of(self.witness_name(), Algorithm::CosignatureV1, &self.settings.witness_key);
        let lines = note.signatures.iter().filter(|line| line.name == *own.name() && line.id == own.id());
        let mut newest: Option<(u64, Note)> = None;
        for line in lines {
            let single = Note { text: note.text.clone(), signatures: vec![line.clone()] };
            // A false line under this registry's name says nothing.
            let Ok(found) = verify_cosignatures(&single, std::slice::from_ref(&own)) else { continue };
            if let Some(found) = found.first()
                && newest.as_ref().is_none_or(|(time, _)| *time < found.time)
            {
                let mut kept = log_lines(checkpoint, note);
                kept.signatures.push(line.clone());
                newest = Some((found.time, kept));
            }
        }
        let Some((time, kept)) = newest else { return Ok(()) };
        let before = self.store.witness_state(origin).await.map_err(RegistryError::store)?;
        let is_known = |before: &WitnessState| {
            let is_later = before.time >= time || before.root != digest(checkpoint.root);
            before.size > checkpoint.size || (before.size == checkpoint.size && is_later)
        };
        if before.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        let state = WitnessState {
            size: checkpoint.size,
            root: digest(checkpoint.root),
            time: time.max(before.as_ref().map_or(0, |before| before.time)),
            note: kept.to_bytes(),
        };
        let expected = before.map(|before| (before.size, before.root));
        // Where somebody else moved it meanwhile, that was later.
        self.store.advance_witness(origin, expected, &state).await.map_err(RegistryError::store)?;
        tracing::info!(%origin, size = state.size, "this registry's own cosignature was seen elsewhere");
        Ok(())
    }

    /// Opens the logs among `origins` of which enough is known by now.
    pub(crate) async fn look_at_gaps(&self, origins: &[Origin]) {
        for origin in origins {
            if self.is_caught_up(origin) {
                continue;
            }
            if let Err(err) = self.look_at_gap(origin).await {
                tracing::warn!(%origin, why = %said(&err), "cannot tell whether a log is caught up");
            }
        }
    }

    async fn look_at_gap(&self, origin: &Origin) -> Result<(), RegistryError> {
        if !self.is_hosted(origin) {
            self.compare_ahead(origin).await?;
        }
        if self.standing(origin) != Standing::Open {
            return Ok(());
        }
        if let Some(head) = self.head(origin).filter(|head| !head.hosted) {
            // Cosignatures of this registry's own that came back with the log itself.
            let log = self.rules(head.publisher.as_ref()).map_err(RegistryError::Refused)?.log;
            for note in [&head.shown, &head.newest] {
                if let Ok(open) = brick_tlog::checkpoint::open_checkpoint(note, &log) {
                    self.remember_cosigned(origin, open.checkpoint(), open.note()).await?;
                }
            }
        }
        {
            let mut logs = self.gaps.lock();
            let gap = logs.entry(origin.clone()).or_default();
            *gap = Gap { is_open: true, rounds: gap.rounds, ..Gap::default() };
        }
        tracing::debug!(%origin, "caught up");
        self.gaps.opened.notify_waiters();
        match self.is_hosted(origin) {
            true => wake_sequencer(self).await,
            // The witness looks again, and so do those who follow.
            false => {
                self.moved.notify_waiters();
                self.follow.notify_one();
            }
        }
        Ok(())
    }

    /// Holds the heads that were too large for the copy here against it, as far as it has come.
    async fn compare_ahead(&self, origin: &Origin) -> Result<(), RegistryError> {
        let Some(size) = self.head(origin).map(|head| head.size) else { return Ok(()) };
        let reached = {
            let mut logs = self.gaps.lock();
            let Some(gap) = logs.get_mut(origin) else { return Ok(()) };
            let ahead = gap.ahead.split_off(&size.saturating_add(1));
            std::mem::replace(&mut gap.ahead, ahead)
        };
        for note in reached.into_values() {
            // It was opened before.
            let Ok(checkpoint) = Checkpoint::parse(&note.text) else { continue };
            self.compare_seen(origin, &checkpoint, &note).await?;
        }
        Ok(())
    }

    fn standing(&self, origin: &Origin) -> Standing {
        let first = commons_origin(self);
        if Some(origin) != first.as_ref() {
            let is_known = first
                .as_ref()
                .is_some_and(|commons| self.is_caught_up(commons) && self.closed.reason(commons).is_none());
            if !is_known {
                return Standing::AfterCommons;
            }
        }
        let publisher = (Some(origin) != first.as_ref()).then(|| origin.domain());
        let rules = self.rules(publisher.as_ref());
        let is_hosted = self.is_hosted(origin);
        let home = self.home_of(origin).map(|home| home.id);
        let logs = self.gaps.lock();
        let none = Gap::default();
        let gap = logs.get(origin).unwrap_or(&none);
        if let Some(why) = &gap.stuck {
            return Standing::Stuck { why: why.clone() };
        }
        // What the commons does not know is neither signed nor cosigned in any case.
        let Ok(rules) = rules else { return Standing::Asking { answered: gap.answered.len(), needed: 1 } };
        let (answered, needed) = self.count_answers(&rules, is_hosted, home.as_ref(), &gap.answered);
        if answered < needed {
            return Standing::Asking { answered, needed };
        }
        match gap.ahead.last_key_value() {
            Some((theirs, _)) if !is_hosted => Standing::Behind { theirs: *theirs },
            _ => Standing::Open,
        }
    }

    /// How many of those whose word is needed have answered, and how many must.
    fn count_answers(
        &self,
        rules: &HeadRules,
        is_hosted: bool,
        home: Option<&PublisherName>,
        answered: &BTreeSet<PublisherName>,
    ) -> (usize, usize) {
        let operators: BTreeSet<&PublisherName> = rules.witnesses.iter().map(|w| &w.operator).collect();
        let is_other = |operator: &PublisherName| *operator != self.settings.operator;
        let others = operators.iter().filter(|operator| is_other(operator)).count();
        let settled = self.settings.catch_up_answers;
        let is_free = settled == Some(0) && !self.gaps.is_restored.load(Ordering::Acquire);
        if others == 0 {
            // Nobody but the home itself has seen what was cosigned here.
            let needed = usize::from(!is_hosted && !is_free);
            return (usize::from(home.is_some_and(|home| answered.contains(home))), needed);
        }
        let given: BTreeSet<&PublisherName> = rules
            .witnesses
            .iter()
            .filter(|witness| answered.contains(&witness.registry) && is_other(&witness.operator))
            .map(|witness| &witness.operator)
            .collect();
        let certain = certain_answers(operators.len(), rules.quorum, others);
        let needed = match settled {
            Some(_) if self.gaps.is_restored.load(Ordering::Acquire) => certain,
            Some(settled) => usize::try_from(settled).unwrap_or(usize::MAX).min(others),
            None => certain,
        };
        (given.len(), needed)
    }

    /// Takes the note off the store that it was restored: it has caught up with everything since.
    async fn forget_restore(&self) {
        // Before the records are here nothing is known to have been caught up with.
        if !self.gaps.is_restored.load(Ordering::Acquire) || self.commons().commons.is_none() {
            return;
        }
        match self.store.meta_put(RESTORED, b"").await {
            Ok(()) => {
                self.gaps.is_restored.store(false, Ordering::Release);
                tracing::info!("the restored store has caught up with every log");
            }
            Err(err) => tracing::warn!(why = %said(&err), "cannot note that the store has caught up"),
        }
    }
}

/// Answers that make it certain that every quorum which this registry was one of has an honest member among them.
///
/// - `operators`: whose witnesses count for the log, this registry's own perhaps among them.
/// - `others`: those but its own.
fn certain_answers(operators: usize, quorum: usize, others: usize) -> usize {
    let spare = operators.saturating_sub(quorum);
    (2 * spare + 1).min(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn among_so_many_answers_is_an_honest_one_of_every_quorum() {
        for operators in 1..=40_usize {
            let quorum = 2 * operators / 3 + 1;
            let faulty = operators - quorum;
            for others in [operators, operators - 1] {
                let certain = certain_answers(operators, quorum, others);
                assert!(certain <= others);
                if others == 0 {
                    continue;
                }
                // Of the quorum's other members so many at least are among those that answered; the faulty may lie.
                let members = quorum - (operators - others);
                let shared = (members + certain).saturating_sub(others);
                let honest = members.saturating_sub(faulty.min(members));
                assert!(
                    honest == 0 || shared > faulty.min(members) || certain == others,
                    "{operators} operators, {others} others: {certain} answers share {shared}"
                );
            }
        }
        for (operators, others, answers) in
            [(2, 1, 1), (2, 2, 1), (3, 2, 1), (4, 3, 3), (4, 4, 3), (6, 5, 3), (7, 6, 5)]
        {
            assert_eq!(certain_answers(operators, 2 * operators / 3 + 1, others), answers, "{operators}");
        }
    }
}
