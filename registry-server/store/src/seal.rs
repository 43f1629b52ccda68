//! Is a row that nothing signed still what was written? A digest of its values beside them, against rot.

use sha2::{Digest as _, Sha256};
use sqlx::SqliteConnection;

use crate::fault::{Fault, ReadError};
use crate::open::Store;

/// Bytes of a seal.
const SEAL_BYTES: usize = 16;

/// The seal of a row's values, in the order of its columns: each after its length, numbers as text.
fn seal(values: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for value in values {
        hash.update((value.len() as u64).to_be_bytes());
        hash.update(value);
    }
    hash.finalize()[..SEAL_BYTES].to_vec()
}

/// The seal of a value of `meta`.
pub(crate) fn seal_meta(key: &str, value: &[u8]) -> Vec<u8> {
    seal(&[key.as_bytes(), value])
}

/// The seal of a row of `sync`.
pub(crate) fn seal_sync(peer: &str, origin: &str, is_ok: bool, why: &str, since: i64, seen: i64) -> Vec<u8> {
    let (ok, since, seen) = (u8::from(is_ok).to_string(), since.to_string(), seen.to_string());
    let texts = [peer, origin, &ok, why, &since, &seen];
    seal(&texts.map(str::as_bytes))
}

/// The seal of a row of `evidence`, whose number is left out.
pub(crate) fn seal_evidence(origin: &str, digest: &[u8], a: &[u8], b: &[u8], why: &str) -> Vec<u8> {
    seal(&[origin.as_bytes(), digest, a, b, why.as_bytes()])
}

type MetaRow = (String, Vec<u8>, Option<Vec<u8>>);
type SyncRow = (String, String, bool, String, i64, i64, Option<Vec<u8>>);
type EvidenceRow = (i64, String, Vec<u8>, Vec<u8>, Vec<u8>, String, Option<Vec<u8>>);

const META: &str = "SELECT key, value, seal FROM meta";
const SYNC: &str = "SELECT peer, origin, ok, why, since, seen, seal FROM sync";
const EVIDENCE: &str = "SELECT id, origin, digest, a, b, why, seal FROM evidence";

/// Seals the rows that a program of before left unsealed.
pub(crate) async fn seal_old_rows(writer: &mut SqliteConnection) -> Result<(), Fault> {
    let is_sealed = sqlx::query_scalar::<_, bool>(
        "SELECT NOT EXISTS (SELECT 1 FROM meta WHERE seal IS NULL)
           AND NOT EXISTS (SELECT 1 FROM sync WHERE seal IS NULL)
           AND NOT EXISTS (SELECT 1 FROM evidence WHERE seal IS NULL)",
    )
    .fetch_one(&mut *writer)
    .await?;
    if is_sealed {
        return Ok(());
    }
    for (key, value, seal) in sqlx::query_as::<_, MetaRow>(META).fetch_all(&mut *writer).await? {
        if seal.is_none() {
            sqlx::query("UPDATE meta SET seal = ? WHERE key = ?")
                .bind(seal_meta(&key, &value))
                .bind(key)
                .execute(&mut *writer)
                .await?;
        }
    }
    for (peer, origin, is_ok, why, since, seen, seal) in
        sqlx::query_as::<_, SyncRow>(SYNC).fetch_all(&mut *writer).await?
    {
        if seal.is_none() {
            sqlx::query("UPDATE sync SET seal = ? WHERE peer = ? AND origin = ?")
                .bind(seal_sync(&peer, &origin, is_ok, &why, since, seen))
                .bind(peer)
                .bind(origin)
                .execute(&mut *writer)
                .await?;
        }
    }
    for (id, origin, digest, a, b, why, seal) in
        sqlx::query_as::<_, EvidenceRow>(EVIDENCE).fetch_all(&mut *writer).await?
    {
        if seal.is_none() {
            sqlx::query("UPDATE evidence SET seal = ? WHERE id = ?")
                .bind(seal_evidence(&origin, &digest, &a, &b, &why))
                .bind(id)
                .execute(&mut *writer)
                .await?;
        }
    }
    Ok(())
}

/// A row whose values are not the ones that were sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenSeal {
    /// The table.
    pub table: &'static str,
    /// Which row, in words.
    pub row: String,
}

impl Store {
    /// The rows that no signature covers and that are not what was written.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn broken_seals(&self) -> Result<Vec<BrokenSeal>, ReadError> {
        let readers = &self.readers();
        let mut broken = Vec::new();
        for (key, value, seal) in sqlx::query_as::<_, MetaRow>(META).fetch_all(readers).await? {
            if seal.as_ref() != Some(&seal_meta(&key, &value)) {
                broken.push(BrokenSeal { table: "meta", row: key });
            }
        }
        for (peer, origin, is_ok, why, since, seen, seal) in
            sqlx::query_as::<_, SyncRow>(SYNC).fetch_all(readers).await?
        {
            if seal.as_ref() != Some(&seal_sync(&peer, &origin, is_ok, &why, since, seen)) {
                broken.push(BrokenSeal { table: "sync", row: format!("{origin} at {peer}") });
            }
        }
        for (id, origin, digest, a, b, why, seal) in
            sqlx::query_as::<_, EvidenceRow>(EVIDENCE).fetch_all(readers).await?
        {
            if seal.as_ref() != Some(&seal_evidence(&origin, &digest, &a, &b, &why)) {
                broken.push(BrokenSeal { table: "evidence", row: format!("{id}, of {origin}") });
            }
        }
        Ok(broken)
    }
}
