//! Which commands are there? One file each: arguments, one call into a library, one sentence out.

pub mod commons;
pub mod completions;
pub mod key;
pub mod man;

use crate::context::Context;
use crate::failure::Failure;

/// Every command, in the order of `brick --help`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
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
            Command::Key(args) => key::run(ctx, args),
            Command::Commons(args) => commons::run(ctx, args),
            Command::Completions(args) => completions::run(ctx, args),
            Command::Man(args) => man::run(ctx, args),
        }
    }
}
