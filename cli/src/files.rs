//! How are files read with a bound and written whole or not at all?

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use crate::failure::Failure;

/// Who may read what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// As the umask says.
    Everybody,
    /// The owner alone: 0600 for files, 0700 for directories.
    Owner,
}

/// What a write does where the file is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existing {
    Replaced,
    Kept,
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// [`Failure`] when it is not there, not readable, not a file, or longer.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    let fail = |err: std::io::Error| {
        let failure = Failure::yours(format!("cannot read `{}`", path.display())).because(&err);
        match err.kind() {
            ErrorKind::NotFound => failure.help("check the path, or name another"),
            ErrorKind::PermissionDenied => failure.help("give yourself permission to read it"),
            ErrorKind::IsADirectory => failure.help("it is a folder: name a file, or move the folder away"),
            _ => failure,
        }
    };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > max {
        return Err(Failure::yours(format!("`{}` is longer than {max} bytes", path.display())));
    }
    Ok(bytes)
}

/// Reads a file of at most `max` bytes, or `None` where there is none.
///
/// # Errors
/// As [`read`].
pub fn read_if_there(path: &Path, max: u64) -> Result<Option<Vec<u8>>, Failure> {
    match path.try_exists() {
        Ok(false) => Ok(None),
        _ => read(path, max).map(Some),
    }
}

/// Reads a text file of at most `max` bytes.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, max: u64) -> Result<String, Failure> {
    String::from_utf8(read(path, max)?).map_err(|err| {
        Failure::yours(format!("`{}` is not a UTF-8 text", path.display())).because(&err.utf8_error())
    })
}

/// Makes a directory and its parents.
///
/// # Errors
/// [`Failure`] with the next step for full disks and read-only places.
pub fn make_dir(dir: &Path, access: Access) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    if access == Access::Owner {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    }
    builder.create(dir).map_err(|err| cannot_write("make directory", dir, err))
}

/// Writes a file so that at every moment either the old one or the whole new one is there, also after a power cut.
///
/// # Errors
/// [`Failure`] with the next step for full disks and read-only places.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), Failure> {
    put(path, bytes, access, Existing::Replaced)
}

/// [`write()`], but only where there is no such file yet.
///
/// # Errors
/// As [`write()`], and when the file is there.
pub fn write_new(path: &Path, bytes: &[u8], access: Access) -> Result<(), Failure> {
    put(path, bytes, access, Existing::Kept)
}

/// [`write()`] for files that belong together: all of them are on the disk before the first gets its name, so that a
/// full disk or a read-only place changes none.
///
/// # Errors
/// As [`write()`].
pub fn write_together(files: &[(&Path, &[u8])]) -> Result<(), Failure> {
    let mut staged = Vec::with_capacity(files.len());
    for (path, bytes) in files {
        if path.is_dir() {
            return Err(Failure::yours(format!("cannot write `{}`", path.display()))
                .reason("there is a directory of that name")
                .help("move it away and run it again; nothing was written"));
        }
        staged.push((path, stage(path, bytes, Access::Everybody)?));
    }
    for (path, file) in staged {
        let fail = |err| cannot_write("write", path, err);
        file.persist(path).map_err(|err| fail(err.error))?;
        sync_dir(folder_of(path)).map_err(fail)?;
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8], access: Access, existing: Existing) -> Result<(), Failure> {
    let fail = |err| cannot_write("write", path, err);
    let file = stage(path, bytes, access)?;
    match existing {
        Existing::Replaced => file.persist(path).map(drop),
        Existing::Kept => file.persist_noclobber(path).map(drop),
    }
    .map_err(|err| fail(err.error))?;
    sync_dir(folder_of(path)).map_err(fail)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// The bytes for `path` in a temporary file beside it, on the disk. Dropped, it is removed.
fn stage(path: &Path, bytes: &[u8], access: Access) -> Result<tempfile::NamedTempFile, Failure> {
    let fail = |err| cannot_write("write", path, err);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".brick-");
    #[cfg(unix)]
    {
        // The umask takes away from 0666 as for any new file.
        let mode = if access == Access::Owner { 0o600 } else { 0o666 };
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    }
    let mut file = builder.tempfile_in(folder_of(path)).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    Ok(file)
}

/// Makes a rename in `dir` durable; only Unix lets a directory be synced.
fn sync_dir(dir: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    std::fs::File::open(dir)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

fn cannot_write(verb: &str, path: &Path, err: std::io::Error) -> Failure {
    let failure = Failure::yours(format!("cannot {verb} `{}`", path.display())).because(&err);
    match err.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            failure.help("make room on that disk and run it again; nothing was half-written")
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => failure
            .help("write somewhere you may: set BRICK_HOME for keys and caches, or name another directory"),
        ErrorKind::AlreadyExists => failure.help("choose another name, or remove the old one first"),
        ErrorKind::NotFound => failure.help("make the directory first"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_new_one_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write(&path, b"one", Access::Everybody).unwrap();
        write(&path, b"two", Access::Owner).unwrap();
        assert!(write_new(&path, b"three", Access::Owner).is_err());
        assert_eq!(read(&path, 3).unwrap(), b"two");
        assert!(read(&path, 2).unwrap_err().what().contains("longer than 2 bytes"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
        assert_eq!(read_if_there(&dir.path().join("b"), 9).unwrap(), None);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_for_the_owner_is_for_the_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("keys");
        make_dir(&inner, Access::Owner).unwrap();
        write(&inner.join("k"), b"", Access::Owner).unwrap();
        assert_eq!(std::fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::metadata(inner.join("k")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
