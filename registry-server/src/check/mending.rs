//! Of which leaves and heads does a log consist, if what is stored of it is damaged? Of those under the heads that its key
//! signed, wherever they are found: here, in this registry's git repository, at peers. Nothing else is taken.
//!
//! From head to head a stretch of leaves is taken from the first place whose bytes add up to the signed root: the store
//! itself; any one source; or the store with single leaves from any source, where the store's tile says which hashes they
//! must have. A stretch that adds up nowhere ends the mending of that log.

use std::collections::BTreeMap;
use std::sync::Arc;

use brick_schemas::Origin;
use brick_store::{Checkpoint as StoredHead, LogId, SalvagedHead, Store};
use brick_tlog::checkpoint::{Checkpoint, open_checkpoint, sign_checkpoint};
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::{Note, Vkey};
use brick_tlog::tile::{TILE_WIDTH, parse_tile};
use brick_tlog::tree::Frontier;
use ed25519_dalek::SigningKey;

use super::sources::{LEAVES_AT_A_TIME, Named, Source, is_same};
use crate::registry::{digest, hash};

/// Leaves that are put into the store's own one by one, at most.
const MAX_SINGLES: usize = 65_536;

/// What a damaged store has of a log.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) store: Store,
    pub(super) log: LogId,
    /// Leaves and heads end here.
    pub(super) size: u64,
}

/// Where a stretch of leaves is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Own,
    Source(usize),
}

/// A log's leaves and heads, each held against a signature.
pub(super) struct Gathered {
    own: Option<Own>,
    sources: Arc<Vec<Source>>,
    folder: String,
    /// The end of each stretch, and where it is.
    parts: Vec<(u64, Place)>,
    singles: BTreeMap<u64, Vec<u8>>,
    /// Heads by size, each note with the log's own line alone.
    pub(super) heads: Vec<StoredHead>,
    /// What the sources show, for the cosignatures under it.
    pub(super) named: Vec<Named>,
    /// What was taken from where, in words.
    pub(super) told: Vec<String>,
}

/// What is to be gathered.
pub(super) struct Wanted<'a> {
    pub(super) origin: &'a Origin,
    pub(super) folder: String,
    pub(super) vkey: &'a Vkey,
    /// The log's secret key, where it is hosted here: a head whose row gives the right root is made again with it.
    pub(super) key: Option<&'a SigningKey>,
}

impl Gathered {
    /// Leaves under the last head.
    pub(super) fn size(&self) -> u64 {
        self.heads.last().map_or(0, |head| head.size)
    }

    /// Leaves `first..end`, or fewer where they cannot be read any more.
    pub(super) async fn leaves(&self, first: u64, end: u64) -> Vec<Vec<u8>> {
        let mut leaves = Vec::new();
        let mut at = first;
        let mut start = 0;
        for (part_end, place) in &self.parts {
            while at >= start && at < *part_end && at < end {
                let to = end.min(*part_end).min(at + LEAVES_AT_A_TIME);
                let read = self.read(*place, at, to).await;
                let short = (read.len() as u64) < to - at;
                at += read.len() as u64;
                leaves.extend(read);
                if short {
                    return leaves;
                }
            }
            start = *part_end;
        }
        leaves
    }

    async fn read(&self, place: Place, from: u64, to: u64) -> Vec<Vec<u8>> {
        match place {
            Place::Own => {
                let Some(own) = &self.own else { return Vec::new() };
                let read = own.store.salvage_leaves(own.log, from..to).await;
                let with = |(index, leaf)| self.singles.get(&index).cloned().or(leaf);
                (from..).zip(read).map_while(with).collect()
            }
            Place::Source(at) => match self.sources.get(at) {
                Some(source) => source.leaves(&self.folder, from, to).await.unwrap_or_default(),
                None => Vec::new(),
            },
        }
    }
}

/// Gathers a log.
///
/// # Errors
/// What is lost, in words: leaves that are under a signed head, or stood here beyond the last one, and are nowhere else.
pub(super) async fn gather(
    wanted: &Wanted<'_>,
    own: Option<Own>,
    sources: Arc<Vec<Source>>,
) -> Result<Gathered, String> {
    let stored = match &own {
        Some(own) => own.store.salvage_heads(own.log, own.size).await,
        None => Vec::new(),
    };
    let mut named = Vec::new();
    for source in sources.iter() {
        named.extend(source.head(&wanted.folder, wanted.vkey).await);
    }
    named.sort_by_key(|named| named.checkpoint.size);
    let (mut signed, mut doubtful) = (Vec::new(), Vec::new());
    for head in stored {
        match open_checkpoint(&head.note, wanted.vkey) {
            Ok(open) if open.checkpoint().size == head.size => {
                signed.push((open.checkpoint().clone(), log_line(open.checkpoint(), open.note())));
            }
            _ => doubtful.push(head),
        }
    }
    let size = own.as_ref().map_or(0, |own| own.size);
    let folder = wanted.folder.clone();
    let gathered = Gathered {
        own,
        sources,
        folder,
        parts: Vec::new(),
        singles: BTreeMap::new(),
        heads: Vec::new(),
        named,
        told: Vec::new(),
    };
    let mut walk = Walk { gathered, frontier: Frontier::new(), doubtful, wanted };
    for (head, note) in signed {
        if !walk.extend(head.size, head.root).await {
            let from = walk.frontier.size();
            return Err(format!(
                "leaves {from} to {} of {} add up to their signed head nowhere",
                head.size - 1,
                wanted.origin
            ));
        }
        walk.put(StoredHead { size: head.size, root: digest(head.root), note });
    }
    walk.go_beyond(size).await;
    let reached = walk.frontier.size();
    if reached < size {
        return Err(format!(
            "{size} leaves of {} stood here, a head that its key signed is known of {reached} only",
            wanted.origin
        ));
    }
    Ok(walk.gathered)
}

