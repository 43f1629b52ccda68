//! Who takes part, as of the newest head? The commons log, brought forward and folded.

use std::time::Duration;

use brick_client::{Client, LogPath};
use brick_schemas::Digest;
use brick_schemas::predicate::Basis;
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::hash::leaf_hash;
use brick_tlog::note::Note;
use brick_tlog::tree::Tree;
use brick_trust::commons::Applied;
use brick_trust::{Commons, Head, HeadRules, Refused, Step, open_head};

use super::progress::waiting_for;
use super::refusal::{Trouble, asked, refused};
use super::store::{Pin, Store};
use super::{FIRST_PAUSE_MS, MAX_TRIES, Session};
use crate::context::Context;
use crate::failure::{Failure, Family};

/// Leaves of a commons log that are followed, at most.
pub(crate) const MAX_COMMONS_LEAVES: u64 = 1 << 20;
/// Registries that are asked for the commons log in place of the chosen one, at most.
const MAX_OTHER_SOURCES: usize = 8;

/// The commons log up to some size, folded, with the head that vouches for it.
#[derive(Clone)]
pub(crate) struct Folded {
    commons: Option<Commons>,
    tree: Tree,
    leaves: Vec<Vec<u8>>,
    /// The largest verified head, as it is kept.
    note: Option<Note>,
}

impl Folded {
    /// What is kept. The leaves must make up the kept head; if they do not, they are fetched again, and the head is not
    /// forgotten. What they came to is not verified a second time where the fold that was kept is of that very head.
    pub(crate) fn kept(store: &Store, ctx: &Context) -> Result<Self, Failure> {
        let (mut leaves, note) = store.commons()?;
        let empty = Self { commons: None, tree: Tree::new(), leaves: Vec::new(), note: note.clone() };
        let Some(head) = note.as_ref().and_then(|note| Checkpoint::parse(&note.text).ok()) else {
            return Ok(empty);
        };
        // More than the head has: a run was cut short between the two files.
        leaves.truncate(usize::try_from(head.size).unwrap_or(usize::MAX));
        let mut tree = Tree::new();
        for leaf in &leaves {
            tree.push(leaf_hash(leaf));
        }
        if tree.len() != head.size || tree.root() != head.root {
            ctx.detail("Damaged", format_args!("kept commons log, fetching it again"));
            return Ok(empty);
        }
        if let Some(commons) = store.fold(&head)?
            && commons.origin() == store.pin().origin
            && commons.size() == head.size
        {
            return Ok(Self { commons: Some(commons), tree, leaves, note });
        }
        let mut folded = empty.clone();
        for leaf in leaves {
            if let Err(err) = folded.push(leaf, store.pin()) {
                ctx.detail("Damaged", format_args!("kept commons log: {err}"));
                return Ok(empty);
            }
        }
        ctx.detail("Verified", format_args!("the kept commons log again, {} entries", folded.tree.len()));
        if let Some(commons) = &folded.commons {
            // It saves time, no more: where it cannot be written, the next run verifies again.
            let _ = store.keep_fold(&head, commons);
        }
        Ok(folded)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commons.is_none()
    }

    /// The folded commons.
    ///
    /// Sessions are handed out only once there is one.
    pub(crate) fn commons(&self) -> &Commons {
        self.commons.as_ref().expect("a session that is open has folded its commons")
    }

    fn push(&mut self, leaf: Vec<u8>, pin: &Pin) -> Result<(), Refused> {
        match &mut self.commons {
            None => {
                let commons = Commons::begin(&leaf, &pin.trusted())?;
                if commons.origin() != pin.origin {
                    return Err(Refused::new(
                        Step::Root,
                        format!("the root is that of {}, asked for was {}", commons.origin(), pin.origin),
                    ));
                }
                self.commons = Some(commons);
            }
            Some(commons) => {
                let tree = &self.tree;
                commons.apply(&leaf, |size| tree.root_at(size).ok())?;
            }
        }
        self.tree.push(leaf_hash(&leaf));
        self.leaves.push(leaf);
        Ok(())
    }

