//! The table: what is changed, who meets it, and which check must notice.

use brick_schemas::index_line::parse_index_file;
use brick_schemas::predicate::{Predicate, Release, Statement};
use brick_schemas::{Digest, Origin, PublisherName};
use brick_tests::git::Git;
use brick_tlog::Hash;
use brick_tlog::note::{Algorithm, Note, Vkey};
use brick_tlog::proof::Proof;
use brick_trust::Envelope;
use ed25519_dalek::SigningKey;

use crate::forge::{Forged, Keys, snapshot};
use crate::scene::{
    ARCHIVE_FILE, CLONE, Leaves, PROOF_FILE, RELEASE, Scene, Way, change_file, commit, remove,
};
use crate::site::Site;
use crate::world::{OTHER, PUBLISHER, World, seal, sha256};

/// One kind of tampering.
pub struct Row {
    /// What is changed.
    pub name: &'static str,
    /// The check that must notice.
    pub step: &'static str,
    /// Who meets it.
    pub way: Way,
    /// What may be left behind.
    pub leaves: Leaves,
    /// The change.
    pub tamper: fn(&World, &mut Scene),
}

/// Where the attacked log is served.
pub const LOG: &str = "logs/north.example";
const INDEX: &str = "index/north.example/case.jsonl";
const INDEX_PROOF: &str = "index/north.example/case.jsonl.proof";
const ARCHIVE: &str = "bricks/north.example/case/1.2.0/archive";
const PROOF: &str = "bricks/north.example/case/1.2.0/proof";
const COMMONS_HEAD: &str = "commons/checkpoint";
const DAY_S: u64 = 24 * 60 * 60;

fn row(name: &'static str, way: Way, step: &'static str, tamper: fn(&World, &mut Scene)) -> Row {
    Row { name, step, way, leaves: Leaves::Nothing, tamper }
}

impl Row {
    fn leaving(mut self, leaves: Leaves) -> Self {
        self.leaves = leaves;
        self
    }
}

/// All rows.
pub fn rows() -> Vec<Row> {
    let mut rows = archives_and_indexes();
    rows.extend(heads());
    rows.extend(entries());
    rows.extend(snapshots());
    rows.extend(histories());
    rows.extend(beginnings());
    rows.extend(own_files());
    rows.extend(clones());
    rows
}

/// What a careless or hostile mirror can change without any key.
fn archives_and_indexes() -> Vec<Row> {
    vec![
        row("an archive's byte", Way::FetchRelease, "archive", |_, scene| {
            scene.site.change(ARCHIVE, flip_middle)
        }),
        row("an archive cut short", Way::FetchRelease, "archive", |_, scene| {
            scene.site.change(ARCHIVE, |bytes| {
                bytes.pop();
            });
        }),
        row("an archive with one byte more", Way::FetchRelease, "archive", |_, scene| {
            scene.site.change(ARCHIVE, |bytes| bytes.push(0));
        }),
        row("the archive of another version", Way::FetchRelease, "archive", |_, scene| {
            let other = scene.site.read("bricks/north.example/case/1.1.0/archive").to_vec();
            scene.site.write(ARCHIVE, other);
        }),
        row("an index line's digest", Way::FetchAll, "index", |_, scene| {
            let other = sha256(b"something else");
            let line = last_line(&scene.site);
            scene.site.change(INDEX, |bytes| replace(bytes, &line.cksum.to_string(), &other));
        }),
        row("an index line's status", Way::FetchAll, "index", |_, scene| {
            scene.site.change(INDEX, |bytes| replace(bytes, "\"active\"", "\"yanked\""));
        }),
        row("a dropped index line", Way::FetchAll, "index", |_, scene| {
            scene.site.change(INDEX, drop_last_line)
        }),
        row("an index line sent twice", Way::FetchAll, "index", |_, scene| {
            scene.site.change(INDEX, |bytes| bytes.extend(last_line_of(bytes)));
        }),
        row("an index file that is hidden", Way::FetchAll, "index", |_, scene| scene.site.remove(INDEX)),
        row("an empty index file", Way::FetchAll, "index", |_, scene| scene.site.change(INDEX, Vec::clear)),
        row("a hash of the index's proof", Way::FetchAll, "index", |_, scene| {
            scene.site.change_index_proof(INDEX_PROOF, |proof| proof.path[3] = Hash::of("not this"));
        }),
        row("the bucket in the index's proof", Way::FetchAll, "index", |_, scene| {
            let mut file = scene.site.read(INDEX).to_vec();
            drop_last_line(&mut file);
            let hash = Hash::of(&file);
            scene.site.write(INDEX, file);
            scene.site.change_index_proof(INDEX_PROOF, |proof| {
                proof.bucket.insert("case", hash).expect("a brick's name");
            });
        }),
        row("the index and proof of another brick", Way::FetchAll, "index", |_, scene| {
            for end in ["jsonl", "jsonl.proof"] {
                let other = scene.site.read(&format!("index/north.example/notes.{end}")).to_vec();
                scene.site.write(&format!("index/north.example/case.{end}"), other);
            }
        }),
    ]
}

