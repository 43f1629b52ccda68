//! What can be read? Plain files in meaning: heads, tiles, index files, proofs, archives, blobs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use brick_schemas::api::ProblemType;
use brick_schemas::{BrickName, Digest, Origin, PublisherName, Version};
use brick_store::ReleaseRow;
use brick_tlog::hash::HASH_BYTES;
use brick_tlog::tile::{BundleId, TileId, encode_bundle};
use brick_tlog::witness::log_id;

use crate::blob_reads::blob_file;
use crate::heads::ShownHead;
use crate::kept_answers::{keep, keep_under};
use crate::plain::{HEAD_CACHE, IMMUTABLE, INDEX_CACHE, plain, set};
use crate::problem::Rejection;
use crate::proofs::{index_proof, leaf_proof, snapshot_proof};
use crate::registry::Registry;

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
const JSON_LINES: &str = "application/jsonl";
const ARCHIVE: &str = "application/gzip";
/// Times that an answer is put together while its log keeps moving, at most.
const MAX_TRIES: u32 = 32;
/// Wait before the second try, doubled before each one after up to [`MAX_PAUSE`]: the new head is shown a moment after it is
/// stored, and a log that is published to without pause moves every few milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// That wait at most.
const MAX_PAUSE: Duration = Duration::from_millis(16);

/// The registry, as handlers share it.
pub type Shared = State<Arc<Registry>>;

/// Puts an answer together as of the heads that readers see, again where a log moved in between.
///
/// # Errors
/// [`Rejection`] of the last try.
pub async fn as_shown<T, F>(read: impl Fn() -> F) -> Result<T, Rejection>
where
    F: Future<Output = Result<T, Rejection>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..MAX_TRIES {
        match read().await {
            Err(rejection) if rejection.is_moved => tokio::time::sleep(pause).await,
            answer => return answer,
        }
        pause = MAX_PAUSE.min(pause * 2);
    }
    read().await
}

pub(crate) fn publisher_head(registry: &Registry, publisher: &str) -> Result<Arc<ShownHead>, Rejection> {
    let publisher = PublisherName::parse(publisher).map_err(|_| Rejection::not_found("such publisher"))?;
    registry.head(&Origin::of_publisher(&publisher)).ok_or_else(|| {
        let what = format!("this registry does not hold the log of {publisher}");
        Rejection::new(ProblemType::UnknownLog, what)
    })
}

pub(crate) fn commons_head(registry: &Registry) -> Result<Arc<ShownHead>, Rejection> {
    let origin = registry.commons().commons.as_ref().map(brick_trust::Commons::origin);
    origin.and_then(|origin| registry.head(&origin)).ok_or_else(|| {
        Rejection::new(ProblemType::UnknownLog, "this registry does not hold the commons log yet")
    })
}

/// `/commons/checkpoint`
///
/// # Errors
/// [`Rejection`].
pub async fn commons_checkpoint(State(registry): Shared) -> Result<Response, Rejection> {
    Ok(checkpoint_of(&commons_head(&registry)?))
}

fn checkpoint_of(head: &Arc<ShownHead>) -> Response {
    keep_under(head, plain(TEXT, HEAD_CACHE, head.shown.clone()))
}

/// `/commons/tile/…`
///
/// # Errors
/// [`Rejection`].
pub async fn commons_tile(State(registry): Shared, Path(tile): Path<String>) -> Result<Response, Rejection> {
    log_file(&registry, &*commons_head(&registry)?, &tile).await
}

/// `/logs/<publisher>/checkpoint`
///
/// # Errors
/// [`Rejection`].
pub async fn checkpoint(
    State(registry): Shared,
    Path(publisher): Path<String>,
) -> Result<Response, Rejection> {
    Ok(checkpoint_of(&publisher_head(&registry, &publisher)?))
}

/// `/logs/<publisher>/snapshot`
///
/// # Errors
/// [`Rejection`].
pub async fn snapshot(State(registry): Shared, Path(publisher): Path<String>) -> Result<Response, Rejection> {
    let head = publisher_head(&registry, &publisher)?;
    let proof = snapshot_proof(&registry, &head).await?;
    Ok(keep_under(&head, plain(TEXT, HEAD_CACHE, proof.to_string())))
}

/// `/logs/<publisher>/tile/…`
///
/// # Errors
/// [`Rejection`].
pub async fn tile(
    State(registry): Shared,
    Path((publisher, tile)): Path<(String, String)>,
) -> Result<Response, Rejection> {
    log_file(&registry, &*publisher_head(&registry, &publisher)?, &tile).await
}

async fn log_file(registry: &Registry, head: &ShownHead, rest: &str) -> Result<Response, Rejection> {
    let path = format!("tile/{rest}");
    if let Ok(tile) = TileId::parse(&path) {
        return tile_file(registry, head, tile).await;
    }
    match BundleId::parse(&path) {
        Ok(bundle) => bundle_file(registry, head, bundle).await,
        Err(_) => Err(Rejection::not_found("such file of the log")),
    }
}

