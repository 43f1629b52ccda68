//! A verifier key.

#![no_main]

use brick_tlog::note::Vkey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(key) = Vkey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
});
