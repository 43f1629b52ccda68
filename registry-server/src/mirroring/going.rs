//! How is the way to a peer's newest head gone? Portion by portion: the next one is fetched and its signatures are checked,
//! one is walked, and those before it are stored, all at the same time.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brick_schemas::PublisherName;
use brick_store::{Log, crash_point};
use brick_trust::Head;
use tokio::sync::OwnedMutexGuard;
use tokio_util::task::AbortOnDropHandle;

use super::ahead::Ahead;
use super::archives::fetch_archives;
use super::portions::{Portion, Way};
use super::stretch::Stretch;
use super::together::{Together, commit};
use super::{Brought, Place, after_move, wake_sequencer};
use crate::registry::{CommonsState, Registry};
use crate::settings::Peer;
use crate::sync::SyncError;

/// Time that a portion may take to come while others wait for their turn, and what was walked waits to be stored.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time after which others have their turn even so.
const LONG_TURN: Duration = Duration::from_secs(60);

/// How a publisher's log is brought forward.
pub(super) struct Bringing<'a> {
    pub(super) registry: &'a Arc<Registry>,
    pub(super) peer: &'a Peer,
    pub(super) publisher: &'a PublisherName,
    pub(super) state: Arc<CommonsState>,
    pub(super) way: Arc<Way>,
    /// Held where so much is new that archives are fetched afterwards.
    pub(super) history: Option<History>,
}

/// A history that is being caught up with, for as long as this lives: archives that are missing wait for it.
pub(super) struct History(Arc<Registry>);

impl History {
    pub(super) fn begin(registry: &Arc<Registry>) -> Self {
        registry.histories.fetch_add(1, Ordering::Relaxed);
        Self(registry.clone())
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.0.histories.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A portion of a way whose leaves have the right form and signatures.
struct Ready {
    head: Head,
    stretch: Stretch,
}

/// Fetches a portion that begins at leaf `from`, and checks what of it needs nothing of the log.
async fn ready(
    way: Arc<Way>,
    state: Arc<CommonsState>,
    publisher: PublisherName,
    from: u64,
) -> Result<Ready, SyncError> {
    let Portion { head, leaves } = way.portion(from).await?;
    let stretch = Stretch::check(&state, &publisher, from, leaves).await?;
    Ok(Ready { head, stretch })
}

/// A way that is being gone.
pub(super) struct Going<'a> {
    bringing: &'a Bringing<'a>,
    log: Log,
    /// What is known of the log as far as it was walked.
    ahead: Ahead<'a>,
    /// What was walked and is not given to be stored yet.
    together: Together,
    storing: Option<AbortOnDropHandle<Result<Brought, SyncError>>>,
    /// Whoever writes the log.
    turns: Arc<tokio::sync::Mutex<()>>,
    turn: Option<(OwnedMutexGuard<()>, Instant)>,
}

impl<'a> Going<'a> {
    /// At the beginning.
    ///
    /// - `ahead`: as of the log's stored size.
    /// - `turns`: held by whoever writes the log.
    pub(super) fn new(
        bringing: &'a Bringing<'a>,
        log: Log,
        ahead: Ahead<'a>,
        turns: Arc<tokio::sync::Mutex<()>>,
    ) -> Self {
        Self { bringing, log, ahead, together: Together::default(), storing: None, turns, turn: None }
    }

    /// Goes to the end, or as far as can be: what holds is stored, whatever comes after it.
    ///
    /// # Errors
    /// [`SyncError`].
    pub(super) async fn go(mut self) -> Result<Brought, SyncError> {
        let outcome = self.go_on().await;
        let stored = self.settle().await;
        match outcome {
            Ok(Brought::Forward) => stored,
            outcome => outcome,
        }
    }

