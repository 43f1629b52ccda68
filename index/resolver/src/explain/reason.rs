//! What is said of why nothing fits: the proof's steps, as types.

use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{FeatureName, FullName, Requirement, Version};

use crate::CompatibleLine;

/// Versions that one reason names, at most.
pub const MAX_NAMED: usize = 5;
/// The proof that nothing fits, as a chain of reasons. Its text has at most
/// [`MAX_EXPLANATION_LINES`](crate::MAX_EXPLANATION_LINES) lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// What asked.
    pub root: String,
    /// Facts before what follows from them; the last one says that nothing fits. Each stands once.
    pub reasons: Vec<Reason>,
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
        /// The feature that is asked for, if it is this that matters.
        feature: Option<FeatureName>,
        /// The releases that meet it, ascending.
        fits: Vec<Version>,
        /// Where releases are contended for: those that would meet it, were it not for this; at most [`MAX_NAMED`].
        left_out: Vec<LeftOut>,
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
        /// Releases around the requirement, ascending, at most [`MAX_NAMED`]; none that is in `left_out`.
        nearest: Vec<Version>,
        /// How many such releases there are.
        release_count: usize,
        /// Releases that would meet it, were it not for this; the highest, at most [`MAX_NAMED`].
        left_out: Vec<LeftOut>,
    },
    /// A requirement on a brick that does not exist.
    Unknown {
        /// Who requires it.
        by: Who,
        /// The name that nobody has published.
        brick: FullName,
    },
    /// Releases that cannot be used whatever else is chosen.
    Broken {
        /// Which.
        by: Who,
        /// What they do wrong: a verb and its object.
        how: String,
    },
    /// At most one release of a compatible line can be chosen.
    OneOfLine {
        /// The brick.
        brick: FullName,
        /// The line.
        line: CompatibleLine,
    },
    /// What follows from the reasons before: `together` cannot be used, all of them, without one of `needs`.
    ///
    /// Without `together` it holds for the root itself; without both, nothing fits.
    So {
        /// What cannot be used together.
        together: Vec<Who>,
        /// Unless one of these is chosen.
        needs: Vec<Who>,
    },
}

/// Who requires something: the root, or releases of a brick.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// What asked.
    Root(String),
    /// Releases of a brick.
    Releases {
        /// The brick.
        brick: FullName,
        /// Its releases, ascending, at least one.
        versions: Vec<Version>,
        /// The compatible line, when these are all it offers.
        all_of: Option<CompatibleLine>,
        /// The feature that has it so.
        feature: Option<FeatureName>,
    },
}

impl Who {
    /// The brick; `None` for the root.
    pub fn brick(&self) -> Option<&FullName> {
        match self {
            Who::Root(_) => None,
            Who::Releases { brick, .. } => Some(brick),
        }
    }
}

/// A release that was not considered.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LeftOut {
    /// Its version.
    pub version: Version,
    /// The reason.
    pub why: Why,
}

/// Why a release was not considered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Why {
    /// Its status forbids new use: yanked or withdrawn.
    Status(ReleaseStatus),
    /// A pre-release, and the requirement names none of that version.
    Prerelease,
    /// It lacks the feature that is asked for.
    Feature,
}
