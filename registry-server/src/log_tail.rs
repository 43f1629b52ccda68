//! Where does a log grow? Its right edge: enough to append leaves and compute roots without reading the log.

use std::collections::BTreeMap;
use std::time::Instant;

use brick_schemas::{Origin, PublisherName};
use brick_store::{LogId, ReadError, Store, TileRow};
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::snapshot::{BucketTree, SnapshotLeaf};
use brick_tlog::tile::{TILE_WIDTH, parse_tile, tile_of};
use brick_tlog::tree::{Frontier, Node, root_nodes};

use crate::nodes::{NodeError, Nodes};

/// Tree levels in one tile level.
const LEVELS_PER_TILE: u8 = 8;

/// The right edge of one log.
#[derive(Clone, Debug)]
pub struct LogTail {
    /// The log's number in the store.
    pub log: LogId,
    /// Its origin.
    pub origin: Origin,
    /// Whose it is; `None` for the commons log.
    pub publisher: Option<PublisherName>,
    /// The bucket tree's root under the last snapshot.
    pub index_root: Hash,
    /// The last snapshot's time.
    pub snapshot_time: Option<u64>,
    /// Bricks that the log releases, once somebody has counted them.
    pub brick_count: Option<u64>,
    frontier: Frontier,
    /// The edge under the last signed head, apart from the one above: two must err alike before a wrong root is signed.
    signed: Option<Frontier>,
    /// When the stored tiles were last compared with it.
    pub(crate) compared: Instant,
    /// Hashes of the partial tile at each tile level.
    edge: Vec<Vec<Hash>>,
    /// The partial tiles that grew since [`LogTail::take_tiles`], by level: their indices.
    grown: BTreeMap<u8, u64>,
    /// The tiles that became full since then.
    filled: BTreeMap<(u8, u64), Vec<Hash>>,
}

impl LogTail {
    /// Reads the edge of a stored log, and proves it against the head that was signed for it.
    ///
    /// # Errors
    /// [`NodeError`] where the store is damaged or its tiles do not add up to the signed root: nothing may be signed then.
    pub async fn load(store: &Store, log: &brick_store::Log) -> Result<Self, NodeError> {
        let mut nodes = Nodes::new(store, log.id);
        let peaks = root_nodes(log.size);
        nodes.load(&peaks).await?;
        let peaks = peaks.iter().map(|node| nodes.read(*node)).collect::<Result<Vec<_>, _>>()?;
        let frontier =
            Frontier::from_parts(log.size, peaks).map_err(|_| NodeError::Damaged { log: log.id })?;
        let mut edge = Vec::new();
        let mut width = log.size;
        let mut level = 0;
        while width > 0 {
            let partial = (width % u64::from(TILE_WIDTH)) as usize;
            let hashes = match partial {
                0 => Vec::new(),
                _ => {
                    let row =
                        store.tile(log.id, level, width / u64::from(TILE_WIDTH)).await?.unwrap_or_default();
                    let mut hashes = parse_tile(&row).map_err(|_| NodeError::Damaged { log: log.id })?;
                    if hashes.len() < partial {
                        return Err(NodeError::Damaged { log: log.id });
                    }
                    hashes.truncate(partial);
                    hashes
                }
            };
            edge.push(hashes);
            width /= u64::from(TILE_WIDTH);
            level += 1;
        }
        let checkpoint = store.last_checkpoint(log.id).await?;
        if let Some(checkpoint) = &checkpoint
            && (checkpoint.size != log.size || checkpoint.root.as_bytes() != frontier.root().as_bytes())
        {
            return Err(NodeError::Damaged { log: log.id });
        }
        let last = match log.size.checked_sub(1) {
            Some(last) if log.publisher.is_some() => store.leaves(log.id, last..log.size).await?.pop(),
            _ => None,
        };
        // The bytes from which the next snapshot is made must be the ones that were signed.
        if let (Some(leaf), Some(index)) = (&last, log.size.checked_sub(1)) {
            let place = Node { level: 0, index };
            nodes.load(&[place]).await?;
            if nodes.read(place)? != leaf_hash(leaf) {
                return Err(NodeError::Damaged { log: log.id });
            }
        }
        let snapshot = match last {
            Some(leaf) => Some(SnapshotLeaf::parse(&leaf).map_err(|_| NodeError::Damaged { log: log.id })?),
            None => None,
        };
        Ok(Self {
            log: log.id,
            origin: log.origin.clone(),
            publisher: log.publisher.clone(),
            index_root: snapshot.map_or_else(|| BucketTree::new().root(), |snapshot| snapshot.index_root),
            snapshot_time: snapshot.map(|snapshot| snapshot.time),
            brick_count: None,
            signed: checkpoint.map(|_| frontier.clone()),
            compared: Instant::now(),
            frontier,
            edge,
            grown: BTreeMap::new(),
            filled: BTreeMap::new(),
        })
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The edge under the last signed head; `None` while none was signed.
    pub fn signed(&self) -> Option<&Frontier> {
        self.signed.as_ref()
    }

    /// Notes the edge under a head that has been signed.
    pub fn note_signed(&mut self, signed: Frontier) {
        self.signed = Some(signed);
    }

    /// The partial tiles at the right edge: with those that just grew, all that proofs of the newest leaves are made of.
    pub fn edge_tiles(&self) -> impl Iterator<Item = TileRow> {
        let mut size = self.size();
        self.edge.iter().zip(0..).filter_map(move |(hashes, level)| {
            let index = size / u64::from(TILE_WIDTH);
            size = index;
            let bytes = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
            (!hashes.is_empty()).then_some(TileRow { level, index, hashes: bytes })
        })
    }

    /// Appends a leaf's bytes.
    pub fn push(&mut self, leaf: &[u8]) {
        for (node, hash) in self.frontier.push(leaf_hash(leaf)) {
            self.keep(node, hash);
        }
    }

    fn keep(&mut self, node: Node, hash: Hash) {
        if !node.level.is_multiple_of(LEVELS_PER_TILE) {
            return;
        }
        let place = tile_of(node);
        let level = usize::from(place.level);
        if self.edge.len() <= level {
            self.edge.resize(level + 1, Vec::new());
        }
        self.edge[level].push(hash);
        if self.edge[level].len() == usize::from(TILE_WIDTH) {
            self.grown.remove(&place.level);
            self.filled.insert((place.level, place.index), std::mem::take(&mut self.edge[level]));
        } else {
            self.grown.insert(place.level, place.index);
        }
    }

    /// The tiles that grew, whole, for the store.
    pub fn take_tiles(&mut self) -> Vec<TileRow> {
        let mut tiles = std::mem::take(&mut self.filled);
        for (level, index) in std::mem::take(&mut self.grown) {
            tiles.insert((level, index), self.edge[usize::from(level)].clone());
        }
        tiles
            .into_iter()
            .map(|((level, index), hashes)| TileRow {
                level,
                index,
                hashes: hashes.iter().flat_map(|hash| *hash.as_bytes()).collect(),
            })
            .collect()
    }
}

impl From<ReadError> for NodeError {
    fn from(err: ReadError) -> Self {
        NodeError::Read(err)
    }
}
