//! What does the manifest or service here require?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use brick_schemas::lockfile::{Lockfile, MAX_LOCKFILE_BYTES};
use brick_schemas::manifest::MAX_MANIFEST_BYTES;
use brick_schemas::predicate::release::Dependency;
use brick_schemas::service::ServiceManifest;
use brick_schemas::{FeatureItem, FeatureName, FullName, Manifest};

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::place::{self, Place, manifest_failure};

/// Beside the manifest.
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
    /// The brick or service that is meant ([`place::find`]), read as anybody reads it.
    ///
    /// # Errors
    /// [`Failure`] when there is none, or it does not read.
    pub(crate) fn find(ctx: &Context) -> Result<Self, Failure> {
        let place = place::find(ctx)?;
        let path = place.manifest();
        let text = files::read_text(path, MAX_MANIFEST_BYTES as u64)?;
        Self::read(ctx, path, text, matches!(place, Place::Service(_)))
    }

    fn read(ctx: &Context, path: &Path, text: String, is_service: bool) -> Result<Self, Failure> {
        let kind = match is_service {
            true => ServiceManifest::parse(&text).map(|service| Kind::Service(Box::new(service))),
            false => Manifest::parse(&text).map(|manifest| Kind::Brick(Box::new(manifest))),
        };
        match kind {
            Ok(kind) => Ok(Self { path: path.to_owned(), text, kind }),
            Err(err) => Err(manifest_failure(ctx, path, &text, &err)),
        }
    }

    /// The same project with another text, which is read as the one before was.
    ///
    /// # Errors
    /// [`Failure`] where the text does not read.
    pub(crate) fn with_text(&self, ctx: &Context, text: String) -> Result<Self, Failure> {
        Self::read(ctx, &self.path, text, matches!(self.kind, Kind::Service(_)))
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
    pub(crate) fn features(&self) -> BTreeMap<FeatureName, Vec<FeatureItem>> {
        match &self.kind {
            Kind::Brick(manifest) => manifest.features.clone(),
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
    pub(crate) fn lock(&self, ctx: &Context) -> Result<Option<Lockfile>, Failure> {
        let path = self.lock_path();
        let Some(bytes) = files::read_if_there(&path, MAX_LOCKFILE_BYTES as u64)? else { return Ok(None) };
        match Lockfile::from_bytes(&bytes) {
            Ok(lock) => Ok(Some(lock)),
            Err(err) => Err(manifest_failure(ctx, &path, &String::from_utf8_lossy(&bytes), &err)
                .help("restore it from version control, or remove it and run `brick update`")),
        }
    }

    /// The lockfile that must be there.
    ///
    /// # Errors
    /// [`Failure`] where there is none.
    pub(crate) fn demand_lock(&self, ctx: &Context) -> Result<Lockfile, Failure> {
        self.lock(ctx)?.ok_or_else(|| {
            Failure::yours(format!("there is no `{}`", self.lock_path().display()))
                .help("run `brick update` to resolve the requirements and write it")
        })
    }

    /// Whether it requires nothing at all, so that there is nothing to resolve.
    pub(crate) fn is_alone(&self) -> bool {
        self.requires().is_empty()
    }

    /// Writes the changed manifest and its lockfile: both or, where something refuses, none.
    ///
    /// # Errors
    /// [`Failure`] where one cannot be written.
    pub(crate) fn keep_with_lock(&self, lock: Option<&Lockfile>) -> Result<(), Failure> {
        let path = self.lock_path();
        let lock = lock.map(Lockfile::to_text);
        let mut files = vec![(self.path.as_path(), self.text.as_bytes())];
        files.extend(lock.as_ref().map(|text| (path.as_path(), text.as_bytes())));
        files::write_together(&files)
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
