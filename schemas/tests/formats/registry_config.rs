//! A registry's set-up comes from its file, from the environment, or from both.

use std::collections::BTreeMap;
use std::path::Path;

use brick_schemas::RegistryConfig;
use brick_schemas::registry_config::{
    ClientBounds, DEFAULT_SYNC_INTERVAL_S, RegistryConfigError, RegistryLimits,
};

use crate::files::path;

fn fixture(name: &str) -> String {
    std::fs::read_to_string(path("fixtures/good").join(name)).unwrap()
}

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| (format!("BRICKYARD_{name}"), value.to_string())).collect()
}

const ALL: &[(&str, &str)] = &[
    ("DATA", "/data"),
    ("LISTEN", "0.0.0.0:80"),
    ("URLS", "https://a.example, http://127.0.0.1:1"),
    ("REGISTRY", "registry.example.org"),
    ("OPERATOR", "example.org"),
    ("TITLE", "Bricks"),
    ("SYNC_INTERVAL_S", "60"),
    ("READ_CACHE_BYTES", "0"),
    ("DATABASE_CACHE_BYTES", "1048576"),
    ("CATCH_UP_ANSWERS", "2"),
    ("KEYS_LOG", "/keys/log"),
    ("KEYS_WITNESS", "/keys/witness"),
    ("PEERS", "https://b.example https://b.example/git, /mnt/stick/commons.git"),
    ("LIMITS_ARCHIVE_BYTES", "1000"),
    ("LIMITS_UNPACKED_BYTES", "2000"),
    ("LIMITS_FILE_COUNT", "3"),
    ("LIMITS_BLOB_BYTES", "4000"),
    ("LIMITS_README_BYTES", "5000"),
    ("LIMITS_RELEASE_COUNT", "6"),
    ("LIMITS_BRICK_COUNT", "7"),
    ("CATCH_UP_ANSWERS", "2"),
    ("CLIENTS_CONNECTIONS", "8"),
    ("CLIENTS_REQUESTS", "9"),
    ("CLIENTS_UPLOADS", "10"),
    ("CLIENTS_GIT", "11"),
    ("CLIENTS_BUSY_CONNECTIONS", "12"),
    ("CLIENTS_PROXIES", "127.0.0.1, ::ffff:10.0.0.1, 2001:db8::1"),
];

#[test]
fn what_is_absent_has_a_default() {
    let config = RegistryConfig::parse(&fixture("registry.smallest.toml"), &BTreeMap::new()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:4873");
    assert!(config.listen.ip().is_loopback(), "nobody outside is served unless the operator says so");
    assert_eq!(config.title, "registry.northshire.gov.uk");
    assert_eq!(config.sync_interval_s, DEFAULT_SYNC_INTERVAL_S);
    assert_eq!(config.limits, RegistryLimits::default());
    assert_eq!(config.clients, ClientBounds::default());
    assert!(config.clients.proxies.is_empty(), "nobody is believed to speak for others");
    assert!(config.peers.is_empty() && config.urls.is_empty());
}

#[test]
fn the_environment_alone_is_enough() {
    let config = RegistryConfig::parse(RegistryConfig::EMPTY, &environment(ALL)).unwrap();
    assert_eq!(config.data, Path::new("/data"));
    assert_eq!(config.listen.port(), 80);
    assert_eq!(config.urls.len(), 2);
    assert_eq!(config.keys.witness, Path::new("/keys/witness"));
    assert_eq!(config.peers.len(), 2);
    assert_eq!(config.peers[0].url.as_ref().unwrap().as_str(), "https://b.example");
    assert_eq!(
        (config.peers[1].url.as_ref(), config.peers[1].git.as_str()),
        (None, "/mnt/stick/commons.git")
    );
    let archive = config.limits.archive();
    assert_eq!((archive.archive_bytes, archive.unpacked_bytes, archive.file_count), (1_000, 2_000, 3));
    assert_eq!(config.limits.brick_count, 7);
    let clients = &config.clients;
    assert_eq!((clients.connections, clients.requests, clients.uploads, clients.git), (8, 9, 10, 11));
    assert_eq!(clients.busy_connections, 12);
    assert_eq!(clients.proxies[1].to_string(), "10.0.0.1", "as connections from it are seen");
}

#[test]
fn every_variable_counts_more_than_the_file() {
    let text = fixture("registry.everything.toml");
    let alone = RegistryConfig::parse(&text, &BTreeMap::new()).unwrap();
    for variable in ALL {
        let both = RegistryConfig::parse(&text, &environment(&[*variable])).unwrap();
        assert_ne!(both, alone, "{}", variable.0);
    }
    let all = RegistryConfig::parse(&text, &environment(ALL)).unwrap();
    assert_eq!(all, RegistryConfig::parse(RegistryConfig::EMPTY, &environment(ALL)).unwrap());
}

#[test]
fn a_wrong_variable_is_named_and_a_strange_one_is_not_ours() {
    let text = fixture("registry.smallest.toml");
    for (name, value, says) in [
        ("LISTEN", "localhost", "address"),
        ("URLS", "https://a.example,ftp://b.example", "https://"),
        ("REGISTRY", "Registry", "lower-case"),
        ("TITLE", "a\u{202e}b", "U+202E"),
        ("SYNC_INTERVAL_S", "0", "from 1 to 86400"),
        ("SYNC_INTERVAL_S", "ten", "from 1 to 86400"),
        ("READ_CACHE_BYTES", "64M", "from 0 to 1099511627776"),
        ("DATABASE_CACHE_BYTES", "0", "from 1048576 to 1099511627776"),
        ("KEYS_LOG", "a\u{7}b", "U+0007"),
        ("PEERS", "--upload-pack=x", "option"),
        ("PEERS", "https://b.example ext::sh", "helper"),
        ("PEERS", "https://b.example ext::sh -c [evil]", "helper"),
        ("LIMITS_ARCHIVE_BYTES", "16777217", "from 1 to 16777216"),
        ("CLIENTS_REQUESTS", "0", "from 1 to 65536"),
        ("CLIENTS_PROXIES", "127.0.0.1,proxy.example", "address"),
    ] {
        match RegistryConfig::parse(&text, &environment(&[(name, value)])) {
            Err(RegistryConfigError::Environment { variable, why }) => {
                assert_eq!(variable, format!("BRICKYARD_{name}"));
                assert!(why.contains(says), "{name}: {why}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let loopback = environment(&[("PEERS", "https://[::1]:1/git, git@[::1]:commons.git")]);
    assert_eq!(RegistryConfig::parse(&text, &loopback).unwrap().peers.len(), 2);
    let strange = environment(&[("SERVICE_HOST", "10.0.0.1"), ("LISTEN", "")]);
    RegistryConfig::parse(&text, &strange).unwrap();
}

#[test]
fn what_neither_gives_is_missing_from_the_file() {
    let only_log = environment(&[("DATA", "/data"), ("REGISTRY", "a.example"), ("KEYS_LOG", "/keys/log")]);
    let Err(RegistryConfigError::File(error)) = RegistryConfig::parse(RegistryConfig::EMPTY, &only_log)
    else {
        panic!("it was accepted")
    };
    let what: Vec<&str> = error.problems().iter().map(|p| p.what.as_str()).collect();
    assert_eq!(what, ["`operator` is missing", "`keys` is missing"]);
}
