//! Why does nothing fit? From the solver's derivation to a chain of reasons.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{FeatureName, FullName, IndexLine, Requirement, Version};
use pubgrub::{DerivationTree, External, VersionSet};

use crate::CompatibleLine;
use crate::encoding::{Encoding, Key, Package, Refusal};
use crate::offers::{BrickId, DEFAULT_FEATURE, FeatureId, LineId, has};
use crate::set::{Place, PlaceSet};

/// Versions that one reason names, at most.
pub const MAX_NAMED: usize = 5;
/// Reasons kept of a longer proof, at most; the text shows fewer still.
const MAX_REASONS: usize = 256;

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

/// Facts that are told without conclusions between them, at most.
const FLAT_FACTS: usize = 8;

type Tree = DerivationTree<Package, PlaceSet, Refusal>;

/// Turns the solver's proof into reasons.
pub(crate) fn explain(encoding: &Encoding, tree: Tree) -> Explanation {
    let nodes = flatten(encoding, &tree);
    dismantle(tree);
    let joined: BTreeSet<usize> = nodes
        .iter()
        .filter_map(|node| match node {
            Node::Step { causes: [a, b], .. } => Some([*a, *b]),
            Node::Fact(_) => None,
        })
        .filter(|causes| causes.iter().all(|cause| matches!(nodes[*cause], Node::Step { .. })))
        .flatten()
        .collect();
    let teller = Teller { encoding };
    let mut told: Vec<Told> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let more = match node {
            Node::Fact(fact) => teller.fact(fact),
            Node::Step { .. } if at + 1 == nodes.len() => None,
            Node::Step { terms, uses, .. } => {
                teller.conclusion(terms, *uses > 1 || joined.contains(&at)).map(Told::plain)
            }
        };
        let Some(more) = more else { continue };
        if told.len() >= MAX_REASONS || told.iter().any(|told| told.reason == more.reason) {
            continue;
        }
        // A conclusion right after another says at least as much.
        if more.is_conclusion() && told.last().is_some_and(Told::is_conclusion) {
            told.pop();
        }
        told.push(more);
    }
    if joined.is_empty() || told.iter().filter(|told| !told.is_conclusion()).count() <= FLAT_FACTS {
        told = from_the_root(told);
    }
    let contended = contended_lines(&told);
    let mut reasons: Vec<Reason> = told.into_iter().map(|told| teller.finish(told, &contended)).collect();
    for line in contended.keys() {
        let offer = encoding.offers.offer(line.brick);
        reasons
            .push(Reason::OneOfLine { brick: offer.name.clone(), line: offer.lines[line.line.index()].line });
    }
    reasons.push(Reason::So { together: Vec::new(), needs: Vec::new() });
    Explanation { root: encoding.problem.root.to_owned(), reasons }
}

/// A derivation as a list, causes before what they cause.
enum Node {
    Fact(External<Package, PlaceSet, Refusal>),
    Step { terms: Vec<(Package, pubgrub::Term<PlaceSet>)>, causes: [usize; 2], uses: usize },
}

/// Lists the derivation in the order of telling. Without recursion: it may be as deep as the solver took steps.
fn flatten(encoding: &Encoding, tree: &Tree) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut places: HashMap<*const Tree, usize> = HashMap::new();
    let mut waiting: Vec<(&Tree, bool)> = vec![(tree, false)];
    while let Some((tree, causes_are_listed)) = waiting.pop() {
        if places.contains_key(&std::ptr::from_ref(tree)) {
            continue;
        }
        let node = match tree {
            DerivationTree::External(fact) => Node::Fact(fact.clone()),
            DerivationTree::Derived(step) => {
                let causes: [&Tree; 2] = [&step.cause1, &step.cause2];
                if !causes_are_listed {
                    let [first, second] =
                        if telling_rank(encoding, causes[1]) < telling_rank(encoding, causes[0]) {
                            [causes[1], causes[0]]
                        } else {
                            causes
                        };
                    waiting.extend([(tree, true), (second, false), (first, false)]);
                    continue;
                }
                let causes = causes.map(|cause| places[&std::ptr::from_ref(cause)]);
                for cause in causes {
                    if let Node::Step { uses, .. } = &mut nodes[cause] {
                        *uses += 1;
                    }
                }
                let mut terms: Vec<_> =
                    step.terms.iter().map(|(package, term)| (*package, term.clone())).collect();
                terms.sort_by_key(|(package, _)| *package);
                Node::Step { terms, causes, uses: 0 }
            }
        };
        places.insert(std::ptr::from_ref(tree), nodes.len());
        nodes.push(node);
    }
    nodes
}

