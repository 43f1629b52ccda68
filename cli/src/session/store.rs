//! What is kept where, and how is it written whole?
//!
//! ```text
//! $BRICK_HOME/
//!   config.toml                          registry = "https://…": the one to ask when none is named; [http] timeout
//!   trust/<commons domain>/              losing it costs the memory of what was seen: roll-backs go unnoticed once
//!     pin.json                           which root was trusted, and where it was first seen
//!     commons/leaves  commons/checkpoint the verified commons log, its leaves end to end, each after its length (u16be)
//!     commons/fold                       what they came to, so that they are verified once; as trusted as the pin
//!     heads/<publisher>.json             the largest verified head of each log, with its snapshot
//!     evidence/…                         heads of one log that cannot be connected
//!   cache/                               may be deleted at any time
//!     blobs/sha256/<2 digits>/<digest>   archives
//!     <commons domain>/index/<publisher>/<brick>.jsonl, ….proof
//!     <commons domain>/proofs/<publisher>/<brick>/<version>.tlog-proof
//! ```
//!
//! What is under `trust` is written whole or not at all and survives a power cut; two runs at once write it in turn.
//! What is under `cache` is checked whenever it is read.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use brick_schemas::lockfile::Lockfile;
use brick_schemas::{Digest, FullName, Origin, PublisherName, Version};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::note::{MAX_NOTE_BYTES, Note};
use brick_tlog::proof::{MAX_PROOF_BYTES, Proof};
use brick_tlog::snapshot::{IndexProof, MAX_INDEX_PROOF_BYTES, SnapshotLeaf};
use brick_trust::Commons;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Access};

/// Bytes of the kept commons log, at most.
const MAX_COMMONS_BYTES: u64 = 256 * 1024 * 1024;
const FOLD_PATH: &str = "commons/fold";
const FOLD_VERSION: &str = "brickyard/fold/v1";
const MAX_SMALL_BYTES: u64 = 1024 * 1024;

/// `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The registry to ask when none is named.
    pub(crate) registry: Option<String>,
    /// `[http]`.
    #[serde(default)]
    pub(crate) http: HttpConfig,
}

/// `[http]` of `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpConfig {
    /// Seconds to wait for a registry's next bytes.
    pub(crate) timeout: Option<f64>,
}

impl Config {
    /// Reads it; nothing is set where there is none.
    pub(crate) fn read(home: &Path) -> Result<Self, Failure> {
        let path = home.join("config.toml");
        let Some(bytes) = files::read_if_there(&path, MAX_SMALL_BYTES)? else { return Ok(Self::default()) };
        let text = String::from_utf8_lossy(&bytes);
        toml::from_str(&text).map_err(|err| {
            Failure::yours(format!("`{}` is not a configuration of brick", path.display()))
                .reason(err.message().to_owned())
                .help("it may hold `registry = \"https://registry.example\"` and, under `[http]`, `timeout = 30`")
        })
    }
}

impl Config {
    /// Writes a configuration that names a registry, where there is none yet.
    pub(crate) fn write_registry(home: &Path, url: &str) -> Result<(), Failure> {
        let mut document = toml_edit::DocumentMut::new();
        document["registry"] = toml_edit::value(url);
        files::make_dir(home, Access::Everybody)?;
        let path = home.join("config.toml");
        let held = files::read_if_there(&path, MAX_SMALL_BYTES)?.unwrap_or_default();
        let text = [document.to_string().as_bytes(), &held].concat();
        files::write(&path, &text, Access::Everybody)
    }
}

/// Which root of a commons was trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    /// Format: 1.
    pub(crate) v: u32,
    /// The commons log.
    pub(crate) origin: Origin,
    /// SHA-256 of the first root's payload.
    pub(crate) root_sha256: Digest,
    /// Where it was seen; hints only.
    pub(crate) urls: Vec<String>,
}

impl Pin {
    /// The pin that `trust` understands.
    pub(crate) fn trusted(&self) -> brick_trust::Pin {
        brick_trust::Pin { root_sha256: self.root_sha256 }
    }
}

