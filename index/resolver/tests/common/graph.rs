//! The real graph of 60 popular packages with all they need, as bricks.
//!
//! A package `name` becomes the brick `crate.example/name`: capitals in lower case, `_` as `-`, which keeps the names of
//! that registry apart (it refuses names that differ only so; it is checked here). A version loses its build metadata. A
//! requirement stays as it is: a brick's means what a package's means.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use brick_schemas::predicate::release::Dependency;
use brick_schemas::{FullName, Requirement, Version};

use super::{World, release};

const GRAPHS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/graphs");

pub fn brick(package: &str) -> FullName {
    FullName::parse(&format!("crate.example/{}", package.to_lowercase().replace('_', "-"))).unwrap()
}

pub fn version(text: &str) -> Version {
    Version::parse(text.split_once('+').map_or(text, |(version, _)| version)).unwrap()
}

pub fn requirements(list: &serde_json::Value) -> Vec<Dependency> {
    let one = |dep: &serde_json::Value| Dependency {
        name: brick(dep["name"].as_str().unwrap()),
        req: Requirement::parse(dep["req"].as_str().unwrap()).unwrap(),
        features: Vec::new(),
        optional: false,
        default_features: true,
    };
    list.as_array().unwrap().iter().map(one).collect()
}

/// The graph, or `None` with a printed reason when it is not beside the checkout.
pub fn graph() -> Option<World> {
    let graphs = PathBuf::from(GRAPHS);
    let (packed, roots) = (graphs.join("cargo60.jsonl.xz"), graphs.join("cargo60.roots.json"));
    if !packed.exists() || !roots.exists() {
        println!("skipped: no graph in {}", graphs.display());
        return None;
    }
    let Ok(unpacked) = Command::new("xz").arg("-dc").arg(&packed).output() else {
        println!("skipped: the `xz` program is not here");
        return None;
    };
    assert!(unpacked.status.success());
    let mut world = World::default();
    let mut packages: BTreeMap<FullName, String> = BTreeMap::new();
    for line in unpacked.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap();
        let package = line["name"].as_str().unwrap();
        let name = brick(package);
        let known = packages.entry(name.clone()).or_insert_with(|| package.to_owned());
        assert_eq!(known, package, "two packages would be one brick");
        let release =
            release(name.clone(), version(line["version"].as_str().unwrap()), requirements(&line["deps"]));
        world.bricks.entry(name).or_default().get_or_insert_default().push(release);
    }
    let roots: serde_json::Value = serde_json::from_slice(&std::fs::read(roots).unwrap()).unwrap();
    world.requires = requirements(&roots["deps"]);
    Some(world)
}
