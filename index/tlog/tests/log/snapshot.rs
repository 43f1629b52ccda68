use std::collections::BTreeMap;

use brick_tlog::Hash;
use brick_tlog::checkpoint::{Checkpoint, MAX_TREE_SIZE, sign_checkpoint};
use brick_tlog::hash::{ParseHashError, leaf_hash, node_hash};
use brick_tlog::proof::{CheckProofError, ParseProofError, Proof};
use brick_tlog::snapshot::{
    BUCKET_COUNT, BUCKET_LEVELS, Bucket, BucketError, BucketTree, CheckIndexError, IndexProof,
    MAX_BUCKET_LINES, MAX_INDEX_PROOF_BYTES, MAX_NAME_BYTES, MAX_SNAPSHOT_TIME, OpenSnapshotError,
    ParseIndexProofError, ParseSnapshotError, SnapshotLeaf, VerifyIndexError, bucket_nodes, bucket_of,
    check_bucket, empty_subtree, open_snapshot, prove_bucket, update_buckets, update_nodes,
};
use brick_tlog::tree::{Node, ProofError, Tree};
use proptest::prelude::*;
use std::convert::Infallible;

use crate::support::{
    ORIGIN, check_one_spelling, check_refused, entry, log_key, log_vkey, name, other_hash, signed_head,
};

const LEAF: &str = "brickyard/snapshot/v1\n14\n1700000000\n9f3d1c0c6f2a4b7e8d5a6b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e\n";

/// Two names of one bucket, found by trying; and one of another.
const TWINS: [&str; 2] = ["brick-241", "brick-59"];

fn file(name: &str) -> Hash {
    Hash::of(format!("index file of {name}"))
}

fn bucket(names: &[&str]) -> Bucket {
    let mut bucket = Bucket::new();
    for name in names {
        bucket.insert(name, file(name)).expect("names of one bucket");
    }
    bucket
}

/// The index of a publisher with these bricks.
fn index(names: &[&str]) -> (BucketTree, BTreeMap<u16, Bucket>) {
    let mut buckets: BTreeMap<u16, Bucket> = BTreeMap::new();
    for name in names {
        buckets.entry(bucket_of(name)).or_default().insert(name, file(name)).expect("names are valid");
    }
    let mut tree = BucketTree::new();
    for (number, bucket) in &buckets {
        tree.set(*number, bucket.leaf_hash());
    }
    (tree, buckets)
}

/// A log of `before` entries and a snapshot, and the proof of the snapshot.
fn snapshot_proof(before: u64, index_root: Hash) -> Proof {
    let leaf = SnapshotLeaf { size: before, time: 1_700_000_000, index_root };
    let mut tree: Tree = (0..before).map(|index| leaf_hash(&entry(index))).collect();
    tree.push(leaf.leaf_hash());
    signed_proof(&tree, before, leaf.to_string().into_bytes())
}

fn signed_proof(tree: &Tree, index: u64, extra: Vec<u8>) -> Proof {
    let path = tree.prove_inclusion(index, tree.len()).expect("the leaf is there");
    let head = Checkpoint { origin: name(ORIGIN), size: tree.len(), root: tree.root() };
    Proof { extra: Some(extra), index, path, checkpoint: sign_checkpoint(&head, &log_key()) }
}

fn index_proof(names: &[&str], asked: &str) -> IndexProof {
    let (tree, buckets) = index(names);
    let number = bucket_of(asked);
    IndexProof {
        bucket: buckets.get(&number).cloned().unwrap_or_default(),
        path: tree.prove(number),
        snapshot: snapshot_proof(6, tree.root()),
    }
}

#[test]
fn a_snapshot_leaf_is_written_as_it_was_read() {
    let leaf = SnapshotLeaf::parse(LEAF.as_bytes()).expect("a snapshot");
    assert_eq!((leaf.size, leaf.time, leaf.to_string().as_str()), (14, 1_700_000_000, LEAF));
    assert_eq!(leaf.leaf_hash(), leaf_hash(LEAF.as_bytes()));
    assert!(SnapshotLeaf::is_snapshot(LEAF.as_bytes()));
    assert!(SnapshotLeaf::is_snapshot(b"brickyard/snapshot/v2\n"));
    assert!(!SnapshotLeaf::is_snapshot(b"{\"payload\":\"\"}"));
    check_one_spelling(LEAF.as_bytes(), |bytes| {
        Some(SnapshotLeaf::parse(bytes).ok()?.to_string().into_bytes())
    });
}

