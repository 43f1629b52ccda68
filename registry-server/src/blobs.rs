//! Where is a blob that entries name and that is not here? Fetched by digest from any registry that has it, and held
//! against its entry before it gets its name.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use brick_client::{AskError, Family};
use brick_schemas::archive::Limits;
use brick_schemas::predicate::{Predicate, Release};
use brick_schemas::{Blob, Digest, Origin};
use brick_store::{MissingBlob, SyncState};
use brick_trust::{Entry, Refused};
use futures_util::stream::StreamExt as _;

use crate::crew::{back_off, jittered};
use crate::problem::said;
use crate::registry::{Registry, now};
use crate::settings::Peer;
use crate::sync_status::kept_reason;

/// Missing blobs that are asked for by one call of the store.
const AT_A_TIME: u32 = 256;
/// Missing blobs looked for in one round, at most.
const MAX_PER_ROUND: usize = 2_048;
/// Blobs fetched at a time.
const FETCHES: usize = 4;
/// Blobs whose failures are remembered; past it they are forgotten, and asked for at once again.
const MAX_REMEMBERED: usize = 65_536;
/// Wait after nobody had a blob, doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// That wait at most, and the wait after a blob that contradicts its entry.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// What became of a blob.
#[derive(Debug)]
pub enum Fetched {
    /// It is here.
    Here,
    /// Nobody who was asked has it.
    Missing,
    /// It came, is what its digest says, and contradicts the entry that names it: it was not kept.
    Refused(Refused),
}

/// Looks for missing blobs for as long as the registry runs.
pub async fn run(registry: Arc<Registry>) {
    let tries = Tries::default();
    loop {
        tokio::time::sleep(jittered(registry.settings.sync_interval)).await;
        if let Err(err) = round(&registry, &tries).await {
            tracing::warn!(why = %said(&err), "cannot tell which blobs are missing");
        }
    }
}

/// When each missing blob is worth asking for again.
#[derive(Default)]
struct Tries(Mutex<HashMap<Digest, (u32, Instant)>>);

impl Tries {
    fn is_due(&self, blob: &Digest) -> bool {
        let tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tries.get(blob).is_none_or(|(_, next)| *next <= Instant::now())
    }

    fn note(&self, blob: &Digest, fetched: &Fetched) {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= MAX_REMEMBERED {
            tries.clear();
        }
        let failures = tries.get(blob).map_or(0, |(failures, _)| *failures).saturating_add(1);
        let wait = match fetched {
            Fetched::Here => {
                tries.remove(blob);
                return;
            }
            Fetched::Missing => back_off(FIRST_WAIT, failures, MAX_WAIT),
            Fetched::Refused(_) => MAX_WAIT,
        };
        tries.insert(*blob, (failures, Instant::now() + wait));
    }
}

async fn round(registry: &Arc<Registry>, tries: &Tries) -> Result<(), brick_store::ReadError> {
    let peers = registry.peers();
    let silent = Mutex::new(BTreeSet::new());
    let (mut after, mut asked) = (None, 0);
    while asked < MAX_PER_ROUND {
        let missing = registry.store.missing_blobs(after.as_ref(), AT_A_TIME).await?;
        let Some(last) = missing.last() else { break };
        after = Some(last.sha256);
        let due: Vec<MissingBlob> = missing.into_iter().filter(|blob| tries.is_due(&blob.sha256)).collect();
        asked += due.len();
        futures_util::stream::iter(due)
            .for_each_concurrent(FETCHES, |missing| {
                let (peers, silent) = (&peers, &silent);
                async move {
                    let fetched = find(registry, peers, silent, &missing).await;
                    tries.note(&missing.sha256, &fetched);
                }
            })
            .await;
    }
    Ok(())
}

/// Asks every peer for a blob, but for those that did not answer in this round already.
async fn find(
    registry: &Arc<Registry>,
    peers: &[Peer],
    silent: &Mutex<BTreeSet<String>>,
    missing: &MissingBlob,
) -> Fetched {
    let Some((origin, named)) = naming_entry(registry, missing).await else { return Fetched::Missing };
    let blob = Blob { sha256: missing.sha256, bytes: missing.bytes };
    for peer in peers {
        let is_silent = |name: &String| silent.lock().unwrap_or_else(PoisonError::into_inner).contains(name);
        if is_silent(&peer.name) {
            continue;
        }
        match ask(registry, peer, &blob).await {
            Ok(Some(bytes)) => return take(registry, peer, &origin, missing, named.as_ref(), bytes).await,
            Ok(None) => {}
            Err(err) => {
                tracing::debug!(peer = peer.name, sha256 = %blob.sha256, why = %said(&err), "no blob");
                if matches!(err.family(), Family::Unreachable | Family::Slow) {
                    silent.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.name.clone());
                }
            }
        }
    }
    Fetched::Missing
}

