//! How does a damaged store become whole? From peers, and nothing of it believed: leaves and heads held against signatures
//! ([`mending`](super::mending)), all that follows from them folded once more, blobs held against their names, git made again.
//!
//! The database is not patched but made anew beside the old one, by the fold that mirrors use, and put in its place in one
//! step; the damaged one stays beside it for whoever looks. What cannot be made whole is left as it is, and said so. What this
//! registry remembers to have signed and cosigned is not believed either: the new store is noted as restored, so that
//! nothing is signed before it has caught up with what others saw.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use brick_schemas::{Origin, PublisherName};
use brick_store::{
    CosignatureRow, Log, LogId, RESTORED, SalvagedLog, Store, StoreOptions, WitnessState, is_whole,
    replace_database,
};
use brick_tlog::checkpoint::{Checkpoint, open_checkpoint};
use brick_tlog::cosignature::verify_cosignatures;
use brick_tlog::note::{Algorithm, Note, SignatureLine, Vkey};
use brick_trust::{Commons, Pin};
use serde::Serialize;

use super::mending::{Gathered, Own, Wanted, gather, log_line};
use super::mending_blobs::mend_blobs;
use super::sources::{Named, Source, sources};
use super::{CheckError, Checking, Kind, MAX_NAMED, Report, SCRATCH, Tell, check, remove_scratch};
use crate::heads::has_quorum;
use crate::problem::chain;
use crate::rebuilding::rebuild_git;
use crate::registry::{CommonsState, Registry, digest, now, witness_name};
use crate::settings::{Peer, Settings};
use brick_index::layout;

/// What was mended, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// In what.
    pub kind: Kind,
    /// What was taken from where, or why it is not whole.
    pub what: String,
}

/// What a repair came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Repairs {
    /// What the check before it found.
    pub before: Report,
    /// What was repaired.
    pub repaired: Vec<Mended>,
    /// What was not, and is as it was.
    pub not_repaired: Vec<Mended>,
    /// What the check after it found; absent where nothing was repaired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Report>,
}

impl Repairs {
    /// Whether all is what was signed, now at least.
    pub fn is_clean(&self) -> bool {
        self.not_repaired.is_empty() && self.after.as_ref().unwrap_or(&self.before).is_clean()
    }

    /// As JSON, with its version.
    pub fn to_json(&self) -> serde_json::Value {
        let mut value = serde_json::json!({ "v": 1, "clean": self.is_clean() });
        let repairs = serde_json::to_value(self).expect("the type has only string keys");
        if let (Some(all), serde_json::Value::Object(members)) = (value.as_object_mut(), repairs) {
            all.extend(members);
        }
        value
    }

    pub(super) fn done(&mut self, kind: Kind, what: impl Into<String>) {
        if self.repaired.len() < MAX_NAMED {
            self.repaired.push(Mended { kind, what: what.into() });
        }
    }

    pub(super) fn lost(&mut self, kind: Kind, what: impl Into<String>) {
        if self.not_repaired.len() < MAX_NAMED {
            self.not_repaired.push(Mended { kind, what: what.into() });
        }
    }
}

