//! What can be read? Plain files in meaning: heads, tiles, index files, proofs, archives, blobs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use brick_schemas::api::ProblemType;
use brick_schemas::{BrickName, Digest, Origin, PublisherName, Version};
use brick_tlog::hash::HASH_BYTES;
use brick_tlog::tile::{BundleId, TileId, encode_bundle};
use brick_tlog::witness::log_id;
use tokio_util::io::ReaderStream;

use crate::problem::Rejection;
use crate::proofs::{index_proof, leaf_proof, snapshot_proof};
use crate::registry::{Registry, ShownHead};

const HEAD_CACHE: &str = "public, max-age=2";
const INDEX_CACHE: &str = "public, max-age=60, must-revalidate";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
const JSON_LINES: &str = "application/jsonl";
const ARCHIVE: &str = "application/gzip";

/// The registry, as handlers share it.
pub type Shared = State<Arc<Registry>>;

fn plain(content_type: &'static str, cache: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn publisher_head(
    registry: &Registry,
    publisher: &str,
) -> Result<(PublisherName, Arc<ShownHead>), Rejection> {
    let publisher = PublisherName::parse(publisher).map_err(|_| Rejection::not_found("such publisher"))?;
    let head = registry.head(&Origin::of_publisher(&publisher)).ok_or_else(|| {
        Rejection::new(ProblemType::UnknownLog, format!("this registry does not hold the log of {publisher}"))
    })?;
    Ok((publisher, head))
}

/// `/commons/{checkpoint,tile/…}`
///
/// # Errors
/// [`Rejection`].
pub async fn commons(State(registry): Shared, Path(rest): Path<String>) -> Result<Response, Rejection> {
    let origin = registry.commons().commons.as_ref().map(brick_trust::Commons::origin);
    let head = origin.and_then(|origin| registry.head(&origin)).ok_or_else(|| {
        Rejection::new(ProblemType::UnknownLog, "this registry does not hold the commons log yet")
    })?;
    log_file(&registry, &head, &rest).await
}

/// `/logs/<publisher>/{checkpoint,snapshot,tile/…}`
///
/// # Errors
/// [`Rejection`].
pub async fn log(
    State(registry): Shared,
    Path((publisher, rest)): Path<(String, String)>,
) -> Result<Response, Rejection> {
    let (_, head) = publisher_head(&registry, &publisher)?;
    if rest == "snapshot" {
        return Ok(plain(TEXT, HEAD_CACHE, snapshot_proof(&registry, &head).await?.to_string()));
    }
    log_file(&registry, &head, &rest).await
}

async fn log_file(registry: &Registry, head: &ShownHead, path: &str) -> Result<Response, Rejection> {
    if path == "checkpoint" {
        return Ok(plain(TEXT, HEAD_CACHE, head.shown.clone()));
    }
    if let Ok(tile) = TileId::parse(path) {
        return tile_file(registry, head, tile).await;
    }
    match BundleId::parse(path) {
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
            Ok(plain(BYTES, IMMUTABLE, hashes))
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
    Ok(plain(BYTES, IMMUTABLE, bytes))
}

/// `/index/<publisher>/<brick>.jsonl` and `….jsonl.proof`
///
/// # Errors
/// [`Rejection`].
pub async fn index(
    State(registry): Shared,
    Path((publisher, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let (_, head) = publisher_head(&registry, &publisher)?;
    let brick = |name: &str| BrickName::parse(name).map_err(|_| Rejection::not_found("such brick"));
    if let Some(name) = file.strip_suffix(".jsonl.proof") {
        let proof = index_proof(&registry, &head, &brick(name)?).await?;
        return Ok(plain(TEXT, HEAD_CACHE, proof.to_string()));
    }
    let name = file.strip_suffix(".jsonl").ok_or_else(|| Rejection::not_found("such file of the index"))?;
    let found = registry.store.index_file(head.id, &brick(name)?, head.shown_size).await?;
    let Some((bytes, sha256)) = found else { return Err(Rejection::not_found("such brick")) };
    let etag = format!("\"{sha256}\"");
    let mut response = if none_match(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        plain(JSON_LINES, INDEX_CACHE, bytes)
    };
    set_etag(&mut response, &etag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(INDEX_CACHE));
    Ok(response)
}

fn none_match(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|candidate| candidate.trim().trim_start_matches("W/") == etag || candidate.trim() == "*")
}

fn set_etag(response: &mut Response, etag: &str) {
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, value);
    }
}

