//! `brickyard check`: a sound store is found sound, and whatever is damaged in one is named.

use std::path::{Path, PathBuf};

use brick_index::projection::Projection;
use brick_schemas::predicate::status::ReleaseStatus;
use brickyard::Settings;
use brickyard::check::{Kind, Report, check, check_in_parts};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use crate::town::{Seat, Town, until};

/// Checks a store that nobody has open.
pub async fn checked(settings: &Settings) -> Report {
    check(settings, Box::new(|_| {})).await.expect("it can be checked")
}

/// A registry that has stopped with releases, a status, a second registry's cosignatures, and all of it in git.
pub async fn stopped_town() -> (Town, Seat) {
    let mut town = Town::found().await;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        town.release("parcel", version).await;
    }
    town.release("letter", "1.0.0").await;
    let mut south = town.join().await;
    town.set_status("parcel", "1.1.0", ReleaseStatus::Deprecated).await;
    town.release("stamp", "0.1.0").await;
    town.settle(&south).await;
    town.projected(&town.north).await;
    let blobs = town.north.registry().store.named_blobs(None, 100).await.unwrap();
    until("the mirror has every archive", || {
        blobs.iter().all(|blob| south.registry().store.blob_path(&blob.sha256).is_file())
    })
    .await;
    town.projected(&south).await;
    for seat in [&mut town.north, &mut south] {
        seat.stop().await;
    }
    let report = checked(&south.settings).await;
    assert!(report.is_clean(), "a mirror is sound too: {:#?}", report.faults);
    assert_eq!(report.missing_count, 0);
    (town, south)
}

/// Copies a folder. What a `git` that is just being ended takes away meanwhile is passed over.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => match std::fs::copy(entry.path(), target) {
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            },
        }
    }
}

/// Files below a folder, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// A seed's numbers: the same in every run (splitmix64).
pub struct Seed(pub u64);

