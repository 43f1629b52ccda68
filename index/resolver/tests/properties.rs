//! What holds of every answer, on small random indexes, against a solver that tries everything.
//!
//! `PROPTEST_CASES=100000` tries longer than the usual 256.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use brick_resolver::{CompatibleLine, Resolution, Unresolved};
use brick_schemas::predicate::release::Dependency;
use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{FeatureItem, FeatureName, FullName, IndexLine, Requirement, Version};
use common::{Features, World, name, release, shown, version};
use proptest::prelude::*;

// Random worlds.

const BRICKS: [&str; 5] = ["a", "b", "c", "d", "e"];
const VERSIONS: [&str; 10] =
    ["1.0.0", "1.1.0", "2.0.0", "1.2.0", "0.1.0", "0.1.1", "2.1.0-rc.1", "1.0.1", "1.1.1", "2.1.0"];
const REQUIREMENTS: [&str; 16] = [
    "^1",
    "*",
    "~1.0",
    ">=1",
    "^1.1",
    "*",
    "^2",
    "~1.1",
    "^0.1",
    "<1.2",
    ">=0.1, <2",
    "^2.1.0-rc.1",
    "<=1.1",
    ">=0.1",
    "^1",
    "=1.0.0",
];
const FEATURES: [&str; 3] = ["default", "f", "g"];

/// Bytes to draw choices from; zeros, to which shrinking leads, draw the first of everything.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn below(&mut self, end: usize) -> usize {
        usize::from(*self.0.next().unwrap_or(&0)) % end
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    fn dependencies(&mut self, bricks: &[&str], with_features: bool) -> Vec<Dependency> {
        let mut dependencies: Vec<Dependency> = Vec::new();
        for brick in bricks {
            if self.below(5) < 2 {
                let mut dependency = Dependency {
                    name: name(brick),
                    req: Requirement::parse(self.of(&REQUIREMENTS)).unwrap(),
                    features: Vec::new(),
                    optional: false,
                    default_features: true,
                };
                if with_features {
                    dependency.optional = self.below(3) == 2;
                    dependency.default_features = self.below(3) != 2;
                    dependency.features = FEATURES[1..]
                        .iter()
                        .filter(|_| self.below(4) == 3)
                        .map(|f| f.parse().unwrap())
                        .collect();
                }
                dependencies.push(dependency);
            }
        }
        dependencies
    }

    fn features(&mut self, dependencies: &[Dependency]) -> Features {
        let mut features = Features::new();
        for feature in FEATURES {
            if self.below(4) < 3 {
                let mut items = Vec::new();
                for _ in 0..self.below(4) {
                    let kind = self.below(5);
                    items.push(match dependencies {
                        [] => FeatureItem::Feature(self.of(&FEATURES).parse().unwrap()),
                        some => {
                            let brick = self.of(some).name.clone();
                            let feature = self.of(&FEATURES).parse().unwrap();
                            match kind {
                                0 => FeatureItem::Requirement(brick),
                                1 | 2 => FeatureItem::Weak(brick, feature),
                                3 => FeatureItem::Strong(brick, feature),
                                _ => FeatureItem::Feature(feature),
                            }
                        }
                    });
                }
                features.insert(feature.parse().unwrap(), items);
            }
        }
        features
    }

    fn world(&mut self, with_features: bool) -> World {
        let mut world = World { requires: self.dependencies(&BRICKS, with_features), ..World::default() };
        // What is optional for the root is on; the walk below need not know.
        world.requires.iter_mut().for_each(|dependency| dependency.optional = false);
        for (at, brick) in BRICKS.iter().enumerate() {
            if self.below(40) == 39 {
                continue;
            }
            let mut lines: BTreeMap<Version, IndexLine> = BTreeMap::new();
            for _ in 0..2 + self.below(5) {
                let deps = self.dependencies(&BRICKS[at + 1..], with_features);
                let features = if with_features { self.features(&deps) } else { Features::new() };
                let mut line = release(name(brick), version(self.of(&VERSIONS)), deps);
                line.features = features;
                line.status = match self.below(10) {
                    8 => ReleaseStatus::Deprecated,
                    9 => ReleaseStatus::Yanked,
                    _ => ReleaseStatus::Active,
                };
                lines.insert(line.vers.clone(), line);
            }
            world.bricks.insert(name(brick), Some(lines.into_values().collect()));
        }
        world
    }
}

