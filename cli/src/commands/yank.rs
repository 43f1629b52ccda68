//! `brick yank`: say that versions are not to be newly used, or that they are again.

use brick_schemas::predicate::status::UseInstead;
use brick_schemas::predicate::{Place as LogPlace, Predicate, ReleaseStatus, Statement, Status, StatusCode};
use brick_schemas::{Blob, Digest, FullName, Requirement, Version};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::keys::SigningArgs;
use crate::publishing::{self, Send, Submission, logged_release};
use crate::session::Session;

/// Bytes of a reason, at most.
const MAX_REASON_BYTES: usize = 64 * 1_024;

/// Say that a version is not to be newly used, or that it is again
#[derive(clap::Args)]
#[command(after_help = "\
Lockfiles that hold the version keep working and nothing is deleted; resolution does not choose it any more.")]
pub struct YankArgs {
    /// The releases, all of one brick: `PUBLISHER/NAME@VERSION`
    #[arg(required = true, value_name = "NAME@VERSION")]
    release: Vec<String>,
    /// Take a yank back
    #[arg(long, conflicts_with_all = ["code", "use_instead"])]
    undo: bool,
    /// Why, in one word
    #[arg(long, value_enum, required_unless_present = "undo")]
    code: Option<Code>,
    /// Why, in words; never name a person
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// What to use instead: `PUBLISHER/NAME` or `PUBLISHER/NAME@REQUIREMENT`
    #[arg(long, value_name = "NAME[@REQ]")]
    use_instead: Option<String>,
    /// Do everything but send it
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Do it without being asked
    #[arg(long, short)]
    yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    signing: SigningArgs,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum Code {
    /// It is wrong
    Error,
    /// It is dangerous
    Security,
    /// There is something better
    Superseded,
    /// The law says so
    Legal,
    /// Personal data is at stake
    DataProtection,
}

#[derive(Serialize)]
struct Yanked {
    name: String,
    versions: Vec<String>,
    status: ReleaseStatus,
    published: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
}

/// Signs and sends the status.
///
/// # Errors
/// [`Failure`].
pub fn run(ctx: &Context, args: &YankArgs) -> Result<(), Failure> {
    let (name, versions) = releases(&args.release)?;
    let status = if args.undo { ReleaseStatus::Active } else { ReleaseStatus::Yanked };
    let use_instead = args.use_instead.as_deref().map(parse_use_instead).transpose()?;
    let reason = args.reason.as_ref().map(|text| text.clone().into_bytes());
    if reason.as_ref().is_some_and(|text| text.len() > MAX_REASON_BYTES) {
        return Err(Failure::usage(format!("a reason has at most {MAX_REASON_BYTES} bytes")));
    }
    let mut session = Session::open(ctx, None)?;
    let desk = publishing::desk(&mut session, &name.publisher)?;
    let mut subjects: Vec<(String, Digest)> = Vec::new();
    for version in &versions {
        let Some((release, _)) = logged_release(&session, &desk.record, &desk.home, &name, version)? else {
            return Err(Failure::yours(format!("{name} {version} is not published"))
                .help(format!("see what is: `brick info {name}`")));
        };
        subjects.push((format!("{name} {version}"), release.archive.sha256));
    }
    let said: Vec<String> = versions.iter().map(ToString::to_string).collect();
    let what = format!("{name} {}", said.join(", "));
    let question = if args.undo { format!("Take the yank of {what} back?") } else { format!("Yank {what}?") };
    if !args.dry_run && !args.yes && ctx.can_ask() && !ctx.confirm(&question)? {
        return Err(
            Failure::yours("nothing was said").help("run it again when you agree; `--yes` does not ask")
        );
    }
    let statement = |place: LogPlace| {
        let predicate = Status {
            place,
            name: name.clone(),
            versions: versions.clone(),
            status,
            code: args.code.map(Code::code),
            use_instead: use_instead.clone(),
            effective: None,
            reason: reason.as_deref().map(Blob::of),
        };
        Ok(Statement::new(subjects.clone(), Predicate::Status(Box::new(predicate))))
    };
    // One name for one set of versions and one status, of a bounded length.
    let id = Digest::of(format!("{} {status}", said.join(" ")).as_bytes()).to_string();
    let submission = Submission {
        publisher: name.publisher.clone(),
        stem: format!("status-{}-{}", name.brick, &id[..16]),
        statement: &statement,
        blobs: reason.clone().into_iter().collect(),
    };
    let send = if args.dry_run { Send::Never } else { Send::Really };
    let acknowledged = publishing::submit(&mut session, &desk, &args.signing, &submission, send)?;
    let verb = if args.undo { "Unyanked" } else { "Yanked" };
    match &acknowledged {
        Some(done) => ctx.status(verb, format_args!("{what}: entry {} of {}", done.index, done.log)),
        None => ctx.status("Checked", format_args!("{what}: signed, nothing was sent")),
    }
    if args.json {
        let index = acknowledged.map(|done| done.index);
        let yanked =
            Yanked { name: name.to_string(), versions: said, status, published: index.is_some(), index };
        return ctx.json("yank", &yanked);
    }
    Ok(())
}

impl Code {
    fn code(self) -> StatusCode {
        match self {
            Code::Error => StatusCode::Error,
            Code::Security => StatusCode::Security,
            Code::Superseded => StatusCode::Superseded,
            Code::Legal => StatusCode::Legal,
            Code::DataProtection => StatusCode::DataProtection,
        }
    }
}

/// The brick and its versions, ascending, each once.
fn releases(specs: &[String]) -> Result<(FullName, Vec<Version>), Failure> {
    let mut brick: Option<FullName> = None;
    let mut versions = Vec::with_capacity(specs.len());
    for spec in specs {
        let unfit = || {
            Failure::usage(format!("`{spec}` names no release"))
                .help("write it as `northshire.gov.uk/case-handling@1.4.0`")
        };
        let (name, version) = spec.split_once('@').ok_or_else(unfit)?;
        let name: FullName = name.parse().map_err(|err| unfit().because(&err))?;
        versions.push(Version::parse(version).map_err(|err| unfit().because(&err))?);
        match &brick {
            Some(first) if *first != name => {
                return Err(Failure::usage(format!("`{first}` and `{name}` are two bricks"))
                    .help("run it once for each brick"));
            }
            _ => brick = Some(name),
        }
    }
    versions.sort();
    versions.dedup();
    match brick {
        Some(name) => Ok((name, versions)),
        None => Err(Failure::usage("no release is named")),
    }
}

fn parse_use_instead(text: &str) -> Result<UseInstead, Failure> {
    let unfit = || {
        Failure::usage(format!("`{text}` names no brick to use instead"))
            .help("write it as `northshire.gov.uk/cases` or `northshire.gov.uk/cases@^2`")
    };
    let (name, req) = text.split_once('@').unwrap_or((text, "*"));
    Ok(UseInstead {
        name: name.parse().map_err(|err| unfit().because(&err))?,
        req: Requirement::parse(req).map_err(|err| unfit().because(&err))?,
    })
}
