//! Where do the bytes lie that entries name? Files by digest, written once, whole or not at all.
//!
//! Who trusts a blob file: nobody; its digest is compared when it comes, and again by whoever reads it. Losing one costs
//! a fetch from any other holder.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use brick_schemas::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::crash_point::crash_point;
use crate::fault::Fault;
use crate::open::{OpenError, Store, sync_dir};
use crate::trouble::{Standing, is_out_of_files};

/// Folders that blobs are spread over: one for every first byte of a digest.
const SHARDS: usize = 256;

/// Why a blob could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// More bytes than the writer or reader allows.
    #[error("the blob has more than {max_bytes} bytes")]
    TooLarge {
        /// The bound given.
        max_bytes: u64,
    },
    /// What came is not what was announced. It is not kept.
    #[error("the blob should be {expected}, it is {found}")]
    WrongDigest {
        /// The digest announced.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The file no longer has the bytes that its name promises. It must not be served;
    /// [`Store::set_aside_rotten`] makes room for a good copy.
    #[error("the stored blob {digest} is damaged")]
    Rotten {
        /// Its name.
        digest: Digest,
    },
    /// No room for it.
    #[error("the disk of the store is full")]
    DiskFull(#[source] io::Error),
    /// The file system refuses writes.
    #[error("the store is on a read-only file system")]
    ReadOnly(#[source] io::Error),
    /// As many files are open as this process, or the machine, may have.
    #[error("the store cannot open a blob: too many files are open")]
    NoFiles(#[source] io::Error),
    /// The disk failed.
    #[error("cannot {doing} a blob")]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// Why it failed.
        #[source]
        err: io::Error,
    },
    /// The database or the disk failed, or a disk failure came before.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl BlobError {
    fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |err| match err.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(err),
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(err),
            _ if is_out_of_files(&err) => Self::NoFiles(err),
            _ => Self::Io { doing, err },
        }
    }
}

/// The folder of blobs.
pub(crate) struct BlobDir {
    root: PathBuf,
    /// Whether the names in each shard are known to be flushed, see [`settle`].
    settled: Arc<[AtomicBool; SHARDS]>,
    standing: Arc<Standing>,
    /// Room in memory for blobs that are being received, in bytes.
    receiving: Arc<Semaphore>,
}

impl BlobDir {
    /// Makes the folders that are not there yet, and removes what an interrupted process was receiving.
    ///
    /// All shards are made here, so that no later write has a new folder whose own name would have to be flushed.
    pub(crate) fn open(root: &Path, standing: Arc<Standing>) -> Result<Self, OpenError> {
        let file = |doing, path: &Path| {
            let path = path.to_owned();
            move |err| OpenError::File { doing, path, err }
        };
        let make = |dir: &Path| match fs::create_dir(dir) {
            Err(err) if err.kind() != io::ErrorKind::AlreadyExists => Err(file("make", dir)(err)),
            _ => Ok(()),
        };
        make(root)?;
        make(&root.join("tmp"))?;
        make(&root.join("rotten"))?;
        for shard in 0..SHARDS {
            make(&root.join(format!("{shard:02x}")))?;
        }
        // The shards' names; and `blobs` itself is flushed with the store's directory, when the database is there.
        sync_dir(root)?;

        let tmp = root.join("tmp");
        for entry in fs::read_dir(&tmp).map_err(file("read", &tmp))? {
            let path = entry.map_err(file("read", &tmp))?.path();
            fs::remove_file(&path).map_err(file("remove", &path))?;
        }
        let settled = Arc::new([const { AtomicBool::new(false) }; SHARDS]);
        let receiving = Arc::new(Semaphore::new(MAX_RECEIVING_BYTES));
        Ok(Self { root: root.to_owned(), settled, standing, receiving })
    }

