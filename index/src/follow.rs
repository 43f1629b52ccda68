//! What does somebody else's repository say? Fetching it with `git`, and reading it as if it came from an enemy.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brick_schemas::PublisherName;
use git2::{ObjectType, Odb, Oid, Repository, Tree, TreeEntry, TreeWalkMode};

use crate::layout;

/// Bytes of one leaf in a foreign repository, at most. Source: C2SP tlog-tiles.
pub const MAX_LEAF_BYTES: usize = 65_535;
/// Bytes of one head, at most.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Bytes of one index file, at most: 4,096 lines of 4 KiB.
pub const MAX_INDEX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// Publishers in one repository, at most.
pub const MAX_PUBLISHERS: usize = 16_384;
/// Time for one `git fetch`, at most.
pub const FETCH_TIME_LIMIT: Duration = Duration::from_secs(600);

/// Why a repository could not be fetched or read.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// `git` is missing or could not be started.
    #[error("cannot run git")]
    Start(#[source] std::io::Error),
    /// `git fetch` said no.
    #[error("git cannot fetch {url}: {stderr}")]
    Fetch {
        /// The address, without credentials.
        url: String,
        /// git's last words, escaped.
        stderr: String,
    },
    /// It took too long.
    #[error("git fetch of {url} was stopped after {} s", FETCH_TIME_LIMIT.as_secs())]
    Slow {
        /// The address.
        url: String,
    },
    /// An address that is not of an allowed kind.
    #[error("`{url}` is not an address to fetch from: use https://, http://, file:// or a path")]
    Url {
        /// The address, escaped.
        url: String,
    },
    /// An object that is missing, damaged or of the wrong kind.
    #[error("the repository of {url}: {path}")]
    Object {
        /// The address.
        url: String,
        /// The file.
        path: String,
        /// What libgit2 says.
        #[source]
        err: git2::Error,
    },
    /// Something that the layout does not allow.
    #[error("the repository of {url}: {path} {rule}")]
    Layout {
        /// The address.
        url: String,
        /// The file, escaped.
        path: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// A local copy of another registry's repository.
#[derive(Debug, Clone)]
pub struct Follower {
    path: PathBuf,
    url: String,
}

impl Follower {
    /// A copy at `path` of the repository at `url` (`https:`, `http:`, `file:`, a path, or a bundle file).
    ///
    /// # Errors
    /// [`FollowError::Url`] for other kinds of address, and [`FollowError::Object`] where the copy cannot be made.
    pub fn open(path: &Path, url: &str) -> Result<Self, FollowError> {
        let allowed = ["https://", "http://", "file://"].iter().any(|scheme| url.starts_with(scheme))
            || (!url.contains("://") && !url.contains("::") && Path::new(url).is_absolute());
        if !allowed || url.chars().any(char::is_control) {
            return Err(FollowError::Url { url: url.escape_default().to_string() });
        }
        let follower = Self { path: path.to_owned(), url: url.to_owned() };
        if Repository::open_bare(path).is_err() {
            let mut options = git2::RepositoryInitOptions::new();
            options.bare(true).initial_head("main").external_template(false);
            Repository::init_opts(path, &options).map_err(|err| follower.object("", err))?;
        }
        Ok(follower)
    }

    fn object(&self, path: &str, err: git2::Error) -> FollowError {
        FollowError::Object { url: self.url.clone(), path: path.to_owned(), err }
    }

    /// The `git fetch` that brings the copy forward, for whoever runs it: standard error is piped, nothing else.
    pub fn fetch_command(&self) -> Command {
        let mut command = plain_git(&self.path);
        command
            .args(["-c", "transfer.fsckObjects=true", "-c", "gc.auto=0", "-c", "maintenance.auto=false"])
            .args(["-c", "protocol.allow=never", "-c", "protocol.https.allow=always"])
            .args(["-c", "protocol.http.allow=always", "-c", "protocol.file.allow=always"])
            .args([
                "-c",
                "http.lowSpeedLimit=1024",
                "-c",
                "http.lowSpeedTime=30",
                "-c",
                "http.followRedirects=false",
            ])
            .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--"])
            .arg(&self.url)
            // `+`: history may be squashed; what counts is checked against the logs, not against commits.
            .arg(format!("+{0}:{0}", layout::BRANCH))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// The error for a `git fetch` that failed with these last words.
    pub fn fetch_error(&self, stderr: &[u8]) -> FollowError {
        let words = String::from_utf8_lossy(stderr);
        let last = words.lines().last().unwrap_or("no reason given").escape_debug().to_string();
        FollowError::Fetch { url: self.url.clone(), stderr: last }
    }

    /// Brings the copy forward with the `git` program. Blocking; bounded in time.
    ///
    /// # Errors
    /// [`FollowError`]; the copy is as it was then.
    pub fn fetch(&self) -> Result<(), FollowError> {
        let mut child = self.fetch_command().spawn().map_err(FollowError::Start)?;
        let started = Instant::now();
        loop {
            match child.try_wait().map_err(FollowError::Start)? {
                Some(status) if status.success() => return Ok(()),
                Some(_) => {
                    let mut stderr = Vec::new();
                    if let Some(pipe) = child.stderr.take() {
                        use std::io::Read as _;
                        let _ = pipe.take(4_096).read_to_end(&mut stderr);
                    }
                    return Err(self.fetch_error(&stderr));
                }
                None if started.elapsed() > FETCH_TIME_LIMIT => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(FollowError::Slow { url: self.url.clone() });
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// The newest fetched state, or `None` where nothing was ever fetched.
    ///
    /// # Errors
    /// [`FollowError::Object`].
    pub fn view(&self) -> Result<Option<View>, FollowError> {
        View::open(&self.path, layout::BRANCH, &self.url)
    }
}

/// `git` in a fixed environment: no prompts, no configuration but the repository's own, no hooks.
pub fn plain_git(repository: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .arg("-c")
        .arg("core.hooksPath=/dev/null")
        .arg("-c")
        .arg("safe.directory=*")
        .arg("-C")
        .arg(repository);
    command
}

/// One commit of a repository, read through objects only: nothing of it is ever checked out.
pub struct View {
    repository: Repository,
    tree: Oid,
    url: String,
}

/// The size that an object's header tells.
///
/// A flipped bit in a pack can make it an object of a kind that there is none of: `git2` panics at that.
fn size_of(odb: &Odb<'_>, id: Oid) -> Result<usize, git2::Error> {
    let header = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| odb.read_header(id)));
    match header {
        Ok(header) => header.map(|(size, _)| size),
        Err(_) => Err(git2::Error::from_str("an object is of no known kind")),
    }
}

impl View {
    /// The tree that `reference` leads to in the repository at `path`; `None` where the reference is unborn.
    ///
    /// - `url`: what errors call it.
    ///
    /// # Errors
    /// [`FollowError::Object`].
    pub fn open(path: &Path, reference: &str, url: &str) -> Result<Option<Self>, FollowError> {
        let object = |err| FollowError::Object { url: url.to_owned(), path: reference.to_owned(), err };
        let repository = Repository::open(path).map_err(object)?;
        let tree = match repository.revparse_single(reference).and_then(|found| found.peel_to_tree()) {
            Ok(tree) => tree.id(),
            Err(err)
                if err.code() == git2::ErrorCode::NotFound || err.code() == git2::ErrorCode::UnbornBranch =>
            {
                return Ok(None);
            }
            Err(err) => return Err(object(err)),
        };
        Ok(Some(Self { repository, tree, url: url.to_owned() }))
    }

    /// The tree's id: two views of one id hold the same files.
    pub fn tree_id(&self) -> String {
        self.tree.to_string()
    }

    fn object(&self, path: &str, err: git2::Error) -> FollowError {
        FollowError::Object { url: self.url.clone(), path: path.escape_default().to_string(), err }
    }

    fn layout(&self, path: &str, rule: &'static str) -> FollowError {
        FollowError::Layout { url: self.url.clone(), path: path.escape_default().to_string(), rule }
    }

    /// A file's bytes; `None` where it is not there.
    ///
    /// # Errors
    /// [`FollowError`] for anything but a plain file of at most `max` bytes.
    pub fn read(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, FollowError> {
        let tree = self.repository.find_tree(self.tree).map_err(|err| self.object(path, err))?;
        match tree.get_path(Path::new(path)) {
            Ok(entry) => {
                let odb = self.repository.odb().map_err(|err| self.object(path, err))?;
                self.content(&odb, &entry, path, max).map(Some)
            }
            Err(err) if err.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(err) => Err(self.object(path, err)),
        }
    }

    /// The bytes of a file that `entry` of a folder stands for.
    fn content(
        &self,
        odb: &Odb<'_>,
        entry: &TreeEntry<'_>,
        path: &str,
        max: usize,
    ) -> Result<Vec<u8>, FollowError> {
        if entry.kind() != Some(ObjectType::Blob) || entry.filemode() != 0o100_644 {
            return Err(self.layout(path, "is not a plain file"));
        }
        // The header first: a blob's size is known before its bytes are made.
        let size = size_of(odb, entry.id()).map_err(|err| self.object(path, err))?;
        if size > max {
            return Err(self.layout(path, "is larger than allowed"));
        }
        let object = odb.read(entry.id()).map_err(|err| self.object(path, err))?;
        Ok(object.data().to_vec())
    }

    /// The publishers whose logs lie here, in order.
    ///
    /// # Errors
    /// [`FollowError`] for a name that is none, or too many.
    pub fn publishers(&self) -> Result<Vec<PublisherName>, FollowError> {
        self.names(layout::LOGS, MAX_PUBLISHERS)?
            .into_iter()
            .map(|name| {
                PublisherName::parse(&name).map_err(|_| self.layout(&name, "is not a publisher's name"))
            })
            .collect()
    }

    /// The names in a folder; none where the folder is not there.
    ///
    /// # Errors
    /// [`FollowError`] for more than `max`.
    pub fn names(&self, folder: &str, max: usize) -> Result<Vec<String>, FollowError> {
        let tree = self.repository.find_tree(self.tree).map_err(|err| self.object(folder, err))?;
        let entry = match tree.get_path(Path::new(folder)) {
            Ok(entry) => entry,
            Err(err) if err.code() == git2::ErrorCode::NotFound => return Ok(Vec::new()),
            Err(err) => return Err(self.object(folder, err)),
        };
        let tree = self.repository.find_tree(entry.id()).map_err(|err| self.object(folder, err))?;
        if tree.len() > max {
            return Err(self.layout(folder, "has more entries than allowed"));
        }
        tree.iter()
            .map(|entry| {
                entry
                    .name()
                    .map(str::to_owned)
                    .map_err(|_| self.layout(folder, "holds a name that is not UTF-8"))
            })
            .collect()
    }

    /// The head of the log in `folder`, unverified.
    ///
    /// # Errors
    /// [`FollowError`].
    pub fn checkpoint(&self, folder: &str) -> Result<Option<Vec<u8>>, FollowError> {
        self.read(&layout::checkpoint(folder), MAX_HEAD_BYTES)
    }

    /// Leaves `from..to` of the log in `folder`, unverified.
    ///
    /// # Errors
    /// [`FollowError`], also where one is missing.
    pub fn leaves(&self, folder: &str, from: u64, to: u64) -> Result<Vec<Vec<u8>>, FollowError> {
        let odb = self.repository.odb().map_err(|err| self.object(folder, err))?;
        let root = self.repository.find_tree(self.tree).map_err(|err| self.object(folder, err))?;
        let mut leaves = Vec::new();
        // The folder of a bundle holds 256 of them: looking each up from the root would read it as often.
        let mut bundle: Option<(String, Tree<'_>)> = None;
        for index in from..to {
            let path = layout::entry(folder, index);
            let missing = |err: git2::Error| match err.code() {
                git2::ErrorCode::NotFound => self.layout(&path, "is missing"),
                _ => self.object(&path, err),
            };
            let (parent, name) = path.rsplit_once('/').expect("an entry lies in a folder");
            let tree = match bundle.take().filter(|(open, _)| open == parent) {
                Some((_, tree)) => tree,
                None => {
                    let entry = root.get_path(Path::new(parent)).map_err(missing)?;
                    self.repository.find_tree(entry.id()).map_err(missing)?
                }
            };
            let entry = tree.get_name(name).ok_or_else(|| self.layout(&path, "is missing"))?;
            leaves.push(self.content(&odb, &entry, &path, MAX_LEAF_BYTES)?);
            drop(entry);
            bundle = Some((parent.to_owned(), tree));
        }
        Ok(leaves)
    }

    /// Every path of a plain file below `folder`, relative to the repository, at most `max`.
    ///
    /// # Errors
    /// [`FollowError`] for more than `max`, or anything that is neither folder nor plain file.
    pub fn files(&self, folder: &str, max: usize) -> Result<Vec<String>, FollowError> {
        let tree = self.repository.find_tree(self.tree).map_err(|err| self.object(folder, err))?;
        let entry = match tree.get_path(Path::new(folder)) {
            Ok(entry) => entry,
            Err(err) if err.code() == git2::ErrorCode::NotFound => return Ok(Vec::new()),
            Err(err) => return Err(self.object(folder, err)),
        };
        let tree = self.repository.find_tree(entry.id()).map_err(|err| self.object(folder, err))?;
        let mut paths = Vec::new();
        let mut wrong = None;
        let walked = tree.walk(TreeWalkMode::PreOrder, |parent, entry| {
            let path = format!("{folder}/{parent}{}", String::from_utf8_lossy(entry.name_bytes()));
            match entry.kind() {
                Some(ObjectType::Tree) => git2::TreeWalkResult::Ok,
                Some(ObjectType::Blob) if entry.filemode() == 0o100_644 && paths.len() < max => {
                    paths.push(path);
                    git2::TreeWalkResult::Ok
                }
                _ => {
                    wrong = Some(path);
                    git2::TreeWalkResult::Abort
                }
            }
        });
        if let Some(path) = wrong {
            return Err(self.layout(&path, "is not a plain file, or there are too many"));
        }
        walked.map_err(|err| self.object(folder, err))?;
        Ok(paths)
    }
}
