//! At which check did something fail? The steps of design §8, by the names that errors and reports use.

/// A check that stands between bytes and reliance on them. Declared in the order in which a client makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The chain of roots from the pinned one.
    Root,
    /// A publisher's or registry's record in the commons log.
    Record,
    /// A head's form and the log's own signature on it.
    Checkpoint,
    /// Enough independent cosignatures on a head.
    Quorum,
    /// The age of a head.
    Freshness,
    /// That a head extends the ones seen before.
    Consistency,
    /// That a leaf is in the tree under a head.
    Inclusion,
    /// The form of an entry, and its signatures.
    Signature,
    /// That the signing key may say this.
    Right,
    /// That the entry was meant for this log.
    Log,
    /// That the entry's basis was a head of this log.
    Basis,
    /// That the entry has not occurred before.
    Replay,
    /// The snapshot leaf: its place, time and index root.
    Snapshot,
    /// The index files against the snapshot.
    Index,
    /// An archive's bytes against the entry.
    Archive,
    /// The manifest inside the archive against the entry.
    Manifest,
    /// The lockfile against what the index says.
    Lock,
}

impl Step {
    /// The step's one word.
    pub fn name(self) -> &'static str {
        match self {
            Step::Root => "root",
            Step::Record => "record",
            Step::Checkpoint => "checkpoint",
            Step::Quorum => "quorum",
            Step::Freshness => "freshness",
            Step::Consistency => "consistency",
            Step::Inclusion => "inclusion",
            Step::Signature => "signature",
            Step::Right => "right",
            Step::Log => "log",
            Step::Basis => "basis",
            Step::Replay => "replay",
            Step::Snapshot => "snapshot",
            Step::Index => "index",
            Step::Archive => "archive",
            Step::Manifest => "manifest",
            Step::Lock => "lock",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes may not be relied on: the step, and what it found. Texts of others in it are escaped.
#[derive(Debug, thiserror::Error)]
#[error("{step} check failed: {what}")]
pub struct Refused {
    /// The check that failed.
    pub step: Step,
    /// What it found.
    pub what: String,
    /// The reader's own error, where there is one.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Refused {
    /// A refusal at `step` because of `what`.
    pub fn new(step: Step, what: impl Into<String>) -> Self {
        Self { step, what: what.into(), source: None }
    }

    /// A refusal at `step` because of `what`, caused by `source`.
    pub fn caused(
        step: Step,
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { step, what: what.into(), source: Some(Box::new(source)) }
    }
}
