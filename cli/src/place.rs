//! Which brick or service is meant? The manifest that `--manifest-path` names, or the nearest one upwards, as in cargo.

use std::path::{Path, PathBuf};

use brick_schemas::FileError;
use brick_schemas::archive::MANIFEST_PATH;
use brick_schemas::manifest::MAX_MANIFEST_BYTES;
use brick_schemas::service::ServiceManifest;

use crate::context::Context;
use crate::failure::Failure;
use crate::files;

/// The file name of a service's manifest.
pub(crate) const SERVICE_PATH: &str = "service.toml";
/// Folders that are looked into on the way up, at most.
const MAX_ANCESTORS: usize = 256;

/// What a command works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A brick, by its `brick.toml`.
    Brick(PathBuf),
    /// A service, by its `service.toml`.
    Service(PathBuf),
}

impl Place {
    /// The manifest's path.
    pub(crate) fn manifest(&self) -> &Path {
        match self {
            Place::Brick(path) | Place::Service(path) => path,
        }
    }

    /// The folder that the manifest lies in.
    pub(crate) fn dir(&self) -> &Path {
        self.manifest().parent().unwrap_or(Path::new("."))
    }
}

/// Finds the brick or service that is meant.
///
/// # Errors
/// [`Failure`] when there is none, or a folder holds both and `--manifest-path` does not choose.
pub(crate) fn find(ctx: &Context) -> Result<Place, Failure> {
    if let Some(path) = ctx.manifest_path() {
        return named(&path);
    }
    for dir in ctx.cwd().ancestors().take(MAX_ANCESTORS) {
        let (brick, service) = (dir.join(MANIFEST_PATH), dir.join(SERVICE_PATH));
        match (brick.is_file(), service.is_file()) {
            (true, false) => return Ok(Place::Brick(brick)),
            (false, true) => return Ok(Place::Service(service)),
            (false, false) => {}
            (true, true) => {
                return Err(Failure::usage(format!("`{}` holds a brick and a service", dir.display())).help(
                    format!(
                        "choose with `--manifest-path {MANIFEST_PATH}` or `--manifest-path {SERVICE_PATH}`"
                    ),
                ));
            }
        }
    }
    Err(Failure::yours(format!(
        "there is no `{MANIFEST_PATH}` or `{SERVICE_PATH}` in `{}` or any folder above it",
        ctx.cwd().display()
    ))
    .help("go to a brick's folder, name it with `-C DIR`, or begin one with `brick new NAME`"))
}

fn named(path: &Path) -> Result<Place, Failure> {
    let missing = Failure::yours(format!("there is no manifest `{}`", path.display()));
    if !path.is_file() {
        let help = if path.is_dir() { "name the file in that folder" } else { "check the path" };
        return Err(missing.help(help));
    }
    match path.file_name().and_then(|name| name.to_str()) {
        Some(MANIFEST_PATH) => Ok(Place::Brick(path.to_owned())),
        Some(SERVICE_PATH) => Ok(Place::Service(path.to_owned())),
        _ => Err(Failure::usage(format!("`{}` is no manifest's name", path.display()))
            .help(format!("a manifest is called `{MANIFEST_PATH}` or `{SERVICE_PATH}`"))),
    }
}

/// Reads one's own `service.toml`.
///
/// # Errors
/// [`Failure`] that shows each line with a caret.
pub(crate) fn read_service(ctx: &Context, path: &Path) -> Result<ServiceManifest, Failure> {
    let text = files::read_text(path, MAX_MANIFEST_BYTES as u64 + 1)?;
    ServiceManifest::parse(&text).map_err(|err| manifest_failure(ctx, path, &text, &err))
}

/// A manifest's problems, each with its line and caret.
pub(crate) fn manifest_failure(ctx: &Context, path: &Path, text: &str, err: &FileError) -> Failure {
    let count = err.problems().len();
    let what = match count {
        1 => format!("`{}` has a problem", ctx.shown(path)),
        _ => format!("`{}` has {count} problems", ctx.shown(path)),
    };
    Failure::yours(what)
        .detail(err.render(&ctx.shown(path), text, true))
        .help("correct the marked lines, then run `brick check`")
}
