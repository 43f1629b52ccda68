//! When does git learn what the logs say? Within a second after they moved, one commit a second at most; then witnesses
//! are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use brick_index::layout;
use brick_index::projection::{Projection, ProjectionError, Stage};
use brick_schemas::{BrickName, Digest, Origin, PublisherName};
use brick_store::{ReadError, crash_point};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::note::Note;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use tokio::time::Instant;

use crate::git_process::GitProcess;
use crate::heads::ShownHead;
use crate::problem::said;
use crate::registry::{Registry, RegistryError, now};

/// Moves that come within this time share a commit.
const GATHER: Duration = Duration::from_millis(50);
/// Packs past which the repository is repacked although there is more to commit.
const MAX_PACKS: usize = 64;
/// Commits after which it is repacked once there is nothing more to commit for [`QUIET`]: whoever clones then finds it as
/// small as git would make it.
const SOME_COMMITS: usize = 8;
/// One part in so many that is new makes that worth while: the index over all packs is written anew each time.
const NEW_PART: u64 = 16;
/// How long nothing moves before the repository is put in order.
const QUIET: Duration = Duration::from_secs(2);
/// Wait after a failed projection.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// Failures in a row after which the repository is made again.
const MAX_FAILURES: u32 = 3;
/// Times that a log is looked at again because it moved meanwhile.
const MAX_TRIES: u32 = 8;
/// Leaves in one commit, at most: what a rebuild holds in memory at a time.
const MAX_LEAVES: u64 = 4_096;
/// Time for one check or repack, at most.
const MAINTENANCE_LIMIT: Duration = Duration::from_secs(1_800);

/// Index files kept in memory, about.
const TEXTS: usize = 1_024;
/// Bytes of them, at most.
const TEXTS_BYTES: u64 = 8 * 1024 * 1024;

/// What the repository says of itself.
const README_FILE: &str = "README.md";
const README: &str = include_str!("repository_readme.md");

/// Notes whether the repository has to be made (again), before anybody reads it: it lacks what the logs say, or says of itself
/// something else than this program writes.
pub fn look(registry: &Registry) {
    let said = registry.projection.read(README_FILE);
    let is_current = said.is_ok_and(|said| said.as_deref() == Some(README.as_bytes()));
    registry.git_is_in_the_making.store(!is_current && !registry.heads().is_empty(), Ordering::Release);
}

/// Projects for as long as the registry runs. Blocks while it commits: it has a thread of its own.
pub async fn run(registry: Arc<Registry>) {
    let checked = tokio::spawn(is_whole(registry.clone()));
    let mut task = Projecting::new(registry);
    if task.is_laid_out_otherwise() {
        task.rebuild().await;
    }
    let mut checked = Some(checked);
    let mut failures = 0;
    loop {
        let notified = task.registry.projected.notified();
        tokio::select! {
            () = notified => {}
            () = tokio::time::sleep(QUIET), if task.commits >= SOME_COMMITS && task.has_grown() => {
                task.repack(Order::Whole);
                continue;
            }
            whole = async { checked.as_mut().expect("asked only while it is there").await }, if checked.is_some() => {
                checked = None;
                if matches!(whole, Ok(false)) {
                    task.rebuild().await;
                }
                continue;
            }
        }
        tokio::time::sleep(GATHER).await;
        task.gather_mirrored().await;
        let begun = Instant::now();
        match task.project().await {
            Ok(()) => {
                failures = 0;
                task.registry.git_is_in_the_making.store(false, Ordering::Release);
                task.registry.ask_witnesses.notify_one();
                if task.registry.projection.packs().is_ok_and(|packs| packs.count > MAX_PACKS) {
                    task.repack(Order::Packs);
                }
                tokio::time::sleep_until(begun + task.registry.settings.patience.between_commits).await;
            }
            Err(err) => {
                failures += 1;
                // A repository that cannot be written is not made again: what readers fetch from would be gone.
                if !may_write(&task.registry) {
                    failures = 0;
                }
                task.projected.clear();
                tracing::error!(why = %said(&err), failures, "the git repository is behind");
                if failures >= MAX_FAILURES {
                    task.rebuild().await;
                    failures = 0;
                }
                tokio::time::sleep(AFTER_FAILURE).await;
                task.registry.projected.notify_one();
            }
        }
    }
}

