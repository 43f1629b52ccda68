//! Which files of a folder belong to the brick? As cargo chooses those of a crate.

use std::path::Path;

use brick_schemas::archive::{ArchivePath, LimitError, Limits, MANIFEST_PATH};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use ignore::{DirEntry, WalkBuilder};

use super::PackageError;

/// In every folder that `brick vendor` made.
pub(crate) const VENDORED_MARKER: &str = ".vendored";

/// A file that belongs to a brick.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Chosen {
    /// Where it lies, relative to the folder; also its path in the archive.
    pub path: ArchivePath,
}

/// The files of the brick in `dir`, bytewise by path.
///
/// - `include`: when not empty, exactly the files that these `.gitignore` patterns match, hidden and git-ignored ones too.
/// - `exclude`: when `include` is empty, what `.gitignore` files leave, without names that begin with a dot and without
///   what these patterns match.
///
/// `.gitignore` files count in the folder, also where there is no git, and above it up to the top of the git repository that
/// it lies in; the user's own git settings do not. Always in: `brick.toml`. Never in: `.git`, `brick.lock`, folders below that
/// hold a `brick.toml` of their own, and those that `brick vendor` made. Links are not followed.
///
/// # Errors
/// [`PackageError`] names a pattern that is none, what cannot be listed, and the first chosen file that is not a plain
/// file or has a name that no archive may hold.
pub fn choose(dir: &Path, include: &[String], exclude: &[String]) -> Result<Vec<Chosen>, PackageError> {
    let included = patterns(dir, "include", include)?;
    let excluded = patterns(dir, "exclude", exclude)?;
    let by_include = !include.is_empty();
    let in_git = dir.canonicalize().is_ok_and(|dir| dir.ancestors().any(|above| above.join(".git").exists()));

    let mut walk = WalkBuilder::new(dir);
    walk.standard_filters(false)
        .hidden(!by_include)
        .git_ignore(!by_include)
        // Inside a repository the walker looks above the folder and stops at the repository's top; it finds the top only
        // when told that git is needed. Elsewhere the folder's own `.gitignore` files count, and none above it.
        .parents(in_git && !by_include)
        .require_git(in_git)
        .follow_links(false)
        .filter_entry(|entry| !is_left_out(entry));
    if !by_include {
        // Patterns of `exclude` also prune the walk: a folder that is left out need not be readable.
        let excluded = excluded.clone();
        let top = dir.to_owned();
        walk.filter_entry(move |entry| {
            let path = entry.path().strip_prefix(&top).unwrap_or(entry.path());
            !(is_left_out(entry) || entry.depth() > 0 && matches(&excluded, path, is_dir(entry)))
        });
    }

    let max = Limits::default().file_count;
    let mut chosen = Vec::new();
    for entry in walk.build() {
        let entry = entry.map_err(|err| PackageError::List { dir: dir.to_owned(), err })?;
        if let Some(err) = entry.error() {
            return Err(PackageError::List { dir: dir.to_owned(), err: err.clone() });
        }
        let path = entry.path().strip_prefix(dir).unwrap_or(entry.path());
        if entry.depth() == 0 || is_dir(&entry) || is_lockfile(&entry) {
            continue;
        }
        if by_include && path != Path::new(MANIFEST_PATH) && !matches(&included, path, false) {
            continue;
        }
        let path = check_entry(&entry, path)?;
        if chosen.len() == max {
            return Err(LimitError::FileCount { max }.into());
        }
        chosen.push(Chosen { path });
    }
    // Even where a pattern or a `.gitignore` matches it, as in cargo.
    let manifest = Chosen { path: ArchivePath::parse(MANIFEST_PATH)? };
    if !chosen.contains(&manifest) {
        chosen.push(manifest);
    }
    chosen.sort();
    Ok(chosen)
}

fn patterns(dir: &Path, key: &'static str, lines: &[String]) -> Result<Gitignore, PackageError> {
    let err = |pattern: &str, err| PackageError::Pattern { key, pattern: pattern.to_owned(), err };
    let mut builder = GitignoreBuilder::new(dir);
    for line in lines {
        builder.add_line(None, line).map_err(|e| err(line, e))?;
    }
    builder.build().map_err(|e| err(&lines.join(" "), e))
}

fn matches(patterns: &Gitignore, path: &Path, is_dir: bool) -> bool {
    patterns.matched_path_or_any_parents(path, is_dir).is_ignore()
}

fn is_dir(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_dir())
}

fn is_lockfile(entry: &DirEntry) -> bool {
    entry.file_name() == "brick.lock"
}

/// Folders that are never looked into.
fn is_left_out(entry: &DirEntry) -> bool {
    let is_git = entry.file_name().eq_ignore_ascii_case(".git");
    // A submodule's or worktree's `.git` is a file; either way it is never part of a brick.
    let holds = |name: &str| entry.path().join(name).is_file();
    entry.depth() > 0 && (is_git || is_dir(entry) && (holds(MANIFEST_PATH) || holds(VENDORED_MARKER)))
}

/// The archive path of an entry that must be a plain file with a name that can be stored anywhere.
fn check_entry(entry: &DirEntry, path: &Path) -> Result<ArchivePath, PackageError> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    let Some(parts) = parts else {
        return Err(PackageError::NotUtf8 { path: path.to_string_lossy().escape_debug().to_string() });
    };
    let text = parts.join("/");
    if !entry.file_type().is_some_and(|kind| kind.is_file()) {
        let what = if entry.path_is_symlink() { "a symbolic link" } else { "a device, pipe or socket" };
        return Err(PackageError::NotAFile { path: text.escape_debug().to_string(), what });
    }
    Ok(ArchivePath::parse(&text)?)
}
