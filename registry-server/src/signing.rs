//! How is a head signed so that it can never contradict the one before? Recomputed from stored bytes first, verified after.

use std::time::{Duration, Instant};

use brick_store::{LeafRow, LogId, LogStep};
use brick_tlog::checkpoint::{Checkpoint, open_note, sign_checkpoint};
use brick_tlog::hash::leaf_hash;
use brick_tlog::tree::{Frontier, root_nodes};

use crate::closed::Closed;
use crate::heads::has_quorum;
use crate::log_tail::LogTail;
use crate::nodes::{NodeError, Nodes};
use crate::problem::chain;
use crate::registry::{Registry, digest};

/// How long stored tiles go unread while a log moves without pause.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// Signs the head over `tail`, which `leaves` were pushed to since the last signed one.
///
/// One flipped bit that is signed is a second history for ever (a certificate log died of it in 2022). So the root in
/// memory is compared with one that grows, apart from it, from the edge under the last signed head and the leaves' bytes;
/// that edge, every second, with the stored tiles and the stored head; and the signature with the key that the
/// commons knows. What the step writes is compared with the stored tiles that it continues when it is committed.
///
/// # Errors
/// [`Closed::Damaged`]: nothing was signed, or what was signed must not leave the house.
pub async fn signed_step(
    registry: &Registry,
    tail: &mut LogTail,
    leaves: Vec<LeafRow>,
) -> Result<LogStep, Closed> {
    let origin = tail.origin.clone();
    let damaged = |what: String| Closed::Damaged { origin: origin.clone(), what };
    let old_size = tail.size() - leaves.len() as u64;
    let vkey = registry.hosted_vkey(&tail.origin);
    let rules = registry.rules(tail.publisher.as_ref()).ok();
    if let Some(rules) = &rules
        && rules.log != vkey
    {
        return Err(damaged(format!("its record names the key {}, this registry has {vkey}", rules.log)));
    }
    let unreadable = |err: &dyn std::error::Error| damaged(chain(err));
    let mut signed = match tail.signed() {
        Some(signed) if signed.size() == old_size => signed.clone(),
        None if old_size == 0 => Frontier::new(),
        _ => return Err(damaged("leaves are stored and no head over them is".into())),
    };
    if tail.compared.elapsed() >= COMPARE_EVERY {
        let stored = stored_edge(registry, tail.log, old_size).await.map_err(|err| unreadable(&err))?;
        let last = registry.store.last_checkpoint(tail.log).await.map_err(|err| unreadable(&err))?;
        let is_last = last.is_none_or(|last| last.size == old_size && last.root == digest(signed.root()));
        if stored != signed || !is_last {
            return Err(damaged(format!(
                "the stored tiles are not those under the last head, of {old_size} leaves"
            )));
        }
        tail.compared = Instant::now();
    }
    for leaf in &leaves {
        signed.push(leaf_hash(&leaf.bytes));
    }
    if signed.size() != tail.size() || signed.root() != tail.root() {
        return Err(damaged("the root in memory is not that of the leaves".into()));
    }
    let checkpoint =
        Checkpoint { origin: Registry::log_key_name(&tail.origin), size: tail.size(), root: tail.root() };
    let note = sign_checkpoint(&checkpoint, &registry.settings.log_key);
    let opened = open_note(note.clone(), &vkey).map_err(|err| unreadable(&err))?;
    if *opened.checkpoint() != checkpoint {
        return Err(damaged("the signed head does not read back as what was signed".into()));
    }
    let mut step = LogStep::new(tail.log, old_size, tail.size(), note.to_bytes(), digest(tail.root()));
    // Records in this very step may demand cosignatures; the commons log is looked at again when they count.
    step.is_served = tail.publisher.is_some()
        && rules.is_some_and(|rules| rules.quorum == 0 || has_quorum(&step.checkpoint, &rules));
    step.leaves = leaves;
    step.tiles = tail.take_tiles();
    tail.note_signed(signed);
    Ok(step)
}

/// The right edge of the first `size` leaves, from the stored tiles.
async fn stored_edge(registry: &Registry, log: LogId, size: u64) -> Result<Frontier, NodeError> {
    let mut nodes = Nodes::new(&registry.store, log);
    let places = root_nodes(size);
    nodes.load(&places).await?;
    let peaks = places.iter().map(|node| nodes.read(*node)).collect::<Result<Vec<_>, _>>()?;
    Frontier::from_parts(size, peaks).map_err(|_| NodeError::Damaged { log })
}
