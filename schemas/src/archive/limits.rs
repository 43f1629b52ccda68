//! How big may an archive be? (design §3)

use super::path::MAX_PATH_BYTES;

/// Bytes of an archive as sent, at most.
const MAX_ARCHIVE_BYTES: u64 = 16 << 20;
/// Bytes of the unpacked tar stream, at most; headers and padding count.
const MAX_UNPACKED_BYTES: u64 = 128 << 20;
/// Files in an archive, at most.
const MAX_FILE_COUNT: usize = 4_096;
/// Bytes of tar stream for one byte of archive, at most.
const MAX_RATIO: u64 = 200;

/// The bounds that an archive is read and written under. Can be lowered, never raised over [`Limits::default`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the archive as sent.
    pub archive_bytes: u64,
    /// Bytes of the unpacked tar stream, headers and padding included.
    pub unpacked_bytes: u64,
    /// Files.
    pub file_count: usize,
    /// Bytes of a path, without the archive's folder.
    pub path_bytes: usize,
    /// Bytes of tar stream for each byte of archive.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            archive_bytes: MAX_ARCHIVE_BYTES,
            unpacked_bytes: MAX_UNPACKED_BYTES,
            file_count: MAX_FILE_COUNT,
            path_bytes: MAX_PATH_BYTES,
            ratio: MAX_RATIO,
        }
    }
}

impl Limits {
    /// Of each bound the smaller one.
    pub fn lower_of(self, other: Self) -> Self {
        Self {
            archive_bytes: self.archive_bytes.min(other.archive_bytes),
            unpacked_bytes: self.unpacked_bytes.min(other.unpacked_bytes),
            file_count: self.file_count.min(other.file_count),
            path_bytes: self.path_bytes.min(other.path_bytes),
            ratio: self.ratio.min(other.ratio),
        }
    }
}

/// Which bound an archive is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// The archive as sent.
    #[error("the archive has {bytes} bytes, at most {max} are allowed")]
    ArchiveBytes {
        /// How many it has.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// The tar stream; reading stopped at the bound.
    #[error("the archive unpacks to more than {max} bytes")]
    UnpackedBytes {
        /// The bound.
        max: u64,
    },
    /// Compressed beyond belief; reading stopped at the bound.
    #[error("the archive unpacks to more than {max} times its size")]
    Ratio {
        /// The bound.
        max: u64,
    },
    /// Too many files.
    #[error("the archive holds more than {max} files")]
    FileCount {
        /// The bound.
        max: usize,
    },
    /// A long path.
    #[error("the path `{path}` has {bytes} bytes, at most {max} are allowed")]
    PathBytes {
        /// The path, escaped.
        path: String,
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A path that, with the archive's folder, does not go into a ustar header.
    #[error(
        "the path `{path}` does not fit a ustar header: a folder of up to 155 bytes and the rest up to 100"
    )]
    Header {
        /// The path with the folder.
        path: String,
    },
}
