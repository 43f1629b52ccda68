//! May this registry still sign that log? A log is closed when signing it could show the world a second history.
//!
//! Closing leaves reading, mirroring and witnessing. A log that is merely behind opens again when its lost leaves have
//! come back from the mirrors; the other reasons last until an operator has looked and started the registry again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use brick_schemas::Origin;
use brick_schemas::api::ProblemType;

use crate::problem::Rejection;
use crate::registry::Registry;

/// Why a hosted log is not signed at present.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// A backup was restored, or a machine took over that had not everything.
    #[error(
        "{origin} has been seen with {theirs} leaves by {witness}, here are {ours}: it is closed until they are back"
    )]
    Behind {
        /// The log.
        origin: Origin,
        /// Leaves here when it was noticed.
        ours: u64,
        /// Leaves under a head that this registry's key signed.
        theirs: u64,
        /// Who holds that head.
        witness: String,
    },
    /// Those who would know have not yet said how far they saw it since this registry started.
    #[error("{why}: it is not signed before")]
    Unasked {
        /// What is known.
        why: String,
    },
    /// This registry's key signed something that its store does not extend.
    #[error(
        "{origin} was signed with {size} leaves that are not the ones here: it is closed, see /api/v1/evidence"
    )]
    Forked {
        /// The log.
        origin: Origin,
        /// The size at which the two part at the latest.
        size: u64,
    },
    /// What is stored does not add up to what is in memory, or to what was signed last.
    #[error("{origin} does not add up: {what}; it is closed until its operator has looked")]
    Damaged {
        /// The log.
        origin: Origin,
        /// What was found.
        what: String,
    },
}

/// The closed logs.
#[derive(Default)]
pub struct ClosedLogs(Mutex<BTreeMap<Origin, Closed>>);

impl ClosedLogs {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Origin, Closed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a log is closed, whatever is known of how far it was seen.
    pub(crate) fn reason(&self, origin: &Origin) -> Option<Closed> {
        self.lock().get(origin).cloned()
    }
}

impl Registry {
    /// Closes a log. A reason that lasts is not replaced by one that passes.
    pub fn close_log(&self, origin: &Origin, why: Closed) {
        let mut closed = self.closed.lock();
        match closed.get(origin) {
            Some(before) if *before == why || !matches!(before, Closed::Behind { .. }) => return,
            _ => {}
        }
        tracing::error!(%origin, %why, "CLOSED for signing");
        closed.insert(origin.clone(), why);
    }

    /// Opens a log again that was behind, if it has `size` leaves now and nobody saw more.
    pub fn reopen_log(&self, origin: &Origin, size: u64) {
        let mut closed = self.closed.lock();
        if let Some(Closed::Behind { theirs, .. }) = closed.get(origin)
            && *theirs <= size
        {
            closed.remove(origin);
            tracing::warn!(%origin, size, "open for signing again: its leaves are back");
        }
    }

    /// Why a hosted log is closed, if it is.
    pub fn closed_log(&self, origin: &Origin) -> Option<Closed> {
        let unasked = || {
            // One that is yet to be opened is asked about when it is.
            let is_due = self.head(origin).is_some() || self.was_asked(origin);
            let is_unasked = is_due && !self.is_caught_up(origin) && self.is_hosted(origin);
            is_unasked.then(|| Closed::Unasked { why: self.gap_words(origin) })
        };
        self.closed.reason(origin).or_else(unasked)
    }

    /// Every closed log, in order; those not that nobody was asked about yet.
    pub fn closed_logs(&self) -> Vec<(Origin, Closed)> {
        let mut closed = self.closed.lock().clone();
        for waiting in self.catching_up(true) {
            closed.entry(waiting.log).or_insert(Closed::Unasked { why: waiting.why });
        }
        closed.into_iter().collect()
    }

    /// Whether entries are taken at all: the store writes, and no log is closed.
    ///
    /// # Errors
    /// The problem that a publisher would be told.
    pub fn may_write(&self) -> Result<(), Rejection> {
        if let Some(trouble) = self.store.trouble() {
            return Err(Rejection::trouble(trouble));
        }
        match self.closed_logs().first() {
            Some((_, why)) => Err(why.into()),
            None => Ok(()),
        }
    }
}

impl From<&Closed> for Rejection {
    fn from(why: &Closed) -> Self {
        Rejection::new(ProblemType::ReadOnly, why.to_string())
    }
}
