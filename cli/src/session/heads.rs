//! May this publisher's head be relied on?

use brick_client::{Client, LogPath};
use brick_schemas::{Origin, PublisherName};
use brick_tlog::Hash;
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::note::Note;
use brick_tlog::proof::CheckProofError;
use brick_tlog::proof::Proof;
use brick_tlog::snapshot::{OpenSnapshotError, SnapshotLeaf, open_snapshot};
use brick_tlog::tree::{ProveError, check_consistency, root, root_nodes};
use brick_trust::snapshot::{check_place, check_time};
use brick_trust::{Head, HeadRules, Refused, Step, open_head};

use super::Session;
use super::commons::rolled_back;
use super::progress::waiting_for;
use super::refusal::{Trouble, refused};
use super::store::KeptHead;
use crate::failure::Failure;

/// A publisher's log as of a head that was verified in this run, or before and kept.
#[derive(Clone)]
pub(crate) struct Log {
    head: Head,
    snapshot: SnapshotLeaf,
    rules: HeadRules,
    origin: Origin,
}

impl Log {
    pub(crate) fn checkpoint(&self) -> &Checkpoint {
        self.head.checkpoint()
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn snapshot(&self) -> &SnapshotLeaf {
        &self.snapshot
    }

    /// Seconds since enough others vouched for it; `None` where nobody is asked to.
    pub(crate) fn age_s(&self, now: u64) -> Option<u64> {
        self.head.age_s(&self.rules, now)
    }
}

impl Session<'_> {
    /// The log of a publisher at its newest head: asked for and verified, or as kept when offline.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn head(&mut self, publisher: &PublisherName) -> Result<Log, Failure> {
        if self.online().is_err() {
            return self
                .kept_head(publisher)?
                .ok_or_else(|| super::refusal::not_kept(&format!("the head of {publisher}'s log")));
        }
        self.sync()?;
        let runtime = std::rc::Rc::clone(&self.runtime);
        let (ctx, whom) = (self.ctx, self.registry_name());
        runtime.block_on(waiting_for(ctx, &whom, async {
            let mut why = None;
            for client in self.sources_for(publisher) {
                let proof = match client.snapshot(publisher).await {
                    Ok(proof) => proof,
                    Err(err) => {
                        self.pass_over(&err, &mut why)?;
                        continue;
                    }
                };
                self.accept_head(&client, publisher, &proof).await.map_err(Trouble::last)?;
                return Ok(self.logs[publisher].clone());
            }
            Err(why.unwrap_or_else(|| super::refusal::not_kept(&format!("the log of {publisher}"))))
        }))
    }

    /// The kept head of a publisher's log, checked again under the rules of today.
    ///
    /// # Errors
    /// [`Failure`] where the commons has no such publisher, or the head is not vouched for any more.
    pub(crate) fn kept_head(&mut self, publisher: &PublisherName) -> Result<Option<Log>, Failure> {
        if let Some(log) = self.logs.get(publisher) {
            return Ok(Some(log.clone()));
        }
        let Some((note, snapshot)) = self.store.head(publisher)?.and_then(|kept| kept.parts()) else {
            return Ok(None);
        };
        let log = self.judge_head(publisher, &note, snapshot).map_err(|err| refused(&err))?;
        self.logs.insert(publisher.clone(), log.clone());
        Ok(Some(log))
    }

    fn judge_head(
        &self,
        publisher: &PublisherName,
        note: &Note,
        snapshot: SnapshotLeaf,
    ) -> Result<Log, Refused> {
        let rules = self.commons().log_rules(publisher)?;
        let record = self.commons().publisher(publisher).expect("rules are those of a record");
        let head = open_head(&note.to_bytes(), &rules)?;
        head.demand_quorum(&rules, self.ctx.now())?;
        Ok(Log { head, snapshot, rules, origin: record.origin.clone() })
    }

    /// Verifies the head under a snapshot's proof, connects it with the one kept before, and keeps it.
    ///
    /// - `client`: who gave it; its tiles make the connection.
    pub(crate) async fn accept_head(
        &mut self,
        client: &Client,
        publisher: &PublisherName,
        proof: &Proof,
    ) -> Result<(), Trouble> {
        if let Some(log) = self.logs.get(publisher)
            && log.head.note() == &proof.checkpoint
        {
            return Ok(());
        }
        let rules = self.commons().log_rules(publisher)?;
        let origin = rules.log.name().as_str().to_owned();
        let opened = open_snapshot(proof, &rules.log).map_err(|err| not_the_snapshot(&origin, err))?;
        let snapshot = *opened.leaf();
        let log = match self.judge_head(publisher, &proof.checkpoint, snapshot) {
            Err(err) if err.step == Step::Quorum => return Err(Trouble::NotYet(err)),
            judged => judged?,
        };
        check_time(&snapshot, self.ctx.now(), None)?;
        self.say_if_unwitnessed(&origin, &rules);
        let kept = self.store.head(publisher)?;
        let mut before = None;
        if let Some((note, known)) = kept.as_ref().and_then(KeptHead::parts) {
            self.connect(client, publisher, &note, &log).await?;
            if log.checkpoint().size > known.size + 1 {
                check_place(&snapshot, proof.index, Some(known.time))?;
            }
            before = Some(note);
        }
        if self.is_newer(before.as_ref(), &log.head, &log.rules) {
            let head = KeptHead::new(log.head.note(), &snapshot);
            if !self.store.keep_head(publisher, kept.as_ref(), &head)? {
                // Another run was faster: what it kept is to be connected, too.
                let size = log.checkpoint().size;
                return Err(Trouble::NotYet(rolled_back(&origin, size, size)));
            }
        }
        self.logs.insert(publisher.clone(), log);
        Ok(())
    }

    /// That a head extends the one kept before.
    async fn connect(
        &self,
        client: &Client,
        publisher: &PublisherName,
        kept: &Note,
        log: &Log,
    ) -> Result<(), Trouble> {
        let origin = log.origin();
        let before = Checkpoint::parse(&kept.text).map_err(|err| {
            Refused::caused(Step::Consistency, format!("the kept head of {origin} is damaged"), err)
        })?;
        let after = log.checkpoint();
        if after.size < before.size {
            return Err(Trouble::NotYet(rolled_back(origin.as_str(), after.size, before.size)));
        }
        let of_log = LogPath::Publisher(publisher.clone());
        let path = match client.consistency(&of_log, before.size, after.size).await {
            Ok(path) => path,
            Err(ProveError::Read(err)) => return Err(err.into()),
            Err(err) => {
                return Err(
                    Refused::caused(Step::Consistency, format!("{origin} cannot be connected"), err).into()
                );
            }
        };
        match check_consistency(before.size, after.size, &before.root, &after.root, &path) {
            Ok(()) => Ok(()),
            Err(_) if self.begins_otherwise(client, &of_log, &before, after, &path).await? => {
                Err(self.second_history(origin, kept, log.head.note())?.into())
            }
            Err(err) => {
                let what = format!(
                    "the tiles of {origin} do not connect its heads of sizes {} and {}",
                    before.size, after.size
                );
                Err(Refused::caused(Step::Consistency, what, err).into())
            }
        }
    }

    /// Whether the newer of two heads that `path` does not connect is shown to begin otherwise: its own tiles lead to
    /// another root for the older size. If not, the tiles are what is wrong, and nobody is accused of two histories.
    pub(crate) async fn begins_otherwise(
        &self,
        client: &Client,
        log: &LogPath,
        before: &Checkpoint,
        after: &Checkpoint,
        path: &[Hash],
    ) -> Result<bool, Trouble> {
        if before.size == after.size {
            return Ok(true);
        }
        let hashes = client.hashes(log, after.size, &root_nodes(before.size)).await?;
        let Ok(root) = root(before.size, |node| hashes.read(node)) else { return Ok(false) };
        Ok(check_consistency(before.size, after.size, &root, &after.root, path).is_ok())
    }
}

fn not_the_snapshot(origin: &str, err: OpenSnapshotError) -> Refused {
    let (step, what) = match &err {
        OpenSnapshotError::Proof(CheckProofError::Checkpoint(_)) => {
            (Step::Checkpoint, format!("the head of {origin} is not its log's"))
        }
        OpenSnapshotError::Proof(CheckProofError::Inclusion(_)) => {
            (Step::Inclusion, format!("the snapshot of {origin} is not under its head"))
        }
        _ => (Step::Snapshot, format!("the snapshot of {origin} is not its last leaf")),
    };
    Refused::caused(step, what, err)
}
