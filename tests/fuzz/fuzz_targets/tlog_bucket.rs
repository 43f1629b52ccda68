//! The lines of a bucket.

#![no_main]

use brick_tlog::snapshot::Bucket;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(bucket) = Bucket::parse(bytes) {
        assert_eq!(bucket.bytes(), bytes);
    }
});
