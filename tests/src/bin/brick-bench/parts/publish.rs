//! What does a durable publish cost, proof included, beside other registries and beside what the disk allows?

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::Bench;
use crate::content::Content;
use crate::disk;
use crate::figure::{Bound, Figure, Round};
use crate::load::{self, Done};
use crate::machine::{Watch, cpu_seconds, settle};
use crate::peers::{Registry, docker_registry, kellnr};
use crate::trouble::Trouble;
use crate::yard::Yard;

/// Bricks whose versions are published.
const BRICKS: usize = 100;
/// Size of an archive.
const ARCHIVE_BYTES: usize = 100_000;
/// Many clients.
const MANY: usize = 32;
const US: &str = "brickyard";
const LIMIT: &str = "disk limit";
const KELLNR: &str = "kellnr";
const DOCKER: &str = "docker-registry";

/// What publishing with some clients came to, in one round.
#[derive(Clone, Copy)]
struct Published {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_ms: f64,
    foreign_cores: f64,
}

type Results = BTreeMap<(&'static str, usize), Vec<Published>>;

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let yard = Yard::found(&["registry.north.example"], None);
    let (mut peers, mut missing) = (Vec::new(), BTreeMap::new());
    for (name, started) in
        [(KELLNR, kellnr::start(&bench.tools)), (DOCKER, docker_registry::start(&bench.tools))]
    {
        match started {
            Ok(peer) => peers.push(peer),
            Err(Trouble::Missing(why)) => drop(missing.insert(name, why)),
            Err(other) => return Err(other),
        }
    }
    // Every brick exists first.
    let content = |n: usize, bytes| Content::of(&yard.publisher, "pkg", n % BRICKS, n / BRICKS, bytes);
    yard.fill(0..BRICKS, |n| content(n, 1_000))?;
    for peer in &peers {
        let contents: Vec<Content> = (0..BRICKS).map(|n| content(n, 1_000)).collect();
        send(&yard, peer, &contents, 4)?;
    }
    // What the disk was asked for stays until all is measured: ext4 passes over the inodes of files that were removed within
    // the last minute, so whoever makes files after a removal pays for it.
    let room = tempfile::tempdir().map_err(|err| Trouble::failed("a temporary folder", err))?;
    let mut results = Results::new();
    let mut next = BRICKS;
    for round in 0..bench.rounds {
        // A registry commits to git once a second: a round that is no longer than that would have one commit or two.
        let count = 3 * bench.publishes;
        for clients in [1, MANY] {
            let contents: Vec<Content> = (next..next + count).map(|n| content(n, ARCHIVE_BYTES)).collect();
            next += count;
            let folder = room.path().join(format!("{round}-{clients}"));
            results.entry((LIMIT, clients)).or_default().push(limit(&folder, clients, count)?);
            let prepared = yard.prepare(&contents)?;
            let ours = watched(yard.pid(), count, || yard.publish(prepared, clients))?;
            results.entry((US, clients)).or_default().push(ours);
            for peer in &peers {
                let theirs = watched(peer.server.pid(), count, || send(&yard, peer, &contents, clients))?;
                results.entry((peer.name, clients)).or_default().push(theirs);
            }
        }
    }
    Ok(figures(&results, &missing))
}

fn send(yard: &Yard, peer: &Registry, contents: &[Content], clients: usize) -> Result<Done, Trouble> {
    let jobs = contents.iter().map(peer.job).collect();
    let done = yard.federation.block_on(load::run(peer.server.address, jobs, clients));
    done.map_err(|err| Trouble::failed(format!("a publish to {}", peer.name), err))
}

/// Looks at a server while it is published to, and until it rests.
fn watched(
    pid: u32,
    count: usize,
    publish: impl FnOnce() -> Result<Done, Trouble>,
) -> Result<Published, Trouble> {
    settle(pid);
    let (watch, before) = (Watch::start(), cpu_seconds(pid));
    let done = publish()?;
    let foreign_cores = watch.foreign_cores();
    settle(pid);
    Ok(Published {
        per_second: done.per_second(),
        p50_ms: done.latency_ms(0.5),
        p99_ms: done.latency_ms(0.99),
        cpu_ms: (cpu_seconds(pid) - before) * 1e3 / count as f64,
        foreign_cores,
    })
}

fn limit(folder: &Path, clients: usize, count: usize) -> Result<Published, Trouble> {
    let watch = Watch::start();
    let took: Duration = disk::publish(folder, clients, count, ARCHIVE_BYTES)
        .map_err(|err| Trouble::failed("the disk's limit", err))?;
    let per_second = count as f64 / took.as_secs_f64();
    let each_ms = took.as_secs_f64() * 1e3 * clients as f64 / count as f64;
    let foreign_cores = watch.foreign_cores();
    Ok(Published { per_second, p50_ms: each_ms, p99_ms: each_ms, cpu_ms: f64::NAN, foreign_cores })
}

fn figures(results: &Results, missing: &BTreeMap<&'static str, String>) -> Vec<Figure> {
    use Bound::{AtLeast, AtMost};
    let measured = |figure: Figure, other: &'static str, clients: usize, pick: fn(&Published) -> f64| {
        let of = |who| results.get(&(who, clients)).map_or(&[][..], Vec::as_slice);
        let rounds = of(US).iter().zip(of(other)).map(|(ours, theirs)| Round {
            ours: pick(ours),
            other: Some(pick(theirs)),
            foreign_cores: ours.foreign_cores.max(theirs.foreign_cores),
        });
        match missing.get(other) {
            Some(why) => figure.skipped(why),
            None => figure.measured(rounds.collect()),
        }
    };
    let rate = |other, clients, must, aim: Option<f64>| {
        let figure = Figure::wall(format!("durable publish, {}", many(clients)), "/s", other);
        let figure = match aim {
            Some(aim) => figure.must(AtLeast(must)).aim(AtLeast(aim)),
            None => figure.must(AtLeast(must)),
        };
        measured(figure, other, clients, |published| published.per_second)
    };
    let latency = |quantile, other, clients, pick| {
        let name = format!("durable publish, {}: {quantile}", many(clients));
        measured(Figure::wall(name, "ms", other), other, clients, pick)
    };
    let cpu = |other, clients| {
        let figure = Figure::own(format!("server CPU per publish, {}", many(clients)), "ms", other);
        measured(figure, other, clients, |published| published.cpu_ms)
    };
    let demanded = |figure: Figure| figure.must(AtMost(0.7)).aim(AtMost(0.4));
    vec![
        rate(KELLNR, 1, 2.0, Some(3.0)),
        rate(LIMIT, 1, 0.3, Some(0.5)),
        latency("p50", KELLNR, 1, |published| published.p50_ms),
        latency("p99", KELLNR, 1, |published| published.p99_ms),
        demanded(cpu(KELLNR, 1)),
        cpu(DOCKER, 1),
        rate(KELLNR, MANY, 2.5, Some(4.0)),
        rate(DOCKER, MANY, 6.0, None),
        rate(LIMIT, MANY, 0.2, Some(0.3)),
        latency("p50", KELLNR, MANY, |published| published.p50_ms),
        latency("p99", KELLNR, MANY, |published| published.p99_ms).must(AtMost(1.0)),
        latency("p50", DOCKER, MANY, |published| published.p50_ms),
        latency("p99", DOCKER, MANY, |published| published.p99_ms),
        demanded(cpu(KELLNR, MANY)),
        cpu(DOCKER, MANY),
    ]
}

fn many(clients: usize) -> String {
    if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") }
}
