use brick_tlog::Hash;
use brick_tlog::checkpoint::MAX_TREE_SIZE;
use brick_tlog::hash::leaf_hash;
use brick_tlog::tree::{
    Frontier, FrontierError, MAX_PROOF_HASHES, MissingNode, Node, ProofError, ProveError, Tree,
    check_consistency, check_inclusion, consistency_nodes, inclusion_nodes, prove_consistency,
    prove_inclusion, root, root_nodes,
};

use crate::support::{entry, other_hash, tree};

/// Every tree up to this size is tried with every proof in it.
const EXHAUSTIVE_SIZE: u64 = 130;

/// Every path that differs from `path` by one hash changed, dropped or added.
fn broken(path: &[Hash]) -> impl Iterator<Item = Vec<Hash>> {
    let changed = (0..path.len()).map(|at| {
        let mut path = path.to_vec();
        let mut bytes = *path[at].as_bytes();
        bytes[at % 32] ^= 1 << (at % 8);
        path[at] = Hash::from(bytes);
        path
    });
    let dropped = (0..path.len()).map(|at| [&path[..at], &path[at + 1..]].concat());
    let added = (0..=path.len()).map(|at| {
        let neighbour = path.get(at).copied().unwrap_or(other_hash());
        [&path[..at], &[neighbour], &path[at..]].concat()
    });
    changed.chain(dropped).chain(added)
}

#[test]
fn every_inclusion_proof_holds_and_no_broken_one_does() {
    let whole = tree(EXHAUSTIVE_SIZE);
    for size in 1..=EXHAUSTIVE_SIZE {
        let root = whole.root_at(size).expect("not larger than the tree");
        for index in 0..size {
            let leaf = leaf_hash(&entry(index));
            let path = whole.prove_inclusion(index, size).expect("the leaf is there");
            assert_eq!(check_inclusion(index, size, &leaf, &path, &root), Ok(()), "{index} in {size}");
            for broken in broken(&path) {
                assert!(check_inclusion(index, size, &leaf, &broken, &root).is_err(), "{index} in {size}");
            }
            assert!(check_inclusion(index, size, &other_hash(), &path, &root).is_err());
            assert!(check_inclusion(index, size, &leaf, &path, &other_hash()).is_err());
            let next = (index + 1) % size;
            assert!(size == 1 || check_inclusion(next, size, &leaf, &path, &root).is_err());
        }
    }
}

#[test]
fn every_consistency_proof_holds_and_no_broken_one_does() {
    let whole = tree(EXHAUSTIVE_SIZE);
    let root = |size| whole.root_at(size).expect("not larger than the tree");
    for new in 0..=EXHAUSTIVE_SIZE {
        for old in 0..=new {
            let path = whole.prove_consistency(old, new).expect("it grew");
            let (old_root, new_root) = (root(old), root(new));
            let check = |path: &[Hash]| check_consistency(old, new, &old_root, &new_root, path);
            assert_eq!(check(&path), Ok(()), "{old} to {new}");
            for broken in broken(&path) {
                assert!(check(&broken).is_err(), "{old} to {new}");
            }
            assert!(check_consistency(old, new, &other_hash(), &new_root, &path).is_err());
            // A tree without leaves is the beginning of every tree, whatever its root.
            let other = check_consistency(old, new, &old_root, &other_hash(), &path);
            assert_eq!(other.is_ok(), old == 0 && new != 0, "{old} to {new}");
        }
    }
}

#[test]
fn an_inclusion_proof_of_another_place_is_refused() {
    let whole = tree(33);
    let leaf = leaf_hash(&entry(7));
    let path = whole.prove_inclusion(7, 33).expect("the leaf is there");
    for index in (0..33).filter(|index| *index != 7) {
        assert!(check_inclusion(index, 33, &leaf, &path, &whole.root()).is_err(), "at {index}");
    }
}

#[test]
fn proofs_that_no_tree_has_are_refused_by_name() {
    let (some, long) = ([other_hash(); 3], [other_hash(); MAX_PROOF_HASHES + 1]);
    let (leaf, root) = (other_hash(), Hash::EMPTY_TREE);
    let inclusion = |index, size, path: &[Hash]| check_inclusion(index, size, &leaf, path, &root);
    assert_eq!(inclusion(0, 0, &[]), Err(ProofError::NoSuchLeaf { index: 0, size: 0 }));
    assert_eq!(inclusion(5, 5, &some), Err(ProofError::NoSuchLeaf { index: 5, size: 5 }));
    assert_eq!(inclusion(u64::MAX, 5, &some), Err(ProofError::NoSuchLeaf { index: u64::MAX, size: 5 }));
    assert_eq!(inclusion(0, 5, &long), Err(ProofError::TooLong { hashes: MAX_PROOF_HASHES + 1 }));
    assert_eq!(inclusion(0, 5, &[]), Err(ProofError::WrongLength { hashes: 0 }));
    assert_eq!(inclusion(0, 5, &some), Err(ProofError::OtherRoot { root }));
    assert_eq!(inclusion(u64::MAX - 1, u64::MAX, &some), Err(ProofError::WrongLength { hashes: 3 }));

    let consistency = |old, new, path: &[Hash]| check_consistency(old, new, &leaf, &leaf, path);
    assert_eq!(consistency(5, 4, &some), Err(ProofError::Shrinks { old: 5, new: 4 }));
    assert_eq!(consistency(5, 6, &[]), Err(ProofError::WrongLength { hashes: 0 }));
    assert_eq!(consistency(0, 6, &some), Err(ProofError::WrongLength { hashes: 3 }));
    assert_eq!(consistency(6, 6, &some), Err(ProofError::WrongLength { hashes: 3 }));
    assert_eq!(consistency(5, 6, &long), Err(ProofError::TooLong { hashes: MAX_PROOF_HASHES + 1 }));
    assert_eq!(consistency(0, 6, &[]), Err(ProofError::OtherRoot { root: Hash::EMPTY_TREE }));
    assert_eq!(consistency(0, 0, &[]), Err(ProofError::OtherRoot { root: Hash::EMPTY_TREE }));
    assert_eq!(consistency(u64::MAX - 1, u64::MAX, &some), Err(ProofError::WrongLength { hashes: 3 }));
}