#[test]
fn broken_snapshot_leaves_are_refused_by_name() {
    let with = |old: &str, new: &str| LEAF.replacen(old, new, 1).into_bytes();
    let root = || ParseSnapshotError::IndexRoot(ParseHashError::Hex);
    let table = [
        ("nothing", b"".to_vec(), ParseSnapshotError::Version),
        ("another version", with("/v1", "/v2"), ParseSnapshotError::Version),
        ("an envelope", b"{}".to_vec(), ParseSnapshotError::Version),
        ("bytes that are not UTF-8", b"\xff".to_vec(), ParseSnapshotError::Version),
        ("a carriage return", with("/v1", "/v1\r"), ParseSnapshotError::Version),
        ("the version alone", b"brickyard/snapshot/v1\n".to_vec(), ParseSnapshotError::LineCount),
        ("three lines", with("14\n", ""), ParseSnapshotError::LineCount),
        ("an unfinished last line", LEAF.trim_end().into(), ParseSnapshotError::LineCount),
        ("a line more", format!("{LEAF}x\n").into(), ParseSnapshotError::LineCount),
        ("an empty line more", format!("{LEAF}\n").into(), ParseSnapshotError::LineCount),
        ("a size with a zero", with("14", "014"), ParseSnapshotError::Size),
        ("a size with a sign", with("14", "+14"), ParseSnapshotError::Size),
        ("no size", with("14", ""), ParseSnapshotError::Size),
        ("a size too large", with("14", &MAX_TREE_SIZE.to_string()), ParseSnapshotError::Size),
        ("a time with a zero", with("1700000000", "01700000000"), ParseSnapshotError::Time),
        ("a time before 1970", with("1700000000", "-1"), ParseSnapshotError::Time),
        ("a time with a fraction", with("1700000000", "1700000000.5"), ParseSnapshotError::Time),
        ("a time after the year 9999", with("1700000000", "253402300800"), ParseSnapshotError::Time),
        ("a root in capitals", with("9f3d1c", "9F3D1C"), root()),
        ("a root in base64", format!("brickyard/snapshot/v1\n1\n1\n{}\n", other_hash()).into(), root()),
        ("a short root", with("9f3d1c", ""), root()),
    ];
    check_refused(SnapshotLeaf::parse, table);
    assert!(SnapshotLeaf::parse(&with("1700000000", &MAX_SNAPSHOT_TIME.to_string())).is_ok());
}

#[test]
fn only_the_last_leaf_that_counts_rightly_is_the_snapshot() {
    let root = other_hash();
    let opened = open_snapshot(&snapshot_proof(6, root), &log_vkey()).expect("it is the last leaf");
    assert_eq!((opened.leaf().index_root, opened.leaf().size), (root, 6));
    assert_eq!((opened.signed().checkpoint().size, opened.clone().into_parts().0.size), (7, 6));

    let leaf = |size| SnapshotLeaf { size, time: 5, index_root: root };
    let tree_with = |leaves: &[&[u8]]| leaves.iter().map(|leaf| leaf_hash(leaf)).collect::<Tree>();
    let (first, wrong) = (leaf(0).to_string(), leaf(3).to_string());
    let stale = signed_proof(&tree_with(&[first.as_bytes(), b"entry"]), 0, first.clone().into_bytes());
    let miscounted = signed_proof(&tree_with(&[b"entry", wrong.as_bytes()]), 1, wrong.clone().into_bytes());
    let envelope = signed_proof(&tree_with(&[b"entry"]), 0, b"entry".to_vec());
    let mut bare = snapshot_proof(6, root);
    bare.extra = None;
    let mut swapped = snapshot_proof(6, root);
    swapped.extra = Some(leaf(6).to_string().into_bytes());
    let table = [
        ("no leaf carried", bare, OpenSnapshotError::NoLeaf),
        ("an entry carried", envelope, OpenSnapshotError::Leaf(ParseSnapshotError::Version)),
        ("an older snapshot", stale, OpenSnapshotError::NotLast { index: 0, size: 2 }),
        ("a wrong count", miscounted, OpenSnapshotError::WrongSize { index: 1, claimed: 3 }),
    ];
    for (wrong, proof, expected) in table {
        assert_eq!(open_snapshot(&proof, &log_vkey()), Err(expected), "{wrong}");
    }
    let found = open_snapshot(&swapped, &log_vkey());
    assert!(
        matches!(found, Err(OpenSnapshotError::Proof(CheckProofError::Inclusion(_)))),
        "another leaf carried"
    );
    let mut unsigned = snapshot_proof(6, root);
    unsigned.checkpoint = signed_head(7);
    let found = open_snapshot(&unsigned, &log_vkey());
    assert!(matches!(found, Err(OpenSnapshotError::Proof(CheckProofError::Inclusion(_)))), "another head");
}

