//! How much memory does a registry hold after it was read and published to, and does it go on growing?

use brick_schemas::registry_config::{DEFAULT_DATABASE_CACHE_BYTES, DEFAULT_READ_CACHE_BYTES};

use super::Bench;
use super::growth::{cpu_ms_of, question};
use super::large::ARCHIVE_BYTES;
use crate::content::Content;
use crate::figure::{Bound, Figure, Round};
use crate::machine::{recover, resident_bytes};
use crate::peers::nginx;
use crate::trouble::Trouble;
use crate::wrk::{ANSWERING_CPU, Wrk};

/// Publishes of one round, and bricks that they are versions of.
const PUBLISHES: usize = 200;
/// Rounds in which caches fill.
const WARM_UP: usize = 4;
/// Different index files that are read in a round, so that caches fill.
const FILES: usize = 64;
/// What is asked for over and over.
const PATHS: [&str; 2] =
    ["/index/north.example/pkg00007.jsonl", "/bricks/north.example/pkg00007/0.3.1/archive"];

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let wrk = Wrk::find(&bench.tools)?;
    let (count, time, releases) = (bench.rounds, bench.time, bench.releases);
    let root = tempfile::tempdir().map_err(|err| Trouble::failed("a temporary folder", err))?;
    let nginx = nginx::start(&bench.tools, root.path(), ANSWERING_CPU)?;
    let yard = bench.large()?;
    std::fs::write(root.path().join("index"), yard.get(PATHS[0])?.0)
        .map_err(|err| Trouble::failed("a file to serve", err))?;
    yard.federation.stop(0);
    yard.federation.start(0);
    recover(yard.pid());
    let idle = mib(resident_bytes(yard.pid()));
    let mut held = Vec::new();
    for round in 0..WARM_UP + count {
        for path in PATHS {
            wrk.ask(&question(yard, path, false)?, time)?;
        }
        for n in 0..FILES {
            yard.get(&format!("/index/north.example/pkg{:05}.jsonl", n % (releases / 10)))?;
        }
        let version = |n: usize| 2_000 + round * 2 + n / 100;
        let contents: Vec<Content> = (0..PUBLISHES)
            .map(|n| Content::of(&yard.publisher, "pkg", n % 100, version(n), ARCHIVE_BYTES))
            .collect();
        cpu_ms_of(yard, &contents, 32)?;
        held.push(mib(resident_bytes(yard.pid())));
    }
    let url = format!("http://{}/index", nginx.address);
    wrk.ask(&crate::wrk::Question { pid: nginx.pid(), url, headers: Vec::new() }, time)?;
    let theirs = mib(resident_bytes(nginx.pid()));
    let (first, last) = (held[WARM_UP], held[held.len() - 1]);
    let allowed = 2.0 * theirs + mib(DEFAULT_READ_CACHE_BYTES + DEFAULT_DATABASE_CACHE_BYTES);
    let name = format!("memory after load, {releases} releases");
    let after_start = format!("memory after a start, {releases} releases");
    let alone = |ours| Round { ours, other: None, foreign_cores: 0.0 };
    let beside = |ours, other| vec![Round { ours, other: Some(other), foreign_cores: 0.0 }];
    Ok(vec![
        Figure::own(after_start, "MiB", "").must(Bound::AtMost(64.0)).measured(vec![alone(idle)]),
        Figure::own(name.as_str(), "MiB", "2 × nginx and the caches")
            .must(Bound::AtMost(1.0))
            .measured(beside(last, allowed)),
        Figure::own(format!("{name}: last round"), "MiB", "first after warming up")
            .must(Bound::AtMost(1.1))
            .measured(beside(last, first)),
    ])
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