/// The commons that this machine trusts, by name.
///
/// # Errors
/// [`Failure`] when one cannot be read.
pub(crate) fn pins(home: &Path) -> Result<Vec<Pin>, Failure> {
    let dir = home.join("trust");
    let listing = match std::fs::read_dir(&dir) {
        Ok(listing) => listing,
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(Failure::yours(format!("cannot read `{}`", dir.display())).because(&err)),
    };
    let mut pins: Vec<Pin> = Vec::new();
    for entry in listing {
        let entry =
            entry.map_err(|err| Failure::yours(format!("cannot read `{}`", dir.display())).because(&err))?;
        let path = entry.path().join("pin.json");
        let Some(bytes) = files::read_if_there(&path, MAX_SMALL_BYTES)? else { continue };
        let pin: Pin = brick_schemas::json::from_slice(&bytes).map_err(|err| damaged(&path).because(&err))?;
        let is_at_its_place = entry.file_name().to_str() == Some(pin.origin.domain().as_str());
        if pin.v != 1 || !is_at_its_place {
            return Err(damaged(&path));
        }
        pins.push(pin);
    }
    pins.sort_by(|a, b| a.origin.cmp(&b.origin));
    Ok(pins)
}

fn damaged(path: &Path) -> Failure {
    Failure::yours(format!("`{}` is damaged, or of a newer version", path.display()))
        .help("move that folder away and run `brick commons trust` again")
}

/// The commons that is meant: that of the lockfile, else the only one trusted.
///
/// # Errors
/// [`Failure`] when there is none, or several.
pub(crate) fn choose_pin(ctx: &Context, lock: Option<&Lockfile>) -> Result<Pin, Failure> {
    let mut pins = pins(ctx.home())?;
    if let Some(lock) = lock {
        return match pins.into_iter().find(|pin| pin.origin == lock.commons.origin) {
            Some(pin) if pin.root_sha256 == lock.commons.root_sha256 => Ok(pin),
            Some(pin) => Err(Failure::alarm(format!(
                "brick.lock was made under another root of {}: {}, trusted here is {}",
                pin.origin, lock.commons.root_sha256, pin.root_sha256
            ))
            .help("find out which root is the right one before you go on")),
            None => Err(Failure::yours(format!(
                "brick.lock is about {}, which is not trusted on this machine",
                lock.commons.origin
            ))
            .help(format!(
                "run `brick commons trust URL --root-sha256 {}` once you know that this is its root",
                lock.commons.root_sha256
            ))),
        };
    }
    match (pins.pop(), pins.len()) {
        (None, _) => Err(Failure::yours("no commons is trusted on this machine yet").help(
            "run `brick commons trust URL --root-sha256 HEX`, with the digest that the commons publishes",
        )),
        (Some(pin), 0) => Ok(pin),
        (Some(last), _) => {
            let names: Vec<_> = pins.iter().map(|pin| pin.origin.domain().to_string()).collect();
            Err(Failure::usage(format!(
                "several commons are trusted here: {} and {}",
                names.join(", "),
                last.origin.domain()
            ))
            .help("set BRICK_HOME to a home that trusts only the one you mean"))
        }
    }
}

/// Keeps a pin, in place of an equal one with other addresses.
///
/// # Errors
/// [`Failure`] where another root is trusted for that commons already.
pub(crate) fn keep_pin(home: &Path, pin: &Pin) -> Result<(), Failure> {
    if let Some(known) = pins(home)?.into_iter().find(|known| known.origin == pin.origin)
        && known.root_sha256 != pin.root_sha256
    {
        return Err(Failure::alarm(format!(
            "{} is trusted by another root already: {}",
            pin.origin, known.root_sha256
        ))
        .help("if the stewards began anew, move the folder in `trust` away first"));
    }
    let store = Store::new(home, pin.clone());
    let path = store.trust("pin.json");
    store.in_turn(|| files::write(&path, &to_json(pin), Access::Everybody))
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("the kept types have only string keys");
    bytes.push(b'\n');
    bytes
}

/// The largest verified head of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptHead {
    /// Format: 1.
    v: u32,
    /// The checkpoint note with its cosignatures.
    note: String,
    /// The snapshot leaf under it.
    snapshot: String,
}

