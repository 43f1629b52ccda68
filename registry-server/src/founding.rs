//! How does a commons begin? One registry logs the stewards' first root as leaf 0 of the commons log that it hosts.

use brick_schemas::Digest;
use brick_store::{LeafKind, LeafRow, LogStep, Store, StoreOptions};
use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::note::{Algorithm, Vkey};
use brick_trust::{Envelope, Refused, Root, Step};

use crate::log_tail::LogTail;
use crate::registry::{Registry, RegistryError, digest};
use crate::settings::Settings;

/// Logs a signed first root in a registry that is not running. Doing it again with the same root changes nothing.
///
/// Returns the digest to pin.
///
/// # Errors
/// [`RegistryError::Refused`] where the root does not count, or names another log key than this registry's.
pub async fn found(settings: &Settings, root: &[u8]) -> Result<Digest, RegistryError> {
    let envelope =
        Envelope::parse(root).map_err(|err| Refused::caused(Step::Root, "the root is malformed", err))?;
    let pinned = envelope.payload_digest();
    let root = Root::verify_first(&envelope, &pinned)?;
    let origin = root.terms.origin();
    let name = Registry::log_key_name(&origin);
    let own = Vkey::of(name.clone(), Algorithm::Ed25519, &settings.log_key);
    if root.terms.log_vkey()? != own {
        let what = format!("the root names another key for {origin} than this registry's, which is {own}");
        return Err(Refused::new(Step::Root, what).into());
    }
    let store = Store::open(&settings.data, StoreOptions::default()).await.map_err(RegistryError::store)?;
    if let Some(log) = store.log(&origin).await.map_err(RegistryError::store)?
        && log.size > 0
    {
        let first = store.leaves(log.id, 0..1).await.map_err(RegistryError::store)?.pop().unwrap_or_default();
        store.close().await;
        let same = Envelope::parse(&first).is_ok_and(|first| first.payload_digest() == pinned);
        return match same {
            true => Ok(pinned),
            false => Err(Refused::new(Step::Root, format!("{origin} has begun with another root")).into()),
        };
    }
    if store.log(&origin).await.map_err(RegistryError::store)?.is_none() {
        store.create_log(&origin, &own.to_string(), None, true).await.map_err(RegistryError::store)?;
    }
    let log = store.log(&origin).await.map_err(RegistryError::store)?;
    let log =
        log.ok_or_else(|| RegistryError::store(std::io::Error::other("a log just made is not there")))?;
    let mut tail = LogTail::load(&store, &log)
        .await
        .map_err(|err| RegistryError::Damaged { origin: origin.clone(), err: Box::new(err) })?;
    let leaf = envelope.to_bytes();
    tail.push(&leaf);
    let checkpoint = Checkpoint { origin: name, size: tail.size(), root: tail.root() };
    let note = sign_checkpoint(&checkpoint, &settings.log_key);
    let mut step = LogStep::new(log.id, 0, 1, note.to_bytes(), digest(tail.root()));
    step.leaves = vec![LeafRow { bytes: leaf, kind: LeafKind::Envelope { payload: pinned } }];
    step.tiles = tail.take_tiles();
    store.commit(&[step]).await.map_err(RegistryError::store)?;
    store.close().await;
    Ok(pinned)
}
