//! A small language for indexes, so that a case reads like its problem.
//!
//! ```text
//! root -> a ^1, b ~2.1 +f -default                what is required; `+f` asks for a feature
//! root f = b/g                                    a feature of the root
//! lock a 1.0.0                                    a locked release
//! a 1.0.0 -> b ^1, ?c >=1&<3; yanked              a release; `?` is optional, `&` stands for a comma
//! a 1.1.0; default = f dep:c; f = c?/g            features and their items
//! gone                                            a brick shown not to exist
//! ```
//! A name without a slash is short for `x.example/NAME`.

#![allow(dead_code)]

pub mod graph;

use std::collections::{BTreeMap, BTreeSet};

use brick_resolver::{Preference, Problem, Resolution, Universe, Unresolved, resolve};
use brick_schemas::index_line::INDEX_LINE_VERSION;
use brick_schemas::predicate::release::{BrickKind, Dependency, Maturity};
use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{Contents, Digest, FeatureItem, FeatureName, FullName, IndexLine, Requirement, Version};

pub type Features = BTreeMap<FeatureName, Vec<FeatureItem>>;
pub type Locked = BTreeMap<FullName, BTreeSet<Version>>;

pub const ROOT: &str = "northshire.gov.uk/report-missed-bin";

/// An index, what is required of it, and what is locked.
#[derive(Default, Clone)]
pub struct World {
    pub requires: Vec<Dependency>,
    pub features: Features,
    pub locked: Locked,
    pub bricks: BTreeMap<FullName, Option<Vec<IndexLine>>>,
}

/// In the small language itself, so that a failing case can be pasted into a scenario.
impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let deps = |deps: &[Dependency]| {
            let one = |d: &Dependency| {
                let optional = if d.optional { "?" } else { "" };
                let req = d.req.to_string().replace(", ", "&");
                let features: String = d.features.iter().map(|feature| format!(" +{feature}")).collect();
                let default = if d.default_features { "" } else { " -default" };
                format!("{optional}{} {req}{features}{default}", d.name)
            };
            deps.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "\nroot -> {}", deps(&self.requires))?;
        for (feature, items) in &self.features {
            writeln!(f, "root {feature} = {}", texts(items))?;
        }
        for (brick, versions) in &self.locked {
            for version in versions {
                writeln!(f, "lock {brick} {version}")?;
            }
        }
        for line in self.bricks.values().flatten().flatten() {
            write!(f, "{} {} -> {}", line.name, line.vers, deps(&line.deps))?;
            for (feature, items) in &line.features {
                write!(f, "; {feature} = {}", texts(items))?;
            }
            let status =
                if line.status == ReleaseStatus::Active { "" } else { &format!("; {}", line.status) };
            writeln!(f, "{status}")?;
        }
        Ok(())
    }
}

pub fn name(text: &str) -> FullName {
    let full = if text.contains('/') { text.to_owned() } else { format!("x.example/{text}") };
    FullName::parse(&full).unwrap()
}

pub fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

pub fn release(brick: FullName, version: Version, deps: Vec<Dependency>) -> IndexLine {
    IndexLine {
        v: INDEX_LINE_VERSION,
        name: brick,
        vers: version,
        kind: BrickKind::Component,
        maturity: Maturity::Live,
        license: "MIT".to_owned(),
        deps,
        features: BTreeMap::new(),
        cksum: Digest::of(b""),
        contents: Contents::of([]),
        size: 0,
        provides: BTreeMap::new(),
        needs: BTreeMap::new(),
        status: ReleaseStatus::Active,
        use_instead: None,
        entry: 0,
        time: 0,
        forked_from: None,
    }
}

pub fn dependency(text: &str) -> Dependency {
    let mut words = text.split_whitespace();
    let first = words.next().expect("a name");
    let optional = first.starts_with('?');
    let mut dependency = Dependency {
        name: name(first.trim_start_matches('?')),
        req: Requirement::parse(&words.next().expect("a requirement").replace('&', ", ")).unwrap(),
        features: Vec::new(),
        optional,
        default_features: true,
    };
    for word in words {
        match word.strip_prefix('+') {
            Some(feature) => dependency.features.push(FeatureName::parse(feature).unwrap()),
            None if word == "-default" => dependency.default_features = false,
            None => panic!("{word:?} in {text:?}"),
        }
    }
    dependency
}

