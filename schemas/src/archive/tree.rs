//! Can all these files lie in one folder, on any file system?

use std::collections::BTreeMap;

use super::path::{ArchivePath, fold};

/// Why a path cannot stand beside those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The same path twice.
    #[error("`{path}` is there twice")]
    Duplicate {
        /// The path.
        path: ArchivePath,
    },
    /// Two spellings that some file system takes for one.
    #[error("`{path}` and `{other}` differ only in case or Unicode form")]
    Collision {
        /// The later path.
        path: ArchivePath,
        /// The earlier one, or the folder of it that collides.
        other: String,
    },
    /// A file where other files need a folder.
    #[error("`{path}` needs a folder where there is a file, or is a file where there is a folder")]
    FileAndDirectory {
        /// The later path.
        path: ArchivePath,
    },
}

/// The names taken so far: folders and files, found by folded name.
#[derive(Default)]
pub struct Tree {
    /// By parent folder (0 is the top) and folded component.
    nodes: BTreeMap<(usize, String), Node>,
}

struct Node {
    /// Its number as a parent, from 1.
    id: usize,
    /// The component as first written.
    spelling: String,
    is_file: bool,
}

/// What the last component of a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    File,
    Folder,
}

impl Tree {
    /// Takes `path` and the folders above it.
    ///
    /// # Errors
    /// [`TreeError`]; the tree is then not to be used further.
    pub fn insert(&mut self, path: &ArchivePath) -> Result<(), TreeError> {
        self.insert_as(path, Last::File)
    }

    /// Takes `path` as a folder, and the folders above it. It may be there already.
    ///
    /// # Errors
    /// [`TreeError`], never a duplicate; the tree is then not to be used further.
    pub fn insert_folder(&mut self, path: &ArchivePath) -> Result<(), TreeError> {
        self.insert_as(path, Last::Folder)
    }

    fn insert_as(&mut self, path: &ArchivePath, last: Last) -> Result<(), TreeError> {
        let mut parent = 0;
        let mut end = 0;
        for component in path.components() {
            let start = end;
            end += component.len();
            let is_file = last == Last::File && end == path.as_str().len();
            let id = self.nodes.len() + 1;
            let node = self.nodes.entry((parent, fold(component))).or_insert_with(|| Node {
                id,
                spelling: component.to_owned(),
                is_file,
            });
            parent = node.id;
            if node.id != id {
                if node.spelling != component {
                    let other = format!("{}{}", &path.as_str()[..start], node.spelling);
                    return Err(TreeError::Collision { path: path.clone(), other });
                }
                if node.is_file && is_file {
                    return Err(TreeError::Duplicate { path: path.clone() });
                }
                if node.is_file != is_file {
                    return Err(TreeError::FileAndDirectory { path: path.clone() });
                }
            }
            end += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str]) -> Result<(), TreeError> {
        let mut tree = Tree::default();
        paths.iter().try_for_each(|path| tree.insert(&ArchivePath::parse(path).unwrap()))
    }

    #[test]
    fn files_that_can_lie_side_by_side_are_taken() {
        check(&["a", "b/a", "b/c/a", "b.c", "ab", "b/d"]).unwrap();
    }

    #[test]
    fn a_folder_may_be_named_twice_but_is_no_file() {
        let path = |text| ArchivePath::parse(text).unwrap();
        let mut tree = Tree::default();
        tree.insert(&path("tests/a")).unwrap();
        tree.insert_folder(&path("tests")).unwrap();
        tree.insert_folder(&path("tests")).unwrap();
        tree.insert(&path("tests/b")).unwrap();
        assert!(matches!(tree.insert(&path("tests")), Err(TreeError::FileAndDirectory { .. })));
        assert!(matches!(tree.insert_folder(&path("tests/a")), Err(TreeError::FileAndDirectory { .. })));
        assert!(matches!(tree.insert_folder(&path("Tests")), Err(TreeError::Collision { .. })));
    }

    #[test]
    fn files_that_cannot_lie_side_by_side_are_refused_by_what_is_wrong() {
        for (paths, says) in [
            (&["a", "a"][..], "twice"),
            (&["b/a", "c", "b/a"], "twice"),
            (&["a", "A"], "`A` and `a` differ"),
            (&["docs/a", "Docs/b"], "`Docs/b` and `docs` differ"),
            (&["x/docs/a", "x/Docs"], "`x/Docs` and `x/docs` differ"),
            (&["straße", "strasse"], "differ"),
            (&["a", "a/b"], "needs a folder"),
            (&["a/b", "a"], "needs a folder"),
            (&["a", "A/b"], "`A/b` and `a` differ"),
        ] {
            let error = check(paths).unwrap_err().to_string();
            assert!(error.contains(says), "{paths:?}: {error}");
        }
    }
}
