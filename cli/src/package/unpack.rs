//! An archive to a folder: all of it or nothing, and never outside.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use brick_schemas::archive::{Archive, ArchivePath};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, OpenOptions};

/// Why an archive could not be unpacked. The target is then as it was before.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The target is there already.
    #[error("`{}` is there already", target.display())]
    Occupied {
        /// The folder that was to be made.
        target: PathBuf,
    },
    /// The folder beside the target, in which the files are put together, cannot be made.
    #[error("cannot make a folder in `{}`", parent.display())]
    Prepare {
        /// The folder above the target.
        parent: PathBuf,
        /// Why.
        #[source]
        err: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write `{path}` for `{}`", target.display())]
    Write {
        /// In the archive.
        path: ArchivePath,
        /// The folder that was to be made.
        target: PathBuf,
        /// Why.
        #[source]
        err: std::io::Error,
    },
    /// The whole folder cannot be given its name.
    #[error("cannot move the unpacked files to `{}`", target.display())]
    Rename {
        /// The folder that was to be made.
        target: PathBuf,
        /// Why.
        #[source]
        err: std::io::Error,
    },
}

/// Writes the files of `archive` into the new folder `target`; folders above it are made as needed.
///
/// The files are put together in a folder beside it, `.unpack-…`, which gets its name when whole; a process that is killed
/// leaves that folder behind, for whoever made the folder above to sweep. Files are 0644 and folders 0755, less the umask, whatever an archive says. Nothing is
/// synced to disk: a lost folder is unpacked again.
///
/// # Errors
/// [`UnpackError`]; nothing is left behind then.
pub fn unpack(archive: &Archive, target: &Path) -> Result<(), UnpackError> {
    if target.symlink_metadata().is_ok() {
        return Err(UnpackError::Occupied { target: target.to_owned() });
    }
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let prepare = |err| UnpackError::Prepare { parent: parent.to_owned(), err };
    std::fs::create_dir_all(parent).map_err(prepare)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".unpack-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o755));
    }
    let fresh = builder.tempdir_in(parent).map_err(prepare)?;
    let folder = Dir::open_ambient_dir(fresh.path(), ambient_authority()).map_err(prepare)?;
    for (path, content) in archive.files() {
        write_file(&folder, path, content).map_err(|err| UnpackError::Write {
            path: path.clone(),
            target: target.to_owned(),
            err,
        })?;
    }
    drop(folder);
    std::fs::rename(fresh.path(), target)
        .map_err(|err| UnpackError::Rename { target: target.to_owned(), err })?;
    // It has another name now: there is nothing to remove any more.
    let _ = fresh.keep();
    Ok(())
}

/// Writes a file that must not be there yet. `folder` lets nothing out, even if somebody else puts links into it.
fn write_file(folder: &Dir, path: &ArchivePath, content: &[u8]) -> std::io::Result<()> {
    if let Some((above, _)) = path.as_str().rsplit_once('/') {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use cap_std::fs::DirBuilderExt as _;
            builder.mode(0o755);
        }
        folder.create_dir_with(above, &builder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt as _;
        options.mode(0o644);
    }
    folder.open_with(path.as_str(), &options)?.write_all(content)
}
