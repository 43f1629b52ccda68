//! How is the commons kept in git? One bare repository, one pack a commit, contents a pure function of the logs.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use git2::{
    Config, ConfigLevel, FileMode, Indexer, ObjectType, Odb, Oid, Repository, RepositoryInitOptions, Tree,
};

use crate::layout;

/// Settings for the packs that commits write, beside those that `git` reads.
const PACKING: &str = "projection.config";
/// The files of one commit are new ones and new states of others: searching them for common parts costs more than all else
/// and finds little. `git repack` does it later, over many commits. libgit2 takes this size as the one above which an
/// object is packed as it is.
const PACKING_CONFIG: &str = "[pack]\n\tdeltaCacheSize = 0\n";
/// Bytes of a pack that are handed over at a time. libgit2 reads again what it is given, and maps the file anew for each piece;
/// an object comes in two pieces or more.
const PACK_BUFFER_BYTES: usize = 1024 * 1024;

/// The packs of a repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packs {
    /// How many there are.
    pub count: usize,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// The registry's bare repository.
///
/// Losing it costs nothing: it is a fold of the logs and is made again.
#[derive(Debug, Clone)]
pub struct Projection {
    path: PathBuf,
    watcher: fn(Stage),
}

/// How far a commit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its objects are in memory; nothing is on the disk.
    ObjectsMade,
    /// They are on the disk as one pack; nobody is led to them.
    PackWritten,
    /// The branch leads to them.
    BranchMoved,
}

/// Why the repository could not be read or moved.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// libgit2's words.
    #[error("the git repository at {}", path.display())]
    Git {
        /// The repository.
        path: PathBuf,
        /// What libgit2 says.
        #[source]
        err: git2::Error,
    },
    /// The file system's words.
    #[error("the git repository at {}", path.display())]
    Io {
        /// The repository.
        path: PathBuf,
        /// What the system says.
        #[source]
        err: std::io::Error,
    },
}

impl Projection {
    /// Opens the repository at `path`, making an empty one where none is, or where it is damaged.
    ///
    /// Returns the projection and whether it had to be made.
    ///
    /// # Errors
    /// [`ProjectionError`] when the place cannot be written.
    pub fn open(path: &Path) -> Result<(Self, Made), ProjectionError> {
        let projection = Self { path: path.to_owned(), watcher: |_| {} };
        if path.exists() {
            if projection.head_is_whole() {
                projection.write_packing()?;
                return Ok((projection, Made::Before));
            }
            // No power cut may be trusted to leave a git repository whole: it is a fold, so it is made again.
            std::fs::remove_dir_all(path)
                .map_err(|err| ProjectionError::Io { path: path.to_owned(), err })?;
        }
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head("main").external_template(false);
        Repository::init_opts(path, &options).map_err(|err| projection.git(err))?;
        projection.write_packing()?;
        Ok((projection, Made::Now))
    }

    fn write_packing(&self) -> Result<(), ProjectionError> {
        std::fs::write(self.path.join(PACKING), PACKING_CONFIG)
            .map_err(|err| ProjectionError::Io { path: self.path.clone(), err })
    }

