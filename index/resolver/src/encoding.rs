//! What is the problem in the solver's words?
//!
//! PubGrub knows packages with versions, and that one version of a package needs one of a set of versions of another.
//! Everything else is said with packages of our own making:
//!
//! | package | its versions | needs |
//! |---|---|---|
//! | root | one | what the root requires, and what its features ask for |
//! | line (brick, compatible line) | the releases on offer | what the release requires; optional ones not |
//! | feature (line, feature) | the same releases | that release of the line; what the feature's items turn on |
//! | optional (line, required brick) | the same releases | that release of the line; its optional requirement |
//! | choice (who requires, brick, requirement) | the compatible lines that could meet it | the releases of that line which do |
//! | choice's feature (choice, feature) | the same lines | that line of the choice; the feature in that line |
//! | weak (release, feature, required brick, its feature) | 0 feature off, 1 requirement off, 2 both on | at 2: the required brick's feature |
//! | unmet (brick, requirement) | none | |
//!
//! A line is a package of its own, so several lines of a brick stand side by side, and at most one release of each. A
//! choice is made only where a requirement reaches over several lines. A weak item (`brick?/feature`) has its feature need
//! weak ∈ {1, 2} and its optional requirement need weak ∈ {0, 2}; it is decided after everything else.
//!
//! There is room for what comes later. `needs` is a choice whose versions are (provider, compatible line) pairs instead of
//! lines of one brick, keyed by (who needs, interface) or by interface alone where one provider must do for all; a
//! service's `[choose]` narrows the set. Policy and minimum age take releases off the offer in
//! [`Offers`], each with a [`Why`](crate::Why) for the explanation.

mod key;
mod order;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};

use brick_schemas::predicate::release::Dependency;
use brick_schemas::{FeatureItem, FeatureName, IndexLine};
use pubgrub::VersionSet;

pub(crate) use key::{Edge, Key, Package, Refusal};

use crate::Problem;
use crate::offers::{DEFAULT_FEATURE, FeatureId, LineId, Offers, Stop, has};
use crate::set::{Place, PlaceSet, start_counting};

/// Decisions the solver takes before it gives up, at most. The graph of 60 popular packages with all they need, 1,493
/// releases, takes about as many decisions as it has releases.
pub const MAX_STEPS: usize = 50_000;
/// Words of sets that the solver compares before it gives up, at most: it ends in about a second. That graph takes 73,000.
pub const MAX_WORK: u64 = 5_000_000;
/// Packages in the solver's words, at most.
pub const MAX_PACKAGES: usize = 200_000;
/// Memory handed to the solver as requirements, at most, in words of 8 bytes.
pub const MAX_REQUIREMENT_WORDS: usize = 4_000_000;
/// A requirement's share of [`MAX_REQUIREMENT_WORDS`] apart from its set.
const WORDS_EACH: usize = 8;

const WEAK_FEATURE_OFF: usize = 0;
const WEAK_REQUIREMENT_OFF: usize = 1;
const WEAK_BOTH_ON: usize = 2;

type Demands = Vec<(Package, PlaceSet)>;

/// Why the demands of a package's version cannot be told.
enum Failed {
    Stop(Stop),
    Refused(Refusal),
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// The problem as PubGrub asks for it, piece by piece.
pub(crate) struct Encoding<'a> {
    pub(crate) problem: Problem<'a>,
    pub(crate) offers: Offers<'a>,
    packages: RefCell<(HashMap<Key<'a>, Package>, Vec<Key<'a>>)>,
    /// The place last chosen for a line or a choice, which its features follow.
    decided: RefCell<HashMap<Package, Place>>,
    steps: Cell<usize>,
    words: Cell<usize>,
}

impl<'a> Encoding<'a> {
    pub(crate) fn new(problem: Problem<'a>, offers: Offers<'a>) -> Self {
        start_counting();
        Self {
            problem,
            offers,
            packages: RefCell::default(),
            decided: RefCell::default(),
            steps: Cell::new(0),
            words: Cell::new(0),
        }
    }

    pub(crate) fn package(&self, key: Key<'a>) -> Package {
        let (ids, keys) = &mut *self.packages.borrow_mut();
        *ids.entry(key).or_insert_with(|| {
            keys.push(key);
            Package(u32::try_from(keys.len() - 1).expect("packages are bounded by the work allowed"))
        })
    }

