//! What did this registry, as a witness, last cosign of each log? Compared and moved in one durable step.
//!
//! Who trusts it: everybody who counts this witness. A witness that forgets its state may cosign a second history.

use brick_schemas::{Digest, Origin};

use crate::fault::{Fault, ReadError, digest_from_sql, from_sql, holds_fault, to_sql};
use crate::open::Store;

/// Bytes of a note that a witness keeps, at most.
const MAX_WITNESS_NOTE_BYTES: usize = 1_000_000;

/// The newest head of a log that this witness cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessState {
    /// Leaves under it.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// The time in the cosignature, in Unix seconds.
    pub time: u64,
    /// The note with the cosignature.
    pub note: Vec<u8>,
}

/// Why a witness's state was not moved. It stays what it was, see [`Fault`] for the one doubt.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The new state is not after the expected one: fewer leaves, or another root for as many.
    #[error("the head of {origin} with {size} leaves does not follow the one with {expected_size}")]
    NotAfter {
        /// The log.
        origin: Origin,
        /// Leaves under the new head.
        size: u64,
        /// Leaves under the expected one.
        expected_size: u64,
    },
    /// The note is larger than any checkpoint may be.
    #[error("the note of {origin} has {bytes} bytes, at most {MAX_WITNESS_NOTE_BYTES} are kept")]
    TooLarge {
        /// The log.
        origin: Origin,
        /// The note's length.
        bytes: usize,
    },
    /// The database or the disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
holds_fault!(WitnessError);

impl Store {
    /// What this witness last cosigned of a log.
    ///
    /// # Errors
    /// [`ReadError::Fault`] or [`ReadError::Damaged`].
    pub async fn witness_state(&self, origin: &Origin) -> Result<Option<WitnessState>, ReadError> {
        let what = "a witness's state";
        sqlx::query_as::<_, (i64, Vec<u8>, i64, Vec<u8>)>(
            "SELECT size, root, time, note FROM witness WHERE origin = ?",
        )
        .bind(origin.as_str())
        .fetch_optional(&self.readers())
        .await?
        .map(|(size, root, time, note)| {
            Ok(WitnessState {
                size: from_sql(size, what)?,
                root: digest_from_sql(&root, what)?,
                time: from_sql(time, what)?,
                note,
            })
        })
        .transpose()
    }

    /// Moves the witness's state of a log from `expected` to `new`, if it is still `expected` and not newer in time.
    /// Durable when it returns: only then may the cosignature leave the house.
    ///
    /// - `expected`: size and root of the state that `new` was checked against; `None` for a log never seen.
    ///
    /// Returns `false`, and changes nothing, when the state is another by now.
    ///
    /// # Errors
    /// See [`WitnessError`].
    pub async fn advance_witness(
        &self,
        origin: &Origin,
        expected: Option<(u64, Digest)>,
        new: &WitnessState,
    ) -> Result<bool, WitnessError> {
        if new.note.len() > MAX_WITNESS_NOTE_BYTES {
            return Err(WitnessError::TooLarge { origin: origin.clone(), bytes: new.note.len() });
        }
        if let Some((expected_size, root)) = expected
            && (new.size < expected_size || (new.size == expected_size && new.root != root))
        {
            return Err(WitnessError::NotAfter { origin: origin.clone(), size: new.size, expected_size });
        }
        self.watch(self.compare_and_move(origin, expected, new).await).map_err(WitnessError::Fault)
    }

    async fn compare_and_move(
        &self,
        origin: &Origin,
        expected: Option<(u64, Digest)>,
        new: &WitnessState,
    ) -> Result<bool, Fault> {
        let mut writing = self.writing().await?;
        let mut tx = writing.begin().await?;
        let query = match &expected {
            None => sqlx::query(
                "INSERT INTO witness (size, root, time, note, origin) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (origin) DO NOTHING",
            ),
            Some(_) => sqlx::query(
                "UPDATE witness SET size = ?1, root = ?2, time = ?3, note = ?4
                 WHERE origin = ?5 AND size = ?6 AND root = ?7 AND time <= ?3",
            ),
        };
        let mut query = query
            .bind(to_sql(new.size))
            .bind(new.root.as_bytes().to_vec())
            .bind(to_sql(new.time))
            .bind(&new.note)
            .bind(origin.as_str());
        if let Some((size, root)) = &expected {
            query = query.bind(to_sql(*size)).bind(root.as_bytes().to_vec());
        }
        let moved = query.execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        writing.done();
        Ok(moved == 1)
    }
}
