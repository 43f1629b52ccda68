//! Which bytes does a folder with a `brick.toml` become? Choosing its files, packing them, and unpacking them again.
//!
//! Nothing of the machine goes in: neither the order of a listing, nor modes, owners, times, umask or the user's own git
//! settings. The same files give the same archive anywhere.

mod secrets;
mod select;
mod unpack;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use brick_schemas::archive::{
    self, ArchiveError, ArchivePath, LimitError, Limits, MANIFEST_PATH, PathError, WriteError,
};
use brick_schemas::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestError};
use brick_schemas::{Contents, Digest};
use cap_std::ambient_authority;
use cap_std::fs::Dir;

pub use secrets::Secret;
pub(crate) use select::VENDORED_MARKER;
pub use select::{Chosen, choose};
pub use unpack::{UnpackError, unpack};

/// A folder, packed.
#[derive(Debug)]
pub struct Package {
    /// What its `brick.toml` says.
    pub manifest: Manifest,
    /// The archive; its SHA-256 is the release's identity.
    pub archive: Vec<u8>,
    /// Go's dirhash of the files.
    pub contents: Contents,
    /// The files in it and their sizes in bytes, bytewise by path.
    pub files: Vec<(ArchivePath, u64)>,
}

impl Package {
    /// SHA-256 of the archive.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.archive)
    }

    /// `<brick>-<version>.brick`: the archive's file name.
    pub fn file_name(&self) -> String {
        let brick = &self.manifest.brick;
        format!("{}.{}", archive::folder(&brick.name.brick, &brick.version), archive::ARCHIVE_EXTENSION)
    }
}

/// Why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Not a brick's folder.
    #[error("there is no `brick.toml` in `{}`", dir.display())]
    NoManifest {
        /// The folder.
        dir: PathBuf,
    },
    /// The manifest is wrong; `text` is for showing the place.
    #[error("`{}` is not a valid manifest", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Its text as it was read.
        text: String,
        /// What is wrong, with lines.
        #[source]
        err: Box<ManifestError>,
    },
    /// A folder or file that cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        err: std::io::Error,
    },
    /// A folder that cannot be listed, or a `.gitignore` that cannot be read.
    #[error("cannot list the files of `{}`", dir.display())]
    List {
        /// The brick's folder.
        dir: PathBuf,
        /// What and why.
        #[source]
        err: ignore::Error,
    },
    /// A pattern of `include` or `exclude` that is none.
    #[error("`{pattern}` in `{key}` of `brick.toml` is not a pattern")]
    Pattern {
        /// `include` or `exclude`.
        key: &'static str,
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        err: ignore::Error,
    },
    /// Neither a file nor a folder.
    #[error(
        "`{path}` is {what}: only plain files can be in a brick; copy what it stands for, or `exclude` it"
    )]
    NotAFile {
        /// Relative to the brick's folder.
        path: String,
        /// What it is, with its article.
        what: &'static str,
    },
    /// A name that is not text.
    #[error("the name of `{path}` is not UTF-8; rename it, or `exclude` it")]
    NotUtf8 {
        /// Relative to the brick's folder, as far as it can be shown.
        path: String,
    },
    /// A name that not every platform can store.
    #[error("a file has a name that cannot be in a brick; rename it, or `exclude` it")]
    Path(#[from] PathError),
    /// Something that must not be published.
    #[error("`{path}` looks like a secret: {secret}; take it out of the folder, or `exclude` it")]
    Secret {
        /// Relative to the brick's folder.
        path: ArchivePath,
        /// What gave it away.
        secret: Secret,
    },
    /// The manifest names a file that is not among the files.
    #[error("`brick.toml` names `{path}` in `{key}`, which is not among the brick's files")]
    Missing {
        /// The key.
        key: &'static str,
        /// What it names.
        path: String,
    },
    /// Too much to read, found before packing.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Files that do not make an archive.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Our own reader does not take our own archive.
    #[error("the archive just written cannot be read again; this is a bug")]
    ReadBack(#[source] ArchiveError),
}

/// Packs the brick in `dir`.
///
/// Reads the folder and nothing else, writes nothing. What was packed has been read back by the reader that registry and
/// clients use.
///
/// # Errors
/// [`PackageError`] names the file and the rule.
pub fn package(dir: &Path) -> Result<Package, PackageError> {
    let folder = Dir::open_ambient_dir(dir, ambient_authority())
        .map_err(|err| PackageError::Read { path: dir.to_owned(), err })?;
    let manifest = read_manifest(dir, &folder)?;
    let chosen = choose(dir, &manifest.brick.include, &manifest.brick.exclude)?;
    let contents = read_all(dir, &folder, &chosen)?;
    check_named_files(&manifest, &chosen)?;

    let files: Vec<_> =
        chosen.iter().zip(&contents).map(|(file, content)| (file.path.clone(), &content[..])).collect();
    let archive = archive::write(&manifest.brick.name.brick, &manifest.brick.version, &files)?;
    let read_back = archive::read(&archive, &Limits::default()).map_err(PackageError::ReadBack)?;
    let contents = read_back.contents();
    let files = read_back.files().map(|(path, content)| (path.clone(), content.len() as u64)).collect();
    Ok(Package { manifest, archive, contents, files })
}

fn read_manifest(dir: &Path, folder: &Dir) -> Result<Manifest, PackageError> {
    let path = dir.join(MANIFEST_PATH);
    let bytes = match read_bounded(folder, MANIFEST_PATH, MAX_MANIFEST_BYTES as u64 + 1) {
        Ok(bytes) => bytes,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            return Err(PackageError::NoManifest { dir: dir.to_owned() });
        }
        Err(err) => return Err(PackageError::Read { path, err }),
    };
    let parsed = match std::str::from_utf8(&bytes) {
        Ok(text) => Manifest::parse_as_author(text),
        Err(_) => Manifest::from_bytes(&bytes),
    };
    parsed.map_err(|err| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        PackageError::Manifest { path, text, err }
    })
}

