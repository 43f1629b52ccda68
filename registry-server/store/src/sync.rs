//! How does following the peers go, for all to see: since when, and why not?

use brick_schemas::Origin;

use crate::fault::{Fault, ReadError, from_sql, parsed_from_sql, to_sql};
use crate::open::Store;
use crate::seal::seal_sync;

/// Bytes of a reason, at most; a longer one is cut.
pub const MAX_WHY_BYTES: usize = 4_096;
/// An unchanged state is written again only when it was last seen this many seconds ago: a peer that is asked every
/// second must not cost a flush every second.
pub const SEEN_STEP_SECONDS: u64 = 60;

/// How following a peer, or one log at a peer, went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncState {
    /// It is up to date.
    Followed,
    /// It is not, for the reason in words.
    Failed {
        /// What was refused or did not work.
        why: String,
    },
}

/// A state and the time for which it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRow {
    /// The peer, as the registry's configuration names it.
    pub peer: String,
    /// The log in question; `None` for the peer as a whole.
    pub log: Option<Origin>,
    /// How it went.
    pub state: SyncState,
    /// Since when it has gone so without a change, in Unix seconds.
    pub since: u64,
    /// When it last went so, in Unix seconds, to [`SEEN_STEP_SECONDS`].
    pub seen: u64,
}

impl Store {
    /// Notes how following `peer` went at `now` (Unix seconds). The same state as before keeps its `since`.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn put_sync(
        &self,
        peer: &str,
        log: Option<&Origin>,
        state: &SyncState,
        now: u64,
    ) -> Result<(), Fault> {
        let origin = log.map_or("", Origin::as_str);
        let (is_ok, why) = match state {
            SyncState::Followed => (true, ""),
            SyncState::Failed { why } => (false, &why[..why.floor_char_boundary(MAX_WHY_BYTES)]),
        };
        let before = sqlx::query_as::<_, (bool, String, i64)>(
            "SELECT ok, why, seen FROM sync WHERE peer = ? AND origin = ?",
        )
        .bind(peer)
        .bind(origin)
        .fetch_optional(&self.readers())
        .await?;
        if let Some((was_ok, old_why, seen)) = before
            && was_ok == is_ok
            && old_why == why
            && (seen..seen.saturating_add(to_sql(SEEN_STEP_SECONDS))).contains(&to_sql(now))
        {
            return Ok(());
        }
        let put = async {
            let mut writing = self.writing().await?;
            let mut tx = writing.begin().await?;
            let before = sqlx::query_as::<_, (bool, String, i64)>(
                "SELECT ok, why, since FROM sync WHERE peer = ? AND origin = ?",
            )
            .bind(peer)
            .bind(origin)
            .fetch_optional(&mut *tx)
            .await?;
            let since = match before {
                Some((was_ok, old_why, since)) if was_ok == is_ok && old_why == why => since,
                _ => to_sql(now),
            };
            sqlx::query(
                "INSERT OR REPLACE INTO sync (peer, origin, ok, why, since, seen, seal)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )
            .bind(peer)
            .bind(origin)
            .bind(is_ok)
            .bind(why)
            .bind(since)
            .bind(to_sql(now))
            .bind(seal_sync(peer, origin, is_ok, why, since, to_sql(now)))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            writing.done();
            Ok(())
        };
        self.watch(put.await)
    }

    /// Forgets a peer that is followed no more.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn forget_sync(&self, peer: &str) -> Result<(), Fault> {
        let forget = async {
            let mut writing = self.writing().await?;
            let mut tx = writing.begin().await?;
            sqlx::query("DELETE FROM sync WHERE peer = ?").bind(peer).execute(&mut *tx).await?;
            tx.commit().await?;
            writing.done();
            Ok(())
        };
        self.watch(forget.await)
    }

    /// All states, by peer and log.
    ///
    /// # Errors
    /// [`ReadError::Fault`] or [`ReadError::Damaged`].
    pub async fn sync_states(&self) -> Result<Vec<SyncRow>, ReadError> {
        let what = "the state of a sync";
        sqlx::query_as::<_, (String, String, bool, String, i64, i64)>(
            "SELECT peer, origin, ok, why, since, seen FROM sync ORDER BY peer, origin",
        )
        .fetch_all(&self.readers())
        .await?
        .into_iter()
        .map(|(peer, origin, is_ok, why, since, seen)| {
            let log = match origin.as_str() {
                "" => None,
                origin => Some(parsed_from_sql(origin, what)?),
            };
            let state = if is_ok { SyncState::Followed } else { SyncState::Failed { why } };
            Ok(SyncRow { peer, log, state, since: from_sql(since, what)?, seen: from_sql(seen, what)? })
        })
        .collect()
    }
}
