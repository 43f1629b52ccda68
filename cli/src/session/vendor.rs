//! How do releases lie in a directory, with their proofs?
//!
//! ```text
//! bricks/.vendored                                    this folder is made by `brick vendor`, and replaced whole
//! bricks/northshire.gov.uk/case-handling/…            the files of the newest locked release
//! bricks/northshire.gov.uk/case-handling.tlog-proof   what shows that they are what was signed
//! bricks/northshire.gov.uk/case-handling-1.4.0/…      an older line of the same brick, where several are locked
//! bricks/northshire.gov.uk/case-handling-1.4.0.tlog-proof
//! ```
//!
//! A brick's own name holds no dot, so the two kinds of folder cannot be mistaken. The proof's entry names the digest of
//! the files (`contents`), so a folder is checked without the archive.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use brick_schemas::archive::{ArchivePath, Limits, contents};
use brick_schemas::lockfile::{LockedBrick, Lockfile};
use brick_tlog::proof::{MAX_PROOF_BYTES, Proof};
use brick_trust::evidence::verify_release;
use brick_trust::{Commons, Refused, Step};

use super::refusal::refused;
use super::release::Checked;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::package::{VENDORED_MARKER as MARKER, unpack};

/// Where releases are vendored, beside the manifest.
pub(crate) const VENDOR_DIR: &str = "bricks";
const MARKER_TEXT: &str = "Made by `brick vendor` from brick.lock, and replaced whole by it. Do not edit.\n";
/// Of a vendor directory in the making.
const NEW_PREFIX: &str = ".bricks-new-";
/// Of a folder that an old vendor directory is put aside in.
const OLD_PREFIX: &str = ".bricks-old-";
/// Random characters after them.
const RANDOM_CHARS: usize = 12;
/// A folder of these that is younger may just be about to be locked.
const LEFTOVER_AGE: std::time::Duration = std::time::Duration::from_secs(60);
const PROOF_EXTENSION: &str = "tlog-proof";
/// Entries of one vendored folder that are looked at, at most.
const MAX_ENTRIES: usize = 65_536;

/// The folder of a locked release below the vendor directory: the plain name for the newest one of a brick.
pub(crate) fn folder_of(lock: &Lockfile, brick: &LockedBrick) -> String {
    let newest =
        lock.bricks.iter().filter(|other| other.name == brick.name).map(|other| &other.version).max();
    match newest == Some(&brick.version) {
        true => brick.name.to_string(),
        false => format!("{}-{}", brick.name, brick.version),
    }
}

fn proof_path(dir: &Path, folder: &str) -> PathBuf {
    dir.join(format!("{folder}.{PROOF_EXTENSION}"))
}

/// A vendor directory in the making, beside the one it will replace.
pub(crate) struct Vendoring {
    target: PathBuf,
    new: tempfile::TempDir,
    /// Says to other runs that somebody is at work here; the system lets go of it when this run ends, however it ends.
    _held: Option<std::fs::File>,
}

impl Vendoring {
    /// Begins; `target` is not touched before [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`Failure`] where `target` holds something else than vendored bricks, or nothing can be written beside it.
    pub(crate) fn begin(target: &Path) -> Result<Self, Failure> {
        let is_empty = match std::fs::read_dir(target) {
            Ok(mut listing) => listing.next().is_none(),
            Err(err) if err.kind() == ErrorKind::NotFound => true,
            Err(err) => {
                return Err(Failure::yours(format!("cannot read `{}`", target.display())).because(&err));
            }
        };
        if !is_empty && !target.join(MARKER).is_file() {
            return Err(Failure::yours(format!("`{}` was not made by `brick vendor`", target.display()))
                .help("name another directory, or move that one away"));
        }
        let parent = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        files::make_dir(parent, Access::Everybody)?;
        sweep(parent, std::time::SystemTime::now());
        let new = tempfile::Builder::new()
            .prefix(NEW_PREFIX)
            .rand_bytes(RANDOM_CHARS)
            .tempdir_in(parent)
            .map_err(|err| cannot_vendor(parent, &err))?;
        let held = hold(new.path());
        std::fs::write(new.path().join(MARKER), MARKER_TEXT)
            .map_err(|err| cannot_vendor(new.path(), &err))?;
        Ok(Self { target: target.to_owned(), new, _held: held })
    }

    /// Writes one release.
    ///
    /// # Errors
    /// [`Failure`] where it cannot be written.
    pub(crate) fn write(&self, folder: &str, checked: &Checked) -> Result<(), Failure> {
        unpack(&checked.archive, &self.new.path().join(folder)).map_err(|err| {
            Failure::yours(format!("cannot vendor {folder}"))
                .because(&err)
                .help("make room on that disk and run it again; what was vendored before is untouched")
        })?;
        let path = proof_path(self.new.path(), folder);
        std::fs::write(&path, checked.proof.to_string()).map_err(|err| cannot_vendor(&path, &err))
    }

