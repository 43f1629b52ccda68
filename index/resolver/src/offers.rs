//! Which releases of a brick are on offer, and which of them meet a requirement?

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use brick_schemas::index_line::MAX_RELEASES;
use brick_schemas::predicate::release::Dependency;
use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{FeatureName, FullName, IndexLine, Requirement, Version};
use pubgrub::VersionSet;

use crate::set::{Place, PlaceSet};
use crate::{CompatibleLine, Preference, Universe};

/// The name of the feature that is on unless a requirement says otherwise. Every release has it, if empty.
pub(crate) const DEFAULT_FEATURE: &str = "default";

/// A brick that was looked at, by order of looking.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub(crate) struct BrickId(u32);

/// A feature's name that was come across, by order of coming.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub(crate) struct FeatureId(u32);

/// A compatible line of a brick: the brick and the line's place among those it offers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub(crate) struct LineId {
    pub(crate) brick: BrickId,
    pub(crate) line: Place,
}

/// What a brick offers.
pub(crate) struct Offer<'a> {
    pub(crate) name: &'a FullName,
    /// Oldest first; lines without a release that may be chosen are absent.
    pub(crate) lines: Vec<LineOffer<'a>>,
}

/// What a compatible line offers: releases that may be chosen, ascending, at least one.
pub(crate) struct LineOffer<'a> {
    pub(crate) line: CompatibleLine,
    pub(crate) releases: Vec<&'a IndexLine>,
    /// Those to be tried before others.
    preferred: PlaceSet,
}

/// Why a look at the index cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("not fetched yet")]
    Unfetched(BTreeSet<FullName>),
    #[error("more than {max} {what}")]
    TooHard { what: &'static str, max: usize },
}

/// Lines of a brick by place, with the releases in each that meet a requirement; no set is empty.
pub(crate) type Options = Rc<Vec<(Place, PlaceSet)>>;

/// What names a set of options: the brick, the requirement, the features asked for.
type OptionsKey<'a> = (BrickId, &'a Requirement, &'a [FeatureName]);

/// The bricks looked at so far, by id.
#[derive(Default)]
struct LookedAt<'a> {
    ids: HashMap<&'a FullName, BrickId>,
    offers: Vec<Rc<Offer<'a>>>,
}

/// The releases on offer, looked up in the universe once each.
pub(crate) struct Offers<'a> {
    pub(crate) universe: &'a Universe,
    locked: &'a BTreeMap<FullName, BTreeSet<Version>>,
    prefer: &'a BTreeMap<FullName, BTreeSet<Version>>,
    preference: Preference,
    bricks: RefCell<LookedAt<'a>>,
    features: RefCell<(HashMap<FeatureName, FeatureId>, Vec<FeatureName>)>,
    options: RefCell<HashMap<OptionsKey<'a>, Options>>,
}

impl<'a> Offers<'a> {
    /// - `locked`: what may stay though yanked or withdrawn.
    /// - `prefer`: what is tried first.
    pub(crate) fn new(
        universe: &'a Universe,
        locked: &'a BTreeMap<FullName, BTreeSet<Version>>,
        prefer: &'a BTreeMap<FullName, BTreeSet<Version>>,
        preference: Preference,
    ) -> Self {
        Self {
            universe,
            locked,
            prefer,
            preference,
            bricks: RefCell::default(),
            features: RefCell::default(),
            options: RefCell::default(),
        }
    }

    /// The brick's id, looking it up in the universe the first time.
    pub(crate) fn brick(&self, name: &'a FullName) -> Result<BrickId, Stop> {
        if let Some(id) = self.bricks.borrow().ids.get(name) {
            return Ok(*id);
        }
        let Some(releases) = self.universe.get(name) else {
            return Err(Stop::Unfetched([name.clone()].into()));
        };
        if releases.len() > MAX_RELEASES {
            return Err(Stop::TooHard { what: "releases of one brick", max: MAX_RELEASES });
        }
        let offer = Rc::new(self.look_up(name, releases));
        let LookedAt { ids, offers } = &mut *self.bricks.borrow_mut();
        let id = BrickId(u32::try_from(offers.len()).expect("an index has far fewer bricks"));
        offers.push(offer);
        ids.insert(name, id);
        Ok(id)
    }

