//! When does git learn what the logs say? At most a second after they moved; then witnesses are asked.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use brick_index::layout;
use brick_schemas::Origin;
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::note::Note;

use crate::registry::{Registry, RegistryError, ShownHead, now};

/// Moves that come within this time share a commit.
const GATHER: Duration = Duration::from_millis(100);
/// Packs past which the repository is repacked.
const MAX_PACKS: usize = 64;
/// Wait after a failed projection.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

const README: &str = include_str!("repository_readme.md");

/// Projects for as long as the registry runs.
pub async fn run(registry: Arc<Registry>) {
    loop {
        registry.projected.notified().await;
        tokio::time::sleep(GATHER).await;
        match project(&registry).await {
            Ok(()) => registry.ask_witnesses.notify_one(),
            Err(err) => {
                tracing::error!(err = &err as &dyn std::error::Error, "the git repository is behind");
                tokio::time::sleep(AFTER_FAILURE).await;
                registry.projected.notify_one();
            }
        }
    }
}

/// Commits everything that git does not have yet.
///
/// # Errors
/// [`RegistryError`]; the logs that were not projected stay noted.
pub async fn project(registry: &Arc<Registry>) -> Result<(), RegistryError> {
    let due: Vec<Origin> = {
        let mut unprojected = registry.unprojected.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *unprojected).into_keys().collect()
    };
    if due.is_empty() {
        return Ok(());
    }
    let result = try_project(registry, &due).await;
    if result.is_err() {
        let mut unprojected = registry.unprojected.lock().unwrap_or_else(PoisonError::into_inner);
        unprojected.extend(due.into_iter().map(|origin| (origin, ())));
    }
    result
}

async fn try_project(registry: &Arc<Registry>, due: &[Origin]) -> Result<(), RegistryError> {
    let mut files = BTreeMap::from([("README.md".to_owned(), README.as_bytes().to_vec())]);
    let mut count = 0;
    for origin in due {
        if let Some(head) = registry.head(origin) {
            count += gather(registry, &head, &mut files).await?;
        }
    }
    let projection = registry.projection.clone();
    let author = registry.settings.id.to_string();
    let message = match count {
        0 => "cosignatures".to_owned(),
        1 => "1 leaf".to_owned(),
        n => format!("{n} leaves"),
    };
    tokio::task::spawn_blocking(move || -> Result<(), RegistryError> {
        projection.commit(&files, &message, &author, now())?;
        if projection.pack_count()? > MAX_PACKS {
            repack(&projection);
        }
        Ok(())
    })
    .await
    .expect("committing does not panic")
}

/// Puts a log's files that git lacks into `files`; returns how many leaves there are among them.
async fn gather(
    registry: &Registry,
    head: &ShownHead,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<u64, RegistryError> {
    let folder = head.publisher.as_ref().map_or_else(|| layout::COMMONS.to_owned(), layout::log);
    let before = projected_size(registry, &folder).await?;
    let mut next = before;
    while next < head.size {
        let leaves = registry.store.leaves(head.id, next..head.size).await.map_err(RegistryError::store)?;
        if leaves.is_empty() {
            break;
        }
        for leaf in leaves {
            files.insert(layout::entry(&folder, next), leaf);
            next += 1;
        }
    }
    files.insert(layout::checkpoint(&folder), head.newest.clone());
    let Some(publisher) = &head.publisher else { return Ok(next - before) };
    let changed =
        registry.store.files_changed(head.id, before, head.size).await.map_err(RegistryError::store)?;
    for row in changed {
        let file =
            registry.store.index_file(head.id, &row.brick, head.size).await.map_err(RegistryError::store)?;
        if let Some((bytes, _)) = file {
            files.insert(layout::index_file(publisher, &row.brick), bytes);
        }
    }
    let services = registry.store.services(head.id, before, head.size).await.map_err(RegistryError::store)?;
    for state in services {
        files.insert(layout::service(publisher, &state.row.service), state.row.json.into_bytes());
    }
    Ok(next - before)
}

/// How far git is with a log: the size in the head that it has.
async fn projected_size(registry: &Registry, folder: &str) -> Result<u64, RegistryError> {
    let projection = registry.projection.clone();
    let path = layout::checkpoint(folder);
    let note = tokio::task::spawn_blocking(move || projection.read(&path))
        .await
        .expect("reading a repository does not panic")?;
    let size = note
        .and_then(|note| Note::parse(&note).ok())
        .and_then(|note| Checkpoint::parse(&note.text).ok())
        .map_or(0, |checkpoint| checkpoint.size);
    Ok(size)
}

/// Small packs pile up, one a commit: `git` folds them together. Readers keep what they have open.
fn repack(projection: &brick_index::projection::Projection) {
    let status = brick_index::follow::plain_git(projection.path())
        .args(["repack", "--quiet", "--geometric=2", "-d"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => {}
        other => tracing::warn!(?other, "git repack did not finish"),
    }
}
