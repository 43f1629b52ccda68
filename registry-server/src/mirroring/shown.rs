//! Is what a peer shows of a log the log that is here, further on? Heads held against what is stored, and against each other.
//!
//! A log that signed two histories is told from a peer that changed something: only what the log's own key signed is kept
//! as evidence.

use std::collections::BTreeMap;

use brick_client::LogPath;
use brick_schemas::Origin;
use brick_store::Log;
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::{Note, SignatureLine};
use brick_tlog::tree::{Frontier, check_consistency};
use brick_trust::{Head, HeadRules, Refused, Step};

use crate::closed::Closed;
use crate::log_tail::LogTail;
use crate::nodes::Nodes;
use crate::registry::{Registry, RegistryError};
use crate::source::{BYTES_AT_A_TIME, Source};
use crate::sync::SyncError;

/// Leaves of a peer's that are walked from the first to tell who is wrong, at most.
const MAX_WALKED: u64 = 1 << 24;

/// How large a head says its log is; a malformed one is refused when it is opened.
pub(super) fn claimed_size(note: &[u8]) -> u64 {
    Note::parse(note)
        .ok()
        .and_then(|note| Checkpoint::parse(&note.text).ok())
        .map_or(0, |checkpoint| checkpoint.size)
}

/// Whether a head tells nothing new: it is no larger than what is stored. Its root must then be the stored one.
///
/// A larger head of a log that is hosted here closes it, whoever shows it: only this registry's key can have signed it.
///
/// # Errors
/// [`SyncError`].
pub(super) async fn is_known(
    registry: &Registry,
    peer: &str,
    log: &Log,
    head: &Head,
) -> Result<bool, SyncError> {
    let checkpoint = head.checkpoint();
    if log.hosted {
        registry.compare_own_head(&log.origin, checkpoint, head.note(), peer).await?;
    }
    if checkpoint.size > log.size {
        return Ok(false);
    }
    let root =
        Nodes::new(&registry.store, log.id).root_at(checkpoint.size).await.map_err(RegistryError::store)?;
    if root == checkpoint.root {
        return Ok(true);
    }
    Err(forked(registry, &log.origin, head).await?.into())
}

/// Whether the log may be brought forward at all, shortly after a start.
pub(super) fn may_mirror(registry: &Registry, origin: &Origin, head: &Head) -> Result<(), SyncError> {
    registry.may_mirror(origin, head.checkpoint().size).map_err(|why| SyncError::CatchingUp { why })
}

/// The heads that a log must go through, of leaves that are pushed one after the other.
pub(super) struct Through(BTreeMap<u64, (Hash, Vec<u8>)>);

impl Through {
    /// Those that others showed.
    pub(super) fn of(registry: &Registry, origin: &Origin) -> Self {
        Self(registry.must_go_through(origin))
    }

    /// The head of so many leaves that has another root, if there is one: what somebody showed of this log, as a note.
    pub(super) fn contradiction(&self, tail: &LogTail) -> Option<Contradiction> {
        let (root, seen) = self.0.get(&tail.size())?;
        (*root != tail.root()).then(|| Contradiction { size: tail.size(), seen: seen.clone() })
    }
}

/// A head that the leaves which a peer gave do not go through.
#[derive(Debug)]
pub(super) struct Contradiction {
    size: u64,
    seen: Vec<u8>,
}

impl Contradiction {
    /// Keeps it with the peer's head; both are signed by the log.
    pub(super) async fn keep(
        self,
        registry: &Registry,
        origin: &Origin,
        head: &Head,
    ) -> Result<SyncError, RegistryError> {
        let why = format!("{origin} shows two different logs of {} leaves", self.size);
        registry.keep_evidence(origin, &self.seen, &head.note().to_bytes(), &why).await?;
        Ok(Refused::new(Step::Consistency, why).into())
    }
}

/// Demands that the leaves held now are the ones under the head.
///
/// # Errors
/// [`SyncError`].
pub(super) async fn demand_root(
    registry: &Registry,
    source: &Source,
    path: &LogPath,
    tail: &LogTail,
    head: &Head,
) -> Result<(), SyncError> {
    let (checkpoint, origin) = (head.checkpoint(), &tail.origin);
    if checkpoint.size == tail.size() && checkpoint.root == tail.root() {
        return Ok(());
    }
    if checkpoint.size != tail.size() {
        let what = format!("{origin}: its head has {} leaves, {} are here", checkpoint.size, tail.size());
        return Err(Refused::new(Step::Inclusion, what).into());
    }
    // Either the peer's leaves are wrong, or the log signed another history. The peer's own leaves from the first tell
    // the two apart: if they add up to the signed head, the ones here do not belong to it.
    let theirs = roots_of(source, path, &[checkpoint.size]).await?;
    if theirs == Some(vec![checkpoint.root]) {
        return Err(forked(registry, origin, head).await?.into());
    }
    Err(Refused::new(Step::Inclusion, format!("the leaves of {origin} do not add up to its head")).into())
}

