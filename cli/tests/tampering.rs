//! One thing is changed at a time between the program and its registry: each is refused by its own step, with exit code 3, and
//! nothing of it is kept.

#[path = "support/commons.rs"]
mod commons;

use std::path::PathBuf;

use brick_schemas::Origin;
use brick_tlog::Hash;
use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::cosignature::cosign;
use brick_tlog::note::Note;
use brick_tlog::proof::Proof;
use brick_tlog::snapshot::IndexProof;
use commons::{Liar, Machine, SERVICE, World, name};

/// Which answers are changed: those whose path begins and ends so.
type Place = (&'static str, &'static str);
type Change = fn(Vec<u8>) -> Vec<u8>;

fn flip(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] ^= 1;
    bytes
}

fn text(bytes: Vec<u8>, change: impl FnOnce(String) -> String) -> Vec<u8> {
    change(String::from_utf8(bytes).unwrap()).into_bytes()
}

fn line(bytes: Vec<u8>, at: usize, change: impl FnOnce(&str) -> String) -> Vec<u8> {
    text(bytes, |all| {
        let mut lines: Vec<String> = all.split('\n').map(str::to_owned).collect();
        lines[at] = change(&lines[at]);
        lines.join("\n")
    })
}

fn proof(bytes: &[u8], change: impl FnOnce(&mut Proof)) -> Vec<u8> {
    let mut proof = Proof::parse(bytes).unwrap();
    change(&mut proof);
    proof.to_string().into_bytes()
}

fn index_proof(bytes: &[u8], change: impl FnOnce(&mut IndexProof)) -> Vec<u8> {
    let mut proof = IndexProof::parse(bytes).unwrap();
    change(&mut proof);
    proof.to_string().into_bytes()
}

/// The last signature of a note with one bit changed.
fn break_last_signature(note: &mut Note) {
    let last = note.signatures.last_mut().unwrap();
    *last.signature.last_mut().unwrap() ^= 1;
}

