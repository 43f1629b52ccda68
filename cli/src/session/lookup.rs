//! What does the index say of these bricks? Index files, each shown to be the complete current one, or that there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use brick_client::{AskError, Client, IndexAnswer, LogPath};
use brick_schemas::index_line::parse_index_file;
use brick_schemas::{FullName, IndexLine, PublisherName};
use brick_tlog::Hash;
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::snapshot::{CheckIndexError, IndexProof};
use brick_trust::{Refused, Step, open_head};
use futures_util::future::{try_join, try_join_all};
use futures_util::stream::{self, StreamExt as _};

use super::progress::waiting_for;
use super::refusal::{Trouble, not_kept, refused};
use super::store::KeptIndex;
use super::{FIRST_PAUSE_MS, MAX_IN_FLIGHT, MAX_TRIES, Session};
use crate::failure::Failure;

/// What the index says of one brick, and under which head of its publisher's log.
#[derive(Clone)]
pub(crate) struct LookedUp {
    /// Leaves under that head; 0 where the log has no entry, or the commons has no such publisher.
    size: u64,
    /// Its releases; `None` when there is no such brick.
    pub(crate) lines: Option<Vec<IndexLine>>,
}

/// Where to look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// At the registry.
    There,
    /// At what is kept.
    Here,
}

/// One brick's files as a registry gave them.
struct Fetched {
    file: Option<Vec<u8>>,
    proof: IndexProof,
}

