//! Does a brick with many versions cost more than one with ten?

use super::growth::{cpu_ms_of, question};
use super::large::ARCHIVE_BYTES;
use super::{Bench, rounds};
use crate::content::Content;
use crate::figure::{Bound, Figure, Round};
use crate::trouble::Trouble;
use crate::wrk::{ANSWERING_CPU, Answered, Wrk};
use crate::yard::Yard;

/// Versions of the deep brick.
const MANY: usize = 1_000;
/// Versions of a shallow one.
const FEW: usize = 10;
/// Publishes of one round.
const PUBLISHES: usize = 100;
/// Clients that send them.
const CLIENTS: usize = 8;
/// What is asked for of either brick. The index file itself is as long as it has versions.
const GETS: [(&str, &str, bool); 4] = [
    ("conditional GET (304)", "/index/north.example/{brick}.jsonl", true),
    ("archive GET", "/bricks/north.example/{brick}/0.3.1/archive", false),
    ("index proof GET", "/index/north.example/{brick}.jsonl.proof", false),
    ("release proof GET", "/bricks/north.example/{brick}/0.3.1/proof", false),
];

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let wrk = Wrk::find(&bench.tools)?;
    let time = bench.time / 2;
    let yard = Yard::found(&["registry.north.example"], Some(ANSWERING_CPU));
    let deep = |version| Content::of(&yard.publisher, "deep", 0, version, ARCHIVE_BYTES);
    yard.fill(0..MANY, deep)?;
    let mut published = Vec::new();
    let mut answers: Vec<[Vec<Answered>; 2]> = GETS.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    for round in 0..bench.rounds {
        // New shallow bricks in each round, which begin it with ten versions.
        let bricks = PUBLISHES / FEW;
        let shallow = |n: usize| {
            Content::of(&yard.publisher, "flat", round * bricks + n % bricks, n / bricks, ARCHIVE_BYTES)
        };
        yard.fill(0..PUBLISHES, shallow)?;
        let contents: Vec<Content> = (PUBLISHES..2 * PUBLISHES).map(shallow).collect();
        let other = cpu_ms_of(&yard, &contents, CLIENTS)?;
        let first = MANY + round * PUBLISHES;
        let contents: Vec<Content> = (first..first + PUBLISHES).map(deep).collect();
        let ours = cpu_ms_of(&yard, &contents, CLIENTS)?;
        published.push(Round { ours: ours.0, other: Some(other.0), foreign_cores: ours.1.max(other.1) });
        for ((_, path, is_conditional), answers) in GETS.iter().zip(&mut answers) {
            for (brick, answers) in ["flat00000", "deep00000"].iter().zip(answers) {
                let question = question(&yard, &path.replace("{brick}", brick), *is_conditional)?;
                answers.push(wrk.ask(&question, time)?);
            }
        }
    }
    let named = |what: &str| {
        let name = format!("{MANY} versions of one brick: CPU per {what}");
        let unit = if what == "publish" { "ms" } else { "µs" };
        Figure::own(name, unit, &format!("{FEW} versions")).must(Bound::AtMost(1.3)).aim(Bound::AtMost(1.1))
    };
    let mut figures = vec![named("publish").measured(published)];
    for ((name, ..), [flat, deep]) in GETS.iter().zip(&answers) {
        figures.push(named(name).measured(rounds(deep, flat, |answered| answered.cpu_us)));
    }
    Ok(figures)
}
