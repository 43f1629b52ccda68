//! `brick completions`: what a shell needs to complete command lines.

use clap_complete::Shell;

use crate::context::Context;
use crate::failure::Failure;

/// Print a completion script for a shell
#[derive(clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// [`Failure`] when stdout cannot be written.
pub fn run(ctx: &Context, args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "brick", &mut script);
    ctx.results(&script)
}
