//! Is every stored byte what was signed? Entries, trees, heads, what follows from them, blobs, git: all recomputed, nothing
//! believed, while the registry does not run.
//!
//! From the bottom up: SQLite's own check of the file; of each log the leaves against the tiles and every signed head
//! (`walking`); the leaves folded once more, in a store of their own and by the same fold that mirrors use, and that
//! store compared with this one row by row (`folding`); every blob against its name (`files`); the git repository
//! against the logs (`repository`). A fault does not end the check. Memory follows the largest stretch between two
//! snapshots, not the size of the logs.

mod files;
mod folding;
mod heads;
mod mending;
mod mending_blobs;
mod repairing;
mod repository;
mod sources;
mod walking;

pub use repairing::{Mended, Repairs, repair, restore_from};

use std::collections::BTreeMap;
use std::sync::Arc;

use brick_schemas::{Digest, Origin};
use brick_store::{Log, OpenError, ReadError, Store, StoreOptions};
use brick_tlog::note::{KeyId, KeyName, Vkey};
use brick_trust::Pin;
use serde::Serialize;

use self::mending::Gathered;
use crate::problem::chain;
use crate::registry::{CommonsState, Registry, RegistryError};
use crate::settings::Settings;

/// Faults and missing blobs that a report names, each; past it they are only counted.
pub const MAX_NAMED: usize = 1_000;
/// How the folder begins that a check folds in; it lies in the data folder and is gone afterwards.
const SCRATCH: &str = "check-";

/// What was checked, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Logs, the commons' own included.
    pub logs: u64,
    /// Leaves held against the tree.
    pub leaves: u64,
    /// Signed heads held against their key and the leaves.
    pub heads: u64,
    /// Cosignatures on them, this registry's own on the heads of others included.
    pub cosignatures: u64,
    /// Entries folded again, after form, signature, right, log, basis and uniqueness.
    pub entries: u64,
    /// Snapshots recomputed.
    pub snapshots: u64,
    /// Blobs held against their names.
    pub blobs: u64,
    /// Bytes of them.
    pub blob_bytes: u64,
    /// Files in git equal to what the logs say.
    pub git_files: u64,
}

/// What a fault was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The database file.
    Database,
    /// A log as a whole: its row, its size.
    Log,
    /// The bytes of a leaf.
    Leaf,
    /// A tile of a log's tree.
    Tile,
    /// A signed head.
    Checkpoint,
    /// A cosignature.
    Cosignature,
    /// An entry that does not count where it stands.
    Entry,
    /// What follows from the entries: index, bucket tree, services, notes of blobs.
    Catalogue,
    /// What this registry cosigned.
    Witness,
    /// Kept evidence of two histories.
    Evidence,
    /// A row that no signature covers: how following goes, small values, the words of evidence.
    Note,
    /// A blob's file.
    Blob,
    /// The git repository.
    Git,
}

/// One thing that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// In what.
    pub kind: Kind,
    /// Where: a log and a place in it, a digest, a path.
    pub place: String,
    /// Why it is one.
    pub why: String,
}

/// A blob that entries name and that is not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its digest.
    pub sha256: Digest,
    /// Its length, as an entry says.
    pub bytes: u64,
}

/// What a check came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was checked.
    pub checked: Checked,
    /// The first [`MAX_NAMED`] faults, in the order of the check.
    pub faults: Vec<Found>,
    /// All faults.
    pub fault_count: u64,
    /// The first [`MAX_NAMED`] missing blobs, by digest. That is no fault: peers have them, or nobody has.
    pub missing: Vec<Missing>,
    /// All missing blobs.
    pub missing_count: u64,
    /// Logs of which git has less than the store; it catches up when the registry runs.
    pub behind: Vec<String>,
    /// What could not be checked because of a fault before it.
    pub unchecked: Vec<String>,
}

impl Report {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.fault_count == 0
    }

    /// The report as JSON, with its version.
    pub fn to_json(&self) -> serde_json::Value {
        let mut value = serde_json::json!({ "v": 1, "clean": self.is_clean() });
        let report = serde_json::to_value(self).expect("the type has only string keys");
        if let (Some(all), serde_json::Value::Object(members)) = (value.as_object_mut(), report) {
            all.extend(members);
        }
        value
    }
}