impl KeptHead {
    pub(crate) fn new(note: &Note, snapshot: &SnapshotLeaf) -> Self {
        Self { v: 1, note: note.to_string(), snapshot: snapshot.to_string() }
    }

    /// The note and the snapshot, as they were verified; `None` where the file is damaged.
    pub(crate) fn parts(&self) -> Option<(Note, SnapshotLeaf)> {
        let note = Note::parse(self.note.as_bytes()).ok()?;
        Some((note, SnapshotLeaf::parse(self.snapshot.as_bytes()).ok()?))
    }
}

/// What was looked up of one brick, to be checked again.
pub(crate) struct KeptIndex {
    /// Its index file; `None` where it was shown that there is no such brick.
    pub(crate) file: Option<Vec<u8>>,
    /// The proof that came with it.
    pub(crate) proof: IndexProof,
}

/// What is kept of one commons.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    home: PathBuf,
    pin: Pin,
}

impl Store {
    pub(crate) fn new(home: &Path, pin: Pin) -> Self {
        Self { home: home.to_owned(), pin }
    }

    pub(crate) fn pin(&self) -> &Pin {
        &self.pin
    }

    fn trust(&self, path: &str) -> PathBuf {
        self.home.join("trust").join(self.pin.origin.domain().as_str()).join(path)
    }

    fn cache(&self, path: &str) -> PathBuf {
        self.home.join("cache").join(path)
    }

