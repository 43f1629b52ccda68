//! Which hash stands at this place in a stored log's tree? Read from tiles: a handful of rows for any proof.

use std::collections::HashMap;

use brick_store::{LogId, ReadError, Store, TileRow};
use brick_tlog::hash::Hash;
use brick_tlog::tile::{hash_in_tile, tile_of};
use brick_tlog::tree::{
    Node, ProveError, consistency_nodes, inclusion_nodes, prove_consistency, prove_inclusion, root,
    root_nodes,
};

/// Why a proof could not be made from the store.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The database's words.
    #[error(transparent)]
    Read(ReadError),
    /// Stored tiles that are missing or do not add up.
    #[error("the stored tree of log {log} is damaged")]
    Damaged {
        /// The log.
        log: LogId,
    },
    /// A place outside the log.
    #[error("log {log} has no such place")]
    OutOfRange {
        /// The log.
        log: LogId,
    },
}

/// Roots kept, at most.
const ROOTS: usize = 4_096;

/// The roots that entries name as their basis: what a log once had at a size it has for ever.
pub struct KeptRoots(quick_cache::sync::Cache<(LogId, u64), Hash>);

impl Default for KeptRoots {
    fn default() -> Self {
        Self(quick_cache::sync::Cache::new(ROOTS))
    }
}

impl KeptRoots {
    /// Forgets all of them.
    pub fn forget(&self) {
        self.0.clear();
    }

    /// Notes a root.
    pub fn keep(&self, log: LogId, size: u64, root: Hash) {
        self.0.insert((log, size), root);
    }

    /// The log's root at `size`, from the store where it is not kept.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn root_at(&self, store: &Store, log: LogId, size: u64) -> Result<Hash, NodeError> {
        match self.0.get(&(log, size)) {
            Some(root) => Ok(root),
            None => {
                let root = Nodes::new(store, log).root_at(size).await?;
                self.keep(log, size, root);
                Ok(root)
            }
        }
    }
}

/// Tiles of one log, as far as they were needed.
pub struct Nodes<'a> {
    store: &'a Store,
    log: LogId,
    tiles: HashMap<(u8, u64), Vec<u8>>,
}

impl<'a> Nodes<'a> {
    /// No tiles yet.
    pub fn new(store: &'a Store, log: LogId) -> Self {
        Self { store, log, tiles: HashMap::new() }
    }

    /// Puts tiles in that were written just now, so that they need not be read.
    pub fn keep(&mut self, tiles: impl IntoIterator<Item = TileRow>) {
        self.tiles.extend(tiles.into_iter().map(|tile| ((tile.level, tile.index), tile.hashes)));
    }

    /// Reads the tiles that hold `nodes`.
    ///
    /// # Errors
    /// [`NodeError::Read`].
    pub async fn load(&mut self, nodes: &[Node]) -> Result<(), NodeError> {
        for node in nodes {
            let place = tile_of(*node);
            if !self.tiles.contains_key(&(place.level, place.index)) {
                let row = self.store.tile(self.log, place.level, place.index).await?;
                self.tiles.insert((place.level, place.index), row.unwrap_or_default());
            }
        }
        Ok(())
    }

    /// A node's hash, from the tiles read.
    ///
    /// # Errors
    /// [`NodeError::Damaged`] where its tile is missing or too short.
    pub fn read(&self, node: Node) -> Result<Hash, NodeError> {
        let place = tile_of(node);
        let damaged = || NodeError::Damaged { log: self.log };
        let tile = self.tiles.get(&(place.level, place.index)).ok_or_else(damaged)?;
        hash_in_tile(node, tile).map_err(|_| damaged())
    }

    fn fault(&self, err: ProveError<NodeError>) -> NodeError {
        match err {
            ProveError::Read(err) => err,
            _ => NodeError::OutOfRange { log: self.log },
        }
    }

    /// The log's root at `size`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn root_at(&mut self, size: u64) -> Result<Hash, NodeError> {
        self.load(&root_nodes(size)).await?;
        root(size, |node| self.read(node))
    }

    /// The path of leaf `index` under the head of `size`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn inclusion(&mut self, index: u64, size: u64) -> Result<Vec<Hash>, NodeError> {
        let nodes = inclusion_nodes(index, size).map_err(|_| NodeError::OutOfRange { log: self.log })?;
        self.load(&nodes).await?;
        prove_inclusion(index, size, |node| self.read(node)).map_err(|err| self.fault(err))
    }

    /// The hashes that show the head of `new` leaves to extend that of `old`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn consistency(&mut self, old: u64, new: u64) -> Result<Vec<Hash>, NodeError> {
        let nodes = consistency_nodes(old, new).map_err(|_| NodeError::OutOfRange { log: self.log })?;
        self.load(&nodes).await?;
        prove_consistency(old, new, |node| self.read(node)).map_err(|err| self.fault(err))
    }
}