impl Session<'_> {
    /// Looks bricks up, all at once, so that all bricks of a publisher are seen under one head of its log.
    ///
    /// Returns every brick whose lines are new in this run: those asked for, and those that were looked up before under
    /// a head that has moved since.
    ///
    /// # Errors
    /// [`Failure`] with the step that failed, or what is not kept.
    pub(crate) fn look_up(
        &mut self,
        names: &BTreeSet<FullName>,
        look: Look,
    ) -> Result<BTreeMap<FullName, Option<Vec<IndexLine>>>, Failure> {
        let mut new = BTreeSet::new();
        let mut wanted: BTreeMap<PublisherName, BTreeSet<FullName>> = BTreeMap::new();
        for name in names {
            if self.commons().publisher(&name.publisher).is_none() {
                self.looked_up.insert(name.clone(), LookedUp { size: 0, lines: None });
                new.insert(name.clone());
            } else if look == Look::Here {
                let found = self.look_here(name)?;
                self.looked_up.insert(name.clone(), found);
                new.insert(name.clone());
            } else {
                wanted.entry(name.publisher.clone()).or_default().insert(name.clone());
            }
        }
        let runtime = std::rc::Rc::clone(&self.runtime);
        let (ctx, whom) = (self.ctx, self.registry_name());
        runtime.block_on(waiting_for(ctx, &whom, async {
            for attempt in 0.. {
                let found = self.look_there(&wanted).await?;
                let mut reason = None;
                for (name, found) in found {
                    match found {
                        Ok(found) => {
                            self.looked_up.insert(name.clone(), found);
                            if let Some(names) = wanted.get_mut(&name.publisher) {
                                names.remove(&name);
                            }
                            new.insert(name);
                        }
                        Err(Trouble::NotYet(err)) => reason = Some(err),
                        Err(Trouble::Final(failure)) => return Err(failure),
                    }
                }
                // Bricks seen under a head that has moved since are to be seen again.
                for (name, found) in &self.looked_up {
                    let size = self.logs.get(&name.publisher).map(|log| log.checkpoint().size);
                    if found.size != 0 && size.is_some_and(|size| size != found.size) {
                        wanted.entry(name.publisher.clone()).or_default().insert(name.clone());
                    }
                }
                wanted.retain(|_, names| !names.is_empty());
                if wanted.is_empty() || look == Look::Here {
                    return Ok(());
                }
                if attempt + 1 >= MAX_TRIES {
                    let reason = reason.unwrap_or_else(|| {
                        Refused::new(Step::Index, "the registry's heads move faster than they can be read")
                    });
                    return Err(refused(&reason));
                }
                tokio::time::sleep(Duration::from_millis(FIRST_PAUSE_MS << attempt)).await;
            }
            Ok(())
        }))?;
        Ok(new.into_iter().map(|name| (name.clone(), self.looked_up[&name].lines.clone())).collect())
    }

    /// Fetches what is wanted from every publisher's log at once, then checks it log by log.
    async fn look_there(
        &mut self,
        wanted: &BTreeMap<PublisherName, BTreeSet<FullName>>,
    ) -> Result<Vec<(FullName, Result<LookedUp, Trouble>)>, Failure> {
        let session = &*self;
        let fetched = try_join_all(wanted.iter().map(|(publisher, names)| async move {
            let fetched = session.fetch_of(publisher, names).await?;
            Ok::<_, Failure>((publisher.clone(), fetched))
        }))
        .await?;
        let mut found = Vec::new();
        for (publisher, (client, fetched)) in fetched {
            // The newest head of the answers; older answers are asked for again.
            let newest = fetched.iter().flat_map(|(_, f)| f).max_by_key(|f| f.proof.snapshot.index);
            let accepted = match newest {
                Some(fetched) => self.accept_head(&client, &publisher, &fetched.proof.snapshot).await,
                None => self.accept_empty(&client, &publisher).await,
            };
            match accepted {
                Ok(()) => {}
                Err(Trouble::NotYet(err)) => {
                    let name = fetched.into_iter().next().map(|(name, _)| name);
                    found.extend(name.map(|name| (name, Err(Trouble::NotYet(err)))));
                    continue;
                }
                Err(Trouble::Final(failure)) => return Err(failure),
            }
            for (name, fetched) in fetched {
                let checked = match &fetched {
                    Some(fetched) => self.check_index(&name, fetched),
                    None => Ok(LookedUp { size: 0, lines: None }),
                };
                if let (Ok(_), Some(fetched)) = (&checked, &fetched) {
                    self.store.keep_index(&name, fetched.file.as_deref(), &fetched.proof)?;
                }
                found.push((name, checked));
            }
        }
        Ok(found)
    }

    /// The files of one publisher's bricks, from the first registry that holds its log; `None` for each brick where the
    /// log has no entry yet.
    async fn fetch_of(
        &self,
        publisher: &PublisherName,
        names: &BTreeSet<FullName>,
    ) -> Result<(Client, Vec<(FullName, Option<Fetched>)>), Failure> {
        let mut why = None;
        for client in self.sources_for(publisher) {
            let mut files = Vec::new();
            for name in names {
                files.push((name.clone(), self.store.index(name)?.and_then(|kept| kept.file)));
            }
            let client_ref = &client;
            let answers: Vec<_> = stream::iter(files)
                .map(|(name, kept)| async move {
                    let answer = fetch(client_ref, &name, kept).await;
                    (name, answer)
                })
                .buffered(MAX_IN_FLIGHT)
                .collect()
                .await;
            let mut fetched = Vec::new();
            let mut trouble: Option<AskError> = None;
            for (name, answer) in answers {
                match answer {
                    Ok(answer) => fetched.push((name, Some(answer))),
                    Err(err) if trouble.as_ref().is_none_or(AskError::is_missing) => trouble = Some(err),
                    Err(_) => {}
                }
            }
            let Some(trouble) = trouble else { return Ok((client, fetched)) };
            self.pass_over(&trouble, &mut why)?;
            if !trouble.is_missing() {
                continue;
            }
            // A log without entries has no snapshot, so there are no proofs of its index.
            let log = LogPath::Publisher(publisher.clone());
            match client.checkpoint(&log).await {
                Ok(note) if Checkpoint::parse(&note.text).is_ok_and(|head| head.size == 0) => {
                    return Ok((client, names.iter().map(|name| (name.clone(), None)).collect()));
                }
                _ => continue,
            }
        }
        Err(why.unwrap_or_else(|| not_kept(&format!("the index of {publisher}"))))
    }

    /// That a log is shown without any entry, and was never seen with one.
    async fn accept_empty(&mut self, client: &Client, publisher: &PublisherName) -> Result<(), Trouble> {
        let rules = self.commons().log_rules(publisher)?;
        let note = client.checkpoint(&LogPath::Publisher(publisher.clone())).await?;
        let head = open_head(&note.to_bytes(), &rules)?;
        head.demand_quorum(&rules, self.ctx.now()).map_err(Trouble::NotYet)?;
        if head.checkpoint().size == 0 && self.store.head(publisher)?.is_none() {
            return Ok(());
        }
        let origin = rules.log.name().as_str();
        Err(Trouble::NotYet(super::commons::rolled_back(origin, head.checkpoint().size, 1)))
    }

    /// That the files show the current index of `name` under the head that was accepted.
    fn check_index(&self, name: &FullName, fetched: &Fetched) -> Result<LookedUp, Trouble> {
        let log = &self.logs[&name.publisher];
        let shown = Checkpoint::parse(&fetched.proof.snapshot.checkpoint.text);
        if shown.as_ref().ok() != Some(log.checkpoint()) {
            let what = format!("the head of {} moved while {name} was looked up", log.origin());
            return Err(Trouble::NotYet(Refused::new(Step::Index, what)));
        }
        let digest = fetched.file.as_deref().map(Hash::of);
        let root = &log.snapshot().index_root;
        match fetched.proof.check(name.brick.as_str(), digest, root) {
            Ok(()) => {}
            Err(err @ CheckIndexError::OtherFile { .. }) => {
                let what = format!("the index of {name} is not what its publisher's log adds up to");
                return Err(Trouble::NotYet(Refused::caused(Step::Index, what, err)));
            }
            Err(err) => {
                let what = format!("the index of {name} is not shown to be the current one");
                return Err(Refused::caused(Step::Index, what, err).into());
            }
        }
        let lines = parse_lines(name, fetched.file.as_deref(), log.checkpoint().size)?;
        Ok(LookedUp { size: log.checkpoint().size, lines })
    }

    /// What is kept of the index of `name`, checked again.
    fn look_here(&mut self, name: &FullName) -> Result<LookedUp, Failure> {
        let Some(KeptIndex { file, proof }) = self.store.index(name)? else {
            return Err(not_kept(&format!("the index of {name}")));
        };
        self.kept_head(&name.publisher)?;
        let check = || -> Result<LookedUp, Refused> {
            let rules = self.commons().log_rules(&name.publisher)?;
            let caused = |err: brick_tlog::snapshot::VerifyIndexError| {
                Refused::caused(Step::Index, format!("the kept index of {name} is damaged"), err)
            };
            let digest = file.as_deref().map(Hash::of);
            let opened = proof.verify(name.brick.as_str(), digest, &rules.log).map_err(caused)?;
            let head = open_head(&proof.snapshot.checkpoint.to_bytes(), &rules)?;
            head.demand_quorum(&rules, self.ctx.now())?;
            let size = opened.signed().checkpoint().size;
            Ok(LookedUp { size, lines: parse_lines(name, file.as_deref(), size)? })
        };
        check().map_err(|err| refused(&err).help("run `brick update` with a network to fetch it again"))
    }
}

