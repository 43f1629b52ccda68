//! What a person is given to begin from: a commons log, a lockfile, vendored bricks, an archive.

use crate::change::{flip_last_byte, flip_middle, last_line, replace, set_line, statement_of, witness_lines};
use crate::rows::{COMMONS_HEAD, Row, row};
use crate::scene::{ARCHIVE_FILE, PROOF_FILE, Way, change_file, remove};
use crate::site::Site;
use crate::world::{PUBLISHER, seal, sha256};
use brick_tlog::Hash;
use brick_tlog::proof::Proof;
use brick_trust::Envelope;
use ed25519_dalek::SigningKey;

/// The commons log, to who knows nothing but the digest of its first root.
pub fn beginnings() -> Vec<Row> {
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
            change_leaf(&mut scene.site, 0, |envelope| _ = envelope.signatures.pop());
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
pub fn own_files() -> Vec<Row> {
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
            change_file(scene, ARCHIVE_FILE, |bytes| flip_middle(bytes));
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
