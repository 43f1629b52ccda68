//! What of the index does a stretch of a log read and write? Between the pure fold and the rows of the store.

use std::collections::{BTreeSet, HashMap};

use brick_index::fold::{Folded, IndexFile, Loaded};
use brick_schemas::BrickName;
use brick_store::{BlobRow, BucketNodeRow, FileRow, LineRow, LogId, LogStep, ServiceRow};
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::{Bucket, bucket_nodes, bucket_of};
use brick_tlog::tree::Node;

use crate::log_tail::LogTail;
use crate::registry::{Registry, RegistryError, digest, hash};

/// Puts what a stretch of a log adds up to into its step.
///
/// - `blobs_are_here`: whether the blobs that its entries name are known to lie here.
pub fn fill_step(step: &mut LogStep, folded: Folded, nodes: Vec<(Node, Hash)>, blobs_are_here: bool) {
    for (brick, version, entry, line) in folded.lines {
        step.lines.push(LineRow { brick, version, entry, line });
    }
    for (brick, file) in folded.files {
        let bucket = bucket_of(brick.as_str());
        step.files.push(FileRow { brick, bucket, sha256: file.sha256, bytes: file.bytes });
    }
    for (node, hash) in nodes {
        let index = u32::try_from(node.index).expect("a bucket tree has 65,536 leaves");
        step.nodes.push(BucketNodeRow { level: node.level, index, hash: digest(hash) });
    }
    for (service, (entry, json)) in folded.services {
        step.services.push(ServiceRow { service, entry, json });
    }
    for (blob, entry) in folded.blobs {
        step.blobs.push(BlobRow { sha256: blob.sha256, bytes: blob.bytes, entry, is_here: blobs_are_here });
    }
}

/// Reads the index files and buckets of `bricks` as of the newest leaf.
///
/// # Errors
/// [`RegistryError::Store`].
pub async fn load_touched(
    registry: &Registry,
    tail: &LogTail,
    bricks: impl IntoIterator<Item = &BrickName>,
) -> Result<Loaded, RegistryError> {
    let mut loaded = Loaded::default();
    for brick in bricks {
        if let Some(file) = stored_file(registry, tail, brick).await? {
            loaded.files.insert(brick.clone(), file);
        }
        let number = bucket_of(brick.as_str());
        if let std::collections::btree_map::Entry::Vacant(place) = loaded.buckets.entry(number) {
            place.insert(stored_bucket(registry, tail.log, number, tail.size()).await?);
        }
    }
    Ok(loaded)
}

/// A brick's index file as of the newest leaf, if there is such a brick.
async fn stored_file(
    registry: &Registry,
    tail: &LogTail,
    brick: &BrickName,
) -> Result<Option<IndexFile>, RegistryError> {
    let file = registry.store.index_file(tail.log, brick, tail.size()).await.map_err(RegistryError::store)?;
    let parse = |(text, _): (Vec<u8>, _)| {
        IndexFile::parse(&text).map_err(|err| RegistryError::Damaged {
            origin: tail.origin.clone(),
            err: format!("the kept index file of {brick}: {err}").into(),
        })
    };
    file.map(parse).transpose()
}

/// A bucket as of a size of its log.
///
/// # Errors
/// [`RegistryError::Store`].
pub async fn stored_bucket(
    registry: &Registry,
    log: LogId,
    number: u16,
    size: u64,
) -> Result<Bucket, RegistryError> {
    let mut bucket = Bucket::new();
    for (brick, sha256) in
        registry.store.bucket_lines(log, number, size).await.map_err(RegistryError::store)?
    {
        bucket.insert(brick.as_str(), hash(sha256)).map_err(RegistryError::store)?;
    }
    Ok(bucket)
}

/// The bucket-tree nodes that updates of `buckets` read, in one step or one after another, as of a size of the log.
///
/// The siblings of each bucket: two that change in different snapshots are each other's siblings somewhere, and the one
/// that changes first needs the other as it was.
///
/// # Errors
/// [`RegistryError::Store`].
pub async fn stored_bucket_nodes(
    registry: &Registry,
    log: LogId,
    size: u64,
    buckets: impl IntoIterator<Item = u16>,
) -> Result<HashMap<Node, Hash>, RegistryError> {
    let nodes: BTreeSet<Node> = buckets.into_iter().flat_map(bucket_nodes).collect();
    let nodes: Vec<Node> = nodes.into_iter().collect();
    let mut known = HashMap::new();
    for part in nodes.chunks(brick_store::MAX_NODES_PER_READ) {
        let keys: Vec<(u8, u32)> = part
            .iter()
            .map(|node| (node.level, u32::try_from(node.index).expect("a bucket tree has 65,536 leaves")))
            .collect();
        let hashes = registry.store.bucket_nodes(log, &keys, size).await.map_err(RegistryError::store)?;
        known.extend(part.iter().zip(hashes).filter_map(|(node, found)| Some((*node, hash(found?)))));
    }
    Ok(known)
}
