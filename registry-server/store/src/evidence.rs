//! Which logs showed two histories, and with which two heads?

use brick_schemas::{Digest, Origin};

use crate::fault::{Fault, ReadError, holds_fault, parsed_from_sql};
use crate::open::Store;
use crate::seal::seal_evidence;

/// Bytes of each head and of the reason, at most.
pub const MAX_EVIDENCE_BYTES: usize = 1_000_000;
/// Pairs of heads that are kept of one log, at most. One convicts; more would only let its owner fill our disk.
pub const MAX_EVIDENCE_PER_LOG: u32 = 64;

/// Two heads of one log that cannot be connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The log.
    pub origin: Origin,
    /// One head, as signed.
    pub a: Vec<u8>,
    /// The other.
    pub b: Vec<u8>,
    /// What does not fit, in words.
    pub why: String,
}

/// Why evidence was not kept.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// A head or the reason is too long.
    #[error("evidence about {origin} has more than {MAX_EVIDENCE_BYTES} bytes in one part")]
    TooLarge {
        /// The log.
        origin: Origin,
    },
    /// The database or the disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
holds_fault!(EvidenceError);

/// One digest for a pair in either order: of the two digests, the smaller first.
pub(crate) fn pair_digest(a: &[u8], b: &[u8]) -> Digest {
    let (one, other) = (Digest::of(a), Digest::of(b));
    Digest::of(&[*one.min(other).as_bytes(), *one.max(other).as_bytes()].concat())
}

impl Store {
    /// Keeps two heads for ever. Returns whether they were kept now: `false` when the same pair, or as many pairs of this
    /// log as [`MAX_EVIDENCE_PER_LOG`], are kept already.
    ///
    /// # Errors
    /// See [`EvidenceError`].
    pub async fn put_evidence(
        &self,
        origin: &Origin,
        a: &[u8],
        b: &[u8],
        why: &str,
    ) -> Result<bool, EvidenceError> {
        if [a.len(), b.len(), why.len()].into_iter().any(|bytes| bytes > MAX_EVIDENCE_BYTES) {
            return Err(EvidenceError::TooLarge { origin: origin.clone() });
        }
        let pair = pair_digest(a, b);
        let put = async {
            let mut writing = self.writing().await?;
            let mut tx = writing.begin().await?;
            let kept = sqlx::query(
                "INSERT INTO evidence (origin, digest, a, b, why, seal)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?7 WHERE (SELECT count(*) FROM evidence WHERE origin = ?1) < ?6
                 ON CONFLICT (origin, digest) DO NOTHING",
            )
            .bind(origin.as_str())
            .bind(&pair.as_bytes()[..])
            .bind(a)
            .bind(b)
            .bind(why)
            .bind(MAX_EVIDENCE_PER_LOG)
            .bind(seal_evidence(origin.as_str(), pair.as_bytes(), a, b, why))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            tx.commit().await?;
            writing.done();
            Ok(kept == 1)
        };
        self.watch(put.await)
    }

    /// All evidence, oldest first.
    ///
    /// # Errors
    /// [`ReadError::Fault`] or [`ReadError::Damaged`].
    pub async fn evidence(&self) -> Result<Vec<Evidence>, ReadError> {
        sqlx::query_as::<_, (String, Vec<u8>, Vec<u8>, String)>(
            "SELECT origin, a, b, why FROM evidence ORDER BY id",
        )
        .fetch_all(&self.readers())
        .await?
        .into_iter()
        .map(|(origin, a, b, why)| Ok(Evidence { origin: parsed_from_sql(&origin, "evidence")?, a, b, why }))
        .collect()
    }
}
