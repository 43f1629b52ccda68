//! The command line for bricks.

fn main() -> std::process::ExitCode {
    brick_cli::main(std::env::args_os(), brick_cli::Surroundings::of_this_process())
}