#[test]
fn the_first_16_bits_of_a_names_hash_choose_its_bucket() {
    assert_eq!(Hash::of("case-handling").to_hex()[..4], format!("{:04x}", bucket_of("case-handling")));
    assert_eq!(bucket_of(TWINS[0]), bucket_of(TWINS[1]), "the tests below need two names of one bucket");
}

#[test]
fn a_bucket_is_lines_sorted_by_name() {
    let mut one = Bucket::new();
    assert_eq!((one.number(), one.bytes(), one.leaf_hash()), (None, vec![], Hash::EMPTY_TREE));
    for name in [TWINS[1], TWINS[0]] {
        assert_eq!(one.insert(name, file(name)), Ok(None));
    }
    let lines = TWINS.map(|name| format!("{}  {name}\n", file(name).to_hex()));
    assert_eq!(one.bytes(), lines.concat().into_bytes());
    assert_eq!(one.leaf_hash(), leaf_hash(lines.concat().as_bytes()));
    assert_eq!((one.number(), one.file(TWINS[0])), (Some(bucket_of(TWINS[0])), Some(file(TWINS[0]))));
    assert_eq!(one.file("brick"), None);
    assert_eq!(one.insert(TWINS[0], other_hash()), Ok(Some(file(TWINS[0]))));
    assert_eq!(one.files().collect::<Vec<_>>(), [(TWINS[0], other_hash()), (TWINS[1], file(TWINS[1]))]);
    check_one_spelling(&bucket(&TWINS).bytes(), |bytes| Some(Bucket::parse(bytes).ok()?.bytes()));
}

#[test]
fn broken_buckets_are_refused_by_name() {
    let line = |name: &str| format!("{}  {name}\n", file(name).to_hex());
    let [first, second] = TWINS.map(line);
    let name_error = |name: &str| BucketError::Name { name: name.to_owned() };
    let order = |name: &str| BucketError::Order { name: name.to_owned() };
    let line_1 = BucketError::Line { line: 1 };
    let long = "n".repeat(MAX_NAME_BYTES + 1);
    let table = [
        ("an unfinished line", first.trim_end().into(), line_1.clone()),
        ("an empty line", "\n".into(), line_1.clone()),
        ("one space", first.replace("  ", " "), line_1.clone()),
        ("a tab", first.replace("  ", "\t"), line_1.clone()),
        ("a short digest", first[1..].into(), line_1.clone()),
        ("a digest in capitals", first[..64].to_uppercase() + &first[64..], line_1),
        ("a second line that is none", format!("{first}x\n"), BucketError::Line { line: 2 }),
        ("no name", line(""), name_error("")),
        ("three spaces", first.replace("  ", "   "), name_error(&format!(" {}", TWINS[0]))),
        ("a capital in the name", line("Brick"), name_error("Brick")),
        ("a slash in the name", line("a/b"), name_error("a/b")),
        ("a dot in the name", line("a.b"), name_error("a.b")),
        ("a letter that is not ASCII", line("ä"), name_error("ä")),
        ("a carriage return", first.replace('\n', "\r\n"), name_error(&format!("{}\r", TWINS[0]))),
        ("a name too long", line(&long), name_error(&long[1..])),
        ("another order", format!("{second}{first}"), order(TWINS[0])),
        ("a name twice", format!("{first}{first}"), order(TWINS[0])),
        (
            "a name of another bucket",
            format!("{first}{}", line("z")),
            BucketError::OtherBucket { name: "z".into() },
        ),
    ]
    .map(|(wrong, text, error): (_, String, _)| (wrong, text.into_bytes(), error));
    check_refused(Bucket::parse, table);
    assert_eq!(Bucket::parse(b"\xff"), Err(BucketError::NotUtf8));
    assert!(Bucket::parse(line(&long[1..]).as_bytes()).is_ok());
}