    /// The same repository, with somebody who is told of each stage of every commit as it is reached.
    #[must_use]
    pub fn watched_by(self, watcher: fn(Stage)) -> Self {
        Self { watcher, ..self }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn git(&self, err: git2::Error) -> ProjectionError {
        ProjectionError::Git { path: self.path.clone(), err }
    }

    /// Whether the newest commit and its tree can be read (an unborn branch is whole too).
    fn head_is_whole(&self) -> bool {
        let whole = || -> Result<(), git2::Error> {
            let repository = Repository::open_bare(&self.path)?;
            match repository.find_reference(layout::BRANCH) {
                Ok(reference) => {
                    let tree = reference.peel_to_tree()?;
                    for entry in tree.iter() {
                        entry.to_object(&repository)?;
                    }
                    Ok(())
                }
                Err(err) if err.code() == git2::ErrorCode::NotFound => Ok(()),
                Err(err) => Err(err),
            }
        };
        whole().is_ok()
    }

    /// Commits `files` (path and new content) over what is there, as one pack and one move of the branch.
    ///
    /// - `time`: Unix seconds, for the commit.
    ///
    /// Returns the new commit's id, or the old one where nothing changed.
    ///
    /// # Errors
    /// [`ProjectionError`]; the branch has not moved then.
    pub fn commit(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        message: &str,
        author: &str,
        time: u64,
    ) -> Result<Option<Oid>, ProjectionError> {
        self.try_commit(files, message, author, time).map_err(|err| self.git(err))
    }

    fn try_commit(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        message: &str,
        author: &str,
        time: u64,
    ) -> Result<Option<Oid>, git2::Error> {
        let repository = Repository::open_bare(&self.path)?;
        let parent = match repository.find_reference(layout::BRANCH) {
            Ok(reference) => Some(reference.peel_to_commit()?),
            Err(err) if err.code() == git2::ErrorCode::NotFound => None,
            Err(err) => return Err(err),
        };
        let before = parent.as_ref().map(git2::Commit::tree).transpose()?;
        let mut before =
            Before { repository: &repository, folders: HashMap::from([(String::new(), before)]) };
        // New objects are made in memory, in a store that knows of no pack: one that does looks through all of them, and
        // for others that may have come, before it takes an object.
        let odb = Odb::new()?;
        let _memory = odb.add_new_mempack_backend(1)?;
        let mut new_objects = Vec::new();
        // What is new in each folder, by name. The deepest come last.
        let mut folders: BTreeMap<(usize, String), BTreeMap<String, (FileMode, Oid)>> = BTreeMap::new();
        let mut known: (Option<&str>, Option<Tree<'_>>) = (None, None);
        for (path, content) in files {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            // Each folder is read once: paths are sorted.
            if known.0 != Some(folder) {
                known = (Some(folder), before.folder(folder));
            }
            // What turns out to be there is made for nothing; hashing each first would cost more.
            let oid = odb.write(ObjectType::Blob, content)?;
            let there = known.1.as_ref().and_then(|tree| tree.get_name(name)).map(|entry| entry.id());
            if there == Some(oid) {
                continue;
            }
            new_objects.push(oid);
            let changes = folders.entry((depth(folder), folder.to_owned())).or_default();
            changes.insert(name.to_owned(), (FileMode::Blob, oid));
        }
        if let (true, Some(parent)) = (new_objects.is_empty(), &parent) {
            return Ok(Some(parent.id()));
        }
        folders.entry((0, String::new())).or_default();
        let memory = Repository::from_odb(odb)?;
        let odb = memory.odb()?;
        let mut root = None;
        while let Some(((_, folder), changes)) = folders.pop_last() {
            let mut tree = memory.treebuilder(before.folder(&folder).as_ref())?;
            for (name, (mode, oid)) in changes {
                tree.insert(name, oid, mode.into())?;
            }
            let oid = tree.write()?;
            new_objects.push(oid);
            if folder.is_empty() {
                root = Some(oid);
                break;
            }
            let (above, name) = folder.rsplit_once('/').unwrap_or(("", &folder));
            let changes = folders.entry((depth(above), above.to_owned())).or_default();
            changes.insert(name.to_owned(), (FileMode::Tree, oid));
        }
        let root = root.expect("the root is the last that is left");
        // As `git hash-object -t commit` takes it; libgit2 would look for the commit before among the new objects.
        let who = format!("{author} <registry@{author}> {time} +0000");
        let above = parent.as_ref().map_or_else(String::new, |commit| format!("parent {}\n", commit.id()));
        let text = format!("tree {root}\n{above}author {who}\ncommitter {who}\n\n{message}");
        let commit = odb.write(ObjectType::Commit, text.as_bytes())?;
        new_objects.push(commit);
        (self.watcher)(Stage::ObjectsMade);
        let mut config = Config::new()?;
        config.add_file(&self.path.join(PACKING), ConfigLevel::App, true)?;
        memory.set_config(&config)?;
        self.write_pack(&memory, &new_objects)?;
        (self.watcher)(Stage::PackWritten);
        // The reference moves last: readers see the old commit or the whole new one.
        match &parent {
            Some(before) => {
                repository.reference_matching(layout::BRANCH, commit, true, before.id(), message)?;
            }
            None => {
                repository.reference(layout::BRANCH, commit, false, message)?;
            }
        }
        (self.watcher)(Stage::BranchMoved);
        Ok(Some(commit))
    }

    fn write_pack(&self, repository: &Repository, objects: &[Oid]) -> Result<(), git2::Error> {
        let mut builder = repository.packbuilder()?;
        for oid in objects {
            builder.insert_object(*oid, None)?;
        }
        let indexer = Indexer::new(None, &self.path.join("objects/pack"), 0o444, false)?;
        let mut pack = BufWriter::with_capacity(PACK_BUFFER_BYTES, indexer);
        let mut failed = None;
        let written = builder.foreach(|chunk| match pack.write_all(chunk) {
            Ok(()) => true,
            Err(err) => {
                failed = Some(err);
                false
            }
        });
        let refused = |err: std::io::Error| match err.downcast::<git2::Error>() {
            Ok(err) => err,
            Err(err) => git2::Error::from_str(&err.to_string()),
        };
        match failed {
            Some(err) => return Err(refused(err)),
            None => written?,
        }
        pack.into_inner().map_err(|err| refused(err.into_error()))?.commit()?;
        Ok(())
    }

    /// How many packs the repository holds, and their bytes: past some dozens, reads and fetches slow down. A pack that `git`
    /// takes away meanwhile may count or not.
    ///
    /// # Errors
    /// [`ProjectionError::Io`].
    pub fn packs(&self) -> Result<Packs, ProjectionError> {
        let io = |err| ProjectionError::Io { path: self.path.clone(), err };
        let mut packs = Packs::default();
        for entry in std::fs::read_dir(self.path.join("objects/pack")).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|e| e == "pack")
                && let Ok(file) = path.metadata()
            {
                packs.count += 1;
                packs.bytes += file.len();
            }
        }
        Ok(packs)
    }

