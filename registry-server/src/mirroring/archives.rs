//! Are the archives of new releases what their entries say? Fetched and looked into before the entries are taken.

use std::sync::Arc;
use std::time::Duration;

use brick_index::replay::CheckedLeaf;
use brick_schemas::predicate::{Predicate, Statement};
use brick_trust::Refused;
use futures_util::stream::{StreamExt as _, TryStreamExt as _};

use crate::blobs::{Fetched, fetch_from};
use crate::registry::Registry;
use crate::settings::Peer;
use crate::sync::SyncError;

/// Entries that come at once whose archives are fetched before they are taken, at most. More are a history that is caught up
/// with: it is taken first, and its archives are fetched and checked afterwards.
pub(super) const FETCHED_FIRST: u64 = 256;
/// Archives fetched at a time for one log.
const FETCHES: usize = 4;
/// Time for fetching a step's blobs before its entries are taken without them; they are asked for again later.
const FETCH_LIMIT: Duration = Duration::from_secs(20);

/// Fetches the archives of new releases and holds them against their entries before the entries are taken.
///
/// One that nobody has at present does not stop the log: it is asked for again, and checked when it comes.
pub(super) async fn fetch_archives(
    registry: &Arc<Registry>,
    peer: &Peer,
    leaves: &[CheckedLeaf],
    first: u64,
) -> Result<(), SyncError> {
    let mut fetches = Vec::new();
    for (index, leaf) in (first..).zip(leaves) {
        if let CheckedLeaf::Entry(entry) = leaf {
            fetches.push(fetch_of_entry(registry, peer, index, &entry.entry().statement));
        }
    }
    let all = futures_util::stream::iter(fetches)
        .buffer_unordered(FETCHES)
        .try_for_each(|()| std::future::ready(Ok(())));
    match tokio::time::timeout(FETCH_LIMIT, all).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Ok(()),
    }
}

async fn fetch_of_entry(
    registry: &Arc<Registry>,
    peer: &Peer,
    index: u64,
    statement: &Statement,
) -> Result<(), Refused> {
    let release = match &statement.predicate {
        Predicate::Release(release) => Some(&**release),
        _ => None,
    };
    for blob in statement.predicate.blobs() {
        let fetched = fetch_from(registry, peer, &blob, release).await;
        if let Fetched::Refused(mut refused) = fetched {
            refused.what = format!("leaf {index}: {}", refused.what);
            return Err(refused);
        }
    }
    Ok(())
}
