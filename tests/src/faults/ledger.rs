//! What was sent, what was acknowledged, and which heads were seen? Kept in this process, away from what is disturbed.

use std::collections::{BTreeMap, HashMap};

use brick_schemas::api::EntryReceipt;
use brick_schemas::{Digest, FullName, Version};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::{Note, Vkey};
use brick_tlog::proof::Proof;
use brick_tlog::tree::Frontier;
use hyper::body::Bytes;

/// A release that was sent.
#[derive(Clone)]
pub struct Sent {
    /// Which of the scene's publishers sent it.
    pub publisher: usize,
    /// The brick.
    pub name: FullName,
    /// Its version.
    pub version: Version,
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The archive.
    pub archive: Bytes,
    /// The archive's digest.
    pub sha256: Digest,
    /// Its place in the log, once a receipt has named it.
    pub index: Option<u64>,
    /// Whether it was held against the registry since it was acknowledged.
    pub is_held: bool,
}

/// What is known of one log.
pub struct Known {
    /// The key it is signed with.
    pub vkey: Vkey,
    /// Where each leaf that was ever read stands.
    places: HashMap<Hash, Vec<u64>>,
    /// The tree of the leaves that were read.
    tree: Frontier,
    /// Its root at each size.
    roots: Vec<Hash>,
    /// Every head that anybody was shown, by size.
    heads: BTreeMap<u64, Hash>,
}

/// All that a disturbed registry is held against.
pub struct Ledger {
    /// Releases in the order in which they were noted.
    pub sent: Vec<Sent>,
    /// The publishers' logs.
    pub logs: Vec<Known>,
}

impl Known {
    /// A log of which nothing was seen.
    pub fn new(vkey: Vkey) -> Self {
        let tree = Frontier::new();
        let roots = vec![tree.root()];
        Self { vkey, places: HashMap::new(), tree, roots, heads: BTreeMap::new() }
    }

    /// Leaves that were read.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The size of the largest head that was seen.
    pub fn largest(&self) -> u64 {
        self.heads.last_key_value().map_or(0, |(size, _)| *size)
    }

    /// How many heads were seen.
    pub fn head_count(&self) -> usize {
        self.heads.len()
    }

    /// Where a leaf stands.
    pub fn places(&self, leaf: &[u8]) -> &[u64] {
        self.places.get(&leaf_hash(leaf)).map_or(&[], Vec::as_slice)
    }

    /// Notes a head that somebody was shown.
    ///
    /// # Panics
    /// When the log does not sign it, or another of the same size was seen: a fork.
    pub fn see(&mut self, note: &Note) -> u64 {
        let signed =
            brick_tlog::checkpoint::open_note(note.clone(), &self.vkey).expect("a head signed by its log");
        self.see_checkpoint(signed.checkpoint())
    }

    fn see_checkpoint(&mut self, head: &Checkpoint) -> u64 {
        let known = self.heads.insert(head.size, head.root);
        assert!(
            known.is_none_or(|root| root == head.root),
            "two heads of {} leaves: {}",
            head.size,
            self.vkey
        );
        head.size
    }

    /// Appends leaves that were read, in order.
    pub fn read(&mut self, leaves: &[Vec<u8>]) {
        for leaf in leaves {
            let hash = leaf_hash(leaf);
            self.places.entry(hash).or_default().push(self.tree.size());
            self.tree.push(hash);
            self.roots.push(self.tree.root());
        }
    }

    /// Demands that every head that was seen is one of the leaves that were read.
    ///
    /// # Panics
    /// When one is not.
    pub fn demand_one_history(&self) {
        for (size, root) in &self.heads {
            let ours = self.roots.get(usize::try_from(*size).expect("few leaves"));
            assert_eq!(
                ours,
                Some(root),
                "a head of {size} leaves of {} that was shown has no successor",
                self.vkey
            );
        }
    }
}

impl Ledger {
    /// Notes a receipt: its proof must hold.
    ///
    /// # Panics
    /// When it does not, or says another place than one before.
    pub fn acknowledge(&mut self, at: usize, receipt: &EntryReceipt) {
        let sent = &mut self.sent[at];
        let log = &mut self.logs[sent.publisher];
        let what = format!("{} {}", sent.name, sent.version);
        let proof = Proof::parse(receipt.proof.as_bytes()).expect("a receipt holds a proof");
        assert_eq!(proof.index, receipt.index, "{what}");
        let head = proof.check(&leaf_hash(&sent.entry), &log.vkey);
        let head = head.unwrap_or_else(|err| panic!("the proof of {what} does not hold: {err}"));
        log.see_checkpoint(head.checkpoint());
        assert!(sent.index.is_none_or(|index| index == receipt.index), "{what} has two places");
        sent.index = Some(receipt.index);
    }

    /// Releases that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.sent.iter().filter(|sent| sent.index.is_some()).count()
    }
}
