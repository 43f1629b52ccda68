//! The registry each organisation runs.

fn main() -> std::process::ExitCode {
    brickyard::commands::main()
}
