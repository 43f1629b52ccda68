//! How is a place in a log shown? tlog-proofs of entries and snapshots, and proofs of index files, from the store.

use brick_schemas::api::EntryReceipt;
use brick_schemas::{BrickName, Origin};
use brick_tlog::note::Note;
use brick_tlog::proof::Proof;
use brick_tlog::snapshot::{IndexProof, bucket_nodes, bucket_of, prove_bucket};

use crate::heads::ShownHead;
use crate::nodes::Nodes;
use crate::problem::Rejection;
use crate::registry::{Registry, hash};
use crate::stored_index::stored_bucket;

/// The proof of a leaf that was just appended, under the head of `size` leaves that was just signed.
///
/// - `nodes`: of the log, as stored now; kept from proof to proof of a batch.
///
/// # Errors
/// [`Rejection`] where the store fails; the entry is logged all the same.
pub async fn entry_proof(
    nodes: &mut Nodes<'_>,
    size: u64,
    index: u64,
    leaf: Vec<u8>,
    checkpoint: &[u8],
) -> Result<String, Rejection> {
    let path = nodes.inclusion(index, size).await?;
    Ok(Proof { extra: Some(leaf), index, path, checkpoint: note(checkpoint)? }.to_string())
}

/// The proof of leaf `index` under the head of `size` leaves that `checkpoint` is.
///
/// # Errors
/// [`Rejection`].
pub async fn leaf_proof(
    registry: &Registry,
    head: &ShownHead,
    index: u64,
    size: u64,
    checkpoint: &[u8],
) -> Result<Proof, Rejection> {
    let leaf = registry
        .store
        .leaves(head.id, index..index + 1)
        .await?
        .pop()
        .ok_or_else(|| Rejection::not_found("such leaf"))?;
    let path = Nodes::new(&registry.store, head.id).inclusion(index, size).await?;
    Ok(Proof { extra: Some(leaf), index, path, checkpoint: note(checkpoint)? })
}

/// What is answered to an entry that the log already holds: the same place, under the newest head.
///
/// # Errors
/// [`Rejection`].
pub async fn receipt_of(registry: &Registry, origin: &Origin, index: u64) -> Result<EntryReceipt, Rejection> {
    let head = registry.head(origin).ok_or_else(|| Rejection::not_found("such log"))?;
    let proof = leaf_proof(registry, &head, index, head.size, &head.newest).await?;
    Ok(EntryReceipt { log: origin.clone(), index, proof: proof.to_string(), duplicate: true })
}

/// The snapshot that is the last leaf under the shown head.
///
/// # Errors
/// [`Rejection`].
pub async fn snapshot_proof(registry: &Registry, head: &ShownHead) -> Result<Proof, Rejection> {
    let last = head.shown_size.checked_sub(1).ok_or_else(|| Rejection::not_found("snapshot yet"))?;
    leaf_proof(registry, head, last, head.shown_size, &head.shown).await
}

/// That an index file is the complete current one under the shown head, or that there is no such brick.
///
/// # Errors
/// [`Rejection`].
pub async fn index_proof(
    registry: &Registry,
    head: &ShownHead,
    brick: &BrickName,
) -> Result<IndexProof, Rejection> {
    let number = bucket_of(brick.as_str());
    let bucket = stored_bucket(registry, head.id, number, head.shown_size).await?;
    let nodes = bucket_nodes(number);
    let keys: Vec<(u8, u32)> = nodes
        .iter()
        .map(|node| (node.level, u32::try_from(node.index).expect("a bucket tree has 65,536 leaves")))
        .collect();
    let hashes = registry.store.bucket_nodes(head.id, &keys, head.shown_size).await?;
    let path = prove_bucket(number, |node| {
        let at = nodes.iter().position(|known| *known == node);
        Ok::<_, std::convert::Infallible>(at.and_then(|at| hashes.get(at).copied().flatten()).map(hash))
    });
    let Ok(path) = path;
    Ok(IndexProof { bucket, path, snapshot: snapshot_proof(registry, head).await? })
}

fn note(bytes: &[u8]) -> Result<Note, Rejection> {
    Note::parse(bytes).map_err(|err| {
        tracing::error!(why = %crate::problem::said(&err), "a stored head is damaged");
        Rejection::new(brick_schemas::api::ProblemType::Internal, "a stored head is damaged")
    })
}
