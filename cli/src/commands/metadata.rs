//! `brick metadata`: print what is resolved, for programs.

use brick_schemas::IndexLine;
use brick_schemas::lockfile::{Commons, Head};
use brick_schemas::predicate::release::{BrickKind, Dependency, Maturity};
use brick_schemas::predicate::status::ReleaseStatus;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::session::project::{Kind, Project};
use crate::session::resolved_session;

/// Print the manifest and everything it resolves to as JSON
#[derive(clap::Args)]
pub struct MetadataArgs {
    /// Leave out what is required
    #[arg(long)]
    no_deps: bool,
    /// Print JSON, which it does anyway
    #[arg(long, hide = true)]
    json: bool,
}

#[derive(Serialize)]
struct Metadata {
    manifest_path: String,
    root: Root,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolve: Option<Resolve>,
}

#[derive(Serialize)]
struct Root {
    name: String,
    /// `brick` or `service`.
    is: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    requires: Vec<Dependency>,
}

#[derive(Serialize)]
struct Resolve {
    commons: Commons,
    heads: Vec<Head>,
    /// What each direct requirement came to.
    direct: Vec<Id>,
    bricks: Vec<Brick>,
}

#[derive(Serialize)]
struct Id {
    name: String,
    version: String,
}

#[derive(Serialize)]
struct Brick {
    name: String,
    version: String,
    kind: BrickKind,
    maturity: Maturity,
    license: String,
    status: ReleaseStatus,
    cksum: String,
    contents: String,
    archive_bytes: u64,
    entry: u64,
    time: u64,
    features: Vec<String>,
    dependencies: Vec<Id>,
}

/// Prints the one document.
///
/// # Errors
/// [`Failure`].
pub fn run(ctx: &Context, args: &MetadataArgs) -> Result<(), Failure> {
    let project = Project::find(ctx)?;
    let (is, version) = match &project.kind {
        Kind::Brick(manifest) => ("brick", Some(manifest.brick.version.to_string())),
        Kind::Service(_) => ("service", None),
    };
    let root = Root { name: project.name().to_string(), is, version, requires: project.requires() };
    let resolve = match args.no_deps || project.is_alone() {
        true => None,
        false => resolve(ctx, &project)?,
    };
    let manifest_path = project.path.display().to_string();
    ctx.json("metadata", &Metadata { manifest_path, root, resolve })
}

fn resolve(ctx: &Context, project: &Project) -> Result<Option<Resolve>, Failure> {
    let Some(resolved) = resolved_session(ctx, project)? else { return Ok(None) };
    resolved.keep_lock(project)?;
    let answer = resolved.answer;
    let id = |(name, version): &(_, _)| Id {
        name: ToString::to_string(name),
        version: ToString::to_string(version),
    };
    let ids = |list: &[(brick_schemas::FullName, brick_schemas::Version)]| list.iter().map(id).collect();
    let bricks = answer.resolution.bricks.iter().map(|resolved| {
        let IndexLine {
            name, vers, kind, maturity, license, status, cksum, contents, size, entry, time, ..
        } = resolved.line.clone();
        Brick {
            name: name.to_string(),
            version: vers.to_string(),
            kind,
            maturity,
            license,
            status,
            cksum: cksum.to_string(),
            contents: contents.to_string(),
            archive_bytes: size,
            entry,
            time,
            features: resolved.features.iter().map(ToString::to_string).collect(),
            dependencies: ids(&resolved.dependencies),
        }
    });
    Ok(Some(Resolve {
        bricks: bricks.collect(),
        direct: ids(&answer.resolution.direct),
        commons: answer.lock.commons,
        heads: answer.lock.heads,
    }))
}