    fn shard(&self, digest: &Digest) -> PathBuf {
        self.root.join(format!("{:02x}", digest.as_bytes()[0]))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.shard(digest).join(&digest.to_string()[2..])
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Forgets which folders were flushed: after a failed flush that is not known any more.
    pub(crate) fn unsettle(&self) {
        self.settled.iter().for_each(|shard| shard.store(false, Ordering::Release));
    }

    /// Where blobs lie while they come.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Which of `digests` lie here so that a power cut would not take them.
    ///
    /// A file that cannot be asked for counts as missing: the worst that follows is one more fetch.
    pub(crate) async fn which_are_here(&self, digests: Vec<Digest>) -> HashSet<Digest> {
        if digests.is_empty() {
            return HashSet::new();
        }
        let paths = digests.iter().map(|digest| self.path(digest)).collect::<Vec<_>>();
        let settled = self.settled.clone();
        let look = move || {
            // Of very many none may be here, and that is seen at once.
            let mut empty = [None; SHARDS];
            let is_many = digests.len() > SHARDS;
            let is_here = |(digest, path): &(Digest, PathBuf)| {
                let is_empty = &mut empty[usize::from(digest.as_bytes()[0])];
                let is_empty =
                    is_many && *is_empty.get_or_insert_with(|| path.parent().is_some_and(is_empty_dir));
                !is_empty && path.is_file() && settle(&settled, digest, path)
            };
            digests.into_iter().zip(paths).filter(is_here).map(|(digest, _)| digest).collect()
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }
}

fn is_empty_dir(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut names| names.next().is_none())
}

/// Flushes the folder of `path` once in the life of this process: a process killed between renaming a blob and flushing
/// its folder leaves a name that this one sees, but that a power cut would still take. Later names are flushed one by one.
fn settle(settled: &[AtomicBool; SHARDS], digest: &Digest, path: &Path) -> bool {
    let flag = &settled[usize::from(digest.as_bytes()[0])];
    if flag.load(Ordering::Acquire) {
        return true;
    }
    let is_flushed = path.parent().is_some_and(|shard| sync_dir(shard).is_ok());
    if is_flushed {
        flag.store(true, Ordering::Release);
    }
    is_flushed
}

/// Bytes of a blob that is received in memory and written at once, at most. A larger one goes to the disk as it comes.
const MAX_SMALL_BYTES: u64 = 512 * 1024;
/// Bytes of all such blobs together, at most; beyond, they go to the disk as they come.
const MAX_RECEIVING_BYTES: usize = 32 * 1024 * 1024;

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
        crash_point("blob-received");
        let compare = |found| match found == expected {
            true => Ok(()),
            false => Err(BlobError::WrongDigest { expected, found }),
        };
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
                compare(Digest::from(<[u8; 32]>::from(hash.finalize())))?;
                file.flush().await.map_err(BlobError::io("write"))?;
                let file = file.into_std().await;
                begin = Box::new(move || Ok((file, tmp)));
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
                return Ok(());
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
            Ok(())
        };
        let keeping = tokio::task::spawn_blocking(keep);
        // What else the caller has to begin goes before the hash.
        tokio::task::yield_now().await;
        let compared = unhashed.map_or(Ok(()), |bytes| compare(Digest::of(&bytes)));
        // There is room for one.
        let _ = verdict.send(compared.is_ok());
        let kept = keeping.await.unwrap_or_else(|err| Err(BlobError::io("keep")(io::Error::other(err))));
        self.standing.note_blob(kept.as_ref().err());
        compared.and(kept)
    }
}

impl Store {
    /// Begins to receive a blob of at most `max_bytes`.
    ///
    /// # Errors
    /// [`Fault::Stopped`] after a disk failure; [`BlobError::DiskFull`] and the like.
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

    /// Whether the blob is here, so that a power cut would not take it. Its bytes are not read.
    pub async fn has_blob(&self, digest: &Digest) -> bool {
        self.inner.blobs.which_are_here(vec![*digest]).await.contains(digest)
    }

    /// Where the blob lies, or would lie.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.inner.blobs.path(digest)
    }

    /// The blob's file and length, for streaming. The digest is not compared: whoever receives it must, and does, since
    /// it asked by digest.
    ///
    /// # Errors
    /// What the disk reports.
    pub async fn open_blob(&self, digest: &Digest) -> Result<Option<(tokio::fs::File, u64)>, BlobError> {
        let file = match tokio::fs::File::open(self.blob_path(digest)).await {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(BlobError::io("open")(err)),
        };
        let bytes = file.metadata().await.map_err(BlobError::io("open"))?.len();
        Ok(Some((file, bytes)))
    }

    /// The blob's bytes, at most `max_bytes` of them, compared with its digest.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`]; [`BlobError::Rotten`], after which [`set_aside_rotten`](Self::set_aside_rotten) lets it
    /// be fetched again.
    pub async fn read_blob(&self, digest: &Digest, max_bytes: u64) -> Result<Option<Vec<u8>>, BlobError> {
        let Some((file, length)) = self.open_blob(digest).await? else { return Ok(None) };
        if length > max_bytes {
            return Err(BlobError::TooLarge { max_bytes });
        }
        // The bound holds for what is read as well: the file could have grown since its length was asked.
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).await.map_err(BlobError::io("read"))?;
        if Digest::of(&bytes) != *digest {
            return Err(BlobError::Rotten { digest: *digest });
        }
        Ok(Some(bytes))
    }

    /// Moves the blob's file to `blobs/rotten/` if it is damaged indeed, and reports the blob missing from then on.
    /// Returns whether it was damaged.
    ///
    /// # Errors
    /// What the disk or the database reports.
    pub async fn set_aside_rotten(&self, digest: &Digest) -> Result<bool, BlobError> {
        match self.read_blob(digest, u64::MAX).await {
            Err(BlobError::Rotten { .. }) => {}
            Ok(_) => return Ok(false),
            Err(err) => return Err(err),
        }
        let kept = self.inner.blobs.root.join("rotten").join(digest.to_string());
        tokio::fs::rename(self.blob_path(digest), kept).await.map_err(BlobError::io("set aside"))?;
        self.report_missing(digest).await?;
        Ok(true)
    }
}
