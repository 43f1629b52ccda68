//! What does a folder hold, and what changed in it?

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Files and folders read from one tree, at most.
const MAX_PLACES: usize = 100_000;

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder.
    Folder,
    /// A file, with its bytes.
    File(Vec<u8>),
    /// A link, with its target as written.
    Link(String),
}

/// Everything below a folder, by path relative to it with `/` between names; nothing when it does not exist.
pub type Contents = BTreeMap<String, Place>;

/// Reads all that lies below `dir`.
///
/// # Panics
/// When something cannot be read, or there are more than 100,000 files and folders: a test cannot go on.
pub fn contents(dir: &Path) -> Contents {
    let mut found = Contents::new();
    if dir.exists() {
        collect(dir, "", &mut found);
    }
    found
}

fn collect(dir: &Path, prefix: &str, found: &mut Contents) {
    let entries = fs::read_dir(dir).unwrap_or_else(|err| panic!("{}: {err}", dir.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|err| panic!("{}: {err}", dir.display()));
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap_or_else(|err| panic!("{}: {err}", path.display()));
        let read =
            |result: std::io::Result<_>| result.unwrap_or_else(|err| panic!("{}: {err}", path.display()));
        let place = if kind.is_symlink() {
            Place::Link(
                fs::read_link(&path)
                    .unwrap_or_else(|err| panic!("{}: {err}", path.display()))
                    .to_string_lossy()
                    .into_owned(),
            )
        } else if kind.is_dir() {
            collect(&path, &format!("{name}/"), found);
            Place::Folder
        } else {
            Place::File(read(fs::read(&path)))
        };
        found.insert(name, place);
        assert!(found.len() <= MAX_PLACES, "{} holds too much to compare", dir.display());
    }
}

/// What differs between two states of a folder, one line each: `+ path`, `- path` or `~ path`, in order of path.
pub fn changes(before: &Contents, after: &Contents) -> Vec<String> {
    let mut lines: Vec<(String, char)> = Vec::new();
    for (path, place) in before {
        match after.get(path) {
            None => lines.push((path.clone(), '-')),
            Some(now) if now != place => lines.push((path.clone(), '~')),
            Some(_) => {}
        }
    }
    lines.extend(after.keys().filter(|path| !before.contains_key(*path)).map(|path| (path.clone(), '+')));
    lines.sort();
    lines.into_iter().map(|(path, sign)| format!("{sign} {path}")).collect()
}

/// Copies a whole tree of files and folders; links are copied as links where the system has them.
///
/// # Panics
/// When something cannot be read or written.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|err| panic!("{}: {err}", to.display()));
    for (path, place) in contents(from) {
        let target = to.join(&path);
        let done = match place {
            Place::Folder => fs::create_dir_all(&target),
            Place::File(_) | Place::Link(_) => {
                let parent = target.parent().expect("a path below a folder has a parent");
                fs::create_dir_all(parent).and_then(|()| fs::copy(from.join(&path), &target).map(|_| ()))
            }
        };
        done.unwrap_or_else(|err| panic!("{}: {err}", target.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| fs::write(dir.path().join(path), text).unwrap();
        fs::create_dir_all(dir.path().join("a/empty")).unwrap();
        write("a/same", "1");
        write("a/changed", "1");
        write("gone", "1");
        let before = contents(dir.path());
        assert_eq!(changes(&before, &before), Vec::<String>::new());
        write("a/changed", "2");
        write("new", "1");
        fs::remove_file(dir.path().join("gone")).unwrap();
        fs::remove_dir(dir.path().join("a/empty")).unwrap();
        assert_eq!(changes(&before, &contents(dir.path())), ["~ a/changed", "- a/empty", "- gone", "+ new"]);
    }

    #[test]
    fn a_folder_that_is_not_there_holds_nothing() {
        assert!(contents(Path::new("no such folder")).is_empty());
    }

    #[test]
    fn a_copy_holds_the_same() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("a/b/empty")).unwrap();
        fs::write(from.path().join("a/b/file"), [0, 159, 146, 150]).unwrap();
        let copied = to.path().join("copy");
        copy(from.path(), &copied);
        assert_eq!(contents(from.path()), contents(&copied));
    }
}
