//! Do the rooms lie as the plan says: which crate knows which, what the pure ones leave outside, what lies on the top shelf?

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use brick_tests::corpus::skipped;
use brick_tests::git::Git;
use brick_tests::repository;
use serde_json::Value;

/// Each crate, where it lies, and which of ours it may know.
const EDGES: [(&str, &str, &[&str]); 10] = [
    ("brick-schemas", "schemas", &[]),
    ("brick-tlog", "index/tlog", &[]),
    ("brick-trust", "index/trust", &["brick-schemas", "brick-tlog"]),
    ("brick-resolver", "index/resolver", &["brick-schemas"]),
    ("brick-index", "index", &["brick-resolver", "brick-schemas", "brick-tlog", "brick-trust"]),
    ("brick-client", "registry-server/client", &["brick-schemas", "brick-tlog"]),
    ("brick-store", "registry-server/store", &["brick-schemas", "brick-tlog"]),
    (
        "brickyard",
        "registry-server",
        &[
            "brick-client",
            "brick-index",
            "brick-resolver",
            "brick-schemas",
            "brick-store",
            "brick-tlog",
            "brick-trust",
        ],
    ),
    (
        "brick-cli",
        "cli",
        // `brickyard` for `quickstart` alone: see `only_quickstart_runs_a_registry`.
        &[
            "brick-client",
            "brick-index",
            "brick-resolver",
            "brick-schemas",
            "brick-tlog",
            "brick-trust",
            "brickyard",
        ],
    ),
    (
        "brick-tests",
        "tests",
        &[
            "brick-cli",
            "brick-client",
            "brick-index",
            "brick-resolver",
            "brick-schemas",
            "brick-store",
            "brick-tlog",
            "brick-trust",
            "brickyard",
        ],
    ),
];

/// The crates without files, network, clock, environment or randomness.
const PURE: [&str; 4] = ["brick-schemas", "brick-tlog", "brick-trust", "brick-resolver"];

/// What a pure crate must not pull in, however far down: run-times, servers, clients, databases, repositories.
const OUTSIDE: [&str; 22] = [
    "async-std",
    "axum",
    "brick-client",
    "brick-index",
    "brick-store",
    "brickyard",
    "curl",
    "diesel",
    "git2",
    "gix",
    "hyper",
    "libgit2-sys",
    "libsqlite3-sys",
    "mio",
    "object_store",
    "reqwest",
    "rusqlite",
    "rustls",
    "smol",
    "sqlx",
    "tokio",
    "ureq",
];

/// What lies at the top of the repository.
const TOP: [&str; 18] = [
    ".cargo",
    ".ci",
    ".gitattributes",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "cli",
    "clippy.toml",
    "deny.toml",
    "docs",
    "index",
    "registry-server",
    "rustfmt.toml",
    "schemas",
    "tests",
];
/// Those of [`TOP`] that may be missing.
const OPTIONAL: [&str; 2] = [".gitattributes", "clippy.toml"];

/// Words in source that reach for the outside world.
const REACHES: [&str; 13] = [
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "getrandom",
    "rand::",
    "std::env::",
    "std::fs",
    "std::net::Tcp",
    "std::net::ToSocketAddrs",
    "std::net::Udp",
    "std::process::",
    "std::thread",
];

/// The graph of crates as cargo resolves it for this platform: package id to (name, ids of normal dependencies).
struct Graph {
    workspace: BTreeMap<String, Value>,
    packages: BTreeMap<String, (String, Vec<String>)>,
}

impl Graph {
    fn read() -> Self {
        let host = {
            let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
            let output = Command::new(rustc).arg("-vV").output().expect("rustc can be run");
            let text = String::from_utf8(output.stdout).expect("rustc prints text");
            text.lines()
                .find_map(|line| line.strip_prefix("host: "))
                .expect("rustc names its host")
                .to_owned()
        };
        // What was needed to build this test is on the machine, so nothing is asked of the network.
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", &host])
            .current_dir(repository())
            .output()
            .expect("cargo can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
        let ours: BTreeSet<&str> =
            list(&metadata["workspace_members"]).iter().filter_map(Value::as_str).collect();
        let mut names = BTreeMap::new();
        let mut workspace = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let (id, name) = (text(&package["id"]), text(&package["name"]));
            if ours.contains(id.as_str()) {
                workspace.insert(name.clone(), package.clone());
            }
            names.insert(id, name);
        }
        let packages = list(&metadata["resolve"]["nodes"])
            .iter()
            .map(|node| {
                let id = text(&node["id"]);
                let normal = |dep: &&Value| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
                let deps = list(&node["deps"]).iter().filter(normal).map(|dep| text(&dep["pkg"])).collect();
                let name = names[&id].clone();
                (id, (name, deps))
            })
            .collect();
        Self { workspace, packages }
    }

    fn id(&self, name: &str) -> String {
        text(&self.workspace[name]["id"])
    }

    /// The names of our crates that `name` depends on.
    fn edges(&self, name: &str) -> BTreeSet<&str> {
        let (_, deps) = &self.packages[&self.id(name)];
        deps.iter()
            .map(|id| self.packages[id].0.as_str())
            .filter(|name| self.workspace.contains_key(*name))
            .collect()
    }

