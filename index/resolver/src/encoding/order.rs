//! In which order does the solver decide, and what does it try first?

use std::cmp::Reverse;
use std::collections::BTreeMap;

use pubgrub::{Dependencies, DependencyProvider, PackageResolutionStatistics, VersionSet};

use super::{Encoding, Failed, Key, MAX_STEPS, MAX_WORK, Package, Refusal, WEAK_BOTH_ON};
use crate::offers::{LineId, Stop};
use crate::set::{Place, PlaceSet, operation_count};

impl<'a> Encoding<'a> {
    /// The place that `package` must have because its line or choice has it.
    fn followed(&self, package: Key<'a>, set: &PlaceSet) -> Option<Place> {
        let followed = self.package(package);
        self.decided.borrow().get(&followed).copied().filter(|place| set.contains(place))
    }

    /// Whether the solution, taken as a lock, would be chosen again: no choice sees a better line among what is chosen,
    /// and no weak item had to be turned on after the fact.
    pub(crate) fn is_settled(&self, solution: &BTreeMap<Package, Place>) -> bool {
        solution.iter().all(|(package, place)| match self.key(*package) {
            Key::Choice(edge) => {
                let options = self.offers.options(edge.brick, edge.req, edge.features);
                let is_chosen = |line: Place, set: &PlaceSet| {
                    let line = self.package(Key::Line(LineId { brick: edge.brick, line }));
                    solution.get(&line).is_some_and(|release| set.contains(release))
                };
                let mut chosen =
                    options.iter().filter(|(line, set)| is_chosen(*line, set)).map(|(line, _)| *line);
                match self.problem.preference {
                    crate::Preference::Highest => chosen.next_back() == Some(*place),
                    crate::Preference::Lowest => chosen.next() == Some(*place),
                }
            }
            Key::Weak { .. } => place.index() != WEAK_BOTH_ON,
            _ => true,
        })
    }
}

impl<'a> DependencyProvider for Encoding<'a> {
    type P = Package;
    type V = Place;
    type VS = PlaceSet;
    type M = Refusal;
    type Err = Stop;
    /// Bricks before their features before weak items; then what conflicted most, then what has the fewest versions.
    type Priority = (u8, u32, Reverse<usize>);

    fn prioritize(
        &self,
        package: &Package,
        set: &PlaceSet,
        statistics: &PackageResolutionStatistics,
    ) -> Self::Priority {
        let class = match self.key(*package) {
            Key::Root | Key::Unmet { .. } | Key::Line(_) | Key::Choice(_) => 2,
            Key::Feature(..) | Key::Optional(..) | Key::ChoiceFeature(..) => 1,
            Key::Weak { .. } => 0,
        };
        (class, statistics.conflict_count(), Reverse(set.len()))
    }

    fn choose_version(&self, package: &Package, set: &PlaceSet) -> Result<Option<Place>, Stop> {
        let key = self.key(*package);
        let place = match key {
            Key::Root => Some(Place(0)),
            Key::Unmet { .. } => None,
            Key::Line(line) => self.offers.best_release(line, set),
            Key::Feature(line, _) | Key::Optional(line, _) => {
                self.followed(Key::Line(line), set).or_else(|| self.offers.best_release(line, set))
            }
            Key::Choice(edge) => {
                let options = self.offers.options(edge.brick, edge.req, edge.features);
                self.offers.best_line(edge.brick, &options, set)
            }
            Key::ChoiceFeature(edge, _) => self.followed(Key::Choice(edge), set).or_else(|| {
                let options = self.offers.options(edge.brick, edge.req, edge.features);
                self.offers.best_line(edge.brick, &options, set)
            }),
            Key::Weak { .. } => set.iter().next().map(Place::of),
        };
        if let (Key::Line(_) | Key::Choice(_), Some(place)) = (key, place) {
            self.decided.borrow_mut().insert(*package, place);
        }
        Ok(place)
    }

    fn get_dependencies(
        &self,
        package: &Package,
        place: &Place,
    ) -> Result<Dependencies<Package, PlaceSet, Refusal>, Stop> {
        match self.demands(*package, *place) {
            Ok(demands) => Ok(Dependencies::Available(demands.into_iter().collect())),
            Err(Failed::Refused(refusal)) => Ok(Dependencies::Unavailable(refusal)),
            Err(Failed::Stop(stop)) => Err(stop),
        }
    }

    fn should_cancel(&self) -> Result<(), Stop> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MAX_STEPS {
            return Err(Stop::TooHard { what: "steps", max: MAX_STEPS });
        }
        if operation_count() > MAX_WORK {
            return Err(Stop::TooHard { what: "comparisons of releases", max: MAX_WORK as usize });
        }
        Ok(())
    }
}
