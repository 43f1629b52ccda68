//! How long after its start does a large registry give its first answer?

use std::time::Instant;

use super::Bench;
use crate::figure::{Bound, Figure, Round};
use crate::machine::Watch;
use crate::trouble::Trouble;

const PATH: &str = "/index/north.example/pkg00007.jsonl";

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let (count, releases) = (bench.rounds, bench.releases);
    let yard = bench.large()?;
    let (before, _) = yard.get(PATH)?;
    let mut rounds = Vec::new();
    for _ in 0..count {
        yard.federation.stop(0);
        let (watch, began) = (Watch::start(), Instant::now());
        yard.federation.start(0);
        let (bytes, _) = yard.get(PATH)?;
        let ours = began.elapsed().as_secs_f64();
        rounds.push(Round { ours, other: None, foreign_cores: watch.foreign_cores() });
        if bytes != before {
            return Err(Trouble::failed("the index after a start", "it is not what it was before"));
        }
    }
    let name = format!("first answer after start, {releases} releases");
    Ok(vec![Figure::wall(name, "s", "").must(Bound::AtMost(2.0)).aim(Bound::AtMost(0.5)).measured(rounds)])
}
