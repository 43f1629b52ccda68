//! Why does nothing fit, in words?

use std::fmt;

use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{FeatureName, FullName, Requirement, Version};

use crate::CompatibleLine;

/// Lines of an explanation's text, at most.
pub const MAX_EXPLANATION_LINES: usize = 12;

/// The proof that nothing fits, as a chain of reasons; its text has at most [`MAX_EXPLANATION_LINES`] lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// What asked.
    pub root: String,
    /// Facts before what follows from them; the last conclusion is that nothing fits.
    pub reasons: Vec<Reason>,
}

/// Who requires something: the root, or releases of a brick.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// What asked.
    Root(String),
    /// Releases of a brick, ascending, at least one; `feature` when they do so only with that feature on.
    Releases {
        /// The brick.
        brick: FullName,
        /// Its releases.
        versions: Vec<Version>,
        /// The feature that has it so.
        feature: Option<FeatureName>,
    },
}

/// Why a release that a requirement names was not considered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Why {
    /// Its status forbids new use: yanked or withdrawn.
    Status(ReleaseStatus),
    /// A pre-release, and the requirement names none.
    Prerelease,
    /// It lacks a feature that is asked for.
    Feature,
}

/// A release that was not considered.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LeftOut {
    /// Its version.
    pub version: Version,
    /// The reason.
    pub why: Why,
}

/// Releases of a brick in a conclusion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    /// Who.
    pub who: Who,
}

/// One step of an explanation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// A requirement that some releases meet.
    Requires {
        /// Who requires it.
        by: Who,
        /// The required brick.
        brick: FullName,
        /// The requirement, in the words of each release in `by`; sorted, each once.
        requirements: Vec<Requirement>,
        /// The releases that meet it.
        fits: Vec<Version>,
    },
    /// A requirement that no release meets.
    Unmet {
        /// Who requires it.
        by: Who,
        /// The required brick.
        brick: FullName,
        /// The requirement.
        requirement: Requirement,
        /// The feature that is asked for and that no fitting release has.
        feature: Option<FeatureName>,
        /// The releases there are, nearest to the requirement first.
        nearest: Vec<Version>,
        /// Releases that would meet it, were it not for this.
        left_out: Vec<LeftOut>,
    },
    /// A requirement on a brick that does not exist.
    Unknown {
        /// Who requires it.
        by: Who,
        /// The name that nobody has published.
        brick: FullName,
        /// The requirement.
        requirement: Requirement,
    },
    /// At most one release of a compatible line can be chosen.
    OneOfLine {
        /// The brick.
        brick: FullName,
        /// The line.
        line: CompatibleLine,
    },
    /// What follows from the reasons before: these cannot be used together; none left means that nothing fits.
    So {
        /// What cannot be used together.
        together: Vec<Term>,
    },
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing fits the requirements of `{}`", self.root)
    }
}
