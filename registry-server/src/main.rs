//! The registry each organisation runs.
fn main() {}
