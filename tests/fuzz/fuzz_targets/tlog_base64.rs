//! Base64.

#![no_main]

use brick_tlog::base64::{decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(bytes) = decode(text) {
        assert_eq!(encode(bytes), text);
    }
});
