//! Which releases meet the requirements, and what goes into the lockfile?

use std::collections::{BTreeMap, BTreeSet};

use brick_resolver::{Explanation, Problem, Reason, Resolution, Universe, Unresolved, resolve};
use brick_schemas::lockfile::{Commons, Head, LockedBrick, Lockfile};
use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{Digest, FullName, PublisherName, Version, differs_by_a_hair, near};
use brick_trust::{Refused, Step};

use super::Session;
use super::lookup::Look;
use super::project::{LOCK_FILE, Project};
use super::refusal::refused;
use crate::failure::Failure;

/// Rounds of resolving and looking up, at most: a chain of requirements is followed one link a round.
const MAX_ROUNDS: usize = 256;
/// Names that are compared with one that does not exist, at most.
const MAX_CANDIDATES: usize = 400;

/// What may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unlock {
    /// What is locked stays wherever it will still do.
    Nothing,
    /// Only these bricks may move.
    Only(BTreeSet<FullName>),
    /// Only this brick may move, to this version.
    Precise(FullName, Version),
    /// Everything.
    All,
}

/// An answer and the lockfile that holds it.
pub(crate) struct Answer {
    /// The chosen releases.
    pub(crate) resolution: Resolution,
    /// The lockfile as it should be.
    pub(crate) lock: Lockfile,
}

