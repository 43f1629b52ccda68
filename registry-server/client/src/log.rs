//! Heads, tiles and entries of the logs that a registry holds (C2SP tlog-tiles), and the hashes that proofs need.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::fmt;

use brick_schemas::PublisherName;
use brick_schemas::api::{HeadsList, MAX_BODY_BYTES, MAX_LOGS};
use brick_tlog::Hash;
use brick_tlog::note::{MAX_NOTE_BYTES, Note};
use brick_tlog::proof::{MAX_PROOF_BYTES, Proof};
use brick_tlog::tile::{
    BundleId, MAX_ENTRY_BYTES, TILE_WIDTH, TileId, hash_in_tile, parse_bundle, tile_for, tile_of,
};
use brick_tlog::tree::{Node, ProveError, consistency_nodes, prove_consistency};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::client::{Client, Got, MAX_IN_FLIGHT};
use crate::error::AskError;

/// Bytes of a full bundle, at most.
const MAX_BUNDLE_BYTES: usize = TILE_WIDTH as usize * (MAX_ENTRY_BYTES + 2);
/// Entries that one call of [`Client::entries`] gives, at most; callers that need more ask in portions.
pub const MAX_ENTRIES: u64 = 16 * TILE_WIDTH as u64;

/// Where a registry keeps a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogPath {
    /// The commons log: `commons`.
    Commons,
    /// A publisher's log: `logs/<publisher>`.
    Publisher(PublisherName),
}

impl LogPath {
    /// The log that a registry serves at `path`; `None` for what is neither `commons` nor `logs/<publisher>`.
    pub fn parse(path: &str) -> Option<Self> {
        match path.strip_prefix("logs/") {
            Some(publisher) => PublisherName::parse(publisher).ok().map(Self::Publisher),
            None => (path == "commons").then_some(Self::Commons),
        }
    }
}

/// How far the logs of a registry go, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    /// Its word.
    pub list: HeadsList,
    /// What to ask with the next time.
    pub etag: Option<String>,
}

impl fmt::Display for LogPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogPath::Commons => f.write_str("commons"),
            LogPath::Publisher(name) => write!(f, "logs/{name}"),
        }
    }
}

/// Hashes of a tree's nodes, to make proofs from. Whether they are right shows against a root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TileHashes {
    hashes: HashMap<Node, Hash>,
}

/// A node that was not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hash of subtree {} on level {} was not fetched", .0.index, .0.level)]
pub struct MissingHash(pub Node);

impl TileHashes {
    /// The hash of `node`, in the shape that the functions of `tlog::tree` read with.
    ///
    /// # Errors
    /// [`MissingHash`] if it was not among those fetched.
    pub fn read(&self, node: Node) -> Result<Hash, MissingHash> {
        self.hashes.get(&node).copied().ok_or(MissingHash(node))
    }
}

