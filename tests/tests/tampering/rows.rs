//! The table: what is changed, who meets it, and which check must notice.

mod cloned;
mod given;
mod logged;
mod served;

use crate::scene::{Leaves, Scene, Way};
use crate::world::World;

/// One kind of tampering.
pub struct Row {
    /// What is changed.
    pub name: &'static str,
    /// The check that must notice.
    pub step: &'static str,
    /// Who meets it.
    pub way: Way,
    /// What may be left behind.
    pub leaves: Leaves,
    /// The change.
    pub tamper: fn(&World, &mut Scene),
}

/// Where the attacked log is served.
pub const LOG: &str = "logs/north.example";
/// The index file of `case`.
pub const INDEX: &str = "index/north.example/case.jsonl";
/// Its proof.
pub const INDEX_PROOF: &str = "index/north.example/case.jsonl.proof";
/// The archive of the release that everything is about.
pub const ARCHIVE: &str = "bricks/north.example/case/1.2.0/archive";
/// The proof of that release.
pub const PROOF: &str = "bricks/north.example/case/1.2.0/proof";
/// The head of the commons log.
pub const COMMONS_HEAD: &str = "commons/checkpoint";
/// Seconds in a day.
pub const DAY_S: u64 = 24 * 60 * 60;

/// A row that may leave nothing behind.
pub fn row(name: &'static str, way: Way, step: &'static str, tamper: fn(&World, &mut Scene)) -> Row {
    Row { name, step, way, leaves: Leaves::Nothing, tamper }
}

impl Row {
    /// The same, with what may be left behind.
    pub fn leaving(mut self, leaves: Leaves) -> Self {
        self.leaves = leaves;
        self
    }
}

/// All rows.
pub fn rows() -> Vec<Row> {
    let mut rows = served::archives_and_indexes();
    rows.extend(served::heads());
    rows.extend(logged::entries());
    rows.extend(logged::snapshots());
    rows.extend(logged::histories());
    rows.extend(given::beginnings());
    rows.extend(given::own_files());
    rows.extend(cloned::clones());
    rows
}
