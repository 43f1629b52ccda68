//! The conversation of C2SP tlog-witness, row by row of its table.

use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::cosignature::{cosign, verify_cosignatures};
use brick_tlog::hash::{Hash, leaf_hash};
use brick_tlog::note::{Algorithm, Note, Vkey};
use brick_tlog::tree::Tree;
use brick_tlog::witness::{AddCheckpoint, SIZE_CONTENT_TYPE, log_id, parse_response};
use brickyard::Registry;

use crate::http::{Answer, ask, post};
use crate::town::{Key, SOUTH, Seat, Town, publisher};

/// A body of the log's history, and what the witness has cosigned of it.
struct Scene {
    town: Town,
    south: Seat,
    /// Every leaf of the body's log.
    tree: Tree,
    /// The newest head, as the log signed it.
    head: Checkpoint,
    note: Note,
}

async fn scene() -> Scene {
    let town = Town::found().await;
    town.release("parcel", "1.0.0").await;
    town.release("parcel", "1.1.0").await;
    let south = town.join().await;
    let head = town.north.newest(&town.body);
    let log = town.north.registry().head(&town.body).unwrap().id;
    let mut tree = Tree::new();
    for leaf in town.north.registry().store.leaves(log, 0..head.size).await.unwrap() {
        tree.push(leaf_hash(&leaf));
    }
    assert_eq!(tree.root(), head.root);
    let note = signed(&head, Key::NorthLog);
    Scene { town, south, tree, head, note }
}

fn signed(head: &Checkpoint, key: Key) -> Note {
    sign_checkpoint(head, &key.signing())
}

fn request(old: u64, proof: Vec<Hash>, note: &Note) -> Vec<u8> {
    AddCheckpoint::new(old, proof, note.clone()).unwrap().to_string().into_bytes()
}

impl Scene {
    async fn add(&self, body: &[u8]) -> Answer {
        ask(self.south.at(), post("/witness/add-checkpoint", "text/plain", body)).await
    }

    fn witness(&self) -> Vkey {
        let name = brickyard::registry::witness_name(&publisher(SOUTH));
        Vkey::of(name, Algorithm::CosignatureV1, &Key::SouthWitness.signing())
    }

