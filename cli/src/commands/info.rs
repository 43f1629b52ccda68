//! `brick info`: show what the index says of a brick.

use std::collections::BTreeSet;

use brick_schemas::lockfile::LockedBrick;
use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{FullName, IndexLine, Version};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Family};
use crate::session::Session;
use crate::session::lookup::Look;

/// Releases that are listed for people, at most; `--json` has all.
const MAX_LISTED: usize = 12;

/// Show what the index says of a brick
#[derive(clap::Args)]
pub struct InfoArgs {
    /// The brick, or one version of it: `publisher/brick@1.2.3`
    #[arg(value_name = "BRICK[@VERSION]")]
    brick: String,
    /// Print every index line as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Info<'a> {
    name: String,
    /// Leaves of the publisher's log that this follows from.
    log_size: u64,
    releases: &'a [IndexLine],
}

/// Looks the brick up and shows one release of it.
///
/// # Errors
/// [`Failure`].
pub fn run(ctx: &Context, args: &InfoArgs) -> Result<(), Failure> {
    let (name, version) = parse(&args.brick)?;
    let mut session = Session::open(ctx, None)?;
    let lines = session.demand_lines(&name)?;
    if ctx.is_json() {
        let log_size = session.kept_head(&name.publisher)?.map_or(0, |log| log.checkpoint().size);
        return ctx.json("info", &Info { name: name.to_string(), log_size, releases: &lines });
    }
    let line = match &version {
        Some(version) => lines.iter().find(|line| line.vers == *version),
        None => newest(&lines),
    };
    let Some(line) = line else {
        let versions: Vec<_> =
            lines.iter().rev().take(MAX_LISTED).map(|line| line.vers.to_string()).collect();
        return Err(Failure::yours(format!("there is no such version of {name}"))
            .help(format!("choose one of {}", versions.join(", "))));
    };
    show(ctx, &session, line, &lines)
}

/// The newest release that may be newly used, else the newest.
pub(crate) fn newest(lines: &[IndexLine]) -> Option<&IndexLine> {
    let rank = |line: &&IndexLine| (line.status <= ReleaseStatus::Deprecated, !line.vers.is_prerelease());
    lines.iter().max_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.vers.cmp(&b.vers)))
}

fn parse(text: &str) -> Result<(FullName, Option<Version>), Failure> {
    let wrong = |err: &dyn std::fmt::Display| {
        Failure::usage(err.to_string()).help("write a brick as `publisher/brick` or `publisher/brick@1.2.3`")
    };
    let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
    let name = FullName::parse(name).map_err(|err| wrong(&err))?;
    let version = version.map(Version::parse).transpose().map_err(|err| wrong(&err))?;
    Ok((name, version))
}

fn show(ctx: &Context, session: &Session<'_>, line: &IndexLine, lines: &[IndexLine]) -> Result<(), Failure> {
    ctx.say(format_args!("{} {}", line.name, line.vers))?;
    for text in texts(session, line)? {
        ctx.say(format_args!("{text}"))?;
    }
    let row = |label: &str, value: &dyn std::fmt::Display| ctx.say(format_args!("{label:>12}: {value}"));
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let as_word = |value: Result<serde_json::Value, _>| value.map(word).unwrap_or_default();
    row("kind", &as_word(serde_json::to_value(line.kind)))?;
    row("maturity", &as_word(serde_json::to_value(line.maturity)))?;
    row("licence", &line.license)?;
    row("status", &line.status)?;
    if let Some(other) = &line.use_instead {
        row("use instead", &format_args!("{} {}", other.name, other.req))?;
    }
    row("archive", &format_args!("{} ({} KiB)", line.cksum, line.size.div_ceil(1024)))?;
    row("entry", &line.entry)?;
    if let Some(from) = &line.forked_from {
        row("forked from", &format_args!("{} {}", from.name, from.version))?;
    }
    for dependency in &line.deps {
        let optional = if dependency.optional { " (optional)" } else { "" };
        row("requires", &format_args!("{} {}{optional}", dependency.name, dependency.req))?;
    }
    for (feature, items) in &line.features {
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        row("feature", &format_args!("{feature} = [{}]", items.join(", ")))?;
    }
    for (interface, version) in &line.provides {
        row("provides", &format_args!("{interface} {version}"))?;
    }
    for (interface, requirement) in &line.needs {
        row("needs", &format_args!("{interface} {requirement}"))?;
    }
    let mut versions: Vec<&IndexLine> = lines.iter().collect();
    versions.sort_by(|a, b| b.vers.cmp(&a.vers));
    let more = versions.len().saturating_sub(MAX_LISTED);
    let mut listed: Vec<String> = versions
        .iter()
        .take(MAX_LISTED)
        .map(|line| match line.status {
            ReleaseStatus::Active => line.vers.to_string(),
            status => format!("{} ({status})", line.vers),
        })
        .collect();
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    row("versions", &listed.join(", "))
}

/// Title and summary from the manifest in the archive, where that can be had.
fn texts(session: &Session<'_>, line: &IndexLine) -> Result<Vec<String>, Failure> {
    let locked = LockedBrick {
        name: line.name.clone(),
        version: line.vers.clone(),
        cksum: line.cksum,
        entry: line.entry,
        features: Vec::new(),
        dependencies: Vec::new(),
    };
    let mut texts = Vec::new();
    let fetched = session.releases(&[locked], |_, checked| {
        for text in checked.manifest.text.values() {
            texts.push(text.title.to_string());
            texts.extend(Some(text.summary.to_string()).filter(|summary| !summary.is_empty()));
        }
        Ok(())
    });
    match fetched {
        Err(failure) if failure.family() == Family::Alarm => Err(failure),
        _ => Ok(texts),
    }
}

impl Session<'_> {
    /// The index lines of a brick that must exist.
    ///
    /// # Errors
    /// [`Failure`] with the nearest names where there is no such brick.
    pub(crate) fn demand_lines(&mut self, name: &FullName) -> Result<Vec<IndexLine>, Failure> {
        let look = if self.online().is_ok() { Look::There } else { Look::Here };
        if look == Look::There {
            self.sync()?;
        }
        let mut found = self.look_up(&BTreeSet::from([name.clone()]), look)?;
        if let Some(lines) = found.remove(name).flatten().filter(|lines| !lines.is_empty()) {
            return Ok(lines);
        }
        let failure = Failure::yours(format!("there is no brick {name}"));
        let near: Vec<String> = self.near_names(name).iter().map(ToString::to_string).collect();
        Err(match near.is_empty() {
            true => failure.help(format!("look for it with `brick search {}`", name.publisher)),
            false => failure.help(format!("did you mean {}?", near.join(" or "))),
        })
    }
}
