//! Is this file the complete current one?
//!
//! The last leaf under every checkpoint of a publisher's log is not an entry but a snapshot: how many entries came
//! before it, when, and one hash over all index files of the publisher as they follow from those entries.
//!
//! ```text
//! brickyard/snapshot/v1
//! 14
//! 1700000000
//! 9f3d1c0c6f2a4b7e8d5a6b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e
//! ```
//!
//! The hash is the root of a [bucket tree](BucketTree), from which an [`IndexProof`] follows for every file, and for
//! every name that has none. This module knows names and file digests only, not what the files say.

mod bucket;
mod index_proof;
mod leaf;
mod nodes;

pub use bucket::{Bucket, BucketError, MAX_BUCKET_LINES, MAX_NAME_BYTES, bucket_of};
pub use index_proof::{
    CheckIndexError, IndexProof, MAX_INDEX_PROOF_BYTES, ParseIndexProofError, VerifyIndexError,
};
pub use leaf::{
    MAX_SNAPSHOT_TIME, OpenSnapshotError, OpenedSnapshot, ParseSnapshotError, SnapshotLeaf, open_snapshot,
};
pub use nodes::{
    BUCKET_COUNT, BUCKET_LEVELS, BucketTree, BucketUpdate, bucket_nodes, check_bucket, empty_subtree,
    prove_bucket, update_buckets, update_nodes,
};