/// A log on its way from head to head.
struct Walk<'a> {
    gathered: Gathered,
    frontier: Frontier,
    /// Stored heads whose notes do not verify.
    doubtful: Vec<SalvagedHead>,
    wanted: &'a Wanted<'a>,
}

/// Hashes of a stretch's leaves, in order; `None` where there is no leaf.
type Hashes = Vec<Option<Hash>>;

impl Walk<'_> {
    /// Goes on to the head of `size` leaves, if its leaves are anywhere.
    async fn extend(&mut self, size: u64, root: Hash) -> bool {
        let from = self.frontier.size();
        if size < from {
            // A head within what is there already: it must be of it, which its own stretch decided before.
            return false;
        }
        let own = self.own_hashes(from, size).await;
        if let Some(end) = self.ends_at(&own, root) {
            self.take(Place::Own, size, &own, end);
            return true;
        }
        for at in 0..self.gathered.sources.len() {
            let Some(theirs) = self.source_hashes(at, from, size).await else { continue };
            if let Some(end) = self.ends_at(&theirs, root) {
                let name = self.gathered.sources[at].name.clone();
                let what = format!("leaves {from} to {} of {} from {name}", size - 1, self.wanted.origin);
                self.gathered.told.push(what);
                self.take(Place::Source(at), size, &theirs, end);
                return true;
            }
        }
        self.patch(from, size, root, own).await
    }

    /// The store's leaves, with those replaced that are not what its tiles say, where these add up to the root.
    async fn patch(&mut self, from: u64, size: u64, root: Hash, own: Hashes) -> bool {
        let tiles = self.tile_hashes(from, size).await;
        let Some(end) = self.ends_at(&tiles, root) else { return false };
        let wrong = (from..).zip(own.iter().zip(&tiles)).filter(|(_, (own, tile))| own != tile);
        let wrong: Vec<(u64, Hash)> =
            wrong.filter_map(|(index, (_, tile))| Some((index, (*tile)?))).collect();
        if wrong.len() > MAX_SINGLES {
            return false;
        }
        let mut found = BTreeMap::new();
        for (index, expected) in wrong {
            let mut leaf = None;
            for source in self.gathered.sources.iter() {
                let read = source.leaves(&self.gathered.folder, index, index + 1).await;
                let read = read.and_then(|mut leaves| leaves.pop());
                if let Some(read) = read.filter(|read| leaf_hash(read) == expected) {
                    leaf = Some((read, source.name.clone()));
                    break;
                }
            }
            let Some((leaf, name)) = leaf else { return false };
            self.gathered.told.push(format!("leaf {index} of {} from {name}", self.wanted.origin));
            found.insert(index, leaf);
        }
        self.gathered.singles.extend(found);
        self.take(Place::Own, size, &tiles, end);
        true
    }

    /// Goes on from the last head that the store holds with its signature.
    async fn go_beyond(&mut self, stored: u64) {
        // Heads that are damaged here, of a log whose key is here: the root beside the note, if the leaves add up to it,
        // is what was signed. Ed25519 gives the same bytes again.
        let last: Vec<(u64, Hash)> = self
            .doubtful
            .iter()
            .filter(|head| self.wanted.key.is_some() && head.size > self.frontier.size())
            .filter_map(|head| Some((head.size, hash(head.root?))))
            .collect();
        for (size, root) in last {
            let own = self.own_hashes(self.frontier.size(), size).await;
            if let Some(end) = self.ends_at(&own, root) {
                self.take(Place::Own, size, &own, end);
            }
        }
        for named in self.gathered.named.clone() {
            let reached = self.frontier.size();
            let wanted = reached < stored || stored == 0;
            if named.checkpoint.size > reached
                && wanted
                && self.extend(named.checkpoint.size, named.checkpoint.root).await
            {
                self.keep(&named.checkpoint);
            }
        }
    }

    /// Keeps a head as its log signed it, which the leaves gathered so far add up to.
    fn keep(&mut self, checkpoint: &Checkpoint) {
        if let Some(note) = self.note_of(checkpoint) {
            self.put(StoredHead { size: checkpoint.size, root: digest(checkpoint.root), note });
        }
    }

    fn put(&mut self, head: StoredHead) {
        if self.gathered.heads.last().is_none_or(|last| last.size < head.size) {
            self.gathered.heads.push(head);
        }
    }

    /// The bytes of a head with the log's own line.
    fn note_of(&self, checkpoint: &Checkpoint) -> Option<Vec<u8>> {
        if let Some(key) = self.wanted.key {
            return Some(sign_checkpoint(checkpoint, key).to_bytes());
        }
        let named = self
            .gathered
            .named
            .iter()
            .find(|named| is_same(&named.checkpoint, checkpoint.size, checkpoint.root))?;
        Some(log_line(checkpoint, &named.note))
    }

    /// Accepts a stretch, and the damaged heads within it that can be made again.
    fn take(&mut self, place: Place, size: u64, hashes: &Hashes, end: Frontier) {
        let mut frontier = std::mem::replace(&mut self.frontier, end);
        let mut again = Vec::new();
        for hash_of in hashes.iter().flatten() {
            frontier.push(*hash_of);
            let at = frontier.size();
            let is_row = |head: &&SalvagedHead| head.size == at && head.root == Some(digest(frontier.root()));
            let checkpoint =
                || Checkpoint { origin: self.wanted.vkey.name().clone(), size: at, root: frontier.root() };
            let is_named = || self.gathered.named.iter().any(|n| is_same(&n.checkpoint, at, frontier.root()));
            let is_own = self.wanted.key.is_some() && self.doubtful.iter().any(|head| is_row(&head));
            if is_own || (at < size && is_named()) {
                again.push(checkpoint());
            }
        }
        for checkpoint in again {
            self.gathered
                .told
                .push(format!("the head of {} leaves of {}", checkpoint.size, self.wanted.origin));
            self.keep(&checkpoint);
        }
        match self.gathered.parts.last_mut() {
            Some((end, last)) if *last == place => *end = size,
            _ => self.gathered.parts.push((size, place)),
        }
    }

    /// The edge after a stretch, if it adds up to the root.
    fn ends_at(&self, hashes: &Hashes, root: Hash) -> Option<Frontier> {
        let mut frontier = self.frontier.clone();
        for leaf in hashes {
            frontier.push((*leaf)?);
        }
        (frontier.root() == root).then_some(frontier)
    }

    async fn own_hashes(&self, from: u64, size: u64) -> Hashes {
        let mut hashes = Vec::new();
        let Some(own) = &self.gathered.own else { return vec![None; count(from, size)] };
        let mut first = from;
        while first < size {
            let to = size.min(first + LEAVES_AT_A_TIME);
            let read = own.store.salvage_leaves(own.log, first..to).await;
            hashes.extend(read.into_iter().map(|leaf| leaf.map(|leaf| leaf_hash(&leaf))));
            first = to;
        }
        hashes
    }

    async fn source_hashes(&self, at: usize, from: u64, size: u64) -> Option<Hashes> {
        let source = self.gathered.sources.get(at)?;
        let mut hashes = Vec::new();
        let mut first = from;
        while first < size {
            let to = size.min(first + LEAVES_AT_A_TIME);
            let read = source.leaves(&self.gathered.folder, first, to).await?;
            hashes.extend(read.iter().map(|leaf| Some(leaf_hash(leaf))));
            first = to;
        }
        Some(hashes)
    }

    async fn tile_hashes(&self, from: u64, size: u64) -> Hashes {
        let Some(own) = &self.gathered.own else { return vec![None; count(from, size)] };
        let width = u64::from(TILE_WIDTH);
        let mut hashes = Vec::new();
        let mut index = from;
        while index < size {
            let tile = own.store.tile(own.log, 0, index / width).await.ok().flatten().unwrap_or_default();
            let tile = parse_tile(&tile).unwrap_or_default();
            let end = size.min((index / width + 1) * width);
            while index < end {
                hashes.push(usize::try_from(index % width).ok().and_then(|at| tile.get(at)).copied());
                index += 1;
            }
        }
        hashes
    }
}

fn count(from: u64, size: u64) -> usize {
    usize::try_from(size.saturating_sub(from)).unwrap_or(0)
}

/// A note with the log's own line alone.
pub(super) fn log_line(checkpoint: &Checkpoint, note: &Note) -> Vec<u8> {
    let is_log = |line: &&brick_tlog::note::SignatureLine| line.name == checkpoint.origin;
    let signatures = note.signatures.iter().filter(is_log).take(1).cloned().collect();
    Note { text: note.text.clone(), signatures }.to_bytes()
}
