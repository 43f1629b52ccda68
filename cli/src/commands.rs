//! Which commands are there? One file each: arguments, one call into a library, one sentence out.

pub mod check;
pub mod commons;
pub mod completions;
pub mod key;
pub mod man;
pub mod new;
pub mod package;

pub mod quickstart;

use crate::context::Context;
use crate::failure::Failure;

/// Every command, in the order of `brick --help`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Quickstart(quickstart::QuickstartArgs),
    New(new::NewArgs),
    Init(new::InitArgs),
    Check(check::CheckArgs),
    Package(package::PackageArgs),
    Key(key::KeyArgs),
    Commons(commons::CommonsArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// [`Failure`], whose family is the exit code.
    pub(crate) fn run(&self, ctx: &Context) -> Result<(), Failure> {
        match self {
            Command::Quickstart(args) => quickstart::run(ctx, args),
            Command::New(args) => new::run(ctx, args),
            Command::Init(args) => new::run_init(ctx, args),
            Command::Check(args) => check::run(ctx, args),
            Command::Package(args) => package::run(ctx, args),
            Command::Key(args) => key::run(ctx, args),
            Command::Commons(args) => commons::run(ctx, args),
            Command::Completions(args) => completions::run(ctx, args),
            Command::Man(args) => man::run(ctx, args),
        }
    }
}
