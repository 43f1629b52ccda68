//! A snapshot leaf.

#![no_main]

use brick_tlog::snapshot::SnapshotLeaf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(leaf) = SnapshotLeaf::parse(bytes) {
        assert_eq!(leaf.to_string().as_bytes(), bytes);
    }
});