const LIES: &[(&str, Place, Change, &str)] = &[
    (
        "archive byte",
        ("/bricks/mid.example/bins/", "/archive"),
        |b| {
            let at = b.len() / 2;
            flip(b, at)
        },
        "archive",
    ),
    (
        "archive cut off",
        ("/bricks/mid.example/bins/", "/archive"),
        |mut b| {
            b.truncate(b.len() - 1);
            b
        },
        "archive",
    ),
    (
        "index line field",
        ("/index/mid.example/bins", ".jsonl"),
        |b| text(b, |t| t.replace("\"MIT\"", "\"ISC\"")),
        "index",
    ),
    (
        "dropped index line",
        ("/index/mid.example/address", ".jsonl"),
        |b| text(b, |t| t.split_once('\n').unwrap().1.to_owned()),
        "index",
    ),
    ("hidden index file", ("/index/mid.example/address", ".jsonl"), |_| Vec::new(), "index"),
    (
        "bucket line",
        ("/index/mid.example/bins", ".proof"),
        |b| line(b, 1, |l| format!("{}{}", if l.starts_with('0') { '1' } else { '0' }, &l[1..])),
        "index",
    ),
    (
        "bucket emptied",
        ("/index/mid.example/bins", ".proof"),
        |b| index_proof(&b, |p| p.bucket = brick_tlog::snapshot::Bucket::new()),
        "index",
    ),
    (
        "index proof hash",
        ("/index/mid.example/bins", ".proof"),
        |b| index_proof(&b, |p| p.path[3] = Hash::of("x")),
        "index",
    ),
    (
        "snapshot leaf",
        ("/index/mid.example/bins", ".proof"),
        |b| {
            index_proof(&b, |p| {
                let at = 30;
                p.snapshot.extra.as_mut().unwrap()[at] ^= 1
            })
        },
        "inclusion",
    ),
    (
        "snapshot proof hash",
        ("/index/mid.example/bins", ".proof"),
        |b| index_proof(&b, |p| p.snapshot.path[0] = Hash::of("x")),
        "inclusion",
    ),
    (
        "head's cosignature",
        ("/index/mid.example/bins", ".proof"),
        |b| index_proof(&b, |p| break_last_signature(&mut p.snapshot.checkpoint)),
        "quorum",
    ),
    (
        "head without cosignatures",
        ("/index/mid.example/", ".proof"),
        |b| index_proof(&b, |p| p.snapshot.checkpoint.signatures.truncate(1)),
        "quorum",
    ),
    (
        "checkpoint size",
        ("/commons/checkpoint", ""),
        |b| line(b, 1, |size| (size.parse::<u64>().unwrap() + 1).to_string()),
        "checkpoint",
    ),
    (
        "checkpoint root",
        ("/commons/checkpoint", ""),
        |b| line(b, 2, |_| Hash::of("x").to_base64()),
        "checkpoint",
    ),
    (
        "checkpoint of another log",
        ("/commons/checkpoint", ""),
        |b| line(b, 0, |_| "other.example/root".into()),
        "checkpoint",
    ),
    (
        "entry payload",
        ("/bricks/mid.example/bins/", "/proof"),
        |b| {
            proof(&b, |p| {
                let e = p.extra.as_mut().unwrap();
                let at = e.len() / 2;
                e[at] ^= 1
            })
        },
        "inclusion",
    ),
    (
        "release proof hash",
        ("/bricks/mid.example/bins/", "/proof"),
        |b| proof(&b, |p| p.path[0] = Hash::of("x")),
        "inclusion",
    ),
    (
        "release proof index",
        ("/bricks/mid.example/bins/", "/proof"),
        |b| proof(&b, |p| p.index -= 1),
        "inclusion",
    ),
    (
        "release proof cosignature",
        ("/bricks/mid.example/bins/", "/proof"),
        |b| proof(&b, |p| break_last_signature(&mut p.checkpoint)),
        "quorum",
    ),
    (
        "release proof without entry",
        ("/bricks/mid.example/bins/", "/proof"),
        |b| proof(&b, |p| p.extra = None),
        "inclusion",
    ),
];

/// What a run may leave behind when it was refused: nothing but its lock.
fn kept(machine: &Machine) -> Vec<PathBuf> {
    machine
        .files()
        .into_keys()
        .filter(|path| !path.ends_with("lock") && !path.ends_with("service.toml"))
        .collect()
}

/// A file without the signature lines that are renewed now and then.
fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with("— ".as_bytes())).flatten().copied().collect()
}

