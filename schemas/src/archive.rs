//! Which bytes are a brick's archive? Exactly one gzip'd POSIX ustar of regular files (design §6).
//!
//! `<brick>-<version>.brick` can be opened by anybody's `tar`, and read by ours only when every byte that carries no
//! content is the byte that [`write()`] would have put there. One frame, then one stream of 512-byte blocks:
//!
//! ```text
//! gzip   1f 8b 08 00  00 00 00 00  02 ff    deflate, no flags, time 0, "best compression", unknown system
//!        …                                  one deflate stream
//!        crc32, length                      little-endian, of the tar stream below; nothing after
//!
//! tar    header, content, zeros to 512      for each file, bytewise by path
//!        512 zeros, 512 zeros               the end; nothing after
//!
//! header   0 name     100  the path, zeros after   case-handling-1.4.0/brick.toml
//!        100 mode       8  0000644\0
//!        108 uid        8  0000000\0
//!        116 gid        8  0000000\0
//!        124 size      12  eleven octal digits \0  00000000052\0 for 42 bytes
//!        136 mtime     12  00000000000\0
//!        148 checksum   8  seven octal digits \0   sum of the header's bytes, these eight counted as spaces
//!        156 type       1  0
//!        157 link     100  zeros
//!        257 magic      8  ustar\0 00
//!        265 names     64  zeros
//!        329 device    16  zeros
//!        345 prefix   155  of a path over 100 bytes: as many whole folders as fit, the `/` after them is left out
//!        500           12  zeros
//! ```
//!
//! Every path begins with the folder `<brick>-<version>/`; folders have no members of their own. How the deflate stream
//! was made is left open (a stored block is as good as a squeezed one): an archive's identity is the SHA-256 of its bytes, so
//! two spellings of the same files are two archives with the same [`Contents`], and re-compression need not give the
//! same bytes back. [`write()`] itself always gives the same bytes for the same files.
//!
//! Decided here, because other tools differ: paths beyond ASCII are allowed in NFC ([`ArchivePath`] says which
//! characters), a component may not begin with `-`, and a gzip header with a time, a name or another system is refused.

mod gzip;
mod header;
mod limits;
mod path;
mod read;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::ops::Range;

pub use gzip::GzipError;
pub use limits::{LimitError, Limits};
pub use path::{ArchivePath, MAX_PATH_BYTES, PathError, PathRule};
pub use read::{ArchiveError, read};
pub use tree::{Tree, TreeError};
pub use write::{WriteError, write};

use crate::digest::{Contents, Digest};
use crate::name::BrickName;
use crate::version::Version;

/// The name of the manifest, which every archive holds at its top.
pub const MANIFEST_PATH: &str = "brick.toml";
/// The ending of an archive's file name.
pub const ARCHIVE_EXTENSION: &str = "brick";

/// The folder that all files of a release's archive lie in, without a slash; also its file name before the ending.
///
/// At most 64 + 1 + 64 bytes.
pub fn folder(name: &BrickName, version: &Version) -> String {
    format!("{name}-{version}")
}

/// Checks that an archive of release `version` of `name` can hold a file at `path`, beside which others are not looked at.
///
/// # Errors
/// [`LimitError::Header`] when the path, with the archive's folder, does not go into a header.
pub fn check_fits(name: &BrickName, version: &Version, path: &ArchivePath) -> Result<(), LimitError> {
    header::canonical(&format!("{}/{path}", folder(name, version)), 0).map(drop)
}

/// Go's dirhash of `files`, in whatever order they come: what [`Archive::contents`] is for an archive of them.
///
/// Lets a checkout be compared with a release without packing it.
pub fn contents(files: &[(ArchivePath, &[u8])]) -> Contents {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by_key(|(path, _)| path);
    Contents::of(sorted.into_iter().map(|(path, content)| (path.as_str(), Digest::of(content))))
}

/// An archive whose every byte has been checked. Only [`read()`] makes one.
///
/// Its name and version are those of its folder; whether the manifest says the same is the caller's to ask.
pub struct Archive {
    name: BrickName,
    version: Version,
    contents: Contents,
    tar: Vec<u8>,
    files: Vec<(ArchivePath, Range<usize>)>,
}

impl Archive {
    /// The brick's own name, from the folder.
    pub fn name(&self) -> &BrickName {
        &self.name
    }

    /// The version, from the folder.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Go's dirhash of the files, paths without the folder.
    pub fn contents(&self) -> Contents {
        self.contents
    }

    /// The files in bytewise order of path, each with its content; at least the manifest, at most 4,096.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&ArchivePath, &[u8])> {
        self.files.iter().map(|(path, range)| (path, &self.tar[range.clone()]))
    }

    /// The content of the file at exactly `path`, if there is one.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        let at = self.files.binary_search_by(|(held, _)| held.as_str().cmp(path)).ok()?;
        Some(&self.tar[self.files[at].1.clone()])
    }

    /// The bytes of `brick.toml`.
    pub fn manifest(&self) -> &[u8] {
        self.file(MANIFEST_PATH).expect("read refuses an archive without a manifest")
    }

    /// Bytes of the unpacked tar stream, headers and padding included.
    pub fn unpacked_bytes(&self) -> u64 {
        self.tar.len() as u64
    }
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("contents", &self.contents)
            .field("files", &self.files.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>())
            .finish()
    }
}