/// Checks all that a registry that is not running has stored, and repairs from its peers what is damaged.
///
/// - `tell`: hears how far it is.
///
/// # Errors
/// [`CheckError`], above all while the registry runs. Damage that cannot be repaired is no error: the answer names it.
pub async fn repair(settings: &Settings, tell: Arc<Tell>) -> Result<Repairs, CheckError> {
    let data = std::path::absolute(&settings.data).map_err(CheckError::scratch)?;
    let mut repairs = Repairs { before: told(settings, &tell).await?, ..Repairs::default() };
    let is_in = |kinds: &[Kind]| repairs.before.faults.iter().any(|fault| kinds.contains(&fault.kind));
    let is_git_damaged = is_in(&[Kind::Git]);
    let is_blob_damaged = is_in(&[Kind::Blob]);
    let is_database_damaged = repairs.before.faults.iter().any(|f| !matches!(f.kind, Kind::Git | Kind::Blob));
    let is_missing = repairs.before.missing_count > 0;
    if repairs.before.is_clean() && !is_missing {
        return Ok(repairs);
    }
    // What else there is hangs on the database: without a sound one nobody knows which files to expect.
    let is_sound = !is_database_damaged || mend_database(settings, &data, &[], &tell, &mut repairs).await?;
    if !is_sound {
        repairs.lost(Kind::Database, "the database is as it was");
    }
    if is_sound && (is_blob_damaged || is_missing) {
        mend_blobs(settings, &tell, &mut repairs).await?;
    }
    if is_sound && is_git_damaged {
        mend_git(settings, &data, &tell, &mut repairs).await;
    }
    let after = told(settings, &tell).await?;
    for fault in &after.faults {
        let what = format!("{}: {}", fault.place, fault.why);
        repairs.lost(fault.kind, what);
    }
    repairs.after = Some(after);
    Ok(repairs)
}

/// Makes a store where there is none from clones of the commons and from peers, as far as both go.
///
/// - `clones`: repositories on this machine. Nothing in them is believed.
///
/// # Errors
/// [`CheckError`], also where there is a database already.
pub async fn restore_from(
    settings: &Settings,
    clones: &[PathBuf],
    tell: Arc<Tell>,
) -> Result<Repairs, CheckError> {
    let data = std::path::absolute(&settings.data).map_err(CheckError::scratch)?;
    if data.join("registry.sqlite3").exists() {
        let what = format!("{} holds a database already", data.display());
        return Err(CheckError::scratch(std::io::Error::new(std::io::ErrorKind::AlreadyExists, what)));
    }
    let mut repairs = Repairs::default();
    if mend_database(settings, &data, clones, &tell, &mut repairs).await? {
        mend_blobs(settings, &tell, &mut repairs).await?;
        mend_git(settings, &data, &tell, &mut repairs).await;
        repairs.after = Some(told(settings, &tell).await?);
    }
    Ok(repairs)
}

async fn told(settings: &Settings, tell: &Arc<Tell>) -> Result<Report, CheckError> {
    let tell = tell.clone();
    check(settings, Box::new(move |line: &str| tell(line))).await
}

/// Git made again from the logs.
async fn mend_git(settings: &Settings, data: &Path, tell: &Arc<Tell>, repairs: &mut Repairs) {
    tell("the git repository");
    let _ = std::fs::remove_dir_all(data.join("commons.git"));
    match rebuild_git(settings).await {
        Ok(made) => repairs.done(Kind::Git, format!("made again from {} leaves", made.leaves)),
        Err(err) => repairs.lost(Kind::Git, chain(&err)),
    }
}

/// The database made anew in the place of the old one. Returns whether it was; why not stands in `repairs`.
async fn mend_database(
    settings: &Settings,
    data: &Path,
    clones: &[PathBuf],
    tell: &Arc<Tell>,
    repairs: &mut Repairs,
) -> Result<bool, CheckError> {
    std::fs::create_dir_all(data).map_err(CheckError::scratch)?;
    let is_there = data.join("registry.sqlite3").exists();
    let old = match is_there {
        // One that does not even open is made again from what others have.
        true => Store::open(data, StoreOptions::default()).await.ok(),
        false => None,
    };
    remove_scratch(data);
    let folder = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(data).map_err(CheckError::scratch)?;
    let aside = Settings { data: folder.path().to_owned(), ..settings.clone() };
    let scratch = Registry::open_scratch(aside).await.map_err(CheckError::scratch)?;
    let teller = tell.clone();
    let checking = Checking {
        settings,
        store: old.clone().unwrap_or_else(|| scratch.store.clone()),
        scratch: scratch.clone(),
        pin: Pin { root_sha256: settings.root_sha256 },
        witnesses: BTreeMap::new(),
        has_records: false,
        gathered: None,
        stretch: super::folding::STRETCH,
        is_git_whole: true,
        report: Report::default(),
        tell: Box::new(move |line: &str| teller(line)),
    };
    let mut mending =
        Mending { checking, old: old.clone(), logs: Vec::new(), sources: Arc::default(), made: Vec::new() };
    let outcome = mending.all(data, clones, repairs).await;
    scratch.store.clone().close().await;
    // The lock stays until the new database is in its place: a clone of the store holds it.
    let _lock = old.clone();
    if let Some(old) = old {
        old.close().await;
    }
    outcome?;
    if !repairs.not_repaired.is_empty() {
        return Ok(false);
    }
    if !is_whole(folder.path()).await.map_err(CheckError::scratch)? {
        return Err(CheckError::scratch(std::io::Error::other("the database made anew is not whole")));
    }
    let kept =
        replace_database(folder.path(), data, &format!("damaged-{}", now())).map_err(CheckError::scratch)?;
    match kept {
        Some(kept) => repairs.done(Kind::Database, format!("made anew; the old one is {}", kept.display())),
        None => repairs.done(Kind::Database, "made anew"),
    }
    Ok(true)
}

