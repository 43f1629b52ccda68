//! May this head be relied on? The log's own signature, the quorum of witnesses, and age (design §8).

use brick_schemas::PublisherName;
use brick_tlog::checkpoint::{Checkpoint, open_checkpoint};
use brick_tlog::cosignature::verify_cosignatures;
use brick_tlog::note::{Note, Vkey};

use crate::refused::{Refused, Step};

/// How far ahead of the reader's clock a cosignature or snapshot may be, in seconds.
pub const MAX_SKEW_S: u64 = 10 * 60;

/// One registry's witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The registry.
    pub registry: PublisherName,
    /// Who runs it: one vote each.
    pub operator: PublisherName,
    /// Its cosignature key.
    pub vkey: Vkey,
}

/// What is demanded of the heads of one log.
#[derive(Clone, Debug)]
pub struct HeadRules {
    /// The log's key; its name is the origin.
    pub log: Vkey,
    /// Witnesses other than the log's host.
    pub witnesses: Vec<Witness>,
    /// Distinct operators that must have cosigned.
    pub quorum: usize,
}

impl HeadRules {
    /// The rules for a log with `witnesses`: ⌊2n/3⌋+1 of n distinct operators, or `at_least` if that is more.
    pub fn new(log: Vkey, witnesses: Vec<Witness>, at_least: usize) -> Self {
        let mut operators: Vec<_> = witnesses.iter().map(|w| &w.operator).collect();
        operators.sort();
        operators.dedup();
        let n = operators.len();
        let two_thirds = if n == 0 { 0 } else { 2 * n / 3 + 1 };
        Self { log, witnesses, quorum: two_thirds.max(at_least) }
    }
}

/// A head whose log signature and cosignatures have been verified. Only [`open_head`] makes one.
#[derive(Clone, Debug)]
pub struct Head {
    checkpoint: Checkpoint,
    note: Note,
    /// Newest cosignature time of each operator, newest first.
    cosigned: Vec<(PublisherName, u64)>,
}

/// Opens a checkpoint note: form, the log's signature, and every cosignature by a known witness.
///
/// Does not demand a quorum: see [`Head::demand_quorum`].
///
/// # Errors
/// [`Refused`] at [`Step::Checkpoint`], or [`Step::Quorum`] where a known witness's line does not verify.
pub fn open_head(note: &[u8], rules: &HeadRules) -> Result<Head, Refused> {
    let origin = rules.log.name();
    let (checkpoint, note) = open_checkpoint(note, &rules.log)
        .map_err(|err| {
            Refused::caused(Step::Checkpoint, format!("the head of {origin} is not its log's"), err)
        })?
        .into_parts();
    let vkeys: Vec<Vkey> = rules.witnesses.iter().map(|w| w.vkey.clone()).collect();
    let cosignatures = verify_cosignatures(&note, &vkeys).map_err(|err| {
        Refused::caused(Step::Quorum, format!("a cosignature on the head of {origin} is false"), err)
    })?;
    let mut cosigned: Vec<(PublisherName, u64)> = Vec::new();
    for cosignature in cosignatures {
        let operator = &rules.witnesses[cosignature.key].operator;
        match cosigned.iter_mut().find(|(known, _)| known == operator) {
            Some((_, time)) => *time = cosignature.time.max(*time),
            None => cosigned.push((operator.clone(), cosignature.time)),
        }
    }
    cosigned.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(Head { checkpoint, note, cosigned })
}

impl Head {
    /// Origin, size and root.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The whole note, unknown lines included.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The operators that cosigned, with the newest time of each in Unix seconds, newest first.
    pub fn cosigned(&self) -> &[(PublisherName, u64)] {
        &self.cosigned
    }

    /// Whether enough operators cosigned, none of them counted from the future.
    ///
    /// - `now`: Unix seconds.
    pub fn has_quorum(&self, rules: &HeadRules, now: u64) -> bool {
        self.counted(now).count() >= rules.quorum
    }

    /// Demands the quorum.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Quorum`] with both counts.
    pub fn demand_quorum(&self, rules: &HeadRules, now: u64) -> Result<(), Refused> {
        if self.has_quorum(rules, now) {
            return Ok(());
        }
        let counted = self.counted(now).count();
        Err(Refused::new(
            Step::Quorum,
            format!(
                "the head of {} (size {}) has {counted} of {} cosignatures that it needs",
                self.checkpoint.origin, self.checkpoint.size, rules.quorum
            ),
        ))
    }

    /// Seconds since the k-th newest counted cosignature, k being the quorum; `None` without a quorum to count.
    pub fn age_s(&self, rules: &HeadRules, now: u64) -> Option<u64> {
        let kth = rules.quorum.checked_sub(1)?;
        self.counted(now).nth(kth).map(|(_, time)| now.saturating_sub(*time))
    }

    fn counted(&self, now: u64) -> impl Iterator<Item = &(PublisherName, u64)> {
        self.cosigned.iter().filter(move |(_, time)| *time <= now.saturating_add(MAX_SKEW_S))
    }
}
