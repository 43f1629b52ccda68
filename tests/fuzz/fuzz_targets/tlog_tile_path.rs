//! The path of a tile or a bundle.

#![no_main]

use brick_tlog::tile::{BundleId, TileId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    if let Ok(tile) = TileId::parse(path) {
        assert_eq!(tile.path(), path);
        assert!(tile.nodes().count() <= 256);
    }
    if let Ok(bundle) = BundleId::parse(path) {
        assert_eq!(bundle.path(), path);
    }
});
