//! Where is a peer's copy of a log read from? At its address where it answers as a registry does, otherwise from its git
//! repository. Nothing of it is believed yet.

use brick_client::{Client, LogPath};
use brick_index::follow::{FollowError, Follower, View};
use brick_schemas::Digest;
use brick_tlog::hash::Hash;
use brick_tlog::tile::{BundleId, TILE_WIDTH};
use brick_tlog::tree::ProveError;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::io::AsyncReadExt as _;

use crate::blocking::blocking;
use crate::git_process::GitProcess;
use crate::registry::Registry;
use crate::settings::Peer;
use crate::sync::SyncError;

/// Leaves that come at once from a git repository, at most.
const LEAVES_AT_A_TIME: u64 = 1_024;
/// Bundles that are asked for at a time; each can be 16 MiB.
const BUNDLES: usize = 4;
/// Bytes of leaves after which whoever goes through them one by one waits for no more at once.
pub(crate) const BYTES_AT_A_TIME: usize = 4 * 1024 * 1024;
/// Bytes of git's last words that are read.
const MAX_WORDS: u64 = 4_096;

/// A peer's copies of logs.
#[derive(Clone)]
pub enum Source {
    /// Its git repository, as it was fetched last.
    Git(Follower),
    /// Its address.
    Http(Client),
}

impl Source {
    /// Brings the copy of the peer's repository forward. A fetch that takes too long is killed, its helpers with it.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn fetch(registry: &Registry, peer: &Peer) -> Result<Follower, SyncError> {
        let name = format!("{}.git", Digest::of(peer.git.as_bytes()));
        let path = registry.settings.data.join("peers").join(name);
        let url = peer.git.clone();
        let follower = blocking(move || Follower::open(&path, &url)).await?;
        let mut git = GitProcess::start(follower.fetch_command()).map_err(FollowError::Start)?;
        let stderr = git.child.stderr.take();
        let run = async {
            let mut words = Vec::new();
            if let Some(stderr) = stderr {
                let _ = stderr.take(MAX_WORDS).read_to_end(&mut words).await;
            }
            git.child.wait().await.map(|status| (status, words))
        };
        let limit = registry.settings.patience.fetch;
        let ended = tokio::time::timeout(limit, run).await;
        let slow = |_| SyncError::Slow { url: peer.git.clone(), limit };
        let (status, words) = ended.map_err(slow)?.map_err(FollowError::Start)?;
        match status.success() {
            true => Ok(follower),
            false => Err(follower.fetch_error(&words).into()),
        }
    }

    /// The newest head of a log, or one on the way to it: the newest of at most so many leaves. `None` where the peer has no
    /// such log or shows no such head: git holds the newest alone.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn head(&self, log: &LogPath, at_most: Option<u64>) -> Result<Option<Vec<u8>>, SyncError> {
        match self {
            Self::Http(client) => Ok(client.signed_head(log, at_most).await?.map(|note| note.to_bytes())),
            Self::Git(_) if at_most.is_some() => Ok(None),
            Self::Git(follower) => {
                let folder = log.to_string();
                Ok(in_view(follower, move |view| view.checkpoint(&folder)).await?.flatten())
            }
        }
    }

    /// The first leaves of `from..to`: all of them, or fewer where they are many or long, but not none.
    ///
    /// - `size`: that of a head of the peer's, not below `to`.
    /// - `enough`: bytes after which no more are waited for.
    ///
    /// # Errors
    /// [`SyncError`], also where the first is missing.
    pub async fn leaves(
        &self,
        log: &LogPath,
        from: u64,
        to: u64,
        size: u64,
        enough: usize,
    ) -> Result<Vec<Vec<u8>>, SyncError> {
        match self {
            Self::Http(client) => bundled_leaves(client, log, (from, to, size), enough).await,
            Self::Git(follower) => {
                let folder = log.to_string();
                let to = to.min(from.saturating_add(LEAVES_AT_A_TIME));
                let leaves = in_view(follower, move |view| view.leaves(&folder, from, to)).await?;
                leaves.ok_or_else(|| SyncError::Gone { log: log.to_string() })
            }
        }
    }

    /// The hashes that show the first `old` leaves of a log to be the beginning of the first `new`, to be checked; `None` from
    /// git, which has none.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn consistency(
        &self,
        log: &LogPath,
        old: u64,
        new: u64,
    ) -> Result<Option<Vec<Hash>>, SyncError> {
        match self {
            Self::Git(_) => Ok(None),
            Self::Http(client) => match client.consistency(log, old, new).await {
                Ok(path) => Ok(Some(path)),
                Err(ProveError::Read(err)) => Err(err.into()),
                // What cannot be proved at all is not proved by an empty path either.
                Err(_) => Ok(Some(Vec::new())),
            },
        }
    }
}

async fn bundled_leaves(
    client: &Client,
    log: &LogPath,
    (from, to, size): (u64, u64, u64),
    enough: usize,
) -> Result<Vec<Vec<u8>>, SyncError> {
    let width = u64::from(TILE_WIDTH);
    let ids = (from / width..to.div_ceil(width))
        .filter_map(|index| BundleId::of_entry((index * width).max(from), size));
    let mut bundles = stream::iter(ids).map(|id| client.bundle(log, id)).buffered(BUNDLES);
    let mut skip = usize::try_from(from % width).expect("below 256");
    let (mut leaves, mut bytes) = (Vec::new(), 0);
    let most = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    while let Some(bundle) = bundles.try_next().await? {
        let left = most - leaves.len();
        for leaf in bundle.into_iter().skip(std::mem::take(&mut skip)).take(left) {
            bytes += leaf.len();
            leaves.push(leaf);
        }
        if bytes >= enough {
            break;
        }
    }
    match leaves.is_empty() && from < to {
        true => Err(SyncError::Gone { log: log.to_string() }),
        false => Ok(leaves),
    }
}

/// Reads from the peer's repository on a thread of its own; `None` where it has no commit yet.
pub(crate) async fn in_view<T: Send + 'static>(
    follower: &Follower,
    read: impl FnOnce(&View) -> Result<T, FollowError> + Send + 'static,
) -> Result<Option<T>, FollowError> {
    let follower = follower.clone();
    blocking(move || match follower.view()? {
        Some(view) => read(&view).map(Some),
        None => Ok(None),
    })
    .await
}
