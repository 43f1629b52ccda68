//! A tile, in which any node is looked for.

#![no_main]

use brick_tlog::tile::{hash_in_tile, parse_tile, tile_for, tile_of};
use brick_tlog::tree::Node;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u64, &[u8])| {
    let (level, index, bytes) = input;
    let node = Node { level, index };
    if let Ok(hashes) = parse_tile(bytes) {
        assert_eq!(hashes.len() * 32, bytes.len());
    }
    let _ = hash_in_tile(node, bytes);
    if let Some(tile) = tile_for(node, index.rotate_left(level.into())) {
        assert!(usize::from(tile.width()) >= tile_of(node).hashes.end);
    }
});
