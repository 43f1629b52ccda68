//! What changes when a log moves forward? One value for all of it.

use brick_schemas::index_line::MAX_LINE_BYTES;
use brick_schemas::{BrickName, Digest, Version};

use crate::log::LogId;

/// Steps in one commit, at most.
pub const MAX_STEPS: usize = 4_096;
/// Leaves in a log, at most; also the largest number that JSON carries everywhere.
pub const MAX_LOG_SIZE: u64 = 1 << 53;
/// Bytes of a leaf, at most: C2SP entry bundles give its length two bytes.
pub const MAX_LEAF_BYTES: usize = 65_535;
/// Hashes in a tile, at most.
pub const MAX_TILE_HASHES: usize = 256;
/// Bytes of a signed note, at most: the bound of Go's note package.
const MAX_NOTE_BYTES: usize = 1_000_000;
/// Bytes of a decoded service entry, at most: a leaf of the largest size, shown with room for indentation.
const MAX_SERVICE_BYTES: usize = 4 * MAX_LEAF_BYTES;
/// Levels of tiles, as C2SP tlog-tiles counts them: 0 to 63.
const MAX_TILE_LEVEL: u8 = 63;
/// Levels of a tree over 65,536 buckets: 0 to 16.
const MAX_BUCKET_LEVEL: u8 = 16;
/// One log's step from `old_size` to `new_size`: its new leaves and all that follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStep {
    /// Which log.
    pub log: LogId,
    /// The size that the log must have now.
    pub old_size: u64,
    /// The size that it will have; equal to `old_size` when only the same head was signed again.
    pub new_size: u64,
    /// The new leaves in log order, exactly `new_size - old_size`.
    pub leaves: Vec<LeafRow>,
    /// Every tile that grew, whole.
    pub tiles: Vec<TileRow>,
    /// The note that the log signed at `new_size` (just made for a hosted log, as received for a mirrored one).
    pub checkpoint: Vec<u8>,
    /// The root in that note.
    pub root: Digest,
    /// New index lines, and lines whose release changed.
    pub lines: Vec<LineRow>,
    /// The index file of every brick in `lines`.
    pub files: Vec<FileRow>,
    /// Every node of the bucket tree that changed: those above the buckets of `files`.
    pub nodes: Vec<BucketNodeRow>,
    /// Service entries that are current from now on.
    pub services: Vec<ServiceRow>,
    /// Blobs that the new leaves name.
    pub blobs: Vec<BlobRow>,
    /// Whether readers are shown the log as of `new_size` at once, as [`Store::set_served`](crate::Store::set_served) does.
    pub is_served: bool,
}

impl LogStep {
    /// A step that adds nothing but a newly signed head; the caller fills in what else changed.
    pub fn new(log: LogId, old_size: u64, new_size: u64, checkpoint: Vec<u8>, root: Digest) -> Self {
        Self {
            log,
            old_size,
            new_size,
            leaves: Vec::new(),
            tiles: Vec::new(),
            checkpoint,
            root,
            lines: Vec::new(),
            files: Vec::new(),
            nodes: Vec::new(),
            services: Vec::new(),
            blobs: Vec::new(),
            is_served: false,
        }
    }
}

/// A leaf, as logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafRow {
    /// Its bytes, 1 to [`MAX_LEAF_BYTES`].
    pub bytes: Vec<u8>,
    /// What they are.
    pub kind: LeafKind,
}

/// What a leaf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafKind {
    /// A signed envelope.
    Envelope {
        /// SHA-256 of its payload: occurs once in a log.
        payload: Digest,
    },
    /// A snapshot leaf.
    Snapshot,
}

/// All hashes known so far of a tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileRow {
    /// C2SP tile level, 0 to 63.
    pub level: u8,
    /// C2SP tile index.
    pub index: u64,
    /// 1 to [`MAX_TILE_HASHES`] hashes of 32 bytes; begins with all that the store holds of this tile.
    pub hashes: Vec<u8>,
}

impl TileRow {
    /// Whether it has all its hashes, and will not grow.
    pub fn is_full(&self) -> bool {
        self.hashes.len() == MAX_TILE_HASHES * 32
    }
}

