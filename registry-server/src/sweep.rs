//! What of a refused upload stays? Nothing for long: blobs that no entry names are removed after a time of grace.

use std::sync::Arc;
use std::time::Duration;

use brick_schemas::Digest;

use crate::crew::jittered;
use crate::problem::said;
use crate::registry::Registry;

/// Between two sweeps, at most; sooner where the time of grace is shorter.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Blobs looked at in one step, between which uploads have their turn.
const AT_A_TIME: usize = 1_024;
/// Wait for uploads that are under way.
const AFTER_UPLOAD: Duration = Duration::from_millis(500);

/// Sweeps for as long as the registry runs.
pub async fn run(registry: Arc<Registry>) {
    loop {
        tokio::time::sleep(jittered(INTERVAL.min(registry.settings.patience.orphan))).await;
        if let Err(err) = sweep(&registry).await {
            tracing::warn!(why = %said(&err), "the sweep for blobs that no entry names did not finish");
        }
    }
}

/// One sweep. Returns how many blobs were removed.
///
/// # Errors
/// What the disk or the database reports.
pub async fn sweep(registry: &Registry) -> Result<usize, brick_store::BlobError> {
    let grace = registry.settings.patience.orphan;
    let (mut after, mut removed) = (None::<Digest>, 0);
    loop {
        // An upload that found its blob here has not logged the entry yet: nothing is swept under it. Uploads do not wait
        // for a sweep; a sweep waits for them.
        let Ok(alone) = registry.uploads.try_write() else {
            tokio::time::sleep(AFTER_UPLOAD).await;
            continue;
        };
        let swept = registry.store.sweep_blobs(after.as_ref(), AT_A_TIME, grace).await?;
        drop(alone);
        removed += swept.removed;
        match swept.last {
            Some(last) => after = Some(last),
            None => return Ok(removed),
        }
    }
}
