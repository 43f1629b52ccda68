//! The log that transparency-dev/tessera publishes for its own tests, reproduced byte for byte.

use brick_tlog::Hash;
use brick_tlog::checkpoint::{Checkpoint, open_checkpoint, sign_checkpoint};
use brick_tlog::hash::leaf_hash;
use brick_tlog::note::{Algorithm, Vkey};
use brick_tlog::proof::Proof;
use brick_tlog::tile::{bundles, encode_bundle, encode_tile, parse_bundle, parse_tile, tiles};
use brick_tlog::tree::{Frontier, Tree, check_consistency, check_inclusion};
use brick_tlog::witness::log_id;

use crate::support::{vector, x_mod_signer};

const VKEY: &str = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
const SIGNER: &str =
    "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg";
const ENTRIES: [&str; 15] = [
    "one", "two", "three", "four", "five", "six", "seven", "eit", "nain", "ten", "ileven", "twelf",
    "threeten", "fourten", "fivten",
];

fn published_tree() -> Tree {
    ENTRIES.iter().map(|entry| leaf_hash(entry.as_bytes())).collect()
}

fn hashes(texts: &[&str]) -> Vec<Hash> {
    texts.iter().map(|text| Hash::from_base64(text).expect("a published hash")).collect()
}

#[test]
fn every_published_checkpoint_is_reproduced() {
    let (origin, key) = x_mod_signer(SIGNER);
    let vkey = Vkey::parse(VKEY).expect("a published key");
    assert_eq!(Vkey::of(origin.clone(), Algorithm::Ed25519, &key), vkey);
    let tree = published_tree();
    for size in 0..=15 {
        let Some(published) = vector(&format!("tessera-log/checkpoint.{size}")) else { return };
        let root = tree.root_at(size).expect("not larger than the tree");
        let ours = Checkpoint { origin: origin.clone(), size, root };
        assert_eq!(sign_checkpoint(&ours, &key).to_bytes(), published, "size {size}");
        let opened = open_checkpoint(&published, &vkey).expect("it is signed");
        assert_eq!((opened.checkpoint(), opened.note().to_bytes()), (&ours, published));
    }
    assert_eq!(vector("tessera-log/checkpoint"), vector("tessera-log/checkpoint.15"));
}

#[test]
fn every_published_tile_and_bundle_is_reproduced() {
    let tree = published_tree();
    for size in 1..=15 {
        let [tile] = tiles(size).collect::<Vec<_>>()[..] else { panic!("one tile at size {size}") };
        let [bundle] = bundles(size).collect::<Vec<_>>()[..] else { panic!("one bundle at size {size}") };
        let Some(published) = vector(&format!("tessera-log/{tile}")) else { return };
        assert_eq!(encode_tile(tile, |node| tree.read(node)), Ok(published.clone()), "{tile}");
        let leaves = ENTRIES[..size as usize].iter().map(|entry| leaf_hash(entry.as_bytes()));
        assert_eq!(parse_tile(&published), Ok(leaves.collect()));

        let published = vector(&format!("tessera-log/{bundle}")).expect("as the tile");
        assert_eq!(encode_bundle(&ENTRIES[..size as usize]), Ok(published.clone()), "{bundle}");
        let entries: Vec<&[u8]> = ENTRIES[..size as usize].iter().map(|entry| entry.as_bytes()).collect();
        assert_eq!(parse_bundle(&published, size as usize), Ok(entries));
    }
}

#[test]
fn a_bundle_begins_as_published() {
    let bundle = encode_bundle(&ENTRIES).expect("15 short entries");
    assert!(bundle.starts_with(b"\0\x03one\0\x03two\0\x05three"));
}