    /// The content of a file at the branch's head.
    ///
    /// # Errors
    /// [`ProjectionError`]; a missing file is `None`.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ProjectionError> {
        let read = || -> Result<Option<Vec<u8>>, git2::Error> {
            let repository = Repository::open_bare(&self.path)?;
            let found = repository
                .find_reference(layout::BRANCH)
                .and_then(|reference| reference.peel_to_tree())
                .and_then(|tree| tree.get_path(Path::new(path)));
            match found {
                Ok(entry) => Ok(Some(repository.find_blob(entry.id())?.content().to_vec())),
                Err(err) if err.code() == git2::ErrorCode::NotFound => Ok(None),
                Err(err) => Err(err),
            }
        };
        read().map_err(|err| self.git(err))
    }
}

/// The folders of the commit before, each read once: those that lead to many others are large, and each reading is compared with
/// its hash.
struct Before<'r> {
    repository: &'r Repository,
    /// By path; none for one that was not there.
    folders: HashMap<String, Option<Tree<'r>>>,
}

impl<'r> Before<'r> {
    fn folder(&mut self, path: &str) -> Option<Tree<'r>> {
        if let Some(known) = self.folders.get(path) {
            return known.clone();
        }
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above = self.folder(above);
        let found = above.and_then(|above| self.repository.find_tree(above.get_name(name)?.id()).ok());
        self.folders.insert(path.to_owned(), found.clone());
        found
    }
}

