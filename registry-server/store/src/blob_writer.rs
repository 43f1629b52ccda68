//! How does a blob come to the disk? Its bytes first, then its name, each flushed, while it is hashed.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use brick_schemas::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use crate::blob::{BlobError, SHARDS};
use crate::crash_point::crash_point;
use crate::open::Store;
use crate::trouble::Standing;

/// Bytes of a blob that is received in memory and written at once, at most. A larger one goes to the disk as it comes.
const MAX_SMALL_BYTES: u64 = 512 * 1024;
/// Bytes of all such blobs together, at most; beyond, they go to the disk as they come.
pub(crate) const MAX_RECEIVING_BYTES: usize = 32 * 1024 * 1024;

/// A blob that is being received. Unless [`finish`](Self::finish) succeeds, nothing of it stays.
pub struct BlobWriter {
    sink: Sink,
    bytes: u64,
    max_bytes: u64,
    root: PathBuf,
    settled: Arc<[AtomicBool; SHARDS]>,
    standing: Arc<Standing>,
}

/// Where the bytes of a blob go while they come.
enum Sink {
    /// One trip to the disk at the end: making, writing, flushing and renaming a file apart costs a change of threads each.
    Memory { bytes: Arc<Vec<u8>>, _room: OwnedSemaphorePermit },
    /// A temporary file, and the hash of what is in it.
    File { file: tokio::fs::File, tmp: TempPath, hash: Box<Sha256> },
}

impl BlobWriter {
    /// Adds bytes.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] as soon as the bound would be passed, before anything of `bytes` is written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let total = self.bytes.saturating_add(bytes.len() as u64);
        if total > self.max_bytes {
            return Err(BlobError::TooLarge { max_bytes: self.max_bytes });
        }
        match &mut self.sink {
            Sink::Memory { bytes: so_far, .. } => Arc::make_mut(so_far).extend_from_slice(bytes),
            Sink::File { file, hash, .. } => {
                hash.update(bytes);
                let written = file.write_all(bytes).await.map_err(BlobError::io("write"));
                written.inspect_err(|err| self.standing.note_blob(Some(err)))?;
            }
        }
        self.bytes = total;
        Ok(())
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What has come, where it is held in memory: whoever wants to look at it need not read it from the disk.
    pub fn in_memory(&self) -> Option<Arc<Vec<u8>>> {
        match &self.sink {
            Sink::Memory { bytes, .. } => Some(bytes.clone()),
            Sink::File { .. } => None,
        }
    }

    /// Keeps the blob under its name, if it is the one expected. When this returns `Ok`, a power cut does not lose it.
    ///
    /// Two writers of one blob do not disturb each other: both files hold the same bytes, and the later name wins.
    ///
    /// # Errors
    /// [`BlobError::WrongDigest`]; or what the disk reports.
    pub async fn finish(self, expected: Digest) -> Result<(), BlobError> {
        self.keep(expected, || {}).await?.done().await
    }

