//! `brick package`: make the archive that would be published.

use std::path::PathBuf;

use brick_schemas::{Contents, Digest, FullName, Version};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::package::{Package, PackageError, package};
use crate::place::{self, Place};

/// Where archives go without `--out`: hidden, so that the next archive does not hold them.
const OUT_DIR: &str = ".brick/package";

/// Pack a brick into the archive that would be published
#[derive(clap::Args)]
pub struct PackageArgs {
    /// Only list the files that would be in it
    #[arg(long, short)]
    list: bool,
    /// File or folder to write it to; otherwise `.brick/package` beside the manifest
    #[arg(long, short, value_name = "PATH", conflicts_with = "list")]
    out: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Packed<'a> {
    name: &'a FullName,
    version: &'a Version,
    sha256: Digest,
    bytes: usize,
    contents: Contents,
    files: Vec<PackedFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

#[derive(Serialize)]
struct PackedFile<'a> {
    path: &'a str,
    bytes: u64,
}

/// Packs and writes.
///
/// # Errors
/// [`Failure`] when the folder is no brick, a file cannot be in one, or the archive cannot be written.
pub fn run(ctx: &Context, args: &PackageArgs) -> Result<(), Failure> {
    let place = find_brick(ctx)?;
    let packed = pack(ctx, &place)?;
    let brick = &packed.manifest.brick;
    let mut result = Packed {
        name: &brick.name,
        version: &brick.version,
        sha256: packed.digest(),
        bytes: packed.archive.len(),
        contents: packed.contents,
        files: packed
            .files
            .iter()
            .map(|(path, bytes)| PackedFile { path: path.as_str(), bytes: *bytes })
            .collect(),
        path: None,
    };
    if args.list {
        if args.json {
            return ctx.json("package", &result);
        }
        return result.files.iter().try_for_each(|file| ctx.say(format_args!("{}", file.path)));
    }
    let out = match &args.out {
        Some(out) if ctx.path(out).is_dir() => ctx.path(out).join(packed.file_name()),
        Some(out) => ctx.path(out),
        None => place.dir().join(OUT_DIR).join(packed.file_name()),
    };
    if let Some(parent) = out.parent() {
        files::make_dir(parent, Access::Everybody)?;
    }
    files::write(&out, &packed.archive, Access::Everybody)?;
    ctx.status("Packaged", format_args!("{}", summary(&packed)));
    result.path = Some(ctx.shown(&out));
    if args.json {
        return ctx.json("package", &result);
    }
    ctx.say(format_args!("{}", ctx.shown(&out)))
}

/// The brick that is meant; a service is none.
///
/// # Errors
/// [`Failure`].
pub(crate) fn find_brick(ctx: &Context) -> Result<Place, Failure> {
    match place::find(ctx)? {
        Place::Service(path) => {
            Err(Failure::usage(format!("`{}` is a service, only bricks have archives", ctx.shown(&path)))
                .help("a service is published as it is: `brick publish`"))
        }
        brick => Ok(brick),
    }
}

/// Packs the brick of `place`.
///
/// # Errors
/// [`Failure`] that names the file and the rule.
pub(crate) fn pack(ctx: &Context, place: &Place) -> Result<Package, Failure> {
    package(place.dir()).map_err(|err| failure(ctx, place, &err))
}

/// `northshire.gov.uk/case-handling 1.4.0: 12 files, 34.1 KiB (9.8 KiB packed)`.
pub(crate) fn summary(packed: &Package) -> String {
    let brick = &packed.manifest.brick;
    let unpacked: u64 = packed.files.iter().map(|(_, bytes)| bytes).sum();
    let count = packed.files.len();
    let files = if count == 1 { "file" } else { "files" };
    format!(
        "{} {}: {count} {files}, {} ({} packed)",
        brick.name,
        brick.version,
        size(unpacked),
        size(packed.archive.len() as u64)
    )
}

/// A count of bytes with a unit that people read.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn failure(ctx: &Context, place: &Place, err: &PackageError) -> Failure {
    let shown = ctx.shown(place.manifest());
    match err {
        PackageError::Manifest { path, text, err } => place::manifest_failure(ctx, path, text, err),
        PackageError::NoManifest { .. } => {
            Failure::yours(err.to_string()).help("begin one with `brick init`")
        }
        PackageError::ReadBack(_) => Failure::bug(format!("cannot pack `{shown}`")).because(err),
        PackageError::Secret { .. } => Failure::yours(format!("cannot pack `{shown}`"))
            .because(err)
            .help("move it out of the folder, or name it under `exclude` in `[brick]`; what is published stays for ever"),
        PackageError::Missing { .. } => Failure::yours(format!("cannot pack `{shown}`"))
            .because(err)
            .help("see `brick package --list`; add the file, or correct the manifest (`include`, `exclude`, `.gitignore`)"),
        PackageError::Limit(_) | PackageError::Write(_) => Failure::yours(format!("cannot pack `{shown}`"))
            .because(err)
            .help("leave out what readers do not need with `exclude` in `[brick]`"),
        _ => Failure::yours(format!("cannot pack `{shown}`")).because(err).help("correct it, then run `brick check`"),
    }
}
