use brick_tlog::checkpoint::{MAX_TREE_SIZE, OpenCheckpointError};
use brick_tlog::hash::{ParseHashError, leaf_hash};
use brick_tlog::note::{NoteError, ParseNoteError};
use brick_tlog::proof::{CheckProofError, MAX_EXTRA_BYTES, MAX_PROOF_BYTES, ParseProofError, Proof};
use brick_tlog::tree::{MAX_PROOF_HASHES, ProofError};
use brick_tlog::{Hash, base64};
use proptest::prelude::*;

use crate::support::{
    ORIGIN, check_one_spelling, check_refused, entry, log_vkey, name, other_hash, signed_head, tree, witness,
};

fn proof(index: u64, size: u64) -> Proof {
    let path = tree(size).prove_inclusion(index, size).expect("the leaf is there");
    Proof { extra: Some(entry(index)), index, path, checkpoint: signed_head(size) }
}

#[test]
fn a_proof_shows_its_entry_and_no_other() {
    for size in [1, 2, 7, 100] {
        for index in [0, size / 2, size - 1] {
            let proof = proof(index, size);
            let head = proof.check(&leaf_hash(&entry(index)), &log_vkey()).expect("the entry is there");
            assert_eq!(head.checkpoint().size, size);
            let other = proof.check(&leaf_hash(b"other"), &log_vkey());
            let root = head.checkpoint().root;
            assert_eq!(other, Err(CheckProofError::Inclusion(ProofError::OtherRoot { root })));
        }
    }
}

#[test]
fn a_proof_from_another_log_is_refused() {
    let proof = proof(3, 7);
    let err = NoteError::NoKnownSignature;
    let (_, key, _) = witness(3);
    let other = brick_tlog::note::Vkey::of(name(ORIGIN), brick_tlog::note::Algorithm::Ed25519, &key);
    let expected = OpenCheckpointError::Signature { origin: name(ORIGIN), err };
    assert_eq!(proof.check(&leaf_hash(&entry(3)), &other), Err(CheckProofError::Checkpoint(expected)));
}

#[test]
fn an_index_outside_the_tree_is_refused() {
    let mut proof = proof(3, 7);
    proof.index = 7;
    let expected = CheckProofError::Inclusion(ProofError::NoSuchLeaf { index: 7, size: 7 });
    assert_eq!(proof.check(&leaf_hash(&entry(3)), &log_vkey()), Err(expected));
}

#[test]
fn a_proof_has_one_spelling() {
    let rewrite = |bytes: &[u8]| Some(Proof::parse(bytes).ok()?.to_string().into_bytes());
    for extra in [None, Some(entry(1)), Some(vec![])] {
        check_one_spelling(Proof { extra, ..proof(1, 3) }.to_string().as_bytes(), rewrite);
    }
    check_one_spelling(proof(0, 1).to_string().as_bytes(), rewrite);
}

#[test]
fn broken_proofs_are_refused_by_name() {
    let good = proof(3, 7).to_string();
    let with = |old: &str, new: &str| good.replacen(old, new, 1).into_bytes();
    let first = proof(3, 7).path[0].to_string();
    let hashes = |count| format!("{first}\n").repeat(count);
    let hash_1 = || ParseProofError::Hash { line: 1, err: ParseHashError::Base64 };
    let extra = |bytes| base64::encode(vec![0; bytes]);
    let table = [
        ("nothing", b"".to_vec(), ParseProofError::Version),
        ("another version", with("@v1", "@v2"), ParseProofError::Version),
        ("no line end", b"c2sp.org/tlog-proof@v1".to_vec(), ParseProofError::Version),
        ("a carriage return", with("@v1", "@v1\r"), ParseProofError::Version),
        ("the version alone", b"c2sp.org/tlog-proof@v1\n".to_vec(), ParseProofError::Index),
        ("no index", with("index 3\n", ""), ParseProofError::Index),
        ("an unfinished index", b"c2sp.org/tlog-proof@v1\nindex 3".to_vec(), ParseProofError::Index),
        ("an index with a zero", with("index 3", "index 03"), ParseProofError::Index),
        ("an index with a sign", with("index 3", "index +3"), ParseProofError::Index),
        ("two spaces", with("index 3", "index  3"), ParseProofError::Index),
        ("an index too large", with("index 3", &format!("index {MAX_TREE_SIZE}")), ParseProofError::Index),
        ("the extra line twice", with("index", "extra AAAA\nindex"), ParseProofError::Index),
        ("extra after the index", with("index 3\n", "index 3\nextra AAAA\n"), hash_1()),
        ("extra that is not base64", with("extra ", "extra !"), ParseProofError::Extra),
        (
            "extra a byte too long",
            with("extra ", &format!("extra {}\nextra ", extra(MAX_EXTRA_BYTES + 1))),
            ParseProofError::ExtraTooLong,
        ),
        (
            "extra far too long",
            with("extra ", &format!("extra {}\nextra ", extra(MAX_EXTRA_BYTES * 2))),
            ParseProofError::ExtraTooLong,
        ),
        ("a short hash", with(&first, &first[4..]), hash_1()),
        ("a hash in hex", with(&first, &other_hash().to_hex()), hash_1()),
        ("a space after a hash", with(&first, &format!("{first} ")), hash_1()),
        (
            "too many hashes",
            with(&first, hashes(MAX_PROOF_HASHES).trim_end()),
            ParseProofError::TooManyHashes,
        ),
        ("no checkpoint", good.split_once("\n\n").expect("a gap").0.into(), ParseProofError::NoCheckpoint),
        (
            "nothing after the gap",
            format!("{}\n\n", good.split_once("\n\n").expect("a gap").0).into(),
            ParseProofError::Checkpoint(ParseNoteError::NoSignaturePart),
        ),
        (
            "a checkpoint cut off",
            good.trim_end().into(),
            ParseProofError::Checkpoint(ParseNoteError::SignatureLine { line: 1 }),
        ),
        ("bytes that are not UTF-8", [good.as_bytes(), b"\xff"].concat(), ParseProofError::NotUtf8),
        ("a byte too many", vec![b'a'; MAX_PROOF_BYTES + 1], ParseProofError::TooLong),
    ];
    check_refused(Proof::parse, table);
    assert!(Proof::parse(&with(&first, hashes(MAX_PROOF_HASHES - 2).trim_end())).is_ok());
}

#[test]
fn as_much_extra_as_allowed_is_read() {
    let whole = Proof { extra: Some(vec![7; MAX_EXTRA_BYTES]), ..proof(1, 3) };
    assert_eq!(Proof::parse(whole.to_string().as_bytes()), Ok(whole));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_proof_is_read_as_it_was_written(
        extra: Option<Vec<u8>>,
        index in 0..MAX_TREE_SIZE,
        path in prop::collection::vec(any::<[u8; 32]>(), 0..=MAX_PROOF_HASHES),
    ) {
        let path = path.into_iter().map(Hash::from).collect();
        let proof = Proof { extra, index, path, checkpoint: signed_head(2) };
        prop_assert_eq!(Proof::parse(proof.to_string().as_bytes()), Ok(proof));
    }
}
