//! Files to an archive: the same bytes for the same files, anywhere.

use super::gzip::{Bound, deflate};
use super::header::{BLOCK, END_BLOCKS, canonical, padding};
use super::limits::{LimitError, Limits};
use super::path::{ArchivePath, escaped};
use super::tree::{Tree, TreeError};
use super::{MANIFEST_PATH, folder};
use crate::name::BrickName;
use crate::version::Version;

/// Why files cannot be made into an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Too much of something.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Files that cannot lie in one folder.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// No `brick.toml` among the files.
    #[error("there is no `{MANIFEST_PATH}` among the files")]
    NoManifest,
}

/// The archive of `files` as release `version` of the brick `name`.
///
/// - `files`: paths without the archive's folder, and contents, in any order; `brick.toml` among them.
///
/// Returns the same bytes for the same files, whatever their order, on every machine.
///
/// # Errors
/// [`WriteError`] for whatever [`read`](super::read()) would refuse under [`Limits::default`].
pub fn write(
    name: &BrickName,
    version: &Version,
    files: &[(ArchivePath, &[u8])],
) -> Result<Vec<u8>, WriteError> {
    let limits = Limits::default();
    if files.len() > limits.file_count {
        return Err(LimitError::FileCount { max: limits.file_count }.into());
    }
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by_key(|(path, _)| path);

    let folder = folder(name, version);
    let mut tree = Tree::default();
    let mut tar = Vec::new();
    for (path, content) in &sorted {
        tree.insert(path)?;
        limits.check_path(path)?;
        tar.extend_from_slice(&canonical(&format!("{folder}/{path}"), content.len() as u64)?);
        if tar.len() as u64 + content.len() as u64 > limits.unpacked_bytes {
            return Err(LimitError::UnpackedBytes { max: limits.unpacked_bytes }.into());
        }
        tar.extend_from_slice(content);
        tar.resize(tar.len() + padding(content.len()), 0);
    }
    if sorted.binary_search_by(|(path, _)| path.as_str().cmp(MANIFEST_PATH)).is_err() {
        return Err(WriteError::NoManifest);
    }
    tar.resize(tar.len() + END_BLOCKS * BLOCK, 0);

    let archive = deflate(&tar);
    let bytes = archive.len() as u64;
    if bytes > limits.archive_bytes {
        return Err(LimitError::ArchiveBytes { bytes, max: limits.archive_bytes }.into());
    }
    let bound = Bound::of(bytes, &limits);
    if tar.len() as u64 > bound.bytes {
        return Err(bound.error.into());
    }
    Ok(archive)
}

impl Limits {
    pub(super) fn check_path(&self, path: &ArchivePath) -> Result<(), LimitError> {
        let bytes = path.as_str().len();
        if bytes > self.path_bytes {
            return Err(LimitError::PathBytes { path: escaped(path.as_str()), bytes, max: self.path_bytes });
        }
        Ok(())
    }
}
