//! Which head do readers see? The newest that a quorum of witnesses has cosigned.

use brick_schemas::{Origin, PublisherName};
use brick_store::{CosignatureError, CosignatureRow, LogId, ServeError, crash_point};
use brick_tlog::note::{Note, SignatureLine};
use brick_trust::{HeadRules, open_head};

use crate::kept_answers::Superseded;
use crate::registry::{Registry, RegistryError, now};

/// Heads looked at in search of the newest with a quorum; older ones have had their chance.
const MAX_HEADS_LOOKED_AT: u32 = 256;

/// The state of a log that readers see.
#[derive(Debug)]
pub struct ShownHead {
    /// The log.
    pub id: LogId,
    /// Whose it is; `None` for the commons log.
    pub publisher: Option<PublisherName>,
    /// Whether this registry signs it.
    pub hosted: bool,
    /// Leaves stored.
    pub size: u64,
    /// Leaves under the newest head with a quorum; 0 while there is none.
    pub served_size: u64,
    /// Leaves under the head that readers see: the newest with a quorum, or simply the newest while there is none. Never
    /// fewer than they saw before.
    pub shown_size: u64,
    /// That head, with the cosignatures that are known.
    pub shown: Vec<u8>,
    /// The newest head, with the cosignatures that are known.
    pub newest: Vec<u8>,
    /// Whether readers are shown another one by now.
    pub superseded: Superseded,
}

impl ShownHead {
    /// Takes from the head shown before what is further: two that were read at once may each know more of one side.
    pub(crate) fn merge(&mut self, before: &Self) {
        let is_behind = before.size > self.size;
        if is_behind {
            self.size = before.size;
            self.newest.clone_from(&before.newest);
        }
        // While nothing has a quorum readers are shown the newest.
        if before.served_size > self.served_size || (is_behind && self.served_size == 0) {
            self.served_size = before.served_size;
            self.shown_size = before.shown_size;
            self.shown.clone_from(&before.shown);
        }
        // The first quorum may be for an older head than the one shown while there was none. To whoever saw that one the
        // log would have shrunk, which nobody forgives: it stays until a newer one has a quorum.
        if before.shown_size > self.shown_size {
            self.shown_size = before.shown_size;
            self.shown.clone_from(&before.shown);
        }
    }
}

/// Which heads may have got a quorum since they were looked at last?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Candidates {
    /// Any: the registry starts, or the records have changed.
    All,
    /// The one of this size: it was just cosigned, or stored.
    One(u64),
}

