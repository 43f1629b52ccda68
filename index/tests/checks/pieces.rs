//! A log adds up to the same whether it is replayed in one go or in pieces over what was kept of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use brick_index::fold::{IndexFile, Loaded};
use brick_index::replay::{Before, CheckedLeaf, Replayed, Segment, Touched, replay, touches};
use brick_schemas::predicate::ReleaseStatus;
use brick_schemas::{BrickName, Digest};
use brick_tlog::hash::Hash;
use brick_tlog::snapshot::{Bucket, BucketTree, bucket_nodes, bucket_of};
use brick_tlog::tree::Node;
use proptest::prelude::*;

use crate::chronicle::{Chronicle, State};
use crate::support::{PUBLISHER, publisher};

/// What a registry keeps of a log: only the newest state of each thing, and of that only what it is asked for.
#[derive(Default)]
struct Store {
    /// By brick and the entry that released it.
    lines: BTreeMap<BrickName, BTreeMap<u64, String>>,
    /// Files whose lines were let go.
    light: BTreeMap<BrickName, IndexFile>,
    buckets: BTreeMap<u16, Bucket>,
    nodes: BTreeMap<Node, Hash>,
    payloads: BTreeSet<Digest>,
    snapshot_time: Option<u64>,
    index_root: Option<Hash>,
    size: u64,
}

impl Store {
    /// Replays the leaves up to `to` over what is kept, and keeps what they add up to.
    fn bring_to(&mut self, chronicle: &Chronicle, to: u64) -> Vec<Segment> {
        let leaves = chronicle.checked(self.size, to).unwrap();
        let Touched { bricks, buckets } = touches(&leaves);
        let loaded = Loaded {
            files: self
                .lines
                .iter()
                .filter_map(|(name, lines)| {
                    // Of whole files and those without their lines the same must follow.
                    let file = match (bricks.get(name)?, self.light.remove(name)) {
                        (false, Some(light)) => light,
                        _ => file_of(lines),
                    };
                    Some((name.clone(), file))
                })
                .collect(),
            buckets: self.buckets.iter().filter(|(number, _)| buckets.contains(*number)).map(pair).collect(),
        };
        // As the registry loads them: the siblings of each bucket, and nothing else.
        let asked: BTreeSet<Node> = buckets.into_iter().flat_map(bucket_nodes).collect();
        let before = Before {
            publisher: &publisher(PUBLISHER),
            commons: &chronicle.commons,
            first: self.size,
            snapshot_time: self.snapshot_time,
            loaded,
            nodes: self.nodes.iter().filter(|(node, _)| asked.contains(*node)).map(pair).collect(),
            index_root: self.index_root.unwrap_or_else(|| BucketTree::new().root()),
        };
        let root_at = |size| chronicle.log.root_at(size);
        let replayed = replay(before, &leaves, root_at, |payload| self.payloads.contains(payload)).unwrap();
        let Replayed { segments, loaded, nodes } = replayed;
        for leaf in &leaves {
            if let CheckedLeaf::Entry(entry) = leaf {
                self.payloads.insert(entry.entry().payload);
            }
        }
        for (brick, mut file) in loaded.files {
            file.let_lines_go();
            self.light.insert(brick, file);
        }
        let mut kept_files = BTreeMap::new();
        for segment in &segments {
            for (brick, _, entry, line) in &segment.folded.lines {
                self.lines.entry(brick.clone()).or_default().insert(*entry, line.clone());
            }
            for (brick, file) in &segment.folded.files {
                kept_files.insert(brick.clone(), *file);
            }
            self.buckets.extend(segment.folded.buckets.iter().map(pair));
            self.nodes.extend(segment.nodes.iter().copied());
            self.snapshot_time = Some(segment.snapshot.time);
            self.index_root = Some(segment.snapshot.index_root);
            self.size = segment.size;
        }
        assert_eq!(self.size, to);
        for node in segments.iter().flat_map(|segment| &segment.nodes).map(|(node, _)| node) {
            assert!(nodes.contains_key(node), "what changed is among the nodes");
        }
        for (node, hash) in &nodes {
            assert_eq!(self.nodes.get(node), Some(hash), "nodes are given as they are last");
        }
        for (brick, file) in kept_files {
            assert_eq!(file_of(&self.lines[&brick]).blob(), file, "the lines are those of the file");
        }
        segments
    }
}

fn file_of(lines: &BTreeMap<u64, String>) -> IndexFile {
    IndexFile::parse(lines.values().map(String::as_str).collect::<String>().as_bytes()).unwrap()
}

fn pair<K: Clone, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), value.clone())
}

