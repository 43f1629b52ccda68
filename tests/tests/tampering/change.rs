//! How is one thing changed, and nothing else?

use crate::rows::{INDEX, LOG};
use crate::scene::{CLONE, RELEASE, Scene, commit};
use crate::site::Site;
use crate::world::PUBLISHER;
use brick_schemas::PublisherName;
use brick_schemas::index_line::parse_index_file;
use brick_schemas::predicate::{Predicate, Release, Statement};
use brick_tlog::note::Note;
use brick_trust::Envelope;

/// A publisher's name.
pub fn name(text: &str) -> PublisherName {
    PublisherName::parse(text).expect("a good name")
}

/// The index files of the attacked publisher.
pub fn north_files(site: &Site) -> [(&'static str, Vec<u8>); 2] {
    [file(site, "case"), file(site, "notes")]
}

/// A brick's index file, with its name.
pub fn file(site: &Site, brick: &'static str) -> (&'static str, Vec<u8>) {
    (brick, site.read(&format!("index/{PUBLISHER}/{brick}.jsonl")).to_vec())
}

/// The index line of the release that everything is about.
pub fn last_line(site: &Site) -> brick_schemas::IndexLine {
    let line = parse_index_file(site.read(INDEX)).expect("lines").pop().expect("a line");
    assert!(RELEASE.ends_with(&line.vers.to_string()));
    line
}

/// What an entry says.
pub fn statement_of(leaf: &[u8]) -> Statement {
    Statement::parse(&Envelope::parse(leaf).expect("an envelope").payload).expect("a statement")
}

/// The witnesses' lines under a head.
pub fn witness_lines(note: &mut Note) -> Vec<&mut brick_tlog::note::SignatureLine> {
    note.signatures.iter_mut().filter(|line| line.name.as_str().ends_with("/witness")).collect()
}

/// Puts other words into one line of a head, counted from 0.
pub fn set_line(note: &mut Note, at: usize, text: &str) {
    let mut lines: Vec<&str> = note.text.lines().collect();
    lines[at] = text;
    note.text = lines.join("\n") + "\n";
}

/// Changes one bit of the byte in the middle.
pub fn flip_middle(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

/// Changes one bit of the last byte.
pub fn flip_last_byte(bytes: &mut [u8]) {
    *bytes.last_mut().expect("some bytes") ^= 1;
}

/// Replaces every occurrence of a text, of which there must be one.
pub fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(std::mem::take(bytes)).expect("a text");
    assert!(text.contains(from), "{from} occurs in {text}");
    *bytes = text.replace(from, to).into_bytes();
}

/// The last line with its end.
pub fn last_line_of(bytes: &[u8]) -> Vec<u8> {
    bytes.split_inclusive(|byte| *byte == b'\n').next_back().expect("a line").to_vec()
}

/// Drops the last line with its end.
pub fn drop_last_line(bytes: &mut Vec<u8>) {
    let left = bytes.len() - last_line_of(bytes).len();
    bytes.truncate(left);
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

/// The last release's statement, changed.
pub fn resigned(site: &Site, change: fn(&mut Release)) -> Statement {
    let mut statement = last_statement(site);
    change(release_of(&mut statement));
    statement
}

/// The release that a statement is about.
pub fn release_of(statement: &mut Statement) -> &mut Release {
    match &mut statement.predicate {
        Predicate::Release(release) => release,
        other => panic!("a {} is no release", other.kind()),
    }
}

/// What the entry of the release that everything is about says.
pub fn last_statement(site: &Site) -> Statement {
    statement_of(&last_leaf(site))
}

/// The entry of the release that everything is about.
pub fn last_leaf(site: &Site) -> Vec<u8> {
    let at = usize::try_from(last_line(site).entry).expect("few leaves");
    site.leaves(LOG).swap_remove(at)
}