    fn rules(&self) -> Result<HeadRules, Refused> {
        self.commons().commons_rules()
    }
}

impl Session<'_> {
    /// The head that the folded commons stands on: what a new record of it is based on.
    pub(crate) fn commons_basis(&self) -> Basis {
        Basis { size: self.folded.tree.len(), root: Digest::from(*self.folded.tree.root().as_bytes()) }
    }

    /// What an entry would do if it were the next leaf of the commons log; nothing is changed.
    ///
    /// # Errors
    /// [`Refused`] with the step, as every mirror would refuse it.
    pub(crate) fn try_commons_entry(&self, leaf: &[u8]) -> Result<Applied, Refused> {
        self.commons().clone().apply(leaf, |size| self.folded.tree.root_at(size).ok())
    }

    /// Brings the commons log forward to the registry's head, checks everything, and keeps it. Where the registry gives
    /// no answer or is behind, the others that the records name are asked, unless one was named for this run.
    ///
    /// # Errors
    /// [`Failure`]: no registry, or a refusal with its step; what was kept before stays as it was.
    pub(crate) fn sync(&mut self) -> Result<(), Failure> {
        if self.is_synced {
            return Ok(());
        }
        let chosen = self.online()?.clone();
        let (ctx, whom) = (self.ctx, self.registry_name());
        let others = self.other_sources(&chosen);
        let runtime = std::rc::Rc::clone(&self.runtime);
        let (gave, why) = runtime.block_on(waiting_for(ctx, &whom, self.sync_from_any(&chosen, others)))?;
        if let Some(why) = why {
            ctx.warn(format_args!("{}; asked {} instead", why.what(), gave.base()));
            self.sources.chosen = Some(gave);
        }
        self.is_synced = true;
        Ok(())
    }

    /// Registries to ask for the commons log in place of the chosen one: its host, then the others.
    fn other_sources(&self, chosen: &Client) -> Vec<Client> {
        if self.ctx.is_registry_named() {
            return Vec::new();
        }
        let commons = self.folded.commons.as_ref();
        let host = commons.and_then(Commons::commons_host);
        let all = commons.into_iter().flat_map(Commons::registries);
        let urls = host.into_iter().chain(all).flat_map(|registry| &registry.urls);
        let mut others: Vec<Client> = Vec::new();
        for url in urls.chain(&self.store.pin().urls) {
            if let Some(client) = self.sources.other(self.ctx, url)
                && client.base() != chosen.base()
                && others.iter().all(|other| other.base() != client.base())
            {
                others.push(client);
            }
        }
        others.truncate(MAX_OTHER_SOURCES);
        others
    }

    /// Returns who gave the head, and why the chosen one did not.
    async fn sync_from_any(
        &mut self,
        chosen: &Client,
        others: Vec<Client>,
    ) -> Result<(Client, Option<Failure>), Failure> {
        let mut sources = vec![chosen.clone()];
        sources.extend(others);
        let mut first: Option<Failure> = None;
        for attempt in 0..MAX_TRIES {
            let mut behind = Vec::new();
            for client in sources {
                let is_chosen = client.base() == chosen.base();
                // Others are asked once it is clear that the chosen one cannot help at once.
                if !is_chosen && first.is_none() && attempt == 0 {
                    behind.push(client);
                    continue;
                }
                let failure = match self.sync_once(&client).await {
                    Ok(()) if is_chosen => return Ok((client, None)),
                    Ok(()) => return Ok((client, first)),
                    Err(Trouble::NotYet(refusal)) => {
                        behind.push(client);
                        refused(&refusal)
                    }
                    Err(Trouble::Final(failure)) if failure.family() == Family::Network => failure,
                    Err(Trouble::Final(failure)) => return Err(failure),
                };
                // What the chosen one said is what a person needs to know.
                if first.is_none() {
                    first = Some(failure);
                }
            }
            if behind.is_empty() {
                break;
            }
            sources = behind;
            tokio::time::sleep(Duration::from_millis(FIRST_PAUSE_MS << attempt)).await;
        }
        Err(first.unwrap_or_else(|| Failure::bug("no registry was asked")))
    }

    async fn sync_once(&mut self, client: &Client) -> Result<(), Trouble> {
        let note = client.checkpoint(&LogPath::Commons).await?;
        let origin = self.store.pin().origin.clone();
        let offered = Checkpoint::parse(&note.text).map_err(|err| {
            Refused::caused(Step::Checkpoint, format!("the head of {origin} is malformed"), err)
        })?;
        let kept = self.folded.note.clone();
        let before = kept.as_ref().and_then(|note| Checkpoint::parse(&note.text).ok());
        if let (Some(kept), Some(before)) = (&kept, &before)
            && offered.size < before.size
        {
            return Err(self.older(kept, before, &note, &offered)?);
        }
        if offered.size == 0 || offered.size > MAX_COMMONS_LEAVES {
            return Err(Refused::new(
                Step::Checkpoint,
                format!("the head of {origin} has {} leaves, 1 to {MAX_COMMONS_LEAVES} can be", offered.size),
            )
            .into());
        }
        // The log's key may change with the entries that are fetched now, so that a head which its key of before did not
        // sign can still be good; but it is to blame when there are no such entries.
        let doubt = match self.folded.is_empty() {
            true => None,
            false => self.folded.rules().and_then(|rules| open_head(&note.to_bytes(), &rules)).err(),
        };
        let mut next = self.folded.clone();
        while next.tree.len() < offered.size {
            let leaves =
                match (client.entries(&LogPath::Commons, next.tree.len(), offered.size).await, &doubt) {
                    (Err(_), Some(_)) => return Err(doubt.expect("there is one").into()),
                    (leaves, _) => leaves?,
                };
            if leaves.is_empty() {
                return Err(Failure::network(format!("{} gives no entries", client.base())).into());
            }
            for leaf in leaves {
                next.push(leaf, self.store.pin())?;
            }
        }
        let rules = next.rules()?;
        let head = open_head(&note.to_bytes(), &rules)?;
        // All leaves are here, so the kept head is connected to this one if and only if both are made of them.
        if next.tree.root() != offered.root {
            if let (Some(kept), Some(before)) = (&kept, &before)
                && self.is_another_history(client, before, &offered).await
            {
                return Err(self.second_history(&origin, kept, &note)?.into());
            }
            let what = format!(
                "the entries of {origin} that {} gives do not add up to its head of size {}",
                client.base(),
                offered.size
            );
            return Err(Refused::new(Step::Inclusion, what).into());
        }
        if let (Some(kept), Some(before)) = (&kept, &before)
            && next.tree.root_at(before.size).ok() != Some(before.root)
        {
            // Only a head that the log's key did sign shows two histories.
            return Err(match open_head(&kept.to_bytes(), &rules) {
                Ok(_) => self.second_history(&origin, kept, &note)?.into(),
                Err(_) => self.store.damaged_commons().into(),
            });
        }
        head.demand_quorum(&rules, self.ctx.now()).map_err(Trouble::NotYet)?;
        if !self.folded.is_empty() && !self.is_newer(kept.as_ref(), &head, &rules) {
            next.note = kept;
        } else if self.store.keep_commons(kept.as_ref(), &next.leaves, next.commons(), &note)? {
            next.note = Some(note);
        } else {
            // Another run was faster: begin again from what it kept.
            self.folded = Folded::kept(&self.store, self.ctx)?;
            return Err(Trouble::NotYet(rolled_back(origin.as_str(), offered.size, offered.size)));
        }
        self.commons_age_s = head.age_s(&rules, self.ctx.now());
        if next.tree.len() > self.folded.tree.len() {
            self.ctx.detail("Verified", format_args!("{origin}, {} entries", next.tree.len()));
        }
        self.folded = next;
        self.say_if_unwitnessed(origin.as_str(), &rules);
        Ok(())
    }

    /// What a head means that is smaller than the kept one: a registry that is behind, or another history.
    fn older(
        &self,
        kept: &Note,
        before: &Checkpoint,
        note: &Note,
        offered: &Checkpoint,
    ) -> Result<Trouble, Failure> {
        let origin = &self.store.pin().origin;
        let ours = self.folded.tree.root_at(offered.size).ok();
        if offered.size == 0 || self.folded.is_empty() || ours == Some(offered.root) {
            return Ok(Trouble::NotYet(rolled_back(origin.as_str(), offered.size, before.size)));
        }
        match self.folded.rules().and_then(|rules| open_head(&note.to_bytes(), &rules)) {
            Ok(_) => Ok(self.second_history(origin, kept, note)?.into()),
            Err(err) => Ok(err.into()),
        }
    }

    /// Whether a head is shown to begin otherwise than the kept one, whose leaves are here; if not, what the registry
    /// gives is broken, and nobody is accused.
    async fn is_another_history(&self, client: &Client, before: &Checkpoint, offered: &Checkpoint) -> bool {
        if before.size == offered.size {
            return true;
        }
        let log = LogPath::Commons;
        let Ok(path) = client.consistency(&log, before.size, offered.size).await else { return false };
        self.begins_otherwise(client, &log, before, offered, &path).await.unwrap_or(false)
    }

    /// Whether a verified head is worth keeping in place of the kept one: larger, or with newer cosignatures.
    pub(crate) fn is_newer(&self, kept: Option<&Note>, head: &Head, rules: &HeadRules) -> bool {
        let Some(kept) = kept else { return true };
        match open_head(&kept.to_bytes(), rules) {
            Ok(before) => {
                let now = self.ctx.now();
                head.checkpoint().size > before.checkpoint().size
                    || head.age_s(rules, now) < before.age_s(rules, now)
                    || !before.has_quorum(rules, now)
            }
            // The witnesses have changed since.
            Err(_) => true,
        }
    }

    /// What is said of the kept commons where it is not asked for again.
    pub(crate) fn judge_kept_commons(&mut self) -> Result<(), Failure> {
        let rules = self.folded.rules().map_err(|err| refused(&err))?;
        let note = self.folded.note.as_ref().expect("leaves are kept with a head");
        let head = open_head(&note.to_bytes(), &rules).map_err(|err| refused(&err))?;
        self.commons_age_s = head.age_s(&rules, self.ctx.now());
        Ok(())
    }

    /// Two heads of one log that cannot be connected: keeps both, and says so.
    pub(crate) fn second_history(
        &self,
        origin: &brick_schemas::Origin,
        kept: &Note,
        offered: &Note,
    ) -> Result<Failure, Failure> {
        let dir = self.store.keep_evidence(origin, kept, offered)?;
        let size = |note: &Note| Checkpoint::parse(&note.text).map_or(0, |checkpoint| checkpoint.size);
        let refusal = Refused::new(
            Step::Consistency,
            format!(
                "{origin} shows two histories: its head of size {} does not extend the one of size {} seen before",
                size(offered),
                size(kept)
            ),
        );
        Ok(refused(&refusal).reason(format!("both heads are kept in `{}`", dir.display())).help(
            "send that folder to the commons' stewards; do not rely on this log until they have answered",
        ))
    }

    /// Refuses to choose anything new on grounds that are too old.
    ///
    /// # Errors
    /// [`Failure`] at the step `freshness`, or `root` where the root itself has ended.
    pub(crate) fn demand_fresh<'p>(
        &self,
        publishers: impl IntoIterator<Item = &'p brick_schemas::PublisherName>,
    ) -> Result<(), Failure> {
        let root = self.commons().root();
        let now = self.ctx.now();
        if root.expires <= now {
            let days = (now - root.expires) / 86_400;
            let what = format!("the root of {} ended {days} days ago", self.commons().origin());
            return Err(refused(&Refused::new(Step::Root, what)));
        }
        let origin = self.commons().origin().to_string();
        let mut ages = vec![(origin, self.commons_age_s)];
        for publisher in publishers {
            if let Some(log) = self.logs.get(publisher) {
                ages.push((log.origin().to_string(), log.age_s(now)));
            }
        }
        for (origin, age_s) in ages {
            let Some(age_s) = age_s else { continue };
            if age_s > root.terms.refuse_age_s {
                let what = format!(
                    "the newest head of {origin} was cosigned {} ago, more than {} are too old to choose by",
                    span(age_s),
                    span(root.terms.refuse_age_s)
                );
                return Err(refused(&Refused::new(Step::Freshness, what)));
            }
            if age_s > root.terms.warn_age_s && !self.has_warned_of_age.replace(true) {
                self.ctx.warn(format_args!("the newest head of {origin} was cosigned {} ago", span(age_s)));
            }
        }
        Ok(())
    }

    pub(crate) fn say_if_unwitnessed(&self, origin: &str, rules: &HeadRules) {
        if rules.quorum == 0 {
            self.ctx.detail(
                "Unwitnessed",
                format_args!("{origin}: nobody but its host vouches that it shows everybody the same"),
            );
        }
    }
}

