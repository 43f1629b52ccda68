//! What is known of a log that is walked faster than it is stored? Its edge, and all that was touched since the store was
//! asked first.
//!
//! What is not here was not touched since. The store is asked for it once all before is stored: it answers for no size that it
//! does not have.

use std::collections::{HashMap, HashSet};

use brick_index::fold::{IndexFile, Loaded};
use brick_index::replay::Touched;
use brick_schemas::{BrickName, Digest};
use brick_store::{Log, TileRow};
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::Bucket;
use brick_tlog::tree::Node;

use super::load_tail;
use crate::kept_index::file_bytes;
use crate::log_tail::LogTail;
use crate::nodes::Nodes;
use crate::registry::{Registry, RegistryError};
use crate::stored_index::{load_touched, stored_bucket_nodes};

/// Bytes of what is known, about, after which all of it is stored and the store asked again.
const ENOUGH_BYTES: u64 = 32 * 1024 * 1024;
/// What a payload takes, about.
const PAYLOAD_BYTES: u64 = 64;

/// What is known of one log.
pub(super) struct Ahead<'a> {
    registry: &'a Registry,
    /// As far as the log was walked; taken out while a portion is walked.
    tail: Option<LogTail>,
    /// The size at which the store was asked first: 0 means that it has nothing to say.
    since: u64,
    files: HashMap<BrickName, IndexFile>,
    buckets: HashMap<u16, Bucket>,
    /// The bucket-tree nodes that changed or were asked for.
    nodes: HashMap<Node, Hash>,
    /// The buckets whose nodes were asked for.
    asked: HashSet<u16>,
    payloads: HashSet<Digest>,
    tiles: Nodes<'a>,
    bytes: u64,
}

/// What a portion is walked with.
pub(super) struct Known {
    pub(super) tail: LogTail,
    pub(super) loaded: Loaded,
    pub(super) nodes: HashMap<Node, Hash>,
    /// Which of the portion's payloads the log has already.
    pub(super) seen: HashSet<Digest>,
}

impl<'a> Ahead<'a> {
    /// Begins at the stored edge of a log; `None` where somebody else moves it meanwhile.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub(super) async fn begin(registry: &'a Registry, log: &Log) -> Result<Option<Self>, RegistryError> {
        let Some(tail) = load_tail(registry, log).await? else { return Ok(None) };
        Ok(Some(Self::at(registry, tail)))
    }

    fn at(registry: &'a Registry, tail: LogTail) -> Self {
        Self {
            registry,
            since: tail.size(),
            tiles: Nodes::new(&registry.store, tail.log),
            tail: Some(tail),
            files: HashMap::new(),
            buckets: HashMap::new(),
            nodes: HashMap::new(),
            asked: HashSet::new(),
            payloads: HashSet::new(),
            bytes: 0,
        }
    }

    /// Begins anew where it has come to: all of that is stored.
    pub(super) fn begin_anew(&mut self) {
        if let Some(tail) = self.tail.take() {
            *self = Self::at(self.registry, tail);
        }
    }

    /// Whether it is time to.
    pub(super) fn is_much(&self) -> bool {
        self.bytes > ENOUGH_BYTES
    }

    /// As far as the log was walked.
    pub(super) fn edge(&self) -> &LogTail {
        self.tail
            .as_ref()
            .expect("it is there but while a portion is walked, and after one that failed nothing goes on")
    }

    /// The log's root at a size as far as it was walked.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub(super) async fn root_at(&mut self, size: u64) -> Result<Hash, RegistryError> {
        self.tiles.root_at(size).await.map_err(RegistryError::store)
    }

    /// Whether a portion that touches this can only be walked once all before it is stored: the store has to be asked, which
    /// answers for no size that it does not have, or lines that are not kept change.
    pub(super) fn needs_stored(&self, touched: &Touched) -> bool {
        touched.bricks.iter().any(|(brick, is_whole)| match self.files.get(brick) {
            Some(file) => *is_whole && !file.is_whole(),
            None => self.since > 0,
        })
    }

    /// Takes out what a portion needs that touches this and has these payloads; all before it is stored where
    /// [`needs_stored`](Self::needs_stored) said so.
    ///
    /// # Errors
    /// [`RegistryError`] where the store had to be asked and failed.
    pub(super) async fn take(
        &mut self,
        touched: Touched,
        payloads: &[Digest],
    ) -> Result<Known, RegistryError> {
        let Self { registry, since, .. } = *self;
        let tail = self.tail.take().expect("a portion is walked after the one before");
        let Touched { bricks, buckets } = touched;
        let mut loaded = Loaded::default();
        let mut missing = Vec::new();
        for (brick, is_whole) in &bricks {
            let known = self.files.remove(brick);
            self.bytes -= known.as_ref().map_or(0, file_bytes);
            match known {
                Some(file) if file.is_whole() || !is_whole => {
                    loaded.files.insert(brick.clone(), file);
                }
                None if since == 0 => {}
                _ => missing.push(brick),
            }
        }
        for number in &buckets {
            if let Some(bucket) = self.buckets.remove(number) {
                loaded.buckets.insert(*number, bucket);
            }
        }
        let stored = load_touched(registry, &tail, missing).await?;
        loaded.files.extend(stored.files);
        for (number, bucket) in stored.buckets {
            loaded.buckets.entry(number).or_insert(bucket);
        }
        let mut seen = HashSet::new();
        if since > 0 {
            let new: Vec<u16> = buckets.into_iter().filter(|bucket| self.asked.insert(*bucket)).collect();
            for (node, hash) in stored_bucket_nodes(registry, tail.log, tail.size(), new).await? {
                self.nodes.entry(node).or_insert(hash);
            }
            seen = registry.store.known_payloads(tail.log, payloads).await.map_err(RegistryError::store)?;
        }
        seen.extend(payloads.iter().filter(|payload| self.payloads.contains(payload)));
        Ok(Known { tail, loaded, nodes: std::mem::take(&mut self.nodes), seen })
    }

    /// Puts in what a portion that held left.
    pub(super) fn put(
        &mut self,
        tail: LogTail,
        (loaded, nodes): (Loaded, HashMap<Node, Hash>),
        payloads: Vec<Digest>,
        tiles: &[TileRow],
    ) {
        for (brick, mut file) in loaded.files {
            file.let_lines_go();
            self.bytes += file_bytes(&file);
            self.files.insert(brick, file);
        }
        self.buckets.extend(loaded.buckets);
        self.nodes = nodes;
        self.bytes += PAYLOAD_BYTES * payloads.len() as u64;
        self.payloads.extend(payloads);
        self.bytes += tiles.iter().map(|tile| tile.hashes.len() as u64).sum::<u64>();
        self.tiles.keep(tiles.iter().cloned());
        self.tail = Some(tail);
    }
}
