//! What does a person want done? The command line `brick`, as a function of its arguments and surroundings.
//!
//! [`main`] is what the binary calls; [`run`] is the same with every input given, for tests and for other commands.

mod cli;
mod commands;
mod context;
mod drafts;
mod examples;
mod failure;
pub mod files;
mod foreign;
mod formats;
pub mod import;
mod keys;
mod output;
pub mod package;
mod place;
mod publishing;
pub mod quickstart;
mod session;
mod starter;
mod surroundings;

use std::ffi::OsString;
use std::process::ExitCode;

pub use cli::command;
pub use context::Context;
pub use failure::{Failure, Family};
pub use foreign::foreign;
pub use surroundings::{Captured, Stream, Surroundings};

/// Runs one command line to its end.
///
/// - `args`: the program's name first, as the operating system gives them.
///
/// Returns the exit code of design §11: 0 done, 1 yours, 2 usage, 3 alarm, 4 network, 101 bug.
pub fn run(args: impl IntoIterator<Item = OsString>, surroundings: Surroundings) -> u8 {
    let (ctx, command) = match cli::parse(args, surroundings) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        command.run(&ctx)?;
        ctx.flush()
    }))
    .unwrap_or_else(|_| Err(Failure::panicked()));
    match ended {
        Ok(()) => 0,
        Err(failure) => {
            ctx.fail(&failure);
            failure.family().code()
        }
    }
}

/// [`run`] for the binary: a panic becomes one short message instead of a backtrace, unless `RUST_BACKTRACE` asks for it.
pub fn main(args: impl IntoIterator<Item = OsString>, surroundings: Surroundings) -> ExitCode {
    if !surroundings.has("RUST_BACKTRACE") {
        std::panic::set_hook(Box::new(|panic| {
            // Standard error may be what failed; nothing more can be done then.
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("bug: {}\n", foreign(&panic.to_string())).as_bytes(),
            );
        }));
    }
    ExitCode::from(run(args, surroundings))
}