#[test]
fn proofs_of_what_is_not_there_are_not_made() {
    let whole = tree(5);
    assert_eq!(whole.prove_inclusion(5, 5), Err(ProveError::NoSuchLeaf { index: 5, size: 5 }));
    assert_eq!(whole.prove_consistency(6, 5), Err(ProveError::Shrinks { old: 6, new: 5 }));
    let missing = MissingNode { node: Node { level: 1, index: 2 }, size: 5 };
    assert_eq!(whole.prove_inclusion(0, 6), Err(ProveError::Read(missing)));
    assert_eq!(whole.root_at(8), Err(MissingNode { node: Node { level: 3, index: 0 }, size: 5 }));
    assert!(whole.read(Node { level: 63, index: u64::MAX }).is_err());
    assert!(whole.read(Node { level: 255, index: 0 }).is_err());
}

#[test]
fn the_nodes_named_beforehand_are_those_read() {
    for new in 0..=70 {
        let mut asked = Vec::new();
        let mut read = |node| {
            asked.push(node);
            Ok::<_, MissingNode>(other_hash())
        };
        root(new, &mut read).expect("the reader never fails");
        assert_eq!(asked, root_nodes(new));
        for old in 0..new {
            let mut asked = Vec::new();
            prove_inclusion(old, new, |node| {
                asked.push(node);
                Ok::<_, MissingNode>(other_hash())
            })
            .expect("the leaf is there");
            assert_eq!(Ok(asked), inclusion_nodes(old, new));
            let mut asked = Vec::new();
            prove_consistency(old, new, |node| {
                asked.push(node);
                Ok::<_, MissingNode>(other_hash())
            })
            .expect("it grew");
            assert_eq!(Ok(asked), consistency_nodes(old, new));
        }
    }
}

#[test]
fn a_tree_of_five_reads_the_nodes_drawn_in_its_documentation() {
    let node = |level, index| Node { level, index };
    assert_eq!(root_nodes(5), [node(2, 0), node(0, 4)]);
    assert_eq!(root_nodes(0), []);
    assert_eq!(inclusion_nodes(2, 5), Ok(vec![node(0, 4), node(1, 0), node(0, 3)]));
    assert_eq!(consistency_nodes(3, 5), Ok(vec![node(0, 4), node(1, 0), node(0, 3), node(0, 2)]));
    assert_eq!(consistency_nodes(4, 5), Ok(vec![node(0, 4)]));
}

#[test]
fn the_largest_sizes_do_not_overflow() {
    for size in [MAX_TREE_SIZE, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1] {
        assert_eq!(root_nodes(size).len(), size.count_ones() as usize);
        for index in [0, size / 2, size - 1] {
            assert!(inclusion_nodes(index, size).expect("the leaf is there").len() <= 64 * 64);
            consistency_nodes(index, size).expect("it grew");
        }
    }
}

#[test]
fn a_frontier_grows_as_the_whole_tree_does() {
    let mut frontier = Frontier::new();
    let mut whole = Tree::new();
    for index in 0..300 {
        let leaf = leaf_hash(&entry(index));
        whole.push(leaf);
        let complete = frontier.push(leaf);
        assert_eq!(complete[0], (Node { level: 0, index }, leaf));
        assert_eq!(complete.len() as u32, 1 + index.trailing_ones());
        for (node, hash) in complete {
            assert_eq!(whole.read(node), Ok(hash));
            assert_eq!((node.index + 1) << node.level, index + 1, "complete just now");
        }
        assert_eq!((frontier.size(), frontier.root()), (whole.len(), whole.root()));
        let peaks = root_nodes(index + 1).into_iter().map(|node| whole.read(node).expect("complete"));
        let stored = Frontier::from_parts(index + 1, peaks.collect());
        assert_eq!(stored, Ok(frontier.clone()));
    }
}

#[test]
fn a_frontier_that_does_not_fit_its_size_is_refused() {
    let wrong = FrontierError::PeakCount { size: 5, expected: 2, found: 1 };
    assert_eq!(Frontier::from_parts(5, vec![other_hash()]), Err(wrong));
    let size = MAX_TREE_SIZE + 1;
    assert_eq!(Frontier::from_parts(size, vec![other_hash(); 2]), Err(FrontierError::TooLarge { size }));
    assert_eq!(Frontier::from_parts(0, vec![]), Ok(Frontier::new()));
}

#[test]
fn a_tree_cut_back_is_as_if_it_had_never_grown() {
    for size in 0..=40 {
        let mut cut = tree(40);
        cut.truncate(size);
        assert_eq!(cut, tree(size), "size {size}");
        assert_eq!(cut.is_empty(), size == 0);
        cut.push(leaf_hash(&entry(size)));
        assert_eq!(cut.root(), tree(size + 1).root());
    }
    let mut kept = tree(40);
    kept.truncate(u64::MAX);
    assert_eq!(kept, tree(40));
}