/// The index line of one release, new or in place of an older one; valid from the step's `new_size`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineRow {
    /// The brick.
    pub brick: BrickName,
    /// The release's version.
    pub version: Version,
    /// The leaf index of the release entry: the line's place in the file.
    pub entry: u64,
    /// The line, with the newline at its end and no other.
    pub line: String,
}

/// A brick's whole index file as of the step's `new_size`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// The brick.
    pub brick: BrickName,
    /// The first 16 bits of the SHA-256 of its name.
    pub bucket: u16,
    /// The digest of the file.
    pub sha256: Digest,
    /// Its length.
    pub bytes: u64,
}

/// A node of the bucket tree as of the step's `new_size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketNodeRow {
    /// 0, of the buckets themselves, to 16, of the root.
    pub level: u8,
    /// Counted from the left in its level, below 65,536; two nodes are below each.
    pub index: u32,
    /// Its hash.
    pub hash: Digest,
}

/// A service as its newest entry declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    /// Its name within the publisher.
    pub service: BrickName,
    /// The leaf index of the entry.
    pub entry: u64,
    /// The entry, decoded for people; kept as given.
    pub json: String,
}

/// A blob that an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRow {
    /// Its digest.
    pub sha256: Digest,
    /// Its length, as the entry says.
    pub bytes: u64,
    /// The leaf index of the entry.
    pub entry: u64,
    /// Whether the caller knows that it lies here, as [`Store::has_blob`](crate::Store::has_blob) says; otherwise the
    /// store looks for it.
    pub is_here: bool,
}

/// Checks what can be seen without the database.
pub(crate) fn check(step: &LogStep, steps: usize) -> Result<(), &'static str> {
    let is_sound = |ok, rule| if ok { Ok(()) } else { Err(rule) };
    is_sound(steps <= MAX_STEPS, "a commit has at most 4,096 steps")?;
    is_sound(step.new_size <= MAX_LOG_SIZE, "a log has at most 2^53 leaves")?;
    is_sound(
        step.new_size.checked_sub(step.old_size) == Some(step.leaves.len() as u64),
        "the leaves are not as many as the sizes say",
    )?;
    is_sound(step.checkpoint.len() <= MAX_NOTE_BYTES, "a checkpoint has at most 1,000,000 bytes")?;
    for leaf in &step.leaves {
        is_sound((1..=MAX_LEAF_BYTES).contains(&leaf.bytes.len()), "a leaf has 1 to 65,535 bytes")?;
    }
    for tile in &step.tiles {
        is_sound(tile.level <= MAX_TILE_LEVEL, "a tile's level is at most 63")?;
        is_sound(tile.index <= MAX_LOG_SIZE, "a tile's index is at most 2^53")?;
        is_sound(
            tile.hashes.len() % 32 == 0 && (1..=MAX_TILE_HASHES).contains(&(tile.hashes.len() / 32)),
            "a tile has 1 to 256 hashes of 32 bytes",
        )?;
    }
    for line in &step.lines {
        let body = line.line.strip_suffix('\n').ok_or("an index line ends in a newline")?;
        is_sound(!body.contains('\n'), "an index line has no other newline than its last")?;
        is_sound(body.len() <= MAX_LINE_BYTES, "an index line has at most 65,535 bytes")?;
        is_sound(line.entry < step.new_size, "a release's entry is in the log")?;
    }
    for file in &step.files {
        is_sound(file.bytes <= MAX_LOG_SIZE, "an index file's length is at most 2^53")?;
    }
    for node in &step.nodes {
        is_sound(
            node.level <= MAX_BUCKET_LEVEL && node.index <= u16::MAX.into(),
            "a bucket-tree node has a level up to 16 and an index below 65,536",
        )?;
    }
    for service in &step.services {
        is_sound(service.entry < step.new_size, "a service's entry is in the log")?;
        is_sound(service.json.len() <= MAX_SERVICE_BYTES, "a decoded service has at most 262,140 bytes")?;
    }
    for blob in &step.blobs {
        is_sound(blob.entry < step.new_size, "the entry that names a blob is in the log")?;
        is_sound(blob.bytes <= MAX_LOG_SIZE, "a blob's length is at most 2^53")?;
    }
    Ok(())
}
