//! What does the sequencer know of the logs it moves without asking the store? Index files, buckets and tree nodes as of the
//! newest leaf, and the payloads logged last.
//!
//! What a batch may change is taken out for it and comes back when it is committed: after a batch that failed there is
//! nothing that would have to be taken back.

use std::collections::{BTreeMap, HashMap, VecDeque};

use brick_index::fold::{IndexFile, Loaded};
use brick_schemas::{BrickName, Digest};
use brick_store::LogId;
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::{Bucket, bucket_nodes, bucket_of};
use brick_tlog::tree::Node;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::log_tail::LogTail;
use crate::registry::{Registry, RegistryError};
use crate::stored_index::{load_touched, stored_bucket_nodes};

/// Memory for index files, in bytes, about.
const FILES_BYTES: u64 = 16 * 1024 * 1024;
/// What an index file takes for each of its releases, about: its lines are not kept.
const RELEASE_BYTES: u64 = 64;
/// What it takes beside.
const BESIDE: u64 = 512;
/// Releases of a brick, about, by which room is estimated.
const SOME_RELEASES: u64 = 8;
/// Buckets kept, at most: usually of one or two names each.
const BUCKETS: usize = 4_096;
/// Bucket-tree nodes kept, at most.
const NODES: usize = 32_768;
/// Payloads kept of each log, at most: as many entries as wait for the sequencer.
const PAYLOADS: usize = 1_024;

/// What is kept.
pub struct KeptIndex {
    files: Cache<(LogId, BrickName), IndexFile, Bulk>,
    buckets: Cache<(LogId, u16), Bucket>,
    /// `None` for a node that the store does not have: all buckets under it are empty.
    nodes: Cache<(LogId, Node), Option<Hash>>,
    payloads: HashMap<LogId, Payloads>,
}

/// Memory that an index file takes without its lines, in bytes, about.
pub fn file_bytes(file: &IndexFile) -> u64 {
    BESIDE + RELEASE_BYTES * file.releases() as u64
}

#[derive(Clone)]
struct Bulk;

impl Weighter<(LogId, BrickName), IndexFile> for Bulk {
    fn weight(&self, _: &(LogId, BrickName), file: &IndexFile) -> u64 {
        file_bytes(file)
    }
}

/// The envelopes logged last.
struct Payloads {
    /// All from this leaf on are here.
    since: u64,
    by_payload: HashMap<Digest, u64>,
    in_order: VecDeque<(u64, Digest)>,
}

/// What is known of a payload without asking the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It stands at that leaf.
    At(u64),
    /// It was not logged since the store was asked.
    NotSince,
    /// The store has to be asked again.
    Unknown,
}

impl Default for KeptIndex {
    fn default() -> Self {
        let files = FILES_BYTES / (BESIDE + RELEASE_BYTES * SOME_RELEASES);
        Self {
            files: Cache::with_weighter(usize::try_from(files).unwrap_or(usize::MAX), FILES_BYTES, Bulk),
            buckets: Cache::new(BUCKETS),
            nodes: Cache::new(NODES),
            payloads: HashMap::new(),
        }
    }
}

impl KeptIndex {
    /// Takes the index files and buckets of `bricks` out, as of the newest leaf; whole files where that is said.
    ///
    /// # Errors
    /// [`RegistryError`] where the store had to be asked and failed.
    pub async fn take(
        &mut self,
        registry: &Registry,
        tail: &LogTail,
        bricks: &BTreeMap<BrickName, bool>,
    ) -> Result<Loaded, RegistryError> {
        let mut loaded = Loaded::default();
        let mut missing = Vec::new();
        for (brick, is_whole) in bricks {
            let number = bucket_of(brick.as_str());
            if let Some((_, bucket)) = self.buckets.remove(&(tail.log, number)) {
                loaded.buckets.insert(number, bucket);
            }
            match self.files.remove(&(tail.log, brick.clone())) {
                Some((_, file)) if loaded.buckets.contains_key(&number) && (file.is_whole() || !is_whole) => {
                    loaded.files.insert(brick.clone(), file);
                }
                _ => missing.push(brick),
            }
        }
        let stored = load_touched(registry, tail, missing).await?;
        loaded.files.extend(stored.files);
        loaded.buckets.extend(stored.buckets);
        Ok(loaded)
    }

