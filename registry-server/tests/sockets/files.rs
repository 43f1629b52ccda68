//! What is served as files: the same as anybody computes from the entries, and cacheable as it says.

use brick_schemas::Digest;
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::Vkey;
use brick_tlog::snapshot::IndexProof;
use brick_tlog::tile::{BundleId, TileId, bundles, encode_bundle, encode_tile, parse_bundle, tiles};
use brick_tlog::tree::Tree;

use crate::http::{get, get_with};
use crate::town::{Draft, Key, Seat, Town, until, vkey};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const LOG: &str = "/logs/north.example";

/// A log of more than one full tile, all of it published through the door.
async fn long_log() -> Town {
    let town = Town::found().await;
    let place = town.north.place(&town.body);
    let mut at = 0;
    while town.north.newest(&town.body).size < 300 {
        let drafts: Vec<Draft> = (at..at + 32)
            .map(|n| Draft::new(&place, &format!("north.example/brick{}", n % 7), &format!("1.{n}.0"), ""))
            .collect();
        at += 32;
        let sent = drafts.iter().map(|draft| async {
            let entry = draft.signed(Key::Officer);
            loop {
                let answer = town.north.publish(&entry, &[&draft.archive]).await;
                match answer.status {
                    200 => break,
                    // A machine with much else to do: sending it again is harmless.
                    503 => assert!(answer.header("retry-after").is_some()),
                    status => panic!("{status}: {}", answer.text()),
                }
            }
        });
        futures_util::future::join_all(sent).await;
    }
    town
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiles_and_bundles_are_what_the_entries_add_up_to() {
    let town = long_log().await;
    for (prefix, origin) in [("/commons", &town.commons), (LOG, &town.body)] {
        let head = town.north.newest(origin);
        let mut entries = Vec::new();
        for bundle in bundles(head.size) {
            let answer = town.north.get(&format!("{prefix}/{}", bundle.path())).await;
            assert_eq!(answer.status, 200, "{bundle:?}");
            assert_eq!(answer.header("cache-control"), Some(IMMUTABLE));
            assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
            let bytes = parse_bundle(&answer.body, usize::from(bundle.width())).unwrap();
            entries.extend(bytes.into_iter().map(<[u8]>::to_vec));
        }
        let mut tree = Tree::new();
        for entry in &entries {
            tree.push(leaf_hash(entry));
        }
        assert_eq!((tree.len(), tree.root()), (head.size, head.root), "the entries add up to the head");
        for tile in tiles(head.size) {
            for width in [1, tile.width() / 2, tile.width() - 1, tile.width()] {
                let Ok(part) = TileId::new(tile.level(), tile.index(), width) else { continue };
                let answer = town.north.get(&format!("{prefix}/{}", part.path())).await;
                assert_eq!(answer.status, 200, "{}", part.path());
                assert_eq!(answer.header("cache-control"), Some(IMMUTABLE));
                let expected = encode_tile(part, |node| tree.read(node)).unwrap();
                assert_eq!(answer.body, expected, "{}", part.path());
            }
        }
        let last = bundles(head.size).last().unwrap();
        for width in 1..=last.width().min(20) {
            let part = BundleId::new(last.index(), width).unwrap();
            let answer = town.north.get(&format!("{prefix}/{}", part.path())).await;
            let first = usize::try_from(part.first_entry()).unwrap();
            let expected = encode_bundle(&entries[first..first + usize::from(width)]).unwrap();
            assert_eq!((answer.status, answer.body), (200, expected), "{}", part.path());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_a_log_does_not_have_are_not_found() {
    let town = Town::found().await;
    town.release("brick0", "1.0.0").await;
    let wider = town.north.newest(&town.body).size + 1;
    for path in [
        format!("{LOG}/tile/0/000.p/{wider}"),
        format!("{LOG}/tile/0/000"),
        format!("{LOG}/tile/0/001.p/1"),
        format!("{LOG}/tile/1/000"),
        format!("{LOG}/tile/1/000.p/1"),
        format!("{LOG}/tile/63/000.p/1"),
        format!("{LOG}/tile/64/000.p/1"),
        format!("{LOG}/tile/entries/000.p/{wider}"),
        format!("{LOG}/tile/entries/000"),
        format!("{LOG}/tile/entries/001.p/1"),
        format!("{LOG}/tile/entries/x999/x999/x999/999"),
        format!("{LOG}/tile/0/000.p/0"),
        format!("{LOG}/tile/0/000.p/256"),
        format!("{LOG}/tile/0/000.p/01"),
        format!("{LOG}/tile/0/0"),
        format!("{LOG}/tile/0/0000"),
        format!("{LOG}/tile/0/x000/000"),
        format!("{LOG}/tile/00/000"),
        format!("{LOG}/tile/0/000.p"),
        format!("{LOG}/tile/0/000.p/"),
        format!("{LOG}/tile/0"),
        format!("{LOG}/tile/"),
        "/logs/nobody.example/checkpoint".to_owned(),
        "/logs/NORTH.example/checkpoint".to_owned(),
        "/index/north.example/nothing.jsonl".to_owned(),
        "/index/north.example/brick0".to_owned(),
        "/bricks/north.example/brick0/9.9.9/archive".to_owned(),
        "/bricks/north.example/brick0/01.0.0/archive".to_owned(),
        format!("/blobs/sha256/{}", "0".repeat(64)),
        format!("/blobs/sha256/{}", "A".repeat(64)),
    ] {
        let answer = town.north.get(&path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        answer.problem();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_are_told_what_they_may_keep_and_for_how_long() {
    let town = Town::found().await;
    let (draft, _) = town.release("parcel", "1.0.0").await;
    let sha256 = draft.release.archive.sha256;
    let archive = "/bricks/north.example/parcel/1.0.0/archive";
    let heads = "public, max-age=2";
    for (path, cache, kind) in [
        ("/commons/checkpoint", heads, "text/plain; charset=utf-8"),
        ("/logs/north.example/checkpoint", heads, "text/plain; charset=utf-8"),
        ("/logs/north.example/snapshot", heads, "text/plain; charset=utf-8"),
        ("/index/north.example/parcel.jsonl", "public, max-age=60, must-revalidate", "application/jsonl"),
        ("/index/north.example/parcel.jsonl.proof", heads, "text/plain; charset=utf-8"),
        ("/index/north.example/nothing.jsonl.proof", heads, "text/plain; charset=utf-8"),
        ("/bricks/north.example/parcel/1.0.0/proof", heads, "text/plain; charset=utf-8"),
        (archive, IMMUTABLE, "application/gzip"),
        (&format!("/blobs/sha256/{sha256}"), IMMUTABLE, "application/octet-stream"),
        ("/api/v1/status", "no-store", "application/json"),
    ] {
        let answer = town.north.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }

    let index = "/index/north.example/parcel.jsonl";
    let first = town.north.get(index).await;
    let etag = first.header("etag").expect("an index file has one").to_owned();
    assert_eq!(etag, format!("\"{}\"", Digest::of(&first.body)), "it is the file's digest");
    let asked = |etag: &str| format!("if-none-match: {etag}\r\n");
    let kept = get_with(town.north.at(), index, &asked(&etag)).await;
    assert_eq!((kept.status, kept.body.len()), (304, 0));
    assert_eq!(kept.header("etag"), Some(etag.as_str()));
    town.release("parcel", "1.1.0").await;
    let moved = get_with(town.north.at(), index, &asked(&etag)).await;
    assert_eq!((moved.status, moved.text().lines().count()), (200, 2), "there is more now");
    assert_ne!(moved.header("etag"), Some(etag.as_str()));

    let whole = town.north.get(archive).await;
    assert_eq!(whole.body, draft.archive);
    assert_eq!(whole.header("etag"), Some(format!("\"{sha256}\"").as_str()));
    let kept = get_with(town.north.at(), archive, &asked(whole.header("etag").unwrap())).await;
    assert_eq!((kept.status, kept.body.len()), (304, 0));
    let part = get_with(town.north.at(), archive, "range: bytes=3-9\r\n").await;
    assert_eq!((part.status, &part.body[..]), (206, &draft.archive[3..=9]));
    let range = format!("bytes 3-9/{}", draft.archive.len());
    assert_eq!(part.header("content-range"), Some(range.as_str()));
    let beyond = get_with(town.north.at(), archive, "range: bytes=999999-\r\n").await;
    assert_eq!(beyond.status, 416);
}

/// What the index proof of a brick says under the head it comes with: the head's size, where it holds for `file`.
async fn proven(seat: &Seat, town: &Town, brick: &str, file: Option<&[u8]>) -> u64 {
    let answer = get(seat.at(), &format!("/index/north.example/{brick}.jsonl.proof")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let proof = IndexProof::parse(&answer.body).unwrap();
    let log = Vkey::parse(&vkey(&town.body, Key::NorthLog)).unwrap();
    let sha256 = file.map(|file| Hash::from(*Digest::of(file).as_bytes()));
    let opened = proof.verify(brick, sha256, &log).expect("the proof holds");
    assert!(proof.verify(brick, Some(Hash::EMPTY_TREE), &log).is_err(), "and for no other file");
    if file.is_some() {
        assert!(proof.verify(brick, None, &log).is_err(), "and not for none");
    }
    opened.signed().checkpoint().size
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_file_and_its_absence_are_proven() {
    let town = Town::found().await;
    for number in 0..7 {
        town.release(&format!("brick{number}"), "1.0.0").await;
    }
    town.release("brick3", "1.1.0").await;
    let size = town.north.newest(&town.body).size;
    for number in 0..7 {
        let brick = format!("brick{number}");
        let file = town.north.get(&format!("/index/north.example/{brick}.jsonl")).await;
        assert_eq!(proven(&town.north, &town, &brick, Some(&file.body)).await, size);
    }
    for absent in ["nothing", "brick7", "a", "brick"] {
        assert_eq!(proven(&town.north, &town, absent, None).await, size, "{absent}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_a_release_once_a_quorum_has_cosigned_it() {
    let town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    let mut south = town.join().await;
    let before = town.north.newest(&town.body).size;
    south.stop().await;

    let (draft, receipt) = town.release("letter", "1.0.0").await;
    assert_eq!(receipt.index, before, "it is logged all the same");
    let head = town.north.registry().head(&town.body).unwrap();
    assert_eq!((head.shown_size, head.size), (before, before + 2));
    let served = town.north.get("/logs/north.example/checkpoint").await.text();
    assert_eq!(served.lines().nth(1), Some(before.to_string().as_str()));
    assert_eq!(town.north.get("/index/north.example/letter.jsonl").await.status, 404);
    assert_eq!(
        proven(&town.north, &town, "letter", None).await,
        before,
        "readers are shown that it is not there"
    );
    assert_eq!(town.north.get("/bricks/north.example/letter/1.0.0/archive").await.status, 404);
    let names = |answer: serde_json::Value| {
        answer["bricks"].as_array().unwrap().iter().map(|b| b["name"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(town.north.get("/api/v1/search?q=north").await.json()), ["\"north.example/parcel\""]);
    let metrics = town.north.get("/metrics").await.text();
    assert!(metrics.contains("brickyard_unshown_logs 1"), "{metrics}");
    // Mirrors need more than readers: entries and tiles are there up to the newest signed head.
    let bundle = BundleId::new(0, u16::try_from(before + 2).unwrap()).unwrap();
    assert_eq!(town.north.get(&format!("{LOG}/{}", bundle.path())).await.status, 200);

    south.start().await;
    until("the witness cosigns", || {
        south.registry().follow.notify_one();
        town.north.registry().ask_witnesses.notify_one();
        town.north.registry().head(&town.body).is_some_and(|head| head.shown_size == before + 2)
    })
    .await;
    let file = town.north.get("/index/north.example/letter.jsonl").await;
    assert_eq!(proven(&town.north, &town, "letter", Some(&file.body)).await, before + 2);
    assert_eq!(town.north.get("/bricks/north.example/letter/1.0.0/archive").await.body, draft.archive);
    assert_eq!(names(town.north.get("/api/v1/search?q=north").await.json()).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_ready_is_what_was_made_and_moves_with_the_head() {
    let town = Town::found().await;
    town.release("brick0", "1.0.0").await;
    let paths = [
        format!("{LOG}/checkpoint"),
        format!("{LOG}/snapshot"),
        "/index/north.example/brick0.jsonl".into(),
        "/index/north.example/brick0.jsonl.proof".into(),
        "/bricks/north.example/brick0/1.0.0/proof".into(),
    ];
    let mut before = Vec::new();
    for path in &paths {
        let made = town.north.get(path).await;
        let ready = town.north.get(path).await;
        assert_eq!((ready.status, &ready.body), (200, &made.body), "{path}");
        for header in ["content-type", "cache-control", "etag", "x-content-type-options", "vary"] {
            assert_eq!(ready.header(header), made.header(header), "{path}: {header}");
        }
        assert_ne!(ready.header("x-request-id"), made.header("x-request-id"), "{path}");
        let etag = ready.header("etag").expect("a validator").to_owned();
        let known = get_with(town.north.at(), path, &format!("if-none-match: {etag}\r\n")).await;
        assert_eq!((known.status, known.body.len()), (304, 0), "{path}");
        assert_eq!(known.header("etag"), Some(etag.as_str()), "{path}");
        before.push(ready.body);
    }
    town.release("brick0", "1.1.0").await;
    for (path, before) in paths.iter().zip(before) {
        let after = town.north.get(path).await;
        assert_eq!(after.status, 200, "{path}");
        assert_ne!(after.body, before, "{path}: whoever was answered sees what was published");
    }
}
