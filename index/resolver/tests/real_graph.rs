//! The real graph of 60 popular packages with all they need resolves, and to what cargo chooses.

mod common;

use std::time::Instant;

use brick_schemas::{FullName, Version};
use common::graph::{brick, graph, requirements, version};

#[test]
fn the_real_graph_resolves_the_same_at_once_and_by_fetching() {
    let Some(world) = graph() else { return };
    let universe = world.universe();
    let started = Instant::now();
    let resolution = brick_resolver::resolve(&world.problem(&universe)).unwrap();
    println!("{} bricks in {:?}", resolution.bricks.len(), started.elapsed());
    // As many as cargo locks on this graph.
    assert_eq!(resolution.bricks.len(), 1_493);

    let started = Instant::now();
    let (fetched, rounds) = world.resolve_fetching();
    println!("{rounds} rounds of fetching in {:?}", started.elapsed());
    assert_eq!(fetched.unwrap(), resolution);

    let mut locked = world.clone();
    locked.locked = resolution.locked();
    assert_eq!(locked.resolve().unwrap(), resolution);
}

#[test]
fn an_unmeetable_root_of_the_real_graph_gets_a_readable_no() {
    let Some(mut world) = graph() else { return };
    let mut more = requirements(&serde_json::json!([{"name": "serde", "req": "=1.0.100"}]));
    world.requires.append(&mut more);
    let started = Instant::now();
    let error = world.resolve().unwrap_err().to_string();
    println!("after {:?}:\n{error}", started.elapsed());
    assert!(error.contains("`crate.example/serde` =1.0.100"), "{error}");
    assert!(error.lines().count() <= brick_resolver::MAX_EXPLANATION_LINES);
}

/// Compares with cargo's own answer, name by name and version by version. To have that answer:
///
/// ```text
/// xz -dk cargo60.jsonl.xz && python3 jsonl_to_cargo_index.py cargo60.jsonl cargo60.roots.json OUT http://127.0.0.1:8765
/// python3 -m http.server -d OUT/www -b 127.0.0.1 8765 &
/// (cd OUT/manifest && CARGO_HOME=OUT/cargo-home cargo generate-lockfile)
/// GRAPH_CARGO_LOCK=OUT/manifest/Cargo.lock cargo test -p brick-resolver --test real_graph -- --ignored
/// ```
#[test]
#[ignore = "needs cargo's lockfile of the same graph: see the comment"]
fn the_real_graph_locks_what_cargo_locks() {
    let Some(world) = graph() else { return };
    let lock = std::env::var("GRAPH_CARGO_LOCK").expect("GRAPH_CARGO_LOCK names cargo's lockfile");
    let lock = std::fs::read_to_string(lock).unwrap();
    let field = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let mut theirs: Vec<(FullName, Version)> = lock
        .split("[[package]]")
        .filter(|block| field(block, "source").is_some())
        .map(|block| (brick(&field(block, "name").unwrap()), version(&field(block, "version").unwrap())))
        .collect();
    theirs.sort();
    let ours = world.resolve().unwrap();
    let ours: Vec<_> = ours.bricks.into_iter().map(|brick| (brick.line.name, brick.line.vers)).collect();
    assert_eq!(ours, theirs);
}
