//! An add-checkpoint request, and what a witness decides.

#![no_main]

use brick_tlog::note::Vkey;
use brick_tlog::witness::{AddCheckpoint, Cosigned, decide};
use libfuzzer_sys::fuzz_target;

/// The log that signed the seeds.
const LOG: &str = "northshire.example/log+cc535543+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = AddCheckpoint::parse(bytes) {
        assert_eq!(request.to_string().as_bytes(), bytes);
        let log = Vkey::parse(LOG).expect("a verifier key");
        decide(&request, Some(&log), Cosigned::NOTHING);
    }
});