/// A database that is made anew.
struct Mending<'a> {
    checking: Checking<'a>,
    old: Option<Store>,
    /// The old store's logs, whatever their rows say.
    logs: Vec<SalvagedLog>,
    sources: Arc<Vec<Source>>,
    /// The logs made so far, and which of the old ones each is.
    made: Vec<(Origin, LogId)>,
}

impl Mending<'_> {
    async fn all(
        &mut self,
        data: &Path,
        clones: &[PathBuf],
        repairs: &mut Repairs,
    ) -> Result<(), CheckError> {
        let settings = self.checking.settings;
        if let Some(old) = &self.old {
            self.logs = old.salvage_logs().await;
        }
        let known = self.known_peers().await;
        let (first, silent) = sources(settings, data, clones, &known, &*self.checking.tell).await;
        self.sources = Arc::new(first);
        if let Err(why) = self.commons(repairs).await? {
            repairs.lost(Kind::Log, why);
            for silent in silent {
                repairs.lost(Kind::Log, silent);
            }
            return Ok(());
        }
        // The records name more peers than the settings do.
        let (sources, silent) =
            sources(settings, data, clones, &self.checking.scratch.peers(), &*self.checking.tell).await;
        self.sources = Arc::new(sources);
        let mut failed = false;
        for publisher in self.publishers().await {
            if let Err(why) = self.publisher(&publisher, repairs).await? {
                failed = true;
                repairs.lost(Kind::Log, why);
            }
        }
        if failed {
            for silent in silent {
                repairs.lost(Kind::Log, silent);
            }
            return Ok(());
        }
        self.rest(repairs).await
    }

    /// Peers whose copies lie here already, by the records as far as the old store still tells them.
    async fn known_peers(&self) -> Vec<Peer> {
        let Some(old) = &self.old else { return Vec::new() };
        let mut state = CommonsState { commons: None, tree: brick_tlog::tree::Tree::new() };
        let commons = self.logs.iter().find(|log| log.origin.ends_with("/root"));
        let Some(log) = commons else { return Vec::new() };
        let pin = Pin { root_sha256: self.checking.settings.root_sha256 };
        for index in 0..log.size {
            let leaf = old.salvage_leaves(log.id, index..index + 1).await.pop().flatten();
            if leaf.is_none_or(|leaf| state.apply(&pin, &leaf).is_err()) {
                break;
            }
        }
        peers_of(self.checking.settings, state.commons.as_ref())
    }

    /// The commons log, whose first root is pinned.
    async fn commons(&mut self, repairs: &mut Repairs) -> Result<Result<(), String>, CheckError> {
        let pin = Pin { root_sha256: self.checking.settings.root_sha256 };
        let mut begun = None;
        let first = |leaf: &Vec<u8>| Commons::begin(leaf, &pin).ok();
        if let Some(old) = &self.old {
            for log in &self.logs {
                let leaf = old.salvage_leaves(log.id, 0..1).await.pop().flatten();
                if let Some(commons) = leaf.as_ref().and_then(first) {
                    begun = Some((commons, Some(log.id)));
                    break;
                }
            }
        }
        if begun.is_none() {
            for source in self.sources.iter() {
                let leaf = source.leaves(layout::COMMONS, 0, 1).await.and_then(|mut leaves| leaves.pop());
                if let Some(commons) = leaf.as_ref().and_then(first) {
                    begun = Some((commons, None));
                    break;
                }
            }
        }
        let Some((commons, by_leaf)) = begun else {
            return Ok(Err("the first root of the commons is nowhere".to_owned()));
        };
        let origin = commons.origin();
        let vkey = match commons.commons_rules() {
            Ok(rules) => rules.log,
            Err(refused) => return Ok(Err(chain(&refused))),
        };
        self.log(&origin, None, vkey, by_leaf, repairs).await
    }

    /// The publishers whose logs are here or at a source, as far as a record names them.
    async fn publishers(&self) -> Vec<PublisherName> {
        let state = self.checking.scratch.commons();
        let Some(commons) = &state.commons else { return Vec::new() };
        let mut publishers = Vec::new();
        for record in commons.publishers() {
            let mut is_here =
                self.logs.iter().any(|log| log.origin == record.origin.as_str() && log.size > 0);
            for source in self.sources.iter() {
                is_here = is_here || source.publishers().await.contains(&record.id);
            }
            if is_here {
                publishers.push(record.id.clone());
            }
        }
        publishers
    }

    async fn publisher(
        &mut self,
        publisher: &PublisherName,
        repairs: &mut Repairs,
    ) -> Result<Result<(), String>, CheckError> {
        let origin = Origin::of_publisher(publisher);
        let state = self.checking.scratch.commons();
        let rules = state.known().and_then(|commons| commons.log_rules(publisher));
        match rules {
            Ok(rules) => self.log(&origin, Some(publisher.clone()), rules.log, None, repairs).await,
            Err(refused) => Ok(Err(chain(&refused))),
        }
    }

    /// Gathers one log, folds it into the new database, and keeps the cosignatures on its heads.
    async fn log(
        &mut self,
        origin: &Origin,
        publisher: Option<PublisherName>,
        vkey: Vkey,
        known: Option<LogId>,
        repairs: &mut Repairs,
    ) -> Result<Result<(), String>, CheckError> {
        let settings = self.checking.settings;
        let is_ours = vkey == Vkey::of(vkey.name().clone(), vkey.algorithm(), &settings.log_key);
        let own = self.own(origin, &vkey, known).await;
        let folder = publisher.as_ref().map_or_else(|| layout::COMMONS.to_owned(), layout::log);
        let wanted = Wanted { origin, folder, vkey: &vkey, key: is_ours.then_some(&settings.log_key) };
        (self.checking.tell)(origin.as_str());
        let gathered = match gather(&wanted, own.clone(), self.sources.clone()).await {
            Ok(gathered) => gathered,
            Err(why) => return Ok(Err(why)),
        };
        let size = gathered.size();
        if size == 0 {
            return Ok(Ok(()));
        }
        for what in &gathered.told {
            repairs.done(Kind::Leaf, what);
        }
        let served = own.as_ref().and_then(|own| self.logs.iter().find(|log| log.id == own.log));
        let served = served.map_or(0, |log| log.served_size);
        let served = gathered.heads.iter().rev().map(|head| head.size).find(|size| *size <= served);
        let log = Log {
            id: own.as_ref().map_or(LogId::NONE, |own| own.log),
            origin: origin.clone(),
            vkey: vkey.to_string(),
            publisher,
            hosted: is_ours,
            size,
            served_size: served.unwrap_or(0),
            kept_size: 0,
        };
        self.checking.gathered = Some(gathered);
        let folded = self.checking.fold_leaves(&log, &vkey, size).await;
        let gathered = self.checking.gathered.take().expect("it was put there");
        let tail = match folded {
            Ok(Some(tail)) => tail,
            Ok(None) => {
                let why = self.checking.report.faults.pop().map(|fault| fault.why).unwrap_or_default();
                return Ok(Err(format!("{origin}: {why}")));
            }
            Err(super::folding::Stopped::Stored(err)) => {
                return Ok(Err(format!("{origin}: {}", chain(&err))));
            }
            Err(super::folding::Stopped::Scratch(err)) => return Err(CheckError::Scratch(err)),
        };
        if let Some(served) = served {
            self.checking.scratch.store.set_served(tail.log, served).await.map_err(CheckError::scratch)?;
        }
        self.cosignatures(&gathered, own.as_ref(), tail.log).await?;
        if served.is_none() {
            self.serve_newest(&log, &gathered, tail.log).await?;
        }
        self.made.push((origin.clone(), tail.log));
        if !is_ours {
            self.remember(origin, &vkey, &gathered, own.as_ref()).await?;
        }
        Ok(Ok(()))
    }

    /// Has readers see the newest head with a quorum: nobody knows which one they saw before.
    async fn serve_newest(&self, log: &Log, gathered: &Gathered, made: LogId) -> Result<(), CheckError> {
        let Ok(rules) = self.checking.scratch.rules(log.publisher.as_ref()) else { return Ok(()) };
        let store = &self.checking.scratch.store;
        for head in gathered.heads.iter().rev() {
            let mut note = head.note.clone();
            for row in store.cosignatures(made, head.size).await.map_err(CheckError::scratch)? {
                note.extend_from_slice(row.line.as_bytes());
            }
            if has_quorum(&note, &rules) {
                store.set_served(made, head.size).await.map_err(CheckError::scratch)?;
                break;
            }
        }
        Ok(())
    }

    /// The old store's log of that origin: by its row, by its first leaf, or by a head that its key signed.
    async fn own(&self, origin: &Origin, vkey: &Vkey, known: Option<LogId>) -> Option<Own> {
        let store = self.old.as_ref()?;
        let of = |log: &SalvagedLog| Own { store: store.clone(), log: log.id, size: log.size };
        let is_it =
            |log: &&SalvagedLog| Some(log.id) == known || (known.is_none() && log.origin == origin.as_str());
        if let Some(log) = self.logs.iter().find(is_it) {
            return Some(of(log));
        }
        for log in &self.logs {
            let heads = store.salvage_heads(log.id, log.size).await;
            if heads.iter().any(|head| open_checkpoint(&head.note, vkey).is_ok()) {
                return Some(of(log));
            }
        }
        None
    }

    /// Keeps the cosignatures that verify, of those that stood here and those that the sources show.
    async fn cosignatures(
        &self,
        gathered: &Gathered,
        own: Option<&Own>,
        made: LogId,
    ) -> Result<(), CheckError> {
        let mut lines: BTreeMap<u64, Vec<SignatureLine>> = BTreeMap::new();
        if let Some(own) = own {
            for (size, line) in own.store.salvage_cosignatures(own.log).await {
                lines.entry(size).or_default().extend(SignatureLine::parse(line.trim_end_matches('\n')));
            }
        }
        for Named { checkpoint, note } in &gathered.named {
            lines.entry(checkpoint.size).or_default().extend(note.signatures.iter().cloned());
        }
        for head in &gathered.heads {
            let Some(lines) = lines.remove(&head.size) else { continue };
            let Ok(note) = Note::parse(&head.note) else { continue };
            let mut rows: BTreeMap<(String, u32), CosignatureRow> = BTreeMap::new();
            for line in lines {
                let Some(vkey) = self.checking.witnesses.get(&(line.name.clone(), line.id)) else { continue };
                let alone = Note { text: note.text.clone(), signatures: vec![line.clone()] };
                let Ok(found) = verify_cosignatures(&alone, std::slice::from_ref(vkey)) else { continue };
                let Some(found) = found.first() else { continue };
                let row = CosignatureRow {
                    key_id: u32::from_be_bytes(*line.id.as_bytes()),
                    name: line.name.to_string(),
                    time: found.time,
                    line: format!("{line}\n"),
                };
                let kept = rows.entry((row.name.clone(), row.key_id)).or_insert_with(|| row.clone());
                if kept.time < row.time {
                    *kept = row;
                }
            }
            let rows: Vec<CosignatureRow> = rows.into_values().collect();
            let store = &self.checking.scratch.store;
            store.put_cosignatures(made, head.size, &rows).await.map_err(CheckError::scratch)?;
        }
        Ok(())
    }

    /// Keeps the largest head of a mirrored log that bears this registry's own cosignature, wherever it stands.
    async fn remember(
        &self,
        origin: &Origin,
        log: &Vkey,
        gathered: &Gathered,
        own: Option<&Own>,
    ) -> Result<(), CheckError> {
        let settings = self.checking.settings;
        let witness = Vkey::of(witness_name(&settings.id), Algorithm::CosignatureV1, &settings.witness_key);
        let mut notes: Vec<Note> = gathered.named.iter().map(|named| named.note.clone()).collect();
        if let Some(own) = own {
            let rows = own.store.salvage_witness().await;
            notes.extend(rows.iter().filter_map(|row| Note::parse(&row.note).ok()));
            for (size, line) in own.store.salvage_cosignatures(own.log).await {
                let head = gathered.heads.iter().find(|head| head.size == size);
                let line = SignatureLine::parse(line.trim_end_matches('\n'));
                if let (Some(mut note), Some(line)) =
                    (head.and_then(|head| Note::parse(&head.note).ok()), line)
                {
                    note.signatures.push(line);
                    notes.push(note);
                }
            }
        }
        let mut newest: Option<WitnessState> = None;
        for note in notes {
            let Ok(open) = brick_tlog::checkpoint::open_note(note.clone(), log) else { continue };
            let checkpoint: &Checkpoint = open.checkpoint();
            for line in note.signatures.iter().filter(|line| line.name == *witness.name()) {
                let alone = Note { text: note.text.clone(), signatures: vec![line.clone()] };
                let Ok(found) = verify_cosignatures(&alone, std::slice::from_ref(&witness)) else { continue };
                let Some(found) = found.first() else { continue };
                let is_newer = newest
                    .as_ref()
                    .is_none_or(|newest| (newest.size, newest.time) < (checkpoint.size, found.time));
                if is_newer {
                    let mut kept = log_line(checkpoint, &note);
                    kept.extend_from_slice(format!("{line}\n").as_bytes());
                    newest = Some(WitnessState {
                        size: checkpoint.size,
                        root: digest(checkpoint.root),
                        time: found.time,
                        note: kept,
                    });
                }
            }
        }
        if let Some(state) = newest {
            let store = &self.checking.scratch.store;
            store.advance_witness(origin, None, &state).await.map_err(CheckError::scratch)?;
        }
        Ok(())
    }

    /// What no log says: evidence, small values; and the note that this store was put together anew.
    async fn rest(&self, repairs: &mut Repairs) -> Result<(), CheckError> {
        let store = &self.checking.scratch.store;
        if let Some(old) = &self.old {
            for what in old.salvage_rest(store).await.map_err(CheckError::scratch)? {
                // A value that is found out again anyway does not keep the store from becoming whole; evidence does.
                match what.contains("evidence") {
                    true => repairs.lost(Kind::Evidence, what),
                    false => repairs.done(Kind::Note, format!("{what} is left out")),
                }
            }
        }
        store.meta_put(RESTORED, now().to_string().as_bytes()).await.map_err(CheckError::scratch)
    }
}

/// The registries that records name, this one left out.
fn peers_of(settings: &Settings, commons: Option<&Commons>) -> Vec<Peer> {
    let records = commons.into_iter().flat_map(Commons::registries);
    records
        .filter(|record| record.id != settings.id)
        .filter_map(|record| Some(Peer::at(record.id.as_str(), record.urls.first()?)))
        .collect()
}
