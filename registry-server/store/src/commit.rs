//! How does a log move forward? Everything that a step changes, of any number of logs, in one transaction.

use std::borrow::Borrow;
use std::collections::HashSet;

use brick_schemas::{BrickName, Digest, Version};
use rusqlite::TransactionBehavior;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::apply::apply;
use crate::crash_point::crash_point;
use crate::fault::{Fault, ReadError, holds_fault};
use crate::log::LogId;
use crate::open::{GENERATION, Store};
use crate::step::{LogStep, check};

/// Why steps were not committed. Nothing of any of them was written, see [`Fault`] for the one doubt.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The log is elsewhere than the step begins: somebody else moved it.
    #[error("log {log} has {stored} leaves, the step begins at {expected}")]
    Conflict {
        /// The log.
        log: LogId,
        /// `old_size` of the step.
        expected: u64,
        /// The size stored.
        stored: u64,
    },
    /// No log of that number.
    #[error("there is no log {log} in the store")]
    UnknownLog {
        /// The number in the step.
        log: LogId,
    },
    /// An envelope with this payload is in the log already.
    #[error("the payload {payload} of entry {entry} is in log {log} already, as entry {first}")]
    Replayed {
        /// The log.
        log: LogId,
        /// SHA-256 of the payload.
        payload: Digest,
        /// Where the step puts it.
        entry: u64,
        /// Where it stands: in the log, or earlier in the same commit.
        first: u64,
    },
    /// Another entry released this version before.
    #[error(
        "{brick} {version} in log {log} was released by entry {first}, entry {entry} cannot release it again"
    )]
    VersionTaken {
        /// The log.
        log: LogId,
        /// The brick.
        brick: BrickName,
        /// The version.
        version: Box<Version>,
        /// The entry that the step gives.
        entry: u64,
        /// The entry that won.
        first: u64,
    },
    /// Another root was signed for this size before. Somebody holds evidence of a second history.
    #[error("log {log} has another root for its first {size} leaves")]
    RootChanged {
        /// The log.
        log: LogId,
        /// The size in question.
        size: u64,
    },
    /// A tile does not begin with the hashes that are stored: a bit flipped in memory or on the disk.
    #[error("tile {level}/{index} of log {log} does not begin with the hashes stored before")]
    TileChanged {
        /// The log.
        log: LogId,
        /// The tile's level.
        level: u8,
        /// The tile's index.
        index: u64,
    },
    /// The step contradicts itself or breaks a bound.
    #[error("the step of log {log} is malformed: {rule}")]
    Malformed {
        /// The log.
        log: LogId,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// What is stored could not be read.
    #[error(transparent)]
    Read(ReadError),
    /// The caller took it back.
    #[error("the steps were taken back before they were committed")]
    TakenBack,
    /// The database or the disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
holds_fault!(CommitError);

impl From<ReadError> for CommitError {
    fn from(err: ReadError) -> Self {
        match err {
            ReadError::Fault(fault) => Self::Fault(fault),
            other => Self::Read(other),
        }
    }
}

impl Store {
    /// Moves logs forward, all or none, in one transaction: when this returns `Ok`, a power cut loses nothing of it.
    ///
    /// Steps are applied in order; one log may occur several times. A refused step refuses all. The calling thread does the
    /// work and waits for the disk: the runtime's own threads are given to others meanwhile, any other is the caller's loss.
    ///
    /// # Errors
    /// See [`CommitError`]. After a fault in the commit itself the caller asks [`payload_index`](Self::payload_index)
    /// whether an entry is in.
    pub async fn commit<S: Borrow<LogStep> + Sync>(&self, steps: &[S]) -> Result<(), CommitError> {
        self.commit_when(steps, || true).await
    }

    /// [`commit`](Self::commit), if at its very end `is_due` says so: what else the steps stand on may become durable while
    /// they are written.
    ///
    /// - `is_due`: may wait, on the calling thread; nobody else writes meanwhile.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`CommitError::TakenBack`] where it says no.
    pub async fn commit_when<S: Borrow<LogStep> + Sync>(
        &self,
        steps: &[S],
        is_due: impl FnOnce() -> bool,
    ) -> Result<(), CommitError> {
        for step in steps.iter().map(Borrow::borrow) {
            check(step, steps.len()).map_err(|rule| CommitError::Malformed { log: step.log, rule })?;
        }
        let asked = steps.iter().flat_map(|step| &step.borrow().blobs).filter(|blob| !blob.is_here);
        let here = self.inner.blobs.which_are_here(asked.map(|blob| blob.sha256).collect()).await;
        self.watch(self.commit_checked(steps, &here, is_due).await)
    }

    async fn commit_checked<S: Borrow<LogStep> + Sync>(
        &self,
        steps: &[S],
        here: &HashSet<Digest>,
        is_due: impl FnOnce() -> bool,
    ) -> Result<(), CommitError> {
        let mut writing = self.writing().await?;
        let leaves = steps.iter().map(|step| step.borrow().leaves.len()).sum();
        let (connection, generation) = writing.commits(leaves)?;
        let outcome = in_place(|| write(connection, generation, steps, here, is_due));
        // A fault drops the connections with the transaction; a refusal is no reason to open others.
        if !matches!(outcome, Err(CommitError::Fault(_))) {
            writing.done();
        }
        outcome
    }
}

/// Does what blocks on this very thread. What else waits for its turn on it goes on elsewhere.
pub(crate) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// One transaction. It holds the write lock from the start, so that it cannot fail half-way for want of it.
fn write<S: Borrow<LogStep>>(
    connection: &mut rusqlite::Connection,
    generation: i64,
    steps: &[S],
    here: &HashSet<Digest>,
    is_due: impl FnOnce() -> bool,
) -> Result<(), CommitError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    crash_point("commit-begun");
    let applied = (|| {
        let stored = tx.prepare_cached(GENERATION)?.query_row([], |row| row.get::<_, i64>(0))?;
        if stored != generation {
            return Err(Fault::TakenOver.into());
        }
        steps.iter().try_for_each(|step| apply(&tx, step.borrow(), here))?;
        if is_due() { Ok(()) } else { Err(CommitError::TakenBack) }
    })();
    crash_point("commit-applied");
    match applied {
        // The flush that makes a publish durable: SQLite syncs the write-ahead log before this returns.
        Ok(()) => tx.commit()?,
        // It may have ended the transaction by itself, and the connection goes too.
        Err(CommitError::Fault(_)) => drop(tx),
        Err(_) => tx.rollback()?,
    }
    crash_point("commit-done");
    applied
}
