//! What a careless or hostile mirror can change in what it serves, without any key.

use crate::change::{
    drop_last_line, flip_last_byte, flip_middle, last_line, last_line_of, name, north_files, replace,
    set_line, witness_lines,
};
use crate::forge::Forged;
use crate::rows::{ARCHIVE, DAY_S, INDEX, INDEX_PROOF, LOG, PROOF, Row, row};
use crate::scene::{Leaves, Scene, Way};
use crate::world::{OTHER, PUBLISHER, sha256};
use brick_schemas::Origin;
use brick_tlog::Hash;
use brick_tlog::note::Note;

/// What a careless or hostile mirror can change without any key.
pub fn archives_and_indexes() -> Vec<Row> {
    vec![
        row("an archive's byte", Way::FetchRelease, "archive", |_, scene| {
            scene.site.change(ARCHIVE, |bytes| flip_middle(bytes))
        }),
        row("an archive cut short", Way::FetchRelease, "archive", |_, scene| {
            scene.site.change(ARCHIVE, |bytes| _ = bytes.pop());
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
pub fn heads() -> Vec<Row> {
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
