//! Proofs of inclusion and consistency, of any sizes and hashes, and the nodes they would need.

#![no_main]

use brick_tlog::Hash;
use brick_tlog::tree::{check_consistency, check_inclusion, consistency_nodes, inclusion_nodes, root_nodes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, u64, [u8; 32], [u8; 32], Vec<[u8; 32]>)| {
    let (first, second, left, right, path) = input;
    let (left, right) = (Hash::from(left), Hash::from(right));
    let path: Vec<Hash> = path.into_iter().map(Hash::from).collect();
    let _ = check_inclusion(first, second, &left, &path, &right);
    let _ = check_consistency(first, second, &left, &right, &path);
    let _ = inclusion_nodes(first, second);
    let _ = consistency_nodes(first, second);
    let _ = root_nodes(first);
});
