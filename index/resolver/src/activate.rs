//! Which features and requirements are on, given what each requirement comes to?

use std::collections::{BTreeMap, BTreeSet};

use brick_schemas::predicate::release::Dependency;
use brick_schemas::{FeatureItem, FeatureName, FullName};

use crate::Problem;
use crate::encoding::{MAX_PACKAGES, sorted};
use crate::offers::{DEFAULT_FEATURE, LineId, Offers, Stop};
use crate::set::Place;

/// A release on offer.
pub(crate) type Chosen = (LineId, Place);

/// What is on in a release, or in the root.
#[derive(Default)]
pub(crate) struct Active {
    /// Features asked for, and those that they turn on; only ones that the release has.
    pub(crate) features: BTreeSet<FeatureName>,
    /// What its requirements came to.
    pub(crate) edges: BTreeSet<Chosen>,
}

/// Walks from the root (`None`) along what each requirement comes to, turning features on until nothing changes.
///
/// - `pick`: what a requirement of the root or of a release comes to; `None` leaves it out.
///
/// # Errors
/// What `pick` says, or [`Stop::TooHard`] over [`MAX_PACKAGES`] releases.
pub(crate) fn activate<'a>(
    problem: &Problem<'a>,
    offers: &Offers<'a>,
    mut pick: impl FnMut(Option<LineId>, &'a Dependency) -> Result<Option<Chosen>, Stop>,
) -> Result<BTreeMap<Option<Chosen>, Active>, Stop> {
    let mut active: BTreeMap<Option<Chosen>, Active> = BTreeMap::new();
    active.entry(None).or_default().features = problem.features.keys().cloned().collect();
    let mut waiting = vec![None];
    while let Some(node) = waiting.pop() {
        let (requires, features) = match node {
            None => (problem.requires, problem.features),
            Some((line, place)) => {
                let release = offers.release(line, place);
                (&release.deps[..], &release.features)
            }
        };
        let on = TurnedOn::by(features, active.remove(&node).unwrap_or_default().features);
        let mut edges = BTreeSet::new();
        let mut asked: Vec<(Chosen, BTreeSet<FeatureName>)> = Vec::new();
        for dependency in sorted(requires.iter()) {
            if dependency.optional && node.is_some() && !on.optional.contains(&dependency.name) {
                continue;
            }
            let Some(target) = pick(node.map(|(line, _)| line), dependency)? else { continue };
            edges.insert(target);
            let mut features: BTreeSet<FeatureName> = dependency.features.iter().cloned().collect();
            if dependency.default_features {
                features.insert(FeatureName::parse(DEFAULT_FEATURE).expect("it is a feature's name"));
            }
            features.extend(on.of.get(&dependency.name).into_iter().flatten().cloned());
            asked.push((target, features));
        }
        active.insert(node, Active { features: on.features, edges });
        for ((line, place), features) in asked {
            let has = &offers.release(line, place).features;
            let new = !active.contains_key(&Some((line, place)));
            let target = active.entry(Some((line, place))).or_default();
            let before = target.features.len();
            target.features.extend(features.into_iter().filter(|f| has.contains_key(f)));
            if new || target.features.len() > before {
                waiting.push(Some((line, place)));
            }
        }
        if active.len() > MAX_PACKAGES {
            return Err(Stop::TooHard { what: "releases", max: MAX_PACKAGES });
        }
    }
    Ok(active)
}

/// What some features turn on within their own release.
struct TurnedOn {
    features: BTreeSet<FeatureName>,
    optional: BTreeSet<FullName>,
    /// Features of required bricks, weak items included: they count only where the requirement is on.
    of: BTreeMap<FullName, BTreeSet<FeatureName>>,
}

impl TurnedOn {
    fn by(has: &BTreeMap<FeatureName, Vec<FeatureItem>>, asked: BTreeSet<FeatureName>) -> Self {
        let mut on = Self { features: BTreeSet::new(), optional: BTreeSet::new(), of: BTreeMap::new() };
        let mut waiting: Vec<FeatureName> = asked.into_iter().collect();
        while let Some(feature) = waiting.pop() {
            let Some(items) = has.get(&feature) else { continue };
            if !on.features.insert(feature) {
                continue;
            }
            for item in items {
                match item {
                    FeatureItem::Feature(other) => waiting.push(other.clone()),
                    FeatureItem::Requirement(brick) => {
                        on.optional.insert(brick.clone());
                    }
                    FeatureItem::Strong(brick, feature) => {
                        on.optional.insert(brick.clone());
                        on.of.entry(brick.clone()).or_default().insert(feature.clone());
                    }
                    FeatureItem::Weak(brick, feature) => {
                        on.of.entry(brick.clone()).or_default().insert(feature.clone());
                    }
                }
            }
        }
        on
    }
}