/// How many folders lie above what is in `folder`.
fn depth(folder: &str) -> usize {
    if folder.is_empty() { 0 } else { 1 + folder.matches('/').count() }
}

/// Whether a repository was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was there and whole.
    Before,
    /// It was missing or damaged, and is empty now.
    Now,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        list.iter().map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec())).collect()
    }

    #[test]
    fn commits_are_packs_that_git_itself_finds_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("commons.git");
        let (projection, made) = Projection::open(&path).unwrap();
        assert_eq!(made, Made::Now);
        projection.commit(&files(&[("a/b/c.json", "1"), ("a/d", "2")]), "one", "a.example", 1_000).unwrap();
        let first = projection
            .commit(&files(&[("a/b/e.json", "3"), ("a/d", "4")]), "two", "a.example", 1_001)
            .unwrap();
        let again = projection.commit(&files(&[("a/d", "4")]), "nothing new", "a.example", 1_002).unwrap();
        assert_eq!(first, again);
        assert_eq!(projection.packs().unwrap().count, 2);
        assert_eq!(projection.read("a/b/c.json").unwrap().unwrap(), b"1");
        assert_eq!(projection.read("a/d").unwrap().unwrap(), b"4");
        assert_eq!(projection.read("nowhere").unwrap(), None);
        let fsck = std::process::Command::new("git")
            .arg("-C")
            .arg(&path)
            .args(["fsck", "--strict", "--full"])
            .output()
            .unwrap();
        assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stderr));
        let (_, made) = Projection::open(&path).unwrap();
        assert_eq!(made, Made::Before);
    }

    #[test]
    fn a_damaged_repository_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("commons.git");
        let (projection, _) = Projection::open(&path).unwrap();
        projection.commit(&files(&[("a", "1")]), "one", "a.example", 1_000).unwrap();
        for pack in std::fs::read_dir(path.join("objects/pack")).unwrap() {
            std::fs::remove_file(pack.unwrap().path()).unwrap();
        }
        assert_eq!(Projection::open(&path).unwrap().1, Made::Now);
    }

    #[cfg(unix)]
    #[test]
    fn an_object_of_no_known_kind_is_an_error_for_whoever_reads() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("commons.git");
        let (projection, _) = Projection::open(&path).unwrap();
        let content = [("a/b", "one file"), ("a/c", "another")];
        projection.commit(&files(&content), "one", "a.example", 1_000).unwrap();
        let mut packs =
            std::fs::read_dir(path.join("objects/pack")).unwrap().map(|pack| pack.unwrap().path());
        let pack = packs.find(|path| path.extension().is_some_and(|extension| extension == "pack")).unwrap();
        let sound = std::fs::read(&pack).unwrap();
        std::fs::set_permissions(&pack, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (mut refused, mut read) = (0, 0);
        // Of an object's first byte the bits 4 to 6 are its kind; there is none of number 0 and 5.
        for (at, kind) in (12..sound.len()).flat_map(|at| [0, 5].map(|kind| (at, kind))) {
            let mut damaged = sound.clone();
            damaged[at] = damaged[at] & !0x70 | kind << 4;
            std::fs::write(&pack, &damaged).unwrap();
            let files = || {
                let view = crate::follow::View::open(&path, layout::BRANCH, "here")?;
                let read = |view: crate::follow::View| {
                    content.iter().map(|(path, _)| view.read(path, 1_000)).collect::<Result<Vec<_>, _>>()
                };
                view.map(read).transpose()
            };
            match files() {
                Ok(Some(found)) => {
                    let expected = content.map(|(_, content)| Some(content.as_bytes().to_vec()));
                    assert_eq!(found, expected, "byte {at}, kind {kind}");
                    read += 1;
                }
                Ok(None) | Err(_) => refused += 1,
            }
        }
        assert!(refused > 0 && read > 0, "{refused} refused, {read} read");
    }
}