    /// What the witness says it cosigned last.
    async fn last(&self) -> Note {
        let id = log_id(&Registry::log_key_name(&self.town.body));
        let answer = self.south.get(&format!("/witness/{id}/checkpoint")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Note::parse(&answer.body).unwrap()
    }

    fn cosignature_time(&self, note: &Note) -> u64 {
        let cosignatures = verify_cosignatures(note, &[self.witness()]).expect("none of them is false");
        assert_eq!(cosignatures.len(), 1, "the witness cosigned it");
        cosignatures[0].time
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_request_for_a_cosignature_gets_its_own_status() {
    let scene = scene().await;
    let (head, note) = (&scene.head, &scene.note);
    let before = scene.last().await;
    let smaller = Checkpoint {
        origin: head.origin.clone(),
        size: head.size - 2,
        root: scene.tree.root_at(head.size - 2).unwrap(),
    };
    let other_root = Checkpoint { root: leaf_hash(b"another history"), ..head.clone() };
    let longer = Checkpoint { size: head.size + 3, ..other_root.clone() };
    let stranger =
        Checkpoint { origin: brick_tlog::note::KeyName::new("nobody.example/log").unwrap(), ..head.clone() };
    let mut flipped = note.clone();
    flipped.signatures[0].signature[5] ^= 1;
    let nothing = String::from_utf8(request(0, Vec::new(), note)).unwrap();
    let longest = vec![Hash::EMPTY_TREE; 63];
    let rows: Vec<(&str, u16, Vec<u8>)> = vec![
        ("nothing", 400, Vec::new()),
        ("no old size", 400, nothing.replacen("old 0\n", "", 1).into_bytes()),
        ("an old size with a zero before it", 400, nothing.replacen("old 0", "old 01", 1).into_bytes()),
        ("a negative old size", 400, nothing.replacen("old 0", "old -1", 1).into_bytes()),
        (
            "an old size beyond all trees",
            400,
            nothing.replacen("old 0", "old 99999999999999999999", 1).into_bytes(),
        ),
        ("a proof that is no base64", 400, nothing.replacen("old 0\n", "old 0\n!!\n", 1).into_bytes()),
        ("64 hashes", 400, {
            let line = format!(
                "old 0\n{}\n",
                "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n".repeat(64).trim_end()
            );
            nothing.replacen("old 0\n", &line, 1).into_bytes()
        }),
        ("no empty line", 400, b"old 0\n".to_vec()),
        ("no note", 400, b"old 0\n\nnot a note\n".to_vec()),
        ("no text", 400, vec![0xff; 40]),
        ("an old size above the head's", 400, request(head.size + 1, Vec::new(), note)),
        ("a log that is not known", 404, request(0, Vec::new(), &signed(&stranger, Key::NorthLog))),
        ("signed by another key", 403, request(head.size, Vec::new(), &signed(head, Key::Stranger))),
        ("a flipped bit in the log's signature", 403, request(head.size, Vec::new(), &flipped)),
        (
            "signed by another key, old size above it too",
            403,
            request(head.size + 1, Vec::new(), &signed(head, Key::Stranger)),
        ),
        ("from nothing", 409, request(0, Vec::new(), note)),
        ("from nothing, with a proof", 409, request(0, longest.clone(), note)),
        ("from another size", 409, request(head.size - 1, Vec::new(), note)),
        (
            "an older head from an older size",
            409,
            request(head.size - 2, Vec::new(), &signed(&smaller, Key::NorthLog)),
        ),
        ("a proof where none is needed", 422, request(head.size, vec![Hash::EMPTY_TREE], note)),
        (
            "a longer head with a false proof",
            422,
            request(head.size, longest, &signed(&longer, Key::NorthLog)),
        ),
        (
            "a longer head without a proof",
            422,
            request(head.size, Vec::new(), &signed(&longer, Key::NorthLog)),
        ),
    ];
    for (name, status, body) in rows {
        let answer = scene.add(&body).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        if status == 409 {
            assert_eq!(answer.header("content-type"), Some(SIZE_CONTENT_TYPE), "{name}");
            assert_eq!(answer.text(), format!("{}\n", head.size), "{name}: the size last cosigned");
        } else {
            assert!(!answer.text().contains('\u{2014}'), "{name}: no signature line");
            assert!(answer.text().ends_with('\n') && answer.text().len() > 5, "{name}: says why");
        }
        assert_eq!(scene.last().await.to_bytes(), before.to_bytes(), "{name}: nothing was cosigned");
    }
    assert_eq!(scene.south.get("/api/v1/evidence").await.json().as_array().unwrap().len(), 0);

    let too_large = vec![b'x'; brick_tlog::witness::MAX_REQUEST_BYTES + 1];
    assert_eq!(scene.add(&too_large).await.status, 413);
    let own = ask(
        scene.town.north.at(),
        post("/witness/add-checkpoint", "text/plain", &request(0, Vec::new(), note)),
    );
    assert_eq!(own.await.status, 404, "nobody is the witness of a log that it hosts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_history_is_refused_and_both_heads_are_kept() {
    let scene = scene().await;
    let other_root = Checkpoint { root: leaf_hash(b"another history"), ..scene.head.clone() };
    let older = Checkpoint { size: scene.head.size - 1, ..other_root.clone() };
    for (name, old, head, status, kept) in [
        ("another root of the same size", scene.head.size, &other_root, 422, 1),
        ("another root of an older size", scene.head.size - 1, &older, 409, 2),
        ("the first again", scene.head.size, &other_root, 422, 2),
    ] {
        let note = signed(head, Key::NorthLog);
        let answer = scene.add(&request(old, Vec::new(), &note)).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        let evidence = scene.south.get("/api/v1/evidence").await.json();
        assert_eq!(evidence.as_array().unwrap().len(), kept, "{name}: {evidence}");
        let line = note.signatures[0].to_string();
        assert!(evidence.to_string().contains(line.split(' ').next_back().unwrap()), "{name}: {evidence}");
    }
    assert_eq!(scene.last().await.text, scene.note.text, "what was cosigned stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_request_gets_the_cosignature_alone_and_it_is_kept() {
    let scene = scene().await;
    let before = scene.cosignature_time(&scene.last().await);
    // The same head again: anybody may renew it.
    let answer = scene.add(&request(scene.head.size, Vec::new(), &scene.note)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lines = parse_response(&answer.body).expect("nothing but signature lines");
    assert_eq!(lines.len(), 1);
    let cosigned = Note { text: scene.note.text.clone(), signatures: lines };
    let time = scene.cosignature_time(&cosigned);
    assert!(time >= before, "time does not go back");
    assert_eq!(scene.cosignature_time(&scene.last().await), time, "it was kept before it was answered");

    // A longer one, whoever brings it: the host or somebody else.
    scene.town.release("parcel", "1.2.0").await;
    let head = scene.town.north.newest(&scene.town.body);
    let mut tree = scene.tree.clone();
    let log = scene.town.north.registry().head(&scene.town.body).unwrap().id;
    let store = &scene.town.north.registry().store;
    for leaf in store.leaves(log, tree.len()..head.size).await.unwrap() {
        tree.push(leaf_hash(&leaf));
    }
    let proof = tree.prove_consistency(scene.head.size, head.size).unwrap();
    let note = signed(&head, Key::NorthLog);
    let answer = scene.add(&request(scene.head.size, proof, &note)).await;
    match answer.status {
        200 => {
            let lines = parse_response(&answer.body).unwrap();
            scene.cosignature_time(&Note { text: note.text.clone(), signatures: lines });
        }
        // The host asked first.
        status => assert_eq!((status, answer.text()), (409, format!("{}\n", head.size))),
    }
    let last = scene.last().await;
    assert_eq!(last.text, note.text);
    brick_tlog::checkpoint::open_note(last, &scene.town.north.registry().hosted_vkey(&scene.town.body))
        .expect("it carries the log's own signature");
    let unknown = scene.south.get(&format!("/witness/{}/checkpoint", "0".repeat(64))).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_between_two_that_were_fetched_is_cosigned_though_the_copy_does_not_keep_it() {
    let scene = scene().await;
    let name = brickyard::registry::witness_name(&publisher(SOUTH));
    // Between an entry and its snapshot no head is ever signed, so no copy holds one.
    for (size, kept) in [(scene.head.size, 1), (scene.head.size - 1, 0)] {
        let head = Checkpoint { size, root: scene.tree.root_at(size).unwrap(), ..scene.head.clone() };
        let mut note = signed(&head, Key::NorthLog);
        let now = brickyard::registry::now();
        note.signatures.push(cosign(&note.text, &name, &Key::SouthWitness.signing(), now));
        let count = scene.south.registry().keep_cosignatures(&scene.town.body, &note, size).await;
        assert_eq!(count.unwrap(), kept, "{size} leaves");
    }
}