impl Seed {
    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// A stopped registry's database.
pub async fn open(data: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(data.join("registry.sqlite3")).connect().await.unwrap()
}

/// Runs a statement on a database that nobody else has open; its first row's text, if it has one.
async fn run(database: &mut SqliteConnection, statement: String) -> Option<String> {
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_optional(database).await.unwrap()
}

/// Flips one bit of a value: of a number or text one that leaves it a number or text.
///
/// - `key`: the columns that tell the table's rows apart.
async fn flip_value(data: &Path, table: &str, key: &str, column: &str, seed: &mut Seed) -> String {
    let mut database = open(data).await;
    let rows = run(&mut database, format!("SELECT cast(count({column}) AS text) FROM {table}")).await;
    let row = seed.below(rows.unwrap().parse().unwrap());
    let of = format!("FROM {table} WHERE {column} IS NOT NULL ORDER BY {key} LIMIT 1 OFFSET {row}");
    let kind = run(&mut database, format!("SELECT typeof({column}) {of}")).await.unwrap();
    let hex = run(&mut database, format!("SELECT hex({column}) {of}")).await.unwrap();
    let mut bytes: Vec<u8> =
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    let at = seed.below(bytes.len());
    bytes[at] ^= if kind == "blob" { 1 << seed.below(8) } else { 1 };
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let value = match kind.as_str() {
        "blob" => format!("x'{hex}'"),
        "text" => format!("cast(x'{hex}' AS text)"),
        _ => format!("{column} + 1"),
    };
    run(&mut database, "PRAGMA foreign_keys = OFF".to_owned()).await;
    run(&mut database, format!("UPDATE {table} SET {column} = {value} WHERE ({key}) IN (SELECT {key} {of})"))
        .await;
    database.close().await.unwrap();
    format!("{table}.{column}, row {row}, byte {at}")
}

/// Flips one bit of a file.
fn flip_file(path: &Path, seed: &mut Seed) -> String {
    let mut bytes = std::fs::read(path).unwrap();
    let (at, bit) = (seed.below(bytes.len()), seed.below(8));
    bytes[at] ^= 1 << bit;
    // Objects and packs are made unwritable.
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
    format!("{}, byte {at}, bit {bit}", path.display())
}

/// The same registry with its data in another place.
pub fn elsewhere(settings: &Settings, data: PathBuf) -> Settings {
    Settings { data, ..settings.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_store_is_found_sound_and_everything_in_it_is_counted() {
    let (town, _) = stopped_town().await;
    let report = checked(&town.north.settings).await;
    assert!(report.is_clean(), "{:#?}", report.faults);
    assert_eq!(report.unchecked, Vec::<String>::new());
    assert_eq!(report.behind, Vec::<String>::new());
    let counts = &report.checked;
    assert_eq!(counts.logs, 2, "{counts:?}");
    assert_eq!(counts.blobs, 5, "{counts:?}");
    assert_eq!(counts.snapshots, 7, "{counts:?}");
    assert!(counts.cosignatures >= 2 && counts.entries > 10 && counts.git_files > 20, "{counts:?}");
    let left = files(&town.north.settings.data);
    assert!(!left.iter().any(|path| path.to_string_lossy().contains("check-")), "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flipped_value_of_the_database_is_named() {
    let (town, south) = stopped_town().await;
    let (north, south) = (&town.north.settings, &south.settings);
    // Whose store, table, its key, the column, what the check calls the fault.
    let rows = [
        (north, "leaf", "log, entry", "bytes", Kind::Leaf),
        (north, "leaf", "log, entry", "payload", Kind::Catalogue),
        (north, "tile", "log, level, idx", "hashes", Kind::Tile),
        (north, "checkpoint", "log, size", "root", Kind::Checkpoint),
        (north, "checkpoint", "log, size", "note", Kind::Checkpoint),
        (north, "cosignature", "log, size, name, key_id", "line", Kind::Cosignature),
        (north, "cosignature", "log, size, name, key_id", "time", Kind::Cosignature),
        (north, "cosignature", "log, size, name, key_id", "name", Kind::Cosignature),
        (north, "brick", "log, brick", "since", Kind::Catalogue),
        (north, "brick", "log, brick", "brick", Kind::Catalogue),
        (north, "release", "log, brick, version", "entry", Kind::Catalogue),
        (north, "line", "log, brick, entry, since", "line", Kind::Catalogue),
        (north, "line", "log, brick, entry, since", "version", Kind::Catalogue),
        (north, "index_file", "log, brick, since", "sha256", Kind::Catalogue),
        (north, "index_file", "log, brick, since", "bytes", Kind::Catalogue),
        (north, "bucket_node", "log, part, level, idx, since", "hash", Kind::Catalogue),
        (north, "blob_use", "sha256, log, entry, bytes", "bytes", Kind::Catalogue),
        (north, "blob", "sha256", "sha256", Kind::Database),
        (north, "log", "id", "vkey", Kind::Log),
        (north, "log", "id", "hosted", Kind::Log),
        (south, "witness", "origin", "note", Kind::Witness),
        (south, "witness", "origin", "root", Kind::Witness),
        (south, "witness", "origin", "time", Kind::Witness),
        (south, "line", "log, brick, entry, since", "line", Kind::Catalogue),
        (south, "leaf", "log, entry", "bytes", Kind::Leaf),
    ];
    let mut seed = Seed(20_261_122);
    for (number, (settings, table, key, column, kind)) in rows.into_iter().enumerate() {
        let data = town.dir.path().join(format!("flipped{number}"));
        copy(&settings.data, &data);
        if table == "log" && column == "hosted" {
            let mut database = open(&data).await;
            run(&mut database, "UPDATE log SET hosted = 1 - hosted".to_owned()).await;
            database.close().await.unwrap();
        } else {
            let place = flip_value(&data, table, key, column, &mut seed).await;
            println!("{place}");
        }
        let report = checked(&elsewhere(settings, data.clone())).await;
        let found = report.faults.iter().any(|fault| fault.kind == kind);
        assert!(found, "{table}.{column} must be named {kind:?}: {report:#?}");
        std::fs::remove_dir_all(data).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_gone_is_named() {
    let (town, _) = stopped_town().await;
    let settings = &town.north.settings;
    for (number, (statement, kind)) in [
        ("DELETE FROM leaf WHERE entry = 2 AND log = 2", Kind::Database),
        ("DELETE FROM tile WHERE log = 2", Kind::Tile),
        ("DELETE FROM line WHERE entry = (SELECT max(entry) FROM line)", Kind::Catalogue),
        ("DELETE FROM index_file", Kind::Catalogue),
        ("DELETE FROM bucket_node WHERE level = 3", Kind::Catalogue),
        ("DELETE FROM release WHERE version = '1.0.0'", Kind::Catalogue),
        ("DELETE FROM cosignature; DELETE FROM checkpoint WHERE log = 2 AND size = (SELECT max(size) FROM checkpoint WHERE log = 2)", Kind::Log),
        ("UPDATE log SET size = size + 1 WHERE id = 2", Kind::Log),
    ]
    .into_iter()
    .enumerate()
    {
        let data = town.dir.path().join(format!("gone{number}"));
        copy(&settings.data, &data);
        let mut database = open(&data).await;
        sqlx::raw_sql(statement).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
        let report = checked(&elsewhere(settings, data)).await;
        let found = report.faults.iter().any(|fault| fault.kind == kind);
        assert!(found, "{statement} must be named {kind:?}: {report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flipped_bit_of_a_blob_or_of_the_git_repository_is_named() {
    let (town, _) = stopped_town().await;
    let settings = &town.north.settings;
    let mut seed = Seed(3);
    for (number, (folder, ending, kind)) in [
        ("blobs", "", Kind::Blob),
        ("blobs", "", Kind::Blob),
        ("commons.git/objects", ".pack", Kind::Git),
        ("commons.git/objects", ".pack", Kind::Git),
        ("commons.git/objects", ".idx", Kind::Git),
        ("commons.git/refs/heads", "main", Kind::Git),
        ("commons.git/refs/heads", "main", Kind::Git),
    ]
    .into_iter()
    .enumerate()
    {
        let data = town.dir.path().join(format!("bit{number}"));
        copy(&settings.data, &data);
        let mut files = files(&data.join(folder));
        files.retain(|path| path.to_string_lossy().ends_with(ending));
        let place = flip_file(&files[seed.below(files.len())], &mut seed);
        let report = checked(&elsewhere(settings, data)).await;
        let found = report.faults.iter().any(|fault| fault.kind == kind);
        assert!(found, "{place} must be named {kind:?}: {report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_blob_is_listed_apart_and_a_stray_file_in_git_is_a_fault() {
    let (town, _) = stopped_town().await;
    let settings = &town.north.settings;
    let blob = files(&settings.data.join("blobs")).remove(0);
    std::fs::remove_file(blob).unwrap();
    let report = checked(settings).await;
    assert!(report.is_clean(), "{:#?}", report.faults);
    assert_eq!((report.missing_count, report.missing.len()), (1, 1));
    let (git, _) = Projection::open(&settings.data.join("commons.git")).unwrap();
    let strays = [
        "evil.txt",
        "logs/north.example/entries/000/999.json",
        "index/north.example/ghost.jsonl",
        "index/north.example/00/stamp.jsonl",
    ];
    let stray = strays.map(|path| (path.to_owned(), b"{}\n".to_vec()));
    let false_line = ("index/north.example/e0/stamp.jsonl".to_owned(), b"{}\n".to_vec());
    let all = stray.into_iter().chain([false_line]).collect();
    git.commit(&all, "by another hand", "north.example", 1).unwrap();
    let report = checked(settings).await;
    let named: Vec<&str> = report.faults.iter().map(|fault| fault.place.as_str()).collect();
    for path in strays.iter().chain(&["index/north.example/e0/stamp.jsonl"]) {
        assert!(named.contains(path), "{path}: {:#?}", report.faults);
    }
    assert_eq!(report.fault_count, 5, "{:#?}", report.faults);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_registry_is_not_checked() {
    let town = Town::found().await;
    let err = check(&town.north.settings, Box::new(|_| {})).await.unwrap_err();
    assert!(brickyard::problem::chain(&err).contains("in use by another process"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_way_between_two_heads_is_folded_in_parts_to_the_same_end() {
    let mut town = Town::found().await;
    for version in ["1.0.0", "1.1.0", "1.2.0", "2.0.0"] {
        town.release("parcel", version).await;
        town.release("letter", version).await;
    }
    // The mirror comes late: all of it lies under one head there.
    let mut south = town.join().await;
    let log = south.registry().head(&town.body).unwrap().id;
    let heads = south.registry().store.checkpoints_after(log, 0, 100).await.unwrap().len();
    assert!(heads <= 2, "the mirror took it in one step or two, not {heads}");
    town.release("stamp", "1.0.0").await;
    town.settle(&south).await;
    for seat in [&mut town.north, &mut south] {
        seat.stop().await;
    }
    for settings in [&town.north.settings, &south.settings] {
        for stretch in [1, 2, 3, 5, 8, 2_048] {
            let report = check_in_parts(settings, Box::new(|_| {}), stretch).await.unwrap();
            assert!(report.is_clean(), "{} in parts of {stretch}: {report:#?}", settings.id);
        }
    }
    // A fault shows in parts as well.
    let mut database = open(&south.settings.data).await;
    run(&mut database, "UPDATE line SET line = replace(line, '1.1.0', '1.1.1')".to_owned()).await;
    database.close().await.unwrap();
    let report = check_in_parts(&south.settings, Box::new(|_| {}), 2).await.unwrap();
    assert!(report.faults.iter().any(|fault| fault.kind == Kind::Catalogue), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_signature_covers_is_sealed() {
    let (town, south) = stopped_town().await;
    let mut database = open(&south.settings.data).await;
    run(&mut database, "INSERT OR REPLACE INTO meta (key, value) VALUES ('restored', x'31')".to_owned())
        .await;
    let mut seed = Seed(1);
    database.close().await.unwrap();
    // An unsealed row is of an older program, and sealed when the store is opened.
    assert!(checked(&south.settings).await.is_clean());
    for (number, (table, key, column)) in [
        ("meta", "key", "value"),
        ("sync", "peer, origin", "since"),
        ("sync", "peer, origin", "seen"),
        ("sync", "peer, origin", "peer"),
    ]
    .into_iter()
    .enumerate()
    {
        let data = town.dir.path().join(format!("sealed{number}"));
        copy(&south.settings.data, &data);
        let place = flip_value(&data, table, key, column, &mut seed).await;
        let report = checked(&elsewhere(&south.settings, data)).await;
        assert!(report.faults.iter().any(|fault| fault.kind == Kind::Note), "{place}: {report:#?}");
    }
}
