//! What does the manifest or service here require?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use brick_schemas::lockfile::{Lockfile, MAX_LOCKFILE_BYTES};
use brick_schemas::manifest::MAX_MANIFEST_BYTES;
use brick_schemas::predicate::release::Dependency;
use brick_schemas::service::ServiceManifest;
use brick_schemas::{FeatureName, FileError, FullName, Manifest};

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Access};

/// A brick's manifest.
pub(crate) const BRICK_FILE: &str = "brick.toml";
/// A service's declaration.
pub(crate) const SERVICE_FILE: &str = "service.toml";
/// Beside either.
pub(crate) const LOCK_FILE: &str = "brick.lock";

/// What stands in the manifest.
pub(crate) enum Kind {
    /// A brick's.
    Brick(Box<Manifest>),
    /// A service's.
    Service(Box<ServiceManifest>),
}

/// A `brick.toml` or `service.toml`, read.
pub(crate) struct Project {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// As it was written.
    pub(crate) text: String,
    /// What it says.
    pub(crate) kind: Kind,
}

impl Project {
    /// The one of `--manifest-path`, else the nearest one at or above the working directory.
    ///
    /// # Errors
    /// [`Failure`] when there is none, both lie side by side, or it does not read.
    pub(crate) fn find(ctx: &Context) -> Result<Self, Failure> {
        let path = match ctx.manifest_path() {
            Some(path) if path.is_dir() => nearest(&path, 1)?,
            Some(path) => Some(path),
            None => nearest(ctx.cwd(), usize::MAX)?,
        };
        match path {
            Some(path) => Self::read(&path),
            None => Err(Failure::yours(format!(
                "there is no {BRICK_FILE} or {SERVICE_FILE} in `{}` or above it",
                ctx.cwd().display()
            ))
            .help("run `brick new` to begin one, or name one with `--manifest-path`")),
        }
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let text = files::read_text(path, MAX_MANIFEST_BYTES as u64)?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let kind = match is_service(&name, &text) {
            true => ServiceManifest::parse(&text).map(|service| Kind::Service(Box::new(service))),
            false => Manifest::parse(&text).map(|manifest| Kind::Brick(Box::new(manifest))),
        };
        match kind {
            Ok(kind) => Ok(Self { path: path.to_owned(), text, kind }),
            Err(err) => Err(wrong_file(&err, path, &text)),
        }
    }

    /// What it is called: `publisher/brick` or `publisher/service`.
    pub(crate) fn name(&self) -> &FullName {
        match &self.kind {
            Kind::Brick(manifest) => &manifest.brick.name,
            Kind::Service(service) => &service.service.id,
        }
    }

    /// The bricks that it requires.
    pub(crate) fn requires(&self) -> Vec<Dependency> {
        match &self.kind {
            Kind::Brick(manifest) => manifest.requires.clone(),
            Kind::Service(service) => service.requirements(),
        }
    }

    /// Its own features, all of which a lock serves.
    pub(crate) fn features(&self) -> BTreeMap<FeatureName, Vec<String>> {
        match &self.kind {
            Kind::Brick(manifest) => manifest
                .features
                .iter()
                .map(|(name, items)| (name.clone(), items.iter().map(ToString::to_string).collect()))
                .collect(),
            Kind::Service(_) => BTreeMap::new(),
        }
    }

    /// The folder that it lies in.
    pub(crate) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Where its lockfile lies.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.dir().join(LOCK_FILE)
    }

    /// Its lockfile, if there is one.
    ///
    /// # Errors
    /// [`Failure`] where it does not read.
    pub(crate) fn lock(&self) -> Result<Option<Lockfile>, Failure> {
        let path = self.lock_path();
        let Some(bytes) = files::read_if_there(&path, MAX_LOCKFILE_BYTES as u64)? else { return Ok(None) };
        match Lockfile::from_bytes(&bytes) {
            Ok(lock) => Ok(Some(lock)),
            Err(err) => Err(wrong_file(&err, &path, &String::from_utf8_lossy(&bytes))),
        }
    }

    /// The lockfile that must be there.
    ///
    /// # Errors
    /// [`Failure`] where there is none.
    pub(crate) fn demand_lock(&self) -> Result<Lockfile, Failure> {
        self.lock()?.ok_or_else(|| {
            Failure::yours(format!("there is no `{}`", self.lock_path().display()))
                .help("run `brick update` to resolve the requirements and write it")
        })
    }

    /// Writes the lockfile, if that changes it.
    ///
    /// # Errors
    /// [`Failure`] where it cannot be written.
    pub(crate) fn keep_lock(&self, lock: &Lockfile) -> Result<(), Failure> {
        let path = self.lock_path();
        let text = lock.to_text();
        let held = files::read_if_there(&path, MAX_LOCKFILE_BYTES as u64)?;
        match held.as_deref() == Some(text.as_bytes()) {
            true => Ok(()),
            false => files::write(&path, text.as_bytes(), Access::Everybody),
        }
    }
}

/// A file of another name is what its first table says.
fn is_service(name: &str, text: &str) -> bool {
    match name {
        BRICK_FILE => false,
        SERVICE_FILE => true,
        _ => text.lines().any(|line| line.trim_start().starts_with("[service]")),
    }
}

/// The manifest in `dir` or the nearest folder above it, looking into at most `max` folders.
fn nearest(dir: &Path, max: usize) -> Result<Option<PathBuf>, Failure> {
    for dir in dir.ancestors().take(max) {
        let (brick, service) = (dir.join(BRICK_FILE), dir.join(SERVICE_FILE));
        match (brick.is_file(), service.is_file()) {
            (true, true) => {
                return Err(Failure::usage(format!(
                    "`{}` holds both a {BRICK_FILE} and a {SERVICE_FILE}",
                    dir.display()
                ))
                .help(format!("name the one you mean: `--manifest-path {SERVICE_FILE}`")));
            }
            (true, false) => return Ok(Some(brick)),
            (false, true) => return Ok(Some(service)),
            (false, false) => {}
        }
    }
    Ok(None)
}

/// A file that a person wrote and that does not read, with every problem at its place.
pub(crate) fn wrong_file(err: &FileError, path: &Path, text: &str) -> Failure {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let count = err.problems().len();
    let problems = if count == 1 { "a problem".to_owned() } else { format!("{count} problems") };
    Failure::yours(format!("`{}` has {problems}", path.display())).detail(err.render(&name, text, false))
}
