//! What else must the registry remember about itself? Small values by key.

use crate::fault::{Fault, ReadError};
use crate::open::Store;
use crate::seal::seal_meta;

/// Bytes of a value, at most.
pub const MAX_META_BYTES: usize = 1_000_000;

impl Store {
    /// The value kept under `key`.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn meta_get(&self, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(sqlx::query_scalar("SELECT value FROM meta WHERE key = ?")
            .bind(key)
            .fetch_optional(&self.readers())
            .await?)
    }

    /// Keeps `value` under `key`, in place of any other. Durable when it returns.
    ///
    /// # Errors
    /// [`Fault`].
    ///
    /// # Panics
    /// When `value` has more than [`MAX_META_BYTES`]: the registry decides what it keeps here.
    pub async fn meta_put(&self, key: &str, value: &[u8]) -> Result<(), Fault> {
        assert!(value.len() <= MAX_META_BYTES, "only the registry's own small values are kept as meta");
        let put = async {
            let mut writing = self.writing().await?;
            let mut tx = writing.begin().await?;
            sqlx::query(
                "INSERT INTO meta (key, value, seal) VALUES (?, ?, ?)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value, seal = excluded.seal",
            )
            .bind(key)
            .bind(value)
            .bind(seal_meta(key, value))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            writing.done();
            Ok(())
        };
        self.watch(put.await)
    }
}
