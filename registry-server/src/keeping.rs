//! How do the disk and the processor work side by side on a blob that came? Its flush, its hash and the check of what is in it,
//! on three threads, and whoever waits for all of it is told by the last.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, sync_channel};

use brick_schemas::Digest;
use brick_schemas::predicate::Release;
use brick_store::{BlobWriter, Keeping};
use tokio::sync::OwnedRwLockReadGuard;

use crate::archive_check::Checking;
use crate::problem::Rejection;
use crate::registry::Registry;

/// No blob is swept while somebody holds it.
pub type Upload = Arc<OwnedRwLockReadGuard<()>>;

/// Where the sequencer is told that the blobs of an entry are kept and checked.
pub struct Told {
    told: Receiver<()>,
    /// How many there are.
    awaited: usize,
    _upload: Upload,
}

impl Told {
    /// - `told`: where each blob that is good is told once. When nobody is left who could tell, those that are missing are not.
    pub fn new(told: Receiver<()>, awaited: usize, upload: Upload) -> Self {
        Self { told, awaited, _upload: upload }
    }

    /// Whether all are as they must be. Waits until that is known: blocks the thread, for as long as a few flushes take.
    pub fn is_yes(&self) -> bool {
        (0..self.awaited).all(|_| self.told.recv().is_ok())
    }
}

/// A blob that came whole and is held in memory.
pub struct Held {
    /// Its name, as it was sent.
    pub sha256: Digest,
    /// What has it.
    pub writer: BlobWriter,
    /// Its bytes.
    pub bytes: Arc<Vec<u8>>,
}

/// A blob that is being kept, and the check of what is in it.
pub struct Kept<'a> {
    keeping: Keeping,
    checking: Option<Checking<'a>>,
}

impl<'a> Kept<'a> {
    /// Begins to keep a blob, and demands that it says what `release` says, if it is that one's archive. What turns out false is
    /// swept like any blob that no entry names.
    ///
    /// - `tell`: used once both are done and well; otherwise dropped.
    ///
    /// # Errors
    /// [`Rejection`] where the disk fails at once.
    pub async fn begin(
        registry: &'a Registry,
        held: Held,
        release: Option<&Release>,
        tell: Sender<()>,
    ) -> Result<Self, Rejection> {
        let Held { sha256, writer, bytes } = held;
        let release = release.filter(|release| release.archive.sha256 == sha256);
        let (say, said) = sync_channel(1);
        let is_unchecked = release.is_none();
        // The disk first: it takes longest, and needs no processor.
        let keeping = writer.keep(sha256, move || {
            if is_unchecked || said.recv().unwrap_or(false) {
                let _ = tell.send(());
            }
        });
        let keeping = keeping.await.map_err(|err| Rejection::from(&err))?;
        let checking = match release {
            Some(release) => {
                let say = move |is_good| {
                    let _ = say.send(is_good);
                };
                let limits = registry.settings.limits.archive();
                Some(registry.begin_check(bytes, release, limits, say).await)
            }
            None => None,
        };
        Ok(Self { keeping, checking })
    }

    /// Hashes it, on the calling thread. [`done`](Self::done) says what comes of it.
    pub fn hash(&mut self) {
        self.keeping.hash();
    }

    /// Waits until it is kept and checked.
    ///
    /// # Errors
    /// [`Rejection`] that says what is wrong with it.
    pub async fn done(self) -> Result<(), Rejection> {
        self.keeping.done().await.map_err(|err| Rejection::from(&err))?;
        match self.checking {
            Some(checking) => checking.done().await.map_err(|err| Rejection::refused(&err)),
            None => Ok(()),
        }
    }
}