/// The log of the entry that names a missing blob, and the release if it is one.
async fn naming_entry(registry: &Registry, missing: &MissingBlob) -> Option<(Origin, Option<Release>)> {
    let (origin, _) = registry.heads().into_iter().find(|(_, head)| head.id == missing.log)?;
    let leaf = registry.store.leaves(missing.log, missing.entry..missing.entry + 1).await.ok()?.pop()?;
    let release = match Entry::parse(&leaf).map(|entry| entry.statement.predicate) {
        Ok(Predicate::Release(release)) if release.archive.sha256 == missing.sha256 => Some(*release),
        _ => None,
    };
    Some((origin, release))
}

/// Keeps a blob that came, unless the release that names it says something else than the archive does.
async fn take(
    registry: &Arc<Registry>,
    peer: &Peer,
    origin: &Origin,
    missing: &MissingBlob,
    named: Option<&Release>,
    bytes: Vec<u8>,
) -> Fetched {
    let bytes = Arc::new(bytes);
    let public = format!("{}, blob {}", peer.name, missing.sha256);
    if let Some(release) = named
        && let Err(refused) = registry.check_archive(bytes.clone(), release, Limits::default()).await
    {
        // Public, with since when and why: this release's publisher or its home registry let a contradiction in.
        tracing::error!(%origin, entry = missing.entry, why = %said(&refused), "an archive contradicts its entry");
        let why = kept_reason(&refused, Some(missing.entry));
        let state = SyncState::Failed { why };
        if let Err(err) = registry.store.put_sync(&public, Some(origin), &state, now()).await {
            tracing::warn!(why = %said(&err), "cannot note what was refused");
        }
        return Fetched::Refused(refused);
    }
    keep(registry, &Blob { sha256: missing.sha256, bytes: missing.bytes }, &bytes).await
}

/// Fetches one blob from one peer, unless it is here already, and holds it against the release that names it.
pub async fn fetch_from(
    registry: &Arc<Registry>,
    peer: &Peer,
    blob: &Blob,
    release: Option<&Release>,
) -> Fetched {
    let is_here = registry.store.has_blob(&blob.sha256).await;
    let bytes = match (is_here, release) {
        (true, None) => return Fetched::Here,
        (true, Some(_)) => match registry.store.read_blob(&blob.sha256, blob.bytes).await {
            Ok(Some(bytes)) => bytes,
            // A damaged copy is the store's matter, not the entry's.
            _ => return Fetched::Missing,
        },
        (false, _) => match ask(registry, peer, blob).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Fetched::Missing,
            Err(err) => {
                tracing::debug!(peer = peer.name, sha256 = %blob.sha256, why = %said(&err), "no blob");
                return Fetched::Missing;
            }
        },
    };
    let bytes = Arc::new(bytes);
    if let Some(release) = release
        && let Err(refused) = registry.check_archive(bytes.clone(), release, Limits::default()).await
    {
        return Fetched::Refused(refused);
    }
    match is_here {
        true => Fetched::Here,
        false => keep(registry, blob, &bytes).await,
    }
}

/// The bytes of a blob from a peer: no more than the entry says, and by their digest.
async fn ask(registry: &Registry, peer: &Peer, blob: &Blob) -> Result<Option<Vec<u8>>, AskError> {
    let Some(url) = &peer.url else { return Ok(None) };
    let most = Limits::default().archive_bytes.max(brick_schemas::predicate::bounds::MAX_BLOB_BYTES);
    let Ok(client) = registry.peer_client(url) else { return Ok(None) };
    match usize::try_from(blob.bytes) {
        Ok(max) if blob.bytes <= most => {
            let bytes = client.blob(&blob.sha256, max).await?;
            Ok(bytes.filter(|bytes| Digest::of(bytes) == blob.sha256))
        }
        _ => Ok(None),
    }
}

async fn keep(registry: &Registry, blob: &Blob, bytes: &[u8]) -> Fetched {
    let kept = async {
        let mut writer = registry.store.blob_writer(blob.bytes).await?;
        writer.write(bytes).await?;
        writer.finish(blob.sha256).await
    };
    match kept.await {
        Ok(()) => Fetched::Here,
        Err(err) => {
            tracing::warn!(sha256 = %blob.sha256, why = %said(&err), "a fetched blob could not be kept");
            Fetched::Missing
        }
    }
}
