//! What can an operator tell `brickyard` to do? Make a registry's folder, found a commons in it, serve, check what is stored, copy it and put it back.

mod backup;
mod check;
mod failure;
mod found;
mod init;
mod rebuild;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::{EXIT_ALARM, EXIT_UNAVAILABLE, EXIT_USAGE, EXIT_YOURS, Failure};

/// The registry each organisation runs
#[derive(Parser)]
#[command(name = "brickyard", version, arg_required_else_help = true)]
#[command(after_help = "\
To begin: `brickyard init --help`. To take part in a commons that exists, its registrars admit the registry with the two
keys that `init` prints; to found one, `brick commons init` drafts its root with the commons log's key.
Exit codes: 0 done, 1 cannot be met, 2 usage, 3 alarm (something that was signed does not fit), 4 not available.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::InitArgs),
    Found(found::FoundArgs),
    Serve(serve::ServeArgs),
    Check(check::CheckArgs),
    Rebuild(rebuild::RebuildArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
}

/// Runs the program with this process's arguments and environment.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(err) => {
            let _ = err.print();
            return if err.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match &cli.command {
        Command::Init(args) => init::run(args),
        Command::Found(args) => found::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(args),
        Command::Rebuild(args) => rebuild::run(args),
        Command::Backup(args) => backup::backup(args),
        Command::Restore(args) => backup::restore(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
