//! GovStack's building blocks: one brick a block.
//!
//! **Version.** No block has one that all of it agrees on. The current release is the highest version that the interface
//! descriptions under `api/` give themselves or have in their file names; without any, the one in the front matter of
//! `spec/README.md` or the last in its version history; else 0.1.0.
//!
//! **Earlier releases.** `older/` and the folder of the older collection `BuildingBlockAPI` that belongs to the block hold
//! earlier states of interface descriptions, many under the same version. A state's version is the one in its file name, else
//! its own. Those below the current version become releases of that version; all others, and all but the last state of an
//! interface (told by its title, states by file name) within a version, become pre-releases `<version>-0.older.<n>`, which sort
//! below everything of that version and are never chosen unless asked for. Earlier releases require nothing: no statement
//! speaks of them.
//!
//! **Requirements.** `needs` becomes a requirement, `optional` an optional one with a feature of the block's name, `works with`
//! an entry in `[works-with]`; the others are in the report only. The specifications name no versions: the caret of the
//! imported one is this importer's choice.
//!
//! **Files.** `LICENSE`, `api/`, `schemas/`, `conformance/`, `spec/` as they are. What is under `api/` or `schemas/` and is no
//! interface or schema, what does not parse, and earlier states that are no interface (under `older/`), are documents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use brick_schemas::{BrickName, FullName, Version};

use super::draft::{Draft, Necessity, Role, in_order};
use super::probe::{Probe, loose_version, probe, version_in_name};
use super::statements::{Kind, Statement};
use super::{ImportError, Options, Outcome, Report, Source, services, statements};

/// Which block each folder of the older collection belongs to; what lies in none is an example for the template.
const OLDER_COLLECTION: &str = "BuildingBlockAPI";
const OLDER_FOLDERS: &[(&str, &str)] = &[
    ("DigitalRegistriesBB/", "bb-digital-registries"),
    ("IDV/", "bb-identity"),
    ("IM/", "bb-information-mediator"),
    ("RegistrationBB/", "bb-registration"),
    ("", "bb-template"),
];
const ORGANISATION: &str = "https://github.com/GovStackWorkingGroup";

/// A building block as found.
struct Block {
    /// The folder: `bb-…`.
    folder: String,
    name: FullName,
    title: String,
    version: Version,
    /// With what is in each; paths relative to the block.
    files: Vec<(Source, Probe)>,
    /// Earlier states, paths relative to the collection.
    older: Vec<Source>,
}

/// An earlier state of an interface description.
struct State {
    source: Source,
    title: String,
    format: String,
    version: Version,
}

/// Imports the collection in `dir`; see [`super::import`].
pub(super) fn import(dir: &Path, options: &Options, out: &Path) -> Result<Report, ImportError> {
    let mut report = Report::default();
    let blocks = read_blocks(dir, options, &mut report)?;
    let current: BTreeMap<String, (FullName, Version)> =
        blocks.iter().map(|b| (b.folder.clone(), (b.name.clone(), b.version.clone()))).collect();
    let list = dir.join("DEPENDENCIES.md");
    let text = String::from_utf8_lossy(&super::read(&list)?).into_owned();
    let statements = statements::parse(&list, &text)?;

    let mut earlier = Vec::new();
    let mut drafts = Vec::new();
    for mut block in blocks {
        let (states, documents) = split_older(std::mem::take(&mut block.older), &block.version);
        let license = block
            .files
            .iter()
            .find(|(file, _)| file.path.starts_with("LICENSE"))
            .map(|(file, _)| file.content.clone());
        for (version, states) in releases(&block.version, states) {
            earlier.push(earlier_release(&block, version, states, license.clone(), &mut report));
        }
        drafts.push(current_release(block, documents, &mut report));
    }
    relate(&mut drafts, &statements, &current, &mut report);

    earlier.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    for draft in earlier.into_iter().chain(in_order(drafts)?) {
        report.bricks.push(draft.write(out)?);
    }
    let steps = dir.join("product-use-cases").join("STEPS.csv");
    report.services = services::import(&steps, &options.body, &current, out, &mut report)?;
    Ok(report)
}

