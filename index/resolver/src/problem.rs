//! What is asked, and what is answered?

use std::collections::{BTreeMap, BTreeSet};

use brick_schemas::predicate::release::Dependency;
use brick_schemas::predicate::status::{ReleaseStatus, UseInstead};
use brick_schemas::{FeatureItem, FeatureName, FullName, IndexLine, Version};

use crate::{Explanation, Universe};

/// Which of the releases that will do is tried first, where no lock says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Preference {
    /// The highest version: what everyone gets.
    #[default]
    Highest,
    /// The lowest: to test that requirements say the truth.
    Lowest,
}

/// What asks, and on what grounds it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// What asks, for explanations: a brick's or service's name.
    pub root: &'a str,
    /// What it requires. Optional requirements are resolved too: as in cargo, a lock serves every choice of features.
    pub requires: &'a [Dependency],
    /// The root's own features, all of them on for the same reason; empty for a service.
    pub features: &'a BTreeMap<FeatureName, Vec<FeatureItem>>,
    /// What is known of the index.
    pub universe: &'a Universe,
    /// Releases to keep where they will still do; a yanked or withdrawn one may stay only if it is here.
    pub locked: &'a BTreeMap<FullName, BTreeSet<Version>>,
    /// What to try first where no lock says.
    pub preference: Preference,
}

impl<'a> Problem<'a> {
    /// The problem with the usual preference, the highest version.
    pub fn new(
        root: &'a str,
        requires: &'a [Dependency],
        features: &'a BTreeMap<FeatureName, Vec<FeatureItem>>,
        universe: &'a Universe,
        locked: &'a BTreeMap<FullName, BTreeSet<Version>>,
    ) -> Self {
        Self { root, requires, features, universe, locked, preference: Preference::default() }
    }
}

/// The chosen releases: every requirement of the root and of each of them is met, features unified.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resolution {
    /// By name, then version; no two of one brick in the same compatible line.
    pub bricks: Vec<Resolved>,
    /// What each direct requirement came to; sorted.
    pub direct: Vec<(FullName, Version)>,
}

/// One chosen release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// What the index says of it.
    pub line: IndexLine,
    /// The features that are on, of those it has.
    pub features: BTreeSet<FeatureName>,
    /// What each of its requirements came to, optional ones only where a feature turned them on; sorted, each once.
    pub dependencies: Vec<(FullName, Version)>,
}

/// Something to tell about a chosen release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note<'a> {
    /// The brick.
    pub name: &'a FullName,
    /// The chosen version.
    pub version: &'a Version,
    /// Never `Active`; `Yanked` and `Withdrawn` only for what was locked.
    pub status: ReleaseStatus,
    /// What its publisher says to use in its place.
    pub use_instead: Option<&'a UseInstead>,
}

impl Resolution {
    /// The chosen releases whose status is not `active`, in order.
    pub fn notes(&self) -> impl Iterator<Item = Note<'_>> {
        self.bricks.iter().map(|brick| &brick.line).filter(|line| line.status != ReleaseStatus::Active).map(
            |line| Note {
                name: &line.name,
                version: &line.vers,
                status: line.status,
                use_instead: line.use_instead.as_ref(),
            },
        )
    }

    /// The resolution as a lock, to be preferred the next time.
    pub fn locked(&self) -> BTreeMap<FullName, BTreeSet<Version>> {
        let mut locked: BTreeMap<FullName, BTreeSet<Version>> = BTreeMap::new();
        for brick in &self.bricks {
            locked.entry(brick.line.name.clone()).or_default().insert(brick.line.vers.clone());
        }
        locked
    }
}

/// Why there is no answer, or not yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The index must be asked for these bricks, all at once; never empty, none of them in the universe yet.
    #[error("{} bricks must be looked up in the index first", .0.len())]
    Unfetched(BTreeSet<FullName>),
    /// Nothing fits, and this is the proof.
    #[error("{0}")]
    NoSolution(Box<Explanation>),
    /// Bricks that require each other in a circle, the first one not repeated at the end. Refused as in cargo.
    #[error("bricks require each other in a circle: {}", circle(.0))]
    Cycle(Vec<(FullName, Version)>),
    /// A bound was reached before an answer was found.
    #[error("the requirements are too hard to resolve: more than {max} {what}")]
    TooHard {
        /// What there was too much of, in the plural.
        what: &'static str,
        /// The bound.
        max: usize,
    },
}

fn circle(members: &[(FullName, Version)]) -> String {
    let mut text = String::new();
    for (name, version) in members {
        text.push_str(&format!("`{name}` {version} requires "));
    }
    match members.first() {
        Some((name, version)) => text + &format!("`{name}` {version}"),
        None => text,
    }
}
