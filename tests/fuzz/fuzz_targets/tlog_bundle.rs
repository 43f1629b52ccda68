//! A bundle of entries.

#![no_main]

use brick_tlog::tile::{encode_bundle, parse_bundle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (count, bytes) = input;
    if let Ok(entries) = parse_bundle(bytes, count.into()) {
        assert_eq!(encode_bundle(&entries).as_deref(), Ok(bytes));
    }
});
