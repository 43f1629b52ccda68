//! Where do the bytes lie that entries name? Files by digest, written once, whole or not at all.
//!
//! Who trusts a blob file: nobody; its digest is compared when it comes, and again by whoever reads it. Losing one costs
//! a fetch from any other holder.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use brick_schemas::Digest;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;

use crate::blob_writer::MAX_RECEIVING_BYTES;
use crate::fault::Fault;
use crate::open::{OpenError, Store, sync_dir};
use crate::trouble::{Standing, is_out_of_files};

/// Folders that blobs are spread over: one for every first byte of a digest.
pub(crate) const SHARDS: usize = 256;

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
    pub(crate) fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
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
    pub(crate) root: PathBuf,
    /// Whether the names in each shard are known to be flushed, see [`settle`].
    pub(crate) settled: Arc<[AtomicBool; SHARDS]>,
    pub(crate) standing: Arc<Standing>,
    /// Room in memory for blobs that are being received, in bytes.
    pub(crate) receiving: Arc<Semaphore>,
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

impl Store {
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