    /// Every crate that `name` needs, with one way to it, shortest first.
    fn needs(&self, name: &str) -> BTreeMap<&str, String> {
        let mut ways: BTreeMap<&str, String> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([(self.id(name), name.to_owned())]);
        while let Some((id, way)) = queue.pop_front() {
            for dep in &self.packages[&id].1 {
                let dep_name = self.packages[dep].0.as_str();
                if !ways.contains_key(dep_name) {
                    let longer = format!("{way} > {dep_name}");
                    ways.insert(dep_name, longer.clone());
                    queue.push_back((dep.clone(), longer));
                }
            }
        }
        ways
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[test]
fn crates_know_only_the_crates_that_the_plan_allows() {
    let graph = Graph::read();
    let planned: Vec<&str> = EDGES.iter().map(|(name, ..)| *name).collect();
    let actual: BTreeSet<&str> = graph.workspace.keys().map(String::as_str).collect();
    assert_eq!(actual, planned.iter().copied().collect(), "the workspace has the planned crates");
    for (name, folder, allowed) in EDGES {
        let manifest = text(&graph.workspace[name]["manifest_path"]);
        assert_eq!(
            Path::new(&manifest),
            repository().join(folder).join("Cargo.toml"),
            "{name} has its place"
        );
        let beyond: Vec<&str> =
            graph.edges(name).into_iter().filter(|edge| !allowed.contains(edge)).collect();
        assert!(beyond.is_empty(), "{name} knows {beyond:?}, which the plan does not allow");
    }
}

#[test]
fn the_pure_crates_pull_in_nothing_that_reaches_outside() {
    let graph = Graph::read();
    for name in PURE {
        let needs = graph.needs(name);
        assert!(needs.len() > 5, "{name} was looked at");
        let ways: Vec<&String> = OUTSIDE.iter().filter_map(|outside| needs.get(outside)).collect();
        assert!(ways.is_empty(), "{ways:#?}");
    }
    let server = graph.needs("brickyard");
    for outside in ["tokio", "git2", "axum", "sqlx", "reqwest"] {
        assert!(server.contains_key(outside), "the search finds {outside} where it is");
    }
}

#[test]
fn the_pure_crates_take_clock_files_and_chance_as_arguments() {
    let mut found = Vec::new();
    let mut looked_at = 0;
    for (_, folder, _) in EDGES.iter().filter(|(name, ..)| PURE.contains(name)) {
        let source = repository().join(folder).join("src");
        for (path, place) in brick_tests::folder::contents(&source) {
            let brick_tests::folder::Place::File(bytes) = place else { continue };
            // Tests have folders and clocks of their own; they stand in `tests.rs`, or last in a file.
            if !path.ends_with(".rs") || path.ends_with("tests.rs") || path.contains("tests/") {
                continue;
            }
            looked_at += 1;
            let code = String::from_utf8(bytes).expect("source is text");
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                let said = line.trim_start().starts_with("//");
                for reach in REACHES.iter().filter(|reach| !said && line.contains(**reach)) {
                    found.push(format!("{folder}/src/{path}:{}: {reach}", number + 1));
                }
            }
        }
    }
    assert!(looked_at > 50, "the sources were looked at");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_quickstart_runs_a_registry() {
    let mut found = Vec::new();
    for (path, place) in brick_tests::folder::contents(&repository().join("cli/src")) {
        let brick_tests::folder::Place::File(bytes) = place else { continue };
        let is_quickstart = path.starts_with("quickstart") || path.starts_with("commands/quickstart");
        let code = String::from_utf8_lossy(&bytes);
        if !is_quickstart && path.ends_with(".rs") && code.contains("brickyard::") {
            found.push(path);
        }
    }
    assert!(found.is_empty(), "{found:#?} use the server's crate");
}

#[test]
fn every_crate_says_what_it_is_for_and_keeps_the_house_rules() {
    let graph = Graph::read();
    for (name, package) in &graph.workspace {
        assert_eq!(package["license"], "MIT OR Apache-2.0", "{name}");
        assert!(
            package["description"].as_str().is_some_and(|text| text.len() > 10),
            "{name} has a description"
        );
        assert_eq!(package["publish"], serde_json::json!([]), "{name} is not to be published by accident");
        let manifest = std::fs::read_to_string(text(&package["manifest_path"])).expect("a manifest");
        assert!(manifest.contains("\n[lints]\nworkspace = true\n"), "{name} keeps the workspace's lints");
    }
}

#[test]
fn the_top_of_the_repository_holds_exactly_what_the_plan_says() {
    let output = Git::at(repository()).output(&["ls-files", "-z"]);
    if !output.status.success() {
        return skipped("the sources are no git repository, so nobody can tell which files belong to them");
    }
    let files = String::from_utf8(output.stdout).expect("names are text");
    let found: BTreeSet<&str> =
        files.split_terminator('\0').filter_map(|path| path.split('/').next()).collect();
    let allowed = BTreeSet::from(TOP);
    let surplus: Vec<_> = found.difference(&allowed).collect();
    assert!(surplus.is_empty(), "{surplus:?} have no place at the top");
    let missing: Vec<_> = allowed.difference(&found).filter(|name| !OPTIONAL.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing at the top");
}
