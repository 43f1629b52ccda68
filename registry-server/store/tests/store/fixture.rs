//! A store in a temporary directory, and steps that look like a log's.

use std::path::Path;

use brick_schemas::{BrickName, Digest, Origin, PublisherName, Version};
use brick_store::{
    BlobRow, BucketNodeRow, FileRow, LeafKind, LeafRow, LineRow, Log, LogId, LogStep, Store, StoreOptions,
    TileRow,
};
use sqlx::{Connection as _, SqliteConnection};

pub async fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default()).await.expect("a temporary directory is a good place")
}

pub async fn empty() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    (dir, store)
}

pub async fn hosted_log(store: &Store, publisher: &str) -> Log {
    let publisher = PublisherName::parse(publisher).unwrap();
    let origin = Origin::of_publisher(&publisher);
    let vkey = format!("{origin}+12345678+AQID");
    store.create_log(&origin, &vkey, Some(&publisher), true).await.unwrap()
}

pub fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap()
}

pub fn brick(name: &str) -> BrickName {
    BrickName::parse(name).unwrap()
}

pub fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// The bytes of a leaf: they say which it is, so that a missing or swapped one shows.
pub fn leaf_bytes(log: LogId, entry: u64) -> Vec<u8> {
    format!("leaf {entry} of log {log}").into_bytes()
}

pub fn note(log: LogId, size: u64) -> Vec<u8> {
    format!("log {log}\n{size}\n").into_bytes()
}

pub fn root(log: LogId, size: u64) -> Digest {
    Digest::of(&note(log, size))
}

/// The level-0 tile hashes of the first `size` leaves, for logs of at most 256.
pub fn tile_hashes(log: LogId, size: u64) -> Vec<u8> {
    (0..size).flat_map(|entry| *Digest::of(&leaf_bytes(log, entry)).as_bytes()).collect()
}

/// A step of nothing but leaves, the last of them a snapshot.
pub fn step(log: LogId, old_size: u64, new_size: u64) -> LogStep {
    let mut step = LogStep::new(log, old_size, new_size, note(log, new_size), root(log, new_size));
    for entry in old_size..new_size {
        let bytes = leaf_bytes(log, entry);
        let kind = if entry + 1 == new_size {
            LeafKind::Snapshot
        } else {
            LeafKind::Envelope { payload: Digest::of(&bytes) }
        };
        step.leaves.push(LeafRow { bytes, kind });
    }
    if (old_size + 1..=256).contains(&new_size) {
        step.tiles.push(TileRow { level: 0, index: 0, hashes: tile_hashes(log, new_size) });
    }
    step
}

pub fn line(name: &str, number: &str, entry: u64, text: &str) -> LineRow {
    LineRow { brick: brick(name), version: version(number), entry, line: format!("{text}\n") }
}

pub fn bucket_of(name: &BrickName) -> u16 {
    let digest = Digest::of(name.as_str().as_bytes());
    u16::from_be_bytes([digest.as_bytes()[0], digest.as_bytes()[1]])
}

pub fn file(name: &str, content: &str) -> FileRow {
    let brick = brick(name);
    let bucket = bucket_of(&brick);
    FileRow { brick, bucket, sha256: Digest::of(content.as_bytes()), bytes: content.len() as u64 }
}

pub fn node(level: u8, index: u32, hash: Digest) -> BucketNodeRow {
    BucketNodeRow { level, index, hash }
}

pub fn blob(bytes: &[u8], entry: u64) -> BlobRow {
    BlobRow { sha256: Digest::of(bytes), bytes: bytes.len() as u64, entry, is_here: false }
}

/// The database, past the store: to damage it, or to count rows.
pub async fn database(store: &Store) -> SqliteConnection {
    let path = store.dir().join("registry.sqlite3");
    SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap()
}

pub async fn row_count(store: &Store, table: &str) -> i64 {
    let statement = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(statement).fetch_one(&mut database(store).await).await.unwrap()
}

pub async fn put_blob(store: &Store, bytes: &[u8]) -> Digest {
    let mut writer = store.blob_writer(1 << 20).await.unwrap();
    writer.write(bytes).await.unwrap();
    let digest = Digest::of(bytes);
    writer.finish(digest).await.unwrap();
    digest
}

/// Names of what lies in a folder of the store.
pub fn names_in(dir: &Path) -> Vec<String> {
    let mut names = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect::<Vec<_>>();
    names.sort();
    names
}
