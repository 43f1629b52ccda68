//! Which blobs do entries name that are not here?

use brick_schemas::Digest;

use crate::fault::{Fault, ReadError, digest_from_sql, from_sql};
use crate::log::LogId;
use crate::open::Store;

/// Missing blobs that one call returns, at most.
pub const MAX_MISSING_PER_READ: u32 = 1_024;

/// A blob that an entry names and that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingBlob {
    /// Its digest.
    pub sha256: Digest,
    /// The largest length that any entry gives it: a bound for fetching, no more, since entries may contradict each other.
    pub bytes: u64,
}

/// An entry that names a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobUse {
    /// The log.
    pub log: LogId,
    /// The leaf's index.
    pub entry: u64,
}

/// Parameters: digest after which, limit.
pub(crate) const MISSING: &str = "
    SELECT b.sha256,
      (SELECT max(bytes) FROM blob_use AS u WHERE u.sha256 = b.sha256)
    FROM blob AS b WHERE b.stored = 0 AND b.sha256 > ? ORDER BY b.sha256 LIMIT ?";

/// Parameters: digest, limit.
pub(crate) const USES: &str = "
    SELECT DISTINCT log, entry FROM blob_use WHERE sha256 = ? ORDER BY log, entry LIMIT ?";

impl Store {
    /// Blobs that stored entries name and that are not here, by digest.
    ///
    /// - `after`: the last digest of the answer before; `None` begins.
    /// - `limit`: at most [`MAX_MISSING_PER_READ`]. An answer may be shorter and not the last: the end is an empty one.
    ///
    /// Blobs that have come since they were named are noted on the way, so that the next call need not look for them.
    ///
    /// # Errors
    /// [`ReadError::Fault`], also when noting them failed.
    pub async fn missing_blobs(
        &self,
        after: Option<&Digest>,
        limit: u32,
    ) -> Result<Vec<MissingBlob>, ReadError> {
        let limit = limit.min(MAX_MISSING_PER_READ);
        let mut after = after.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default();
        loop {
            let rows = sqlx::query_as::<_, (Vec<u8>, i64)>(MISSING)
                .bind(&after)
                .bind(limit)
                .fetch_all(&self.readers())
                .await?;
            let Some((last, _)) = rows.last() else { return Ok(Vec::new()) };
            after = last.clone();
            let mut named = rows
                .into_iter()
                .map(|(sha256, bytes)| {
                    let what = "a missing blob";
                    Ok(MissingBlob { sha256: digest_from_sql(&sha256, what)?, bytes: from_sql(bytes, what)? })
                })
                .collect::<Result<Vec<_>, ReadError>>()?;
            let digests = named.iter().map(|blob| blob.sha256).collect();
            let here = self.inner.blobs.which_are_here(digests).await;
            if !here.is_empty() {
                self.note_stored(here.iter(), true).await?;
                named.retain(|blob| !here.contains(&blob.sha256));
            }
            if !named.is_empty() {
                return Ok(named);
            }
        }
    }

    /// The first `limit` entries that name a blob, by log and index; at most [`MAX_MISSING_PER_READ`].
    ///
    /// # Errors
    /// [`ReadError::Fault`] or [`ReadError::Damaged`].
    pub async fn blob_uses(&self, digest: &Digest, limit: u32) -> Result<Vec<BlobUse>, ReadError> {
        sqlx::query_as::<_, (i64, i64)>(USES)
            .bind(&digest.as_bytes()[..])
            .bind(limit.min(MAX_MISSING_PER_READ))
            .fetch_all(&self.readers())
            .await?
            .into_iter()
            .map(|(log, entry)| {
                Ok(BlobUse { log: LogId(log), entry: from_sql(entry, "an entry that names a blob")? })
            })
            .collect()
    }

    /// Has [`missing_blobs`](Self::missing_blobs) name a blob again that entries name and whose file is gone.
    ///
    /// Returns whether it was thought to be here. Of a blob that is here or that nobody names nothing is written.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn note_if_lost(&self, digest: &Digest) -> Result<bool, ReadError> {
        let is_noted =
            sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT 1 FROM blob WHERE sha256 = ? AND stored)")
                .bind(&digest.as_bytes()[..])
                .fetch_one(&self.readers())
                .await?;
        if !is_noted || self.has_blob(digest).await {
            return Ok(false);
        }
        self.report_missing(digest).await?;
        Ok(true)
    }

    /// Has [`missing_blobs`](Self::missing_blobs) name a blob again whose file was lost or set aside.
    pub(crate) async fn report_missing(&self, digest: &Digest) -> Result<(), Fault> {
        self.note_stored([digest], false).await
    }

    async fn note_stored(
        &self,
        digests: impl IntoIterator<Item = &Digest>,
        is_stored: bool,
    ) -> Result<(), Fault> {
        let note = async {
            let mut writing = self.writing().await?;
            let mut tx = writing.begin().await?;
            for digest in digests {
                sqlx::query("UPDATE blob SET stored = ? WHERE sha256 = ?")
                    .bind(is_stored)
                    .bind(&digest.as_bytes()[..])
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            writing.done();
            Ok(())
        };
        self.watch(note.await)
    }
}
