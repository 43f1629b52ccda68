//! Are the leaves the ones under every signed head? Two trees grow side by side, one of the leaves' bytes and one of the
//! stored tiles: where they part, the next head says which of the two is damaged.

use brick_store::{Checkpoint, Log, MAX_CHECKPOINTS_PER_READ, ReadError, Store};
use brick_tlog::checkpoint::open_checkpoint;
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::Vkey;
use brick_tlog::tile::{TILE_WIDTH, parse_tile};
use brick_tlog::tree::Frontier;

use super::{Checking, Kind, MAX_NAMED, head_place, leaf_place};
use crate::problem::chain;
use crate::registry::hash;

/// The signed heads of a log, smallest first, read as they are needed.
pub(super) struct Heads<'a> {
    store: &'a Store,
    log: &'a Log,
    read: std::vec::IntoIter<Checkpoint>,
    last: Option<u64>,
}

impl<'a> Heads<'a> {
    pub(super) fn new(store: &'a Store, log: &'a Log) -> Self {
        Self { store, log, read: Vec::new().into_iter(), last: Some(0) }
    }

    /// These, and no others.
    pub(super) fn of(heads: Vec<Checkpoint>, store: &'a Store, log: &'a Log) -> Self {
        Self { store, log, read: heads.into_iter(), last: None }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Checkpoint>, ReadError> {
        if self.read.len() == 0
            && let Some(last) = self.last
        {
            let read = self.store.checkpoints_after(self.log.id, last, MAX_CHECKPOINTS_PER_READ).await?;
            self.last = read.last().map(|head| head.size);
            self.read = read.into_iter();
        }
        Ok(self.read.next())
    }
}

/// Two edges, and the leaves at which they parted.
#[derive(Default)]
struct Walked {
    by_leaves: Frontier,
    by_tiles: Frontier,
    suspects: Vec<u64>,
}

impl Checking<'_> {
    /// Walks a log from its first leaf to its last head.
    ///
    /// Returns how many leaves are beyond doubt: all below are the ones under the head of that size and those before it.
    pub(super) async fn walk(&mut self, log: &Log, vkey: &Vkey) -> Result<u64, ReadError> {
        let store = self.store.clone();
        let mut heads = Heads::new(&store, log);
        let mut walked = Walked::default();
        let (mut sound, mut is_sound) = (0, true);
        while let Some(head) = heads.next().await? {
            let signed = self.signed_root(log, vkey, &head);
            self.report.checked.heads += 1;
            self.walk_to(log, head.size, &mut walked).await?;
            if walked.by_leaves.size() != head.size {
                let why = format!("only {} leaves are stored", walked.by_leaves.size());
                self.report.note(Kind::Log, head_place(&log.origin, head.size), why);
                return Ok(sound);
            }
            is_sound &= self.judge(log, &head, signed, &mut walked);
            if is_sound {
                sound = head.size;
            }
            (self.tell)(&format!("{}: {} of {} leaves", log.origin, head.size, log.size));
        }
        if walked.by_leaves.size() != log.size {
            let why = format!(
                "{} leaves are noted, the last signed head is of {}",
                log.size,
                walked.by_leaves.size()
            );
            self.report.note(Kind::Log, log.origin.as_str(), why);
        }
        let is_head = log.served_size == 0 || self.store.root_at(log.id, log.served_size).await?.is_some();
        if !is_head {
            let why = format!("readers are shown {} leaves, of which no head was signed", log.served_size);
            self.report.note(Kind::Log, log.origin.as_str(), why);
        }
        if log.kept_size > log.served_size {
            let why = format!(
                "what {} leaves superseded is said to be dropped, readers are shown {}",
                log.kept_size, log.served_size
            );
            self.report.note(Kind::Log, log.origin.as_str(), why);
        }
        Ok(sound)
    }

