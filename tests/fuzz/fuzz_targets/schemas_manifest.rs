//! `brick.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = brick_schemas::Manifest::from_bytes(data);
});
