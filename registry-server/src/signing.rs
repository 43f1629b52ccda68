//! How is a head signed so that it can never contradict the one before? Recomputed from stored bytes first, verified after.

use brick_store::{LeafRow, LogStep};
use brick_tlog::checkpoint::{Checkpoint, open_note, sign_checkpoint};
use brick_tlog::hash::leaf_hash;
use brick_tlog::tree::{Frontier, root_nodes};

use crate::closed::Closed;
use crate::heads::has_quorum;
use crate::log_tail::LogTail;
use crate::nodes::Nodes;
use crate::problem::chain;
use crate::registry::{Registry, digest};

/// Signs the head over `tail`, which `leaves` were pushed to since the last signed one.
///
/// One flipped bit that is signed is a second history for ever (a certificate log died of it in 2022). So the root in
/// memory is compared with one that grows from the stored tiles and the leaves' bytes, the stored tiles with the last
/// signed head, and the signature with the key that the commons knows.
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
    let last = registry.store.last_checkpoint(tail.log).await.map_err(|err| unreadable(&err))?;
    let mut nodes = Nodes::new(&registry.store, tail.log);
    let places = root_nodes(old_size);
    nodes.load(&places).await.map_err(|err| unreadable(&err))?;
    let peaks = places.iter().map(|node| nodes.read(*node)).collect::<Result<Vec<_>, _>>();
    let mut stored = Frontier::from_parts(old_size, peaks.map_err(|err| unreadable(&err))?)
        .map_err(|err| unreadable(&err))?;
    match &last {
        Some(last) if last.size != old_size || last.root != digest(stored.root()) => {
            return Err(damaged(format!(
                "the stored tiles are not those under the last head, of {} leaves",
                last.size
            )));
        }
        None if old_size != 0 => return Err(damaged("leaves are stored and no head is".into())),
        _ => {}
    }
    for leaf in &leaves {
        stored.push(leaf_hash(&leaf.bytes));
    }
    if stored.size() != tail.size() || stored.root() != tail.root() {
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
    step.is_served =
        tail.publisher.is_some() && rules.is_some_and(|rules| has_quorum(&step.checkpoint, &rules));
    step.leaves = leaves;
    step.tiles = tail.take_tiles();
    Ok(step)
}
