//! Does a clone of the commons add up, from the pinned root to the last index line? Everything recomputed, nothing believed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use brick_schemas::index_line::parse_index_file;
use brick_schemas::{Blob, BrickName, Digest, PublisherName};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::hash::leaf_hash;
use brick_tlog::note::Note;
use brick_tlog::snapshot::BucketTree;
use brick_tlog::tree::Tree;
use brick_trust::{Commons, Head, HeadRules, Pin, Refused, Step, open_head};
use serde_json::json;

use crate::fold::Loaded;
use crate::follow::{FollowError, MAX_INDEX_FILE_BYTES, View};
use crate::layout;
use crate::replay::{Before, CheckedLeaf, Replayed, check_leaf, replay};

/// Leaves of one log that an audit reads, at most; beyond, memory would not hold them.
pub const MAX_AUDIT_LEAVES: u64 = 16 * 1024 * 1024;
/// Leaves that a core checks before it takes the next: some ten milliseconds.
const LEAVES_AT_A_TIME: usize = 256;
/// Files below one folder, at most.
const MAX_FILES: usize = 16 * 1024 * 1024;

/// What is audited, and against what.
pub struct Audit<'a> {
    /// A clone (with or without a working tree); its `HEAD` is read.
    pub repository: &'a Path,
    /// SHA-256 of the commons' first root.
    pub root_sha256: Digest,
    /// The auditor's clock, Unix seconds.
    pub now: u64,
}

/// What was checked, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The commons' domain.
    pub commons: String,
    /// Versions of the root.
    pub roots: u64,
    /// Publisher and registry records.
    pub records: u64,
    /// Logs, the commons' own included.
    pub logs: u64,
    /// Leaves whose hashes make up the log roots.
    pub leaves: u64,
    /// Entries whose form, signature, right, log, basis and uniqueness hold.
    pub entries: u64,
    /// Signatures on entries and roots.
    pub signatures: u64,
    /// Cosignatures on the heads.
    pub cosignatures: u64,
    /// Snapshots recomputed.
    pub snapshots: u64,
    /// Index files equal to what the logs add up to.
    pub index_files: u64,
    /// Releases in them.
    pub releases: u64,
    /// Services equal to what the logs add up to.
    pub services: u64,
    /// The heads: origin, size, root, cosignatures and how many are needed.
    pub heads: Vec<AuditedHead>,
}

/// One head of the audited commons.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AuditedHead {
    /// The log.
    pub origin: String,
    /// Its size.
    pub size: u64,
    /// Its root, base64.
    pub root: String,
    /// Distinct operators that cosigned it.
    pub cosigned: usize,
    /// How many must.
    pub quorum: usize,
}

impl Report {
    /// The report as JSON, with its version.
    pub fn to_json(&self) -> serde_json::Value {
        let mut value = json!({ "v": 1 });
        let report = serde_json::to_value(self).expect("the type has only string keys");
        if let (Some(all), serde_json::Value::Object(members)) = (value.as_object_mut(), report) {
            all.extend(members);
        }
        value
    }
}

/// Why an audit ended.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is no repository that could be read.
    #[error("the clone cannot be read")]
    Read(#[source] FollowError),
    /// There is no commit.
    #[error("the clone has no commit")]
    Empty,
    /// Something does not add up.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl From<FollowError> for AuditError {
    /// A clone is one commit's claim about the logs: what it lacks, or does not hold as it says, is part of that claim.
    fn from(err: FollowError) -> Self {
        let (FollowError::Object { path, .. } | FollowError::Layout { path, .. }) = &err else {
            return Self::Read(err);
        };
        let step = match path {
            path if path.contains("/entries/") => Step::Inclusion,
            path if path.ends_with("/checkpoint") => Step::Checkpoint,
            _ => Step::Index,
        };
        Self::Refused(Refused::caused(step, "the clone is damaged or incomplete", err))
    }
}

/// Audits a clone.
///
/// # Errors
/// [`AuditError::Refused`] with the first step that fails.
pub fn audit(audit: &Audit) -> Result<Report, AuditError> {
    let shown = audit.repository.display().to_string();
    let view =
        View::open(audit.repository, "HEAD", &shown).map_err(AuditError::Read)?.ok_or(AuditError::Empty)?;
    let mut report = Report::default();
    let commons = audit_commons(&view, audit, &mut report)?;
    let here = view.publishers()?;
    for publisher in &here {
        audit_log(&view, &commons, publisher, audit.now, &mut report)?;
    }
    for (folder, what) in [("index", Step::Index), ("services", Step::Index)] {
        for name in view.names(folder, MAX_FILES)? {
            if !here.iter().any(|publisher| publisher.as_str() == name) {
                let name = name.escape_default().to_string();
                return Err(Refused::new(what, format!("{folder}/{name} belongs to no log")).into());
            }
        }
    }
    Ok(report)
}

