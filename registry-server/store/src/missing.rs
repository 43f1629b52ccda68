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
    /// A log that names it.
    pub log: LogId,
    /// The largest leaf index in that log that does.
    pub entry: u64,
}

/// Parameters: digest after which, limit.
pub(crate) const MISSING: &str = "
    SELECT b.sha256,
      (SELECT max(bytes) FROM blob_use AS u WHERE u.sha256 = b.sha256),
      (SELECT max(log) FROM blob_use AS u WHERE u.sha256 = b.sha256),
      (SELECT max(entry) FROM blob_use AS u WHERE u.sha256 = b.sha256
         AND u.log = (SELECT max(log) FROM blob_use AS v WHERE v.sha256 = b.sha256))
    FROM blob AS b WHERE b.stored = 0 AND b.sha256 > ? ORDER BY b.sha256 LIMIT ?";

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
            let rows = sqlx::query_as::<_, (Vec<u8>, i64, i64, i64)>(MISSING)
                .bind(&after)
                .bind(limit)
                .fetch_all(&self.inner.readers)
                .await?;
            let Some((last, ..)) = rows.last() else { return Ok(Vec::new()) };
            after = last.clone();
            let mut named = rows
                .into_iter()
                .map(|(sha256, bytes, log, entry)| {
                    let what = "a missing blob";
                    Ok(MissingBlob {
                        sha256: digest_from_sql(&sha256, what)?,
                        bytes: from_sql(bytes, what)?,
                        log: LogId(log),
                        entry: from_sql(entry, what)?,
                    })
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