fn worlds(with_features: bool) -> impl Strategy<Value = World> {
    prop::collection::vec(any::<u8>(), 400).prop_map(move |bytes| Dice(bytes.iter()).world(with_features))
}

// What an answer must satisfy, said again without the solver.

fn has(features: &Features, feature: &FeatureName) -> bool {
    feature.as_str() == "default" || features.contains_key(feature)
}

/// What features turn on in a release: all features, optional requirements, features of requirements (weak ones apart).
/// `None` when an item means nothing.
struct On {
    features: BTreeSet<FeatureName>,
    optional: BTreeSet<FullName>,
    of: BTreeSet<(FullName, FeatureName)>,
}

fn turned_on(features: &Features, deps: &[Dependency], asked: &BTreeSet<FeatureName>) -> Option<On> {
    let mut on = On { features: BTreeSet::new(), optional: BTreeSet::new(), of: BTreeSet::new() };
    let mut waiting: Vec<_> = asked.iter().cloned().collect();
    let mut weak = Vec::new();
    while let Some(feature) = waiting.pop() {
        if !has(features, &feature) {
            return None;
        }
        if !features.contains_key(&feature) || !on.features.insert(feature.clone()) {
            continue;
        }
        for item in &features[&feature] {
            let required = |brick: &FullName| deps.iter().find(|d| d.name == *brick);
            match item {
                FeatureItem::Feature(other) => waiting.push(other.clone()),
                FeatureItem::Requirement(brick) => {
                    if !required(brick)?.optional {
                        return None;
                    }
                    on.optional.insert(brick.clone());
                }
                FeatureItem::Weak(brick, feature) if required(brick)?.optional => {
                    weak.push((brick.clone(), feature.clone()));
                }
                FeatureItem::Strong(brick, feature) | FeatureItem::Weak(brick, feature) => {
                    required(brick)?;
                    on.optional.insert(brick.clone());
                    on.of.insert((brick.clone(), feature.clone()));
                }
            }
        }
    }
    on.of.extend(weak.into_iter().filter(|(brick, _)| on.optional.contains(brick)));
    Some(on)
}

fn allowed(line: &IndexLine, world: &World) -> bool {
    line.status < ReleaseStatus::Yanked
        || world.locked.get(&line.name).is_some_and(|locked| locked.contains(&line.vers))
}

type Node = Option<(FullName, Version)>;
type Edges = BTreeMap<(Node, FullName), Version>;

/// Walks from the root along `edges` and says which features are on in each release, or what is still open.
enum Walk {
    Done(BTreeMap<Node, BTreeSet<FeatureName>>),
    Open(Node, Dependency),
    Broken,
}

fn walk(world: &World, edges: &Edges) -> Walk {
    let lines = |node: &(FullName, Version)| {
        world.bricks[&node.0].as_ref().unwrap().iter().find(|line| line.vers == node.1).unwrap()
    };
    let mut asked: BTreeMap<Node, BTreeSet<FeatureName>> = BTreeMap::from([(None, BTreeSet::new())]);
    loop {
        let mut next = asked.clone();
        for (node, features) in &asked {
            let (deps, has_features) = match node {
                None => (&world.requires, &world.features),
                Some(node) => (&lines(node).deps, &lines(node).features),
            };
            let Some(on) = turned_on(has_features, deps, features) else { return Walk::Broken };
            for dependency in deps.iter().filter(|d| !d.optional || on.optional.contains(&d.name)) {
                let Some(version) = edges.get(&(node.clone(), dependency.name.clone())) else {
                    return Walk::Open(node.clone(), dependency.clone());
                };
                let target = next.entry(Some((dependency.name.clone(), version.clone()))).or_default();
                target.extend(dependency.features.iter().cloned());
                if dependency.default_features {
                    target.insert("default".parse().unwrap());
                }
                let of = on.of.iter().filter(|(brick, _)| *brick == dependency.name);
                target.extend(of.map(|(_, feature)| feature.clone()));
            }
        }
        if next == asked {
            let mut features = BTreeMap::new();
            for (node, asked) in asked {
                if let Some(at) = &node {
                    let line = lines(at);
                    let Some(on) = turned_on(&line.features, &line.deps, &asked) else { return Walk::Broken };
                    features.insert(node, on.features);
                }
            }
            return Walk::Done(features);
        }
        asked = next;
    }
}

