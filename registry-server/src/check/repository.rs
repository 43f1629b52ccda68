//! Does the git repository hold what the logs say, and nothing else?

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use brick_index::follow::{
    FollowError, MAX_INDEX_FILE_BYTES, MAX_LEAF_BYTES, MAX_PUBLISHERS, View, plain_git,
};
use brick_index::layout;
use brick_schemas::Digest;
use brick_store::{Log, LogId, MAX_LEAVES_PER_READ};
use brick_tlog::checkpoint::open_checkpoint;
use brick_tlog::note::Vkey;
use brick_tlog::tile::encode_path_number;

use super::folding::Stopped;
use super::{Checking, Kind};
use crate::blocking::blocking;
use crate::git_process::GitProcess;
use crate::problem::chain;
use crate::registry::digest;

/// Files in one folder of services or index files, at most.
const MAX_FILES: usize = 16 * 1024 * 1024;
/// Time for git's own check, at most.
const FSCK_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Lines of git's own check that are reported, at most.
const MAX_FSCK_LINES: usize = 100;

/// A file that must be in git, and what is known of it.
enum Expected {
    Bytes(Vec<u8>),
    Sha256(Digest),
}

/// What is wrong with a path.
type Wrong = (String, String);

impl Checking<'_> {
    /// Holds one log's files against the log, which has been folded up to `sound` as `folded`, with nothing dropped.
    pub(super) async fn git_log(
        &mut self,
        log: &Log,
        vkey: &Vkey,
        sound: u64,
        folded: LogId,
        data: &Path,
    ) -> Result<(), Stopped> {
        if !self.is_git_whole {
            self.report.unchecked.push(format!("what git holds of {}", log.origin));
            return Ok(());
        }
        let path = data.join("commons.git");
        let folder = log.publisher.as_ref().map_or_else(|| layout::COMMONS.to_owned(), layout::log);
        let Some(note) = self.git_head(&path, &folder).await else {
            self.report.behind.push(log.origin.to_string());
            return Ok(());
        };
        let place = layout::checkpoint(&folder);
        let size = match open_checkpoint(&note, vkey) {
            Ok(opened) => {
                let checkpoint = opened.checkpoint();
                let root = self.store.root_at(log.id, checkpoint.size).await?;
                if root != Some(digest(checkpoint.root)) {
                    let why = format!("it is of {} leaves, of which no such head is stored", checkpoint.size);
                    self.report.note(Kind::Git, place, why);
                    return Ok(());
                }
                checkpoint.size
            }
            Err(err) => {
                self.report.note(Kind::Git, place, chain(&err));
                return Ok(());
            }
        };
        if size < log.size {
            self.report.behind.push(log.origin.to_string());
        }
        self.git_entries(log, &path, &folder, size).await?;
        if sound < size {
            return Ok(());
        }
        let Some(publisher) = &log.publisher else { return Ok(()) };
        let store = &self.scratch.store;
        let files = store.files_changed(folded, 0, size).await?;
        let files = files
            .into_iter()
            .map(|row| (layout::index_file(publisher, &row.brick), Expected::Sha256(row.sha256)));
        let files = files.collect::<Vec<_>>();
        let services = store.services(folded, 0, size).await?;
        let services = services
            .into_iter()
            .map(|state| {
                let path = layout::service(publisher, &state.row.service);
                (path, Expected::Bytes(state.row.json.into_bytes()))
            })
            .collect::<Vec<_>>();
        for (folder, expected) in
            [(layout::index(publisher), files), (format!("services/{publisher}"), services)]
        {
            let path = path.clone();
            let compare = move || {
                let Some(view) = view(&path)? else { return Ok(Folder::default()) };
                let found = view.files(&folder, MAX_FILES)?;
                Ok(compared(&view, found, expected).without_others())
            };
            self.git_folder(blocking(compare).await);
        }
        Ok(())
    }

    async fn git_head(&mut self, path: &Path, folder: &str) -> Option<Vec<u8>> {
        let (path, folder) = (path.to_owned(), folder.to_owned());
        // A repository that cannot be opened is said once, by `git_objects`.
        blocking(move || view(&path).ok().flatten()?.checkpoint(&folder).ok().flatten()).await
    }

    /// Every leaf that git's head counts; and what lies beyond, which a projection that was cut off leaves.
    async fn git_entries(&mut self, log: &Log, path: &Path, folder: &str, size: u64) -> Result<(), Stopped> {
        let bundles = size.div_ceil(layout::ENTRIES_PER_FOLDER);
        let mut first = 0;
        while first < log.size {
            let leaves = self.store.leaves(log.id, first..first + MAX_LEAVES_PER_READ).await?;
            if leaves.is_empty() {
                break;
            }
            let here = format!("{folder}/entries/{}", encode_path_number(first / layout::ENTRIES_PER_FOLDER));
            let required =
                usize::try_from(size.saturating_sub(first)).unwrap_or(usize::MAX).min(leaves.len());
            let mut expected: Vec<_> = leaves
                .into_iter()
                .enumerate()
                .map(|(at, leaf)| (format!("{here}/{at:03}.json"), Expected::Bytes(leaf)))
                .collect();
            let beyond = expected.split_off(required);
            first += MAX_LEAVES_PER_READ;
            let path = path.to_owned();
            let found = blocking(move || {
                let Some(view) = view(&path)? else { return Ok(Folder::default()) };
                let names = view.names(&here, MAX_FILES)?;
                let there = names.into_iter().map(|name| format!("{here}/{name}")).collect();
                let mut folder = compared(&view, there, expected);
                folder.others.retain(|path| beyond.iter().all(|(beyond, _)| beyond != path));
                let mut folder = folder.without_others();
                for (path, expected) in beyond {
                    if let (Some(found), Expected::Bytes(leaf)) =
                        (view.read(&path, MAX_LEAF_BYTES)?, expected)
                        && found != leaf
                    {
                        folder.wrongs.push((path, "it is not what the log says".to_owned()));
                    }
                }
                Ok(folder)
            });
            self.git_folder(found.await);
        }
        let (path, entries) = (path.to_owned(), format!("{folder}/entries"));
        let most = log.size.div_ceil(layout::ENTRIES_PER_FOLDER);
        let counted =
            blocking(move || view(&path)?.map_or(Ok(0), |view| bundle_count(&view, &entries))).await;
        match counted {
            Ok(count) if (bundles..=most).contains(&count) => {}
            Ok(count) => {
                let why = format!("it has {count} folders of entries, the log makes {bundles}");
                self.report.note(Kind::Git, format!("{folder}/entries"), why);
            }
            Err(err) => self.report.note(Kind::Git, format!("{folder}/entries"), chain(&err)),
        }
        Ok(())
    }

    fn git_folder(&mut self, found: Result<Folder, FollowError>) {
        match found {
            Ok(folder) => {
                self.report.checked.git_files += folder.sound;
                for (place, why) in folder.wrongs {
                    self.report.note(Kind::Git, place, why);
                }
            }
            Err(err) => self.report.note(Kind::Git, "commons.git", chain(&err)),
        }
    }

    /// Has git check every object; comes before anything is read there.
    pub(super) async fn git_objects(&mut self, data: &Path) {
        let path = data.join("commons.git");
        if !path.exists() {
            return;
        }
        (self.tell)("git fsck");
        // git reads capitals and what follows the line as nothing; they are not what was written.
        if let Ok(written) = std::fs::read(path.join(layout::BRANCH)) {
            let is_lower = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
            if !written.strip_suffix(b"\n").is_some_and(|id| id.len() == 40 && id.iter().all(is_lower)) {
                self.report.note(Kind::Git, layout::BRANCH, "the branch's file is not what is written there");
            }
        }
        let mut command = plain_git(&path);
        command
            .args(["fsck", "--full", "--strict", "--no-dangling", "--no-progress"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let run = async {
            let mut process = GitProcess::start(command)?;
            let said = read_lines(process.child.stderr.take()).await;
            Ok::<_, std::io::Error>((process.child.wait().await?, said))
        };
        match tokio::time::timeout(FSCK_LIMIT, run).await {
            Ok(Ok((status, _))) if status.success() => {}
            Ok(Ok((status, said))) => {
                if said.is_empty() {
                    self.report.note(Kind::Git, "commons.git", format!("git fsck ended with {status}"));
                }
                for line in said {
                    self.report.note(Kind::Git, "commons.git", format!("git fsck: {}", line.escape_debug()));
                }
                self.is_git_whole = false;
                return;
            }
            Ok(Err(err)) => self.report.unchecked.push(format!("git's own check: {err}")),
            Err(_) => self.report.unchecked.push("git's own check: it took too long".to_owned()),
        }
        if let Err(err) = blocking(move || view(&path).map(|_| ())).await {
            self.report.note(Kind::Git, "commons.git", chain(&err));
        }
    }

    /// Looks for files that no log accounts for.
    pub(super) async fn git_strays(&mut self, data: &Path, logs: &[Log]) {
        let path = data.join("commons.git");
        if !path.exists() || !self.is_git_whole {
            return;
        }
        let publishers: BTreeSet<String> =
            logs.iter().filter_map(|log| log.publisher.as_ref()).map(ToString::to_string).collect();
        let strays = blocking(move || -> Result<Vec<String>, FollowError> {
            let Some(view) = view(&path)? else { return Ok(Vec::new()) };
            let top = ["README.md", layout::COMMONS, layout::LOGS, "index", "services"];
            let mut strays = top_names(&path)?;
            strays.retain(|name| !top.contains(&name.as_str()));
            for folder in [layout::LOGS, "index", "services"] {
                let names = view.names(folder, MAX_PUBLISHERS)?;
                let unknown = names.into_iter().filter(|name| !publishers.contains(name));
                strays.extend(unknown.map(|name| format!("{folder}/{name}")));
            }
            let folders = publishers.iter().map(|name| format!("{}/{name}", layout::LOGS));
            for folder in folders.chain([layout::COMMONS.to_owned()]) {
                let names = view.names(&folder, MAX_FILES)?;
                let unknown = names.into_iter().filter(|name| name != "checkpoint" && name != "entries");
                strays.extend(unknown.map(|name| format!("{folder}/{name}")));
            }
            Ok(strays)
        });
        match strays.await {
            Ok(strays) => {
                for stray in strays {
                    self.report.note(Kind::Git, stray.escape_debug().to_string(), STRAY);
                }
            }
            Err(err) => self.report.note(Kind::Git, "commons.git", chain(&err)),
        }
    }
}

const STRAY: &str = "no log accounts for it";

/// What was found in a folder.
#[derive(Default)]
struct Folder {
    wrongs: Vec<Wrong>,
    /// Paths that nobody expects.
    others: Vec<String>,
    /// Files that are as they must be.
    sound: u64,
}

fn view(path: &Path) -> Result<Option<View>, FollowError> {
    match path.exists() {
        true => View::open(path, layout::BRANCH, "commons.git"),
        false => Ok(None),
    }
}

impl Folder {
    /// What nobody expects is wrong too.
    fn without_others(mut self) -> Self {
        let strays = self.others.drain(..).map(|path| (path.escape_debug().to_string(), STRAY.to_owned()));
        self.wrongs.extend(strays);
        self
    }
}

/// Compares files with what they must be.
///
/// - `there`: the paths of all that are there.
fn compared(view: &View, there: Vec<String>, expected: Vec<(String, Expected)>) -> Folder {
    let mut folder = Folder::default();
    let mut others: BTreeSet<String> = there.into_iter().collect();
    for (path, expected) in expected {
        others.remove(&path);
        let found = match view.read(&path, MAX_INDEX_FILE_BYTES) {
            Ok(Some(found)) => found,
            Ok(None) => {
                folder.wrongs.push((path, "it is missing".to_owned()));
                continue;
            }
            Err(err) => {
                folder.wrongs.push((path, chain(&err)));
                continue;
            }
        };
        let is_same = match expected {
            Expected::Bytes(bytes) => bytes == found,
            Expected::Sha256(sha256) => Digest::of(&found) == sha256,
        };
        match is_same {
            true => folder.sound += 1,
            false => folder.wrongs.push((path, "it is not what the log adds up to".to_owned())),
        }
    }
    folder.others = others.into_iter().collect();
    folder
}

/// The names at the top of the repository.
fn top_names(path: &Path) -> Result<Vec<String>, FollowError> {
    let listed = plain_git(path)
        .args(["ls-tree", "-z", "--name-only", layout::BRANCH])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(FollowError::Start)?;
    let names = String::from_utf8_lossy(&listed.stdout);
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// How many folders of entries lie below `folder`, whose numbers are paths of three digits each.
fn bundle_count(view: &View, folder: &str) -> Result<u64, FollowError> {
    let mut count = 0;
    for name in view.names(folder, MAX_FILES)? {
        count += match name.starts_with('x') {
            true => bundle_count(view, &format!("{folder}/{name}"))?,
            false => 1,
        };
    }
    Ok(count)
}

async fn read_lines(pipe: Option<tokio::process::ChildStderr>) -> Vec<String> {
    use tokio::io::AsyncBufReadExt as _;
    let Some(pipe) = pipe else { return Vec::new() };
    let mut lines = tokio::io::BufReader::new(pipe).lines();
    let mut kept = Vec::new();
    // All is read, lest git wait for a reader; what is kept is bounded.
    while let Ok(Some(line)) = lines.next_line().await {
        if kept.len() < MAX_FSCK_LINES {
            kept.push(line);
        }
    }
    kept
}
