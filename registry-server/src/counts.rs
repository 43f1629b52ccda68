//! How much is there? Counts of bricks, releases and services by log, brought forward by what is new.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use brick_schemas::BrickName;
use brick_store::LogId;

use crate::heads::ShownHead;
use crate::problem::Rejection;
use crate::registry::Registry;

/// What a log adds up to, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bricks.
    pub bricks: u64,
    /// Their releases.
    pub releases: u64,
    /// Services.
    pub services: u64,
}

/// The counts of every log as of some size. Losing them costs reading the index once.
#[derive(Default)]
pub struct KeptCounts(Mutex<BTreeMap<LogId, Kept>>);

#[derive(Clone, Default)]
struct Kept {
    size: u64,
    releases: BTreeMap<BrickName, u64>,
    services: u64,
}

impl Registry {
    /// The counts of a log as readers see it.
    ///
    /// # Errors
    /// [`Rejection`] where the store fails or the log has just moved.
    pub async fn counts(&self, head: &ShownHead) -> Result<Counts, Rejection> {
        let before = self.kept_counts.lock().get(&head.id).cloned().unwrap_or_default();
        if before.size == head.shown_size {
            return Ok(before.counts());
        }
        // A reader of an older head asks again from the beginning; it happens while a log moves, and not for long.
        let mut kept = if before.size < head.shown_size { before } else { Kept::default() };
        for row in self.store.files_changed(head.id, kept.size, head.shown_size).await? {
            let lines = self.store.lines(head.id, &row.brick, head.shown_size).await?.len() as u64;
            kept.releases.insert(row.brick, lines);
        }
        // Services are few; a changed one is not always a new one.
        kept.services = self.store.services(head.id, 0, head.shown_size).await?.len() as u64;
        kept.size = head.shown_size;
        let counts = kept.counts();
        let mut all = self.kept_counts.lock();
        if all.get(&head.id).is_none_or(|other| other.size < kept.size) {
            all.insert(head.id, kept);
        }
        Ok(counts)
    }
}

impl KeptCounts {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<LogId, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn counts(&self) -> Counts {
        Counts {
            bricks: self.releases.len() as u64,
            releases: self.releases.values().sum(),
            services: self.services,
        }
    }
}
