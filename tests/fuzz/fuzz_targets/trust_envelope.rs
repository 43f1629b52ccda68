//! An envelope: what is accepted has one encoding.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = brick_trust::Envelope::parse(data) {
        assert_eq!(envelope.to_bytes(), data);
    }
});