/// A brick's index file and proof. A kept file that the proof still names is not fetched again: the proof's digest is
/// worth more than an ETag.
async fn fetch(client: &Client, name: &FullName, kept: Option<Vec<u8>>) -> Result<Fetched, AskError> {
    let file = async |_: ()| match client.index_file(name, None).await? {
        IndexAnswer::Fetched { bytes, .. } => Ok(Some(bytes)),
        IndexAnswer::NotModified | IndexAnswer::Missing => Ok(None),
    };
    let Some(kept) = kept else {
        let (proof, file) = try_join(client.index_proof(name), file(())).await?;
        return Ok(Fetched { file, proof });
    };
    let proof = client.index_proof(name).await?;
    let file = match proof.bucket.file(name.brick.as_str()) {
        Some(digest) if digest == Hash::of(&kept) => Some(kept),
        Some(_) => file(()).await?,
        None => None,
    };
    Ok(Fetched { file, proof })
}

/// The lines of an index file, each about this brick and about an entry under the head.
fn parse_lines(name: &FullName, file: Option<&[u8]>, size: u64) -> Result<Option<Vec<IndexLine>>, Refused> {
    let Some(file) = file else { return Ok(None) };
    let lines = parse_index_file(file)
        .map_err(|err| Refused::caused(Step::Index, format!("the index file of {name} is malformed"), err))?;
    match lines.iter().find(|line| line.name != *name || line.entry >= size) {
        None => Ok(Some(lines)),
        Some(line) => Err(Refused::new(
            Step::Index,
            format!(
                "the index file of {name} holds a line about {} {}, entry {}",
                line.name, line.vers, line.entry
            ),
        )),
    }
}
