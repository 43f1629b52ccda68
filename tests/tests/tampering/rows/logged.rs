//! What stands in a log: shown by false proofs, or put there by whoever holds its key and those of all witnesses.

use crate::change::{
    flip_middle, last_leaf, last_line, last_statement, name, north_files, release_of, replace, resigned,
    statement_of,
};
use crate::forge::{Forged, snapshot};
use crate::rows::{INDEX, INDEX_PROOF, LOG, PROOF, Row, row};
use crate::scene::{Leaves, Scene, Way};
use crate::world::{OTHER, PUBLISHER, World, seal, sha256};
use brick_schemas::index_line::parse_index_file;
use brick_schemas::predicate::{Predicate, Statement};
use brick_schemas::{Digest, Origin};
use brick_tlog::Hash;
use brick_tlog::note::{Algorithm, Vkey};
use brick_trust::Envelope;
use ed25519_dalek::SigningKey;

/// What is shown to be in a log, where the proof is false or whoever holds all keys of a log put it there.
pub fn entries() -> Vec<Row> {
    fn extra(scene: &mut Scene, change: fn(&mut Envelope)) {
        scene.site.change_proof(PROOF, |proof| {
            let leaf = proof.extra.as_mut().expect("a release's proof carries its entry");
            let mut envelope = Envelope::parse(leaf).expect("an envelope");
            change(&mut envelope);
            *leaf = envelope.to_bytes();
        });
    }
    /// The host and every witness put another leaf in the release's place.
    fn replaced(world: &World, scene: &mut Scene, leaf: Vec<u8>) {
        let (mut leaves, at) = (scene.site.leaves(LOG), last_line(&scene.site).entry);
        leaves[usize::try_from(at).expect("few leaves")] = leaf;
        let proof = Forged::new(&world.log_keys, leaves, world.now).proof(at);
        scene.site.write(PROOF, proof.to_string());
    }
    vec![
        row("an entry's payload", Way::FetchRelease, "inclusion", |_, scene| {
            extra(scene, |envelope| flip_middle(&mut envelope.payload));
        }),
        row("an entry's signature", Way::FetchRelease, "inclusion", |_, scene| {
            extra(scene, |envelope| envelope.signatures[0].signature[3] ^= 1);
        }),
        row("a hash of a release's proof", Way::FetchRelease, "inclusion", |_, scene| {
            scene.site.change_proof(PROOF, |proof| proof.path[0] = Hash::of("not this"));
        }),
        row("a hash too few in a release's proof", Way::FetchRelease, "inclusion", |_, scene| {
            scene.site.change_proof(PROOF, |proof| _ = proof.path.pop());
        }),
        row("a hash too many in a release's proof", Way::FetchRelease, "inclusion", |_, scene| {
            scene.site.change_proof(PROOF, |proof| proof.path.push(Hash::of("not this")));
        }),
        row("the index in a release's proof", Way::FetchRelease, "inclusion", |_, scene| {
            scene.site.change_proof(PROOF, |proof| proof.index -= 1);
        }),
        row("a release's proof without its entry", Way::FetchRelease, "inclusion", |_, scene| {
            scene.site.change_proof(PROOF, |proof| proof.extra = None);
        }),
        row("the proof of another version", Way::FetchRelease, "inclusion", |_, scene| {
            let other = scene.site.read("bricks/north.example/case/1.1.0/proof").to_vec();
            scene.site.write(PROOF, other);
        }),
        row("the proof of a release in another log", Way::FetchRelease, "checkpoint", |_, scene| {
            let other = scene.site.read("bricks/south.example/pay/1.0.0/proof").to_vec();
            scene.site.write(PROOF, other);
        }),
        row(
            "a release that a stranger signed, in the log",
            Way::FetchRelease,
            "signature",
            |world, scene| {
                let stranger = SigningKey::from_bytes(&[7; 32]);
                let leaf = seal(&last_statement(&scene.site), &stranger);
                replaced(world, scene, leaf);
            },
        ),
        row(
            "a release with a false signature, in the log",
            Way::FetchRelease,
            "signature",
            |world, scene| {
                let mut envelope = Envelope::parse(&last_leaf(&scene.site)).expect("an envelope");
                envelope.signatures[0].signature[3] ^= 1;
                replaced(world, scene, envelope.to_bytes());
            },
        ),
        row("an entry moved to another log", Way::FetchRelease, "signature", |world, scene| {
            let leaf = scene.site.leaves("logs/south.example").swap_remove(1);
            replaced(world, scene, leaf);
        }),
        row(
            "an entry that its publisher signed for another log",
            Way::FetchRelease,
            "log",
            |world, scene| {
                let leaf = world.sign(&resigned(&scene.site, |release| {
                    release.place.log = Origin::of_publisher(&name(OTHER));
                }));
                replaced(world, scene, leaf);
            },
        ),
        row("an entry whose basis lies ahead of it", Way::FetchRelease, "basis", |world, scene| {
            let leaf = world.sign(&resigned(&scene.site, |release| release.place.basis.size += 1_000));
            replaced(world, scene, leaf);
        }),
        row("an entry that says other than the manifest", Way::FetchRelease, "manifest", |world, scene| {
            let leaf = world.sign(&resigned(&scene.site, |release| release.license = "0BSD".into()));
            replaced(world, scene, leaf);
        }),
        row(
            "an entry that signs other files than the archive's",
            Way::FetchRelease,
            "archive",
            |world, scene| {
                let other =
                    parse_index_file(scene.site.read("index/north.example/notes.jsonl")).expect("lines");
                let contents = other[0].contents;
                let mut statement = last_statement(&scene.site);
                release_of(&mut statement).contents = contents;
                let leaf = world.sign(&statement);
                replaced(world, scene, leaf);
            },
        ),
        row("a snapshot shown as a release", Way::FetchRelease, "signature", |world, scene| {
            let leaf = scene.site.leaves(LOG).pop().expect("a log has leaves");
            replaced(world, scene, leaf);
        }),
    ]
}

