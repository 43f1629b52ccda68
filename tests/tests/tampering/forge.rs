//! What can whoever holds a log's key and enough witness keys show? A log of any leaves, with heads, tiles and proofs that
//! all fit: what the checks after the quorum are for.

use brick_schemas::index_line::parse_index_file;
use brick_tlog::Hash;
use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::cosignature::cosign;
use brick_tlog::hash::leaf_hash;
use brick_tlog::note::{KeyName, Note};
use brick_tlog::proof::Proof;
use brick_tlog::snapshot::{Bucket, BucketTree, IndexProof, SnapshotLeaf, bucket_of};
use brick_tlog::tile::{bundles, encode_bundle, encode_tile, tiles};
use brick_tlog::tree::Tree;
use ed25519_dalek::SigningKey;

use crate::site::Site;

/// Keys that should never be in one hand.
pub struct Keys {
    /// The log's name and its host's key.
    pub log: (KeyName, SigningKey),
    /// The witnesses, by name.
    pub witnesses: Vec<(KeyName, SigningKey)>,
}

/// A log as its host would have it.
pub struct Forged<'a> {
    keys: &'a Keys,
    leaves: Vec<Vec<u8>>,
    tree: Tree,
    now: u64,
}

impl<'a> Forged<'a> {
    /// A log of `leaves`, cosigned at `now` (Unix seconds).
    pub fn new(keys: &'a Keys, leaves: Vec<Vec<u8>>, now: u64) -> Self {
        let mut tree = Tree::new();
        for leaf in &leaves {
            tree.push(leaf_hash(leaf));
        }
        Self { keys, leaves, tree, now }
    }

    /// The head, cosigned by everybody.
    pub fn head(&self) -> Note {
        let (origin, key) = &self.keys.log;
        let checkpoint = Checkpoint { origin: origin.clone(), size: self.tree.len(), root: self.tree.root() };
        let mut note = sign_checkpoint(&checkpoint, key);
        for (name, key) in &self.keys.witnesses {
            let line = cosign(&note.text, name, key, self.now);
            note.signatures.push(line);
        }
        note
    }

    /// The proof of one leaf, which it carries.
    pub fn proof(&self, index: u64) -> Proof {
        let path = self.tree.prove_inclusion(index, self.tree.len()).expect("the leaf is there");
        let leaf = self.leaves[usize::try_from(index).expect("few leaves")].clone();
        Proof { extra: Some(leaf), index, path, checkpoint: self.head() }
    }

    /// Puts the head, tiles, entries and snapshot into a site, at `log`: `commons` or `logs/<publisher>`.
    pub fn write_log(&self, site: &mut Site, log: &str) {
        site.write(&format!("{log}/checkpoint"), self.head().to_bytes());
        for tile in tiles(self.tree.len()) {
            let bytes = encode_tile(tile, |node| self.tree.read(node)).expect("the tree is whole");
            site.write(&format!("{log}/{}", tile.path()), bytes);
        }
        for bundle in bundles(self.tree.len()) {
            let first = usize::try_from(bundle.first_entry()).expect("few leaves");
            let leaves = &self.leaves[first..first + usize::from(bundle.width())];
            site.write(&format!("{log}/{}", bundle.path()), encode_bundle(leaves).expect("leaves of a log"));
        }
        if log != "commons" {
            site.write(&format!("{log}/snapshot"), self.proof(self.tree.len() - 1).to_string());
        }
    }

    /// Puts index files (brick, bytes) with their proofs into a site, and the proofs of the releases in them.
    pub fn write_index(&self, site: &mut Site, publisher: &str, files: &[(&str, Vec<u8>)]) {
        let (buckets, tree) = index_tree(files);
        for ((brick, bytes), bucket) in files.iter().zip(buckets) {
            let path = format!("index/{publisher}/{brick}.jsonl");
            let proof = IndexProof {
                path: tree.prove(bucket_of(brick)),
                bucket,
                snapshot: self.proof(self.tree.len() - 1),
            };
            site.write(&path, bytes.clone());
            site.write(&format!("{path}.proof"), proof.to_string());
            for line in parse_index_file(bytes).expect("an index file") {
                let path = format!("bricks/{publisher}/{brick}/{}/proof", line.vers);
                site.write(&path, self.proof(line.entry).to_string());
            }
        }
    }
}

/// The bucket of each file and the tree over all. Every brick here has a bucket of its own.
fn index_tree(files: &[(&str, Vec<u8>)]) -> (Vec<Bucket>, BucketTree) {
    let mut tree = BucketTree::new();
    let buckets = files
        .iter()
        .map(|(brick, bytes)| {
            let mut bucket = Bucket::new();
            bucket.insert(brick, Hash::of(bytes)).expect("a brick's name");
            tree.set(bucket_of(brick), bucket.leaf_hash());
            bucket
        })
        .collect();
    (buckets, tree)
}

/// The snapshot leaf that says what these index files add up to.
///
/// - `size`: leaves before it.
/// - `time`: Unix seconds.
pub fn snapshot(size: u64, time: u64, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (_, tree) = index_tree(files);
    SnapshotLeaf { size, time, index_root: tree.root() }.to_string().into_bytes()
}