    /// The bucket-tree nodes that an update of `buckets` reads, as of a stored size of the log.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn nodes(
        &mut self,
        registry: &Registry,
        log: LogId,
        size: u64,
        buckets: impl IntoIterator<Item = u16>,
    ) -> Result<HashMap<Node, Hash>, RegistryError> {
        let mut known = HashMap::new();
        let mut asked = Vec::new();
        for bucket in buckets {
            let nodes = bucket_nodes(bucket);
            let is_kept = nodes.iter().all(|node| match self.nodes.get(&(log, *node)) {
                Some(hash) => {
                    known.extend(hash.map(|hash| (*node, hash)));
                    true
                }
                None => false,
            });
            if !is_kept {
                asked.push(bucket);
            }
        }
        if !asked.is_empty() {
            let stored = stored_bucket_nodes(registry, log, size, asked.iter().copied()).await?;
            for node in asked.into_iter().flat_map(bucket_nodes) {
                self.nodes.insert((log, node), stored.get(&node).copied());
            }
            known.extend(stored);
        }
        Ok(known)
    }

    /// Puts back what was taken out, as a committed batch left it.
    pub fn keep(&mut self, log: LogId, loaded: Loaded, nodes: Vec<(Node, Hash)>) {
        for (brick, mut file) in loaded.files {
            file.let_lines_go();
            self.files.insert((log, brick), file);
        }
        for (number, bucket) in loaded.buckets {
            self.buckets.insert((log, number), bucket);
        }
        for (node, hash) in nodes {
            self.nodes.insert((log, node), Some(hash));
        }
    }

    /// Notes the payloads of a committed batch.
    ///
    /// - `since`: the log's size before it; `envelopes` are the batch's, in order.
    pub fn note_payloads(
        &mut self,
        log: LogId,
        since: u64,
        envelopes: impl IntoIterator<Item = (u64, Digest)>,
    ) {
        let empty = || Payloads { since, by_payload: HashMap::new(), in_order: VecDeque::new() };
        let payloads = self.payloads.entry(log).or_insert_with(empty);
        for (index, payload) in envelopes {
            payloads.by_payload.insert(payload, index);
            payloads.in_order.push_back((index, payload));
        }
        while payloads.in_order.len() > PAYLOADS
            && let Some((index, payload)) = payloads.in_order.pop_front()
        {
            payloads.by_payload.remove(&payload);
            payloads.since = index + 1;
        }
    }

    /// Whether an envelope was logged after the store had been asked for it.
    ///
    /// - `asked_at`: a size that the log had by the time of the asking, or smaller.
    pub fn find_payload(&self, log: LogId, payload: &Digest, asked_at: u64) -> Known {
        match self.payloads.get(&log) {
            Some(payloads) if payloads.since <= asked_at => match payloads.by_payload.get(payload) {
                Some(index) => Known::At(*index),
                None => Known::NotSince,
            },
            _ => Known::Unknown,
        }
    }

    /// Forgets all of it: the logs were moved by somebody else.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_was_logged_since_the_store_was_asked_is_known_without_asking_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = brick_store::Store::open(dir.path(), brick_store::StoreOptions::default()).await.unwrap();
        let origin = brick_schemas::Origin::parse("north.example/log").unwrap();
        let log = store.create_log(&origin, "key", None, true).await.unwrap().id;
        let payload = |n: u64| Digest::of(&n.to_be_bytes());
        let mut kept = KeptIndex::default();
        assert_eq!(kept.find_payload(log, &payload(1), 1), Known::Unknown, "nothing was logged yet");
        kept.note_payloads(log, 1, (1..3).map(|n| (n, payload(n))));
        assert_eq!(kept.find_payload(log, &payload(2), 1), Known::At(2));
        assert_eq!(kept.find_payload(log, &payload(9), 1), Known::NotSince);
        assert_eq!(kept.find_payload(log, &payload(9), 0), Known::Unknown, "asked before all that is known");
        kept.note_payloads(log, 4, (4..4 + PAYLOADS as u64).map(|n| (n, payload(n))));
        assert_eq!(kept.find_payload(log, &payload(2), 1), Known::Unknown, "there is room for so many");
        assert_eq!(kept.find_payload(log, &payload(9), 4), Known::At(9));
        kept.forget();
        assert_eq!(kept.find_payload(log, &payload(9), 4), Known::Unknown);
    }
}