#[test]
fn every_lie_is_refused_by_its_step_and_nothing_of_it_is_kept() {
    let world = World::stocked();
    let liar = Liar::before(&world, 0);
    let fresh = Machine::trusting(&world, &world.url(0));
    fresh.write("service.toml", SERVICE);
    let honest = fresh.twin();
    honest.ok(&["vendor"]);
    let honest = honest.files();
    for (case, (begins, ends), change, step) in LIES {
        let machine = fresh.twin();
        liar.lie(move |path, status, body| {
            match path.starts_with(begins) && path.ends_with(ends) && status == 200 {
                true => (status, change(body)),
                false => (status, body),
            }
        });
        let ended = machine.run(&["--registry", &liar.url, "vendor"]);
        assert_eq!(ended.code, 3, "{case}: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("error: {step} check failed")), "{case}: {}", ended.stderr);
        for (path, bytes) in machine.files() {
            let shown = path.display().to_string();
            assert!(!shown.contains("work/bricks"), "{case}: {shown} was written");
            assert!(!shown.contains("brick.lock"), "{case}: {shown} was written");
            let is_true = honest.get(&path).map(|bytes| unsigned(bytes)) == Some(unsigned(&bytes));
            let is_checked = !shown.contains("home/cache/");
            assert!(is_true || is_checked, "{case}: {shown} is not what an honest registry gives");
        }
    }
}

/// What lies in the working folder.
fn work(machine: &Machine) -> Vec<(PathBuf, Vec<u8>)> {
    machine.files().into_iter().filter(|(path, _)| path.starts_with("work")).collect()
}

#[test]
fn a_refused_command_leaves_manifest_and_lockfile_as_they_were() {
    let world = World::stocked();
    let liar = Liar::before(&world, 0);
    let without = SERVICE.split("# The first step.").next().unwrap();
    let other =
        format!("{SERVICE}\n[[part]]\nstep = \"tell\"\nbrick = \"south.example/notify\"\nversion = \"1\"\n");
    let unlocked = Machine::trusting(&world, &world.url(0));
    unlocked.write("service.toml", SERVICE);
    let locked = Machine::trusting(&world, &world.url(0));
    locked.write("service.toml", without);
    locked.ok(&["add", "mid.example/address@=1.0.0"]);
    let index: Place = ("/index/mid.example/", ".jsonl");
    let archive: Place = ("/bricks/mid.example/bins/", "/archive");
    let cases: &[(&Machine, &str, &[&str], Place)] = &[
        (&unlocked, SERVICE, &["fetch"], archive),
        (&unlocked, SERVICE, &["vendor"], archive),
        (&unlocked, SERVICE, &["update"], index),
        (&unlocked, SERVICE, &["metadata"], index),
        (&unlocked, without, &["add", "mid.example/bins"], index),
        (&unlocked, &other, &["remove", "south.example/notify"], index),
        (&locked, SERVICE, &["fetch"], archive),
        (&locked, SERVICE, &["update"], index),
        (&locked, SERVICE, &["add", "south.example/notify@1"], ("/index/south.example/", ".jsonl")),
    ];
    for (machine, manifest, command, (begins, ends)) in cases {
        let machine = machine.twin();
        machine.write("service.toml", manifest);
        let before = work(&machine);
        let place = (*begins, *ends);
        liar.lie(move |path, status, body| {
            match path.starts_with(place.0) && path.ends_with(place.1) && status == 200 {
                true => (status, flip(body.clone(), body.len() / 2)),
                false => (status, body),
            }
        });
        let ended = machine.run(&[&["--registry", &liar.url], *command].concat());
        assert!(matches!(ended.code, 3 | 4), "{command:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("Locking"), "{command:?}: {}", ended.stderr);
        assert_eq!(work(&machine), before, "{command:?}: {}", ended.stderr);
    }
}

#[test]
fn a_lockfile_that_cannot_be_written_leaves_the_manifest_as_it_was() {
    let world = World::stocked();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);
    machine.write("brick.lock/in-the-way", "");
    let before = work(&machine);
    for command in [["add", "south.example/notify@1"], ["remove", "mid.example/bins"]] {
        machine.fails(&command, 1, &["brick.lock", "help: "]);
        assert_eq!(work(&machine), before, "{command:?}");
    }
}

#[test]
fn trust_begins_with_nothing_that_is_false() {
    let world = World::stocked();
    let liar = Liar::before(&world, 0);
    let entries = |change: Change| {
        move |path: &str, status: u16, body: Vec<u8>| match path.contains("/tile/entries/") {
            true => (status, change(body)),
            false => (status, body),
        }
    };
    let cases: [(&str, Change, &str); 3] = [
        ("the root", |b| flip(b, 40), "root"),
        (
            "a record",
            |b| {
                let at = b.len() - 200;
                flip(b, at)
            },
            "",
        ),
        ("two records swapped", |b| text_swap(&b), ""),
    ];
    for (case, change, step) in cases {
        let machine = Machine::new(&liar.url);
        liar.lie(entries(change));
        let ended = machine.run(&["commons", "trust", &liar.url, "--root-sha256", &world.root()]);
        assert_eq!(ended.code, 3, "{case}: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("{step} check failed")), "{case}: {}", ended.stderr);
        assert_eq!(kept(&machine), Vec::<PathBuf>::new(), "{case}");
    }
}

/// The last two entries of a bundle in the other order.
fn text_swap(bundle: &[u8]) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        rest = after;
    }
    let last = entries.len() - 1;
    entries.swap(last, last - 1);
    brick_tlog::tile::encode_bundle(&entries).unwrap()
}

