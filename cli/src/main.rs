//! The command line for bricks.
fn main() {}