/// The registry shows less than was seen before.
pub(crate) fn rolled_back(origin: &str, offered: u64, kept: u64) -> Refused {
    Refused::new(
        Step::Consistency,
        format!(
            "{origin} is shown with {offered} leaves, {kept} were seen before: the registry is behind, or hides some"
        ),
    )
}

/// Seconds as days, hours, minutes or seconds.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7_199 => format!("{} minutes", seconds / 60),
        7_200..=172_799 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Pins a commons: fetches its log from a registry, and keeps the pin only if everything follows from that root.
///
/// Returns the pin and the folded commons' size.
///
/// # Errors
/// [`Failure`] at the step `root` where the registry's first root is another one.
pub(crate) fn trust(
    ctx: &Context,
    url: &str,
    root_sha256: brick_schemas::Digest,
) -> Result<(Pin, u64), Failure> {
    let client = super::new_client(ctx, url)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|err| Failure::bug("cannot start the network").because(&err))?;
    let leaf = runtime
        .block_on(async {
            let note = client.checkpoint(&LogPath::Commons).await?;
            let size = Checkpoint::parse(&note.text).map_or(1, |checkpoint| checkpoint.size.max(1));
            client.entries(&LogPath::Commons, 0, size).await
        })
        .map_err(|err| asked(&err))?
        .into_iter()
        .next()
        .unwrap_or_default();
    let commons = Commons::begin(&leaf, &brick_trust::Pin { root_sha256 }).map_err(|err| refused(&err))?;
    let pin = Pin { v: 1, origin: commons.origin(), root_sha256, urls: vec![client.base().to_string()] };
    // All of it is checked before any of it is trusted.
    let store = Store::new(ctx.home(), pin.clone());
    let mut session = Session {
        ctx,
        store,
        runtime: std::rc::Rc::new(runtime),
        sources: super::Sources { chosen: Some(client), others: Default::default() },
        folded: Folded { commons: None, tree: Tree::new(), leaves: Vec::new(), note: None },
        commons_age_s: None,
        logs: Default::default(),
        looked_up: Default::default(),
        is_synced: false,
        has_warned_of_age: Default::default(),
    };
    session.folded.note = session.store.commons()?.1;
    session.sync()?;
    super::store::keep_pin(ctx.home(), &pin)?;
    Ok((pin, session.folded.tree.len()))
}