/// `/bricks/<publisher>/<brick>/<version>/{archive,proof}`
///
/// # Errors
/// [`Rejection`].
pub async fn release(
    State(registry): Shared,
    Path((publisher, brick, version, what)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let (_, head) = publisher_head(&registry, &publisher)?;
    let nothing = || Rejection::not_found("such release");
    let brick = BrickName::parse(&brick).map_err(|_| nothing())?;
    let version = Version::parse(&version).map_err(|_| nothing())?;
    let row =
        registry.store.release(head.id, &brick, &version, head.shown_size).await?.ok_or_else(nothing)?;
    match what.as_str() {
        "proof" => {
            let proof = leaf_proof(&registry, &head, row.entry, head.shown_size, &head.shown).await?;
            Ok(plain(TEXT, HEAD_CACHE, proof.to_string()))
        }
        "archive" => {
            let lines = brick_schemas::index_line::parse_index_file(row.line.as_bytes())
                .map_err(|_| Rejection::new(ProblemType::Internal, "the stored index line is damaged"))?;
            let line = lines.first().ok_or_else(nothing)?;
            blob_file(&registry, &line.cksum, ARCHIVE, &headers).await
        }
        _ => Err(Rejection::not_found("such file of a release")),
    }
}

/// `/blobs/sha256/<hex>`
///
/// # Errors
/// [`Rejection`].
pub async fn blob(
    State(registry): Shared,
    Path(hex): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let sha256 = Digest::parse(&hex).map_err(|_| Rejection::not_found("such blob"))?;
    blob_file(&registry, &sha256, BYTES, &headers).await
}

async fn blob_file(
    registry: &Registry,
    sha256: &Digest,
    content_type: &'static str,
    headers: &HeaderMap,
) -> Result<Response, Rejection> {
    use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
    let etag = format!("\"{sha256}\"");
    if none_match(headers, &etag) && registry.store.has_blob(sha256).await {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        set_etag(&mut response, &etag);
        return Ok(response);
    }
    let unreadable = |err: &dyn std::error::Error| {
        tracing::error!(err = %crate::problem::chain(err), "a blob cannot be read");
        Rejection::new(ProblemType::Internal, "the blob cannot be read")
    };
    let opened = registry.store.open_blob(sha256).await.map_err(|err| unreadable(&err))?;
    let Some((mut file, bytes)) = opened else { return Err(Rejection::not_found("such blob here")) };
    let mut response = match range(headers, bytes) {
        Range::Whole => plain(content_type, IMMUTABLE, Body::from_stream(ReaderStream::new(file))),
        Range::Part { first, last } => {
            file.seek(std::io::SeekFrom::Start(first)).await.map_err(|err| unreadable(&err))?;
            let part = ReaderStream::new(file.take(last - first + 1));
            let mut response = plain(content_type, IMMUTABLE, Body::from_stream(part));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(&mut response, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{bytes}"));
            set(&mut response, header::CONTENT_LENGTH, &(last - first + 1).to_string());
            response
        }
        Range::Impossible => {
            let mut response =
                Rejection::new(ProblemType::Malformed, "the range lies outside the blob").into_response();
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{bytes}"));
            return Ok(response);
        }
    };
    if response.status() == StatusCode::OK {
        set(&mut response, header::CONTENT_LENGTH, &bytes.to_string());
    }
    set_etag(&mut response, &etag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    Ok(response)
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// What of a blob is asked for. Source: RFC 9110 §14; one range only, several are answered with the whole.
enum Range {
    Whole,
    Part { first: u64, last: u64 },
    Impossible,
}

fn range(headers: &HeaderMap, bytes: u64) -> Range {
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) =
        asked.and_then(|value| value.strip_prefix("bytes=")).and_then(|value| value.split_once('-'))
    else {
        return Range::Whole;
    };
    let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(bytes.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, bytes.saturating_sub(1)),
        (Err(_), Ok(suffix)) if first.is_empty() && suffix > 0 => {
            (bytes.saturating_sub(suffix), bytes.saturating_sub(1))
        }
        _ => return Range::Whole,
    };
    if first >= bytes { Range::Impossible } else { Range::Part { first, last } }
}

/// `/witness/<hex>/checkpoint`: what this registry cosigned last.
///
/// # Errors
/// [`Rejection`].
pub async fn witness_checkpoint(
    State(registry): Shared,
    Path(hex): Path<String>,
) -> Result<Response, Rejection> {
    for (origin, _) in registry.heads() {
        if log_id(&Registry::log_key_name(&origin)) == hex {
            let state = registry.store.witness_state(&origin).await.map_err(Rejection::from)?;
            if let Some(state) = state {
                return Ok(plain(TEXT, HEAD_CACHE, state.note));
            }
        }
    }
    Err(Rejection::not_found("head that this registry has cosigned for that log"))
}