/// Commits all that git does not have of a registry that is not being served. Blocks the thread.
///
/// # Errors
/// [`RegistryError`].
pub async fn project_once(registry: Arc<Registry>) -> Result<(), RegistryError> {
    for (origin, _) in registry.heads() {
        registry.mark_unprojected(&origin);
    }
    Projecting::new(registry).project().await
}

/// Ends the process at a stage of a commit, where the environment asks for that.
pub(crate) fn crash_at(stage: Stage) {
    crash_point(match stage {
        Stage::ObjectsMade => "git-objects-made",
        Stage::PackWritten => "git-pack-written",
        Stage::BranchMoved => "git-branch-moved",
    });
}

/// Whether every object that the branch leads to is there. What opening looks at is less: a power cut may have taken any.
async fn is_whole(registry: Arc<Registry>) -> bool {
    let mut command = brick_index::follow::plain_git(registry.projection.path());
    command
        .args(["fsck", "--connectivity-only", "--no-dangling", "--no-progress"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let run = async { GitProcess::start(command)?.child.wait().await };
    match tokio::time::timeout(MAINTENANCE_LIMIT, run).await {
        Ok(Ok(status)) if !status.success() => {
            tracing::warn!("the git repository is damaged; it is made again from the logs");
            false
        }
        Ok(Ok(_)) => true,
        other => {
            tracing::warn!(?other, "the git repository could not be checked");
            true
        }
    }
}

/// Whether the folder of the repository takes files.
fn may_write(registry: &Registry) -> bool {
    const PROBE_BYTES: usize = 64 * 1024;
    let probe = || {
        let mut file = tempfile::NamedTempFile::new_in(registry.projection.path())?;
        std::io::Write::write_all(&mut file, &[0; PROBE_BYTES])?;
        file.as_file().sync_all()
    };
    probe().is_ok()
}

struct Projecting {
    registry: Arc<Registry>,
    /// How many leaves of each folder are in git already though its head there is older: a long way goes in steps.
    written: BTreeMap<String, u64>,
    /// The size in the head of each folder that this task committed last.
    projected: BTreeMap<String, u64>,
    /// A repack under way.
    packed: Option<tokio::task::JoinHandle<()>>,
    /// Commits since the whole was last put in order.
    commits: usize,
    /// Bytes of all packs then.
    packed_bytes: Arc<AtomicU64>,
    /// Index files as git got them last, by path. Wrong ones do no harm: what they amount to is compared with the store.
    texts: Cache<String, Vec<u8>, Bulk>,
}

#[derive(Clone)]
struct Bulk;

impl Weighter<String, Vec<u8>> for Bulk {
    fn weight(&self, path: &String, text: &Vec<u8>) -> u64 {
        (path.len() + text.len()) as u64
    }
}

impl Projecting {
    fn new(registry: Arc<Registry>) -> Self {
        let texts = Cache::with_weighter(TEXTS, TEXTS_BYTES, Bulk);
        Self {
            registry,
            written: BTreeMap::new(),
            projected: BTreeMap::new(),
            packed: None,
            commits: 0,
            packed_bytes: Arc::default(),
            texts,
        }
    }

    /// Waits for more of what others sign to come, as long as no log that is signed here is due: it is asked for cosignatures
    /// when git has it, and of the others nobody waits for git.
    async fn gather_mirrored(&self) {
        let deadline =
            Instant::now() + self.registry.settings.patience.between_commits.saturating_sub(GATHER);
        while !self.registry.has_hosted_due() {
            let notified = self.registry.projected.notified();
            if tokio::time::timeout_at(deadline, notified).await.is_err() {
                return;
            }
        }
    }

    /// Commits everything that git does not have yet.
    async fn project(&mut self) -> Result<(), RegistryError> {
        let due: BTreeSet<Origin> = {
            let unprojected = &self.registry.unprojected;
            std::mem::take(&mut *unprojected.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let result = self.project_all(&due).await;
        if result.is_err() {
            let unprojected = &self.registry.unprojected;
            unprojected.lock().unwrap_or_else(PoisonError::into_inner).extend(due);
        }
        result
    }

    async fn project_all(&mut self, due: &BTreeSet<Origin>) -> Result<(), RegistryError> {
        let mut files = Files::default();
        for origin in due {
            let mut tries = 0;
            // The head anew in each step: the log goes on moving, and old states are not kept for ever.
            while let Some(head) = self.registry.head(origin) {
                match self.gather(&head, &mut files).await {
                    Ok(true) => break,
                    Ok(false) => self.commit(std::mem::take(&mut files)).await?,
                    Err(GatherError::Moved) if tries < MAX_TRIES => tries += 1,
                    Err(GatherError::Moved) => {
                        self.registry.mark_unprojected(origin);
                        break;
                    }
                    Err(GatherError::Registry(err)) => return Err(err),
                }
            }
        }
        if !due.is_empty() {
            self.commit(files).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, files: Files) -> Result<(), RegistryError> {
        let Files { mut content, leaves, heads } = files;
        content.insert(README_FILE.to_owned(), README.as_bytes().to_vec());
        let message = match leaves {
            0 => "cosignatures".to_owned(),
            1 => "1 leaf".to_owned(),
            n => format!("{n} leaves"),
        };
        crash_point("git-gathered");
        let author = self.registry.settings.id.as_str();
        self.registry.projection.commit(&content, &message, author, now())?;
        crash_point("git-committed");
        self.registry.metrics.git_commits.inc();
        self.commits += 1;
        self.projected.extend(heads);
        Ok(())
    }

    /// Puts a log's files that git lacks into `files`. Returns whether that is all of them; otherwise there is no room for
    /// more, and the head comes with the last.
    async fn gather(&mut self, head: &ShownHead, files: &mut Files) -> Result<bool, GatherError> {
        let folder = head.publisher.as_ref().map_or_else(|| layout::COMMONS.to_owned(), layout::log);
        let before = self.projected_size(&folder).await?;
        let mut next = self.written.get(&folder).copied().unwrap_or(0).max(before);
        let is_last = head.size.saturating_sub(next) <= MAX_LEAVES.saturating_sub(files.leaves);
        // What follows from the log comes first: it is kept only as of the newest heads, and the log goes on moving.
        let derived = match (&head.publisher, is_last) {
            (Some(publisher), true) => self.derived(publisher, head, before).await?,
            _ => Vec::new(),
        };
        while next < head.size && (is_last || files.leaves < MAX_LEAVES) {
            for leaf in self.registry.store.leaves(head.id, next..head.size).await? {
                files.content.insert(layout::entry(&folder, next), leaf);
                files.leaves += 1;
                next += 1;
            }
        }
        if !is_last {
            self.written.insert(folder, next);
            return Ok(false);
        }
        // The head last: it says that git has all that is under it.
        self.written.remove(&folder);
        files.content.extend(derived);
        files.content.insert(layout::checkpoint(&folder), head.newest.clone());
        files.heads.push((folder, head.size));
        Ok(true)
    }

    /// The index files and services that changed after `before`, by path, as of the head.
    async fn derived(
        &mut self,
        publisher: &PublisherName,
        head: &ShownHead,
        before: u64,
    ) -> Result<Vec<(String, Vec<u8>)>, GatherError> {
        let store = &self.registry.store;
        let changed = store.files_changed(head.id, before, head.size).await?;
        let lines = store.lines_changed(head.id, before, head.size).await?;
        let services = store.services(head.id, before, head.size).await?;
        let mut added: BTreeMap<BrickName, Vec<u8>> = BTreeMap::new();
        for (brick, row) in lines {
            added.entry(brick).or_default().extend_from_slice(row.line.as_bytes());
        }
        let mut derived = Vec::new();
        for row in changed {
            let path = layout::index_file(publisher, &row.brick);
            // New releases stand at the end of what git got last; where a line before them changed, the whole file is read.
            let mut text = self.texts.remove(&path).map(|(_, text)| text).unwrap_or_default();
            text.extend(added.remove(&row.brick).unwrap_or_default());
            if Digest::of(&text) != row.sha256 {
                let file = store.index_file(head.id, &row.brick, head.size).await?;
                let Some((bytes, _)) = file else { continue };
                text = bytes;
            }
            self.texts.insert(path.clone(), text.clone());
            derived.push((path, text));
        }
        for state in services {
            derived.push((layout::service(publisher, &state.row.service), state.row.json.into_bytes()));
        }
        Ok(derived)
    }

    /// How far git is with a log: the size in the head that it has.
    async fn projected_size(&self, folder: &str) -> Result<u64, RegistryError> {
        if let Some(size) = self.projected.get(folder) {
            return Ok(*size);
        }
        let note = self.registry.projection.read(&layout::checkpoint(folder))?;
        let size = note
            .and_then(|note| Note::parse(&note).ok())
            .and_then(|note| Checkpoint::parse(&note.text).ok())
            .map_or(0, |checkpoint| checkpoint.size);
        Ok(size)
    }

    /// Whether the repository says of itself something else than this program writes: one of before, whose files may lie
    /// elsewhere.
    fn is_laid_out_otherwise(&self) -> bool {
        let said = self.registry.projection.read(README_FILE);
        said.is_ok_and(|said| said.is_some_and(|said| said != README.as_bytes()))
    }

    /// Throws the repository away and notes every log as due: it is a fold of them.
    async fn rebuild(&mut self) {
        if let Some(repack) = self.packed.take() {
            repack.abort();
            let _ = repack.await;
        }
        self.registry.git_is_in_the_making.store(true, Ordering::Release);
        self.written.clear();
        self.projected.clear();
        let path = self.registry.projection.path();
        let removed = std::fs::remove_dir_all(path);
        let made = removed.map_err(|err| ProjectionError::Io { path: path.to_owned(), err });
        match made.and_then(|()| Projection::open(path)) {
            Ok(_) => tracing::warn!("the git repository is made again from the logs"),
            Err(err) => tracing::error!(why = %said(&err), "the git repository cannot be made again"),
        }
        for (origin, _) in self.registry.heads() {
            self.registry.mark_unprojected(&origin);
        }
    }

    /// Whether so much is new since the last repack that the next one is worth what it costs.
    fn has_grown(&self) -> bool {
        let before = self.packed_bytes.load(Ordering::Relaxed);
        self.registry.projection.packs().is_ok_and(|packs| packs.bytes > before + before / NEW_PART)
    }

    /// Small packs pile up, one a commit: `git` folds them together beside the projecting, those of about one size at a time,
    /// so that what is done over and over again is little. Readers keep what they have open.
    fn repack(&mut self, order: Order) {
        if self.packed.as_ref().is_some_and(|repack| !repack.is_finished()) {
            return;
        }
        if matches!(order, Order::Whole) {
            self.commits = 0;
        }
        let (projection, packed_bytes) = (self.registry.projection.clone(), self.packed_bytes.clone());
        self.packed = Some(tokio::spawn(async move {
            let mut command = brick_index::follow::plain_git(projection.path());
            command
                // One thread: it is in no hurry, and others are.
                .args(["-c", "pack.threads=1", "repack", "--quiet", "--geometric=2", "-d", "--write-midx"])
                .args(match order {
                    Order::Packs => None,
                    Order::Whole => Some("--write-bitmap-index"),
                })
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let run = async { GitProcess::start(command)?.child.wait().await };
            match tokio::time::timeout(MAINTENANCE_LIMIT, run).await {
                Ok(Ok(status)) if status.success() => {}
                other => tracing::warn!(?other, "git repack did not finish"),
            }
            if matches!(order, Order::Whole) {
                packed_bytes.store(projection.packs().map_or(0, |packs| packs.bytes), Ordering::Relaxed);
            }
        }));
    }
}

/// How much of a repository is put in order.
#[derive(Clone, Copy)]
enum Order {
    /// The number of its packs.
    Packs,
    /// What a commit leads to as well, which whoever clones would else find out by walking. It costs as much as there is in
    /// the repository, so not while more is coming.
    Whole,
}

/// Why a log's files could not be put together.
enum GatherError {
    /// The log moved meanwhile: look again.
    Moved,
    Registry(RegistryError),
}

impl From<ReadError> for GatherError {
    fn from(err: ReadError) -> Self {
        match err {
            ReadError::NotKept { .. } => Self::Moved,
            other => Self::Registry(RegistryError::store(other)),
        }
    }
}

impl From<RegistryError> for GatherError {
    fn from(err: RegistryError) -> Self {
        Self::Registry(err)
    }
}

/// Files for one commit.
#[derive(Default)]
struct Files {
    content: BTreeMap<String, Vec<u8>>,
    leaves: u64,
    /// Folders whose head is among them, with its size.
    heads: Vec<(String, u64)>,
}