#[test]
fn a_rolled_back_head_is_refused() {
    let world = World::stocked();
    let liar = Liar::before(&world, 0);
    let machine = Machine::trusting(&world, &liar.url);
    machine.write("service.toml", SERVICE);
    machine.ok(&["update"]);
    world.publish("mid.example/address", "1.2.0", "");
    world.settle();
    let past = Machine::trusting(&world, &world.url(1));
    past.write("service.toml", SERVICE);
    past.ok(&["update"]);
    liar.live_in_the_past();
    let before = past.files();
    past.fails(&["--registry", &liar.url, "update"], 3, &["consistency check failed", "mid.example/log"]);
    assert_eq!(past.files(), before);
    // Who has seen nothing newer cannot know.
    machine.ok(&["update"]);
    liar.be_honest();
    past.ok(&["--registry", &liar.url, "update"]);
}

#[test]
fn two_histories_are_kept_as_evidence() {
    let world = World::stocked();
    let liar = Liar::before(&world, 0);
    let machine = Machine::trusting(&world, &liar.url);
    machine.write("service.toml", SERVICE);
    machine.ok(&["update"]);
    // All registries conspire: the commons log's key signs another tree, and the witnesses cosign it.
    let settings = |at: usize| &world.commons.servers[at].registry.settings;
    let key = settings(0).log_key.clone();
    let witnesses: Vec<_> = (1..3)
        .map(|at| (world.commons.servers[at].registry.witness_name(), settings(at).witness_key.clone()))
        .collect();
    let resign = move |note: &Note, key: &ed25519_dalek::SigningKey| {
        let mut head = Checkpoint::parse(&note.text).unwrap();
        head.root = Hash::of("another history");
        let mut note = sign_checkpoint(&head, key);
        let now = brickyard::registry::now();
        for (name, key) in &witnesses {
            note.signatures.push(cosign(&note.text, name, key, now));
        }
        note
    };
    {
        let (resign, key) = (resign.clone(), key.clone());
        liar.lie(move |path, status, body| match path == "/commons/checkpoint" {
            true => (status, resign(&Note::parse(&body).unwrap(), &key).to_bytes()),
            false => (status, body),
        });
    }
    let before = machine.files();
    let ended = machine.fails(&["update"], 3, &["consistency check failed", "two histories", "evidence"]);
    assert!(ended.stderr.contains("commons.example/root"), "{}", ended.stderr);
    let new: Vec<PathBuf> = machine.files().into_keys().filter(|path| !before.contains_key(path)).collect();
    assert_eq!(new.len(), 2, "{new:?}");
    for path in new {
        let path = machine.dir.path().join(path);
        let note = Note::parse(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            Checkpoint::parse(&note.text).unwrap().origin.as_str(),
            Origin::of_commons(&name("commons.example")).as_str()
        );
    }
    liar.be_honest();
    machine.ok(&["update"]);
}

