//! Does anything cost more among many releases than among a thousand, or among a million than among a hundred thousand?

use super::large::{ARCHIVE_BYTES, versions_of, yard_of};
use super::{Bench, rounds};
use crate::content::Content;
use crate::figure::{Bound, Figure, Round};
use crate::machine::{Watch, cpu_seconds, settle};
use crate::trouble::Trouble;
use crate::wrk::{Answered, Question, Wrk};
use crate::yard::Yard;

/// Releases of the small registry.
const FEW: usize = 1_000;
/// From so many releases on a registry is compared with one that has as many as a national commons.
const VERY_MANY: usize = 1_000_000;
/// Releases of a national commons.
const MANY: usize = 100_000;
/// Publishes of one round, a new version of each of so many bricks.
const PUBLISHES: usize = 800;
/// Clients that send them.
const CLIENTS: usize = 8;
/// Bricks that they are versions of; both registries have them.
const BRICKS: usize = 100;

/// What is asked for; the last says whether it is asked conditionally.
const GETS: [(&str, &str, bool); 6] = [
    ("index GET", "/index/north.example/pkg00007.jsonl", false),
    ("conditional GET (304)", "/index/north.example/pkg00007.jsonl", true),
    ("archive GET", "/bricks/north.example/pkg00007/0.3.1/archive", false),
    ("index proof GET", "/index/north.example/pkg00007.jsonl.proof", false),
    ("tile GET", "/logs/north.example/tile/0/001", false),
    ("release proof GET", "/bricks/north.example/pkg00007/0.3.1/proof", false),
];

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let wrk = Wrk::find(&bench.tools)?;
    let (count, many) = (bench.rounds, bench.releases);
    let time = bench.time / 2;
    let (few, must) = if many < VERY_MANY { (FEW, 1.3) } else { (MANY, 1.2) };
    // As many versions of each brick: what those cost is a question of its own, see the part `versions`.
    let small = yard_of(few, versions_of(many))?;
    let large = bench.large()?;
    let mut published = Vec::new();
    let mut answers: Vec<[Vec<Answered>; 2]> = GETS.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    for round in 0..count {
        let (other, ours) = (publish_cpu_ms(&small, round)?, publish_cpu_ms(large, round)?);
        published.push(Round { ours: ours.0, other: Some(other.0), foreign_cores: ours.1.max(other.1) });
        for ((_, path, is_conditional), answers) in GETS.iter().zip(&mut answers) {
            for (yard, answers) in [&small, &*large].into_iter().zip(answers) {
                answers.push(wrk.ask(&question(yard, path, *is_conditional)?, time)?);
            }
        }
    }
    let other = format!("{few} releases");
    let bounds = (Bound::AtMost(must), Bound::AtMost(1.1));
    let named = |what: &str| {
        let name = format!("growth to {many} releases: CPU per {what}");
        Figure::own(name, if what == "publish" { "ms" } else { "µs" }, &other).must(bounds.0).aim(bounds.1)
    };
    let mut figures = vec![named("publish").measured(published)];
    for ((name, ..), [small, large]) in GETS.iter().zip(&answers) {
        figures.push(named(name).measured(rounds(large, small, |answered| answered.cpu_us)));
    }
    Ok(figures)
}

/// The address of a file as of now; its `ETag` goes along where it is asked conditionally.
pub(super) fn question(yard: &Yard, path: &str, is_conditional: bool) -> Result<Question, Trouble> {
    let (_, etag) = yard.get(path)?;
    let headers = etag.filter(|_| is_conditional).map(|etag| format!("If-None-Match: {etag}"));
    Ok(Question { pid: yard.pid(), url: yard.url(path), headers: headers.into_iter().collect() })
}

/// Processor time of a publish in milliseconds, all that follows it included, and how busy others were.
fn publish_cpu_ms(yard: &Yard, round: usize) -> Result<(f64, f64), Trouble> {
    // Versions far above those that are there.
    let version = |n: usize| 1_000 + round * (PUBLISHES / BRICKS) + n / BRICKS;
    let contents: Vec<Content> = (0..PUBLISHES)
        .map(|n| Content::of(&yard.publisher, "pkg", n % BRICKS, version(n), ARCHIVE_BYTES))
        .collect();
    cpu_ms_of(yard, &contents, CLIENTS)
}

/// Processor time of each publish of `contents`, in milliseconds, and how busy others were.
pub(super) fn cpu_ms_of(yard: &Yard, contents: &[Content], clients: usize) -> Result<(f64, f64), Trouble> {
    let prepared = yard.prepare(contents)?;
    settle(yard.pid());
    let (watch, before) = (Watch::start(), cpu_seconds(yard.pid()));
    yard.publish(prepared, clients)?;
    settle(yard.pid());
    let each = (cpu_seconds(yard.pid()) - before) * 1e3 / contents.len() as f64;
    Ok((each, watch.foreign_cores()))
}
