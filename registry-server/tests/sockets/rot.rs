//! Rot: one flipped bit anywhere in what is stored is found, or changes no content; one honest peer is enough to repair it,
//! and peers that lie repair nothing wrongly.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use brick_index::follow::View;
use brick_index::layout;
use brick_index::projection::Projection;
use brickyard::check::{CheckError, Repairs, repair};
use brickyard::{Peer, Settings};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::checking::{Seed, copy, elsewhere, files, open, stopped_town};
use crate::town::{Seat, Town};

/// Everything that is content: rows as text, without the numbers that a store gives its logs. How following goes is left
/// out, and what only counts or saves asking the file system; of heads and cosignatures there may be more than are needed.
const CONTENT: [(&str, &str); 15] = [
    (
        "log",
        "SELECT origin || vkey || coalesce(publisher, '') || hosted || ' ' || size || ' ' || served_size FROM log",
    ),
    (
        "leaf",
        "SELECT origin || ' ' || entry || ' ' || hex(bytes) || coalesce(hex(payload), '') FROM leaf JOIN log ON log = id",
    ),
    ("tile", "SELECT origin || ' ' || level || ' ' || idx || hex(hashes) FROM tile JOIN log ON log = id"),
    (
        "last head",
        "SELECT origin || ' ' || c.size || hex(root) || hex(note) FROM checkpoint AS c JOIN log ON log = id WHERE c.size = log.size",
    ),
    (
        "served head",
        "SELECT origin || ' ' || c.size || hex(root) || hex(note) FROM checkpoint AS c JOIN log ON log = id WHERE c.size = log.served_size",
    ),
    ("brick", "SELECT origin || ' ' || brick FROM brick JOIN log ON log = id"),
    ("release", "SELECT origin || brick || ' ' || version || ' ' || entry FROM release JOIN log ON log = id"),
    ("line", "SELECT origin || brick || ' ' || entry || version || line FROM line JOIN log ON log = id"),
    (
        "index file",
        "SELECT origin || brick || ' ' || bucket || hex(sha256) || bytes FROM index_file JOIN log ON log = id",
    ),
    (
        "bucket node",
        "SELECT origin || ' ' || level || ' ' || idx || hex(hash) FROM bucket_node JOIN log ON log = id",
    ),
    ("service", "SELECT origin || service || ' ' || entry || json FROM service JOIN log ON log = id"),
    ("blob", "SELECT hex(sha256) FROM blob"),
    (
        "use of a blob",
        "SELECT origin || hex(sha256) || entry || ' ' || bytes FROM blob_use JOIN log ON log = id",
    ),
    ("witness", "SELECT origin || size || hex(root) || time || hex(note) FROM witness"),
    ("evidence", "SELECT origin || hex(digest) || hex(a) || hex(b) FROM evidence"),
];

/// The content of a stopped registry: rows of the database, blobs by name, files in git.
async fn content(data: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let mut database = open(data).await;
    for (name, statement) in CONTENT {
        let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(statement.to_owned()));
        let mut rows = rows.fetch_all(&mut database).await.unwrap_or_else(|err| panic!("{name}: {err}"));
        rows.sort();
        found.insert(name.to_owned(), rows);
    }
    database.close().await.unwrap();
    let blobs = data.join("blobs");
    let is_blob =
        |path: &&PathBuf| !path.starts_with(blobs.join("rotten")) && !path.starts_with(blobs.join("tmp"));
    let blob = |path: &PathBuf| {
        format!(
            "{} {:?}",
            path.strip_prefix(&blobs).unwrap().display(),
            brick_store::digest_of_file(path).unwrap()
        )
    };
    found.insert("blobs".into(), files(&blobs).iter().filter(is_blob).map(blob).collect());
    let view = View::open(&data.join("commons.git"), layout::BRANCH, "git").unwrap().unwrap();
    let mut paths = Vec::new();
    for folder in [layout::COMMONS, layout::LOGS, "index", "services"] {
        paths.extend(view.files(folder, 10_000).unwrap());
    }
    // The cosignatures under a head in git are those known when it was written.
    paths.retain(|path| !path.ends_with("/checkpoint"));
    let file = |path: &String| format!("{path} {:?}", view.read(path, 1 << 24).unwrap());
    found.insert("git".into(), paths.iter().map(file).collect());
    found
}

/// Where a bit is to be flipped: file, byte, bit.
fn place(data: &Path, seed: &mut Seed) -> (PathBuf, usize, usize) {
    let kind = seed.below(10);
    let all = match kind {
        0..6 => vec![data.join("registry.sqlite3")],
        6..8 => files(&data.join("blobs")),
        _ => files(&data.join("commons.git")),
    };
    let all: Vec<PathBuf> =
        all.into_iter().filter(|path| std::fs::metadata(path).unwrap().len() > 0).collect();
    let path = all[seed.below(all.len())].clone();
    let bytes = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
    let (at, bit) = (seed.below(bytes), seed.below(8));
    (path, at, bit)
}

/// Moves the seed on as [`flip`] does.
fn flip_nothing(data: &Path, seed: &mut Seed) {
    let _ = place(data, seed);
}

/// Flips one bit of a file. Returns where, in words.
fn flip(data: &Path, seed: &mut Seed) -> String {
    let (path, at, bit) = place(data, seed);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at] ^= 1 << bit;
    // Objects and packs are made unwritable.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    format!("{} byte {at} bit {bit}", path.strip_prefix(data).unwrap().display())
}