    fn look_up(&self, name: &'a FullName, releases: &'a [IndexLine]) -> Offer<'a> {
        let mut lines: Vec<LineOffer<'a>> = Vec::new();
        let may_be_chosen = |release: &&IndexLine| match release.status {
            ReleaseStatus::Active | ReleaseStatus::Deprecated => true,
            ReleaseStatus::Yanked | ReleaseStatus::Withdrawn => self.is_locked(release),
        };
        for release in releases.iter().filter(may_be_chosen) {
            let line = CompatibleLine::of(&release.vers);
            match lines.last_mut() {
                Some(last) if last.line == line => last.releases.push(release),
                _ => lines.push(LineOffer { line, releases: vec![release], preferred: PlaceSet::empty() }),
            }
        }
        if let Some(prefer) = self.prefer.get(name) {
            for line in &mut lines {
                line.preferred =
                    PlaceSet::filter(line.releases.len(), |at| prefer.contains(&line.releases[at].vers));
            }
        }
        Offer { name, lines }
    }

    /// Whether a release may stay though yanked or withdrawn.
    pub(crate) fn is_locked(&self, release: &IndexLine) -> bool {
        self.locked.get(&release.name).is_some_and(|locked| locked.contains(&release.vers))
    }

    pub(crate) fn offer(&self, brick: BrickId) -> Rc<Offer<'a>> {
        Rc::clone(&self.bricks.borrow().offers[brick.0 as usize])
    }

    pub(crate) fn release(&self, line: LineId, release: Place) -> &'a IndexLine {
        self.offer(line.brick).lines[line.line.index()].releases[release.index()]
    }

    pub(crate) fn feature(&self, name: &FeatureName) -> FeatureId {
        let (ids, names) = &mut *self.features.borrow_mut();
        if let Some(id) = ids.get(name) {
            return *id;
        }
        let id = FeatureId(u32::try_from(names.len()).expect("features are bounded by the work allowed"));
        ids.insert(name.clone(), id);
        names.push(name.clone());
        id
    }

    pub(crate) fn feature_name(&self, feature: FeatureId) -> FeatureName {
        self.features.borrow().1[feature.0 as usize].clone()
    }

    /// The releases that meet `dependency`: its requirement, and having all the features it asks for.
    pub(crate) fn options_of(&self, dependency: &'a Dependency) -> Result<(BrickId, Options), Stop> {
        let brick = self.brick(&dependency.name)?;
        Ok((brick, self.options(brick, &dependency.req, &dependency.features)))
    }

    /// The releases of `brick` that meet a requirement and have all of `features`.
    pub(crate) fn options(
        &self,
        brick: BrickId,
        req: &'a Requirement,
        features: &'a [FeatureName],
    ) -> Options {
        if let Some(options) = self.options.borrow().get(&(brick, req, features)) {
            return Rc::clone(options);
        }
        let fits =
            |release: &IndexLine| req.matches(&release.vers) && features.iter().all(|f| has(release, f));
        let options: Options = Rc::new(
            self.offer(brick)
                .lines
                .iter()
                .enumerate()
                .map(|(at, line)| {
                    (Place::of(at), PlaceSet::filter(line.releases.len(), |at| fits(line.releases[at])))
                })
                .filter(|(_, releases)| !releases.is_empty())
                .collect(),
        );
        self.options.borrow_mut().insert((brick, req, features), Rc::clone(&options));
        options
    }

    /// Those of `options` that have `feature` too.
    pub(crate) fn with_feature(
        &self,
        brick: BrickId,
        options: &[(Place, PlaceSet)],
        feature: &FeatureName,
    ) -> Vec<(Place, PlaceSet)> {
        let offer = self.offer(brick);
        options
            .iter()
            .map(|(at, set)| {
                let releases = &offer.lines[at.index()].releases;
                let having = PlaceSet::filter(releases.len(), |index| has(releases[index], feature));
                (*at, having.intersection(set))
            })
            .filter(|(_, set)| !set.is_empty())
            .collect()
    }

    /// Whether turning `default` on changes anything in some of `options`.
    pub(crate) fn default_matters(&self, brick: BrickId, options: &[(Place, PlaceSet)]) -> bool {
        let offer = self.offer(brick);
        options.iter().any(|(at, set)| {
            let releases = &offer.lines[at.index()].releases;
            set.iter().any(|index| releases[index].features.keys().any(|f| f.as_str() == DEFAULT_FEATURE))
        })
    }

    /// The release to try first of those in `set`.
    pub(crate) fn best_release(&self, line: LineId, set: &PlaceSet) -> Option<Place> {
        let preferred = self.offer(line.brick).lines[line.line.index()].preferred.intersection(set);
        self.best(if preferred.is_empty() { set } else { &preferred })
    }

    /// The line to try first of those of `options` that are in `set`: one with a preferred release, if there is one.
    pub(crate) fn best_line(
        &self,
        brick: BrickId,
        options: &[(Place, PlaceSet)],
        set: &PlaceSet,
    ) -> Option<Place> {
        let offer = self.offer(brick);
        let is_preferred = |at: usize| {
            let place = Place::of(at);
            options.iter().any(|(option, releases)| {
                *option == place && !releases.is_disjoint(&offer.lines[at].preferred)
            })
        };
        let preferred =
            PlaceSet::filter(offer.lines.len(), |at| set.contains(&Place::of(at)) && is_preferred(at));
        self.best(if preferred.is_empty() { set } else { &preferred })
    }

    fn best(&self, set: &PlaceSet) -> Option<Place> {
        match self.preference {
            Preference::Highest => set.iter().next_back(),
            Preference::Lowest => set.iter().next(),
        }
        .map(Place::of)
    }
}

/// Whether `release` has `feature`; every release has `default`.
pub(crate) fn has(release: &IndexLine, feature: &FeatureName) -> bool {
    feature.as_str() == DEFAULT_FEATURE || release.features.contains_key(feature)
}
