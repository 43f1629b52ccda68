//! A lockfile: what is accepted survives being written.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(lock) = brick_schemas::Lockfile::from_bytes(data) {
        let text = lock.to_text();
        let again = brick_schemas::Lockfile::parse(&text).expect("its own text");
        assert_eq!(again.to_text(), text);
    }
});