#[test]
fn the_roots_are_those_published() {
    let table = [
        (0, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        (1, "0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek="),
        (2, "T1X2GdkhUjV3iyufF9b0kVsWFxIU0VI4EpNml2Teci4="),
        (4, "zY1lN35vrXYAPixXSd59LsU29xUJtuW4o2dNNg5Y2Co="),
        (5, "gy5gl3aksFyiCO95a/1vLXz88A3dRq+0l9Sxte8ZqZQ="),
        (8, "bC+VwvrJbalNVjfkdI8kUgs7mJoXrqiXCE7bgnD28pY="),
        (15, "rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs="),
    ];
    let tree = published_tree();
    let mut frontier = Frontier::new();
    for (size, root) in table {
        while frontier.size() < size {
            frontier.push(leaf_hash(ENTRIES[frontier.size() as usize].as_bytes()));
        }
        assert_eq!(tree.root_at(size).map(|root| root.to_base64()).as_deref(), Ok(root), "size {size}");
        assert_eq!(frontier.root().to_base64(), root, "size {size}");
    }
}

#[test]
fn the_inclusion_proof_is_that_published() {
    let tree = published_tree();
    let path = hashes(&[
        "Zx8UbF5HHooag6PCFM5LqQe486WIjRTMjNPOdbsS75Q=",
        "T1X2GdkhUjV3iyufF9b0kVsWFxIU0VI4EpNml2Teci4=",
        "g0ZoeYWtIV8Q8i+4CmgqPnBvH2il107lyCgTQsyB7H4=",
        "5jLpqTgjsBDSEX6SgZiRnbTMdTuRd8bQ5tSsAOxe0Ks=",
    ]);
    assert_eq!(tree.prove_inclusion(3, 15), Ok(path.clone()));
    assert_eq!(check_inclusion(3, 15, &leaf_hash(b"four"), &path, &tree.root()), Ok(()));
}

#[test]
fn the_consistency_proofs_are_those_published() {
    let tree = published_tree();
    let last = "5jLpqTgjsBDSEX6SgZiRnbTMdTuRd8bQ5tSsAOxe0Ks=";
    let five = [
        "zMKa4OAqd7D0V4wawXST15z0JiEEkprIBPkfxOesWvA=",
        "yiM+eia4w1wsk/Ukx7kF56IQVkDW3MWUaUz/VtJu+yU=",
        "nk9gCR+floFqznAPtqjjcnnV64dge2jQB95D5t164Hg=",
        "zY1lN35vrXYAPixXSd59LsU29xUJtuW4o2dNNg5Y2Co=",
        last,
    ];
    let table: [(u64, u64, &[&str]); 3] =
        [(5, 15, &five), (8, 15, &[last]), (4, 8, &["g0ZoeYWtIV8Q8i+4CmgqPnBvH2il107lyCgTQsyB7H4="])];
    for (old, new, published) in table {
        let path = hashes(published);
        assert_eq!(tree.prove_consistency(old, new), Ok(path.clone()), "{old} to {new}");
        let root = |size| tree.root_at(size).expect("not larger than the tree");
        assert_eq!(check_consistency(old, new, &root(old), &root(new), &path), Ok(()), "{old} to {new}");
    }
}

#[test]
fn the_log_is_served_under_the_hash_of_its_origin() {
    let origin = Vkey::parse(VKEY).expect("a published key").name().clone();
    assert_eq!(log_id(&origin), "6994c64086cc171ca46c749d036fd313bac575a8b2b2a2b9874ef097775714d5");
}

#[test]
fn a_proof_file_convinces_of_a_published_entry() {
    let (origin, key) = x_mod_signer(SIGNER);
    let tree = published_tree();
    let head = Checkpoint { origin, size: 15, root: tree.root() };
    let path = tree.prove_inclusion(0, 15).expect("there is a leaf 0");
    let proof =
        Proof { extra: Some(b"one".to_vec()), index: 0, path, checkpoint: sign_checkpoint(&head, &key) };
    let read = Proof::parse(proof.to_string().as_bytes()).expect("as it was written");
    let vkey = Vkey::parse(VKEY).expect("a published key");
    assert_eq!(read.check(&leaf_hash(b"one"), &vkey).expect("it is there").checkpoint(), &head);
    assert!(read.check(&leaf_hash(b"two"), &vkey).is_err());
}
