//! Other implementations as judges. They are never used outside tests.

use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::hash::leaf_hash;
use brick_tlog::note::{Note, Vkey, sign_note, verify_note};
use brick_tlog::tile::{encode_tile, new_tiles, tile_of};
use brick_tlog::tree::{Node, Tree};
use brick_tlog::{Hash, hash};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof};
use proptest::prelude::*;
use sha2::Sha256;
use signed_note::{Signer, StandardSigner, StandardVerifier, VerifierList};
use std::sync::LazyLock;
use tlog_tiles::tlog::{self, HashReader};

use crate::support::{entry, head, key, log_key, log_vkey, name, tree};

/// Trees up to this size are compared.
const MAX_SIZE: u64 = 1000;

static WHOLE: LazyLock<Tree> = LazyLock::new(|| tree(MAX_SIZE));

/// Our hashes in the order in which that crate stores them.
struct Stored<'t>(&'t Tree);

impl HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let read = |at: &u64| {
            let (level, index) = tlog::split_stored_hash_index(*at);
            let hash = self.0.read(Node { level, index }).expect("it asks for complete subtrees only");
            theirs(&hash)
        };
        Ok(indexes.iter().map(read).collect())
    }
}

fn theirs(hash: &Hash) -> tlog::Hash {
    tlog::Hash(*hash.as_bytes())
}

fn ours(hashes: &[tlog::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash::from(hash.0)).collect()
}