#[test]
fn the_tree_of_empty_buckets_is_made_of_empty_subtrees() {
    let empty = BucketTree::new();
    assert_eq!((empty.root(), empty.nodes().count()), (empty_subtree(16), 0));
    assert_eq!(
        (empty_subtree(0), empty_subtree(1)),
        (Hash::EMPTY_TREE, node_hash(&Hash::EMPTY_TREE, &Hash::EMPTY_TREE))
    );
    let whole: Tree = (0..BUCKET_COUNT).map(|_| Hash::EMPTY_TREE).collect();
    assert_eq!(whole.root(), empty.root());
}

#[test]
fn the_sparse_tree_is_the_whole_one() {
    let changes =
        [(0u16, 1), (1, 2), (0xffff, 3), (0x8000, 4), (0x7fff, 5), (0x1234, 6), (0x1235, 7), (1, 8)];
    let mut leaves = vec![Hash::EMPTY_TREE; BUCKET_COUNT as usize];
    let mut sparse = BucketTree::new();
    for (bucket, seed) in changes {
        leaves[usize::from(bucket)] = Hash::of([seed]);
        let changed = sparse.set(bucket, Hash::of([seed]));
        assert_eq!(changed.len(), 17);
        assert_eq!(changed[0], (Node { level: 0, index: bucket.into() }, Hash::of([seed])));
        assert_eq!(changed[16], (Node { level: 16, index: 0 }, sparse.root()));
    }
    let whole: Tree = leaves.iter().copied().collect();
    assert_eq!(whole.root(), sparse.root());
    for (node, hash) in sparse.nodes() {
        assert_eq!(whole.read(node), Ok(hash));
    }
    for bucket in [0u16, 2, 0x1234, 0x7fff, 0x8000, 0xfffe] {
        let path = sparse.prove(bucket);
        let expected = whole.prove_inclusion(bucket.into(), BUCKET_COUNT).expect("all buckets are there");
        assert_eq!(path.to_vec(), expected);
        let leaf = leaves[usize::from(bucket)];
        assert_eq!(check_bucket(bucket, &leaf, &path, &sparse.root()), Ok(()));
        // Two empty neighbours have the same proof, and it is true of both.
        let twins = leaves[usize::from(bucket ^ 1)] == leaf;
        assert_eq!(check_bucket(bucket ^ 1, &leaf, &path, &sparse.root()).is_ok(), twins);
        assert!(check_bucket(bucket, &other_hash(), &path, &sparse.root()).is_err());
        assert!(check_bucket(bucket, &leaf, &path, &other_hash()).is_err());
        let short = check_bucket(bucket, &leaf, &path[1..], &sparse.root());
        assert_eq!(short, Err(ProofError::WrongLength { hashes: 15 }));
        for at in 0..BUCKET_LEVELS {
            let mut broken = path;
            broken[at] = other_hash();
            assert!(check_bucket(bucket, &leaf, &broken, &sparse.root()).is_err());
        }
    }
}

#[test]
fn a_tree_emptied_again_keeps_nothing() {
    let mut tree = BucketTree::new();
    for bucket in [3, 4, 40_000] {
        tree.set(bucket, other_hash());
    }
    for bucket in [4, 40_000, 3] {
        tree.set(bucket, Hash::EMPTY_TREE);
    }
    assert_eq!(tree, BucketTree::new());
}

#[test]
fn a_store_that_keeps_the_nodes_gets_the_same_tree_in_one_round() {
    let mut store: BTreeMap<Node, Hash> = BTreeMap::new();
    let mut tree = BucketTree::new();
    let rounds: [&[(u16, u8)]; 4] =
        [&[(5, 1)], &[(4, 2), (5, 3), (60_000, 4)], &[(1, 5), (0, 6), (65_535, 7), (2, 8), (3, 9)], &[]];
    for changes in rounds {
        let changes: Vec<(u16, Hash)> =
            changes.iter().map(|(bucket, seed)| (*bucket, Hash::of([*seed]))).collect();
        let mut asked = Vec::new();
        let update = update_buckets(changes.iter().copied(), |node| {
            asked.push(node);
            Ok::<_, Infallible>(store.get(&node).copied())
        });
        let update = update.expect("the store never fails");
        assert_eq!(asked, update_nodes(changes.iter().map(|(bucket, _)| *bucket)));
        store.extend(update.nodes);
        for (bucket, leaf) in changes {
            tree.set(bucket, leaf);
        }
        assert_eq!(update.root, tree.root());
        for (node, hash) in tree.nodes() {
            assert_eq!(store.get(&node), Some(&hash));
        }
    }
    for bucket in [0, 5, 9, 65_535] {
        let mut asked = Vec::new();
        let path = prove_bucket(bucket, |node| {
            asked.push(node);
            Ok::<_, Infallible>(store.get(&node).copied())
        });
        assert_eq!((path, asked), (Ok(tree.prove(bucket)), bucket_nodes(bucket)));
    }
    assert_eq!(prove_bucket(0, |_| Err("the disk is gone")), Err("the disk is gone"));
    assert_eq!(update_buckets([(0, other_hash())], |_| Err("the disk is gone")), Err("the disk is gone"));
}