    /// Does `act` while no other run writes under `trust`.
    fn in_turn<T>(&self, act: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let path = self.trust("lock");
        files::make_dir(path.parent().expect("it has a folder"), Access::Everybody)?;
        let lock = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|err| cannot_keep(&path, &err))?;
        let done = act();
        drop(lock); // closing it lets the next one in
        done
    }

    /// The kept leaves and head of the commons log; leaves that do not read are none.
    pub(crate) fn commons(&self) -> Result<(Vec<Vec<u8>>, Option<Note>), Failure> {
        let leaves = files::read_if_there(&self.trust("commons/leaves"), MAX_COMMONS_BYTES)?;
        let note = files::read_if_there(&self.trust("commons/checkpoint"), MAX_NOTE_BYTES as u64)?;
        let note = match note {
            Some(bytes) => Some(
                Note::parse(&bytes)
                    .map_err(|err| damaged(&self.trust("commons/checkpoint")).because(&err))?,
            ),
            None => None,
        };
        Ok((leaves.as_deref().and_then(split_leaves).unwrap_or_default(), note))
    }

    /// The kept head of the commons log is not one.
    pub(crate) fn damaged_commons(&self) -> Failure {
        damaged(&self.trust("commons/checkpoint"))
    }

    /// Keeps the commons log, if what is kept is still `before`. Returns whether it was.
    pub(crate) fn keep_commons(
        &self,
        before: Option<&Note>,
        leaves: &[Vec<u8>],
        fold: &Commons,
        note: &Note,
    ) -> Result<bool, Failure> {
        self.in_turn(|| {
            if self.commons()?.1.as_ref() != before {
                return Ok(false);
            }
            files::make_dir(&self.trust("commons"), Access::Everybody)?;
            let joined = join_leaves(leaves);
            let path = self.trust("commons/leaves");
            if files::read_if_there(&path, MAX_COMMONS_BYTES)?.as_ref() != Some(&joined) {
                files::write(&path, &joined, Access::Everybody)?;
            }
            files::write(&self.trust("commons/checkpoint"), &note.to_bytes(), Access::Everybody)?;
            if let Ok(head) = Checkpoint::parse(&note.text) {
                self.write_fold(&head, fold)?;
            }
            Ok(true)
        })
    }

    /// The kept fold of the commons log, if it is that of `head`, whole. A damaged one is none.
    ///
    /// ```text
    /// brickyard/fold/v1
    /// <SHA-256 of everything below, in hex>
    /// <size of the head>
    /// <root of the head, in base64>
    /// <the fold, as JSON>
    /// ```
    pub(crate) fn fold(&self, head: &Checkpoint) -> Result<Option<Commons>, Failure> {
        let Ok(Some(bytes)) = files::read_if_there(&self.trust(FOLD_PATH), MAX_COMMONS_BYTES) else {
            return Ok(None);
        };
        let fold = fold_of(&bytes, head).and_then(|json| Commons::from_kept(json, &self.pin.trusted()));
        Ok(fold)
    }

    /// Keeps a fold of the commons log, if what is kept is still the log of that head.
    pub(crate) fn keep_fold(&self, head: &Checkpoint, fold: &Commons) -> Result<(), Failure> {
        self.in_turn(|| match self.commons()?.1.map(|note| Checkpoint::parse(&note.text)) {
            Some(Ok(kept)) if kept == *head => self.write_fold(head, fold),
            _ => Ok(()),
        })
    }

    fn write_fold(&self, head: &Checkpoint, fold: &Commons) -> Result<(), Failure> {
        let path = self.trust(FOLD_PATH);
        if files::read_if_there(&path, MAX_COMMONS_BYTES)?.is_some_and(|kept| fold_of(&kept, head).is_some())
        {
            return Ok(()); // the same log, cosigned again
        }
        let below =
            [format!("{}\n{}\n", head.size, head.root.to_base64()).as_bytes(), &fold.to_kept()].concat();
        let text = [format!("{FOLD_VERSION}\n{}\n", Digest::of(&below)).as_bytes(), &below].concat();
        files::write(&path, &text, Access::Everybody)
    }

    /// The largest verified head of a publisher's log.
    pub(crate) fn head(&self, publisher: &PublisherName) -> Result<Option<KeptHead>, Failure> {
        let path = self.trust(&format!("heads/{publisher}.json"));
        let Some(bytes) = files::read_if_there(&path, MAX_NOTE_BYTES as u64 * 2)? else { return Ok(None) };
        match serde_json::from_slice::<KeptHead>(&bytes) {
            Ok(kept) if kept.v == 1 && kept.parts().is_some() => Ok(Some(kept)),
            _ => Err(damaged(&path)),
        }
    }

    /// Keeps a head, if what is kept is still `before`. Returns whether it was.
    pub(crate) fn keep_head(
        &self,
        publisher: &PublisherName,
        before: Option<&KeptHead>,
        head: &KeptHead,
    ) -> Result<bool, Failure> {
        self.in_turn(|| {
            if self.head(publisher)?.as_ref() != before {
                return Ok(false);
            }
            files::make_dir(&self.trust("heads"), Access::Everybody)?;
            let path = self.trust(&format!("heads/{publisher}.json"));
            files::write(&path, &to_json(head), Access::Everybody)?;
            Ok(true)
        })
    }

    /// Keeps two heads of one log that cannot be connected. Returns the folder.
    pub(crate) fn keep_evidence(
        &self,
        origin: &Origin,
        kept: &Note,
        offered: &Note,
    ) -> Result<PathBuf, Failure> {
        let digest = Digest::of(&[kept.to_bytes(), offered.to_bytes()].concat()).to_string();
        let name = format!("{}-{}", origin.as_str().replace('/', "_"), &digest[..16]);
        let dir = self.trust("evidence").join(name);
        self.in_turn(|| {
            files::make_dir(&dir, Access::Everybody)?;
            files::write(&dir.join("kept"), &kept.to_bytes(), Access::Everybody)?;
            files::write(&dir.join("offered"), &offered.to_bytes(), Access::Everybody)
        })?;
        Ok(dir)
    }

    fn blob_path(&self, sha256: &Digest) -> PathBuf {
        let hex = sha256.to_string();
        self.cache(&format!("blobs/sha256/{}/{hex}", &hex[..2]))
    }

    /// A kept blob whose bytes have that digest.
    pub(crate) fn blob(&self, sha256: &Digest, max_bytes: u64) -> Result<Option<Vec<u8>>, Failure> {
        let bytes = files::read_if_there(&self.blob_path(sha256), max_bytes)?;
        Ok(bytes.filter(|bytes| Digest::of(bytes) == *sha256))
    }

    /// Keeps a blob.
    pub(crate) fn keep_blob(&self, bytes: &[u8]) -> Result<(), Failure> {
        keep_in_cache(&self.blob_path(&Digest::of(bytes)), bytes)
    }

    fn of_commons(&self, path: &str) -> PathBuf {
        self.cache(self.pin.origin.domain().as_str()).join(path)
    }

    /// The kept index file of a brick, if there is one.
    pub(crate) fn index(&self, name: &FullName) -> Result<Option<KeptIndex>, Failure> {
        let path = self.of_commons(&format!("index/{name}.jsonl"));
        let proof_path = self.of_commons(&format!("index/{name}.jsonl.proof"));
        let Some(proof) = files::read_if_there(&proof_path, MAX_INDEX_PROOF_BYTES as u64)? else {
            return Ok(None);
        };
        let Ok(proof) = IndexProof::parse(&proof) else { return Ok(None) };
        let file = files::read_if_there(&path, brick_client::index::MAX_INDEX_FILE_BYTES as u64)?;
        Ok(Some(KeptIndex { file, proof }))
    }

    /// Keeps an index file with its proof.
    pub(crate) fn keep_index(
        &self,
        name: &FullName,
        file: Option<&[u8]>,
        proof: &IndexProof,
    ) -> Result<(), Failure> {
        let path = self.of_commons(&format!("index/{name}.jsonl"));
        let proof_path = self.of_commons(&format!("index/{name}.jsonl.proof"));
        match file {
            Some(bytes) => keep_in_cache(&path, bytes)?,
            None => match std::fs::remove_file(&path) {
                Err(err) if err.kind() != ErrorKind::NotFound => return Err(cannot_keep(&path, &err)),
                _ => {}
            },
        }
        keep_in_cache(&proof_path, proof.to_string().as_bytes())
    }

    fn proof_path(&self, name: &FullName, version: &Version) -> PathBuf {
        self.of_commons(&format!("proofs/{name}/{version}.tlog-proof"))
    }

    /// The kept proof of a release.
    pub(crate) fn proof(&self, name: &FullName, version: &Version) -> Result<Option<Proof>, Failure> {
        let bytes = files::read_if_there(&self.proof_path(name, version), MAX_PROOF_BYTES as u64)?;
        Ok(bytes.and_then(|bytes| Proof::parse(&bytes).ok()))
    }

    /// Keeps the proof of a release.
    pub(crate) fn keep_proof(
        &self,
        name: &FullName,
        version: &Version,
        proof: &Proof,
    ) -> Result<(), Failure> {
        keep_in_cache(&self.proof_path(name, version), proof.to_string().as_bytes())
    }
}