/// Demands that a head on the way is the beginning of the one that the way leads to: nothing is stored that the latter does
/// not cover.
///
/// # Errors
/// [`SyncError`].
pub(super) async fn demand_beginning(
    registry: &Registry,
    source: &Source,
    (path, origin): (&LogPath, &Origin),
    part: &Head,
    whole: &Head,
) -> Result<(), SyncError> {
    let (old, new) = (part.checkpoint(), whole.checkpoint());
    let Some(proof) = source.consistency(path, old.size, new.size).await? else { return Ok(()) };
    if check_consistency(old.size, new.size, &old.root, &new.root, &proof).is_ok() {
        return Ok(());
    }
    // As above: the hashes may be what is wrong, and then nobody signed two histories.
    if let Some(roots) = roots_of(source, path, &[old.size, new.size]).await?
        && roots[1] == new.root
        && roots[0] != old.root
    {
        let why = format!(
            "{origin} shows a head of {} leaves that is not the beginning of that of {}",
            old.size, new.size
        );
        registry.keep_evidence(origin, &part.note().to_bytes(), &whole.note().to_bytes(), &why).await?;
        if registry.head(origin).is_some_and(|head| head.hosted) {
            registry.close_log(origin, Closed::Forked { origin: origin.clone(), size: old.size });
        }
        return Err(Refused::new(Step::Consistency, why).into());
    }
    let what =
        format!("the hashes of {origin} do not show {} leaves to be the beginning of {}", old.size, new.size);
    Err(Refused::new(Step::Consistency, what).into())
}

/// The roots over the peer's leaves at these sizes, in ascending order; `None` for more leaves than anybody walks.
async fn roots_of(source: &Source, path: &LogPath, sizes: &[u64]) -> Result<Option<Vec<Hash>>, SyncError> {
    let Some(last) = sizes.last().copied().filter(|last| *last <= MAX_WALKED) else { return Ok(None) };
    let mut frontier = Frontier::new();
    let mut roots = Vec::new();
    for size in sizes {
        while frontier.size() < *size {
            for leaf in source.leaves(path, frontier.size(), *size, last, BYTES_AT_A_TIME).await? {
                frontier.push(leaf_hash(&leaf));
            }
        }
        roots.push(frontier.root());
    }
    Ok(Some(roots))
}

/// Keeps a head that contradicts what is here: both are signed by the log, for as many leaves or fewer.
pub(super) async fn forked(
    registry: &Registry,
    origin: &Origin,
    head: &Head,
) -> Result<Refused, RegistryError> {
    let size = head.checkpoint().size;
    let why = format!("{origin} shows a head of {size} leaves that what is here cannot be connected with");
    let known = registry.head(origin);
    let ours = known.as_ref().map(|head| head.newest.clone()).unwrap_or_default();
    registry.keep_evidence(origin, &ours, &head.note().to_bytes(), &why).await?;
    if known.is_some_and(|head| head.hosted) {
        registry.close_log(origin, Closed::Forked { origin: origin.clone(), size });
    }
    Ok(Refused::new(Step::Consistency, why))
}

/// Keeps the cosignatures on a head that is stored already, if any of them is new.
pub(super) async fn keep_lines(
    registry: &Registry,
    origin: &Origin,
    head: &Head,
    rules: &HeadRules,
) -> Result<(), RegistryError> {
    let size = head.checkpoint().size;
    let known = registry.head(origin).filter(|known| known.size == size);
    let is_known = |line: &SignatureLine| {
        let line = line.to_string();
        known.as_ref().is_some_and(|known| {
            std::str::from_utf8(&known.newest).is_ok_and(|note| note.lines().any(|known| known == line))
        })
    };
    let is_counted =
        |line: &&SignatureLine| rules.witnesses.iter().any(|witness| *witness.vkey.name() == line.name);
    if !head.note().signatures.iter().filter(is_counted).all(is_known) {
        registry.keep_cosignatures(origin, head.note(), size).await?;
    }
    Ok(())
}
