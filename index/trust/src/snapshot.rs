//! Does a snapshot leaf stand where and when it may? (design §7)

use brick_tlog::snapshot::SnapshotLeaf;

use crate::head::MAX_SKEW_S;
use crate::refused::{Refused, Step};

/// Checks a snapshot leaf's place and time against the log before it.
///
/// - `index`: the leaf's index, which its `size` must name.
/// - `before`: the time of the snapshot before it, if any.
///
/// # Errors
/// [`Refused`] at [`Step::Snapshot`].
pub fn check_place(leaf: &SnapshotLeaf, index: u64, before: Option<u64>) -> Result<(), Refused> {
    if leaf.size != index {
        return Err(Refused::new(
            Step::Snapshot,
            format!("the snapshot at leaf {index} says {} leaves stand before it", leaf.size),
        ));
    }
    if before.is_some_and(|before| leaf.time < before) {
        return Err(Refused::new(Step::Snapshot, format!("the snapshot at leaf {index} goes back in time")));
    }
    Ok(())
}

/// Checks a new snapshot's time as a witness must before it cosigns.
///
/// - `now`: the witness's clock, `cosigned`: its own last cosignature of that log; both Unix seconds.
///
/// # Errors
/// [`Refused`] at [`Step::Snapshot`].
pub fn check_time(leaf: &SnapshotLeaf, now: u64, cosigned: Option<u64>) -> Result<(), Refused> {
    if leaf.time > now.saturating_add(MAX_SKEW_S) {
        return Err(Refused::new(Step::Snapshot, "the snapshot is more than 10 minutes ahead of this clock"));
    }
    if cosigned.is_some_and(|cosigned| leaf.time.saturating_add(MAX_SKEW_S) < cosigned) {
        return Err(Refused::new(
            Step::Snapshot,
            "the snapshot is dated more than 10 minutes before this witness's last cosignature",
        ));
    }
    Ok(())
}