fn texts(items: &[FeatureItem]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn item(text: &str) -> FeatureItem {
    let expand = |name: &str| if name.contains('.') { name.to_owned() } else { format!("x.example/{name}") };
    let text = match (text.strip_prefix("dep:"), text.contains('/')) {
        (Some(brick), _) => format!("dep:{}", expand(brick)),
        (None, true) => expand(text),
        (None, false) => text.to_owned(),
    };
    FeatureItem::parse(&text).unwrap()
}

fn feature(text: &str) -> (FeatureName, Vec<FeatureItem>) {
    let (feature, items) = text.split_once('=').expect("feature = items");
    (FeatureName::parse(feature.trim()).unwrap(), items.split_whitespace().map(item).collect())
}

impl World {
    pub fn parse(text: &str) -> Self {
        let mut world = World::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut parts = line.split(';').map(str::trim);
            let head = parts.next().unwrap();
            let (head, deps) = head.split_once("->").unwrap_or((head, ""));
            let deps = deps.split(',').map(str::trim).filter(|d| !d.is_empty()).map(dependency).collect();
            match head.split_whitespace().collect::<Vec<_>>()[..] {
                ["root"] => world.requires = deps,
                ["root", ..] => world.features.extend([feature(&head["root".len()..])]),
                ["lock", brick, locked] => {
                    world.locked.entry(name(brick)).or_default().insert(version(locked));
                }
                [brick] => {
                    world.bricks.insert(name(brick), None);
                }
                [brick, vers] => {
                    let mut line = release(name(brick), version(vers), deps);
                    for attribute in parts {
                        match attribute {
                            "yanked" => line.status = ReleaseStatus::Yanked,
                            "withdrawn" => line.status = ReleaseStatus::Withdrawn,
                            "deprecated" => line.status = ReleaseStatus::Deprecated,
                            other => line.features.extend([feature(other)]),
                        }
                    }
                    world.bricks.entry(name(brick)).or_default().get_or_insert_default().push(line);
                }
                _ => panic!("{line:?}"),
            }
        }
        world
    }

    pub fn universe(&self) -> Universe {
        let mut universe = Universe::default();
        for (name, lines) in &self.bricks {
            universe.insert(name.clone(), lines.clone());
        }
        universe
    }

    pub fn problem<'a>(&'a self, universe: &'a Universe) -> Problem<'a> {
        Problem::new(ROOT, &self.requires, &self.features, universe, &self.locked)
    }

    /// The answer with the whole index at hand; bricks that are not in it do not exist.
    pub fn resolve(&self) -> Result<Resolution, Unresolved> {
        self.resolve_preferring(Preference::Highest)
    }

    pub fn resolve_preferring(&self, preference: Preference) -> Result<Resolution, Unresolved> {
        let mut universe = self.universe();
        loop {
            match resolve(&Problem { preference, ..self.problem(&universe) }) {
                Err(Unresolved::Unfetched(names)) => {
                    for name in names {
                        assert!(!universe.contains(&name), "{name} was fetched already");
                        assert!(!self.bricks.contains_key(&name), "{name} is in the universe");
                        universe.insert(name, None);
                    }
                }
                answer => return answer,
            }
        }
    }

    /// The answer when the index is fetched as it is asked for, and how many rounds that took.
    pub fn resolve_fetching(&self) -> (Result<Resolution, Unresolved>, usize) {
        let mut universe = Universe::default();
        let mut rounds = 0;
        loop {
            match resolve(&self.problem(&universe)) {
                Err(Unresolved::Unfetched(names)) => {
                    rounds += 1;
                    assert!(!names.is_empty());
                    for name in names {
                        assert!(!universe.contains(&name), "{name} was fetched already");
                        let lines = self.bricks.get(&name).cloned().flatten();
                        universe.insert(name, lines);
                    }
                }
                answer => return (answer, rounds),
            }
        }
    }
}

/// `a 1.0.0, b 2.1.0 [f g]`: releases, and the features that are on.
pub fn shown(resolution: &Resolution) -> String {
    let bricks = resolution.bricks.iter().map(|brick| {
        let features: Vec<_> = brick.features.iter().map(ToString::to_string).collect();
        let name = brick.line.name.to_string();
        let short = name.strip_prefix("x.example/").unwrap_or(&name);
        match &features[..] {
            [] => format!("{short} {}", brick.line.vers),
            features => format!("{short} {} [{}]", brick.line.vers, features.join(" ")),
        }
    });
    bricks.collect::<Vec<_>>().join(", ")
}