fn read_blocks(dir: &Path, options: &Options, report: &mut Report) -> Result<Vec<Block>, ImportError> {
    let mut older: BTreeMap<&str, Vec<Source>> = BTreeMap::new();
    for mut source in super::read_all(&dir.join(OLDER_COLLECTION), report)? {
        let of = OLDER_FOLDERS.iter().find(|(folder, _)| source.path.starts_with(folder));
        let (_, block) = of.expect("the last folder fits all");
        source.path = format!("{OLDER_COLLECTION}/{}", source.path);
        older.entry(block).or_default().push(source);
    }
    let mut blocks = Vec::new();
    for folder in super::folders(dir)? {
        let Some(brick) = folder.strip_prefix("bb-") else { continue };
        let err = |err| ImportError::Name { what: folder.clone(), err };
        let name =
            FullName { publisher: options.publisher.clone(), brick: BrickName::parse(brick).map_err(err)? };
        let all = super::read_all(&dir.join(&folder), report)?;
        let (mut states, files): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|file| file.path.starts_with("older/"));
        for state in &mut states {
            state.path = format!("{folder}/{}", state.path);
        }
        states.extend(older.remove(folder.as_str()).unwrap_or_default());
        let probed = files.into_iter().map(|file| (probe(&file.path, &file.content), file));
        let files: Vec<_> = probed.map(|(probe, file)| (file, probe)).collect();
        blocks.push(Block {
            title: title(&files).unwrap_or_else(|| name.brick.as_str().replace('-', " ")),
            version: version(&files),
            folder,
            name,
            files,
            older: states,
        });
    }
    for file in older.into_values().flatten() {
        report.note(file.path, "left out: its building block is not here");
    }
    Ok(blocks)
}

fn text_of(files: &[(Source, Probe)], path: &str) -> Option<String> {
    let (file, _) = files.iter().find(|(file, _)| file.path == path)?;
    Some(String::from_utf8_lossy(&file.content).into_owned())
}

/// The first heading of the specification, unless it is still the template's.
fn title(files: &[(Source, Probe)]) -> Option<String> {
    let text = text_of(files, "spec/README.md")?;
    let heading = text.lines().find_map(|line| line.strip_prefix("# "))?;
    (!heading.contains("name of building block")).then(|| heading.replace('\\', "").trim().to_owned())
}

fn version(files: &[(Source, Probe)]) -> Version {
    let described = files.iter().filter_map(|(file, probe)| match probe {
        Probe::Interface(interface) if file.path.starts_with("api/") => {
            interface.version.clone().max(version_in_name(file.file_name()))
        }
        _ => None,
    });
    let written = || {
        let readme = text_of(files, "spec/README.md")?;
        let matter = readme.lines().find_map(|line| line.strip_prefix("description: Version "))?;
        loose_version(matter.split([';', ' ']).next()?)
    };
    let history = || {
        let text = text_of(files, "spec/1-version-history.md")?;
        let is_template = text.contains("Example Version history");
        if is_template { None } else { first_cells(&text).filter_map(|cell| loose_version(&cell)).max() }
    };
    let none = || Version::parse("0.1.0").expect("is a version");
    described.max().or_else(written).or_else(history).unwrap_or_else(none)
}

/// The first cell of each row of the tables of a text, in Markdown and in HTML, without markup.
fn first_cells(text: &str) -> impl Iterator<Item = String> {
    let markdown = text.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let html = text.split("<tr>").skip(1).filter_map(|row| row.strip_prefix("<td>")?.split('<').next());
    markdown.chain(html).map(|cell| cell.trim().to_owned())
}

/// Earlier states of interfaces, and the files beside them that are none.
fn split_older(older: Vec<Source>, current: &Version) -> (Vec<State>, Vec<(Source, Probe)>) {
    let mut states = Vec::new();
    let mut documents = Vec::new();
    for source in older {
        match probe(&source.path, &source.content) {
            Probe::Interface(interface) => states.push(State {
                version: version_in_name(source.file_name())
                    .or(interface.version)
                    .unwrap_or_else(|| current.clone()),
                title: interface.title,
                format: interface.format,
                source,
            }),
            other => documents.push((source, other)),
        }
    }
    (states, documents)
}

