//! How do damaged and missing blobs come back? Those that are not what their name says are set aside, then all that the
//! entries name and that is not here is fetched from whoever has it.

use std::sync::Arc;

use brick_schemas::Digest;

use super::repairing::Repairs;
use super::{CheckError, Kind, Tell};
use crate::blobs::{Fetched, fetch_from};
use crate::registry::Registry;
use crate::settings::Settings;

/// Fetches blobs that are damaged or missing from whoever has them, each held against its name.
pub(super) async fn mend_blobs(
    settings: &Settings,
    tell: &Arc<Tell>,
    repairs: &mut Repairs,
) -> Result<(), CheckError> {
    let (registry, _queue) = Registry::open(settings.clone()).await.map_err(CheckError::scratch)?;
    for shard in 0..=u8::MAX {
        let files = registry.store.blob_files(shard).map_err(CheckError::scratch)?;
        for file in files {
            let found = brick_store::digest_of_file(&file.path).ok().map(|(digest, _)| digest);
            match file.digest {
                Some(digest) if found == Some(digest) => {}
                // What lies under no digest's name was put there by nobody who may.
                _ => match registry.store.set_aside(&file.path) {
                    Ok(kept) => repairs
                        .done(Kind::Blob, format!("{} set aside as {}", file.path.display(), kept.display())),
                    Err(err) => repairs.lost(Kind::Blob, format!("{}: {err}", file.path.display())),
                },
            }
        }
    }
    let peers = registry.peers();
    let mut after: Option<Digest> = None;
    loop {
        let named = registry.store.named_blobs(after.as_ref(), brick_store::MAX_NAMED_PER_READ).await;
        let named = named.map_err(CheckError::scratch)?;
        let Some(last) = named.last() else { break };
        after = Some(last.sha256);
        for blob in named {
            if registry.store.blob_path(&blob.sha256).is_file() {
                continue;
            }
            tell(&format!("blob {}", blob.sha256));
            let wanted = brick_schemas::Blob { sha256: blob.sha256, bytes: blob.bytes };
            let mut is_here = false;
            for peer in &peers {
                if let Fetched::Here = fetch_from(&registry, peer, &wanted, None).await {
                    repairs.done(Kind::Blob, format!("{} from {}", blob.sha256, peer.name));
                    is_here = true;
                    break;
                }
            }
            let was_damaged = repairs.before.faults.iter().any(|f| f.place == blob.sha256.to_string());
            if !is_here && was_damaged {
                repairs.lost(Kind::Blob, format!("{}: no peer has it as its name says", blob.sha256));
            }
        }
    }
    registry.store.clone().close().await;
    Ok(())
}