/// Why a check could not be made at all.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The store cannot be opened, for a reason that is no damage.
    #[error("cannot open the store in {}", dir.display())]
    Open {
        /// Where it lies.
        dir: std::path::PathBuf,
        /// Why not.
        #[source]
        err: OpenError,
    },
    /// The folder for folding cannot be made or used.
    #[error("cannot fold the logs again beside the store")]
    Scratch(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CheckError {
    fn scratch(err: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Scratch(Box::new(err))
    }
}

/// Who hears how far a check is: a line without its end.
pub type Tell = dyn Fn(&str) + Send + Sync;

/// Checks all that a registry that is not running has stored.
///
/// The store is opened as the registry does, so an older schema is brought up to date. Beside it a folder is made as large
/// as what is derived from the logs, and removed.
///
/// # Errors
/// [`CheckError`], above all while the registry runs. Damage is no error: the report names it.
pub async fn check(settings: &Settings, tell: Box<Tell>) -> Result<Report, CheckError> {
    check_in_parts(settings, tell, folding::STRETCH).await
}

/// As [`check`], with at most `stretch` leaves folded together where snapshots allow.
///
/// # Errors
/// As [`check`].
pub async fn check_in_parts(
    settings: &Settings,
    tell: Box<Tell>,
    stretch: u64,
) -> Result<Report, CheckError> {
    let data = std::path::absolute(&settings.data).map_err(CheckError::scratch)?;
    let mut report = Report::default();
    let store = match Store::open(&data, StoreOptions::default()).await {
        Ok(store) => store,
        Err(OpenError::Fault(fault)) => {
            report.note(Kind::Database, "registry.sqlite3", chain(&fault));
            report.unchecked.push("everything else: the database cannot be opened".to_owned());
            return Ok(report);
        }
        Err(err @ OpenError::Migrate(_)) => {
            report.note(Kind::Database, "registry.sqlite3", chain(&err));
            report.unchecked.push("everything else: the database cannot be opened".to_owned());
            return Ok(report);
        }
        Err(err) => return Err(CheckError::Open { dir: data, err }),
    };
    remove_scratch(&data);
    let folder = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(&data).map_err(CheckError::scratch)?;
    let aside = Settings { data: folder.path().to_owned(), ..settings.clone() };
    let scratch = Registry::open_scratch(aside).await.map_err(CheckError::scratch)?;
    let mut checking = Checking {
        settings,
        store: store.clone(),
        scratch: scratch.clone(),
        pin: Pin { root_sha256: settings.root_sha256 },
        witnesses: BTreeMap::new(),
        has_records: false,
        gathered: None,
        stretch: stretch.max(1),
        is_git_whole: true,
        report,
        tell,
    };
    let outcome = checking.all(&data).await;
    let report = checking.report;
    scratch.store.clone().close().await;
    store.close().await;
    outcome.map(|()| report)
}

/// Folders that a check left behind which was cut off. No other check is under way: this one holds the store's lock.
fn remove_scratch(data: &std::path::Path) {
    let Ok(entries) = std::fs::read_dir(data) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(SCRATCH) && entry.path().is_dir() {
            // One that stays is in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A check under way.
struct Checking<'a> {
    settings: &'a Settings,
    store: Store,
    /// The logs folded again.
    scratch: Arc<Registry>,
    pin: Pin,
    /// Every witness key that a record ever named, by what stands in a note.
    witnesses: BTreeMap<(KeyName, KeyId), Vkey>,
    /// Whether all of the commons log was folded, so that the records are known.
    has_records: bool,
    /// The log that is folded, where it is put together from more places than the store.
    gathered: Option<Gathered>,
    /// Leaves that are folded together.
    stretch: u64,
    /// Whether git finds its repository whole. libgit2 believes what stands in the index of a pack: one that is damaged
    /// can end the process.
    is_git_whole: bool,
    report: Report,
    tell: Box<Tell>,
}

impl Checking<'_> {
    async fn all(&mut self, data: &std::path::Path) -> Result<(), CheckError> {
        self.git_objects(data).await;
        (self.tell)("the database");
        match self.store.integrity().await {
            Ok(lines) => {
                for line in lines {
                    self.report.note(Kind::Database, "registry.sqlite3", line);
                }
            }
            Err(err) => self.unreadable("registry.sqlite3", &err),
        }
        let mut logs = match self.store.logs().await {
            Ok(logs) => logs,
            Err(err) => {
                self.unreadable("the logs", &err);
                self.report.unchecked.push("every log".to_owned());
                Vec::new()
            }
        };
        // Records say whose key is whose, so the commons log comes first.
        logs.sort_by_key(|log| log.publisher.is_some());
        for log in &logs {
            self.log(log, data).await?;
        }
        self.witnessed().await;
        self.evidence().await;
        match self.store.broken_seals().await {
            Ok(broken) => {
                for row in broken {
                    let place = format!("{} {}", row.table, row.row.escape_debug());
                    self.report.note(Kind::Note, place, "it is not what was written");
                }
            }
            Err(err) => self.unreadable("what no log says", &err),
        }
        self.blobs().await;
        self.git_strays(data, &logs).await;
        Ok(())
    }

    async fn log(&mut self, log: &Log, data: &std::path::Path) -> Result<(), CheckError> {
        (self.tell)(log.origin.as_str());
        self.report.checked.logs += 1;
        let state = self.scratch.commons();
        let rules = match (&log.publisher, &state.commons) {
            (Some(publisher), Some(commons)) if self.has_records => {
                Some(commons.log_rules(publisher).map(|rules| rules.log))
            }
            _ => None,
        };
        let stored = Vkey::parse(&log.vkey);
        let vkey = match (rules, stored) {
            (Some(Ok(vkey)), stored) => {
                if stored.as_ref() != Ok(&vkey) {
                    let why =
                        format!("the stored key is {}, the records say {vkey}", log.vkey.escape_debug());
                    self.report.note(Kind::Log, log.origin.as_str(), why);
                }
                vkey
            }
            (Some(Err(refused)), _) => {
                self.report.note(Kind::Log, log.origin.as_str(), chain(&refused));
                self.report.unchecked.push(log.origin.to_string());
                return Ok(());
            }
            (None, Ok(vkey)) => vkey,
            (None, Err(err)) => {
                self.report.note(Kind::Log, log.origin.as_str(), chain(&err));
                self.report.unchecked.push(log.origin.to_string());
                return Ok(());
            }
        };
        if log.publisher.as_ref().is_some_and(|publisher| Origin::of_publisher(publisher) != log.origin) {
            self.report.note(Kind::Log, log.origin.as_str(), "it is noted as the log of somebody else");
        }
        let is_ours = vkey == Vkey::of(vkey.name().clone(), vkey.algorithm(), &self.settings.log_key);
        if log.hosted != is_ours {
            let why = "it is noted as hosted here, or not, against what its key says";
            self.report.note(Kind::Log, log.origin.as_str(), why);
        }
        let sound = match self.walk(log, &vkey).await {
            Ok(sound) => sound,
            Err(err) => {
                self.unreadable(log.origin.as_str(), &err);
                self.report.unchecked.push(format!("the rest of {}", log.origin));
                return Ok(());
            }
        };
        if log.publisher.is_some() && !self.has_records {
            let what = format!("what follows from the entries of {}: the records are not known", log.origin);
            self.report.unchecked.push(what);
            return Ok(());
        }
        match self.fold(log, &vkey, sound, data).await {
            Ok(()) => {}
            Err(folding::Stopped::Stored(err)) => {
                self.unreadable(log.origin.as_str(), &err);
                self.report.unchecked.push(format!("what follows from the entries of {}", log.origin));
            }
            Err(folding::Stopped::Scratch(err)) => return Err(CheckError::Scratch(err)),
        }
        if let Err(err) = self.cosignatures(log).await {
            self.unreadable(&format!("the cosignatures of {}", log.origin), &err);
        }
        Ok(())
    }

    fn unreadable(&mut self, place: &str, err: &ReadError) {
        self.report.note(Kind::Database, place, chain(err));
    }

    fn commons(&self) -> Arc<CommonsState> {
        self.scratch.commons()
    }
}

impl Report {
    fn note(&mut self, kind: Kind, place: impl Into<String>, why: impl Into<String>) {
        self.fault_count += 1;
        if self.faults.len() < MAX_NAMED {
            self.faults.push(Found { kind, place: place.into(), why: why.into() });
        }
    }

    fn miss(&mut self, missing: Missing) {
        self.missing_count += 1;
        if self.missing.len() < MAX_NAMED {
            self.missing.push(missing);
        }
    }
}

/// A leaf's place in words.
fn leaf_place(origin: &Origin, index: u64) -> String {
    format!("leaf {index} of {origin}")
}

/// A head's place in words.
fn head_place(origin: &Origin, size: u64) -> String {
    format!("the head of {size} leaves of {origin}")
}

impl From<RegistryError> for CheckError {
    fn from(err: RegistryError) -> Self {
        Self::scratch(err)
    }
}
