//! What is known of the index?

use std::collections::BTreeMap;

use brick_schemas::index_line::INDEX_LINE_VERSION;
use brick_schemas::{FullName, IndexLine};

/// What is known of the index so far: bricks with their releases, and bricks shown not to exist.
///
/// A brick that is not in it has not been asked for yet.
#[derive(Clone, Debug, Default)]
pub struct Universe {
    bricks: BTreeMap<FullName, Option<Vec<IndexLine>>>,
}

impl Universe {
    /// Keeps what the index says of `name`, in place of what was known before.
    ///
    /// - `lines`: its index file in any order, or `None` when the index shows that there is no such brick. Lines of an
    ///   unknown format or of another brick are dropped; of two lines with one version the one logged first stays.
    pub fn insert(&mut self, name: FullName, lines: Option<Vec<IndexLine>>) {
        let lines = lines.map(|mut lines| {
            lines.retain(|line| line.v == INDEX_LINE_VERSION && line.name == name);
            lines.sort_by(|a, b| a.vers.cmp(&b.vers).then(a.entry.cmp(&b.entry)));
            lines.dedup_by(|later, earlier| later.vers == earlier.vers);
            lines
        });
        self.bricks.insert(name, lines);
    }

    /// Whether `name` has been asked for, be it there or not.
    pub fn contains(&self, name: &FullName) -> bool {
        self.bricks.contains_key(name)
    }

    /// The releases of `name` by ascending version; empty when it is shown not to exist; `None` when not asked for yet.
    pub fn get(&self, name: &FullName) -> Option<&[IndexLine]> {
        self.bricks.get(name).map(|lines| lines.as_deref().unwrap_or_default())
    }

    /// Whether the index shows that there is no brick `name`.
    pub fn lacks(&self, name: &FullName) -> bool {
        matches!(self.bricks.get(name), Some(None))
    }

    /// The bricks asked for so far, in order of name.
    pub fn names(&self) -> impl Iterator<Item = &FullName> {
        self.bricks.keys()
    }
}