/// Whether any choice of edges is an answer; `None` after too many tries.
fn try_everything(world: &World, edges: &mut Edges, tries: &mut usize) -> Option<bool> {
    *tries += 1;
    if *tries > 30_000 {
        return None;
    }
    let (node, dependency) = match walk(world, edges) {
        Walk::Done(_) => return Some(true),
        Walk::Broken => return Some(false),
        Walk::Open(node, dependency) => (node, dependency),
    };
    let lines = world.bricks.get(&dependency.name).cloned().flatten().unwrap_or_default();
    for line in lines.iter().filter(|line| allowed(line, world) && dependency.req.matches(&line.vers)) {
        let of_line = CompatibleLine::of(&line.vers);
        let clashes = edges.iter().any(|((_, brick), version)| {
            *brick == line.name && CompatibleLine::of(version) == of_line && *version != line.vers
        });
        if clashes {
            continue;
        }
        edges.insert((node.clone(), dependency.name.clone()), line.vers.clone());
        match try_everything(world, edges, tries) {
            Some(false) => {}
            found => return found,
        }
        edges.remove(&(node.clone(), dependency.name.clone()));
    }
    Some(false)
}

/// Checks that the answer satisfies every requirement, and nothing but what is required is in it.
fn assert_sound(world: &World, resolution: &Resolution) {
    let mut edges = Edges::new();
    let mut lines = BTreeSet::new();
    for (brick, version) in &resolution.direct {
        edges.insert((None, brick.clone()), version.clone());
    }
    for brick in &resolution.bricks {
        let line = &brick.line;
        assert!(allowed(line, world), "{} {} is {}", line.name, line.vers, line.status);
        assert!(lines.insert((line.name.clone(), CompatibleLine::of(&line.vers))), "two of one line");
        for (to, version) in &brick.dependencies {
            edges.insert((Some((line.name.clone(), line.vers.clone())), to.clone()), version.clone());
        }
    }
    for ((node, to), version) in &edges {
        let deps = match node {
            None => &world.requires,
            Some((brick, version)) => {
                &resolution
                    .bricks
                    .iter()
                    .find(|b| b.line.name == *brick && b.line.vers == *version)
                    .unwrap()
                    .line
                    .deps
            }
        };
        let dependency = deps.iter().find(|d| d.name == *to).unwrap();
        assert!(dependency.req.matches(version), "{to} {version} for {}", dependency.req);
    }
    let Walk::Done(features) = walk(world, &edges) else {
        panic!("an open or broken answer: {}", shown(resolution))
    };
    let expected: BTreeMap<Node, BTreeSet<FeatureName>> = resolution
        .bricks
        .iter()
        .map(|brick| (Some((brick.line.name.clone(), brick.line.vers.clone())), brick.features.clone()))
        .collect();
    assert_eq!(features, expected);
}

/// The highest of everything, when no two requirements are in each other's way.
fn highest_of_all(world: &World) -> Option<Edges> {
    let mut edges = Edges::new();
    loop {
        let (node, dependency) = match walk(world, &edges) {
            Walk::Done(_) => break,
            Walk::Broken => return None,
            Walk::Open(node, dependency) => (node, dependency),
        };
        let lines = world.bricks.get(&dependency.name)?.as_ref()?;
        let fits = |line: &&IndexLine| {
            allowed(line, world)
                && dependency.req.matches(&line.vers)
                && dependency.features.iter().all(|f| has(&line.features, f))
        };
        let best = lines.iter().filter(fits).map(|line| &line.vers).max()?;
        edges.insert((node, dependency.name.clone()), best.clone());
    }
    let mut lines: BTreeMap<(FullName, CompatibleLine), Version> = BTreeMap::new();
    for ((_, brick), version) in &edges {
        let known =
            lines.entry((brick.clone(), CompatibleLine::of(version))).or_insert_with(|| version.clone());
        if known != version {
            return None;
        }
    }
    Some(edges)
}

