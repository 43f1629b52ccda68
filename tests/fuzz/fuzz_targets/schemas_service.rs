//! `service.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = brick_schemas::ServiceManifest::from_bytes(data);
});
