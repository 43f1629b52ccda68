//! A witness's answers.

#![no_main]

use brick_tlog::witness::{encode_response, encode_size, parse_response, parse_size};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(lines) = parse_response(bytes) {
        assert_eq!(encode_response(&lines).as_bytes(), bytes);
    }
    if let Some(size) = parse_size(bytes) {
        assert_eq!(encode_size(size).as_bytes(), bytes);
    }
});