fn audit_commons(view: &View, audit: &Audit, report: &mut Report) -> Result<Commons, AuditError> {
    let (note, size) = head_size(view, layout::COMMONS, Step::Checkpoint)?;
    let leaves = view.leaves(layout::COMMONS, 0, size)?;
    let first = leaves.first().ok_or_else(|| Refused::new(Step::Root, "the commons log is empty"))?;
    let pin = Pin { root_sha256: audit.root_sha256 };
    let mut commons = Commons::begin(first, &pin)?;
    let mut tree = Tree::new();
    tree.push(leaf_hash(first));
    report.signatures += signatures(first);
    for leaf in &leaves[1..] {
        commons.apply(leaf, |size| tree.root_at(size).ok())?;
        tree.push(leaf_hash(leaf));
        report.signatures += signatures(leaf);
    }
    let rules = commons.commons_rules()?;
    audit_head(&note, &rules, &tree, audit.now, report)?;
    report.commons = commons.root().terms.commons.to_string();
    report.roots = commons.root().version;
    report.records = size - commons.root().version;
    report.entries += size;
    Ok(commons)
}

/// Reads a head's size before anything is known of its keys; everything is checked against the leaves afterwards.
fn head_size(view: &View, folder: &str, step: Step) -> Result<(Vec<u8>, u64), AuditError> {
    let note = view.checkpoint(folder)?.ok_or_else(|| Refused::new(step, format!("{folder} has no head")))?;
    let parsed =
        Note::parse(&note).map_err(|err| Refused::caused(step, format!("the head in {folder}"), err))?;
    let checkpoint = Checkpoint::parse(&parsed.text)
        .map_err(|err| Refused::caused(step, format!("the head in {folder}"), err))?;
    if checkpoint.size > MAX_AUDIT_LEAVES {
        return Err(
            Refused::new(step, format!("the head in {folder} claims {} leaves", checkpoint.size)).into()
        );
    }
    Ok((note, checkpoint.size))
}

fn audit_head(
    note: &[u8],
    rules: &HeadRules,
    tree: &Tree,
    now: u64,
    report: &mut Report,
) -> Result<Head, Refused> {
    let head = open_head(note, rules)?;
    let checkpoint = head.checkpoint();
    if checkpoint.size != tree.len() || checkpoint.root != tree.root() {
        return Err(Refused::new(
            Step::Inclusion,
            format!(
                "the leaves of {} add up to root {} at size {}, its head says {} at size {}",
                checkpoint.origin,
                tree.root(),
                tree.len(),
                checkpoint.root,
                checkpoint.size
            ),
        ));
    }
    head.demand_quorum(rules, now)?;
    report.logs += 1;
    report.leaves += checkpoint.size;
    report.cosignatures += head.cosigned().len() as u64;
    report.heads.push(AuditedHead {
        origin: checkpoint.origin.to_string(),
        size: checkpoint.size,
        root: checkpoint.root.to_string(),
        cosigned: head.cosigned().len(),
        quorum: rules.quorum,
    });
    Ok(head)
}

fn signatures(leaf: &[u8]) -> u64 {
    brick_trust::Envelope::parse(leaf).map_or(0, |envelope| envelope.signatures.len() as u64)
}