    pub(crate) fn key(&self, package: Package) -> Key<'a> {
        self.packages.borrow().1[package.0 as usize]
    }

    /// The edge of `dependency` as `owner` requires it, with the releases that meet it by line.
    pub(crate) fn edge(
        &self,
        owner: Option<LineId>,
        dependency: &'a Dependency,
    ) -> Result<(Edge<'a>, crate::offers::Options), Stop> {
        let (brick, options) = self.offers.options_of(dependency)?;
        Ok((Edge { owner, brick, req: &dependency.req, features: &dependency.features }, options))
    }

    fn demands(&self, package: Package, place: Place) -> Result<Demands, Failed> {
        let key = self.key(package);
        let here = PlaceSet::singleton(place);
        let mut out = Demands::new();
        match key {
            Key::Root => {
                self.ensure_fetched(self.problem.requires)?;
                for dependency in sorted(self.problem.requires.iter()) {
                    self.demand(None, dependency, &mut out)?;
                }
                // The root's own features are all on; what they say of each other changes nothing.
                for item in self.problem.features.values().flatten() {
                    let (FeatureItem::Strong(brick, feature) | FeatureItem::Weak(brick, feature)) = item
                    else {
                        continue;
                    };
                    for dependency in sorted(self.problem.requires.iter().filter(|d| d.name == *brick)) {
                        self.demand_feature(None, dependency, feature, &mut out)?;
                    }
                }
            }
            Key::Line(line) => {
                let release = self.offers.release(line, place);
                self.ensure_fetched(release.deps.iter().filter(|d| !d.optional))?;
                for dependency in sorted(release.deps.iter().filter(|d| !d.optional)) {
                    self.demand(Some(line), dependency, &mut out)?;
                }
            }
            Key::Feature(line, feature) => {
                out.push((self.package(Key::Line(line)), here.clone()));
                let release = self.offers.release(line, place);
                let items = release.features.get(&self.offers.feature_name(feature));
                for item in items.into_iter().flatten() {
                    self.demand_item(line, place, release, feature, item, &mut out)?;
                }
            }
            Key::Optional(line, brick) => {
                out.push((self.package(Key::Line(line)), here.clone()));
                let release = self.offers.release(line, place);
                let name = self.offers.offer(brick).name;
                for dependency in sorted(release.deps.iter().filter(|d| d.optional && d.name == *name)) {
                    self.demand(Some(line), dependency, &mut out)?;
                }
                for (feature, items) in &release.features {
                    for item in items {
                        let FeatureItem::Weak(of, asked) = item else { continue };
                        if of == name {
                            let (feature, asked) = (self.offers.feature(feature), self.offers.feature(asked));
                            let weak = Key::Weak { line, release: place, feature, brick, asked };
                            out.push((self.package(weak), weak_set([WEAK_FEATURE_OFF, WEAK_BOTH_ON])));
                        }
                    }
                }
            }
            Key::Choice(edge) => {
                let options = self.offers.options(edge.brick, edge.req, edge.features);
                for (line, set) in options.iter().filter(|(line, _)| *line == place) {
                    let line = LineId { brick: edge.brick, line: *line };
                    out.push((self.package(Key::Line(line)), set.clone()));
                }
            }
            Key::ChoiceFeature(edge, feature) => {
                out.push((self.package(Key::Choice(edge)), here));
                let options = self.offers.options(edge.brick, edge.req, edge.features);
                let having =
                    self.offers.with_feature(edge.brick, &options, &self.offers.feature_name(feature));
                for (line, set) in having.into_iter().filter(|(line, _)| *line == place) {
                    let line = LineId { brick: edge.brick, line };
                    out.push((self.package(Key::Feature(line, feature)), set));
                }
            }
            Key::Weak { line, release, brick, asked, .. } => {
                if place.index() == WEAK_BOTH_ON {
                    let release = self.offers.release(line, release);
                    let name = self.offers.offer(brick).name;
                    let asked = self.offers.feature_name(asked);
                    for dependency in sorted(release.deps.iter().filter(|d| d.optional && d.name == *name)) {
                        self.demand_feature(Some(line), dependency, &asked, &mut out)?;
                    }
                }
            }
            Key::Unmet { .. } => {}
        }
        if out.iter().any(|(other, set)| *other == package && !set.contains(&place)) {
            return Err(Failed::Refused(Refusal::Itself));
        }
        // Requiring oneself adds nothing here; the circle is named once all is chosen.
        out.retain(|(other, _)| *other != package);
        self.spend(&out)?;
        Ok(out)
    }

    /// Names all bricks of `dependencies` that are not fetched, not only the first.
    fn ensure_fetched(&self, dependencies: impl IntoIterator<Item = &'a Dependency>) -> Result<(), Stop> {
        let mut unfetched = BTreeSet::new();
        for dependency in dependencies {
            match self.offers.brick(&dependency.name) {
                Ok(_) => {}
                Err(Stop::Unfetched(names)) => unfetched.extend(names),
                Err(hard) => return Err(hard),
            }
        }
        if unfetched.is_empty() { Ok(()) } else { Err(Stop::Unfetched(unfetched)) }
    }

    /// What `owner` needs for `dependency`, the features it asks for included.
    fn demand(
        &self,
        owner: Option<LineId>,
        dependency: &'a Dependency,
        out: &mut Demands,
    ) -> Result<(), Stop> {
        let (edge, options) = self.edge(owner, dependency)?;
        match &options[..] {
            [] => {
                let unmet = Key::Unmet { brick: edge.brick, req: edge.req, asked: self.missing(&edge) };
                out.push((self.package(unmet), PlaceSet::empty()));
            }
            [(line, set)] => {
                let line = LineId { brick: edge.brick, line: *line };
                out.push((self.package(Key::Line(line)), set.clone()));
            }
            several => out.push((self.package(Key::Choice(edge)), places(several))),
        }
        for feature in &dependency.features {
            self.demand_feature(owner, dependency, feature, out)?;
        }
        if dependency.default_features && self.offers.default_matters(edge.brick, &options) {
            let default = FeatureName::parse(DEFAULT_FEATURE).expect("it is a feature's name");
            self.demand_feature(owner, dependency, &default, out)?;
        }
        Ok(())
    }

    /// The feature for want of which nothing meets the edge, if it is that.
    fn missing(&self, edge: &Edge<'a>) -> Option<FeatureId> {
        let fits = self.offers.options(edge.brick, edge.req, &[]);
        if fits.is_empty() {
            return None;
        }
        let lacking =
            edge.features.iter().find(|f| self.offers.with_feature(edge.brick, &fits, f).is_empty());
        lacking.or(edge.features.last()).map(|feature| self.offers.feature(feature))
    }

    /// What `owner` needs to have `feature` on in what meets `dependency`.
    fn demand_feature(
        &self,
        owner: Option<LineId>,
        dependency: &'a Dependency,
        feature: &FeatureName,
        out: &mut Demands,
    ) -> Result<(), Stop> {
        let (edge, options) = self.edge(owner, dependency)?;
        if options.is_empty() {
            return Ok(()); // that it is unmet is said by `demand`
        }
        let id = self.offers.feature(feature);
        let having = self.offers.with_feature(edge.brick, &options, feature);
        let demand = match (&options[..], &having[..]) {
            (_, []) => {
                let unmet = Key::Unmet { brick: edge.brick, req: edge.req, asked: Some(id) };
                (self.package(unmet), PlaceSet::empty())
            }
            ([_], [(line, set), ..]) => {
                (self.package(Key::Feature(LineId { brick: edge.brick, line: *line }, id)), set.clone())
            }
            (_, having) => (self.package(Key::ChoiceFeature(edge, id)), places(having)),
        };
        out.push(demand);
        Ok(())
    }

    /// What one item of `feature` turns on.
    fn demand_item(
        &self,
        line: LineId,
        place: Place,
        release: &'a IndexLine,
        feature: FeatureId,
        item: &FeatureItem,
        out: &mut Demands,
    ) -> Result<(), Failed> {
        let refused = || Failed::Refused(Refusal::Item(item.clone()));
        let here = || PlaceSet::singleton(place);
        match item {
            FeatureItem::Feature(other) => {
                if !has(release, other) {
                    return Err(refused());
                }
                out.push((self.package(Key::Feature(line, self.offers.feature(other))), here()));
            }
            FeatureItem::Requirement(brick) => {
                let dependency =
                    release.deps.iter().find(|d| d.optional && d.name == *brick).ok_or_else(refused)?;
                let brick = self.offers.brick(&dependency.name)?;
                out.push((self.package(Key::Optional(line, brick)), here()));
            }
            FeatureItem::Strong(brick, asked) | FeatureItem::Weak(brick, asked) => {
                let weak = matches!(item, FeatureItem::Weak(..));
                let dependencies = sorted(release.deps.iter().filter(|d| d.name == *brick));
                let brick = self.offers.brick(&dependencies.first().ok_or_else(refused)?.name)?;
                if dependencies.iter().any(|d| d.optional) {
                    if weak {
                        let asked = self.offers.feature(asked);
                        let weak = Key::Weak { line, release: place, feature, brick, asked };
                        out.push((self.package(weak), weak_set([WEAK_REQUIREMENT_OFF, WEAK_BOTH_ON])));
                    } else {
                        out.push((self.package(Key::Optional(line, brick)), here()));
                    }
                }
                for dependency in dependencies.into_iter().filter(|d| !(weak && d.optional)) {
                    self.demand_feature(Some(line), dependency, asked, out)?;
                }
            }
        }
        Ok(())
    }

    fn spend(&self, demands: &Demands) -> Result<(), Stop> {
        let words: usize = demands.iter().map(|(_, set)| WORDS_EACH + set.word_count()).sum();
        self.words.set(self.words.get().saturating_add(words));
        if self.words.get() > MAX_REQUIREMENT_WORDS {
            return Err(Stop::TooHard { what: "words of requirements", max: MAX_REQUIREMENT_WORDS });
        }
        if self.packages.borrow().1.len() > MAX_PACKAGES {
            return Err(Stop::TooHard { what: "bricks, features and choices", max: MAX_PACKAGES });
        }
        Ok(())
    }
}

/// In an order that does not depend on how the index file lists them.
pub(crate) fn sorted<'a>(dependencies: impl Iterator<Item = &'a Dependency>) -> Vec<&'a Dependency> {
    let mut dependencies: Vec<_> = dependencies.collect();
    dependencies.sort();
    dependencies
}

/// The lines of `options`.
pub(crate) fn places(options: &[(Place, PlaceSet)]) -> PlaceSet {
    let end = options.last().map_or(0, |(line, _)| line.index() + 1);
    PlaceSet::filter(end, |at| options.iter().any(|(line, _)| line.index() == at))
}

fn weak_set(states: [usize; 2]) -> PlaceSet {
    PlaceSet::filter(WEAK_BOTH_ON + 1, |state| states.contains(&state))
}
