//! All pages, and the parts of them that are made by tests.
//!
//! With `UPDATE_DOCS=1` what is made is written into the pages instead of compared with them.

use std::path::{Path, PathBuf};

pub use crate::page_text::{blocks, prose, read, shown, top};

/// Every page: the readme and all of `docs`.
pub fn pages() -> Vec<PathBuf> {
    let mut found = vec![top().join("README.md")];
    collect(&top().join("docs"), "md", &mut found);
    found.sort();
    assert!(found.len() > 10, "the pages are in the checkout");
    found
}

/// Files with that ending below `dir`.
pub fn collect(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder that can be read") {
        let path = entry.expect("an entry that can be read").path();
        if path.is_dir() {
            collect(&path, ending, found);
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
}

/// Whether pages are to be written again.
pub fn is_updating() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1")
}

/// Compares a page with what it should be, or writes it.
pub fn same_as_committed(page: &Path, committed: &str, wanted: &str) {
    if committed == wanted {
        return;
    }
    if is_updating() {
        std::fs::write(page, wanted).expect("a page that can be written");
        return;
    }
    let at = committed.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
    panic!(
        "{}:{}: out of date; run with UPDATE_DOCS=1 and look at the difference\ncommitted: {}\nwanted:    {}",
        shown(page),
        at + 1,
        committed.lines().nth(at).unwrap_or_default(),
        wanted.lines().nth(at).unwrap_or_default()
    );
}