    /// Puts the new directory in the old one's place.
    ///
    /// # Errors
    /// [`Failure`]; then the old one is where it was.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let readable = std::fs::Permissions::from_mode(0o755); // temporary folders are private
            std::fs::set_permissions(self.new.path(), readable)
                .map_err(|err| cannot_vendor(self.new.path(), &err))?;
        }
        let target = &self.target;
        let parent = self.new.path().parent().expect("it lies beside the target");
        let old = tempfile::Builder::new()
            .prefix(OLD_PREFIX)
            .rand_bytes(RANDOM_CHARS)
            .tempdir_in(parent)
            .map_err(|err| cannot_vendor(parent, &err))?;
        let _held = hold(old.path());
        let aside = old.path().join(VENDOR_DIR);
        let had_old = match std::fs::rename(target, &aside) {
            Ok(()) => true,
            Err(err) if err.kind() == ErrorKind::NotFound => false,
            Err(err) => return Err(cannot_vendor(target, &err)),
        };
        if let Err(err) = std::fs::rename(self.new.path(), target) {
            if had_old && std::fs::rename(&aside, target).is_err() {
                let kept = old.keep();
                return Err(
                    cannot_vendor(target, &err).reason(format!("the old one is in `{}`", kept.display()))
                );
            }
            return Err(cannot_vendor(target, &err));
        }
        let _ = self.new.keep(); // it has been moved
        Ok(())
    }
}

/// Locks a folder for as long as the file lives; `None` where folders cannot be locked.
fn hold(dir: &Path) -> Option<std::fs::File> {
    let file = std::fs::File::open(dir).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

/// Removes what runs that were killed left beside a vendor directory: only folders that such a run made, that nobody holds,
/// and that nobody has just begun. What cannot be removed stays.
fn sweep(parent: &Path, now: std::time::SystemTime) {
    let Ok(listing) = std::fs::read_dir(parent) else { return };
    for entry in listing.take(MAX_ENTRIES).flatten() {
        let path = entry.path();
        let is_old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age >= LEFTOVER_AGE));
        if is_old && is_leftover(&path) && hold(&path).is_some() {
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

/// Whether a folder was made by [`Vendoring`], by its name and by what is in it.
fn is_leftover(path: &Path) -> bool {
    let is_named = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
        let random = name.strip_prefix(OLD_PREFIX).or_else(|| name.strip_prefix(NEW_PREFIX));
        random.is_some_and(|random| {
            random.len() == RANDOM_CHARS && random.bytes().all(|b| b.is_ascii_alphanumeric())
        })
    });
    let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if !is_named || !is_folder {
        return false;
    }
    let Ok(names) = names_in(path) else { return false };
    match names.as_slice() {
        [] => true,
        [only] if only == VENDOR_DIR => path.join(VENDOR_DIR).join(MARKER).is_file(),
        _ => path.join(MARKER).is_file(),
    }
}

fn cannot_vendor(path: &Path, err: &std::io::Error) -> Failure {
    let failure = Failure::yours(format!("cannot write `{}`", path.display())).because(err);
    match err.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            failure.help("make room on that disk and run it again; what was vendored before is untouched")
        }
        _ => failure.help("choose a directory that you may write in"),
    }
}

/// Checks a vendor directory against a lockfile: every release is there, is what its publisher signed, and nothing
/// else lies beside them.
///
/// Returns how many releases it holds.
///
/// # Errors
/// [`Failure`]: an alarm with the step, or what is missing.
pub(crate) fn check_vendored(
    dir: &Path,
    lock: &Lockfile,
    commons: &Commons,
    now: u64,
) -> Result<usize, Failure> {
    let mut expected: BTreeSet<PathBuf> = BTreeSet::from([PathBuf::from(MARKER)]);
    for brick in &lock.bricks {
        let folder = folder_of(lock, brick);
        let (path, what) = (proof_path(dir, &folder), format!("{} {}", brick.name, brick.version));
        if !dir.join(&folder).is_dir() {
            return Err(Failure::yours(format!("{what} is not in `{}`", dir.display()))
                .help("run `brick vendor` to make the directory again"));
        }
        let proof = Proof::parse(&files::read(&path, MAX_PROOF_BYTES as u64)?).map_err(|err| {
            refused(&Refused::caused(Step::Inclusion, format!("the proof of {what} is malformed"), err))
        })?;
        let verified =
            verify_release(&proof, &brick.name, &brick.version, commons, now).map_err(|err| refused(&err))?;
        let release = verified.release();
        if release.archive.sha256 != brick.cksum || verified.index() != brick.entry {
            let what = format!("the vendored proof of {what} is of another release than brick.lock holds");
            return Err(refused(&Refused::new(Step::Lock, what)));
        }
        let found = read_files(&dir.join(&folder), &what)?;
        let shown: Vec<(ArchivePath, &[u8])> =
            found.iter().map(|(path, bytes)| (path.clone(), bytes.as_slice())).collect();
        let contents = contents(&shown);
        if contents != release.contents {
            let what = format!("the vendored files of {what} are {contents}, signed is {}", release.contents);
            return Err(refused(&Refused::new(Step::Archive, what)));
        }
        expected.insert(PathBuf::from(format!("{folder}.{PROOF_EXTENSION}")));
        expected.insert(PathBuf::from(folder));
    }
    check_nothing_else(dir, &expected)?;
    Ok(lock.bricks.len())
}

