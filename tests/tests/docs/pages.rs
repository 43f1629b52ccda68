//! The pages, their fenced blocks, and the parts of them that are made by tests.
//!
//! With `UPDATE_DOCS=1` what is made is written into the pages instead of compared with them.

use std::path::{Path, PathBuf};

/// The top of the checkout.
pub fn top() -> PathBuf {
    brick_tests::repository()
}

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

/// A file's text.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// `path` below the top, for messages.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(top()).unwrap_or(path).display().to_string()
}

/// One fenced block.
pub struct Block {
    /// What stands after the opening fence: `json example=release`.
    pub info: String,
    /// The lines between the fences, each with its end.
    pub body: String,
    /// Where the opening fence stands, from 1.
    pub line: usize,
}

impl Block {
    /// The value of `key=…` in the info line.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.info.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// The first word of the info line.
    pub fn language(&self) -> &str {
        self.info.split_whitespace().next().unwrap_or_default()
    }
}

/// The fenced blocks of a page, in order.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                open = Some(Block { info: info.trim().to_owned(), body: String::new(), line: at + 1 });
            }
            (None, Some(block)) => {
                block.body.push_str(line);
                block.body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

/// A page's lines outside fenced blocks, with their numbers from 1.
pub fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    text.lines()
        .enumerate()
        .filter(|(_, line)| {
            let fence = line.starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
        .map(|(at, line)| (at + 1, line))
        .collect()
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
