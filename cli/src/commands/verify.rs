//! `brick verify`: check an archive against its proof, or the vendored bricks against the lockfile; offline.

use std::path::PathBuf;

use brick_schemas::archive::Limits;
use brick_tlog::proof::{MAX_PROOF_BYTES, Proof};
use brick_trust::{Refused, Step};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::session::Session;
use crate::session::project::Project;
use crate::session::refusal::refused;
use crate::session::release::{check_release, open_archive};
use crate::session::resolve::plural;
use crate::session::vendor::{VENDOR_DIR, check_vendored};

/// Check an archive against its proof, or the vendored bricks against brick.lock, offline
#[derive(clap::Args)]
#[command(after_help = "\
With an archive: that its publisher signed these bytes, under a head that enough others saw.
Without one: that `bricks/` holds exactly what brick.lock names, each with its proof.")]
pub struct VerifyArgs {
    /// Archive to check
    #[arg(requires = "proof")]
    archive: Option<PathBuf>,
    /// Proof of its place in a log [default for vendored bricks: beside each]
    #[arg(long, value_name = "FILE", requires = "archive")]
    proof: Option<PathBuf>,
    /// Folder of vendored bricks [default: bricks, beside the manifest]
    #[arg(long, value_name = "DIR", conflicts_with = "archive")]
    dir: Option<PathBuf>,
    /// Print what was verified as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct VerifiedArchive {
    name: String,
    version: String,
    sha256: String,
    contents: String,
    log: String,
    entry: u64,
    size: u64,
    cosigned: Vec<Cosigned>,
}

#[derive(Serialize)]
struct Cosigned {
    operator: String,
    time: u64,
}

#[derive(Serialize)]
struct VerifiedFolder {
    dir: String,
    release_count: usize,
}

/// Checks without any network.
///
/// # Errors
/// [`Failure`]: an alarm with the step that failed.
pub fn run(ctx: &Context, args: &VerifyArgs) -> Result<(), Failure> {
    match (&args.archive, &args.proof) {
        (Some(archive), Some(proof)) => verify_archive(ctx, &ctx.path(archive), &ctx.path(proof)),
        _ => verify_folder(ctx, args.dir.as_ref().map(|dir| ctx.path(dir))),
    }
}

fn verify_archive(ctx: &Context, archive: &std::path::Path, proof: &std::path::Path) -> Result<(), Failure> {
    let bytes = files::read(archive, Limits::default().archive_bytes)?;
    let proof_bytes = files::read(proof, MAX_PROOF_BYTES as u64)?;
    let shown = ctx.shown(archive);
    let proof = Proof::parse(&proof_bytes).map_err(|err| {
        refused(&Refused::caused(Step::Inclusion, format!("the proof of {shown} is malformed"), err))
    })?;
    let session = Session::open_kept(ctx, None)?;
    let (_, manifest) = open_archive(&bytes, &shown).map_err(|err| refused(&err))?;
    let (name, version) = (&manifest.brick.name, &manifest.brick.version);
    let checked = check_release(session.commons(), ctx.now(), name, version, proof, &bytes)
        .map_err(|err| refused(&err))?;
    let (release, head) = (checked.verified.release(), checked.verified.head());
    let checkpoint = head.checkpoint();
    if ctx.is_json() {
        let cosigned = head.cosigned().iter();
        return ctx.json(
            "verify",
            &VerifiedArchive {
                name: name.to_string(),
                version: version.to_string(),
                sha256: release.archive.sha256.to_string(),
                contents: release.contents.to_string(),
                log: checkpoint.origin.to_string(),
                entry: checked.verified.index(),
                size: checkpoint.size,
                cosigned: cosigned
                    .map(|(operator, time)| Cosigned { operator: operator.to_string(), time: *time })
                    .collect(),
            },
        );
    }
    ctx.say(format_args!(
        "verified {name} {version}: entry {} of {}, under a head of size {} that {} {} cosigned",
        checked.verified.index(),
        checkpoint.origin,
        checkpoint.size,
        head.cosigned().len(),
        plural(head.cosigned().len(), "other")
    ))
}

fn verify_folder(ctx: &Context, dir: Option<PathBuf>) -> Result<(), Failure> {
    let project = Project::find(ctx)?;
    let lock = project.demand_lock(ctx)?;
    let dir = dir.unwrap_or_else(|| project.dir().join(VENDOR_DIR));
    if !dir.is_dir() {
        return Err(Failure::yours(format!("there is no folder `{}`", ctx.shown(&dir)))
            .help("run `brick vendor` to make it"));
    }
    let session = Session::open_kept(ctx, Some(&lock))?;
    let count = check_vendored(&dir, &lock, session.commons(), ctx.now())?;
    if ctx.is_json() {
        let folder = VerifiedFolder { dir: dir.display().to_string(), release_count: count };
        return ctx.json("verify", &folder);
    }
    ctx.say(format_args!("verified {count} {} in {}", plural(count, "release"), ctx.shown(&dir)))
}
