//! How is an answer found?

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use brick_schemas::{FullName, Version};
use pubgrub::PubGrubError;

use crate::activate::{Active, Chosen, activate};
use crate::encoding::{Encoding, Key, Package, places};
use crate::explain::explain;
use crate::offers::{LineId, Offers, Stop};
use crate::set::Place;
use crate::{Problem, Resolution, Resolved, Unresolved};

/// Bricks that [`Unresolved::Unfetched`] names in one go, at most.
pub const MAX_UNFETCHED: usize = 1_024;
/// How often an answer is asked for again with itself as the lock, at most: see [`Encoding::is_settled`].
const MAX_SETTLING: usize = 4;

type Locked = BTreeMap<FullName, BTreeSet<Version>>;

/// Chooses a release for every requirement of the root and of what is chosen.
///
/// Cargo's meaning: a requirement is met by the highest release that fits with all others, at most one of each
/// compatible line of a brick; pre-releases only where the requirement names one; locked releases come first; yanked
/// and withdrawn ones only when locked; features are unified. Resolving again with the answer as the lock gives it again.
///
/// # Errors
/// [`Unresolved`] with what to fetch, or why nothing fits, or which bound was reached.
pub fn resolve(problem: &Problem) -> Result<Resolution, Unresolved> {
    let (mut resolution, mut settled) = attempt(problem, problem.locked)?;
    for _ in 0..MAX_SETTLING {
        if settled {
            break;
        }
        let prefer = resolution.locked();
        let (again, again_settled) = attempt(problem, &prefer)?;
        settled = again_settled || again == resolution;
        resolution = again;
    }
    match circle(&resolution) {
        Some(members) => Err(Unresolved::Cycle(members)),
        None => Ok(resolution),
    }
}

/// One run of the solver, trying the releases of `prefer` first; says too whether the answer is settled.
fn attempt(problem: &Problem, prefer: &Locked) -> Result<(Resolution, bool), Unresolved> {
    let offers = Offers::new(problem.universe, problem.locked, prefer, problem.preference);
    let encoding = Encoding::new(*problem, offers);
    let root = encoding.package(Key::Root);
    match pubgrub::resolve(&encoding, root, Place(0)) {
        Ok(selected) => {
            let solution: BTreeMap<Package, Place> = selected.into_iter().collect();
            let resolution =
                resolution(&encoding, &solution).map_err(|stop| unresolved(&encoding, None, stop))?;
            Ok((resolution, encoding.is_settled(&solution)))
        }
        Err(PubGrubError::NoSolution(tree)) => {
            Err(Unresolved::NoSolution(Box::new(explain(&encoding, tree))))
        }
        Err(PubGrubError::ErrorRetrievingDependencies { package, source, .. }) => {
            Err(unresolved(&encoding, Some(package), source))
        }
        Err(
            PubGrubError::ErrorChoosingVersion { source, .. } | PubGrubError::ErrorInShouldCancel(source),
        ) => Err(unresolved(&encoding, None, source)),
    }
}

/// Reads the chosen releases, their features and edges off the solver's answer.
fn resolution(encoding: &Encoding, solution: &BTreeMap<Package, Place>) -> Result<Resolution, Stop> {
    let offers = &encoding.offers;
    let active = activate(&encoding.problem, offers, |owner, dependency| {
        let (edge, options) = encoding.edge(owner, dependency)?;
        let line = match &options[..] {
            [(line, _)] => Some(*line),
            _ => solution.get(&encoding.package(Key::Choice(edge))).copied(),
        };
        let line = LineId { brick: edge.brick, line: line.expect("the solver decided every choice") };
        let release = solution.get(&encoding.package(Key::Line(line)));
        Ok(Some((line, *release.expect("the solver decided every line that is required"))))
    })?;
    let named = |edges: &BTreeSet<Chosen>| {
        let mut named: Vec<_> = edges
            .iter()
            .map(|(line, place)| {
                (offers.offer(line.brick).name.clone(), offers.release(*line, *place).vers.clone())
            })
            .collect();
        named.sort();
        named
    };
    let mut resolution = Resolution::default();
    for (node, Active { features, edges }) in &active {
        let dependencies = named(edges);
        match node {
            None => resolution.direct = dependencies,
            Some((line, place)) => resolution.bricks.push(Resolved {
                line: offers.release(*line, *place).clone(),
                features: features.clone(),
                dependencies,
            }),
        }
    }
    resolution.bricks.sort_by(|a, b| (&a.line.name, &a.line.vers).cmp(&(&b.line.name, &b.line.vers)));
    Ok(resolution)
}