/// Parts states into releases: see the head of this file.
fn releases(current: &Version, states: Vec<State>) -> Vec<(Version, Vec<State>)> {
    let mut by_version: BTreeMap<Version, Vec<State>> = BTreeMap::new();
    for state in states {
        let version = if state.version < *current { state.version.clone() } else { current.clone() };
        by_version.entry(version).or_default().push(state);
    }
    let mut releases = Vec::new();
    for (version, mut states) in by_version {
        states.sort_by(|a, b| {
            (a.source.file_name(), &a.source.path).cmp(&(b.source.file_name(), &b.source.path))
        });
        let mut rounds: Vec<Vec<State>> = Vec::new();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for state in states {
            let round = seen.entry(state.title.clone()).or_default();
            if *round == rounds.len() {
                rounds.push(Vec::new());
            }
            rounds[*round].push(state);
            *round += 1;
        }
        let last = rounds.len();
        for (at, round) in rounds.into_iter().enumerate() {
            let is_whole = at + 1 == last && version < *current;
            let own = if is_whole { version.clone() } else { before(&version, at + 1) };
            releases.push((own, round));
        }
    }
    releases
}

/// `<version>-0.older.<n>`: below `version` and below all its other pre-releases.
fn before(version: &Version, n: usize) -> Version {
    let semver = version.semver();
    let text = format!("{}.{}.{}-0.older.{n}", semver.major, semver.minor, semver.patch);
    Version::parse(&text).expect("a version with another pre-release is a version")
}

fn earlier_release(
    block: &Block,
    version: Version,
    states: Vec<State>,
    license: Option<Vec<u8>>,
    report: &mut Report,
) -> Draft {
    let summary = format!(
        "An earlier state of {} interface description{} of a GovStack building block",
        states.len(),
        if states.len() == 1 { "" } else { "s" }
    );
    let mut draft = Draft::new(block.name.clone(), version, &block.title, &summary);
    draft.repository = format!("{ORGANISATION}/{}", block.folder);
    for State { source, format, .. } in states {
        let path = format!("api/{}", source.file_name());
        let role = Role { role: "interface", format: Some(format) };
        draft.add(&path, source.content, Some(role), &source.path, report);
    }
    if let Some(license) = license {
        draft.add("LICENSE", license, None, &block.folder, report);
    }
    draft
}

fn current_release(block: Block, documents: Vec<(Source, Probe)>, report: &mut Report) -> Draft {
    let Block { folder, name, title, version, files, .. } = block;
    let mut draft = Draft::new(name, version, &title, "");
    draft.repository = format!("{ORGANISATION}/{folder}");
    let is_feature = |file: &Source| file.path.starts_with("conformance/") && file.path.ends_with(".feature");
    draft.has_conformance = files.iter().any(|(file, _)| is_feature(file));
    for (file, probe) in files {
        let from = format!("{folder}/{}", file.path);
        let role = role(&from, &file.path, &probe, report);
        draft.add(&file.path, file.content, role, &from, report);
    }
    for (source, probe) in documents {
        let path = format!("older/{}", source.file_name());
        let role = role(&source.path, &path, &probe, report);
        draft.add(&path, source.content, role, &source.path, report);
    }
    let interfaces = draft.count("interface");
    if interfaces == 0 {
        draft.maturity = "concept";
        draft.summary = "A GovStack building block, described in text only".into();
    } else {
        let many = if interfaces == 1 { "" } else { "s" };
        draft.summary = format!("A GovStack building block with {interfaces} interface description{many}");
    }
    draft
}

/// The role that cannot be told from the name, and a note for what is defective.
fn role(from: &str, path: &str, probe: &Probe, report: &mut Report) -> Option<Role> {
    let is_described = ["api/", "schemas/", "older/"].iter().any(|folder| path.starts_with(folder));
    let docs = || Some(Role { role: "docs", format: None });
    match probe {
        Probe::Empty => {
            report.note(from, "is empty; published as a document");
            docs()
        }
        Probe::Broken(why) => {
            report.note(from, format!("does not parse; published as a document ({why})"));
            docs()
        }
        Probe::Interface(interface) if is_described => {
            Some(Role { role: "interface", format: Some(interface.format.clone()) })
        }
        Probe::Schema if is_described => Some(Role { role: "schema", format: Some("json-schema".into()) }),
        _ if is_described => docs(),
        _ => None,
    }
}