/// Reads at most `max` bytes of a file below `folder`; a link that leads out of it is an error.
fn read_bounded(folder: &Dir, path: &str, max: u64) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    folder.open(path)?.take(max).read_to_end(&mut content)?;
    Ok(content)
}

/// The content of each chosen file, never more in all than an archive may hold.
fn read_all(dir: &Path, folder: &Dir, chosen: &[Chosen]) -> Result<Vec<Vec<u8>>, PackageError> {
    let max = Limits::default().unpacked_bytes;
    let mut left = max;
    let mut contents = Vec::new();
    for file in chosen {
        if let Some(secret) = secrets::by_name(&file.path) {
            return Err(PackageError::Secret { path: file.path.clone(), secret });
        }
        let content = read_bounded(folder, file.path.as_str(), left + 1)
            .map_err(|err| PackageError::Read { path: dir.join(file.path.as_str()), err })?;
        left = left.checked_sub(content.len() as u64).ok_or(LimitError::UnpackedBytes { max })?;
        if let Some(secret) = secrets::by_content(&content) {
            return Err(PackageError::Secret { path: file.path.clone(), secret });
        }
        contents.push(content);
    }
    Ok(contents)
}

/// A manifest that points to what is not there would mislead every reader.
fn check_named_files(manifest: &Manifest, chosen: &[Chosen]) -> Result<(), PackageError> {
    let mut named = Vec::new();
    named.extend(manifest.brick.readme.iter().map(|path| ("brick.readme", path)));
    named.extend(manifest.file.iter().map(|file| ("file", &file.path)));
    named.extend(manifest.config.iter().map(|config| ("config.schema", &config.schema)));
    for (key, path) in named {
        let path = path.as_str();
        if chosen.binary_search_by(|file| file.path.as_str().cmp(path)).is_err() {
            return Err(PackageError::Missing { key, path: path.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