fn concatenated(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

fn ct_merkle_tree(size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    (0..size).for_each(|index| tree.push(entry(index)));
    tree
}

#[test]
fn every_root_is_that_of_two_other_implementations() {
    let mut other = ct_merkle_tree(0);
    for size in 1..=MAX_SIZE {
        other.push(entry(size - 1));
        let root = WHOLE.root_at(size).expect("not larger than the tree");
        assert_eq!(root.as_bytes(), other.root().as_bytes().as_slice(), "size {size}");
        assert!(
            tlog::tree_hash(size, &Stored(&WHOLE)).expect("there are leaves") == theirs(&root),
            "size {size}"
        );
    }
    let hashes = [hash::leaf_hash(b"l"), hash::leaf_hash(b"r")];
    assert!(tlog::record_hash(b"l") == theirs(&hashes[0]));
    let node = tlog::node_hash(theirs(&hashes[0]), theirs(&hashes[1]));
    assert!(node == theirs(&hash::node_hash(&hashes[0], &hashes[1])));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_are_those_of_two_other_implementations(
        (size, index) in (1..=MAX_SIZE).prop_flat_map(|size| (Just(size), 0..size)),
    ) {
        let other = ct_merkle_tree(size);
        let (whole, root) = (Stored(&WHOLE), WHOLE.root_at(size).expect("not larger than the tree"));

        let path = WHOLE.prove_inclusion(index, size).expect("the leaf is there");
        let expected = other.prove_inclusion(index as usize);
        prop_assert_eq!(&concatenated(&path), expected.as_bytes());
        prop_assert_eq!(&path, &ours(&tlog::prove_record(size, index, &whole).expect("the leaf is there")));
        let proof = InclusionProof::try_from_bytes(concatenated(&path)).expect("whole hashes");
        prop_assert!(other.root().verify_inclusion(&entry(index), index, &proof).is_ok());

        let old = index + 1;
        let path = WHOLE.prove_consistency(old, size).expect("it grew");
        let expected = other.prove_consistency((size - old) as usize);
        prop_assert_eq!(&concatenated(&path), expected.as_bytes());
        let old_root = WHOLE.root_at(old).expect("not larger than the tree");
        let proof = ConsistencyProof::try_from_bytes(concatenated(&path)).expect("whole hashes");
        prop_assert!(other.root().verify_consistency(&ct_merkle_tree(old).root(), &proof).is_ok());
        let path: Vec<tlog::Hash> = path.iter().map(theirs).collect();
        prop_assert!(tlog::check_tree(&path, size, theirs(&root), old, theirs(&old_root)).is_ok());
    }

    #[test]
    fn tiles_are_those_of_another_implementation(
        (new, old) in (0..=MAX_SIZE).prop_flat_map(|size| (Just(size), 0..=size)),
    ) {
        let expected = tlog_tiles::tile::Tile::new_tiles(8, old, new);
        let found: Vec<_> = new_tiles(old, new).collect();
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.into_iter().zip(expected) {
            let place = (expected.level(), expected.level_index(), expected.width());
            prop_assert_eq!((found.level(), found.index(), u32::from(found.width())), place);
            // Their paths name the height, which C2SP does not.
            prop_assert_eq!(found.path().replacen("tile/", "tile/8/", 1), expected.path());
            let bytes = encode_tile(found, |node| WHOLE.read(node)).expect("complete subtrees only");
            prop_assert_eq!(&bytes, &expected.read_data(&Stored(&WHOLE)).expect("complete subtrees only"));
        }
    }

    #[test]
    fn a_node_is_in_the_tile_another_implementation_looks_in(level in 0u8..16, index in 0u64..1 << 20) {
        let expected = tlog_tiles::tile::Tile::from_index(8, tlog::stored_hash_index(level, index));
        let found = tile_of(Node { level, index });
        prop_assert_eq!((found.level, found.index), (expected.level(), expected.level_index()));
        prop_assert_eq!(found.hashes.end as u32, expected.width());
    }

    #[test]
    fn notes_we_sign_are_read_by_another_implementation(text in "(([^\\pC]|\u{7f}){0,40}\n){1,4}", seed: u8) {
        let origin = name("oracle.example/log");
        let vkey = Vkey::of(origin.clone(), brick_tlog::note::Algorithm::Ed25519, &key(seed));
        let line = sign_note(&text, &origin, &key(seed));
        let note = Note { text: text.clone(), signatures: vec![line] };
        let read = signed_note::Note::from_bytes(&note.to_bytes()).expect("a note");
        prop_assert_eq!(read.text(), text.as_bytes());
        let verifier = StandardVerifier::new(&vkey.to_string()).expect("a key");
        prop_assert!(read.verify(&VerifierList::new(vec![Box::new(verifier)])).is_ok());
        let again = Note::parse(&read.to_bytes()).expect("a note");
        prop_assert_eq!(again, note);
    }

    #[test]
    fn notes_that_another_implementation_signs_are_read(text in "([ -~]{0,40}\n){1,4}", seed: u8) {
        let origin = name("oracle.example/log");
        let vkey = Vkey::of(origin, brick_tlog::note::Algorithm::Ed25519, &key(seed));
        let secret = brick_tlog::base64::encode([&[1], [seed; 32].as_slice()].concat());
        let signer = StandardSigner::new(&format!("PRIVATE+KEY+{}+{}+{secret}", vkey.name(), vkey.id()));
        let signer = signer.expect("a signer key");
        let mut note = signed_note::Note::new(text.as_bytes(), &[]).expect("a text");
        note.add_sigs(&[&signer as &dyn Signer]).expect("a signature");
        let read = Note::parse(&note.to_bytes()).expect("a note");
        prop_assert!(verify_note(&read, &[vkey]).is_ok());
    }
}

#[test]
fn our_checkpoints_are_read_by_another_implementation() {
    for size in [0, 1, 2, 300] {
        let ours: Checkpoint = head(size);
        let note = sign_checkpoint(&ours, &log_key());
        let read =
            tlog_tiles::checkpoint::Checkpoint::from_bytes(note.text.as_bytes()).expect("a checkpoint");
        assert_eq!((read.origin(), read.size()), (log_vkey().name().as_str(), size));
        assert!(*read.hash() == theirs(&ours.root));
        assert_eq!(read.to_bytes(), note.text.as_bytes());
    }
    assert_eq!(tree(1).root(), leaf_hash(&entry(0)));
}
