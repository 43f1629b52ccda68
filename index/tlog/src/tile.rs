//! How is a tree published as immutable files?
//!
//! A tile holds up to 256 hashes of one level end to end, 32 bytes each; a tile of level `l` holds the roots of
//! full tiles of level `l - 1`, so only every eighth level of the tree is stored and the others are computed.
//! Hash `i` of tile `n` of level `l` is the subtree `Node { level: 8 * l, index: 256 * n + i }`. A tile that is not
//! full yet is another file, which names its width.
//!
//! ```text
//! tile/0/x001/067          full: 256 hashes, 8192 bytes
//! tile/0/x001/067.p/8      the first 8 of them
//! ```
//!
//! The entries themselves come in bundles of the same 256, see [`BundleId`].
//!
//! Source: C2SP tlog-tiles v0.1.0.

mod bundle;
mod number;

use std::fmt;
use std::iter;
use std::ops::Range;
use std::str::FromStr;

use crate::Hash;
use crate::checkpoint::MAX_TREE_SIZE;
use crate::hash::{HASH_BYTES, node_hash};
use crate::tree::Node;

pub use bundle::{BundleError, BundleId, MAX_ENTRY_BYTES, bundles, encode_bundle, new_bundles, parse_bundle};
pub use number::{MAX_TILE_INDEX, encode_path_number};

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// The highest level of a tile that can be named.
pub const MAX_TILE_LEVEL: u8 = 63;

/// The largest tile, in bytes.
pub const MAX_TILE_BYTES: usize = TILE_WIDTH as usize * HASH_BYTES;

/// Log2 of [`TILE_WIDTH`]: levels of the tree in one level of tiles.
const TILE_HEIGHT: u8 = 8;

/// One tile of hashes: which, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

/// A text or numbers do not name a tile or a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the path or number of a tile")]
pub struct InvalidTileId;

impl TileId {
    /// The tile `index` of `level`, as it is when it has `width` hashes.
    ///
    /// # Errors
    /// [`InvalidTileId`] unless `level` is at most [`MAX_TILE_LEVEL`], `index` at most [`MAX_TILE_INDEX`] and
    /// `width` 1 to [`TILE_WIDTH`].
    pub fn new(level: u8, index: u64, width: u16) -> Result<TileId, InvalidTileId> {
        let named = level <= MAX_TILE_LEVEL && index <= MAX_TILE_INDEX && (1..=TILE_WIDTH).contains(&width);
        if named { Ok(TileId { level, index, width }) } else { Err(InvalidTileId) }
    }

    /// The tile whose path below the log's prefix is `path`, as [`path`](TileId::path) gives it.
    ///
    /// # Errors
    /// [`InvalidTileId`] for any other spelling, among them those of bundles.
    pub fn parse(path: &str) -> Result<TileId, InvalidTileId> {
        let (level, rest) =
            path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(InvalidTileId)?;
        let level = crate::lines::decimal(level, MAX_TILE_LEVEL.into()).ok_or(InvalidTileId)?;
        let (index, width) = number::parse_place(rest).ok_or(InvalidTileId)?;
        TileId::new(level as u8, index, width)
    }

    /// Its path below the log's prefix, without a leading slash.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// The level of tiles: 0 holds leaf hashes.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Its place on its level, counted from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes it has, 1 to [`TILE_WIDTH`].
    pub fn width(&self) -> u16 {
        self.width
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        usize::from(self.width) * HASH_BYTES
    }

    /// The same tile when it is full. Where a partial one is gone, its hashes are the first of this one.
    pub fn full(&self) -> TileId {
        TileId { width: TILE_WIDTH, ..*self }
    }

    /// The subtrees whose hashes it has, in order; none if their level is above any tree's.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        let level = self.level.checked_mul(TILE_HEIGHT).filter(|level| u32::from(*level) < u64::BITS);
        let first = self.index * u64::from(TILE_WIDTH);
        let width = u64::from(self.width);
        level
            .into_iter()
            .flat_map(move |level| (first..first + width).map(move |index| Node { level, index }))
    }
}

impl FromStr for TileId {
    type Err = InvalidTileId;

    fn from_str(path: &str) -> Result<TileId, InvalidTileId> {
        TileId::parse(path)
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "tile/{}/{}", self.level, number::place(self.index, self.width))
    }
}

/// All tiles of the tree of `size` leaves, level by level, each as wide as it is then.
///
/// Lazy, because there may be billions. Sizes above [`MAX_TREE_SIZE`] are taken as that.
pub fn tiles(size: u64) -> impl Iterator<Item = TileId> {
    new_tiles(0, size)
}