/// Gives the drafts what the statements say, strongest first, and accounts for every statement.
fn relate(
    drafts: &mut [Draft],
    statements: &[Statement],
    current: &BTreeMap<String, (FullName, Version)>,
    report: &mut Report,
) {
    let mut outcomes = BTreeMap::new();
    let mut strongest_first: Vec<usize> = (0..statements.len()).collect();
    strongest_first.sort_by_key(|at| (statements[*at].kind, *at));
    let mut said: BTreeSet<(&str, &str)> = BTreeSet::new();
    for at in strongest_first {
        let Statement { from, to, kind } = &statements[at];
        let own = current.get(from).and_then(|(name, _)| drafts.iter_mut().find(|draft| draft.name == *name));
        let outcome = match (own, current.get(to), kind) {
            (None, ..) => Outcome::LeftOut("the block that says it is not here"),
            (_, None, _) => Outcome::LeftOut("the block that it speaks of is not here"),
            (.., Kind::CalledBy) => {
                Outcome::LeftOut("the other calls this one, which is for the other to say")
            }
            (.., Kind::HandsOver) => Outcome::LeftOut("left to the other, so nothing of the other is used"),
            (.., Kind::Planned) => Outcome::LeftOut("planned for a later release"),
            (Some(_), Some(_), _) if !said.insert((from, to)) => Outcome::Merged,
            (Some(own), Some((name, version)), Kind::Needs) => {
                own.requires.insert(name.clone(), (version.clone(), Necessity::Needed));
                Outcome::Required
            }
            (Some(own), Some((name, version)), Kind::Optional) => {
                own.requires.insert(name.clone(), (version.clone(), Necessity::Optional));
                Outcome::Optional
            }
            (Some(own), Some((name, _)), Kind::WorksWith) => {
                own.works_with.insert(name.clone());
                Outcome::WorksWith
            }
        };
        outcomes.insert(at, outcome);
    }
    for (at, outcome) in outcomes {
        report.relate(&statements[at].from, &statements[at].to, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(file: &str, title: &str, version: &str) -> State {
        State {
            source: Source { path: format!("bb-x/older/{file}"), content: Vec::new() },
            title: title.into(),
            format: String::new(),
            version: Version::parse(version).unwrap(),
        }
    }

    #[test]
    fn earlier_states_become_releases_below_the_current_one() {
        let current = Version::parse("1.1.0").unwrap();
        let states = vec![
            state("b2", "B", "1.0.0"),
            state("a", "A", "1.0.0"),
            state("b1", "B", "1.0.0"),
            state("c1", "C", "1.1.0"),
            state("c2", "C", "2.0.0"),
        ];
        let releases: Vec<(String, Vec<String>)> = releases(&current, states)
            .into_iter()
            .map(|(version, states)| {
                (version.to_string(), states.iter().map(|s| s.source.file_name().to_owned()).collect())
            })
            .collect();
        let expected = [
            ("1.0.0-0.older.1", vec!["a", "b1"]),
            ("1.0.0", vec!["b2"]),
            ("1.1.0-0.older.1", vec!["c1"]),
            ("1.1.0-0.older.2", vec!["c2"]),
        ];
        assert_eq!(releases.len(), expected.len());
        for ((version, files), (wanted, wanted_files)) in releases.iter().zip(expected) {
            assert_eq!(
                (version.as_str(), files),
                (wanted, &wanted_files.iter().map(|f| (*f).to_owned()).collect())
            );
            assert!(Version::parse(version).unwrap() < current);
        }
        let alpha = Version::parse("1.0.0-alpha").unwrap();
        assert!(before(&alpha, 1) < alpha);
    }

    #[test]
    fn versions_are_found_in_tables_of_either_kind() {
        let text = "| Version | Authors |\n| --- | --- |\n| 0.9 | x |\n<table><tbody><tr><td>1.0</td><td>y</td></tr></tbody>";
        assert_eq!(
            first_cells(text).filter_map(|cell| loose_version(&cell)).max().unwrap().to_string(),
            "1.0.0"
        );
    }
}
