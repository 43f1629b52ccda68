//! An entry.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = brick_trust::Entry::parse(data);
});
