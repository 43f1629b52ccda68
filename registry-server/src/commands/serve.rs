//! `brickyard serve`: run the registry until it is told to stop.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use brick_store::{CRASH_POINT_VARIABLE, check_crash_point};
use tracing_subscriber::EnvFilter;

use super::failure::Failure;
use crate::configured::{Configured, ConfiguredError};
use crate::server::start;
use crate::settings::Settings;

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_LOG: &str = "info";
/// Threads for what blocks, disks and git above all, at most; further work waits for one of them.
pub const MAX_BLOCKING_THREADS: usize = 128;
/// Threads that are still in a system call when the registry has stopped are waited for this long.
const THREAD_LIMIT: Duration = Duration::from_secs(2);

/// Run the registry until SIGTERM or Ctrl-C
///
/// Prints `listening on http://…` on standard output when it answers; everything else goes to standard error. The first
/// signal lets open requests finish, the second ends the process at once: nothing that was acknowledged is lost by either.
#[derive(clap::Args)]
#[command(after_help = "\
Settings: every key of registry.toml can come from the environment as BRICKYARD_<KEY>, and counts more there.
Logging: RUST_LOG as in `RUST_LOG=brickyard=debug`.")]
pub(super) struct ServeArgs {
    /// The registry's set-up
    #[arg(long, value_name = "FILE", default_value = "registry.toml", env = "BRICKYARD_CONFIG")]
    config: PathBuf,
    /// Read the set-up and the keys, say whether they are sound, and end
    #[arg(long)]
    check_config: bool,
    /// Log JSON, one object a line
    #[arg(long)]
    log_json: bool,
}

/// Serves.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let crash = std::env::var(CRASH_POINT_VARIABLE).ok();
    check_crash_point(crash.as_deref())
        .map_err(|err| Failure::yours("cannot crash as asked").because(&err))?;
    let configured = configured(&args.config)?;
    let settings = settings(&configured)?;
    check_git()?;
    if args.check_config {
        println!("{} is sound: {} of {}", configured.path.display(), settings.id, settings.operator);
        return Ok(());
    }
    log_to_stderr(args.log_json);
    raise_file_limit();
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let server = tokio::select! {
            started = start(settings) => {
                started.map_err(|err| Failure::of_registry("the registry did not start", &err))?
            }
            () = signals.next() => return Ok(()),
        };
        println!("listening on {}", server.url());
        let _ = std::io::stdout().flush();
        signals.next().await;
        tracing::info!("stopping; a second signal ends the process at once");
        tokio::select! {
            () = server.stop() => {}
            () = signals.next() => tracing::warn!("stopped at once"),
        }
        Ok(())
    });
    // A thread that hangs in the file system must not keep the process.
    runtime.shutdown_timeout(THREAD_LIMIT);
    outcome
}

/// The settings of a set-up that names its commons.
pub(super) fn settings(configured: &Configured) -> Result<Settings, Failure> {
    configured.settings().map_err(|err| {
        let failure = Failure::yours("cannot use the registry's set-up").because(&err);
        match err {
            ConfiguredError::NoRoot { .. } => failure.next(
                "`brickyard found` where the commons begins here; otherwise write `root-sha256 = …`, as the commons publishes it",
            ),
            ConfiguredError::KeyMode { path, .. } => failure.next(format!("chmod 600 {}", path.display())),
            _ => failure,
        }
    })
}

/// Reads the set-up from a file and this process's environment.
pub(super) fn configured(path: &Path) -> Result<Configured, Failure> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Configured::read(path, &environment).map_err(|err| match err {
        ConfiguredError::Read { ref path, .. } => {
            Failure::yours("there is no set-up to read").because(&err).next(format!(
                "`brickyard init --data DIR …` makes one; name it with `--config`, not {}",
                path.display()
            ))
        }
        // Its text has lines and carets of its own.
        ConfiguredError::Config { shown } => Failure::yours(shown),
        err => Failure::yours("cannot use the set-up").because(&err),
    })
}

/// A runtime for the one future that a command is.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .build()
        .map_err(|err| Failure::yours("the system gives no threads").because(&err))
}

/// Following and being followed go through git: better to miss it now than at the first peer.
fn check_git() -> Result<(), Failure> {
    let failed = Failure::unavailable("cannot run git");
    let next = "install git 2.25 or newer, and see that it is on the PATH of the registry's user";
    match std::process::Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) => Err(failed.next(next)),
        Err(err) => Err(failed.because(&err).next(next)),
    }
}

fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Foreign text in fields is escaped where it is logged; colour only where a person looks on.
    let _ = match json {
        true => builder.json().try_init(),
        false => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}

/// One connection is one open file: the soft limit of 1,024 that systems give is raised as far as they allow.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(not(unix))]
fn raise_file_limit() {}

/// SIGTERM and SIGINT, the same to us.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |err: std::io::Error| Failure::yours("cannot listen for signals").because(&err);
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
