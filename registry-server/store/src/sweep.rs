//! Which blobs does no entry name? What refused uploads left behind, removed after a time of grace.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use brick_schemas::Digest;

use crate::blob::BlobError;
use crate::fault::Fault;
use crate::open::Store;

/// One step of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Blobs removed.
    pub removed: usize,
    /// The last blob looked at, to go on after; `None` at the end.
    pub last: Option<Digest>,
}

impl Store {
    /// Removes the blobs among the next `limit` that no entry names and that have lain here for `grace`.
    ///
    /// - `after`: the last digest looked at before; `None` begins.
    ///
    /// The caller sees to it that nobody is about to log an entry that names one of them: what is looked up as here must
    /// still be here when the entry is.
    ///
    /// # Errors
    /// What the disk or the database reports; what was removed by then stays removed.
    pub async fn sweep_blobs(
        &self,
        after: Option<&Digest>,
        limit: usize,
        grace: Duration,
    ) -> Result<Swept, BlobError> {
        self.writable()?;
        let (root, after) = (self.inner.blobs.root().to_owned(), after.copied());
        let (old, last) = tokio::task::spawn_blocking(move || list(&root, after, limit, grace))
            .await
            .unwrap_or_else(|err| Err(io::Error::other(err)))
            .map_err(|err| BlobError::Io { doing: "list", err })?;
        let mut named = HashSet::new();
        for digest in &old {
            let is_named =
                sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT 1 FROM blob WHERE sha256 = ?)")
                    .bind(&digest.as_bytes()[..])
                    .fetch_one(&self.readers())
                    .await
                    .map_err(Fault::from)?;
            if is_named {
                named.insert(*digest);
            }
        }
        let mut removed = 0;
        for digest in old.iter().filter(|digest| !named.contains(*digest)) {
            match tokio::fs::remove_file(self.blob_path(digest)).await {
                Ok(()) => removed += 1,
                Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                Err(err) => return Err(BlobError::Io { doing: "remove", err }),
            }
        }
        Ok(Swept { removed, last })
    }
}

/// The digests of the next `limit` files that are old enough, and the last one that was looked at.
fn list(
    root: &std::path::Path,
    after: Option<Digest>,
    limit: usize,
    grace: Duration,
) -> io::Result<(Vec<Digest>, Option<Digest>)> {
    let first = after.map_or(0, |after| after.as_bytes()[0]);
    let (mut old, mut last, mut looked) = (Vec::new(), None, 0);
    for shard in first..=u8::MAX {
        let folder = root.join(format!("{shard:02x}"));
        let mut files: Vec<(Digest, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = format!("{shard:02x}{}", entry.file_name().to_string_lossy());
            // Anything else in there is not the store's.
            if let Ok(digest) = Digest::parse(&name)
                && after.is_none_or(|after| digest > after)
            {
                files.push((digest, entry.path()));
            }
        }
        files.sort();
        for (digest, path) in files {
            if looked >= limit {
                return Ok((old, last));
            }
            looked += 1;
            last = Some(digest);
            let modified = std::fs::metadata(&path)?.modified()?;
            if SystemTime::now().duration_since(modified).unwrap_or_default() >= grace {
                old.push(digest);
            }
        }
    }
    Ok((old, if looked < limit { None } else { last }))
}