#[test]
fn an_index_proof_shows_the_complete_current_file_or_that_there_is_none() {
    let names = ["case-handling", "address", TWINS[0], TWINS[1]];
    for name in names {
        let proof = index_proof(&names, name);
        let opened = proof.verify(name, Some(file(name)), &log_vkey()).expect("it is in the index");
        let root = opened.leaf().index_root;
        assert_eq!(proof.check(name, Some(file(name)), &root), Ok(()));
        let other_file = |current| CheckIndexError::OtherFile { name: name.to_owned(), current };
        assert_eq!(
            proof.check(name, Some(other_hash()), &root),
            Err(other_file(Some(file(name)))),
            "changed"
        );
        assert_eq!(proof.check(name, None, &root), Err(other_file(Some(file(name)))), "hidden");
        let found = proof.verify(name, None, &log_vkey());
        assert_eq!(found, Err(VerifyIndexError::File(other_file(Some(file(name))))));
        let moved = proof.check(name, Some(file(name)), &other_hash());
        let err = ProofError::OtherRoot { root: other_hash() };
        assert_eq!(moved, Err(CheckIndexError::NotInIndex { name: name.to_owned(), err }), "another root");
    }
}

#[test]
fn a_name_that_does_not_exist_is_shown_not_to() {
    let absent = index_proof(&["case-handling"], "no-such-brick");
    assert_eq!(absent.bucket, Bucket::new());
    assert!(absent.verify("no-such-brick", None, &log_vkey()).is_ok());
    let invented = CheckIndexError::OtherFile { name: "no-such-brick".into(), current: None };
    let found = absent.verify("no-such-brick", Some(other_hash()), &log_vkey());
    assert_eq!(found, Err(VerifyIndexError::File(invented)));
    // In a bucket that another name shares.
    let shared = index_proof(&TWINS[..1], TWINS[1]);
    assert!(shared.verify(TWINS[1], None, &log_vkey()).is_ok());
}

#[test]
fn an_existing_name_cannot_be_hidden() {
    let mut proof = index_proof(&["case-handling", TWINS[0], TWINS[1]], "case-handling");
    let root = index(&["case-handling", TWINS[0], TWINS[1]]).0.root();
    let not_in_index = |found| matches!(found, Err(CheckIndexError::NotInIndex { .. }));
    proof.bucket = Bucket::new();
    assert!(not_in_index(proof.check("case-handling", None, &root)), "an empty bucket instead");
    let mut proof = index_proof(&["case-handling", TWINS[0], TWINS[1]], TWINS[0]);
    proof.bucket = bucket(&TWINS[1..]);
    assert!(not_in_index(proof.check(TWINS[0], None, &root)), "a bucket without its line");
    let other = CheckIndexError::OtherBucket { name: "case-handling".into() };
    assert_eq!(proof.check("case-handling", None, &root), Err(other), "another bucket");
    let mut elsewhere = index_proof(&[], "case-handling");
    elsewhere.snapshot = proof.snapshot;
    let found = elsewhere.verify("case-handling", None, &log_vkey());
    assert!(
        matches!(found, Err(VerifyIndexError::File(CheckIndexError::NotInIndex { .. }))),
        "another index"
    );
}

#[test]
fn an_index_proof_has_one_spelling() {
    let rewrite = |bytes: &[u8]| Some(IndexProof::parse(bytes).ok()?.to_string().into_bytes());
    for (names, asked) in [(&TWINS[..], TWINS[0]), (&[], "absent")] {
        let proof = index_proof(names, asked);
        let written = proof.to_string();
        assert_eq!(IndexProof::parse(written.as_bytes()), Ok(proof));
        check_one_spelling(written.as_bytes(), rewrite);
    }
}

