//! Which parts of the registry are measured?

use std::time::Duration;

use crate::figure::{Figure, Round};
use crate::tools::Tools;
use crate::trouble::Trouble;
use crate::wrk::Answered;
use crate::yard::Yard;

mod follow;
mod git;
mod growth;
mod large;
mod memory;
mod mirror;
mod overload;
mod publish;
mod read;
mod soak;
mod start;
mod verify;
mod versions;

/// One part, measured on its own.
pub struct Part {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it measures, in a line.
    pub about: &'static str,
    /// Measures it.
    pub run: fn(&mut Bench) -> Result<Vec<Figure>, Trouble>,
}

/// All parts, in the order in which they run.
pub const PARTS: [Part; 9] = [
    Part { name: "read", about: "GETs beside nginx with the same bytes", run: read::run },
    Part {
        name: "publish",
        about: "durable publishes beside kellnr, docker-registry and the disk",
        run: publish::run,
    },
    Part {
        name: "growth",
        about: "publishes and GETs with many releases beside a thousand",
        run: growth::run,
    },
    Part { name: "versions", about: "a brick of 1,000 versions beside bricks of 10", run: versions::run },
    Part { name: "memory", about: "memory with many releases, after load", run: memory::run },
    Part { name: "start", about: "the first answer after a start with many releases", run: start::run },
    Part { name: "verify", about: "entries verified in bulk beside bare signatures", run: verify::run },
    Part { name: "git", about: "clone and fetch beside a repository that git made", run: git::run },
    Part { name: "mirror", about: "a full verified mirror beside git clone and git fsck", run: mirror::run },
];

/// Parts that take long, and are measured only where they are named.
pub const LONG_PARTS: [Part; 2] = [
    Part { name: "overload", about: "ten times as much load as it can take", run: overload::run },
    Part { name: "soak", about: "half an hour at half of what it can do, with a mirror", run: soak::run },
];

/// What parts measure with.
pub struct Bench {
    /// Programs to measure with and to compare with.
    pub tools: Tools,
    /// Rounds in which each is measured in turn.
    pub rounds: usize,
    /// Time of one question to one server.
    pub time: Duration,
    /// Publishes of one client in a round; many clients send three times as many.
    pub publishes: usize,
    /// Releases of the large registry.
    pub releases: usize,
    /// Whether a short form is enough.
    pub is_quick: bool,
    /// The large registry, once a part has asked for it.
    large: Option<Yard>,
}

impl Bench {
    /// Nothing is started before a part needs it.
    pub fn new(tools: Tools, rounds: usize, time: Duration, publishes: usize, releases: usize) -> Self {
        Self { tools, rounds, time, publishes, releases, is_quick: false, large: None }
    }
}

/// Rounds of answers, ours beside others.
fn rounds(ours: &[Answered], others: &[Answered], pick: fn(&Answered) -> f64) -> Vec<Round> {
    paired(ours, others, pick, |answered| answered.foreign_cores)
}

/// Rounds of what was measured of ours and, after it, of another.
fn paired<T>(ours: &[T], others: &[T], pick: fn(&T) -> f64, foreign_cores: fn(&T) -> f64) -> Vec<Round> {
    ours.iter()
        .zip(others)
        .map(|(ours, other)| Round {
            ours: pick(ours),
            other: Some(pick(other)),
            foreign_cores: foreign_cores(ours).max(foreign_cores(other)),
        })
        .collect()
}