/// What the segments add up to at each snapshot.
fn states(segments: &[Segment]) -> Vec<(u64, State)> {
    let mut files = BTreeMap::new();
    segments
        .iter()
        .map(|segment| {
            files.extend(segment.folded.files.iter().map(|(name, file)| (name.to_string(), *file)));
            (segment.size, State { files: files.clone(), index_root: segment.snapshot.index_root })
        })
        .collect()
}

/// Bricks that meet at every height of the bucket tree: two in one bucket, two in neighbouring ones, some anywhere.
static BRICKS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut by_bucket: BTreeMap<u16, String> = BTreeMap::new();
    let (mut same, mut beside) = (None, None);
    for n in 0.. {
        let brick = format!("brick-{n}");
        let bucket = bucket_of(&brick);
        if let Some(other) = by_bucket.get(&(bucket ^ 1)) {
            beside.get_or_insert([brick.clone(), other.clone()]);
        }
        if let Some(other) = by_bucket.insert(bucket, brick.clone()) {
            same.get_or_insert([brick, other]);
        }
        if let (Some(same), Some(beside)) = (&same, &beside) {
            return ["a", "b"]
                .into_iter()
                .map(String::from)
                .chain(same.clone())
                .chain(beside.clone())
                .collect();
        }
    }
    unreachable!("there are names enough")
});

/// One thing that happens to a log.
#[derive(Clone, Debug)]
enum Step {
    Release(usize),
    Status(usize, usize, ReleaseStatus),
    /// A snapshot, and whether what is replayed in pieces is cut after it.
    Snapshot(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let statuses =
        [ReleaseStatus::Active, ReleaseStatus::Deprecated, ReleaseStatus::Yanked, ReleaseStatus::Withdrawn];
    prop_oneof![
        4 => (0..6_usize).prop_map(Step::Release),
        2 => (0..6_usize, 0..8_usize, prop::sample::select(statuses.to_vec())).prop_map(|(b, v, s)| Step::Status(b, v, s)),
        3 => any::<bool>().prop_map(Step::Snapshot),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn a_log_replayed_in_pieces_adds_up_to_what_it_does_in_one_go(steps in prop::collection::vec(step(), 1..40)) {
        let mut chronicle = Chronicle::new();
        let mut released = [0_usize; 6];
        let mut cuts = Vec::new();
        for step in steps {
            match step {
                Step::Release(brick) => {
                    chronicle.release(&BRICKS[brick], &format!("1.{}.0", released[brick]));
                    released[brick] += 1;
                }
                Step::Status(brick, at, to) if released[brick] > 0 => {
                    chronicle.set_status(&BRICKS[brick], &format!("1.{}.0", at % released[brick]), to);
                }
                Step::Status(..) => {}
                Step::Snapshot(cut) => {
                    chronicle.snapshot();
                    cuts.extend(cut.then(|| chronicle.log.size()));
                }
            }
        }
        chronicle.snapshot();
        cuts.push(chronicle.log.size());

        prop_assert_eq!(&states(&chronicle.replay().unwrap()), &chronicle.states);
        let mut store = Store::default();
        let pieces: Vec<Segment> = cuts.iter().flat_map(|to| store.bring_to(&chronicle, *to)).collect();
        prop_assert_eq!(&states(&pieces), &chronicle.states);
        let last = &chronicle.states.last().unwrap().1;
        prop_assert_eq!(store.index_root, Some(last.index_root));
        prop_assert_eq!(store.lines.len(), last.files.len());
        // What is kept of the tree leads to the same root and holds nothing that the tree does not.
        let mut tree = BucketTree::new();
        for (number, bucket) in &store.buckets {
            tree.set(*number, bucket.leaf_hash());
        }
        prop_assert_eq!(tree.root(), last.index_root);
        prop_assert_eq!(tree.nodes().collect::<BTreeMap<_, _>>(), store.nodes);
    }
}

/// Two buckets that change in different snapshots of one stretch are each other's siblings somewhere: the first needs the
/// second as it was before the stretch.
#[test]
fn neighbouring_buckets_may_change_in_different_snapshots_of_one_stretch() {
    let [.., left, right] = &BRICKS[..] else { unreachable!("there are six") };
    assert_eq!(bucket_of(left) ^ 1, bucket_of(right));
    let mut chronicle = Chronicle::new();
    chronicle.release(left, "1.0.0");
    chronicle.release(right, "1.0.0");
    chronicle.snapshot();
    let cut = chronicle.log.size();
    for brick in [left, right, left] {
        chronicle.set_status(brick, "1.0.0", ReleaseStatus::Yanked);
        chronicle.snapshot();
    }
    let mut store = Store::default();
    store.bring_to(&chronicle, cut);
    let segments = store.bring_to(&chronicle, chronicle.log.size());
    assert_eq!(segments.len(), 3);
    assert_eq!(store.index_root, Some(chronicle.states.last().unwrap().1.index_root));
}
