//! Where is a blob that entries name and that is not here? Fetched by digest from any registry that has it.

use std::sync::Arc;

use brick_client::Client;
use brick_schemas::Blob;

use crate::registry::Registry;
use crate::settings::Peer;

/// Missing blobs looked for in one round, at most.
const MAX_PER_ROUND: u32 = 256;

/// Looks for missing blobs at every peer, once each.
pub async fn fetch_missing(registry: &Arc<Registry>) {
    let missing = match registry.store.missing_blobs(None, MAX_PER_ROUND).await {
        Ok(missing) => missing,
        Err(err) => {
            tracing::warn!(err = &err as &dyn std::error::Error, "cannot tell which blobs are missing");
            return;
        }
    };
    let peers = registry.peers();
    for blob in missing {
        let blob = Blob { sha256: blob.sha256, bytes: blob.bytes };
        for peer in &peers {
            if fetch_from(registry, peer, &blob).await == Found::Here {
                break;
            }
        }
    }
}

/// Whether a blob is in the store now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is.
    Here,
    /// It is not.
    Missing,
}

/// Fetches one blob from one peer, unless it is here already.
pub async fn fetch_from(registry: &Arc<Registry>, peer: &Peer, blob: &Blob) -> Found {
    if registry.store.has_blob(&blob.sha256).await {
        return Found::Here;
    }
    let Some(url) = &peer.url else { return Found::Missing };
    if blob.bytes > registry.settings.archive_limit {
        return Found::Missing;
    }
    match try_fetch(registry, url, blob).await {
        Ok(found) => found,
        Err(why) => {
            tracing::debug!(peer = peer.name, digest = %blob.sha256, why, "no blob");
            Found::Missing
        }
    }
}

async fn try_fetch(registry: &Registry, url: &str, blob: &Blob) -> Result<Found, String> {
    let client = Client::new(url).map_err(|err| err.to_string())?;
    let max = usize::try_from(blob.bytes).map_err(|err| err.to_string())?;
    let bytes = client.blob(&blob.sha256, max).await.map_err(|err| crate::problem::chain(&err))?;
    let Some(bytes) = bytes else { return Ok(Found::Missing) };
    let mut writer = registry.store.blob_writer(blob.bytes).await.map_err(|err| err.to_string())?;
    writer.write(&bytes).await.map_err(|err| err.to_string())?;
    // The digest is checked over all bytes before the blob gets its name.
    writer.finish(blob.sha256).await.map_err(|err| err.to_string())?;
    Ok(Found::Here)
}
