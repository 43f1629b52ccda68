//! A policy file.

#![no_main]

use brick_tlog::policy::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(policy) = Policy::parse(bytes) {
        let written = policy.to_string();
        assert_eq!(Policy::parse(written.as_bytes()), Ok(policy.clone()));
        policy.is_met(|_| true);
    }
});
