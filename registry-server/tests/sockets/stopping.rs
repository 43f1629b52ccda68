//! Stopping, starting again, and a store that was damaged in between.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use brick_schemas::api::{EntryReceipt, ProblemType};
use brick_tlog::hash::leaf_hash;
use brick_tlog::note::Vkey;
use brick_tlog::proof::Proof;
use brick_trust::key::write_key_file;
use brickyard::RegistryError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http::{LIMIT, answers, form, form_type, get, post};
use crate::town::{Key, Town, vkey};

/// A request to publish one release of [`BODY`](crate::town::BODY).
fn upload(town: &Town, version: &str) -> (Vec<u8>, Vec<u8>) {
    let draft = town.draft("parcel", version);
    let entry = draft.signed(Key::Officer);
    let name = draft.release.archive.sha256.to_string();
    let body = form(&[("entry", "entry.json", &entry), ("blob", &name, &draft.archive)]);
    (post("/api/v1/entries", &form_type(), &body), entry)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_under_way_is_logged_before_the_registry_stops() {
    let mut town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    let before = town.north.newest(&town.body);
    let at = town.north.at();
    let (request, entry) = upload(&town, "1.1.0");
    let (half, rest) = request.split_at(request.len() - 100);
    let mut uploading = TcpStream::connect(at).await.unwrap();
    uploading.write_all(half).await.unwrap();
    // One that idles between two requests holds nobody up.
    let mut idle = TcpStream::connect(at).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;

    let stopping = tokio::spawn(town.north.take().stop());
    let mut end = Vec::new();
    tokio::time::timeout(LIMIT, idle.read_to_end(&mut end)).await.expect("an idle connection ends").unwrap();
    assert!(!stopping.is_finished(), "it waits for the upload");
    // Connections and the door are told at once; which of them is first is nobody's promise.
    let deadline = tokio::time::Instant::now() + LIMIT;
    while TcpStream::connect(at).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "it takes no new connections");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    uploading.write_all(rest).await.unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(LIMIT, uploading.read_to_end(&mut bytes)).await.expect("it is answered").unwrap();
    let answer = answers(&bytes).remove(0);
    assert_eq!(answer.status, 200, "{}", answer.text());
    tokio::time::timeout(LIMIT, stopping).await.expect("then it stops").unwrap();

    town.north.start().await;
    assert_eq!(town.north.newest(&town.body).size, before.size + 2, "the log goes on where it was");
    let receipt: EntryReceipt = serde_json::from_slice(&answer.body).unwrap();
    let log = Vkey::parse(&vkey(&town.body, Key::NorthLog)).unwrap();
    let proof = Proof::parse(receipt.proof.as_bytes()).unwrap();
    let head = proof.check(&leaf_hash(&entry), &log).unwrap();
    assert_eq!(*head.checkpoint(), town.north.newest(&town.body), "what was acknowledged is what is there");
    town.release("parcel", "1.2.0").await;
    let log = town.north.registry().head(&town.body).unwrap();
    let mut nodes = brickyard::nodes::Nodes::new(&town.north.registry().store, log.id);
    let newest = town.north.newest(&town.body);
    let path = nodes.consistency(before.size, newest.size).await.unwrap();
    brick_tlog::tree::check_consistency(before.size, newest.size, &before.root, &newest.root, &path)
        .expect("one history");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_finish_in_time_is_cut_when_the_registry_stops() {
    let mut town = Town::found_with(|settings| settings.patience.stop = Duration::from_millis(500)).await;
    let before = town.north.newest(&town.body);
    let (request, _) = upload(&town, "1.0.0");
    let mut uploading = TcpStream::connect(town.north.at()).await.unwrap();
    uploading.write_all(&request[..request.len() - 100]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    town.north.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    town.north.start().await;
    assert_eq!(town.north.newest(&town.body), before, "nothing half appears");
}

/// The database as one file: the registry is stopped, so its write-ahead log has been folded in.
fn change_database(data: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let path = data.join("registry.sqlite3");
    // Connections that were dropped in the middle of something close a moment later, the last one with the folding.
    let deadline = Instant::now() + LIMIT;
    while data.join("registry.sqlite3-wal").exists() {
        assert!(Instant::now() < deadline, "the write-ahead log stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Flips a bit in every place where `needle` stands.
fn flip_each(bytes: &mut [u8], needle: &[u8], at: usize) {
    let places: Vec<usize> =
        (0..bytes.len() - needle.len()).filter(|i| bytes[*i..].starts_with(needle)).collect();
    assert!(!places.is_empty(), "it stands in the database");
    for place in places {
        bytes[place + at] ^= 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_stops_the_start_with_its_reason() {
    // Name, damage, what is said.
    type Damage = fn(&mut Vec<u8>);
    let rows: [(&str, Damage, &[&str]); 4] = [
        ("cut in half", |bytes| bytes.truncate(bytes.len() / 2), &["damaged", "disk"]),
        ("cut after the first page", |bytes| bytes.truncate(4_096), &["damaged", "disk"]),
        ("overwritten from the start", |bytes| bytes[..2_000].fill(0xaa), &["damaged"]),
        (
            "overwritten in the middle",
            |bytes| {
                let middle = 4_096..bytes.len();
                bytes[middle].fill(0x55);
            },
            &["damaged"],
        ),
    ];
    for (name, damage, says) in rows {
        let mut town = Town::found().await;
        town.release("parcel", "1.0.0").await;
        town.north.stop().await;
        change_database(&town.north.settings.data, damage);
        let err = brickyard::start(town.north.settings.clone()).await.err();
        let err = err.unwrap_or_else(|| panic!("{name}: it must not start"));
        let said = brickyard::problem::chain(&err);
        assert!(says.iter().any(|word| said.contains(word)), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_a_stored_log_closes_it_and_leaves_reading() {
    // What of the last leaf is found in the database and flipped.
    for name in ["a tile", "the root of the last head", "the last leaf"] {
        let mut town = Town::found().await;
        town.release("parcel", "1.0.0").await;
        let head = town.north.newest(&town.body);
        let log = town.north.registry().head(&town.body).unwrap().id;
        let last = town.north.registry().store.leaves(log, head.size - 1..head.size).await.unwrap().remove(0);
        let draft = town.draft("parcel", "1.1.0");
        town.north.stop().await;
        change_database(&town.north.settings.data, |bytes| match name {
            "a tile" => flip_each(bytes, leaf_hash(&last).as_bytes(), 7),
            "the root of the last head" => flip_each(bytes, head.root.as_bytes(), 7),
            // A digit of the index root becomes another digit or letter.
            _ => flip_each(bytes, &last, last.len() - 3),
        });
        town.north.start().await;
        let answer = town.north.publish(&draft.signed(Key::Officer), &[&draft.archive]).await;
        assert_eq!(answer.status, 503, "{name}: {}", answer.text());
        let problem = answer.problem();
        assert_eq!(problem.problem_type, ProblemType::ReadOnly, "{name}: {problem}");
        assert!(problem.to_string().contains("does not add up"), "{name}: {problem}");
        let ready = town.north.get("/readyz").await;
        assert!(ready.status == 503 && ready.text().contains("does not add up"), "{name}: {}", ready.text());
        let served = town.north.get("/logs/north.example/checkpoint").await;
        assert_eq!(
            served.text().lines().nth(1),
            Some(head.size.to_string().as_str()),
            "{name}: reading goes on"
        );
        assert_eq!(town.north.get("/index/north.example/parcel.jsonl").await.status, 200, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_the_commons_log_stops_the_start() {
    for at in ["a record", "the root over all of it"] {
        let mut town = Town::found().await;
        let head = town.north.newest(&town.commons);
        let log = town.north.registry().head(&town.commons).unwrap().id;
        let record = town.north.registry().store.leaves(log, 1..2).await.unwrap().remove(0);
        town.north.stop().await;
        change_database(&town.north.settings.data, |bytes| match at {
            "a record" => flip_each(bytes, &record[..60], 40),
            _ => flip_each(bytes, head.root.as_bytes(), 0),
        });
        let err = brickyard::start(town.north.settings.clone()).await.err();
        let err = err.unwrap_or_else(|| panic!("{at}: it must not start"));
        assert!(matches!(err, RegistryError::Damaged { .. }), "{at}: {err}");
        assert!(err.to_string().contains("nothing will be signed"), "{err}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_is_lost_is_noticed_and_comes_back_from_a_mirror() {
    let town = Town::found().await;
    let (draft, _) = town.release("parcel", "1.0.0").await;
    let south = town.join().await;
    let archive = "/bricks/north.example/parcel/1.0.0/archive";
    crate::town::until("the mirror has the archive", || {
        south.registry().store.blob_path(&draft.release.archive.sha256).is_file()
    })
    .await;
    let blob = town.north.registry().store.blob_path(&draft.release.archive.sha256);
    std::fs::remove_file(&blob).unwrap();
    let answer = town.north.get(archive).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(answer.problem().problem_type, ProblemType::NotFound);
    crate::town::until("it is fetched again", || blob.is_file()).await;
    assert_eq!(town.north.get(archive).await.body, draft.archive);
}

/// The program itself, on a town's data.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(town: &Town) -> Self {
        let dir = town.dir.path();
        let settings = &town.north.settings;
        for (name, key) in [("log.key", Key::NorthLog), ("witness.key", Key::NorthWitness)] {
            use std::os::unix::fs::PermissionsExt as _;
            let text = write_key_file(&key.signing(), "test", None).unwrap();
            std::fs::write(dir.join(name), text.as_bytes()).unwrap();
            std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let config = format!(
            "config = 1\ndata = \"{}\"\nlisten = \"127.0.0.1:0\"\nurls = [\"http://127.0.0.1\"]\nregistry = \"{}\"\n\
             operator = \"{}\"\nroot-sha256 = \"{}\"\nsync-interval-s = 1\n\n[keys]\nlog = \"log.key\"\n\
             witness = \"witness.key\"\n",
            settings.data.display(),
            settings.id,
            settings.operator,
            settings.root_sha256
        );
        std::fs::write(dir.join("registry.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_brickyard"))
            .args(["serve", "--config"])
            .arg(dir.join("registry.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on http://").map(str::to_owned);
        let url = url.unwrap_or_else(|| {
            let mut said = String::new();
            let _ = child.stderr.take().unwrap().read_to_string(&mut said);
            panic!("it did not start: {said}")
        });
        Self { child, url }
    }

    fn signal(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits for its end. Returns what it said on standard error.
    fn end(mut self) -> String {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_ends_quietly_in_the_middle_of_its_work() {
    let mut town = Town::found().await;
    let mut version = 0;
    for round in 0..6 {
        let place = town.north.place(&town.body);
        town.north.stop().await;
        let program = Program::start(&town);
        let at: std::net::SocketAddr = program.url.parse().unwrap();
        // Uploads, reads, clones and the projection, all under way when the signal comes.
        let mut acknowledged = Vec::new();
        let mut uploads = Vec::new();
        for _ in 0..6 {
            version += 1;
            let draft =
                crate::town::Draft::new(&place, "north.example/parcel", &format!("1.{version}.0"), "");
            uploads.push(tokio::spawn(async move {
                let entry = draft.signed(Key::Officer);
                let name = draft.release.archive.sha256.to_string();
                let body = form(&[("entry", "entry.json", &entry), ("blob", &name, &draft.archive)]);
                let (bytes, _) =
                    crate::http::talk(at, &post("/api/v1/entries", &form_type(), &body), LIMIT).await;
                answers(&bytes).first().filter(|answer| answer.status == 200).map(|_| entry)
            }));
        }
        let clone = Command::new("git")
            .args(["clone", "--quiet", &format!("http://{at}/git")])
            .arg(town.dir.path().join(format!("clone{round}")))
            .stderr(Stdio::null())
            .spawn();
        // Each round a little later: before the uploads, between them, while git is written.
        tokio::time::sleep(Duration::from_millis(15 * round * round)).await;
        program.signal();
        for upload in uploads {
            acknowledged.extend(upload.await.unwrap());
        }
        let said = tokio::task::spawn_blocking(move || program.end()).await.unwrap();
        let _ = clone.unwrap().wait();
        assert!(!said.contains("panicked"), "{said}");
        assert!(!said.contains("ERROR"), "{said}");
        town.north.start().await;
        for entry in acknowledged {
            let answer = town.north.publish(&entry, &[]).await;
            let receipt: EntryReceipt =
                serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()));
            assert!(receipt.duplicate, "what was acknowledged is in the log");
        }
        // It signs nothing before it knows how far others saw its logs; then it is as ready as before.
        let deadline = tokio::time::Instant::now() + LIMIT;
        let mut ready = get(town.north.at(), "/readyz").await;
        while ready.status != 200 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
            ready = get(town.north.at(), "/readyz").await;
        }
        assert_eq!(ready.status, 200, "{}", ready.text());
    }
}
