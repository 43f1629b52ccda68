//! `brick check`: find everything that would be wrong before it is published.

mod brick;
mod live;
mod service;

pub(crate) use live::not_live;

use std::path::Path;

use brick_schemas::FileError;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::place::{self, Place};

/// Problems that are shown, at most.
const MAX_SHOWN: usize = 100;

/// Check a brick or a service before it is published
#[derive(clap::Args)]
pub struct CheckArgs {
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Whether a problem stops publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Severity {
    Error,
    Warning,
}

/// One thing that was found.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    severity: Severity,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Everything that was found.
#[derive(Default)]
struct Findings {
    all: Vec<Finding>,
    /// Manifest problems with their lines and carets.
    rendered: String,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    problems: &'a [Finding],
}

impl Findings {
    fn error(&mut self, file: &str, what: impl Into<String>, next: impl Into<String>) {
        self.add(Severity::Error, file, None, what.into(), Some(next.into()));
    }

    fn warning(&mut self, file: &str, what: impl Into<String>, next: impl Into<String>) {
        self.add(Severity::Warning, file, None, what.into(), Some(next.into()));
    }

    fn add(
        &mut self,
        severity: Severity,
        file: &str,
        line: Option<usize>,
        what: String,
        next: Option<String>,
    ) {
        self.all.push(Finding { severity, file: file.to_owned(), line, column: None, what, why: None, next });
    }

    /// The problems of a manifest, each with its place.
    fn manifest(&mut self, ctx: &Context, path: &Path, text: &str, err: &FileError) {
        let file = ctx.shown(path);
        self.rendered = err.render(&file, text, true);
        self.all.extend(err.problems().iter().map(|problem| Finding {
            severity: Severity::Error,
            file: file.clone(),
            line: Some(problem.line),
            column: Some(problem.column),
            what: problem.what.clone(),
            why: Some(problem.why.clone()),
            next: problem.next.clone(),
        }));
    }

    /// A failure of something that was tried, as one of the findings.
    fn absorb(&mut self, ctx: &Context, path: &Path, failure: &Failure) {
        let mut what = failure.what().to_owned();
        for cause in failure.causes() {
            what.push_str(": ");
            what.push_str(cause);
        }
        let next = failure.next_step().map(str::to_owned);
        self.add(Severity::Error, &ctx.shown(path), None, what, next);
    }

    fn count(&self, severity: Severity) -> usize {
        self.all.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Checks and tells everything that was found.
///
/// # Errors
/// [`Failure`] when there is an error, or with `--strict` a warning.
pub fn run(ctx: &Context, args: &CheckArgs) -> Result<(), Failure> {
    let place = place::find(ctx)?;
    let mut findings = Findings::default();
    let name = match &place {
        Place::Brick(path) => brick::check(ctx, path, &mut findings)?.map(|manifest| {
            brick::check_live(ctx, path, &manifest, &mut findings);
            format!("{} {}", manifest.brick.name, manifest.brick.version)
        }),
        Place::Service(path) => service::check(ctx, path, &mut findings)?,
    };
    let errors = findings.count(Severity::Error);
    let warnings = findings.count(Severity::Warning);
    let ok = errors == 0 && !(args.strict && warnings > 0);
    tell(ctx, &findings);
    let shown = ctx.shown(place.manifest());
    if args.json {
        ctx.json("check", &Report { ok, name: name.as_deref(), problems: &findings.all })?;
    }
    if !ok {
        let failure = Failure::yours(format!("`{shown}` has {}", tally(errors, warnings)))
            .help("correct what is named above, then run `brick check` again");
        return Err(if args.json { failure.told() } else { failure });
    }
    let what = name.unwrap_or(shown);
    match warnings {
        0 => ctx.status("Checked", format_args!("{what}: nothing to correct")),
        _ => ctx.status("Checked", format_args!("{what}: {}", tally(0, warnings))),
    }
    Ok(())
}

/// Checks before publishing, and says only what stops it.
///
/// # Errors
/// [`Failure`] when there is an error.
pub(crate) fn demand_no_errors(ctx: &Context, place: &Place) -> Result<(), Failure> {
    let mut findings = Findings::default();
    match place {
        Place::Brick(path) => drop(brick::check(ctx, path, &mut findings)?),
        Place::Service(path) => drop(service::check(ctx, path, &mut findings)?),
    }
    let errors = findings.count(Severity::Error);
    if errors == 0 {
        return Ok(());
    }
    findings.all.retain(|finding| finding.severity == Severity::Error);
    tell(ctx, &findings);
    Err(Failure::yours(format!("`{}` has {}", ctx.shown(place.manifest()), tally(errors, 0)))
        .help("correct what is named above, then run `brick check`"))
}

fn tell(ctx: &Context, findings: &Findings) {
    ctx.talk_rendered(&findings.rendered);
    for finding in findings.all.iter().filter(|finding| finding.column.is_none()).take(MAX_SHOWN) {
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        let next = finding.next.as_ref().map(|next| format!(" – {next}")).unwrap_or_default();
        let text = format!("{}{line}: {}{next}", finding.file, finding.what);
        match finding.severity {
            Severity::Error => ctx.error_line(format_args!("{text}")),
            Severity::Warning => ctx.warn(format_args!("{text}")),
        }
    }
    if findings.all.len() > MAX_SHOWN {
        ctx.note(format_args!("{} more; `--json` lists them all", findings.all.len() - MAX_SHOWN));
    }
}

fn tally(errors: usize, warnings: usize) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, warnings) => count(warnings, "warning"),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => format!("{} and {}", count(errors, "error"), count(warnings, "warning")),
    }
}
