//! A brick before it has a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use brick_schemas::archive::{ArchivePath, MANIFEST_PATH, MAX_PATH_BYTES, folder};
use brick_schemas::manifest::MAX_SUMMARY_CHARS;
use brick_schemas::text::deceives;
use brick_schemas::{FullName, Manifest, Version};

use super::{ImportError, Report};

/// Characters that are kept of a name that has to be changed: so many go into one part of an archive's path.
const MAX_NAME_CHARS: usize = 90;

/// A brick that is about to be written.
pub(super) struct Draft {
    pub(super) name: FullName,
    pub(super) version: Version,
    pub(super) kind: &'static str,
    pub(super) maturity: &'static str,
    pub(super) license: &'static str,
    pub(super) repository: String,
    pub(super) title: String,
    pub(super) summary: String,
    /// By name, with the version that the requirement is a caret of, and whether it is optional.
    pub(super) requires: BTreeMap<FullName, (Version, Necessity)>,
    pub(super) works_with: BTreeSet<FullName>,
    /// The folder of Gherkin features, if there is one.
    pub(super) has_conformance: bool,
    files: BTreeMap<ArchivePath, (Vec<u8>, Option<Role>)>,
}

/// Whether a requirement is needed always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Necessity {
    /// Always.
    Needed,
    /// With a feature of its name.
    Optional,
}

/// What `[[file]]` says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) role: &'static str,
    pub(super) format: Option<String>,
}

impl Draft {
    /// A draft with nothing in it yet.
    pub(super) fn new(name: FullName, version: Version, title: &str, summary: &str) -> Self {
        Self {
            title: shown(title).unwrap_or_else(|| name.brick.to_string()),
            summary: shown(summary).unwrap_or_else(|| name.to_string()),
            name,
            version,
            kind: "component",
            maturity: "beta",
            license: "Apache-2.0",
            repository: String::new(),
            requires: BTreeMap::new(),
            works_with: BTreeSet::new(),
            has_conformance: false,
            files: BTreeMap::new(),
        }
    }

    /// Puts a file in at `path`, or under the nearest name that a brick may hold and that is still free.
    ///
    /// - `from`: where it is in the collection, for the note that a changed name gets.
    pub(super) fn add(
        &mut self,
        path: &str,
        content: Vec<u8>,
        role: Option<Role>,
        from: &str,
        report: &mut Report,
    ) {
        let mut place = storable(path);
        let mut number = 2;
        while self.files.contains_key(&place) || place.as_str() == MANIFEST_PATH {
            place = storable(&numbered(path, number));
            number += 1;
        }
        if place.as_str() != path {
            report.note(from, format!("stored as `{place}` in {}", self.name));
        }
        self.files.insert(place, (content, role));
    }

    /// How many files have this role.
    pub(super) fn count(&self, role: &str) -> usize {
        self.files.values().filter(|(_, has)| has.as_ref().is_some_and(|has| has.role == role)).count()
    }

    /// Writes the folder `bricks/<brick>-<version>` below `out`, which must not be there, and returns it.
    pub(super) fn write(&self, out: &Path) -> Result<PathBuf, ImportError> {
        let text = self.manifest();
        Manifest::parse_as_author(&text)
            .map_err(|err| ImportError::Generated { what: self.name.clone(), err })?;
        let dir = out.join("bricks").join(folder(&self.name.brick, &self.version));
        create_new_dir(&dir)?;
        write_file(&dir.join(MANIFEST_PATH), text.as_bytes())?;
        for (path, (content, _)) in &self.files {
            write_file(&dir.join(path.as_str()), content)?;
        }
        Ok(dir)
    }

    fn manifest(&self) -> String {
        let mut text = format!(
            "manifest = 1\n\n[brick]\nname = \"{}\"\nversion = \"{}\"\nkind = \"{}\"\nmaturity = \"{}\"\nlicense = \"{}\"\n",
            self.name, self.version, self.kind, self.maturity, self.license
        );
        if !self.repository.is_empty() {
            push(&mut text, format_args!("repository = {}\n", quoted(&self.repository)));
        }
        let (title, summary) = (quoted(&self.title), quoted(&self.summary));
        push(&mut text, format_args!("\n[text.en]\ntitle = {title}\nsummary = {summary}\n"));
        if !self.requires.is_empty() {
            text.push_str("\n[requires]\n");
        }
        for (name, (version, necessity)) in &self.requires {
            match necessity {
                Necessity::Needed => push(&mut text, format_args!("\"{name}\" = \"^{version}\"\n")),
                Necessity::Optional => {
                    push(
                        &mut text,
                        format_args!("\"{name}\" = {{ version = \"^{version}\", optional = true }}\n"),
                    );
                }
            }
        }
        let optional = self.requires.iter().filter(|(_, (_, necessity))| *necessity == Necessity::Optional);
        for (at, (name, _)) in optional.enumerate() {
            text.push_str(if at == 0 { "\n[features]\n" } else { "" });
            push(&mut text, format_args!("{} = [\"dep:{name}\"]\n", name.brick));
        }
        if !self.works_with.is_empty() {
            text.push_str("\n[works-with]\n");
        }
        for name in &self.works_with {
            push(&mut text, format_args!("\"{name}\" = \"*\"\n"));
        }
        for (path, (_, role)) in &self.files {
            let Some(Role { role, format }) = role else { continue };
            push(
                &mut text,
                format_args!("\n[[file]]\npath = {}\nrole = \"{role}\"\n", quoted(path.as_str())),
            );
            if let Some(format) = format {
                push(&mut text, format_args!("format = {}\n", quoted(format)));
            }
        }
        if self.has_conformance {
            text.push_str("\n[conformance]\nsuite = \"conformance/\"\nformat = \"gherkin\"\n");
        }
        text
    }
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    text.write_fmt(piece).expect("writing to a string does not fail");
}

