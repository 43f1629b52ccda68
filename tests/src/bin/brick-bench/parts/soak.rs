//! Does a registry that works for half an hour at half of what it can do stay as it is, with a mirror that follows?

use std::time::Duration;

use brick_tests::soak::soak;

use super::Bench;
use crate::figure::{Bound, Figure, Round};
use crate::trouble::Trouble;

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let minutes = if bench.is_quick { 2 } else { 30 };
    let soaked = soak(Duration::from_secs(60 * minutes));
    for words in &soaked.told {
        eprintln!("soak: {words}");
    }
    let own = |ours: f64| vec![Round { ours, other: None, foreign_cores: 0.0 }];
    let name = |what: &str| format!("soak of {minutes} minutes: {what}");
    let most = |figure: Figure, bound, value| figure.must(Bound::AtMost(bound)).measured(own(value));
    let last = soaked.samples.last().map_or(f64::NAN, |sample| sample.resident_kib[0] as f64 / 1024.0);
    Ok(vec![
        most(Figure::own(name("requests that failed"), "", ""), 0.0, soaked.failures as f64),
        most(
            Figure::own(name("memory at the end"), "× after warm-up", ""),
            if bench.is_quick { 1.3 } else { 1.1 },
            soaked.memory_growth(),
        ),
        most(Figure::own(name("open files at the end"), "× after warm-up", ""), 1.1, soaked.file_growth()),
        Figure::own(name("memory at the end"), "MiB", "").measured(own(last)),
        Figure::own(name("reads"), "", "").measured(own(soaked.reads as f64)),
        Figure::own(name("publishes"), "", "").measured(own(soaked.publishes as f64)),
        Figure::own(name("git fetches"), "", "").measured(own(soaked.fetches as f64)),
    ])
}