impl Registry {
    /// Reads a log's heads and cosignatures again, moves what readers see forward, and notes it.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn refresh_head(&self, origin: &Origin) -> Result<(), RegistryError> {
        self.refresh(origin, Candidates::All).await
    }

    /// Notes that a hosted log was appended to, as its step was committed. What readers see moves on where the new head
    /// needs no cosignatures; no older head can have got a quorum by it.
    ///
    /// - `note`: the new head, signed.
    /// - `is_served`: whether the step made it the one that readers see.
    ///
    /// # Errors
    /// As [`refresh_head`](Self::refresh_head).
    pub(crate) async fn show_appended(
        &self,
        origin: &Origin,
        size: u64,
        note: &[u8],
        is_served: bool,
    ) -> Result<(), RegistryError> {
        let Some(before) = self.head(origin) else { return self.refresh_head(origin).await };
        let is_shown = is_served || before.served_size == 0;
        self.put_head(
            origin,
            ShownHead {
                id: before.id,
                publisher: before.publisher.clone(),
                hosted: before.hosted,
                size,
                served_size: if is_served { size } else { before.served_size },
                shown_size: if is_shown { size } else { before.shown_size },
                shown: if is_shown { note.to_vec() } else { before.shown.clone() },
                newest: note.to_vec(),
                superseded: Superseded::default(),
            },
        );
        Ok(())
    }

    /// Notes that a mirrored log has a head of `size`, on the way to one that is known; it needs no look at any before it.
    ///
    /// # Errors
    /// As [`refresh_head`](Self::refresh_head).
    pub(crate) async fn show_mirrored(&self, origin: &Origin, size: u64) -> Result<(), RegistryError> {
        self.refresh(origin, Candidates::One(size)).await
    }

    async fn refresh(&self, origin: &Origin, candidates: Candidates) -> Result<(), RegistryError> {
        let Some(log) = self.stored_log(origin).await? else { return Ok(()) };
        if log.size == 0 {
            return Ok(());
        }
        let rules = self.rules(log.publisher.as_ref()).ok();
        let newest = self.note_at(log.id, log.size).await?;
        let sizes = match candidates {
            Candidates::One(size) => Vec::from_iter((size > log.served_size).then_some(size)),
            Candidates::All => {
                let heads = self.store.checkpoints_after(log.id, log.served_size, MAX_HEADS_LOOKED_AT).await;
                heads.map_err(RegistryError::store)?.iter().rev().map(|head| head.size).collect()
            }
        };
        let mut served_size = log.served_size;
        for size in sizes {
            let note = self.note_at(log.id, size).await?;
            if rules.as_ref().is_some_and(|rules| has_quorum(&note, rules)) {
                match self.store.set_served(log.id, size).await {
                    Ok(_) => {
                        crash_point("quorum-served");
                        served_size = size;
                    }
                    // Somebody showed readers a newer one meanwhile, and has noted it.
                    Err(ServeError::NotASize { served_size, .. }) if served_size > size => return Ok(()),
                    Err(err) => return Err(RegistryError::store(err)),
                }
                break;
            }
        }
        let shown_size = if served_size == 0 { log.size } else { served_size };
        let shown =
            if shown_size == log.size { newest.clone() } else { self.note_at(log.id, shown_size).await? };
        self.put_head(
            origin,
            ShownHead {
                id: log.id,
                publisher: log.publisher,
                hosted: log.hosted,
                size: log.size,
                served_size,
                shown_size,
                shown,
                newest,
                superseded: Superseded::default(),
            },
        );
        Ok(())
    }

    /// The newest signed head of at most `size` leaves, with all cosignatures that are stored for it.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub(crate) async fn signed_note(&self, log: LogId, size: u64) -> Result<Option<Vec<u8>>, RegistryError> {
        match self.store.checkpoint_at_most(log, size).await.map_err(RegistryError::store)? {
            Some(checkpoint) => self.note_at(log, checkpoint.size).await.map(Some),
            None => Ok(None),
        }
    }

    /// The signed head of `size` leaves with all cosignatures that are stored for it.
    async fn note_at(&self, log: brick_store::LogId, size: u64) -> Result<Vec<u8>, RegistryError> {
        let checkpoint = self.store.checkpoint(log, size).await.map_err(RegistryError::store)?;
        let mut note = checkpoint.map(|checkpoint| checkpoint.note).unwrap_or_default();
        for row in self.store.cosignatures(log, size).await.map_err(RegistryError::store)? {
            note.extend_from_slice(row.line.as_bytes());
        }
        Ok(note)
    }

    /// Keeps the cosignatures on `note` that verify under the log's rules, and shows the head if that makes a quorum.
    ///
    /// - `note`: a head of the log at `size`, already known to be the log's.
    ///
    /// Returns how many there are; none where this registry's copy has no head of that size.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] where a known witness's line is false.
    pub async fn keep_cosignatures(
        &self,
        origin: &Origin,
        note: &Note,
        size: u64,
    ) -> Result<usize, RegistryError> {
        let Some(log) = self.stored_log(origin).await? else { return Ok(0) };
        let rules = self.rules(log.publisher.as_ref())?;
        let vkeys: Vec<_> = rules.witnesses.iter().map(|witness| witness.vkey.clone()).collect();
        let cosignatures = brick_tlog::cosignature::verify_cosignatures(note, &vkeys).map_err(|err| {
            brick_trust::Refused::caused(
                brick_trust::Step::Quorum,
                format!("a cosignature on the head of {origin} is false"),
                err,
            )
        })?;
        let mut rows = Vec::new();
        for cosignature in cosignatures {
            let vkey = &vkeys[cosignature.key];
            let line = note.signatures.iter().find(|line| {
                line.name == cosignature.name
                    && line.id == vkey.id()
                    && line_time(line) == Some(cosignature.time)
            });
            if let Some(line) = line {
                rows.push(CosignatureRow {
                    key_id: u32::from_be_bytes(*vkey.id().as_bytes()),
                    name: cosignature.name.to_string(),
                    time: cosignature.time,
                    line: format!("{line}\n"),
                });
            }
        }
        let count = rows.len();
        if count > 0 {
            match self.store.put_cosignatures(log.id, size, &rows).await {
                Ok(()) => {}
                // A copy goes from one fetched head to the next, and is asked to cosign those between as well.
                Err(CosignatureError::UnknownCheckpoint { .. }) => return Ok(0),
                Err(err) => return Err(RegistryError::store(err)),
            }
            crash_point("cosignature-stored");
            self.refresh(origin, Candidates::One(size)).await?;
            self.mark_unprojected(origin);
        }
        Ok(count)
    }
}