fn check(world: &World) -> Result<(), TestCaseError> {
    let answer = world.resolve();
    match &answer {
        Ok(resolution) => {
            assert_sound(world, resolution);
            // The lock keeps it, word for word; and so it does when the index is listed in another order.
            let mut locked = world.clone();
            locked.locked = resolution.locked();
            prop_assert_eq!(&locked.resolve(), &answer);
            if let Some(edges) = highest_of_all(world) {
                let chosen: BTreeSet<_> =
                    resolution.bricks.iter().map(|b| (b.line.name.clone(), b.line.vers.clone())).collect();
                let best: BTreeSet<_> =
                    edges.into_iter().map(|((_, brick), version)| (brick, version)).collect();
                prop_assert_eq!(chosen, best);
            }
        }
        Err(Unresolved::NoSolution(explanation)) => {
            let found = try_everything(world, &mut Edges::new(), &mut 0);
            prop_assert!(found != Some(true), "there is an answer, but: {}", explanation);
            let text = explanation.to_string();
            prop_assert!(text.lines().count() <= brick_resolver::MAX_EXPLANATION_LINES && !text.is_empty());
        }
        Err(other) => prop_assert!(false, "{other}"),
    }
    // Fetching on demand gives the same answer as having everything at once.
    prop_assert_eq!(&world.resolve_fetching().0, &answer);
    // So does an index in another order, with a brick more.
    let mut shuffled = world.clone();
    shuffled.requires.reverse();
    for lines in shuffled.bricks.values_mut().flatten() {
        lines.reverse();
        lines.iter_mut().for_each(|line| line.deps.reverse());
    }
    shuffled
        .bricks
        .insert(name("unrelated"), Some(vec![release(name("unrelated"), version("1.0.0"), Vec::new())]));
    let shuffled = shuffled.resolve().map(|mut resolution| {
        resolution.bricks.iter_mut().for_each(|brick| brick.line.deps.reverse());
        resolution
    });
    prop_assert_eq!(&shuffled, &answer);
    Ok(())
}

proptest! {
    #[test]
    fn every_answer_without_features_is_right(world in worlds(false)) {
        check(&world)?;
    }

    #[test]
    fn every_answer_with_features_is_right(world in worlds(true)) {
        check(&world)?;
    }

    #[test]
    fn a_lock_stays_when_something_unrelated_is_required_too(world in worlds(true)) {
        if let Ok(before) = world.resolve() {
            let mut more = world.clone();
            more.locked = before.locked();
            more.requires.push(Dependency {
                name: name("unrelated"),
                req: Requirement::parse("^1").unwrap(),
                features: Vec::new(),
                optional: false,
                default_features: true,
            });
            more.bricks.insert(name("unrelated"), Some(vec![release(name("unrelated"), version("1.0.0"), Vec::new())]));
            let after = more.resolve().unwrap();
            prop_assert_eq!(&after.bricks[..before.bricks.len()], &before.bricks[..]);
            prop_assert_eq!(after.bricks.len(), before.bricks.len() + 1);
        }
    }

    #[test]
    fn a_locked_release_stays_when_a_newer_one_comes(world in worlds(false)) {
        if let Ok(before) = world.resolve() {
            let mut newer = world.clone();
            newer.locked = before.locked();
            for (brick, lines) in &mut newer.bricks {
                lines.as_mut().unwrap().push(release(brick.clone(), version("1.9.0"), Vec::new()));
            }
            prop_assert_eq!(newer.resolve().unwrap(), before);
        }
    }
}