/// What stands on a head: its text, its host's signature, and those of the witnesses.
fn heads() -> Vec<Row> {
    fn index_head(scene: &mut Scene, change: fn(&mut Note)) {
        scene.site.change_index_proof(INDEX_PROOF, |proof| change(&mut proof.snapshot.checkpoint));
    }
    fn release_head(scene: &mut Scene, change: fn(&mut Note)) {
        scene.site.change_proof(PROOF, |proof| change(&mut proof.checkpoint));
    }
    vec![
        row("a checkpoint's size", Way::FetchAll, "checkpoint", |_, scene| {
            index_head(scene, |note| set_line(note, 1, "4711"));
        }),
        row("a checkpoint's root", Way::FetchAll, "checkpoint", |_, scene| {
            index_head(scene, |note| set_line(note, 2, &Hash::of("not this").to_base64()));
        }),
        row("a checkpoint's origin", Way::FetchAll, "checkpoint", |_, scene| {
            index_head(scene, |note| set_line(note, 0, Origin::of_publisher(&name(OTHER)).as_str()));
        }),
        row("a line added to a checkpoint", Way::FetchAll, "checkpoint", |_, scene| {
            index_head(scene, |note| note.text.push_str("and more\n"));
        }),
        row("the log's own signature", Way::FetchAll, "checkpoint", |_, scene| {
            index_head(scene, |note| note.signatures[0].signature[9] ^= 1);
        }),
        row(
            "the size of the checkpoint in a release's proof",
            Way::FetchRelease,
            "checkpoint",
            |_, scene| {
                release_head(scene, |note| set_line(note, 1, "4711"));
            },
        ),
        row(
            "the root of the checkpoint in a release's proof",
            Way::FetchRelease,
            "checkpoint",
            |_, scene| {
                release_head(scene, |note| set_line(note, 2, &Hash::of("not this").to_base64()));
            },
        ),
        row("a cosignature", Way::FetchAll, "quorum", |_, scene| {
            index_head(scene, |note| flip_last_byte(&mut witness_lines(note)[0].signature));
        }),
        row("a cosignature's time", Way::FetchAll, "quorum", |_, scene| {
            index_head(scene, |note| witness_lines(note)[0].signature[7] ^= 1);
        }),
        row("a cosignature in a release's proof", Way::FetchRelease, "quorum", |_, scene| {
            release_head(scene, |note| flip_last_byte(&mut witness_lines(note)[0].signature));
        }),
        row("a release's proof without cosignatures", Way::FetchRelease, "quorum", |_, scene| {
            release_head(scene, |note| {
                note.signatures.retain(|line| !line.name.as_str().ends_with("/witness"))
            });
        }),
        row("one witness's line twice in place of two", Way::FetchRelease, "quorum", |_, scene| {
            release_head(scene, |note| {
                let host = "registry.north.example/witness";
                let first = witness_lines(note).into_iter().find(|line| line.name.as_str() != host);
                let line = first.expect("a witness").clone();
                note.signatures.retain(|line| !line.name.as_str().ends_with("/witness"));
                note.signatures.extend([line.clone(), line]);
            });
        }),
        row("cosignatures from the future", Way::FetchRelease, "quorum", |world, scene| {
            let leaves = scene.site.leaves(LOG);
            let forged = Forged::new(&world.log_keys, leaves, world.now + 3_600);
            scene.site.write(PROOF, forged.proof(last_line(&world.late).entry).to_string());
        }),
        row("heads that nobody vouched for in 15 days", Way::FetchFirst, "freshness", |world, scene| {
            let forged = Forged::new(&world.log_keys, scene.site.leaves(LOG), world.now - 15 * DAY_S);
            let files = north_files(&scene.site);
            forged.write_log(&mut scene.site, LOG);
            forged.write_index(&mut scene.site, PUBLISHER, &files);
        })
        .leaving(Leaves::WitnessedIndex),
    ]
}

