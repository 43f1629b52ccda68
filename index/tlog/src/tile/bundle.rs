//! The entries of a log, 256 to a file.

use std::fmt;
use std::str::FromStr;

use crate::checkpoint::MAX_TREE_SIZE;

use super::{InvalidTileId, MAX_TILE_INDEX, TILE_WIDTH, grown, number};

/// The longest entry, in bytes: its length is written in two.
pub const MAX_ENTRY_BYTES: usize = 65_535;

const LENGTH_BYTES: usize = 2;

/// One bundle of entries: which 256 of them, and how many are there.
///
/// ```text
/// tile/entries/x001/067          full
/// tile/entries/x001/067.p/8      the first 8
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId {
    index: u64,
    width: u16,
}

impl BundleId {
    /// The bundle `index`, as it is when it has `width` entries.
    ///
    /// # Errors
    /// [`InvalidTileId`] unless `index` is at most [`MAX_TILE_INDEX`] and `width` 1 to [`TILE_WIDTH`].
    pub fn new(index: u64, width: u16) -> Result<BundleId, InvalidTileId> {
        let named = index <= MAX_TILE_INDEX && (1..=TILE_WIDTH).contains(&width);
        if named { Ok(BundleId { index, width }) } else { Err(InvalidTileId) }
    }

    /// The bundle that holds entry `entry` of a log of `size` entries, as wide as it is then; `None` if that log has
    /// no such entry.
    pub fn of_entry(entry: u64, size: u64) -> Option<BundleId> {
        let index = entry / u64::from(TILE_WIDTH);
        let width = size.checked_sub(index * u64::from(TILE_WIDTH))?.min(TILE_WIDTH.into());
        if entry < size { BundleId::new(index, width as u16).ok() } else { None }
    }

    /// The bundle whose path below the log's prefix is `path`, as [`path`](BundleId::path) gives it.
    ///
    /// # Errors
    /// [`InvalidTileId`] for any other spelling.
    pub fn parse(path: &str) -> Result<BundleId, InvalidTileId> {
        let place = path.strip_prefix("tile/entries/").and_then(number::parse_place);
        let (index, width) = place.ok_or(InvalidTileId)?;
        BundleId::new(index, width)
    }

    /// Its path below the log's prefix, without a leading slash.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// Its place, counted from 0: entries `256 * index` and on.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many entries it has, 1 to [`TILE_WIDTH`].
    pub fn width(&self) -> u16 {
        self.width
    }

    /// The number of its first entry.
    pub fn first_entry(&self) -> u64 {
        self.index * u64::from(TILE_WIDTH)
    }

    /// The same bundle when it is full. Where a partial one is gone, its entries are the first of this one.
    pub fn full(&self) -> BundleId {
        BundleId { width: TILE_WIDTH, ..*self }
    }
}

impl FromStr for BundleId {
    type Err = InvalidTileId;

    fn from_str(path: &str) -> Result<BundleId, InvalidTileId> {
        BundleId::parse(path)
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "tile/entries/{}", number::place(self.index, self.width))
    }
}

/// All bundles of a log of `size` entries, each as wide as it is then. Lazy, because there may be billions.
pub fn bundles(size: u64) -> impl Iterator<Item = BundleId> {
    new_bundles(0, size)
}

/// The bundles of a log of `new` entries that a log of `old` does not have in the same width.
pub fn new_bundles(old: u64, new: u64) -> impl Iterator<Item = BundleId> {
    grown(old.min(MAX_TREE_SIZE), new.min(MAX_TREE_SIZE)).map(|(index, width)| BundleId { index, width })
}

/// Why entries are not a bundle, or bytes are not the bundle expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// None, or more than [`TILE_WIDTH`].
    #[error("a bundle has 1 to {TILE_WIDTH} entries, not {entries}")]
    Count {
        /// How many there are or should be.
        entries: usize,
    },
    /// Over [`MAX_ENTRY_BYTES`].
    #[error("entry {entry} of the bundle has {bytes} bytes, at most {MAX_ENTRY_BYTES} are possible")]
    EntryTooLong {
        /// Which, counted from 0.
        entry: usize,
        /// Its length.
        bytes: usize,
    },
    /// The bytes end within an entry or before it.
    #[error("the bundle ends before its entry {entry} does")]
    Truncated {
        /// Which, counted from 0.
        entry: usize,
    },
    /// Bytes after the last entry expected.
    #[error("the bundle has {bytes} bytes after its last entry")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
}

/// The bytes of a bundle: each entry after its length in two big-endian bytes.
///
/// ```text
/// 00 03 "one" 00 03 "two" 00 05 "three"
/// ```
///
/// # Errors
/// [`BundleError`] for no entry, too many, or one too long.
pub fn encode_bundle(entries: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, BundleError> {
    check_count(entries.len())?;
    let mut bytes = Vec::new();
    for (at, entry) in entries.iter().map(AsRef::as_ref).enumerate() {
        let length = u16::try_from(entry.len())
            .map_err(|_| BundleError::EntryTooLong { entry: at, bytes: entry.len() })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle.
///
/// - `expected_count`: how many it must have, 1 to [`TILE_WIDTH`]; the width in its path.
///
/// # Errors
/// [`BundleError`] unless the bytes are exactly that many entries.
pub fn parse_bundle(bytes: &[u8], expected_count: usize) -> Result<Vec<&[u8]>, BundleError> {
    check_count(expected_count)?;
    let mut entries = Vec::with_capacity(expected_count);
    let mut rest = bytes;
    for entry in 0..expected_count {
        let (length, after) =
            rest.split_first_chunk::<LENGTH_BYTES>().ok_or(BundleError::Truncated { entry })?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (bytes, after) = after.split_at_checked(length).ok_or(BundleError::Truncated { entry })?;
        entries.push(bytes);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(BundleError::TrailingBytes { bytes: rest.len() }) }
}

fn check_count(entries: usize) -> Result<(), BundleError> {
    let possible = (1..=usize::from(TILE_WIDTH)).contains(&entries);
    if possible { Ok(()) } else { Err(BundleError::Count { entries }) }
}
