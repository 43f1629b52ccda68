//! A lockfile is written one way and read back the same.

use std::collections::BTreeMap;

use brick_schemas::lockfile::{Commons, Head, LockedBrick, Lockfile};
use brick_schemas::{Digest, FeatureName, FullName, Origin, Version};
use proptest::prelude::*;

use crate::files::{fixtures, path};

fn commons() -> Commons {
    Commons { origin: Origin::parse("commons.example/root").unwrap(), root_sha256: Digest::of(b"root") }
}

#[test]
fn the_committed_files_are_what_is_written_byte_for_byte() {
    for (name, bytes) in fixtures("good").into_iter().filter(|(name, _)| name.starts_with("lock.")) {
        let lockfile = Lockfile::from_bytes(&bytes).unwrap();
        assert_eq!(lockfile.to_text().as_bytes(), bytes, "{name}");
    }
}

#[test]
fn a_brick_is_found_by_name_and_version() {
    let text = std::fs::read_to_string(path("fixtures/good/lock.two-bricks.toml")).unwrap();
    let lockfile = Lockfile::parse(&text).unwrap();
    let name = FullName::parse("southshire.gov.uk/pay").unwrap();
    assert_eq!(lockfile.brick(&name, &Version::parse("1.2.3").unwrap()).unwrap().entry, 17);
    assert!(lockfile.brick(&name, &Version::parse("1.2.4").unwrap()).is_none());
}

#[test]
fn any_order_gives_the_same_file() {
    let brick = |name: &str, version: &str| LockedBrick {
        name: FullName::parse(name).unwrap(),
        version: Version::parse(version).unwrap(),
        cksum: Digest::of(name.as_bytes()),
        entry: 1,
        features: ["b", "a", "b"].map(|f| FeatureName::parse(f).unwrap()).to_vec(),
        dependencies: Vec::new(),
    };
    let head = |origin: &str| Head { origin: Origin::parse(origin).unwrap(), size: 1, root: Digest::of(b"") };
    let one = Lockfile::new(
        commons(),
        vec![head("b.example/log"), head("a.example/log")],
        vec![brick("b.example/x", "1.0.0"), brick("a.example/x", "10.0.0"), brick("a.example/x", "9.0.0")],
    );
    let two = Lockfile::new(
        commons(),
        vec![head("a.example/log"), head("b.example/log")],
        vec![brick("a.example/x", "9.0.0"), brick("b.example/x", "1.0.0"), brick("a.example/x", "10.0.0")],
    );
    assert_eq!(one.to_text(), two.to_text());
    assert_eq!(Lockfile::parse(&one.to_text()).unwrap(), one);
    let versions: Vec<String> = one.bricks.iter().map(|b| b.version.to_string()).collect();
    assert_eq!(versions, ["9.0.0", "10.0.0", "1.0.0"], "by version, not by text");
}

fn name() -> impl Strategy<Value = FullName> {
    "[a-z]{1,4}\\.(example|gov\\.uk)/[a-z][a-z0-9]{1,3}(-x)?"
        .prop_filter_map("a Windows device", |text| FullName::parse(&text).ok())
}

fn version() -> impl Strategy<Value = Version> {
    "(0|[1-9][0-9]?)\\.(0|[1-9])\\.(0|[1-9])(-(alpha|rc\\.[1-9]))?"
        .prop_map(|text| Version::parse(&text).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_written_is_read_and_written_again_the_same(
        bricks in proptest::collection::btree_map((name(), version()), (any::<u32>(), proptest::collection::btree_set("[a-z0-9][a-z0-9_-]{0,5}", 0..4)), 0..20),
        heads in proptest::collection::btree_map("[a-z]{1,5}\\.example/log", any::<u32>(), 0..5),
    ) {
        let all: Vec<(FullName, Version)> = bricks.keys().cloned().collect();
        let bricks: Vec<LockedBrick> = bricks
            .into_iter()
            .map(|((name, version), (entry, features))| LockedBrick {
                cksum: Digest::of(name.to_string().as_bytes()),
                dependencies: all.iter().filter(|(other, _)| *other != name).take(entry as usize % 4).cloned().collect(),
                features: features.iter().map(|f| FeatureName::parse(f).unwrap()).collect(),
                entry: entry.into(),
                name,
                version,
            })
            .rev()
            .collect();
        let heads: BTreeMap<String, u32> = heads;
        let heads = heads
            .into_iter()
            .map(|(origin, size)| Head { origin: Origin::parse(&origin).unwrap(), size: size.into(), root: Digest::of(b"") })
            .collect();
        let lockfile = Lockfile::new(commons(), heads, bricks);
        let text = lockfile.to_text();
        let again = Lockfile::parse(&text).unwrap();
        prop_assert_eq!(&again, &lockfile);
        prop_assert_eq!(again.to_text(), text);
    }
}
