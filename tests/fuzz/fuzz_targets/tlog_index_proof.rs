//! An index proof.

#![no_main]

use brick_tlog::Hash;
use brick_tlog::snapshot::IndexProof;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = IndexProof::parse(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
        let name = proof.bucket.files().next().map_or("absent", |(name, _)| name);
        let _ = proof.check(name, proof.bucket.file(name), &Hash::EMPTY_TREE);
    }
});
