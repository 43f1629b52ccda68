//! Is what lies in the store readable as what the store writes? For a check of all of it, while nobody else has it open.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use brick_schemas::{Digest, Origin};
use sha2::{Digest as _, Sha256};

use crate::fault::{ReadError, digest_from_sql, from_sql, parsed_from_sql};
use crate::log::LogId;
use crate::open::Store;

/// Lines that SQLite's own check returns, at most.
pub const MAX_INTEGRITY_LINES: u32 = 100;
/// Blobs that one call names, at most.
pub const MAX_NAMED_PER_READ: u32 = 4_096;

/// Bytes of a file that are read at a time.
const READ_BYTES: usize = 256 * 1024;

/// A file among the blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobFile {
    /// Where it lies.
    pub path: PathBuf,
    /// The digest that its name promises; `None` where the name is none.
    pub digest: Option<Digest>,
}

/// A blob that entries name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedBlob {
    /// Its digest.
    pub sha256: Digest,
    /// The largest length that any entry gives it.
    pub bytes: u64,
}

impl Store {
    /// What SQLite finds wrong with the database file, in its words: pages, indexes, references between tables.
    ///
    /// Returns at most [`MAX_INTEGRITY_LINES`] lines and as many references; none where all is well.
    ///
    /// # Errors
    /// [`ReadError::Fault`] where the file is too damaged to be looked at.
    pub async fn integrity(&self) -> Result<Vec<String>, ReadError> {
        // The bound stands in the statement: pragmas take no parameters.
        let mut lines =
            sqlx::query_scalar::<_, String>("PRAGMA integrity_check(100)").fetch_all(&self.readers()).await?;
        lines.retain(|line| line != "ok");
        let references = sqlx::query_as::<_, (String, String)>(
            "SELECT \"table\", parent FROM pragma_foreign_key_check LIMIT ?",
        )
        .bind(MAX_INTEGRITY_LINES)
        .fetch_all(&self.readers())
        .await?;
        lines.extend(
            references
                .into_iter()
                .map(|(table, parent)| format!("a row of {table} names no row of {parent}")),
        );
        Ok(lines)
    }

    /// The logs of which this registry, as a witness, has cosigned a head.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn witnessed(&self) -> Result<Vec<Origin>, ReadError> {
        sqlx::query_scalar::<_, String>("SELECT origin FROM witness ORDER BY origin")
            .fetch_all(&self.readers())
            .await?
            .iter()
            .map(|origin| parsed_from_sql(origin, "the origin of a cosigned log"))
            .collect()
    }

    /// The sizes of a log's heads of which cosignatures are kept, in order.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn cosigned_sizes(&self, log: LogId) -> Result<Vec<u64>, ReadError> {
        sqlx::query_scalar::<_, i64>("SELECT DISTINCT size FROM cosignature WHERE log = ? ORDER BY size")
            .bind(log.0)
            .fetch_all(&self.readers())
            .await?
            .into_iter()
            .map(|size| from_sql(size, "a cosigned size"))
            .collect()
    }

    /// The logs of which kept evidence is no longer what it was when it was kept.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn damaged_evidence(&self) -> Result<Vec<String>, ReadError> {
        let rows = sqlx::query_as::<_, (String, Vec<u8>, Vec<u8>, Vec<u8>)>(
            "SELECT origin, digest, a, b FROM evidence ORDER BY id",
        )
        .fetch_all(&self.readers())
        .await?;
        let is_damaged = |(_, digest, a, b): &(String, Vec<u8>, Vec<u8>, Vec<u8>)| {
            *digest != crate::evidence::pair_digest(a, b).as_bytes()[..]
        };
        Ok(rows.into_iter().filter(is_damaged).map(|(origin, ..)| origin).collect())
    }

    /// The blobs that entries name, by digest, at most `limit` and [`MAX_NAMED_PER_READ`].
    ///
    /// - `after`: the last digest of the answer before; `None` begins.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn named_blobs(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<NamedBlob>, ReadError> {
        let after = after.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default();
        sqlx::query_as::<_, (Vec<u8>, i64)>(
            "SELECT b.sha256, (SELECT coalesce(max(bytes), 0) FROM blob_use AS u WHERE u.sha256 = b.sha256)
             FROM blob AS b WHERE b.sha256 > ? ORDER BY b.sha256 LIMIT ?",
        )
        .bind(after)
        .bind(limit.min(MAX_NAMED_PER_READ))
        .fetch_all(&self.readers())
        .await?
        .into_iter()
        .map(|(sha256, bytes)| {
            let what = "a named blob";
            Ok(NamedBlob { sha256: digest_from_sql(&sha256, what)?, bytes: from_sql(bytes, what)? })
        })
        .collect()
    }

    /// Moves a file among the blobs to `blobs/rotten/`, under a name that is free. Blocking. Returns where it lies then.
    ///
    /// # Errors
    /// What the disk reports.
    pub fn set_aside(&self, path: &Path) -> std::io::Result<PathBuf> {
        let folder = self.inner.blobs.root().join("rotten");
        let shard =
            path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("{shard}{}", path.file_name().unwrap_or_default().to_string_lossy());
        let mut kept = folder.join(&name);
        let mut number = 1;
        while kept.exists() {
            kept = folder.join(format!("{name}.{number}"));
            number += 1;
        }
        std::fs::rename(path, &kept)?;
        Ok(kept)
    }

    /// The files whose digests begin with the byte `shard`, in order. Blocking.
    ///
    /// # Errors
    /// What the disk reports.
    pub fn blob_files(&self, shard: u8) -> std::io::Result<Vec<BlobFile>> {
        let folder = self.inner.blobs.root().join(format!("{shard:02x}"));
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{shard:02x}{}", entry.file_name().to_string_lossy());
            files.push(BlobFile { path: entry.path(), digest: Digest::parse(&name).ok() });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

/// A file's digest and length.
///
/// Blocking; read in pieces, whatever its length.
///
/// # Errors
/// What the disk reports.
pub fn digest_of_file(path: &Path) -> std::io::Result<(Digest, u64)> {
    let mut file = std::fs::File::open(path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; READ_BYTES]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((Digest::from(<[u8; 32]>::from(hash.finalize())), bytes));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}