#[test]
fn an_index_proof_is_laid_out_as_documented() {
    let proof = index_proof(&["case-handling"], "case-handling");
    let written = proof.to_string();
    let parts: Vec<&str> = written.splitn(3, "\n\n").collect();
    let lines = format!("brickyard/index-proof/v1\n{}  case-handling", file("case-handling").to_hex());
    assert_eq!(parts[0], lines);
    assert_eq!(parts[1], proof.path.map(|hash| hash.to_string()).join("\n"));
    assert_eq!(parts[2], proof.snapshot.to_string());
    let absent = index_proof(&[], "absent").to_string();
    assert!(absent.starts_with("brickyard/index-proof/v1\n\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"));
}

#[test]
fn broken_index_proofs_are_refused_by_name() {
    let proof = index_proof(&["case-handling"], "case-handling");
    let good = proof.to_string();
    let with = |old: &str, new: &str| good.replacen(old, new, 1).into_bytes();
    let top = proof.path[15].to_string();
    let bucket_error = ParseIndexProofError::Bucket;
    let order = BucketError::Order { name: "case-handling".into() };
    let line = format!("{}  case-handling\n", file("case-handling").to_hex());
    let many: String = (0..=MAX_BUCKET_LINES).map(|_| line.as_str()).collect();
    let table = [
        ("nothing", b"".to_vec(), ParseIndexProofError::Version),
        ("another version", with("/v1\n", "/v2\n"), ParseIndexProofError::Version),
        ("a longer version", with("/v1\n", "/v1.1\n"), ParseIndexProofError::Version),
        ("the version alone", b"brickyard/index-proof/v1\n".to_vec(), ParseIndexProofError::UnfinishedBucket),
        ("a version without end", b"brickyard/index-proof/v1".to_vec(), ParseIndexProofError::Version),
        ("a bucket line that is none", with(&line, "x\n"), bucket_error(BucketError::Line { line: 1 })),
        ("a bucket line twice", with(&line, &line.repeat(2)), bucket_error(order.clone())),
        ("very many bucket lines", with(&line, &many), bucket_error(order)),
        ("a hash too few", with(&format!("{top}\n"), ""), ParseIndexProofError::PathLength),
        ("a hash too many", with(&top, &format!("{top}\n{top}")), ParseIndexProofError::PathLength),
        (
            "very many hashes",
            with(&top, format!("{top}\n").repeat(100).trim_end()),
            ParseIndexProofError::PathLength,
        ),
        (
            "a hash that is none",
            with(&top, "x"),
            ParseIndexProofError::Hash { line: 16, err: ParseHashError::Base64 },
        ),
        ("no snapshot", with("c2sp", "x"), ParseIndexProofError::Snapshot(ParseProofError::Version)),
        ("bytes that are not UTF-8", [good.as_bytes(), b"\xff"].concat(), ParseIndexProofError::NotUtf8),
        ("a byte too many", vec![b'a'; MAX_INDEX_PROOF_BYTES + 1], ParseIndexProofError::TooLong),
    ];
    check_refused(IndexProof::parse, table);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_snapshot_leaf_is_read_as_it_was_written(size in 0..MAX_TREE_SIZE, time in 0..=MAX_SNAPSHOT_TIME, root: [u8; 32]) {
        let leaf = SnapshotLeaf { size, time, index_root: Hash::from(root) };
        prop_assert_eq!(SnapshotLeaf::parse(leaf.to_string().as_bytes()), Ok(leaf));
    }

    #[test]
    fn every_name_is_shown_to_be_there_or_not(names in prop::collection::btree_set("[a-z0-9-]{1,10}", 1..20), absent in "[a-z0-9-]{11,12}") {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for name in &names {
            prop_assert!(index_proof(&names, name).verify(name, Some(file(name)), &log_vkey()).is_ok());
        }
        prop_assert!(index_proof(&names, &absent).verify(&absent, None, &log_vkey()).is_ok());
    }

    #[test]
    fn an_updated_tree_is_the_one_made_at_once(changes in prop::collection::vec((any::<u16>(), any::<u8>()), 1..30)) {
        let mut tree = BucketTree::new();
        for (bucket, seed) in &changes {
            tree.set(*bucket, Hash::of([*seed]));
        }
        let all = changes.iter().map(|(bucket, seed)| (*bucket, Hash::of([*seed])));
        let update = update_buckets(all, |_| Ok::<_, Infallible>(None));
        prop_assert_eq!(update.map(|update| update.root), Ok(tree.root()));
    }
}