impl Client {
    /// The head of a log; its signatures are not checked.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn checkpoint(&self, log: &LogPath) -> Result<Note, AskError> {
        let path = format!("{log}/checkpoint");
        let bytes = self.read(&path, MAX_NOTE_BYTES).await?;
        Note::parse(&bytes).map_err(|err| self.not_a_registry(&path, err))
    }

    /// As [`checkpoint`](Self::checkpoint), and `None` where the registry has no such log or no head of it.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn checkpoint_if_any(&self, log: &LogPath) -> Result<Option<Note>, AskError> {
        let path = format!("{log}/checkpoint");
        match self.read_if_there(&path, MAX_NOTE_BYTES).await? {
            Some(bytes) => Note::parse(&bytes).map(Some).map_err(|err| self.not_a_registry(&path, err)),
            None => Ok(None),
        }
    }

    /// The newest head of a log of at most so many leaves, whether a quorum has cosigned it or not; `None` where the
    /// registry has no such log, or no head so small. Its signatures are not checked, nor its size.
    ///
    /// - `at_most`: any size where absent.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn signed_head(&self, log: &LogPath, at_most: Option<u64>) -> Result<Option<Note>, AskError> {
        let path = "api/v1/checkpoint";
        let mut url = self.url(path);
        // A slash means nothing in a query: it need not be escaped.
        let size = at_most.map(|size| format!("&at_most={size}")).unwrap_or_default();
        url.set_query(Some(&format!("path={log}{size}")));
        match self.get(url, MAX_NOTE_BYTES, None).await {
            Ok(Got::Found { bytes, .. }) => {
                Note::parse(&bytes).map(Some).map_err(|err| self.not_a_registry(path, err))
            }
            Ok(Got::NotModified) => Err(self.unasked_304(path)),
            Err(err) if err.is_missing() => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// How far each log goes that the registry holds; `None` while that is still what the ETag stands for.
    ///
    /// - `etag`: that of the list at hand, if there is one.
    ///
    /// # Errors
    /// [`AskError`], also for more than [`MAX_LOGS`] of them.
    pub async fn heads(&self, etag: Option<&str>) -> Result<Option<Heads>, AskError> {
        let path = "api/v1/heads";
        match self.get(self.url(path), MAX_BODY_BYTES, etag).await? {
            Got::Found { bytes, etag } => {
                let list: HeadsList = brick_schemas::json::from_slice(&bytes).map_err(|err| {
                    self.not_a_registry(path, brick_schemas::text::escape(&err.to_string()))
                })?;
                if list.heads.len() > MAX_LOGS {
                    let what = format!("it lists {} logs, more than {MAX_LOGS}", list.heads.len());
                    return Err(self.not_a_registry(path, what));
                }
                Ok(Some(Heads { list, etag }))
            }
            Got::NotModified if etag.is_some() => Ok(None),
            Got::NotModified => Err(self.unasked_304(path)),
        }
    }

    /// The tlog-proof of the last leaf under the current head of a publisher's log, the snapshot in `extra`.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn snapshot(&self, publisher: &PublisherName) -> Result<Proof, AskError> {
        let path = format!("logs/{publisher}/snapshot");
        let bytes = self.read(&path, MAX_PROOF_BYTES).await?;
        Proof::parse(&bytes).map_err(|err| self.not_a_registry(&path, err))
    }

    /// The bytes of a tile, exactly as wide as `tile` says. A partial tile that is gone is cut from the full one.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn tile(&self, log: &LogPath, tile: TileId) -> Result<Vec<u8>, AskError> {
        let fetch = async |id: TileId| {
            let path = format!("{log}/{id}");
            let bytes = self.read(&path, id.bytes()).await?;
            match bytes.len() == id.bytes() {
                true => Ok(bytes),
                false => Err(self.not_a_registry(
                    &path,
                    format_args!("the tile has {} bytes instead of {}", bytes.len(), id.bytes()),
                )),
            }
        };
        match fetch(tile).await {
            Err(err) if err.is_missing() && tile != tile.full() => {
                let mut bytes = fetch(tile.full()).await?;
                bytes.truncate(tile.bytes());
                Ok(bytes)
            }
            answer => answer,
        }
    }

    /// The entries `from..to` of a log, in order.
    ///
    /// - `to`: a size that the log signed, for which partial bundles are served.
    ///
    /// At most [`MAX_ENTRIES`] are given; fewer than asked for means: ask again from where these end.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn entries(&self, log: &LogPath, from: u64, to: u64) -> Result<Vec<Vec<u8>>, AskError> {
        let width = u64::from(TILE_WIDTH);
        let until = to.min(from.saturating_add(MAX_ENTRIES));
        let bundles = (from / width..until.div_ceil(width))
            .filter_map(|index| BundleId::of_entry((index * width).max(from), to));
        let bundles: Vec<Vec<Vec<u8>>> = stream::iter(bundles)
            .map(|bundle| async move { self.bundle(log, bundle).await })
            .buffered(MAX_IN_FLIGHT / 4) // a bundle can be 16 MiB
            .try_collect()
            .await?;
        let skip = usize::try_from(from % width).expect("below 256");
        let count = usize::try_from(until.saturating_sub(from)).expect("at most MAX_ENTRIES");
        Ok(bundles.into_iter().flatten().skip(skip).take(count).collect())
    }

    /// The entries of a bundle, exactly as many as `bundle` says. A partial one that is gone is cut from the full one.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn bundle(&self, log: &LogPath, bundle: BundleId) -> Result<Vec<Vec<u8>>, AskError> {
        let fetch = async |id: BundleId| {
            let path = format!("{log}/{id}");
            let bytes = self.read(&path, MAX_BUNDLE_BYTES).await?;
            let entries =
                parse_bundle(&bytes, id.width().into()).map_err(|err| self.not_a_registry(&path, err))?;
            Ok(entries.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>())
        };
        match fetch(bundle).await {
            Err(err) if AskError::is_missing(&err) && bundle != bundle.full() => {
                let mut entries = fetch(bundle.full()).await?;
                entries.truncate(bundle.width().into());
                Ok(entries)
            }
            answer => answer,
        }
    }

    /// The hashes of `nodes` in a log's tree of `size` leaves, from as few tiles as possible, all at once.
    ///
    /// - `nodes`: as one of the `…_nodes` functions of `tlog::tree` names them for that size; those that such a tree
    ///   does not have complete are passed over.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn hashes(&self, log: &LogPath, size: u64, nodes: &[Node]) -> Result<TileHashes, AskError> {
        let tiles: BTreeSet<TileId> = nodes.iter().filter_map(|node| tile_for(*node, size)).collect();
        let tiles: HashMap<(u8, u64), Vec<u8>> = stream::iter(tiles)
            .map(|tile| async move {
                Ok::<_, AskError>(((tile.level(), tile.index()), self.tile(log, tile).await?))
            })
            .buffer_unordered(MAX_IN_FLIGHT)
            .try_collect()
            .await?;
        let hash = |node: &Node| {
            let slice = tile_of(*node);
            let tile = tiles.get(&(slice.level, slice.index))?;
            Some((*node, hash_in_tile(*node, tile).ok()?))
        };
        Ok(TileHashes { hashes: nodes.iter().filter_map(hash).collect() })
    }

    /// The hashes that show a log's tree of `old` leaves to be the beginning of that of `new`, made from its tiles.
    /// They are to be checked against both roots.
    ///
    /// # Errors
    /// [`ProveError`] unless `old <= new`, or with the [`AskError`].
    pub async fn consistency(
        &self,
        log: &LogPath,
        old: u64,
        new: u64,
    ) -> Result<Vec<Hash>, ProveError<AskError>> {
        let nodes = consistency_nodes(old, new).map_err(|err: ProveError<Infallible>| match err {
            ProveError::Read(never) => match never {},
            ProveError::NoSuchLeaf { index, size } => ProveError::NoSuchLeaf { index, size },
            ProveError::Shrinks { old, new } => ProveError::Shrinks { old, new },
        })?;
        let hashes = self.hashes(log, new, &nodes).await.map_err(ProveError::Read)?;
        prove_consistency(old, new, |node| {
            hashes.read(node).map_err(|err| self.not_a_registry(&format!("{log}/tile"), err))
        })
    }
}
