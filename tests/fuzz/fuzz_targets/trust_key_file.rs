//! A private-key file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = brick_trust::key::public_of_key_file(data);
});
