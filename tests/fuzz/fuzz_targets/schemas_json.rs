//! JSON without double members.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let parsed = brick_schemas::json::parse_unique(data).map(drop).map_err(|err| err.to_string());
    assert_eq!(brick_schemas::json::demand_unique(data).map_err(|err| err.to_string()), parsed);
});