/// Runs `update` with the registry set in the environment, so that others may be asked.
#[test]
fn a_registry_that_cannot_show_the_commons_is_passed_over_with_a_warning() {
    let world = World::stocked();
    let liar = Liar::before(&world, 0);
    let machine = Machine::trusting(&world, &liar.url);
    machine.write("service.toml", SERVICE);
    let cases: [(&str, u16, &[u8], u8, &str); 4] = [
        ("gone", 404, b"", 4, "answers 404"),
        ("broken", 500, b"", 4, "answers 500"),
        ("a page", 200, b"<html>", 4, "does not answer as a registry does"),
        ("huge", 200, &[b'x'; 2_000_000], 4, "longer than"),
    ];
    for (case, status, body, code, says) in cases {
        liar.lie(move |path, honest, bytes| match path.starts_with("/commons/") {
            true => (status, body.to_vec()),
            false => (honest, bytes),
        });
        let fresh = machine.twin();
        let ended = fresh.run(&["fetch"]);
        assert_eq!(ended.code, 0, "{case}: {}", ended.stderr);
        for text in ["warning: ", says, "asked http://127.0.0.1:", "instead"] {
            assert!(ended.stderr.contains(text), "{case} does not say {text:?}: {}", ended.stderr);
        }
        // Who names a registry wants the answer of that one.
        machine.twin().fails(&["--registry", &liar.url, "fetch"], code, &[says, "help: "]);
    }
}

