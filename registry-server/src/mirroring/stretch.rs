//! What do new leaves of a publisher's log add up to? Checked on all processors, walked in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brick_client::LogPath;
use brick_index::audit::check_leaves;
use brick_index::replay::{Before, CheckedLeaf, Replayed, Segment, Touched, replay, touches};
use brick_schemas::PublisherName;
use brick_store::{LeafKind, LeafRow, TileRow};
use brick_trust::{Head, Refused};

use super::ahead::{Ahead, Known};
use super::shown::{Through, demand_root};
use crate::aside::aside_long;
use crate::blocking::blocking;
use crate::registry::{CommonsState, Registry};
use crate::source::Source;
use crate::sync::SyncError;

/// Leaves whose form and signatures hold.
pub(super) struct Stretch {
    /// As they came.
    pub(super) leaves: Vec<Vec<u8>>,
    /// What they say.
    pub(super) checked: Vec<CheckedLeaf>,
    /// What of the index they touch.
    pub(super) touched: Touched,
}

impl Stretch {
    /// Checks leaves, the first of which has index `first`: what needs nothing of the log, and most of the time. It gives way to what
    /// walks and stores those before, which nothing else can help with.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) async fn check(
        state: &Arc<CommonsState>,
        publisher: &PublisherName,
        first: u64,
        leaves: Vec<Vec<u8>>,
    ) -> Result<Self, Refused> {
        let (state, publisher) = (state.clone(), publisher.clone());
        aside_long(move || {
            let checked = check_leaves(state.known()?, &publisher, first, &leaves)?;
            let touched = touches(&checked);
            Ok(Self { leaves, checked, touched })
        })
        .await
    }

    /// Walks the leaves from where the log was walked to: what they add up to, if all of them hold under the head.
    ///
    /// # Errors
    /// [`SyncError`].
    pub(super) async fn walk(
        self,
        registry: &Registry,
        (source, path): (&Source, &LogPath),
        state: &Arc<CommonsState>,
        head: &Head,
        ahead: &mut Ahead<'_>,
    ) -> Result<Walked, SyncError> {
        let Self { leaves, checked, touched } = self;
        let first = ahead.edge().size();
        // Roots at the sizes that entries name as their basis: old ones as they are known, new ones on the way.
        let mut roots = BTreeMap::new();
        let mut wanted = BTreeSet::new();
        let mut payloads = Vec::new();
        for leaf in &checked {
            if let CheckedLeaf::Entry(entry) = leaf {
                let entry = entry.entry();
                let basis = entry.statement.predicate.place().basis.size;
                if basis > first {
                    wanted.insert(basis);
                } else if let std::collections::btree_map::Entry::Vacant(place) = roots.entry(basis) {
                    place.insert(ahead.root_at(basis).await?);
                }
                payloads.push(entry.payload);
            }
        }
        let Known { mut tail, loaded, nodes, seen } = ahead.take(touched, &payloads).await?;
        let (index_root, snapshot_time) = (tail.index_root, tail.snapshot_time);
        let through = Through::of(registry, &tail.origin);
        let (mut tail, leaves, roots, contradiction) = blocking(move || {
            let mut contradiction = None;
            for leaf in &leaves {
                tail.push(leaf);
                if wanted.contains(&tail.size()) {
                    roots.insert(tail.size(), tail.root());
                }
                contradiction = contradiction.or_else(|| through.contradiction(&tail));
            }
            (tail, leaves, roots, contradiction)
        })
        .await;
        if let Some(contradiction) = contradiction {
            return Err(contradiction.keep(registry, &tail.origin, head).await?);
        }
        demand_root(registry, source, path, &tail, head).await?;
        let (state, publisher) = (state.clone(), tail.origin.domain());
        let (walked, replayed) = blocking(move || {
            let before = Before {
                publisher: &publisher,
                commons: state.known()?,
                first,
                snapshot_time,
                loaded,
                nodes,
                index_root,
            };
            let Replayed { segments, loaded, nodes } =
                replay(before, &checked, |size| roots.get(&size).copied(), |payload| seen.contains(payload))?;
            let rows = leaves.into_iter().zip(&checked).map(|(bytes, checked)| {
                let kind = match checked {
                    CheckedLeaf::Entry(entry) => LeafKind::Envelope { payload: entry.entry().payload },
                    CheckedLeaf::Snapshot(_) => LeafKind::Snapshot,
                };
                LeafRow { bytes, kind }
            });
            Ok::<_, Refused>((
                Walked { leaves: rows.collect(), tiles: Vec::new(), segments },
                (loaded, nodes),
            ))
        })
        .await?;
        if let Some(last) = walked.segments.last() {
            (tail.index_root, tail.snapshot_time) = (last.snapshot.index_root, Some(last.snapshot.time));
        }
        let walked = Walked { tiles: tail.take_tiles(), ..walked };
        ahead.put(tail, replayed, payloads, &walked.tiles);
        Ok(walked)
    }
}

/// A stretch that holds.
pub(super) struct Walked {
    /// Its leaves.
    pub(super) leaves: Vec<LeafRow>,
    /// The tiles that grew.
    pub(super) tiles: Vec<TileRow>,
    /// What it adds up to.
    pub(super) segments: Vec<Segment>,
}
