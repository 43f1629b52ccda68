//! What does the command line look like? Global flags, and how a run begins.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};

use crate::commands::Command;
use crate::context::{Context, Limits};
use crate::examples::with_examples;
use crate::failure::{Failure, Family};
use crate::output::{Color, Output, Verbosity};
use crate::surroundings::Surroundings;

/// Publish, find, check and use bricks: reusable specifications of public services
#[derive(Parser)]
#[command(name = "brick", bin_name = "brick", version, max_term_width = 100, disable_help_subcommand = false)]
#[command(after_help = "\
Exit codes: 0 done, 1 fix the input, 2 usage, 3 alarm (signature, digest or history), 4 network, 101 bug.
Environment: BRICK_HOME, BRICK_REGISTRY, BRICK_HTTP_TIMEOUT (seconds), BRICK_KEY, BRICK_KEY_PASSPHRASE, NO_COLOR, SSH_AUTH_SOCK.")]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Registry to ask, in place of the default one [env: BRICK_REGISTRY]
    #[arg(long, global = true, value_name = "URL")]
    registry: Option<String>,
    /// Path to `brick.toml` or `service.toml`
    #[arg(long, global = true, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// Fail if the lockfile would change
    #[arg(long, global = true)]
    locked: bool,
    /// Ask nothing over the network
    #[arg(long, global = true)]
    offline: bool,
    /// The same as `--locked --offline`
    #[arg(long, global = true)]
    frozen: bool,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    verbose: bool,
    /// When to use colour; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    color: Color,
    /// Work as if started in this directory
    #[arg(short = 'C', global = true, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// The whole command line as clap knows it, for completions and manual pages.
pub fn command() -> clap::Command {
    with_examples(Cli::command())
}

/// Parses a command line; prints help, version and usage errors itself.
///
/// # Errors
/// The exit code to end with.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    surroundings: Surroundings,
) -> Result<(Context, Command), u8> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(err) => return Err(clap_says(&err, surroundings)),
    };
    let json = asks_for_json(&matches);
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(err) => return Err(clap_says(&err.format(&mut command()), surroundings)),
    };
    let global = cli.global;
    let verbosity = match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let (env_home, registry) = match (home(&surroundings), registry(&global, &surroundings)) {
        (home, Ok(registry)) => (home, registry),
        (_, Err(failure)) => return Err(refuse(&failure, surroundings, verbosity, global.color)),
    };
    let cwd = match &global.directory {
        Some(dir) => surroundings.cwd.join(dir),
        None => surroundings.cwd.clone(),
    };
    if !cwd.is_dir() {
        let failure = Failure::yours(format!("there is no directory `{}`", cwd.display()))
            .help("name an existing one with `-C DIR`");
        return Err(refuse(&failure, surroundings, verbosity, global.color));
    }
    let Some(home) = env_home else {
        let failure = Failure::yours("cannot tell where your home directory is")
            .help("set BRICK_HOME to a directory for keys and caches");
        return Err(refuse(&failure, surroundings, verbosity, global.color));
    };
    let no_color = surroundings.has("NO_COLOR");
    let context = Context {
        home: cwd.join(home),
        cwd,
        registry,
        is_registry_named: global.registry.is_some(),
        manifest_path: global.manifest_path,
        limits: Limits { locked: global.locked || global.frozen, offline: global.offline || global.frozen },
        json,
        can_ask: surroundings.can_ask,
        now: surroundings.now,
        output: Output::new(surroundings.stdout, surroundings.stderr, verbosity, global.color, no_color),
        env: surroundings.env,
    };
    Ok((context, cli.command))
}

/// Whether the innermost subcommand has a `--json` that was given.
fn asks_for_json(matches: &ArgMatches) -> bool {
    let mut matches = matches;
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    matches!(matches.try_get_one::<bool>("json"), Ok(Some(true)))
}

fn home(surroundings: &Surroundings) -> Option<PathBuf> {
    let set = |name: &str| {
        surroundings.env.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    set("BRICK_HOME").or_else(|| set("HOME").or_else(|| set("USERPROFILE")).map(|home| home.join(".brick")))
}

fn registry(global: &Global, surroundings: &Surroundings) -> Result<Option<String>, Failure> {
    if let Some(url) = &global.registry {
        return Ok(Some(url.clone()));
    }
    match surroundings.env.get(std::ffi::OsStr::new("BRICK_REGISTRY")).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => match value.to_str() {
            Some(url) => Ok(Some(url.to_owned())),
            None => Err(Failure::yours("BRICK_REGISTRY is not text").help("set it to a registry's URL")),
        },
    }
}

fn refuse(failure: &Failure, surroundings: Surroundings, verbosity: Verbosity, color: Color) -> u8 {
    let no_color = surroundings.has("NO_COLOR");
    Output::new(surroundings.stdout, surroundings.stderr, verbosity, color, no_color).failure(failure);
    failure.family().code()
}

/// Prints what clap has to say: help and version are results, everything else is a usage error.
fn clap_says(err: &clap::Error, mut surroundings: Surroundings) -> u8 {
    let no_color = surroundings.has("NO_COLOR");
    let (stream, code) = if err.use_stderr() {
        (&mut surroundings.stderr, Family::Usage.code())
    } else {
        (&mut surroundings.stdout, 0)
    };
    let rendered = err.render();
    let text =
        if stream.is_terminal && !no_color { rendered.ansi().to_string() } else { rendered.to_string() };
    // A reader who went away has seen enough.
    let _ = stream.writer.write_all(text.as_bytes()).and_then(|()| stream.writer.flush());
    code
}