impl Session<'_> {
    /// Resolves a project: from what is kept where that gives just what is locked, else by asking the registry.
    ///
    /// - `old`: the lockfile there is.
    ///
    /// # Errors
    /// [`Failure`]: nothing fits (with the explanation), `--locked` and the lockfile would change, or a refusal.
    pub(crate) fn resolve(
        &mut self,
        project: &Project,
        old: Option<&Lockfile>,
        unlock: &Unlock,
    ) -> Result<Answer, Failure> {
        let answer = match old {
            Some(old) if *unlock == Unlock::Nothing && self.online().is_ok() => {
                match self.solve(project, Some(old), unlock, Look::Here) {
                    Ok(answer) if answer.lock.bricks == old.bricks => return Ok(answer),
                    // Not kept, damaged, or out of date: whatever it is, asking tells.
                    _ => self.solve_there(project, Some(old), unlock)?,
                }
            }
            _ if self.online().is_ok() => self.solve_there(project, old, unlock)?,
            _ => self.solve(project, old, unlock, Look::Here)?,
        };
        if self.ctx.limits().locked && old.map(|old| &old.bricks) != Some(&answer.lock.bricks) {
            return Err(would_change(old, &answer.lock));
        }
        Ok(answer)
    }

    fn solve_there(
        &mut self,
        project: &Project,
        old: Option<&Lockfile>,
        unlock: &Unlock,
    ) -> Result<Answer, Failure> {
        self.sync()?;
        self.solve(project, old, unlock, Look::There)
    }

    fn solve(
        &mut self,
        project: &Project,
        old: Option<&Lockfile>,
        unlock: &Unlock,
        look: Look,
    ) -> Result<Answer, Failure> {
        let (requires, features) = (project.requires(), project.features());
        let root = project.name().to_string();
        let locked = kept_locks(old, unlock);
        let mut universe = Universe::default();
        // What is locked will be asked for anyway: all in the first round trip.
        let mut unknown: BTreeSet<FullName> =
            requires.iter().map(|dependency| dependency.name.clone()).collect();
        unknown.extend(old.into_iter().flat_map(|lock| &lock.bricks).map(|brick| brick.name.clone()));
        for _ in 0..MAX_ROUNDS {
            for (name, lines) in self.look_up(&unknown, look)? {
                universe.insert(name, lines);
            }
            let problem = Problem::new(&root, &requires, &features, &universe, &locked);
            match resolve(&problem) {
                Ok(resolution) => return self.answer(resolution, old),
                Err(Unresolved::Unfetched(names)) => unknown = names,
                Err(Unresolved::NoSolution(explanation)) => return Err(self.nothing_fits(&explanation, look)),
                Err(err @ (Unresolved::Cycle(_) | Unresolved::TooHard { .. })) => {
                    return Err(Failure::yours(err.to_string()));
                }
            }
        }
        Err(Failure::yours(format!("the requirements of {root} are longer than {MAX_ROUNDS} steps")))
    }

    /// The lockfile of a resolution, checked against the one there was.
    fn answer(&mut self, resolution: Resolution, old: Option<&Lockfile>) -> Result<Answer, Failure> {
        let bricks: Vec<LockedBrick> = resolution
            .bricks
            .iter()
            .map(|brick| LockedBrick {
                name: brick.line.name.clone(),
                version: brick.line.vers.clone(),
                cksum: brick.line.cksum,
                entry: brick.line.entry,
                features: brick.features.iter().cloned().collect(),
                dependencies: brick.dependencies.clone(),
            })
            .collect();
        let mut new: BTreeSet<&PublisherName> = BTreeSet::new();
        for brick in &bricks {
            match old.and_then(|old| old.brick(&brick.name, &brick.version)) {
                None => drop(new.insert(&brick.name.publisher)),
                Some(locked) => check_locked(locked, brick).map_err(|err| refused(&err))?,
            }
        }
        if !new.is_empty() {
            self.demand_fresh(new.iter().copied())?;
        }
        let heads = self.heads_of(&bricks, old)?;
        let commons = Commons { origin: self.commons().origin(), root_sha256: self.commons().first_root() };
        Ok(Answer { lock: Lockfile::new(commons, heads, bricks), resolution })
    }

    /// The heads that a lockfile names: the old one of a publisher none of whose bricks changed, else the newest.
    fn heads_of(&mut self, bricks: &[LockedBrick], old: Option<&Lockfile>) -> Result<Vec<Head>, Failure> {
        let of = |bricks: &[LockedBrick], publisher: &PublisherName| -> Vec<LockedBrick> {
            bricks.iter().filter(|brick| brick.name.publisher == *publisher).cloned().collect()
        };
        let publishers: BTreeSet<&PublisherName> = bricks.iter().map(|brick| &brick.name.publisher).collect();
        let mut heads = Vec::new();
        for publisher in publishers {
            let log = self.kept_head(publisher)?;
            let record = self.commons().publisher(publisher).map(|record| record.origin.clone());
            let same = old.filter(|old| of(&old.bricks, publisher) == of(bricks, publisher));
            let kept =
                same.and_then(|old| old.heads.iter().find(|head| Some(&head.origin) == record.as_ref()));
            match (kept, log) {
                (Some(head), _) => heads.push(head.clone()),
                (None, Some(log)) => heads.push(Head {
                    origin: log.origin().clone(),
                    size: log.checkpoint().size,
                    root: Digest::from(*log.checkpoint().root.as_bytes()),
                }),
                (None, None) => {
                    return Err(super::refusal::not_kept(&format!("the head of {publisher}'s log")));
                }
            }
        }
        Ok(heads)
    }

    fn nothing_fits(&mut self, explanation: &Explanation, look: Look) -> Failure {
        let failure = Failure::yours(format!("nothing fits the requirements of {}", explanation.root))
            .detail(format!("{explanation}\n"));
        let unknown: BTreeSet<&FullName> = explanation
            .reasons
            .iter()
            .filter_map(|reason| match reason {
                Reason::Unknown { brick, .. } => Some(brick),
                _ => None,
            })
            .collect();
        match unknown.first() {
            Some(name) if look == Look::There => match self.near_names(name).first() {
                Some(near) => failure.help(format!("there is no brick {name}; did you mean {near}?")),
                None => failure.help(format!("look for a brick with `brick search {}`", name.publisher)),
            },
            _ => failure.help("change a requirement in the manifest, or `brick update` what is locked"),
        }
    }

    /// Bricks whose names are near to one that does not exist, as the registry lists them; best first.
    pub(crate) fn near_names(&mut self, name: &FullName) -> Vec<FullName> {
        let Ok(client) = self.online().cloned() else { return Vec::new() };
        let publishers: Vec<String> =
            self.commons().publishers().map(|record| record.id.to_string()).collect();
        let mut asked: Vec<&str> = Vec::new();
        if self.commons().publisher(&name.publisher).is_some() {
            asked.push(name.publisher.as_str());
        }
        asked.extend(near(name.publisher.as_str(), publishers.iter().map(String::as_str)));
        let mut found: Vec<FullName> = Vec::new();
        for publisher in asked {
            let mut cursor = None;
            while found.len() < MAX_CANDIDATES {
                // A hint is not worth a failure of its own.
                let page =
                    self.wait(client.search(&format!("{publisher}/"), MAX_CANDIDATES, cursor.as_deref()));
                let Ok(page) = page else { break };
                found.extend(page.bricks.into_iter().map(|brick| brick.name));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        near(&name.to_string(), texts.iter().map(String::as_str))
            .into_iter()
            .filter_map(|text| FullName::parse(text).ok())
            .collect()
    }

    /// Bricks of the same publisher that are easily taken for this one.
    pub(crate) fn look_alikes(&mut self, name: &FullName) -> Vec<FullName> {
        let mut alike = self.near_names(name);
        alike.retain(|other| {
            other.publisher == name.publisher && differs_by_a_hair(other.brick.as_str(), name.brick.as_str())
        });
        alike
    }

    /// Says what came, went and moved, and what to know about what was chosen.
    pub(crate) fn say_changes(&self, old: Option<&Lockfile>, answer: &Answer) {
        let changes = changes(old, &answer.lock);
        if !changes.is_empty() {
            self.ctx
                .status("Locking", format_args!("{} {}", changes.len(), plural(changes.len(), "release")));
        }
        for change in &changes {
            match change {
                Change::Added(name, version) => self.ctx.status("Adding", format_args!("{name} {version}")),
                Change::Removed(name, version) => {
                    self.ctx.status("Removing", format_args!("{name} {version}"))
                }
                Change::Moved(name, from, to) => {
                    let verb = if from < to { "Updating" } else { "Downgrading" };
                    self.ctx.status(verb, format_args!("{name} {from} -> {to}"));
                }
            }
        }
        for note in answer.resolution.notes() {
            let instead = note
                .use_instead
                .map(|other| format!("; its publisher says to use {} {}", other.name, other.req))
                .unwrap_or_default();
            let urgency = if note.status == ReleaseStatus::Withdrawn { "do not use it: " } else { "" };
            self.ctx
                .warn(format_args!("{urgency}{} {} is {}{instead}", note.name, note.version, note.status));
        }
    }
}

/// What of the old lock is to be kept where it will do.
fn kept_locks(old: Option<&Lockfile>, unlock: &Unlock) -> BTreeMap<FullName, BTreeSet<Version>> {
    let mut locked: BTreeMap<FullName, BTreeSet<Version>> = BTreeMap::new();
    for brick in old.into_iter().flat_map(|lock| &lock.bricks) {
        let stays = match unlock {
            Unlock::Nothing => true,
            Unlock::Only(names) => !names.contains(&brick.name),
            Unlock::Precise(name, _) => brick.name != *name,
            Unlock::All => false,
        };
        if stays {
            locked.entry(brick.name.clone()).or_default().insert(brick.version.clone());
        }
    }
    if let Unlock::Precise(name, version) = unlock {
        locked.insert(name.clone(), BTreeSet::from([version.clone()]));
    }
    locked
}

/// That the index says of a locked release what it said when it was locked.
fn check_locked(locked: &LockedBrick, now: &LockedBrick) -> Result<(), Refused> {
    if locked.cksum == now.cksum && locked.entry == now.entry {
        return Ok(());
    }
    Err(Refused::new(
        Step::Lock,
        format!(
            "brick.lock holds {} {} as entry {} with archive {}, the index as entry {} with archive {}",
            now.name, now.version, locked.entry, locked.cksum, now.entry, now.cksum
        ),
    ))
}

enum Change {
    Added(FullName, Version),
    Removed(FullName, Version),
    Moved(FullName, Version, Version),
}

fn changes(old: Option<&Lockfile>, new: &Lockfile) -> Vec<Change> {
    let versions = |lock: &Lockfile| {
        let mut versions: BTreeMap<FullName, BTreeSet<Version>> = BTreeMap::new();
        for brick in &lock.bricks {
            versions.entry(brick.name.clone()).or_default().insert(brick.version.clone());
        }
        versions
    };
    let (before, after) = (old.map(&versions).unwrap_or_default(), versions(new));
    let names: BTreeSet<&FullName> = before.keys().chain(after.keys()).collect();
    let none = BTreeSet::new();
    let mut changes = Vec::new();
    for name in names {
        let (before, after) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        let gone: Vec<&Version> = before.difference(after).collect();
        let come: Vec<&Version> = after.difference(before).collect();
        match (gone.as_slice(), come.as_slice()) {
            ([from], [to]) => changes.push(Change::Moved(name.clone(), (*from).clone(), (*to).clone())),
            (gone, come) => {
                changes.extend(gone.iter().map(|version| Change::Removed(name.clone(), (*version).clone())));
                changes.extend(come.iter().map(|version| Change::Added(name.clone(), (*version).clone())));
            }
        }
    }
    changes
}

fn would_change(old: Option<&Lockfile>, new: &Lockfile) -> Failure {
    let Some(old) = old else {
        return Failure::yours(format!("there is no {LOCK_FILE}, and `--locked` forbids to write one"))
            .help("run it once without `--locked`, and keep the lockfile in version control");
    };
    let lines: Vec<String> = changes(Some(old), new)
        .iter()
        .map(|change| match change {
            Change::Added(name, version) => format!("  + {name} {version}\n"),
            Change::Removed(name, version) => format!("  - {name} {version}\n"),
            Change::Moved(name, from, to) => format!("  {name} {from} -> {to}\n"),
        })
        .collect();
    Failure::yours(format!("{LOCK_FILE} would change, and `--locked` forbids it"))
        .detail(lines.concat())
        .help("run it without `--locked` to accept the change, and look at the difference")
}

/// `release` or `releases`.
pub(crate) fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