/// A stop in the caller's words. When something is not fetched, names what else will be asked for soon.
///
/// - `asking`: the package whose demands could not be told.
fn unresolved(encoding: &Encoding, asking: Option<Package>, stop: Stop) -> Unresolved {
    let mut names = match stop {
        Stop::TooHard { what, max } => return Unresolved::TooHard { what, max },
        Stop::Unfetched(names) => names,
    };
    let ahead = unfetched_ahead(encoding);
    // Off the straight way the solver is trying one candidate after the other: ask for all of them at once.
    if !names.is_subset(&ahead)
        && let Some(Key::Line(line) | Key::Feature(line, _) | Key::Optional(line, _) | Key::Weak { line, .. }) =
            asking.map(|package| encoding.key(package))
    {
        let offer = encoding.offers.offer(line.brick);
        let candidates =
            offer.lines[line.line.index()].releases.iter().rev().flat_map(|release| &release.deps);
        let missing = candidates.map(|d| &d.name).filter(|name| !encoding.problem.universe.contains(name));
        extend_bounded(&mut names, missing.cloned());
    }
    extend_bounded(&mut names, ahead);
    Unresolved::Unfetched(names)
}

/// What is not fetched yet on the straight way: taking the best release for every requirement as if nothing conflicted.
fn unfetched_ahead(encoding: &Encoding) -> BTreeSet<FullName> {
    let names = RefCell::new(BTreeSet::new());
    // A bound that is reached on the way only means that fewer names are told at once.
    let _reached = activate(&encoding.problem, &encoding.offers, |owner, dependency| {
        match encoding.edge(owner, dependency) {
            Err(Stop::Unfetched(unfetched)) => {
                extend_bounded(&mut names.borrow_mut(), unfetched);
                Ok(None)
            }
            Err(hard) => Err(hard),
            Ok((edge, options)) => {
                let line = encoding.offers.best_line(edge.brick, &options, &places(&options));
                Ok(options.iter().find(|(option, _)| Some(*option) == line).and_then(|(line, set)| {
                    let line = LineId { brick: edge.brick, line: *line };
                    encoding.offers.best_release(line, set).map(|release| (line, release))
                }))
            }
        }
    });
    names.into_inner()
}

fn extend_bounded(names: &mut BTreeSet<FullName>, more: impl IntoIterator<Item = FullName>) {
    for name in more {
        if names.len() >= MAX_UNFETCHED {
            return;
        }
        names.insert(name);
    }
}

/// The first circle of requirements among the chosen releases, starting from its least member.
fn circle(resolution: &Resolution) -> Option<Vec<(FullName, Version)>> {
    let bricks = &resolution.bricks;
    let place = |(name, version): &(FullName, Version)| {
        bricks
            .binary_search_by(|brick| (&brick.line.name, &brick.line.vers).cmp(&(name, version)))
            .expect("a resolution holds what its bricks depend on")
    };
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Not,
        Open,
        Done,
    }
    let mut seen = vec![Seen::Not; bricks.len()];
    for start in 0..bricks.len() {
        // Depth first without recursion: the way from `start`, and how many dependencies of each are done.
        let mut way: Vec<(usize, usize)> = Vec::new();
        if seen[start] == Seen::Not {
            seen[start] = Seen::Open;
            way.push((start, 0));
        }
        while let Some((at, next)) = way.last_mut() {
            let Some(dependency) = bricks[*at].dependencies.get(*next) else {
                seen[*at] = Seen::Done;
                way.pop();
                continue;
            };
            *next += 1;
            let to = place(dependency);
            match seen[to] {
                Seen::Done => {}
                Seen::Not => {
                    seen[to] = Seen::Open;
                    way.push((to, 0));
                }
                Seen::Open => {
                    let mut members: Vec<usize> =
                        way.iter().map(|(at, _)| *at).skip_while(|at| *at != to).collect();
                    let least = (0..members.len()).min_by_key(|i| members[*i]).unwrap_or(0);
                    members.rotate_left(least);
                    let named = |at: usize| (bricks[at].line.name.clone(), bricks[at].line.vers.clone());
                    return Some(members.into_iter().map(named).collect());
                }
            }
        }
    }
    None
}