async fn tile_file(registry: &Registry, head: &ShownHead, tile: TileId) -> Result<Response, Rejection> {
    let row = registry.store.tile(head.id, tile.level(), tile.index()).await?;
    let wanted = usize::from(tile.width()) * HASH_BYTES;
    match row {
        // A partial tile is the beginning of what is known of the full one.
        Some(mut hashes) if hashes.len() >= wanted => {
            hashes.truncate(wanted);
            Ok(keep(plain(BYTES, IMMUTABLE, hashes)))
        }
        _ => Err(Rejection::not_found("such tile yet")),
    }
}

async fn bundle_file(registry: &Registry, head: &ShownHead, bundle: BundleId) -> Result<Response, Rejection> {
    let first = bundle.first_entry();
    let end = first + u64::from(bundle.width());
    if end > head.size {
        return Err(Rejection::not_found("such bundle yet"));
    }
    let leaves = registry.store.leaves(head.id, first..end).await?;
    let bytes = encode_bundle(&leaves)
        .map_err(|_| Rejection::new(ProblemType::Internal, "the stored leaves do not make a bundle"))?;
    Ok(keep(plain(BYTES, IMMUTABLE, bytes)))
}

/// `/index/<publisher>/<brick>.jsonl` and `….jsonl.proof`
///
/// # Errors
/// [`Rejection`].
pub async fn index(
    State(registry): Shared,
    Path((publisher, file)): Path<(String, String)>,
) -> Result<Response, Rejection> {
    as_shown(|| index_file(&registry, &publisher, &file)).await
}

async fn index_file(registry: &Registry, publisher: &str, file: &str) -> Result<Response, Rejection> {
    let head = publisher_head(registry, publisher)?;
    let brick = |name: &str| BrickName::parse(name).map_err(|_| Rejection::not_found("such brick"));
    if let Some(name) = file.strip_suffix(".jsonl.proof") {
        let proof = index_proof(registry, &head, &brick(name)?).await?;
        return Ok(keep_under(&head, plain(TEXT, HEAD_CACHE, proof.to_string())));
    }
    let name = file.strip_suffix(".jsonl").ok_or_else(|| Rejection::not_found("such file of the index"))?;
    let found = registry.store.index_file(head.id, &brick(name)?, head.shown_size).await?;
    let Some((bytes, sha256)) = found else { return Err(Rejection::not_found("such brick")) };
    let mut response = plain(JSON_LINES, INDEX_CACHE, bytes);
    set(&mut response, header::ETAG, &format!("\"{sha256}\""));
    Ok(keep_under(&head, response))
}

/// Publisher, brick and version, as they stand in a path.
type ReleasePath = Path<(String, String, String)>;

async fn release_row(
    registry: &Registry,
    (publisher, brick, version): &(String, String, String),
) -> Result<(Arc<ShownHead>, ReleaseRow), Rejection> {
    let head = publisher_head(registry, publisher)?;
    let nothing = || Rejection::not_found("such release");
    let brick = BrickName::parse(brick).map_err(|_| nothing())?;
    let version = Version::parse(version).map_err(|_| nothing())?;
    let row = registry.store.release(head.id, &brick, &version, head.shown_size).await?;
    Ok((head, row.ok_or_else(nothing)?))
}

/// `/bricks/<publisher>/<brick>/<version>/archive`
///
/// # Errors
/// [`Rejection`].
pub async fn archive(
    State(registry): Shared,
    Path(release): ReleasePath,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let (head, row) = as_shown(|| release_row(&registry, &release)).await?;
    let damaged = || Rejection::new(ProblemType::Internal, "the stored index line is damaged");
    let lines = brick_schemas::index_line::parse_index_file(row.line.as_bytes()).map_err(|_| damaged())?;
    let line = lines.first().ok_or_else(damaged)?;
    let origin = Origin::of_publisher(&line.name.publisher);
    registry.demand_agreement(&head, &origin, row.entry, &line.cksum).await?;
    blob_file(&registry, &line.cksum, ARCHIVE, &headers).await
}

/// `/bricks/<publisher>/<brick>/<version>/proof`
///
/// # Errors
/// [`Rejection`].
pub async fn release_proof(
    State(registry): Shared,
    Path(release): ReleasePath,
) -> Result<Response, Rejection> {
    let (head, row) = as_shown(|| release_row(&registry, &release)).await?;
    let proof = leaf_proof(&registry, &head, row.entry, head.shown_size, &head.shown).await?;
    Ok(keep_under(&head, plain(TEXT, HEAD_CACHE, proof.to_string())))
}

/// `/blobs/sha256/<hex>`
///
/// # Errors
/// [`Rejection`].
pub async fn blob(
    State(registry): Shared,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let sha256 = Digest::parse(&sha256).map_err(|_| Rejection::not_found("such blob"))?;
    blob_file(&registry, &sha256, BYTES, &headers).await
}

/// `/witness/<hex>/checkpoint`: what this registry cosigned last.
///
/// # Errors
/// [`Rejection`].
pub async fn witness_checkpoint(
    State(registry): Shared,
    Path(log): Path<String>,
) -> Result<Response, Rejection> {
    for (origin, _) in registry.heads() {
        if log_id(&Registry::log_key_name(&origin)) == log
            && let Some(state) = registry.store.witness_state(&origin).await?
        {
            return Ok(plain(TEXT, HEAD_CACHE, state.note));
        }
    }
    Err(Rejection::not_found("head that this registry has cosigned for that log"))
}
