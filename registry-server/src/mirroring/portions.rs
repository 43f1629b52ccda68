//! Where does a long way stop? At heads that the log signed on the way, so that little is held in memory at a time, and a
//! registry that is stopped goes on where it was.

use std::sync::Arc;

use brick_client::LogPath;
use brick_schemas::Origin;
use brick_trust::{Head, HeadRules, Refused, Step, open_head};

use super::shown::demand_beginning;
use crate::registry::Registry;
use crate::settings::Portions;
use crate::source::Source;
use crate::sync::SyncError;

/// Leaves taken from a peer in one step of one log, at most: so far a log may go without a head that is signed by it.
const MAX_LEAVES: u64 = 1 << 22;
/// Bytes of them, at most.
const MAX_BYTES: usize = 1 << 31;

/// The way of one log to a peer's newest head.
pub(super) struct Way {
    pub(super) registry: Arc<Registry>,
    pub(super) source: Source,
    pub(super) path: LogPath,
    pub(super) origin: Origin,
    /// Where it leads to.
    pub(super) whole: Head,
    pub(super) rules: HeadRules,
}

/// Leaves up to a signed head.
pub(super) struct Portion {
    /// The head: of the way's end, or of a beginning of that.
    pub(super) head: Head,
    /// The leaves under it that were not here.
    pub(super) leaves: Vec<Vec<u8>>,
}

impl Way {
    /// How many leaves there are at its end.
    pub(super) fn end(&self) -> u64 {
        self.whole.checkpoint().size
    }

    /// Fetches the leaves from `from` on up to the next head to stop at.
    ///
    /// # Errors
    /// [`SyncError`].
    pub(super) async fn portion(&self, from: u64) -> Result<Portion, SyncError> {
        let Portions { leaves: most, bytes: enough, .. } = self.registry.settings.portions;
        let mut head = self.stop_after(from, most).await?;
        let mut leaves: Vec<Vec<u8>> = Vec::new();
        let mut bytes = 0;
        loop {
            let (next, to) = (from + leaves.len() as u64, head.checkpoint().size);
            if next >= to {
                break;
            }
            if bytes >= enough
                && let Some(nearer) = self.head_between(from, next).await?
            {
                self.demand_beginning(&nearer).await?;
                leaves.truncate(usize::try_from(nearer.checkpoint().size - from).unwrap_or(usize::MAX));
                head = nearer;
                break;
            }
            if bytes > MAX_BYTES {
                return Err(self.too_long(from).into());
            }
            let more =
                self.source.leaves(&self.path, next, to, self.end(), enough.saturating_sub(bytes)).await?;
            bytes += more.iter().map(Vec::len).sum::<usize>();
            leaves.extend(more);
        }
        Ok(Portion { head, leaves })
    }

    /// The last head to stop at that lies at most `reach` leaves after `from`, or as little more as can be.
    async fn stop_after(&self, from: u64, mut reach: u64) -> Result<Head, SyncError> {
        loop {
            let at_most = from.saturating_add(reach);
            if at_most >= self.end() {
                return Ok(self.whole.clone());
            }
            if let Some(head) = self.head_between(from, at_most).await? {
                self.demand_beginning(&head).await?;
                return Ok(head);
            }
            if reach >= MAX_LEAVES {
                return Err(self.too_long(from).into());
            }
            reach = reach.saturating_mul(2).min(MAX_LEAVES);
        }
    }

    /// The largest head after `from` of at most so many leaves that the peer gives and the log's key has signed.
    async fn head_between(&self, from: u64, at_most: u64) -> Result<Option<Head>, SyncError> {
        let Some(note) = self.source.head(&self.path, Some(at_most)).await? else { return Ok(None) };
        match open_head(&note, &self.rules) {
            Ok(head) if head.checkpoint().size > from && head.checkpoint().size <= at_most => Ok(Some(head)),
            Ok(_) => Ok(None),
            // A log that moved was signed by another key before: there is nothing to stop at until it did.
            Err(err) => {
                tracing::debug!(log = %self.path, why = err.what, "no head to stop at");
                Ok(None)
            }
        }
    }

    async fn demand_beginning(&self, part: &Head) -> Result<(), SyncError> {
        let log = (&self.path, &self.origin);
        demand_beginning(&self.registry, &self.source, log, part, &self.whole).await
    }

    fn too_long(&self, from: u64) -> Refused {
        let what = format!(
            "{} has no signed head within {MAX_LEAVES} leaves or {MAX_BYTES} bytes after {from}",
            self.path
        );
        Refused::new(Step::Checkpoint, what)
    }
}