/// Writes a file that is checked whenever it is read: whole, but not held up by the disk.
fn keep_in_cache(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let dir = path.parent().expect("files of the cache have a folder");
    files::make_dir(dir, Access::Everybody)?;
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".brick-").tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|err| cannot_keep(path, &err))
}

fn cannot_keep(path: &Path, err: &std::io::Error) -> Failure {
    let failure = Failure::yours(format!("cannot write `{}`", path.display())).because(err);
    match err.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            failure.help("make room on that disk and run it again; nothing was half-written")
        }
        _ => failure.help("set BRICK_HOME to a directory that you may write in"),
    }
}

/// The JSON in a kept fold, if it is whole and of `head`.
fn fold_of<'b>(bytes: &'b [u8], head: &Checkpoint) -> Option<&'b [u8]> {
    let below = bytes.strip_prefix(FOLD_VERSION.as_bytes())?.strip_prefix(b"\n")?;
    let (digest, below) = below.split_at_checked(64)?;
    let below = below.strip_prefix(b"\n")?;
    if digest != Digest::of(below).to_string().as_bytes() {
        return None;
    }
    below.strip_prefix(format!("{}\n{}\n", head.size, head.root.to_base64()).as_bytes())
}

fn join_leaves(leaves: &[Vec<u8>]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(leaves.iter().map(|leaf| leaf.len() + 2).sum());
    for leaf in leaves {
        let length = u16::try_from(leaf.len()).expect("a leaf has at most 65,535 bytes");
        joined.extend_from_slice(&length.to_be_bytes());
        joined.extend_from_slice(leaf);
    }
    joined
}

fn split_leaves(mut joined: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut leaves = Vec::new();
    while let Some((length, rest)) = joined.split_first_chunk::<2>() {
        let (leaf, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        leaves.push(leaf.to_vec());
        joined = rest;
    }
    joined.is_empty().then_some(leaves)
}
