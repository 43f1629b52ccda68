//! Which files does a manifest name, and could the release's archive hold them all?

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::archive::{ArchivePath, MANIFEST_PATH, Tree, check_fits};
use crate::name::BrickName;
use crate::path::BrickPath;
use crate::reader::Value;
use crate::version::Version;

/// The paths read so far, with their places in the file.
#[derive(Default)]
pub(super) struct NamedPaths<'r> {
    found: RefCell<Vec<(Value<'r>, BrickPath)>>,
}

impl<'r> NamedPaths<'r> {
    /// A path that must name a file.
    pub(super) fn file(&self, value: &Value<'r>) -> Option<ArchivePath> {
        let path: BrickPath = value.parse()?;
        if path.is_folder() {
            value.wrong("a file is needed, this names a folder", None);
            return None;
        }
        let file = path.in_archive();
        self.found.borrow_mut().push((value.clone(), path));
        Some(file)
    }

    /// A path that names a file or a folder.
    pub(super) fn file_or_folder(&self, value: &Value<'r>) -> Option<BrickPath> {
        let path: BrickPath = value.parse()?;
        self.found.borrow_mut().push((value.clone(), path.clone()));
        Some(path)
    }

    /// Reports the paths that no archive of this release could hold, beside its manifest and each other.
    pub(super) fn check(&self, name: &BrickName, version: &Version) {
        let found = self.found.take();
        for (value, named) in &found {
            let path = named.in_archive();
            let shortest = if named.is_folder() { format!("{path}/a") } else { path.to_string() };
            let shortest = ArchivePath::parse(&shortest).expect("a folder's path has room for a file");
            if let Err(err) = check_fits(name, version, &shortest) {
                value.wrong(err, None);
            }
        }
        let manifest = ArchivePath::parse(MANIFEST_PATH).expect("it is the path of a file");
        let mut tree = Tree::default();
        tree.insert(&manifest).expect("the tree is empty");
        let mut files = BTreeSet::from([manifest]);
        for (value, named) in found {
            let path = named.in_archive();
            let beside = match named.is_folder() {
                true => tree.insert_folder(&path),
                // One file may be named in several places.
                false if !files.insert(path.clone()) => Ok(()),
                false => tree.insert(&path),
            };
            if let Err(err) = beside {
                value.wrong(format!("no archive can hold both: {err}"), None);
                return; // the tree says nothing more
            }
        }
    }
}
