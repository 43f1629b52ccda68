//! A page, and its fenced blocks.

use std::path::{Path, PathBuf};

/// The top of the checkout.
pub fn top() -> PathBuf {
    brick_tests::repository()
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