/// What is told first of two causes: what was derived, then what the root requires, then the rest.
fn telling_rank(encoding: &Encoding, tree: &Tree) -> u8 {
    match tree {
        DerivationTree::Derived(_) => 0,
        DerivationTree::External(External::FromDependencyOf(by, ..)) if encoding.key(*by) == Key::Root => 1,
        DerivationTree::External(_) => 2,
    }
}

/// Drops a derivation without recursion, which the ordinary drop would do as deep as it is.
fn dismantle(tree: Tree) {
    let mut waiting = vec![tree];
    while let Some(tree) = waiting.pop() {
        if let DerivationTree::Derived(step) = tree {
            waiting.extend(Arc::into_inner(step.cause1));
            waiting.extend(Arc::into_inner(step.cause2));
        }
    }
}

/// A reason, and which releases of which line it is about.
struct Told {
    reason: Reason,
    about: Option<(LineId, PlaceSet)>,
}

impl Told {
    fn plain(reason: Reason) -> Self {
        Self { reason, about: None }
    }

    fn is_conclusion(&self) -> bool {
        matches!(self.reason, Reason::So { .. })
    }

    /// Who requires something of whom; `None` for the root, and for what is no requirement.
    fn ends(&self) -> (Option<&FullName>, Option<&FullName>) {
        match &self.reason {
            Reason::Requires { by, brick, .. }
            | Reason::Unmet { by, brick, .. }
            | Reason::Unknown { by, brick } => (by.brick(), Some(brick)),
            Reason::Broken { by, .. } => (by.brick(), None),
            Reason::OneOfLine { .. } | Reason::So { .. } => (None, None),
        }
    }
}

/// The facts alone, each requirement followed by what the required brick requires in turn, from the root down.
///
/// A proof without branches reads best this way: people follow what requires what, not how the solver went.
fn from_the_root(told: Vec<Told>) -> Vec<Told> {
    let mut facts: Vec<Option<Told>> =
        told.into_iter().filter(|told| !told.is_conclusion()).map(Some).collect();
    let by = |facts: &[Option<Told>], who: Option<&FullName>| -> Vec<usize> {
        let is_by = |fact: &Option<Told>| fact.as_ref().is_some_and(|fact| fact.ends().0 == who);
        (0..facts.len()).rev().filter(|at| is_by(&facts[*at])).collect()
    };
    let mut ordered: Vec<Told> = Vec::new();
    let mut waiting = by(&facts, None);
    while let Some(at) = waiting.pop() {
        let Some(fact) = facts[at].take() else { continue };
        if let Some(brick) = fact.ends().1 {
            waiting.extend(by(&facts, Some(brick)));
        }
        ordered.push(fact);
    }
    ordered.extend(facts.into_iter().flatten());
    ordered
}

/// The lines of which different releases are required, with the requirements of all who do.
fn contended_lines(told: &[Told]) -> BTreeMap<LineId, Vec<Vec<Requirement>>> {
    let mut contended = BTreeMap::new();
    for (at, (line, set)) in told.iter().enumerate().filter_map(|(at, told)| Some((at, told.about.as_ref()?)))
    {
        let others =
            told[..at].iter().filter_map(|told| told.about.as_ref()).filter(|(other, _)| other == line);
        let mut common = set.clone();
        for (_, other) in others {
            common = common.intersection(other);
            if common.is_empty() || set.is_disjoint(other) {
                contended.insert(*line, Vec::new());
            }
        }
    }
    for Told { reason, about } in told {
        if let (Reason::Requires { requirements, .. }, Some((line, _))) = (reason, about)
            && let Some(all) = contended.get_mut(line)
        {
            all.push(requirements.clone());
        }
    }
    contended
}

struct Teller<'e, 'a> {
    encoding: &'e Encoding<'a>,
}

impl Teller<'_, '_> {
    /// A fact as a reason; `None` when it only says how the encoding hangs together.
    fn fact(&self, fact: &External<Package, PlaceSet, Refusal>) -> Option<Told> {
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
    fn finish(&self, told: Told, contended: &BTreeMap<LineId, Vec<Vec<Requirement>>>) -> Reason {
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
    fn conclusion(&self, terms: &[(Package, pubgrub::Term<PlaceSet>)], is_joint: bool) -> Option<Reason> {
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