#[test]
fn a_commons_that_is_behind_is_told_from_another_history_and_from_a_broken_answer() {
    let mut world = World::stocked();
    let liar = Liar::before(&world, 0);
    let machine = Machine::trusting(&world, &liar.url);
    machine.write("service.toml", SERVICE);
    machine.ok(&["update"]);
    let early = machine.twin();
    {
        let World { commons, runtime, .. } = &mut world;
        runtime
            .block_on(commons.admit(
                &name("new.example"),
                brick_schemas::predicate::PublisherKind::Auditor,
                1,
            ))
            .unwrap();
    }
    world.settle();
    machine.ok(&["--registry", &world.url(1), "update"]);

    // Behind: what it shows is true, and was seen before.
    liar.live_in_the_past();
    let before = machine.files();
    let behind = ["consistency check failed", "the registry is behind"];
    let ended = machine.fails(&["--registry", &liar.url, "update"], 3, &behind);
    assert!(!ended.stderr.contains("two histories"), "{}", ended.stderr);
    assert_eq!(machine.files(), before);
    let ended = machine.run(&["update"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the registry is behind") && ended.stderr.contains("instead"),
        "{}",
        ended.stderr
    );
    liar.be_honest();

    // An older head of another history.
    let key = world.commons.servers[0].registry.settings.log_key.clone();
    liar.lie(move |path, status, body| match path == "/commons/checkpoint" {
        true => {
            let mut head = Checkpoint::parse(&Note::parse(&body).unwrap().text).unwrap();
            (head.size, head.root) = (head.size - 1, Hash::of("another history"));
            (status, sign_checkpoint(&head, &key).to_bytes())
        }
        false => (status, body),
    });
    machine.twin().fails(&["update"], 3, &["consistency check failed", "two histories", "evidence"]);
    // The same from a stranger, whose signature shows nothing.
    liar.lie(|path, status, body| match path == "/commons/checkpoint" {
        true => (status, line(line(body, 1, |_| "2".into()), 2, |_| Hash::of("x").to_base64())),
        false => (status, body),
    });
    let stranger = machine.twin();
    stranger.fails(&["update"], 3, &["checkpoint check failed"]);
    assert_eq!(stranger.files(), machine.files());

    // A broken answer: the head is true, the entries under it are not.
    liar.lie(|path, status, body| match path.contains("/commons/tile/entries/") {
        true => {
            let at = body.len() - 200;
            (status, flip(body, at))
        }
        false => (status, body),
    });
    let before = early.files();
    let ended = early.fails(&["update"], 3, &["check failed"]);
    assert!(!ended.stderr.contains("two histories"), "{}", ended.stderr);
    assert_eq!(early.files(), before);
    liar.be_honest();
    early.ok(&["update"]);
}

#[test]
fn what_is_kept_of_the_commons_is_verified_once_and_damage_is_noticed() {
    let world = World::stocked();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);
    machine.ok(&["fetch"]);
    let kept = machine.home().join("trust/commons.example/commons");
    let said = |machine: &Machine| {
        let ended = machine.run(&["-v", "fetch", "--frozen"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stderr
    };
    assert!(!said(&machine).contains("the kept commons log again"), "it was verified when it came");
    // A fold that is damaged, cut off, or of another head is not believed, and made again.
    let whole = std::fs::read(kept.join("fold")).unwrap();
    let no_fold = machine.twin();
    std::fs::remove_file(no_fold.home().join("trust/commons.example/commons/fold")).unwrap();
    for (case, bytes) in [
        ("a byte", flip(whole.clone(), whole.len() / 2)),
        ("the digest", flip(whole.clone(), 20)),
        ("the size", flip(whole.clone(), 84)),
        ("cut off", whole[..whole.len() - 1].to_vec()),
        ("empty", Vec::new()),
        ("another version", text(whole.clone(), |fold| fold.replacen("/v1", "/v2", 1))),
    ] {
        std::fs::write(kept.join("fold"), bytes).unwrap();
        assert!(said(&machine).contains("the kept commons log again"), "{case}");
        assert_eq!(std::fs::read(kept.join("fold")).unwrap(), whole, "{case}");
    }
    assert!(said(&no_fold).contains("the kept commons log again"));
    // A head that is damaged is not taken for another history.
    let head = std::fs::read(kept.join("checkpoint")).unwrap();
    let damaged = line(head, 2, |_| Hash::of("damaged").to_base64());
    std::fs::write(kept.join("checkpoint"), damaged).unwrap();
    let ended = machine.fails(&["update"], 1, &["commons/checkpoint", "damaged", "help: "]);
    assert!(!ended.stderr.contains("two histories"), "{}", ended.stderr);
}

#[test]
fn a_lock_that_holds_another_digest_is_refused() {
    let world = World::stocked();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);
    machine.ok(&["update"]);
    let lock = machine.read("brick.lock");
    let cksum = lock.lines().find(|line| line.starts_with("cksum")).unwrap();
    machine.write("brick.lock", &lock.replace(cksum, &format!("cksum = \"{}\"", "0".repeat(64))));
    for command in
        [["fetch", "--locked"], ["vendor", "--locked"], ["audit", "--lock"], ["update", "--dry-run"]]
    {
        machine.fails(&command, 3, &["lock check failed", "brick.lock holds"]);
    }
    let entry = lock.lines().find(|line| line.starts_with("entry")).unwrap();
    machine.write("brick.lock", &lock.replacen(entry, "entry = 999", 1));
    machine.fails(&["fetch", "--locked"], 3, &["lock check failed"]);
    let root = world.root();
    machine.write("brick.lock", &lock.replace(&root, &"1".repeat(64)));
    machine.fails(&["fetch"], 3, &["another root"]);
    machine.write("brick.lock", &lock.replace("[commons]", "[commons"));
    machine.fails(&["fetch"], 1, &["brick.lock"]);
}

#[test]
fn a_home_that_cannot_be_written_and_two_runs_at_once_lose_nothing() {
    let world = World::stocked();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);
    let runs: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| machine.run(&["fetch"]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for run in runs {
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    machine.ok(&["fetch", "--frozen"]);
    // Damage in the cache is noticed and repaired; in the kept commons log, too.
    for path in machine.files().into_keys() {
        let shown = path.display().to_string();
        if shown.contains("home/cache/") || shown.ends_with("commons/leaves") {
            let path = machine.dir.path().join(path);
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    machine.ok(&["fetch", "--locked"]);
    machine.ok(&["fetch", "--frozen"]);
    // A home that is in the way.
    let other = Machine::new(&world.url(0));
    std::fs::write(other.home(), "a file").unwrap();
    let root = world.root();
    other.fails(&["commons", "trust", &world.url(0), "--root-sha256", &root], 1, &["home"]);
    assert_eq!(std::fs::read(other.home()).unwrap(), b"a file");
}
