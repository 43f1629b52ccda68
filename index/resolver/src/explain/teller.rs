//! What does one step of the proof say, in the index's words?

use std::collections::{BTreeMap, BTreeSet};

use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{FeatureName, FullName, IndexLine, Requirement, Version};
use pubgrub::{External, VersionSet};

use super::{LeftOut, MAX_NAMED, Reason, Told, Who, Why};
use crate::encoding::{Encoding, Key, Package, Refusal};
use crate::offers::{BrickId, DEFAULT_FEATURE, FeatureId, LineId, has};
use crate::set::{Place, PlaceSet};

/// Turns what the solver says into reasons, one at a time.
pub(super) struct Teller<'e, 'a> {
    pub(super) encoding: &'e Encoding<'a>,
}

impl Teller<'_, '_> {
    /// A fact as a reason; `None` when it only says how the encoding hangs together.
    pub(super) fn fact(&self, fact: &External<Package, PlaceSet, Refusal>) -> Option<Told> {
        let (by, set, of, fits) = match fact {
            External::NotRoot(..) | External::NoVersions(..) => return None,
            External::Custom(by, set, refusal) => {
                let by = self.who(*by, set)?;
                return Some(Told::plain(Reason::Broken { by, how: refusal.to_string() }));
            }
            External::FromDependencyOf(by, set, of, fits) => (*by, set, self.encoding.key(*of), fits),
        };
        let offers = &self.encoding.offers;
        let owner = self.encoding.key(by);
        let who = self.who(by, set)?;
        let (brick, line, asked) = match of {
            Key::Unmet { brick, req, asked } => return Some(Told::plain(self.unmet(who, brick, req, asked))),
            Key::Line(line) => (line.brick, Some(line), None),
            Key::Feature(line, feature) => (line.brick, Some(line), Some(feature)),
            Key::Choice(edge) => (edge.brick, None, None),
            Key::ChoiceFeature(edge, feature) => (edge.brick, None, Some(feature)),
            Key::Root | Key::Optional(..) | Key::Weak { .. } => return None,
        };
        if let (Key::Feature(own, _) | Key::Optional(own, _), Some(line)) = (owner, line)
            && own == line
        {
            return None;
        }
        let versions = match (line, of) {
            (Some(line), _) => self.versions(line, fits),
            (None, Key::Choice(edge) | Key::ChoiceFeature(edge, _)) => {
                let options = offers.options(brick, edge.req, edge.features);
                options
                    .iter()
                    .filter(|(line, _)| fits.contains(line))
                    .flat_map(|(line, set)| self.versions(LineId { brick, line: *line }, set))
                    .collect()
            }
            (None, _) => return None,
        };
        let name = offers.offer(brick).name;
        let requirements = self.requirements(owner, set, name, line);
        let feature = asked.map(|f| offers.feature_name(f)).filter(|f| f.as_str() != DEFAULT_FEATURE);
        let reason = Reason::Requires {
            by: who,
            brick: name.clone(),
            requirements,
            feature,
            fits: versions,
            left_out: Vec::new(),
        };
        Some(Told { reason, about: line.map(|line| (line, fits.clone())) })
    }

    /// Adds to a reason about a line that is contended for the releases that would have settled it.
    pub(super) fn finish(&self, told: Told, contended: &BTreeMap<LineId, Vec<Vec<Requirement>>>) -> Reason {
        let mut reason = told.reason;
        if let (Some((line, _)), Reason::Requires { brick, requirements, left_out, .. }) =
            (&told.about, &mut reason)
            && let Some(all) = contended.get(line)
        {
            let meets = |version: &Version, any: &[Requirement]| {
                any.iter().any(|req| req.matches(version) || matches_as_release(req, version))
            };
            let left_out_here: BTreeSet<LeftOut> =
                requirements.iter().flat_map(|requirement| self.left_out(brick, requirement, None)).collect();
            *left_out = highest(
                left_out_here
                    .into_iter()
                    .filter(|out| all.iter().all(|any| meets(&out.version, any)))
                    .collect(),
            );
        }
        reason
    }

    /// What follows, when it can be said without the encoding's own packages and is worth saying.
    ///
    /// - `is_joint`: it is used in several places or beside another conclusion, so it must be said.
    pub(super) fn conclusion(
        &self,
        terms: &[(Package, pubgrub::Term<PlaceSet>)],
        is_joint: bool,
    ) -> Option<Reason> {
        let (mut together, mut needs) = (Vec::new(), Vec::new());
        for (package, term) in terms {
            if self.encoding.key(*package) == Key::Root {
                continue;
            }
            let (who, list) = match term {
                pubgrub::Term::Positive(set) => (self.who(*package, set)?, &mut together),
                pubgrub::Term::Negative(set) => (self.who(*package, set)?, &mut needs),
            };
            if !list.contains(&who) {
                list.push(who);
            }
        }
        let rules_one_out = together.len() == 1 && needs.is_empty();
        (is_joint || rules_one_out).then_some(Reason::So { together, needs })
    }

    /// The releases that a package of the encoding stands for; `None` for those that stand for none.
    fn who(&self, package: Package, set: &PlaceSet) -> Option<Who> {
        let offers = &self.encoding.offers;
        let (line, feature) = match self.encoding.key(package) {
            Key::Root => return Some(Who::Root(self.encoding.problem.root.to_owned())),
            Key::Line(line) | Key::Optional(line, _) => (line, None),
            Key::Feature(line, feature) => (line, Some(offers.feature_name(feature))),
            Key::Choice(_) | Key::ChoiceFeature(..) | Key::Weak { .. } | Key::Unmet { .. } => return None,
        };
        let offer = offers.offer(line.brick);
        let all = &offer.lines[line.line.index()];
        let versions = self.versions(line, set);
        if versions.is_empty() {
            return None;
        }
        Some(Who::Releases {
            brick: offer.name.clone(),
            all_of: (versions.len() == all.releases.len()).then_some(all.line),
            versions,
            feature: feature.filter(|f| f.as_str() != DEFAULT_FEATURE),
        })
    }

