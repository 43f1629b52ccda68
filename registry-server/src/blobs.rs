//! Where is a blob that entries name and that is not here? Fetched by digest from any registry that has it, and held
//! against its entry before it gets its name.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use brick_client::{AskError, Family};
use brick_schemas::archive::Limits;
use brick_schemas::predicate::Release;
use brick_schemas::{Blob, Digest, Origin};
use brick_store::{BlobUse, LogId, MissingBlob, crash_point};
use brick_trust::Refused;
use futures_util::stream::StreamExt as _;

use crate::crew::{back_off, jittered};
use crate::problem::said;
use crate::registry::Registry;
use crate::settings::Peer;

/// Missing blobs that are asked for by one call of the store.
const AT_A_TIME: u32 = 256;
/// Missing blobs looked for in one round, at most.
const MAX_PER_ROUND: usize = 2_048;
/// Blobs fetched at a time.
const FETCHES: usize = 4;
/// Entries that name a blob and are held against it when it comes, at most.
const MAX_USES: u32 = 64;
/// Blobs whose failures are remembered; past it they are forgotten, and asked for at once again.
const MAX_REMEMBERED: usize = 65_536;
/// The longest wait after nobody had a blob, which begins with the interval of following and doubles each time; and the
/// wait after a blob that contradicts its entries.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);
/// How long archives wait for entries that are being caught up with, at most: whoever wants a release asks for its entry first.
const MAX_HISTORY_FIRST: Duration = Duration::from_secs(5 * 60);

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
    let tries = Tries { first_wait: registry.settings.sync_interval, tried: Mutex::default() };
    // Since when histories have been under way without a pause.
    let mut since: Option<Instant> = None;
    loop {
        tokio::time::sleep(jittered(registry.settings.sync_interval)).await;
        since = is_catching_up(&registry).then(|| since.unwrap_or_else(Instant::now));
        if since.is_some_and(|since| since.elapsed() < MAX_HISTORY_FIRST) {
            continue;
        }
        if let Err(err) = round(&registry, &tries).await {
            tracing::warn!(why = %said(&err), "cannot tell which blobs are missing");
        }
    }
}

fn is_catching_up(registry: &Registry) -> bool {
    registry.histories.load(Ordering::Relaxed) > 0
}

/// When each missing blob is worth asking for again.
struct Tries {
    first_wait: Duration,
    tried: Mutex<HashMap<Digest, (u32, Instant)>>,
}

impl Tries {
    fn is_due(&self, blob: &Digest) -> bool {
        let tries = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tries.get(blob).is_none_or(|(_, next)| *next <= Instant::now())
    }

    fn note(&self, blob: &Digest, fetched: &Fetched) {
        let mut tries = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= MAX_REMEMBERED {
            tries.clear();
        }
        let failures = tries.get(blob).map_or(0, |(failures, _)| *failures).saturating_add(1);
        let wait = match fetched {
            Fetched::Here => {
                tries.remove(blob);
                return;
            }
            Fetched::Missing => back_off(self.first_wait, failures, MAX_WAIT),
            Fetched::Refused(_) => MAX_WAIT,
        };
        tries.insert(*blob, (failures, Instant::now() + wait));
    }
}

async fn round(registry: &Arc<Registry>, tries: &Tries) -> Result<(), brick_store::ReadError> {
    let peers = registry.peers();
    let silent = Mutex::new(BTreeSet::new());
    let (mut after, mut asked) = (None, 0);
    // A history that begins meanwhile comes first, unless it has been under way for too long.
    let was_catching_up = is_catching_up(registry);
    while asked < MAX_PER_ROUND && (was_catching_up || !is_catching_up(registry)) {
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
    let blob = Blob { sha256: missing.sha256, bytes: missing.bytes };
    for peer in peers {
        let is_silent = |name: &String| silent.lock().unwrap_or_else(PoisonError::into_inner).contains(name);
        if is_silent(&peer.name) {
            continue;
        }
        match ask(registry, peer, &blob).await {
            Ok(Some(bytes)) => return take(registry, peer, &blob, bytes).await,
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

/// Keeps a blob that came, unless every entry that names it is a release that says something else than the archive does.
///
/// One false release must not keep an archive from the others that name it; each is held against it again, by itself,
/// before it is handed out as that release's.
async fn take(registry: &Arc<Registry>, peer: &Peer, blob: &Blob, bytes: Vec<u8>) -> Fetched {
    let bytes = Arc::new(bytes);
    match contradictions(registry, peer, blob, &bytes).await {
        Ok(Some(refused)) => Fetched::Refused(refused),
        Ok(None) => keep(registry, blob, &bytes).await,
        Err(err) => {
            tracing::warn!(sha256 = %blob.sha256, why = %said(&err), "cannot tell which entries name a blob");
            Fetched::Missing
        }
    }
}

/// Holds a blob against the releases that name it, and makes public which of them it contradicts. Returns why the last of
/// them was refused if there is no entry that the blob is good for.
async fn contradictions(
    registry: &Arc<Registry>,
    peer: &Peer,
    blob: &Blob,
    bytes: &Arc<Vec<u8>>,
) -> Result<Option<Refused>, brick_store::ReadError> {
    let uses = registry.store.blob_uses(&blob.sha256, MAX_USES + 1).await?;
    let origins: HashMap<LogId, Origin> =
        registry.heads().into_iter().map(|(origin, head)| (head.id, origin)).collect();
    // So many cannot all be looked at: it may be good for any of the others.
    let mut is_good = uses.len() > MAX_USES as usize;
    let mut last = None;
    for BlobUse { log, entry } in uses.into_iter().take(MAX_USES as usize) {
        let release = registry.release_at(log, entry).await?;
        let (Some(release), Some(origin)) =
            (release.filter(|release| release.archive.sha256 == blob.sha256), origins.get(&log))
        else {
            is_good = true;
            continue;
        };
        match registry.check_archive(bytes.clone(), &release, Limits::default()).await {
            Ok(()) => is_good = true,
            Err(refused) => {
                registry.report_contradiction(&peer.name, origin, entry, &blob.sha256, &refused).await;
                last = Some(refused);
            }
        }
    }
    Ok(last.filter(|_| !is_good))
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
    crash_point("fetched-blob-checked");
    let kept = async {
        let mut writer = registry.store.blob_writer(blob.bytes).await?;
        writer.write(bytes).await?;
        writer.finish(blob.sha256).await
    };
    match kept.await {
        Ok(()) => {
            crash_point("fetched-blob-kept");
            Fetched::Here
        }
        Err(err) => {
            tracing::warn!(sha256 = %blob.sha256, why = %said(&err), "a fetched blob could not be kept");
            Fetched::Missing
        }
    }
}
