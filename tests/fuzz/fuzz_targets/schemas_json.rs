//! JSON without double members.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = brick_schemas::json::parse_unique(data);
});