/// Answers everything with bytes that are not what was asked for.
async fn liar(at: SocketAddr) -> tokio::task::JoinHandle<()> {
    let listener = tokio::net::TcpListener::bind(at).await.expect("the address is free again");
    tokio::spawn(async move {
        loop {
            let Ok((mut socket, _)) = listener.accept().await else { continue };
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = socket.read(&mut request).await;
                let body = [b'x'; 300];
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = socket.write_all(&[head.as_bytes(), &body].concat()).await;
            });
        }
    })
}

/// A repository as a peer's, with every leaf and index file changed.
fn false_repository(of: &Path, to: &Path) {
    copy(of, to);
    let view = View::open(to, layout::BRANCH, "git").unwrap().unwrap();
    let mut changed = BTreeMap::new();
    for folder in [layout::COMMONS, layout::LOGS, "index"] {
        for path in view.files(folder, 10_000).unwrap() {
            if path.ends_with("/checkpoint") {
                continue;
            }
            let mut bytes = view.read(&path, 1 << 24).unwrap().unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            changed.insert(path, bytes);
        }
    }
    let (git, _) = Projection::open(to).unwrap();
    let all = changed.into_iter().collect();
    git.commit(&all, "by a liar", "south.example", 1).unwrap();
}

#[derive(Default, Debug)]
struct Tally {
    flips: usize,
    harmless: usize,
    found: usize,
    repaired: usize,
    /// Which flips were found.
    at: std::collections::BTreeSet<usize>,
    by_liars: usize,
    left_by_liars: usize,
}

async fn repaired(settings: &Settings) -> Result<Repairs, CheckError> {
    repair(settings, Arc::new(|_: &str| {})).await
}

/// Flips `count` bits, each alone in a copy of the registry of `settings`, and repairs each.
async fn rot(
    town: &Town,
    settings: &Settings,
    original: &BTreeMap<String, Vec<String>>,
    seed: u64,
    count: usize,
    honest: bool,
    tally: &mut Tally,
) {
    let mut seed = Seed(seed);
    for number in 0..count {
        // What changes nothing is nothing for liars either.
        if !honest && !tally.at.contains(&number) {
            flip_nothing(&settings.data, &mut seed);
            continue;
        }
        let data = town.dir.path().join(format!("rot{number}"));
        copy(&settings.data, &data);
        let place = flip(&data, &mut seed);
        let outcome = repaired(&elsewhere(settings, data.clone())).await;
        let repairs = outcome.unwrap_or_else(|err| panic!("{place}: {}", brickyard::problem::chain(&err)));
        let is_found = !repairs.before.is_clean() || repairs.before.missing_count > 0;
        if honest {
            tally.flips += 1;
            assert!(repairs.is_clean(), "{place}: one honest peer repairs it: {repairs:#?}");
            match is_found {
                true => {
                    tally.found += 1;
                    tally.at.insert(number);
                }
                false => tally.harmless += 1,
            }
            tally.repaired += usize::from(is_found);
        } else {
            tally.by_liars += 1;
            tally.left_by_liars += usize::from(!repairs.is_clean());
        }
        if repairs.is_clean() && repairs.after.as_ref().is_none_or(|after| after.missing_count == 0) {
            let now = content(&data).await;
            for (name, rows) in original {
                assert!(now[name] == *rows, "{place}: {name} is another: {repairs:#?}");
            }
        } else {
            assert!(!honest, "{place}: {repairs:#?}");
        }
        std::fs::remove_dir_all(&data).unwrap();
    }
}

/// Flips in all; `BRICK_ROT_FLIPS=500` for the long form.
fn flips() -> usize {
    std::env::var("BRICK_ROT_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

/// - `subject`: who rots.
async fn one_side(town: &Town, subject: &Settings, mut peer: Seat, seed: u64, count: usize) -> Tally {
    let started = Instant::now();
    let mut tally = Tally::default();
    let original = content(&subject.data).await;
    peer.start().await;
    let at = peer.at();
    let mut settings = subject.clone();
    settings.peers = vec![Peer::at(peer.settings.id.as_str(), &format!("http://{at}"))];
    rot(town, &settings, &original, seed, count, true, &mut tally).await;
    peer.stop().await;
    let lying = liar(at).await;
    let git = town.dir.path().join(format!("false-{seed}.git"));
    false_repository(&peer.settings.data.join("commons.git"), &git);
    settings.peers =
        vec![Peer { name: "liar".into(), url: Some(format!("http://{at}")), git: git.display().to_string() }];
    rot(town, &settings, &original, seed, count, false, &mut tally).await;
    lying.abort();
    tally.at.clear();
    println!("seed {seed}: {tally:?} in {:.1} s", started.elapsed().as_secs_f64());
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_flipped_bit_in_the_home_of_logs_is_found_and_repaired_and_not_by_liars() {
    let (town, south) = stopped_town().await;
    let subject = town.north.settings.clone();
    let tally = one_side(&town, &subject, south, 20_261_122, flips() / 2).await;
    assert_eq!(tally.found + tally.harmless, flips() / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_flipped_bit_in_a_mirror_is_found_and_repaired_and_not_by_liars() {
    let (mut town, south) = stopped_town().await;
    let north = std::mem::replace(&mut town.north, Seat::absent(south.settings.clone()));
    let tally = one_side(&town, &south.settings, north, 7, flips() - flips() / 2).await;
    assert_eq!(tally.found + tally.harmless, flips() - flips() / 2);
}
