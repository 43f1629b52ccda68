//! What does a package of the solver's stand for?

use std::fmt;

use brick_schemas::{FeatureItem, FeatureName, Requirement};

use crate::offers::{BrickId, FeatureId, LineId};
use crate::set::Place;

/// Number of a [`Key`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub(crate) struct Package(pub(super) u32);

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "package {}", self.0)
    }
}

/// A requirement that reaches over several lines, seen from who requires it (`None` is the root).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) struct Edge<'a> {
    pub(crate) owner: Option<LineId>,
    pub(crate) brick: BrickId,
    pub(crate) req: &'a Requirement,
    pub(crate) features: &'a [FeatureName],
}

/// What a package stands for: the table above.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) enum Key<'a> {
    Root,
    Line(LineId),
    Feature(LineId, FeatureId),
    Optional(LineId, BrickId),
    Choice(Edge<'a>),
    ChoiceFeature(Edge<'a>, FeatureId),
    Weak { line: LineId, release: Place, feature: FeatureId, brick: BrickId, asked: FeatureId },
    Unmet { brick: BrickId, req: &'a Requirement, asked: Option<FeatureId> },
}

/// Why a release cannot be used whatever else is chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// A feature has an item that means nothing: it names what the release has not.
    Item(FeatureItem),
    /// It requires another release of its own line.
    Itself,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(item) => write!(f, "means nothing by `{item}`"),
            Self::Itself => f.write_str("requires another release of its own line"),
        }
    }
}