    fn versions(&self, line: LineId, set: &PlaceSet) -> Vec<Version> {
        let offer = self.encoding.offers.offer(line.brick);
        let releases = offer.lines[line.line.index()].releases.iter().enumerate();
        releases
            .filter(|(at, _)| set.contains(&Place::of(*at)))
            .map(|(_, release)| release.vers.clone())
            .collect()
    }

    /// The requirements on `brick` that the owner's releases in `set` have, and that reach into `line`.
    fn requirements(
        &self,
        owner: Key,
        set: &PlaceSet,
        brick: &FullName,
        line: Option<LineId>,
    ) -> Vec<Requirement> {
        let offers = &self.encoding.offers;
        let releases: Vec<&IndexLine> = match owner {
            Key::Line(own) | Key::Feature(own, _) | Key::Optional(own, _) => {
                let offer = offers.offer(own.brick);
                let all = offer.lines[own.line.index()].releases.iter().enumerate();
                all.filter(|(at, _)| set.contains(&Place::of(*at))).map(|(_, release)| *release).collect()
            }
            _ => Vec::new(),
        };
        let dependencies = match owner {
            Key::Root => self.encoding.problem.requires.iter().collect::<Vec<_>>(),
            Key::Line(_) => releases.iter().flat_map(|r| &r.deps).filter(|d| !d.optional).collect(),
            Key::Optional(..) => releases.iter().flat_map(|r| &r.deps).filter(|d| d.optional).collect(),
            _ => releases.iter().flat_map(|r| &r.deps).collect(),
        };
        let reaches = |requirement: &Requirement| {
            let Some(line) = line else { return true };
            let offer = offers.offer(line.brick);
            offer.lines[line.line.index()].releases.iter().any(|release| requirement.matches(&release.vers))
        };
        let of_brick = dependencies.into_iter().filter(|d| d.name == *brick).map(|d| &d.req);
        of_brick.filter(|req| reaches(req)).cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn unmet(&self, by: Who, brick: BrickId, requirement: &Requirement, asked: Option<FeatureId>) -> Reason {
        let offers = &self.encoding.offers;
        let name = offers.offer(brick).name;
        if offers.universe.lacks(name) {
            return Reason::Unknown { by, brick: name.clone() };
        }
        let feature = asked.map(|feature| offers.feature_name(feature));
        let left_out = self.left_out(name, requirement, feature.as_ref());
        let is_left_out = |version: &Version| left_out.iter().any(|out| out.version == *version);
        let offer = offers.offer(brick);
        let mut others: Vec<&Version> =
            offer.lines.iter().flat_map(|line| &line.releases).map(|release| &release.vers).collect();
        others.retain(|version| !is_left_out(version));
        if others.iter().any(|version| !version.is_prerelease()) {
            others.retain(|version| !version.is_prerelease());
        }
        Reason::Unmet {
            by,
            brick: name.clone(),
            requirement: requirement.clone(),
            feature,
            nearest: nearest(&others, requirement),
            release_count: others.len(),
            left_out: highest(left_out),
        }
    }

    /// The releases of `brick` that would meet the requirement, were it not for something that can be said.
    fn left_out(
        &self,
        brick: &FullName,
        requirement: &Requirement,
        asked: Option<&FeatureName>,
    ) -> BTreeSet<LeftOut> {
        let offers = &self.encoding.offers;
        let why = |release: &IndexLine| {
            let forbidden = matches!(release.status, ReleaseStatus::Yanked | ReleaseStatus::Withdrawn)
                && !offers.is_locked(release);
            if requirement.matches(&release.vers) {
                match asked {
                    _ if forbidden => Some(Why::Status(release.status)),
                    Some(feature) if !has(release, feature) => Some(Why::Feature),
                    _ => None,
                }
            } else if release.vers.is_prerelease()
                && !forbidden
                && matches_as_release(requirement, &release.vers)
            {
                Some(Why::Prerelease)
            } else {
                None
            }
        };
        let releases = offers.universe.get(brick).unwrap_or_default().iter();
        releases
            .filter_map(|release| Some(LeftOut { version: release.vers.clone(), why: why(release)? }))
            .collect()
    }
}

fn highest(left_out: BTreeSet<LeftOut>) -> Vec<LeftOut> {
    let mut highest: Vec<_> = left_out.into_iter().rev().take(MAX_NAMED).collect();
    highest.reverse();
    highest
}

/// Whether the release that a pre-release leads to would meet the requirement.
fn matches_as_release(requirement: &Requirement, version: &Version) -> bool {
    let version = version.semver();
    let released = format!("{}.{}.{}", version.major, version.minor, version.patch);
    Version::parse(&released).is_ok_and(|released| requirement.matches(&released))
}

/// The versions around the requirement's first bound, ascending.
fn nearest(versions: &[&Version], requirement: &Requirement) -> Vec<Version> {
    let bound = requirement.semver().comparators.first();
    let bound = bound.map_or((0, 0, 0), |c| (c.major, c.minor.unwrap_or(0), c.patch.unwrap_or(0)));
    let below = versions.partition_point(|version| {
        let version = version.semver();
        (version.major, version.minor, version.patch) < bound
    });
    let first = below.saturating_sub(MAX_NAMED / 2 + 1).min(versions.len().saturating_sub(MAX_NAMED));
    versions.iter().skip(first).take(MAX_NAMED).map(|version| (*version).clone()).collect()
}
