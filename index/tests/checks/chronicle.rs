//! A publisher's log as an honest host writes it; what it adds up to is computed here a second time, from nothing.

use std::collections::{BTreeMap, HashMap};

use brick_index::fold::Loaded;
use brick_index::replay::{Before, CheckedLeaf, Segment, check_leaf, replay};
use brick_schemas::predicate::{Predicate, ReleaseStatus};
use brick_schemas::{Blob, IndexLine, Origin};
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::{Bucket, BucketTree, SnapshotLeaf, bucket_of};
use brick_trust::{Commons, Refused};

use crate::support::{Log, OFFICER, PUBLISHER, World, entry, publisher, release, status};

/// What the log adds up to at a snapshot: every index file, and the root over them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    pub files: BTreeMap<String, Blob>,
    pub index_root: Hash,
}

/// A log under way.
#[derive(Clone)]
pub struct Chronicle {
    pub commons: Commons,
    pub log: Log,
    pub origin: Origin,
    /// What it added up to at each snapshot, with the log's size after it.
    pub states: Vec<(u64, State)>,
    bricks: BTreeMap<String, Vec<IndexLine>>,
    fresh: Vec<(String, usize)>,
    pub time: u64,
}

impl Chronicle {
    pub fn new() -> Self {
        Self::of(World::new().commons)
    }

    pub fn of(commons: Commons) -> Self {
        Self {
            commons,
            log: Log::default(),
            origin: Origin::of_publisher(&publisher(PUBLISHER)),
            states: Vec::new(),
            bricks: BTreeMap::new(),
            fresh: Vec::new(),
            time: 1_000,
        }
    }

    pub fn release(&mut self, brick: &str, vers: &str) {
        let release = release(self.log.place(&self.origin), &format!("{PUBLISHER}/{brick}"), vers);
        let lines = self.bricks.entry(brick.to_owned()).or_default();
        self.fresh.push((brick.to_owned(), lines.len()));
        lines.push(IndexLine::of(&release, self.log.size(), 0));
        self.log.push(entry(Predicate::Release(Box::new(release)), &[OFFICER]));
    }

    pub fn set_status(&mut self, brick: &str, vers: &str, to: ReleaseStatus) {
        let status = status(self.log.place(&self.origin), &format!("{PUBLISHER}/{brick}"), &[vers], to);
        for line in
            self.bricks.get_mut(brick).unwrap().iter_mut().filter(|line| line.vers.to_string() == vers)
        {
            line.status = to;
        }
        self.log.push(entry(Predicate::Status(Box::new(status)), &[OFFICER]));
    }

    /// The snapshot that belongs here, and what it says.
    pub fn next_snapshot(&mut self) -> SnapshotLeaf {
        self.time += 10;
        for (brick, at) in std::mem::take(&mut self.fresh) {
            self.bricks.get_mut(&brick).unwrap()[at].time = self.time;
        }
        SnapshotLeaf { size: self.log.size(), time: self.time, index_root: self.state().index_root }
    }

    pub fn snapshot(&mut self) {
        let leaf = self.next_snapshot();
        self.log.push(leaf.to_string().into_bytes());
        self.states.push((self.log.size(), self.state()));
    }

    fn state(&self) -> State {
        let mut files = BTreeMap::new();
        let mut buckets: BTreeMap<u16, Bucket> = BTreeMap::new();
        for (brick, lines) in &self.bricks {
            let file: Vec<u8> = lines.iter().flat_map(|line| line.to_line().into_bytes()).collect();
            let file = Blob::of(&file);
            let sha256 = Hash::from(*file.sha256.as_bytes());
            buckets.entry(bucket_of(brick)).or_default().insert(brick, sha256).unwrap();
            files.insert(brick.clone(), file);
        }
        let mut tree = BucketTree::new();
        for (number, bucket) in buckets {
            tree.set(number, bucket.leaf_hash());
        }
        State { files, index_root: tree.root() }
    }

    /// The leaves `from..to`, their form and signatures checked.
    pub fn checked(&self, from: u64, to: u64) -> Result<Vec<CheckedLeaf>, Refused> {
        (from..to)
            .map(|index| {
                check_leaf(&self.commons, &publisher(PUBLISHER), index, &self.log.leaves[index as usize])
            })
            .collect()
    }

    /// Replays the whole log from nothing.
    pub fn replay(&self) -> Result<Vec<Segment>, Refused> {
        let before = Before {
            publisher: &publisher(PUBLISHER),
            commons: &self.commons,
            first: 0,
            snapshot_time: None,
            loaded: Loaded::default(),
            nodes: HashMap::new(),
            index_root: BucketTree::new().root(),
        };
        let leaves = self.checked(0, self.log.size())?;
        replay(before, &leaves, |size| self.log.root_at(size), |_| false).map(|replayed| replayed.segments)
    }
}
