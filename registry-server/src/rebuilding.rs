//! How is the git repository made again? From the logs alone, beside the old one, which it then replaces.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use brick_index::projection::{Projection, ProjectionError};

use crate::blocking::blocking;
use crate::projecting::project_once;
use crate::registry::{Registry, RegistryError};
use crate::settings::Settings;

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Logs in it.
    pub logs: u64,
    /// Leaves in it.
    pub leaves: u64,
}

/// Throws the git repository of a registry that is not running away and writes it again.
///
/// # Errors
/// [`RegistryError`], above all while the registry runs; what was made so far is gone on with at the next start.
pub async fn rebuild_git(settings: &Settings) -> Result<Rebuilt, RegistryError> {
    let (registry, _queue) = Registry::open(settings.clone()).await?;
    let path = registry.projection.path().to_owned();
    blocking(move || empty(&path)).await?;
    let projected = project_once(registry.clone()).await;
    let rebuilt = registry.heads().iter().fold(Rebuilt { logs: 0, leaves: 0 }, |sum, (_, head)| Rebuilt {
        logs: sum.logs + 1,
        leaves: sum.leaves + head.size,
    });
    close(registry).await;
    projected.map(|()| rebuilt)
}

fn empty(path: &Path) -> Result<(), ProjectionError> {
    std::fs::remove_dir_all(path).map_err(|err| ProjectionError::Io { path: PathBuf::from(path), err })?;
    Projection::open(path).map(|_| ())
}

async fn close(registry: Arc<Registry>) {
    registry.store.clone().close().await;
}
