//! The command line for bricks

pub mod package;