    async fn go_on(&mut self) -> Result<Brought, SyncError> {
        let Bringing { registry, peer, publisher, state, way, history } = self.bringing;
        let ready_from = |from| ready(way.clone(), state.clone(), (*publisher).clone(), from);
        let end = way.end();
        let mut from = self.log.size;
        let mut portion = ready_from(from).await?;
        loop {
            let next = portion.head.checkpoint().size;
            let mut coming = (next < end).then(|| AbortOnDropHandle::new(tokio::spawn(ready_from(next))));
            // No blob that is here while the portion is put together is swept before it is stored.
            let mut upload = None;
            if history.is_none() {
                upload = Some(registry.uploads.read().await);
                // Archives need no turn.
                fetch_archives(registry, peer, &portion.stretch.checked, from).await?;
            }
            crash_point("mirror-archives-fetched");
            if self.take_turn().await? == Brought::Elsewhere {
                return Ok(Brought::Elsewhere);
            }
            if self.ahead.needs_stored(&portion.stretch.touched) && self.settle().await? == Brought::Elsewhere
            {
                return Ok(Brought::Elsewhere);
            }
            let Ready { head, stretch } = portion;
            let walked =
                stretch.walk(registry, (&way.source, &way.path), state, &head, &mut self.ahead).await?;
            self.together.add(walked, head);
            let is_long = self.turn.as_ref().is_some_and(|(_, since)| since.elapsed() > LONG_TURN);
            let is_settled = history.is_none() || coming.is_none() || is_long || self.ahead.is_much();
            let outcome = match is_settled {
                true => self.settle().await?,
                false if self.is_enough(end - next) => self.store().await?,
                false => Brought::Forward,
            };
            if outcome == Brought::Elsewhere {
                return Ok(Brought::Elsewhere);
            }
            drop(upload);
            if self.ahead.is_much() {
                self.ahead.begin_anew();
            }
            if is_settled {
                self.turn = None;
            }
            let Some(coming) = &mut coming else { return Ok(Brought::Forward) };
            portion = match tokio::time::timeout(PATIENCE, joined(coming)).await {
                Ok(portion) => portion?,
                Err(_) => {
                    if self.settle().await? == Brought::Elsewhere {
                        return Ok(Brought::Elsewhere);
                    }
                    self.turn = None;
                    joined(coming).await?
                }
            };
            from = next;
        }
    }

    /// Waits until nobody else writes the log, where that is not so since the portion before: then all is stored.
    async fn take_turn(&mut self) -> Result<Brought, SyncError> {
        if self.turn.is_some() {
            return Ok(Brought::Forward);
        }
        let turn = self.turns.clone().lock_owned().await;
        let stored = self.bringing.registry.stored_log(&self.log.origin).await?;
        if stored.is_none_or(|log| log.size != self.ahead.edge().size()) {
            return Ok(Brought::Elsewhere);
        }
        self.turn = Some((turn, Instant::now()));
        Ok(Brought::Forward)
    }

    /// Whether what was walked is to be stored now. While something else is being stored more is gathered, as much as memory allows;
    /// once nothing is, less will do. Towards the end it is less still: the last of it is stored while nothing else is left to do.
    ///
    /// - `left`: leaves that are still to be walked.
    fn is_enough(&self, left: u64) -> bool {
        let portions = self.bringing.registry.settings.portions;
        let leaves = match &self.storing {
            Some(storing) if !storing.is_finished() => portions.stored,
            _ => (portions.stored / 2).min(left / 2).max(portions.leaves),
        };
        self.together.leaves() >= leaves || self.together.bytes() >= portions.bytes
    }

    /// Begins to store what was walked, once what was given before is stored.
    async fn store(&mut self) -> Result<Brought, SyncError> {
        if let Some(storing) = &mut self.storing {
            let outcome = joined(storing).await;
            self.storing = None;
            if !matches!(outcome, Ok(Brought::Forward)) {
                // It stands on what was not stored.
                self.together = Together::default();
                return outcome;
            }
        }
        let together = std::mem::take(&mut self.together);
        if together.leaves() > 0 {
            let (registry, way) = (self.bringing.registry.clone(), self.bringing.way.clone());
            let storing = store(registry, way, self.log.clone(), together);
            self.storing = Some(AbortOnDropHandle::new(tokio::spawn(storing)));
        }
        Ok(Brought::Forward)
    }

    /// Stores what was walked, and waits until it is.
    async fn settle(&mut self) -> Result<Brought, SyncError> {
        if self.store().await? == Brought::Elsewhere {
            return Ok(Brought::Elsewhere);
        }
        self.store().await
    }
}

async fn store(
    registry: Arc<Registry>,
    way: Arc<Way>,
    log: Log,
    together: Together,
) -> Result<Brought, SyncError> {
    // Whoever sweeps blobs does not wait for this to be free, so that it can be held twice.
    let _upload = registry.uploads.read().await;
    let Some((step, head)) = together.into_step(&log) else { return Ok(Brought::Forward) };
    crash_point("mirror-replayed");
    if commit(&registry, step).await? == Brought::Elsewhere {
        return Ok(Brought::Elsewhere);
    }
    let place = if head.checkpoint().size < way.end() { Place::OnTheWay } else { Place::AtItsEnd };
    after_move(&registry, &log, &head, &way.rules, place).await?;
    if log.hosted && place == Place::AtItsEnd {
        wake_sequencer(&registry).await;
    }
    Ok(Brought::Forward)
}

/// What a task came to. A panic goes on here; a task that ends with the runtime came to nothing, and neither does this.
async fn joined<T>(task: &mut AbortOnDropHandle<T>) -> T {
    match task.await {
        Ok(done) => done,
        Err(err) => match err.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}