/// The tiles of the tree of `new` leaves that the tree of `old` does not have in the same width: what a log writes
/// when it grows, and what a mirror fetches.
pub fn new_tiles(old: u64, new: u64) -> impl Iterator<Item = TileId> {
    let (old, new) = (old.min(MAX_TREE_SIZE), new.min(MAX_TREE_SIZE));
    let levels =
        (0..).map(|level: u8| (level, level * TILE_HEIGHT)).take_while(move |(_, shift)| new >> shift != 0);
    levels.flat_map(move |(level, shift)| {
        grown(old >> shift, new >> shift).map(move |(index, width)| TileId { level, index, width })
    })
}

/// The places, each with its width, that hold `new` hashes in tiles and differ from those that hold `old`.
fn grown(old: u64, new: u64) -> impl Iterator<Item = (u64, u16)> {
    let width = u64::from(TILE_WIDTH);
    let (first, end) = if old < new { (old / width, new.div_ceil(width)) } else { (0, 0) };
    (first..end).map(move |index| (index, (new - index * width).min(width) as u16))
}

/// Where the hash of a subtree can be found or computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileSlice {
    /// The tile's level.
    pub level: u8,
    /// The tile's place on its level.
    pub index: u64,
    /// Which hashes of the tile, counted from 0, are under the subtree: one, or a power of two of them.
    pub hashes: Range<usize>,
}

/// The part of a tile from which the hash of `node` follows. The tile must have at least `hashes.end` hashes.
pub fn tile_of(node: Node) -> TileSlice {
    let below = node.level % TILE_HEIGHT;
    let first = (node.index & (u64::MAX >> (64 - (TILE_HEIGHT - below)))) << below;
    let first = usize::try_from(first).expect("a place within a tile is below 256");
    TileSlice {
        level: node.level / TILE_HEIGHT,
        index: node.index >> (TILE_HEIGHT - below),
        hashes: first..first + (1 << below),
    }
}

/// The tile to fetch for the hash of `node` from a log of `size` entries, as wide as it is then; `None` if that
/// tree does not have the subtree complete.
pub fn tile_for(node: Node, size: u64) -> Option<TileId> {
    let slice = tile_of(node);
    let hashes = size.checked_shr(u32::from(slice.level) * u32::from(TILE_HEIGHT))?;
    let before = slice.index.checked_mul(TILE_WIDTH.into())?;
    let width = hashes.checked_sub(before)?.min(TILE_WIDTH.into());
    let complete = slice.hashes.end as u64 <= width;
    if complete { TileId::new(slice.level, slice.index, width as u16).ok() } else { None }
}

/// Why a hash does not follow from a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Empty, over [`MAX_TILE_BYTES`], or not whole hashes.
    #[error("a tile is 1 to {TILE_WIDTH} hashes of {HASH_BYTES} bytes, not {bytes} bytes")]
    Length {
        /// Bytes given.
        bytes: usize,
    },
    /// Fewer hashes than are needed.
    #[error("the tile has {found} hashes, {needed} are needed")]
    TooNarrow {
        /// How many it has.
        found: usize,
        /// How many of its first must be there.
        needed: usize,
    },
}

/// The hash of `node` from the bytes of the tile that [`tile_of`] names.
///
/// - `tile`: that tile, full or partial; a wrong one gives a wrong hash, which only a root can tell.
///
/// # Errors
/// [`TileError`] if the bytes are no tile, or one too narrow.
pub fn hash_in_tile(node: Node, tile: &[u8]) -> Result<Hash, TileError> {
    let hashes = parse_tile(tile)?;
    let needed = tile_of(node).hashes;
    let found = hashes.len();
    let under = hashes.get(needed.clone()).ok_or(TileError::TooNarrow { found, needed: needed.end })?;
    let levels = iter::successors(Some(under.to_vec()), |level| {
        let above = level.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect::<Vec<_>>();
        (!above.is_empty()).then_some(above)
    });
    Ok(levels.last().expect("there is a first level")[0])
}

/// The hashes of a tile, at most 256.
///
/// # Errors
/// [`TileError::Length`] if the bytes are no tile.
pub fn parse_tile(tile: &[u8]) -> Result<Vec<Hash>, TileError> {
    let (hashes, rest) = tile.as_chunks::<HASH_BYTES>();
    if hashes.is_empty() || !rest.is_empty() || tile.len() > MAX_TILE_BYTES {
        return Err(TileError::Length { bytes: tile.len() });
    }
    Ok(hashes.iter().map(|hash| Hash::from(*hash)).collect())
}

/// The bytes of tile `id`.
///
/// - `read`: gives the hash of a complete subtree; asked for [`TileId::nodes`] in order.
///
/// # Errors
/// Whatever `read` fails with.
pub fn encode_tile<E>(id: TileId, mut read: impl FnMut(Node) -> Result<Hash, E>) -> Result<Vec<u8>, E> {
    let mut bytes = Vec::with_capacity(id.bytes());
    for node in id.nodes() {
        bytes.extend_from_slice(read(node)?.as_bytes());
    }
    Ok(bytes)
}