/// `text` as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// `text` on one line, without what readers cannot see, cut to 150 characters; none if nothing is left.
pub(super) fn shown(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| c.is_whitespace() || !deceives(None, *c)).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = if line.chars().count() > MAX_SUMMARY_CHARS {
        let kept: String = line.chars().take(MAX_SUMMARY_CHARS - 1).collect();
        format!("{}…", kept.trim_end())
    } else {
        line
    };
    (!cut.is_empty()).then_some(cut)
}

/// The nearest path that a brick may hold and that is chosen without an `include`: the same one for most.
///
/// Characters that are not allowed become `_`; dots, dashes and spaces at the start of a name and dots and spaces at its end
/// go; a name that Windows keeps gets a `_` in front; and a path that is too long keeps its end.
pub(super) fn storable(path: &str) -> ArchivePath {
    if let Ok(good) = ArchivePath::parse(path)
        && !good.components().any(|part| part.starts_with('.'))
    {
        return good;
    }
    let mut parts: Vec<String> = path.split('/').map(storable_name).filter(|part| !part.is_empty()).collect();
    while parts.len() > 1 && parts.iter().map(|part| part.len() + 1).sum::<usize>() > MAX_PATH_BYTES {
        parts.remove(0);
    }
    ArchivePath::parse(&parts.join("/")).unwrap_or_else(|_| ArchivePath::parse("file").expect("is allowed"))
}

fn storable_name(name: &str) -> String {
    let is_good = |c: char| ArchivePath::parse(&format!("a{c}a")).is_ok() && c != '/' && c != '~';
    let plain: String = name.chars().map(|c| if is_good(c) { c } else { '_' }).collect();
    let too_long = plain.chars().count().saturating_sub(MAX_NAME_CHARS);
    let end: String = plain.chars().skip(too_long).collect();
    let cut = end.trim_start_matches(['.', '-', ' ']).trim_end_matches(['.', ' ']).to_owned();
    if cut.is_empty() || ArchivePath::parse(&cut).is_ok() { cut } else { format!("_{cut}") }
}

/// `a/b.json` → `a/b-2.json`.
fn numbered(path: &str, number: usize) -> String {
    match path.rsplit_once('.') {
        Some((stem, ending)) if !ending.contains('/') => format!("{stem}-{number}.{ending}"),
        _ => format!("{path}-{number}"),
    }
}

pub(super) fn create_new_dir(dir: &Path) -> Result<(), ImportError> {
    let err = |err| ImportError::Write { path: dir.to_owned(), err };
    if let Some(above) = dir.parent() {
        std::fs::create_dir_all(above).map_err(err)?;
    }
    std::fs::create_dir(dir).map_err(err)
}

pub(super) fn write_file(path: &Path, content: &[u8]) -> Result<(), ImportError> {
    let err = |err| ImportError::Write { path: path.to_owned(), err };
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above).map_err(err)?;
    }
    std::fs::write(path, content).map_err(err)
}

/// Puts drafts in an order in which each comes after what it requires; of those that could come next, the first by name.
///
/// # Errors
/// [`ImportError::Cycle`].
pub(super) fn in_order(drafts: Vec<Draft>) -> Result<Vec<Draft>, ImportError> {
    let mut waiting: BTreeMap<FullName, Draft> =
        drafts.into_iter().map(|draft| (draft.name.clone(), draft)).collect();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let next =
            waiting.values().find(|draft| !draft.requires.keys().any(|name| waiting.contains_key(name)));
        let Some(next) = next.map(|draft| draft.name.clone()) else {
            return Err(ImportError::Cycle { names: waiting.keys().map(FullName::to_string).collect() });
        };
        ordered.extend(waiting.remove(&next));
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_no_brick_may_hold_becomes_the_nearest_that_it_may() {
        let long = format!("{}/{}/x.json", "a".repeat(150), "b".repeat(90));
        for (path, stored) in [
            ("api/a (1).yaml", "api/a (1).yaml"),
            (".gitbook/assets/x.json", "gitbook/assets/x.json"),
            ("-rf", "rf"),
            ("a:b?.md", "a_b_.md"),
            ("nul.txt", "_nul.txt"),
            ("a./b", "a/b"),
            ("e\u{301}.md", "e_.md"),
            ("a~1.md", "a_1.md"),
            (".git/config", "git/config"),
            ("...", "file"),
            (&long, &format!("{}/{}/x.json", "a".repeat(90), "b".repeat(90))),
        ] {
            assert_eq!(storable(path).as_str(), stored, "{path}");
        }
        assert_eq!(numbered("a.b/c", 2), "a.b/c-2");
        assert_eq!(numbered("a/b.json", 3), "a/b-3.json");
    }

    #[test]
    fn what_is_shown_is_one_line_of_what_readers_can_see() {
        assert_eq!(shown(" a\n\tb\u{200b} \u{202e}c ").unwrap(), "a b c");
        assert_eq!(shown(&"ab ".repeat(100)).unwrap().chars().count(), 150);
        assert_eq!(shown("\u{200b} \n"), None);
    }
}
