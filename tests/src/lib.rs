//! Does the house stand, seen from outside? What the tests of the whole repository share.

pub mod content;
pub mod corpus;
#[cfg(unix)]
pub mod faults;
#[cfg(unix)]
pub mod federation;
pub mod folder;
pub mod git;
pub mod process;
pub mod random;
#[cfg(unix)]
pub mod soak;
#[cfg(unix)]
pub mod trouble;

use std::path::{Path, PathBuf};

/// The folder that holds the whole repository, where `Cargo.lock` lies.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies one folder down").to_owned()
}