/// That nothing lies in the vendor directory or the publishers' folders but what is expected.
fn check_nothing_else(dir: &Path, expected: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    let publishers: BTreeSet<&Path> =
        expected.iter().filter_map(|path| path.parent()).filter(|dir| !dir.as_os_str().is_empty()).collect();
    let stray = |path: &Path| {
        let what = format!("`{}` is not of any release in brick.lock", path.display());
        refused(&Refused::new(Step::Lock, what)).help("run `brick vendor` to make the directory again")
    };
    for name in names_in(dir)? {
        let path = Path::new(&name);
        if !expected.contains(path) && !publishers.contains(path) {
            return Err(stray(&dir.join(path)));
        }
    }
    for publisher in publishers {
        for name in names_in(&dir.join(publisher))? {
            let path = publisher.join(name);
            if !expected.contains(&path) {
                return Err(stray(&dir.join(path)));
            }
        }
    }
    Ok(())
}

fn names_in(dir: &Path) -> Result<Vec<std::ffi::OsString>, Failure> {
    let fail = |err| Failure::yours(format!("cannot read `{}`", dir.display())).because(&err);
    let listing = std::fs::read_dir(dir).map_err(fail)?;
    listing.take(MAX_ENTRIES).map(|entry| Ok(entry.map_err(fail)?.file_name())).collect()
}

/// All files below a folder, by their paths in the archive.
fn read_files(dir: &Path, what: &str) -> Result<Vec<(ArchivePath, Vec<u8>)>, Failure> {
    let limits = Limits::default();
    let strange = |path: &Path, is: &str| {
        let what = format!("`{}` in the vendored {what} is {is}", path.display());
        refused(&Refused::new(Step::Archive, what))
    };
    let mut found = Vec::new();
    let mut bytes_left = limits.unpacked_bytes;
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for name in names_in(&dir.join(&folder))? {
            let relative = folder.join(name);
            let path = dir.join(&relative);
            let kind = std::fs::symlink_metadata(&path)
                .map_err(|err| Failure::yours(format!("cannot read `{}`", path.display())).because(&err))?
                .file_type();
            if kind.is_dir() {
                folders.push(relative);
                continue;
            }
            if !kind.is_file() {
                return Err(strange(&path, "neither a file nor a folder"));
            }
            if found.len() >= limits.file_count {
                return Err(strange(&path, "one file more than an archive can hold"));
            }
            let parts: Option<Vec<&str>> =
                relative.components().map(|part| part.as_os_str().to_str()).collect();
            let archive_path = parts
                .and_then(|parts| ArchivePath::parse(&parts.join("/")).ok())
                .ok_or_else(|| strange(&path, "named as no file of an archive can be"))?;
            let bytes = files::read(&path, bytes_left)?;
            bytes_left -= bytes.len() as u64;
            found.push((archive_path, bytes));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_killed_run_left_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let make = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        // Left by runs that were killed: in the making, half unpacked, an old one put aside, nothing in it yet.
        make(".bricks-new-aaaaaaaaaaaa/.vendored", MARKER_TEXT);
        make(".bricks-new-aaaaaaaaaaaa/mid.example/.unpack-bbbbbb/brick.toml", "");
        make(".bricks-old-cccccccccccc/bricks/.vendored", MARKER_TEXT);
        std::fs::create_dir(dir.path().join(".bricks-new-dddddddddddd")).unwrap();
        // Somebody else's, or somebody's who is at work.
        make(".bricks-new-eeeeeeeeeeee/mine.txt", "");
        make(".bricks-backup/.vendored", MARKER_TEXT);
        make(".bricks-old-ffffffffffff/bricks/mine.txt", "");
        make("bricks/.vendored", MARKER_TEXT);
        make(".bricks-new-gggggggggggg", "a file");
        make(".bricks-new-hhhhhhhhhhhh/.vendored", MARKER_TEXT);
        let at_work = hold(&dir.path().join(".bricks-new-hhhhhhhhhhhh"));
        let names = || {
            let mut names: Vec<_> =
                names_in(dir.path()).unwrap().into_iter().map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        let all = names();
        let now = std::time::SystemTime::now();
        sweep(dir.path(), now);
        assert_eq!(names(), all, "what is young stays");
        sweep(dir.path(), now + LEFTOVER_AGE * 2);
        let mut left = all.clone();
        left.retain(|name| {
            ![".bricks-new-aaaaaaaaaaaa", ".bricks-old-cccccccccccc", ".bricks-new-dddddddddddd"]
                .contains(&name.as_str())
        });
        if at_work.is_none() {
            left.retain(|name| name != ".bricks-new-hhhhhhhhhhhh");
        }
        assert_eq!(names(), left);
        drop(at_work);
        sweep(dir.path(), now + LEFTOVER_AGE * 2);
        assert!(!names().contains(&".bricks-new-hhhhhhhhhhhh".to_owned()));
    }
}