fn audit_log(
    view: &View,
    commons: &Commons,
    publisher: &PublisherName,
    now: u64,
    report: &mut Report,
) -> Result<(), AuditError> {
    let folder = layout::log(publisher);
    let rules = commons.log_rules(publisher)?;
    let (note, size) = head_size(view, &folder, Step::Checkpoint)?;
    // Its cosignatures and leaves follow; but what its own host did not sign says nothing about them.
    open_head(&note, &rules)?;
    let leaves = view.leaves(&folder, 0, size)?;
    let mut tree = Tree::new();
    for leaf in &leaves {
        tree.push(leaf_hash(leaf));
    }
    let checked = check_leaves(commons, publisher, 0, &leaves)?;
    let Replayed { segments, .. } = replay(
        Before {
            publisher,
            commons,
            first: 0,
            snapshot_time: None,
            loaded: Loaded::default(),
            nodes: HashMap::new(),
            index_root: BucketTree::new().root(),
        },
        &checked,
        |size| tree.root_at(size).ok(),
        |_| false,
    )?;
    audit_head(&note, &rules, &tree, now, report)?;
    report.snapshots += segments.len() as u64;
    for leaf in &checked {
        if let CheckedLeaf::Entry(entry) = leaf {
            report.entries += 1;
            report.signatures += entry.entry().envelope.signatures.len() as u64;
        }
    }
    let mut files: BTreeMap<BrickName, Blob> = BTreeMap::new();
    let mut services: BTreeMap<BrickName, String> = BTreeMap::new();
    for segment in segments {
        files.extend(segment.folded.files);
        services.extend(segment.folded.services.into_iter().map(|(name, (_, json))| (name, json)));
    }
    compare_index(view, publisher, &files, report)?;
    compare_services(view, publisher, &services, report)
}

/// Checks the form and signatures of `leaves`, the first of which has index `first`, on all cores.
///
/// # Errors
/// The refusal of the first leaf, in log order, that fails.
pub fn check_leaves(
    commons: &Commons,
    publisher: &PublisherName,
    first: u64,
    leaves: &[Vec<u8>],
) -> Result<Vec<CheckedLeaf>, Refused> {
    let shares = leaves.len().div_ceil(LEAVES_AT_A_TIME);
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(shares);
    let next = AtomicUsize::new(0);
    // A core that something else keeps busy takes fewer.
    let check = || {
        let mut parts = Vec::new();
        loop {
            let share = next.fetch_add(1, Ordering::Relaxed);
            let Some(leaves) = leaves.chunks(LEAVES_AT_A_TIME).nth(share) else { return parts };
            let start = first + (share * LEAVES_AT_A_TIME) as u64;
            let checked: Result<Vec<CheckedLeaf>, Refused> = (start..)
                .zip(leaves)
                .map(|(index, leaf)| check_leaf(commons, publisher, index, leaf))
                .collect();
            parts.push((share, checked));
        }
    };
    let mut parts = std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(check)).collect();
        let mut parts = check();
        for other in others {
            parts.extend(other.join().expect("checking a leaf does not panic"));
        }
        parts
    });
    parts.sort_unstable_by_key(|(share, _)| *share);
    let mut checked = Vec::with_capacity(leaves.len());
    for (_, part) in parts {
        checked.extend(part?);
    }
    Ok(checked)
}

fn compare_index(
    view: &View,
    publisher: &PublisherName,
    files: &BTreeMap<BrickName, Blob>,
    report: &mut Report,
) -> Result<(), AuditError> {
    for (brick, expected) in files {
        let path = layout::index_file(publisher, brick);
        let found = view.read(&path, MAX_INDEX_FILE_BYTES)?;
        let found = match found {
            Some(found) if Blob::of(&found) == *expected => found,
            found => {
                let what =
                    if found.is_some() { "differs from what" } else { "is missing, though it is what" };
                return Err(Refused::new(Step::Index, format!("{path} {what} the log adds up to")).into());
            }
        };
        report.index_files += 1;
        report.releases += parse_index_file(&found).map_or(0, |lines| lines.len() as u64);
    }
    let known: BTreeSet<String> = files.keys().map(|brick| layout::index_file(publisher, brick)).collect();
    demand_no_others(view, &layout::index(publisher), &known)
}

fn compare_services(
    view: &View,
    publisher: &PublisherName,
    services: &BTreeMap<BrickName, String>,
    report: &mut Report,
) -> Result<(), AuditError> {
    for (service, expected) in services {
        let path = layout::service(publisher, service);
        if view.read(&path, MAX_INDEX_FILE_BYTES)?.as_deref() != Some(expected.as_bytes()) {
            return Err(
                Refused::new(Step::Index, format!("{path} differs from what the log adds up to")).into()
            );
        }
        report.services += 1;
    }
    let known: BTreeSet<String> = services.keys().map(|name| layout::service(publisher, name)).collect();
    demand_no_others(view, &format!("services/{publisher}"), &known)
}

fn demand_no_others(view: &View, folder: &str, known: &BTreeSet<String>) -> Result<(), AuditError> {
    for path in view.files(folder, MAX_FILES)? {
        if !known.contains(&path) {
            let path = path.escape_default().to_string();
            return Err(Refused::new(Step::Index, format!("{path} is not what any log adds up to")).into());
        }
    }
    Ok(())
}