    /// Begins to keep the blob on another thread, which does `then` once a power cut would not lose it any more; if it is not the
    /// one expected, or cannot be kept, `then` is dropped.
    ///
    /// # Errors
    /// As [`finish`](Self::finish), where that is known at once.
    pub async fn keep(
        self,
        expected: Digest,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<Keeping, BlobError> {
        crash_point("blob-received");
        let tmp_dir = self.root.join("tmp");
        let begin: Box<dyn FnOnce() -> Result<(fs::File, TempPath), BlobError> + Send>;
        // The disk and the processor work side by side: what is held in memory is hashed while it is flushed.
        let (verdict, told) = std::sync::mpsc::sync_channel(1);
        let mut unhashed = None;
        match self.sink {
            Sink::Memory { bytes, _room } => {
                unhashed = Some(bytes.clone());
                begin = Box::new(move || {
                    let _room = _room;
                    let mut made =
                        tempfile::NamedTempFile::new_in(tmp_dir).map_err(BlobError::io("begin"))?;
                    made.write_all(&bytes).map_err(BlobError::io("write"))?;
                    Ok(made.into_parts())
                });
            }
            Sink::File { mut file, tmp, hash } => {
                compare(expected, Digest::from(<[u8; 32]>::from(hash.finalize())))?;
                file.flush().await.map_err(BlobError::io("write"))?;
                let file = file.into_std().await;
                begin = Box::new(move || Ok((file, tmp)));
                // There is room for one.
                let _ = verdict.send(true);
            }
        }
        let shard = self.root.join(format!("{:02x}", expected.as_bytes()[0]));
        let path = shard.join(&expected.to_string()[2..]);
        let (settled, standing) = (self.settled, self.standing.clone());
        let keep = move || {
            // Before anything has the name: whoever could not open it then would not know whether the name is durable.
            let folder = fs::File::open(&shard).map_err(BlobError::io("open the folder of"))?;
            let (file, mut tmp) = begin()?;
            crash_point("blob-written");
            // The bytes first: a name that is durable before them would name an empty or torn file after a power cut.
            file.sync_all().map_err(BlobError::io("flush"))?;
            crash_point("blob-flushed");
            // Whoever would tell is gone: then nobody waits for the blob either.
            if !told.recv().unwrap_or(false) {
                return Ok(false);
            }
            fs::rename(&tmp, &path).map_err(BlobError::io("rename"))?;
            tmp.disable_cleanup(true);
            crash_point("blob-renamed");
            // Then the name: a rename lives in the folder, and without this comes back under the temporary one.
            // The folder's own name was flushed when the store was opened, so nothing above it is new.
            if let Err(err) = folder.sync_all() {
                // The name is visible but not known to be durable, and asking again could say so falsely.
                standing.suspect(expected);
                return Err(BlobError::io("flush the name of")(err));
            }
            settled[usize::from(expected.as_bytes()[0])].store(true, Ordering::Release);
            crash_point("blob-kept");
            Ok(true)
        };
        let standing = self.standing;
        let keeping = tokio::task::spawn_blocking(move || {
            let kept = keep();
            standing.note_blob(kept.as_ref().err());
            if kept? {
                then();
            }
            Ok(())
        });
        Ok(Keeping { expected, unhashed, verdict, compared: Ok(()), keeping })
    }
}

fn compare(expected: Digest, found: Digest) -> Result<(), BlobError> {
    match found == expected {
        true => Ok(()),
        false => Err(BlobError::WrongDigest { expected, found }),
    }
}

/// A blob that is being kept on another thread, up to where it is known to be the one expected. Dropping this before
/// [`hash`](Self::hash) leaves nothing of it.
pub struct Keeping {
    expected: Digest,
    /// What is still to be hashed.
    unhashed: Option<Arc<Vec<u8>>>,
    verdict: SyncSender<bool>,
    /// What hashing came to.
    compared: Result<(), BlobError>,
    keeping: JoinHandle<Result<(), BlobError>>,
}

impl Keeping {
    /// Hashes the blob, on the calling thread, and lets it be kept if it is the one expected; [`done`](Self::done) says whether it
    /// was.
    pub fn hash(&mut self) {
        let Some(bytes) = self.unhashed.take() else { return };
        self.compared = compare(self.expected, Digest::of(&bytes));
        // There is room for one.
        let _ = self.verdict.send(self.compared.is_ok());
    }

    /// Waits until the blob is kept.
    ///
    /// # Errors
    /// As [`BlobWriter::finish`].
    pub async fn done(mut self) -> Result<(), BlobError> {
        self.hash();
        let kept = self.keeping.await;
        self.compared.and(kept.unwrap_or_else(|err| Err(BlobError::io("keep")(io::Error::other(err)))))
    }
}

impl Store {
    /// Begins to receive a blob of at most `max_bytes`.
    ///
    /// # Errors
    /// [`Fault::Stopped`](crate::Fault::Stopped) after a disk failure; [`BlobError::DiskFull`] and the like.
    pub async fn blob_writer(&self, max_bytes: u64) -> Result<BlobWriter, BlobError> {
        self.writable()?;
        let blobs = &self.inner.blobs;
        let room = match u32::try_from(max_bytes) {
            Ok(bytes) if max_bytes <= MAX_SMALL_BYTES => {
                blobs.receiving.clone().try_acquire_many_owned(bytes).ok()
            }
            _ => None,
        };
        let sink = match room {
            Some(room) => {
                let bytes = Vec::with_capacity(usize::try_from(max_bytes).unwrap_or_default());
                Sink::Memory { bytes: Arc::new(bytes), _room: room }
            }
            None => {
                let tmp_dir = blobs.tmp();
                let (file, tmp) =
                    tokio::task::spawn_blocking(move || tempfile::NamedTempFile::new_in(tmp_dir))
                        .await
                        .unwrap_or_else(|err| Err(io::Error::other(err)))
                        .map_err(BlobError::io("begin"))
                        .inspect_err(|err| blobs.standing.note_blob(Some(err)))?
                        .into_parts();
                Sink::File { file: tokio::fs::File::from_std(file), tmp, hash: Box::new(Sha256::new()) }
            }
        };
        Ok(BlobWriter {
            sink,
            bytes: 0,
            max_bytes,
            root: blobs.root.clone(),
            settled: blobs.settled.clone(),
            standing: blobs.standing.clone(),
        })
    }
}