    /// The root that the log's key signed, if the stored note is that.
    fn signed_root(&mut self, log: &Log, vkey: &Vkey, head: &Checkpoint) -> Option<Hash> {
        let place = head_place(&log.origin, head.size);
        let opened = match open_checkpoint(&head.note, vkey) {
            Ok(opened) => opened,
            Err(err) => {
                self.report.note(Kind::Checkpoint, place, chain(&err));
                return None;
            }
        };
        let checkpoint = opened.checkpoint();
        if opened.note().to_bytes() != head.note || opened.note().signatures.len() != 1 {
            self.report.note(
                Kind::Checkpoint,
                place.as_str(),
                "the stored note has more than the log's own line",
            );
        }
        if checkpoint.size != head.size || checkpoint.root != hash(head.root) {
            let why = format!(
                "the note says root {} of {} leaves, the row beside it {}",
                checkpoint.root,
                checkpoint.size,
                hash(head.root)
            );
            self.report.note(Kind::Checkpoint, place, why);
        }
        (checkpoint.size == head.size).then_some(checkpoint.root)
    }

    async fn walk_to(&mut self, log: &Log, size: u64, walked: &mut Walked) -> Result<(), ReadError> {
        let width = u64::from(TILE_WIDTH);
        while walked.by_leaves.size() < size {
            let first = walked.by_leaves.size();
            let end = size.min((first / width + 1) * width);
            let leaves = self.store.leaves(log.id, first..end).await?;
            if leaves.is_empty() {
                return Ok(());
            }
            let tile = self.store.tile(log.id, 0, first / width).await?.unwrap_or_default();
            let hashes = parse_tile(&tile).unwrap_or_default();
            for (index, leaf) in (first..).zip(leaves) {
                let by_leaf = leaf_hash(&leaf);
                let by_tile = usize::try_from(index % width).ok().and_then(|at| hashes.get(at)).copied();
                if by_tile != Some(by_leaf) && walked.suspects.len() < MAX_NAMED {
                    walked.suspects.push(index);
                }
                walked.by_leaves.push(by_leaf);
                walked.by_tiles.push(by_tile.unwrap_or(by_leaf));
                self.report.checked.leaves += 1;
            }
        }
        Ok(())
    }

    /// Holds both trees against a head, and goes on with the sound one. Returns whether the leaves are.
    fn judge(&mut self, log: &Log, head: &Checkpoint, signed: Option<Hash>, walked: &mut Walked) -> bool {
        let root = signed.unwrap_or(hash(head.root));
        let suspects = std::mem::take(&mut walked.suspects);
        match (walked.by_leaves.root() == root, walked.by_tiles.root() == root) {
            (true, true) => {
                // A tile that is missing or too short shows in no root: the leaf's own hash stood in for it.
                self.note_tiles(log, &suspects);
                true
            }
            (true, false) => {
                self.note_tiles(log, &suspects);
                walked.by_tiles = walked.by_leaves.clone();
                true
            }
            (false, true) => {
                for index in suspects {
                    let why = "its bytes are not the ones under the signed head";
                    self.report.note(Kind::Leaf, leaf_place(&log.origin, index), why);
                }
                walked.by_leaves = walked.by_tiles.clone();
                false
            }
            (false, false) if suspects.is_empty() => {
                let why = format!(
                    "the leaves and tiles add up to root {}, it says {root}",
                    walked.by_leaves.root()
                );
                self.report.note(Kind::Checkpoint, head_place(&log.origin, head.size), why);
                false
            }
            (false, false) => {
                for index in suspects {
                    let why = "neither its bytes nor its hash in the tile are the ones under the signed head";
                    self.report.note(Kind::Leaf, leaf_place(&log.origin, index), why);
                }
                false
            }
        }
    }

    fn note_tiles(&mut self, log: &Log, suspects: &[u64]) {
        let mut last = None;
        for index in suspects {
            let tile = index / u64::from(TILE_WIDTH);
            if last.replace(tile) != Some(tile) {
                let why = format!("it lacks or falsifies the hash of leaf {index}");
                self.report.note(Kind::Tile, format!("tile 0/{tile} of {}", log.origin), why);
            }
        }
    }
}
