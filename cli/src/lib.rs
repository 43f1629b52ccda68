//! The command line for bricks

pub mod import;
pub mod package;