/// What is shown to be in a log, where the proof is false or whoever holds all keys of a log put it there.
fn entries() -> Vec<Row> {
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
            scene.site.change_proof(PROOF, |proof| {
                proof.path.pop();
            });
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
fn snapshots() -> Vec<Row> {
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
fn histories() -> Vec<Row> {
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

/// The commons log, to who knows nothing but the digest of its first root.
fn beginnings() -> Vec<Row> {
    vec![
        row("another root", Way::Trust, "root", |_, scene| {
            let pinned = scene.args.last_mut().expect("the digest");
            *pinned = sha256(b"another root");
        }),
        row("a root's payload", Way::Trust, "root", |_, scene| {
            change_leaf(&mut scene.site, 0, |envelope| {
                replace(&mut envelope.payload, "commons.example", "commons.exemple");
            });
        }),
        row("a root without its stewards' signatures", Way::Trust, "root", |_, scene| {
            change_leaf(&mut scene.site, 0, |envelope| {
                envelope.signatures.pop();
            });
        }),
        row("a record's payload", Way::Trust, "signature", |_, scene| {
            change_leaf(&mut scene.site, 4, |envelope| {
                replace(&mut envelope.payload, PUBLISHER, "n0rth.example");
            });
        }),
        row("a record in another's place", Way::Trust, "basis", |_, scene| {
            let mut leaves = scene.site.leaves("commons");
            leaves.swap(4, 5);
            write_bundle(&mut scene.site, &leaves);
        }),
        row("a replayed record", Way::Trust, "replay", |_, scene| {
            let mut leaves = scene.site.leaves("commons");
            leaves[5] = leaves[4].clone();
            write_bundle(&mut scene.site, &leaves);
        }),
        row("a record that a stranger signed", Way::Trust, "signature", |_, scene| {
            let mut leaves = scene.site.leaves("commons");
            leaves[4] = seal(&statement_of(&leaves[4]), &SigningKey::from_bytes(&[7; 32]));
            write_bundle(&mut scene.site, &leaves);
        }),
        row("the size of the commons' checkpoint", Way::Trust, "checkpoint", |world, scene| {
            // One less, so that there are as many entries as it says.
            let size = world.late.leaves("commons").len() - 1;
            let mut leaves = scene.site.leaves("commons");
            leaves.pop();
            write_bundle(&mut scene.site, &leaves);
            scene.site.change_head(COMMONS_HEAD, |note| set_line(note, 1, &size.to_string()));
        }),
        row("the root of the commons' checkpoint", Way::Trust, "checkpoint", |_, scene| {
            scene.site.change_head(COMMONS_HEAD, |note| set_line(note, 2, &Hash::of("not this").to_base64()));
        }),
        row("the signature of the commons' host", Way::Trust, "checkpoint", |_, scene| {
            scene.site.change_head(COMMONS_HEAD, |note| flip_last_byte(&mut note.signatures[0].signature));
        }),
        row("a cosignature on the commons", Way::Trust, "quorum", |_, scene| {
            scene
                .site
                .change_head(COMMONS_HEAD, |note| flip_last_byte(&mut witness_lines(note)[0].signature));
        }),
        row("the cosignatures on the commons", Way::Trust, "quorum", |_, scene| {
            scene.site.change_head(COMMONS_HEAD, |note| {
                note.signatures.retain(|line| !line.name.as_str().ends_with("/witness"));
            });
        }),
    ]
}

/// Files on the victim's own machine.
fn own_files() -> Vec<Row> {
    vec![
        row("a lockfile's digest", Way::FetchLocked, "lock", |_, scene| {
            let cksum = last_line(&scene.site).cksum.to_string();
            change_file(scene, "brick.lock", |bytes| replace(bytes, &cksum, &sha256(b"something else")));
        }),
        row("a lockfile's entry", Way::FetchLocked, "lock", |_, scene| {
            let entry = format!("entry = {}\n", last_line(&scene.site).entry);
            change_file(scene, "brick.lock", |bytes| replace(bytes, &entry, "entry = 1\n"));
        }),
        row("a vendored file's byte", Way::VerifyVendored, "archive", |_, scene| {
            change_file(scene, "bricks/north.example/case/README.md", |bytes| bytes[0] ^= 1);
        }),
        row("a file added to a vendored brick", Way::VerifyVendored, "archive", |_, scene| {
            scene.room.write("bricks/north.example/case/docs/new.md", "new\n");
        }),
        row("a file taken from a vendored brick", Way::VerifyVendored, "archive", |_, scene| {
            remove(&scene.room.work().join("bricks/north.example/case/docs/more.md"));
        }),
        row("a brick added to the vendored ones", Way::VerifyVendored, "lock", |_, scene| {
            scene.room.write("bricks/north.example/new/brick.toml", "manifest = 1\n");
        }),
        row("the proof of a vendored brick", Way::VerifyVendored, "inclusion", |_, scene| {
            let path = "bricks/north.example/case.tlog-proof";
            change_file(scene, path, |bytes| {
                let mut proof = Proof::parse(bytes).expect("a proof");
                proof.path[0] = Hash::of("not this");
                *bytes = proof.to_string().into_bytes();
            });
        }),
        row("an archive at hand", Way::VerifyArchive, "archive", |_, scene| {
            change_file(scene, ARCHIVE_FILE, flip_middle);
        }),
        row("another archive at hand, with this one's proof", Way::VerifyArchive, "inclusion", |_, scene| {
            let other = scene.site.read("bricks/north.example/case/1.1.0/archive").to_vec();
            change_file(scene, ARCHIVE_FILE, |bytes| *bytes = other);
        }),
        row("the proof at hand", Way::VerifyArchive, "inclusion", |_, scene| {
            change_file(scene, PROOF_FILE, |bytes| {
                let mut proof = Proof::parse(bytes).expect("a proof");
                proof.path[0] = Hash::of("not this");
                *bytes = proof.to_string().into_bytes();
            });
        }),
    ]
}

/// A git repository that somebody else could write to.
fn clones() -> Vec<Row> {
    fn change(scene: &Scene, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change_file(scene, &format!("{CLONE}/{path}"), change);
        commit(scene);
    }
    fn change_note(scene: &Scene, path: &str, edit: impl FnOnce(&mut Note)) {
        change(scene, path, |bytes| {
            let mut note = Note::parse(bytes).expect("a head");
            edit(&mut note);
            *bytes = note.to_string().into_bytes();
        });
    }
    fn leaf_path(log: &str, at: usize) -> String {
        format!("{log}/entries/000/{at:03}.json")
    }
    /// The host and every witness put a log of these leaves into the clone.
    fn write(world: &World, scene: &Scene, keys: &Keys, log: &str, leaves: Vec<Vec<u8>>) {
        let head = Forged::new(keys, leaves.clone(), world.now).head();
        write_clone(scene, log, &leaves, &head);
    }
    vec![
        row("a clone's entry", Way::Audit, "signature", |_, scene| {
            change(scene, &leaf_path(LOG, 1), |bytes| {
                let mut envelope = Envelope::parse(bytes).expect("an envelope");
                replace(&mut envelope.payload, "\"1.0.0\"", "\"1.0.9\"");
                *bytes = envelope.to_bytes();
            });
        }),
        row("a clone's snapshot", Way::Audit, "snapshot", |world, scene| {
            let last = world.late.leaves(LOG).len() - 1;
            change(scene, &leaf_path(LOG, last), |bytes| {
                let digit = bytes.len() - 2;
                bytes[digit] = if bytes[digit] == b'0' { b'1' } else { b'0' };
            });
        }),
        row("a clone's index line", Way::Audit, "index", |_, scene| {
            change(scene, INDEX, |bytes| replace(bytes, "\"active\"", "\"yanked\""));
        }),
        row("a line dropped from a clone's index", Way::Audit, "index", |_, scene| {
            change(scene, INDEX, drop_last_line);
        }),
        row("a clone without an index file", Way::Audit, "index", |_, scene| {
            remove(&scene.room.work().join(CLONE).join(INDEX));
            commit(scene);
        }),
        row("a clone with one index file more", Way::Audit, "index", |_, scene| {
            let dir = scene.room.work().join(CLONE).join("index/north.example");
            std::fs::copy(dir.join("case.jsonl"), dir.join("cases.jsonl")).expect("the clone is writable");
            commit(scene);
        }),
        row("the index of a log that is not there", Way::Audit, "index", |_, scene| {
            let dir = scene.room.work().join(CLONE).join("index");
            std::fs::create_dir(dir.join("mallory.example")).expect("the clone is writable");
            std::fs::copy(dir.join("north.example/case.jsonl"), dir.join("mallory.example/case.jsonl"))
                .expect("the clone is writable");
            commit(scene);
        }),
        row("the size of a clone's checkpoint", Way::Audit, "checkpoint", |world, scene| {
            let size = world.late.leaves(LOG).len() - 1;
            change_note(scene, &format!("{LOG}/checkpoint"), |note| set_line(note, 1, &size.to_string()));
        }),
        row("the root of a clone's checkpoint", Way::Audit, "checkpoint", |_, scene| {
            change_note(scene, &format!("{LOG}/checkpoint"), |note| {
                set_line(note, 2, &Hash::of("not this").to_base64());
            });
        }),
        row("a cosignature in a clone", Way::Audit, "quorum", |_, scene| {
            change_note(scene, &format!("{LOG}/checkpoint"), |note| {
                flip_last_byte(&mut witness_lines(note)[0].signature);
            });
        }),
        row("a record in a clone", Way::Audit, "signature", |_, scene| {
            change(scene, &leaf_path("commons", 4), |bytes| {
                let mut envelope = Envelope::parse(bytes).expect("an envelope");
                replace(&mut envelope.payload, PUBLISHER, "n0rth.example");
                *bytes = envelope.to_bytes();
            });
        }),
        row("a clone of another commons", Way::Audit, "root", |_, scene| {
            let pinned = scene.args.last_mut().expect("the digest");
            *pinned = sha256(b"another root");
        }),
        row("a replayed entry", Way::Audit, "replay", |world, scene| {
            let mut leaves = world.late.leaves(LOG);
            leaves.push(leaves[1].clone());
            let files = north_files(&scene.site);
            leaves.push(snapshot(leaves.len() as u64, world.now, &files));
            write(world, scene, &world.log_keys, LOG, leaves);
        }),
        row("an entry moved to another log of a clone", Way::Audit, "signature", |world, scene| {
            let mut leaves = world.late.leaves(LOG);
            leaves.push(world.late.leaves("logs/south.example").swap_remove(1));
            let files = north_files(&scene.site);
            leaves.push(snapshot(leaves.len() as u64, world.now, &files));
            write(world, scene, &world.log_keys, LOG, leaves);
        }),
        row("a release published twice in a clone", Way::Audit, "index", |world, scene| {
            let mut leaves = world.late.leaves(LOG);
            leaves.push(world.sign(&resigned(&scene.site, |release| release.license = "0BSD".into())));
            let files = north_files(&scene.site);
            leaves.push(snapshot(leaves.len() as u64, world.now, &files));
            write(world, scene, &world.log_keys, LOG, leaves);
        }),
        row("an entry of a clone whose basis was never a head", Way::Audit, "basis", |world, scene| {
            let mut leaves = world.late.leaves(LOG);
            leaves.push(world.sign(&resigned(&scene.site, |release| {
                release.place.basis.root = Digest::of(b"never");
                release.version = brick_schemas::Version::parse("9.0.0").expect("a version");
            })));
            let files = north_files(&scene.site);
            leaves.push(snapshot(leaves.len() as u64, world.now, &files));
            write(world, scene, &world.log_keys, LOG, leaves);
        }),
        row("an entry missing in a clone", Way::Audit, "inclusion", |_, scene| {
            remove(&scene.room.work().join(CLONE).join(leaf_path(LOG, 1)));
            commit(scene);
        }),
        row("a git object with other bytes under its name", Way::Audit, "inclusion", |_, scene| {
            replace_object(&scene.room.work().join(CLONE), &leaf_path(LOG, 1));
        }),
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

/// Puts other bytes where a clone keeps the object of a file, under the object's old name.
fn replace_object(clone: &std::path::Path, path: &str) {
    let git = Git::at(clone);
    let pack_dir = clone.join(".git/objects/pack");
    let aside = tempfile::tempdir().expect("a temporary folder");
    // Packed objects are made loose, so that one of them can be replaced.
    for entry in std::fs::read_dir(&pack_dir).expect("a clone has packs") {
        let from = entry.expect("a listing").path();
        std::fs::copy(&from, aside.path().join(from.file_name().expect("a name"))).expect("space for a pack");
        remove(&from);
    }
    for entry in std::fs::read_dir(aside.path()).expect("the copies") {
        let path = entry.expect("a listing").path();
        if path.extension().is_some_and(|end| end == "pack") {
            let pack = std::fs::File::open(&path).expect("a pack");
            let mut command = git.command(&["unpack-objects", "-q"]);
            assert!(command.stdin(pack).status().is_ok_and(|status| status.success()), "{}", path.display());
        }
    }
    let loose = |id: &str| clone.join(".git/objects").join(&id[..2]).join(&id[2..]);
    let original = loose(&git.run(&["rev-parse", &format!("HEAD:{path}")]));
    let other = loose(&git.run(&["rev-parse", "HEAD:README.md"]));
    remove(&original);
    std::fs::copy(other, original).expect("the clone is writable");
}

fn name(text: &str) -> PublisherName {
    PublisherName::parse(text).expect("a good name")
}

/// Puts these leaves and this head into the scene's clone, and commits them.
pub fn write_clone(scene: &Scene, log: &str, leaves: &[Vec<u8>], head: &Note) {
    let dir = scene.room.work().join(CLONE).join(log);
    for (at, leaf) in leaves.iter().enumerate() {
        std::fs::write(dir.join(format!("entries/000/{at:03}.json")), leaf).expect("the clone is writable");
    }
    std::fs::write(dir.join("checkpoint"), head.to_bytes()).expect("the clone is writable");
    commit(scene);
}

/// The index files of the attacked publisher.
pub fn north_files(site: &Site) -> [(&'static str, Vec<u8>); 2] {
    [file(site, "case"), file(site, "notes")]
}

fn file(site: &Site, brick: &'static str) -> (&'static str, Vec<u8>) {
    (brick, site.read(&format!("index/{PUBLISHER}/{brick}.jsonl")).to_vec())
}

/// The index line of the release that everything is about.
fn last_line(site: &Site) -> brick_schemas::IndexLine {
    let line = parse_index_file(site.read(INDEX)).expect("lines").pop().expect("a line");
    assert!(RELEASE.ends_with(&line.vers.to_string()));
    line
}

fn last_leaf(site: &Site) -> Vec<u8> {
    let at = usize::try_from(last_line(site).entry).expect("few leaves");
    site.leaves(LOG).swap_remove(at)
}

fn statement_of(leaf: &[u8]) -> Statement {
    Statement::parse(&Envelope::parse(leaf).expect("an envelope").payload).expect("a statement")
}

fn last_statement(site: &Site) -> Statement {
    statement_of(&last_leaf(site))
}

fn release_of(statement: &mut Statement) -> &mut Release {
    match &mut statement.predicate {
        Predicate::Release(release) => release,
        other => panic!("a {} is no release", other.kind()),
    }
}

/// The last release's statement, changed.
fn resigned(site: &Site, change: fn(&mut Release)) -> Statement {
    let mut statement = last_statement(site);
    change(release_of(&mut statement));
    statement
}

/// Changes a leaf of the commons log as it is served; its head stays.
fn change_leaf(site: &mut Site, at: usize, change: impl FnOnce(&mut Envelope)) {
    let mut leaves = site.leaves("commons");
    let mut envelope = Envelope::parse(&leaves[at]).expect("an envelope");
    change(&mut envelope);
    leaves[at] = envelope.to_bytes();
    write_bundle(site, &leaves);
}

/// Puts other leaves into the only bundle of the commons log.
fn write_bundle(site: &mut Site, leaves: &[Vec<u8>]) {
    let path = format!("commons/tile/entries/000.p/{}", leaves.len());
    site.write(&path, brick_tlog::tile::encode_bundle(leaves).expect("leaves of a log"));
}

fn witness_lines(note: &mut Note) -> Vec<&mut brick_tlog::note::SignatureLine> {
    note.signatures.iter_mut().filter(|line| line.name.as_str().ends_with("/witness")).collect()
}

fn set_line(note: &mut Note, at: usize, text: &str) {
    let mut lines: Vec<&str> = note.text.lines().collect();
    lines[at] = text;
    note.text = lines.join("\n") + "\n";
}

#[expect(clippy::ptr_arg, reason = "handed on as a function of a Vec")]
fn flip_middle(bytes: &mut Vec<u8>) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

#[expect(clippy::ptr_arg, reason = "handed on as a function of a Vec")]
fn flip_last_byte(bytes: &mut Vec<u8>) {
    *bytes.last_mut().expect("some bytes") ^= 1;
}

/// Replaces every occurrence of a text, of which there must be one.
fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(std::mem::take(bytes)).expect("a text");
    assert!(text.contains(from), "{from} occurs in {text}");
    *bytes = text.replace(from, to).into_bytes();
}

/// The last line with its end.
fn last_line_of(bytes: &[u8]) -> Vec<u8> {
    bytes.split_inclusive(|byte| *byte == b'\n').next_back().expect("a line").to_vec()
}

fn drop_last_line(bytes: &mut Vec<u8>) {
    let left = bytes.len() - last_line_of(bytes).len();
    bytes.truncate(left);
}
