//! The command line for bricks
