//! `registry.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ =
        brick_schemas::registry_config::RegistryConfig::from_bytes(data, &std::collections::BTreeMap::new());
});