/// The snapshot that an index is shown under.
pub fn snapshots() -> Vec<Row> {
    /// The host and every witness put another snapshot at the end of the log.
    fn replaced(world: &World, scene: &mut Scene, change: impl FnOnce(u64, &[(&str, Vec<u8>)]) -> Vec<u8>) {
        let files = north_files(&scene.site);
        let mut leaves = scene.site.leaves(LOG);
        leaves.pop();
        leaves.push(change(leaves.len() as u64, &files));
        let forged = Forged::new(&world.log_keys, leaves, world.now);
        forged.write_log(&mut scene.site, LOG);
        forged.write_index(&mut scene.site, PUBLISHER, &files);
    }
    vec![
        row("a snapshot's bytes", Way::FetchAll, "inclusion", |_, scene| {
            scene.site.change_index_proof(INDEX_PROOF, |proof| {
                let leaf = proof.snapshot.extra.as_mut().expect("it carries the snapshot");
                let digit = leaf.len() - 2;
                leaf[digit] = if leaf[digit] == b'0' { b'1' } else { b'0' };
            });
        }),
        row("a snapshot from the future", Way::FetchFirst, "snapshot", |world, scene| {
            replaced(world, scene, |size, files| snapshot(size, world.now + 3_600, files));
        }),
        row("a snapshot that counts other leaves", Way::FetchFirst, "snapshot", |world, scene| {
            replaced(world, scene, |size, files| snapshot(size - 1, world.now, files));
        }),
        row("a snapshot of another index", Way::FetchFirst, "index", |world, scene| {
            replaced(world, scene, |size, files| snapshot(size, world.now, &files[1..]));
        })
        .leaving(Leaves::WitnessedIndex),
        row("an index that names other bytes than were signed", Way::FetchFirst, "lock", |world, scene| {
            let cksum = last_line(&scene.site).cksum.to_string();
            scene.site.change(INDEX, |bytes| replace(bytes, &cksum, &sha256(b"something else")));
            replaced(world, scene, |size, files| snapshot(size, world.now, files));
        })
        .leaving(Leaves::WitnessedIndex),
    ]
}

/// Heads against those seen before.
pub fn histories() -> Vec<Row> {
    vec![
        row("a rolled-back head", Way::Update, "consistency", |world, scene| {
            for part in [LOG, "index/north.example/", "bricks/north.example/"] {
                scene.site.take_from(&world.early, part);
            }
        }),
        row("a rolled-back commons", Way::Update, "consistency", |world, scene| {
            scene.site.take_from(&world.early, "commons/");
        }),
        row("a tile that should connect two heads", Way::UpdateFromEarly, "consistency", |world, scene| {
            // Nothing else is new to the victim.
            scene.site.take_from(&world.early, "commons/");
            let tile = format!("{LOG}/tile/0/000.p/{}", world.late.leaves(LOG).len());
            scene.site.change(&tile, |bytes| bytes[40] ^= 1);
        }),
        row("a second history of a log", Way::Update, "consistency", |world, scene| {
            second_history(world, scene, 1);
        })
        .leaving(Leaves::Evidence),
        row("a second history of the same length", Way::Update, "consistency", |world, scene| {
            second_history(world, scene, 0);
        })
        .leaving(Leaves::Evidence),
        row("a second history of the commons", Way::Update, "consistency", |world, scene| {
            let mut leaves = world.late.leaves("commons");
            let last = leaves.pop().expect("the last record");
            let Predicate::Publisher(mut record) = statement_of(&last).predicate else {
                panic!("the last record is a publisher's")
            };
            record.id = name("mallory.example");
            record.origin = Origin::of_publisher(&record.id);
            let (_, key) = &world.log_keys.log;
            let key_name = brick_tlog::note::KeyName::new(record.origin.as_str()).expect("a key name");
            record.vkey = Vkey::of(key_name, Algorithm::Ed25519, key).to_string();
            let subject = (record.id.to_string(), Digest::of(record.vkey.as_bytes()));
            let statement = Statement::new(vec![subject], Predicate::Publisher(record));
            leaves.push(seal(&statement, &world.registrar));
            Forged::new(&world.commons_keys, leaves, world.now).write_log(&mut scene.site, "commons");
        })
        .leaving(Leaves::Evidence),
    ]
}

/// Shows [`PUBLISHER`]'s log without its last release, `more` leaves longer than it was seen.
fn second_history(world: &World, scene: &mut Scene, more: usize) {
    let files = north_files(&world.early);
    let mut leaves = world.early.leaves(LOG);
    while leaves.len() < world.late.leaves(LOG).len() + more {
        leaves.push(snapshot(leaves.len() as u64, world.now, &files));
    }
    scene.site.take_from(&world.early, "bricks/north.example/");
    let forged = Forged::new(&world.log_keys, leaves, world.now);
    forged.write_log(&mut scene.site, LOG);
    forged.write_index(&mut scene.site, PUBLISHER, &files);
}
