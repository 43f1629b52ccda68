//! `brick audit`: check everything again, from the locked releases or from a whole clone of the commons.

use std::path::PathBuf;

use brick_client::LogPath;
use brick_index::audit::{Audit, AuditError, Report, audit};
use brick_schemas::lockfile::{Head, LockedBrick, Lockfile};
use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{Digest, IndexLine, PublisherName};
use brick_tlog::Hash;
use brick_tlog::tree::{ProveError, check_consistency};
use brick_trust::{Refused, Step};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::session::Session;
use crate::session::project::Project;
use crate::session::refusal::{asked, refused};
use crate::session::resolve::plural;

/// Check everything again: every locked release, or a whole clone of the commons
#[derive(clap::Args)]
#[command(after_help = "\
Without `--index`: asks for the newest heads, shows that each extends the one in brick.lock, and checks every locked \
release's index line, proof, archive and status.
With `--index`: recomputes every log root, signature, right, snapshot and index file in a clone, without any network.")]
pub struct AuditArgs {
    /// Check the locked releases, which it does unless `--index` is given
    #[arg(long)]
    lock: bool,
    /// Clone of a registry's git repository to check instead
    #[arg(long, value_name = "DIR", conflicts_with = "lock", requires = "root_sha256")]
    index: Option<PathBuf>,
    /// SHA-256 of the commons' first root, as the commons publishes it
    #[arg(long, value_name = "HEX")]
    root_sha256: Option<Digest>,
    /// Print what was checked as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct LockReport {
    release_count: usize,
    head_count: usize,
    /// Those whose status is not `active`.
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Finding {
    name: String,
    version: String,
    status: ReleaseStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_instead: Option<String>,
}

/// Checks, and says in numbers what was checked.
///
/// # Errors
/// [`Failure`]: an alarm with the step that failed, or releases that should be replaced.
pub fn run(ctx: &Context, args: &AuditArgs) -> Result<(), Failure> {
    match (&args.index, args.root_sha256) {
        (Some(dir), Some(root_sha256)) => audit_clone(ctx, &ctx.path(dir), root_sha256),
        _ => audit_lock(ctx),
    }
}

fn audit_clone(ctx: &Context, repository: &std::path::Path, root_sha256: Digest) -> Result<(), Failure> {
    let report = audit(&Audit { repository, root_sha256, now: ctx.now() }).map_err(|err| match err {
        AuditError::Refused(err) => refused(&err),
        err => Failure::yours(format!("cannot audit `{}`", ctx.shown(repository)))
            .because(&err)
            .help("name a clone that `git clone` made of a registry's repository"),
    })?;
    if ctx.is_json() {
        return ctx.json("audit-index", &report);
    }
    for line in told(&report) {
        ctx.say(format_args!("{line}"))?;
    }
    Ok(())
}

fn told(report: &Report) -> Vec<String> {
    let mut lines = vec![format!("{}: everything adds up", report.commons)];
    for (count, what) in [
        (report.roots, "versions of the root"),
        (report.records, "publisher and registry records"),
        (report.logs, "logs, roots recomputed"),
        (report.leaves, "leaves hashed"),
        (report.entries, "entries: form, signature, right, log, basis, no replay"),
        (report.signatures, "signatures"),
        (report.cosignatures, "cosignatures"),
        (report.snapshots, "snapshots recomputed"),
        (report.index_files, "index files equal to what the logs add up to"),
        (report.releases, "releases in them"),
        (report.services, "services"),
    ] {
        lines.push(format!("{count:>10} {what}"));
    }
    for head in &report.heads {
        lines.push(format!(
            "      head {} size {} root {}, cosigned by {} of {} needed",
            head.origin, head.size, head.root, head.cosigned, head.quorum
        ));
    }
    lines
}

fn audit_lock(ctx: &Context) -> Result<(), Failure> {
    let project = Project::find(ctx)?;
    let lock = project.demand_lock(ctx)?;
    let mut session = Session::open(ctx, Some(&lock))?;
    if session.online().is_ok() {
        session.sync()?;
    }
    let publishers = session.check_heads(&lock)?;
    let mut findings = Vec::new();
    for brick in &lock.bricks {
        let line = session.locked_line(brick)?;
        if line.status != ReleaseStatus::Active {
            findings.push(Finding {
                name: brick.name.to_string(),
                version: brick.version.to_string(),
                status: line.status,
                use_instead: line.use_instead.map(|other| format!("{} {}", other.name, other.req)),
            });
        }
    }
    session.releases(&lock.bricks, |_, _| Ok(()))?;
    let bad = findings.iter().filter(|finding| finding.status > ReleaseStatus::Deprecated).count();
    let (releases, heads) = (lock.bricks.len(), publishers.len());
    if ctx.is_json() {
        let report = LockReport { release_count: releases, head_count: heads, findings };
        ctx.json("audit", &report)?;
    } else {
        ctx.say(format_args!(
            "{releases} locked {}: index lines, proofs, archives and manifests hold; {heads} {} in brick.lock",
            plural(releases, "release"),
            if heads == 1 { "head extends the one" } else { "heads extend those" }
        ))?;
        for Finding { name, version, status, use_instead } in &findings {
            let instead = use_instead.as_ref().map(|other| format!("; use {other}")).unwrap_or_default();
            ctx.say(format_args!("{name} {version} is {status}{instead}"))?;
        }
    }
    match bad {
        0 => Ok(()),
        _ => Err(Failure::yours(format!("{bad} locked {} should be replaced", plural(bad, "release")))
            .help("run `brick update` to choose others, or change the requirements")),
    }
}

impl Session<'_> {
    /// That today's heads extend those in a lockfile. Returns the publishers whose logs were compared.
    fn check_heads(&mut self, lock: &Lockfile) -> Result<Vec<PublisherName>, Failure> {
        let publishers: Vec<PublisherName> = self
            .commons()
            .publishers()
            .filter(|record| lock.heads.iter().any(|head| head.origin == record.origin))
            .map(|record| record.id.clone())
            .collect();
        for publisher in &publishers {
            let log = self.head(publisher)?;
            let Some(head) = lock.heads.iter().find(|head| head.origin == *log.origin()) else { continue };
            let now = log.checkpoint();
            let root = Hash::from(*head.root.as_bytes());
            if head.size > now.size {
                let what = format!(
                    "{} is shown with {} leaves, brick.lock was made from {}",
                    head.origin, now.size, head.size
                );
                return Err(refused(&Refused::new(Step::Consistency, what)));
            }
            let path = match (head.size == now.size, self.registry()) {
                (true, _) => Vec::new(),
                (false, Some(client)) => self.connection(client, publisher, head, now.size)?,
                (false, None) => continue,
            };
            check_consistency(head.size, now.size, &root, &now.root, &path).map_err(|err| {
                let what = format!(
                    "{} of size {} does not extend the head of size {} in brick.lock",
                    head.origin, now.size, head.size
                );
                refused(&Refused::caused(Step::Consistency, what, err))
            })?;
        }
        Ok(publishers)
    }

    fn connection(
        &self,
        client: &brick_client::Client,
        publisher: &PublisherName,
        head: &Head,
        size: u64,
    ) -> Result<Vec<Hash>, Failure> {
        self.wait(client.consistency(&LogPath::Publisher(publisher.clone()), head.size, size)).map_err(
            |err| match err {
                ProveError::Read(err) => asked(&err),
                err => Failure::bug(err.to_string()),
            },
        )
    }

    /// The index line of a locked release, which must say what the lockfile says.
    fn locked_line(&mut self, brick: &LockedBrick) -> Result<IndexLine, Failure> {
        let what = format!("brick.lock holds {} {}", brick.name, brick.version);
        let line = self.demand_lines(&brick.name)?.into_iter().find(|line| line.vers == brick.version);
        let refuse =
            |says: String| Err(refused(&Refused::new(Step::Lock, format!("{what}, the index {says}"))));
        match line {
            None => refuse("has no such release".into()),
            Some(line) if line.cksum != brick.cksum || line.entry != brick.entry => refuse(format!(
                "says entry {} with archive {} in place of entry {} with archive {}",
                line.entry, line.cksum, brick.entry, brick.cksum
            )),
            Some(line) => Ok(line),
        }
    }
}
