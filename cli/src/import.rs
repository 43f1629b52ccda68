//! How do specifications that others published become bricks? Importers of two public collections.
//!
//! What comes out are ordinary folders with a `brick.toml` or a `service.toml`, so that everything goes the same way as a
//! publisher's own work. Files keep their bytes. Nothing is dropped in silence: whatever is empty, does not parse, is
//! renamed or says what a manifest cannot say is in the [`Report`]. Manifests name no persons.

mod draft;
mod fiware;
mod govstack;
mod probe;
mod services;
mod statements;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use brick_schemas::manifest::ManifestError;
use brick_schemas::name::NameError;
use brick_schemas::{FullName, PublisherName};

/// Bytes of one file of a collection, at most: those of an archive.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Files of one folder of a collection with all below it, at most.
const MAX_FILES: usize = 8_192;
/// Folders in each other, at most.
const MAX_DEPTH: usize = 32;

/// In whose names the import happens.
#[derive(Debug, Clone)]
pub struct Options {
    /// The publisher of the bricks.
    pub publisher: PublisherName,
    /// The body whose services the use cases become.
    pub body: PublisherName,
}

/// What was made of a collection, and what was not.
#[derive(Debug, Default)]
pub struct Report {
    /// Folders of bricks, in an order in which each comes after what it requires.
    pub bricks: Vec<PathBuf>,
    /// Folders of services.
    pub services: Vec<PathBuf>,
    /// What a reader should know: files that are empty or do not parse, renamed ones, steps that were merged …
    pub notes: Vec<Note>,
    /// Every statement of one thing about another that the collection makes, and what became of it.
    pub relations: Vec<Relation>,
}

/// Something that is not as it should be, or was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where, relative to the collection.
    pub path: String,
    /// What, and what was done.
    pub why: String,
}

/// That one thing speaks of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Who speaks, as the collection calls it.
    pub from: String,
    /// Of whom.
    pub to: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An entry in `[requires]`.
    Required,
    /// An optional one, with a feature that turns it on.
    Optional,
    /// An entry in `[works-with]`.
    WorksWith,
    /// Nothing of its own: a stronger or the same entry is there already.
    Merged,
    /// Nothing.
    LeftOut(&'static str),
}

impl Report {
    fn note(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.notes.push(Note { path: path.into(), why: why.into() });
    }

    fn relate(&mut self, from: &str, to: &str, outcome: Outcome) {
        self.relations.push(Relation { from: from.to_owned(), to: to.to_owned(), outcome });
    }
}

/// Why a collection cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Neither of the collections that are known here.
    #[error("`{}` has neither a DEPENDENCIES.md nor an EDGES.csv, so it is no collection that can be imported", dir.display())]
    Unknown {
        /// The folder.
        dir: PathBuf,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        err: std::io::Error,
    },
    /// A file or folder that cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        err: std::io::Error,
    },
    /// Over a bound.
    #[error("`{}` {rule}", path.display())]
    Bound {
        /// What.
        path: PathBuf,
        /// The bound in words.
        rule: &'static str,
    },
    /// A list of the collection that is not as expected.
    #[error("`{}`: {what}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Something of the collection whose name no brick can have.
    #[error("`{what}` of the collection cannot be a brick's name")]
    Name {
        /// Its name there.
        what: String,
        /// The rule that it breaks.
        #[source]
        err: NameError,
    },
    /// Bricks that require each other in a circle.
    #[error("these require each other in a circle: {}", names.join(", "))]
    Cycle {
        /// All that could not be put in order.
        names: Vec<String>,
    },
    /// A manifest that came out wrong: our mistake.
    #[error("the manifest made for `{what}` is not valid; this is a bug")]
    Generated {
        /// The brick or service.
        what: FullName,
        /// What is wrong with it.
        #[source]
        err: Box<ManifestError>,
    },
}

/// Imports the collection in `dir`: GovStack building blocks (it has a `DEPENDENCIES.md`) or smart-data-models schemas
/// (an `EDGES.csv`).
///
/// Writes `bricks/<brick>-<version>/` and `services/<service>/` below `out`, which may be there already but must not hold any
/// of them. The same input gives the same folders.
///
/// # Errors
/// [`ImportError`]; folders already written stay.
pub fn import(dir: &Path, options: &Options, out: &Path) -> Result<Report, ImportError> {
    if dir.join("DEPENDENCIES.md").is_file() {
        govstack::import(dir, options, out)
    } else if dir.join("EDGES.csv").is_file() {
        fiware::import(dir, options, out)
    } else {
        Err(ImportError::Unknown { dir: dir.to_owned() })
    }
}

/// A file of a collection.
struct Source {
    /// Relative to the folder that was listed, with `/`.
    path: String,
    content: Vec<u8>,
}

impl Source {
    fn file_name(&self) -> &str {
        self.path.rsplit('/').next().expect("rsplit gives at least one piece")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    use std::io::Read as _;
    let err = |err| ImportError::Read { path: path.to_owned(), err };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(err)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(err)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(ImportError::Bound { path: path.to_owned(), rule: "has more than 16 MiB" });
    }
    Ok(content)
}

/// All files below `dir`, bytewise by path; links and names that are not text are left out with a note. None if there is
/// no such folder.
fn read_all(dir: &Path, report: &mut Report) -> Result<Vec<Source>, ImportError> {
    let mut files = Vec::new();
    let mut folders = vec![(dir.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        let err = |err| ImportError::Read { path: folder.clone(), err };
        let entries = match std::fs::read_dir(&folder) {
            Err(missing) if depth == 0 && missing.kind() == std::io::ErrorKind::NotFound => break,
            other => other.map_err(err)?,
        };
        for entry in entries {
            let entry = entry.map_err(err)?;
            let kind = entry.file_type().map_err(err)?;
            let name = entry.file_name();
            let path = format!("{prefix}{}", name.to_string_lossy());
            if name.to_str().is_none() || !(kind.is_file() || kind.is_dir()) {
                report.note(path.escape_debug().to_string(), "left out: a link, or a name that is not text");
            } else if kind.is_dir() {
                if depth == MAX_DEPTH {
                    return Err(ImportError::Bound { path: entry.path(), rule: "lies too deep" });
                }
                folders.push((entry.path(), format!("{path}/"), depth + 1));
            } else {
                if files.len() == MAX_FILES {
                    return Err(ImportError::Bound { path: folder, rule: "holds too many files" });
                }
                files.push(Source { path, content: read(&entry.path())? });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The names of the folders in `dir`, sorted.
fn folders(dir: &Path) -> Result<Vec<String>, ImportError> {
    let err = |err| ImportError::Read { path: dir.to_owned(), err };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(err)? {
        let entry = entry.map_err(err)?;
        if entry.file_type().map_err(err)?.is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}