/// The time in a cosignature line: its first eight bytes.
fn line_time(line: &SignatureLine) -> Option<u64> {
    line.signature.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

pub(crate) fn has_quorum(note: &[u8], rules: &HeadRules) -> bool {
    open_head(note, rules).is_ok_and(|head| head.has_quorum(rules, now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use brick_store::{Store, StoreOptions};

    /// What two readings of a log amount to, the first shown before the second: size, served and shown size, shown head.
    fn merged(id: LogId, [before, after]: [(u64, u64, &str); 2]) -> (u64, u64, u64, String) {
        let head = |(size, served_size, note): (u64, u64, &str)| ShownHead {
            id,
            publisher: None,
            hosted: true,
            size,
            served_size,
            shown_size: if served_size == 0 { size } else { served_size },
            shown: note.into(),
            newest: note.into(),
            superseded: Superseded::default(),
        };
        let mut merged = head(after);
        merged.merge(&head(before));
        let shown = String::from_utf8(merged.shown).unwrap();
        (merged.size, merged.served_size, merged.shown_size, shown)
    }

    #[tokio::test]
    async fn readings_that_overtake_each_other_take_nothing_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreOptions::default()).await.unwrap();
        let origin = Origin::parse("north.example/log").unwrap();
        let id = store.create_log(&origin, "key", None, true).await.unwrap().id;
        for (what, readings, expected) in [
            ("the log moved on", [(5, 5, "a"), (7, 7, "b")], (7, 7, 7, "b")),
            ("moved on, no quorum yet", [(5, 5, "a"), (7, 5, "a")], (7, 5, 5, "a")),
            ("an old reading comes late", [(7, 7, "b"), (5, 5, "a")], (7, 7, 7, "b")),
            ("a late one knows of a quorum", [(7, 3, "a"), (5, 5, "b")], (7, 5, 5, "b")),
            ("a late one of a log without a quorum", [(7, 0, "b"), (5, 0, "a")], (7, 0, 7, "b")),
            ("more cosignatures, no quorum yet", [(5, 0, "a"), (5, 0, "a+")], (5, 0, 5, "a+")),
            ("more cosignatures than the quorum", [(5, 5, "a"), (5, 5, "a+")], (5, 5, 5, "a+")),
            ("the first quorum, of an older head", [(7, 0, "b"), (7, 5, "a")], (7, 5, 7, "b")),
            ("the first quorum, of the newest", [(7, 0, "b"), (7, 7, "b+")], (7, 7, 7, "b+")),
        ] {
            let (size, served, shown, note) = expected;
            assert_eq!(merged(id, readings), (size, served, shown, note.to_owned()), "{what}");
        }
    }
}
