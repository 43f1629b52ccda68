//! What somebody can change in a git repository that others follow or audit.

use crate::change::{
    drop_last_line, flip_last_byte, north_files, replace, resigned, set_line, witness_lines, write_clone,
};
use crate::forge::{Forged, Keys, snapshot};
use crate::rows::{LOG, Row, row};
use crate::scene::{CLONE, Scene, Way, change_file, commit, remove};
use crate::world::{PUBLISHER, World, sha256};
use brick_schemas::Digest;
use brick_tests::git::Git;
use brick_tlog::Hash;
use brick_tlog::note::Note;
use brick_trust::Envelope;

/// The index file of `case` in a clone.
const INDEX: &str = "index/north.example/bb/case.jsonl";

/// A git repository that somebody else could write to.
pub fn clones() -> Vec<Row> {
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
            let dir = scene.room.work().join(CLONE).join(INDEX).with_file_name("");
            std::fs::copy(dir.join("case.jsonl"), dir.join("cases.jsonl")).expect("the clone is writable");
            commit(scene);
        }),
        row("the index of a log that is not there", Way::Audit, "index", |_, scene| {
            let dir = scene.room.work().join(CLONE).join("index");
            let folders = ["north.example/bb", "mallory.example/bb"].map(|folder| dir.join(folder));
            std::fs::create_dir_all(&folders[1]).expect("the clone is writable");
            std::fs::copy(folders[0].join("case.jsonl"), folders[1].join("case.jsonl"))
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
