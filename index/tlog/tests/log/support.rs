//! What many tests need: keys that never change, a small signed log, and one way to break bytes.

use std::fs;
use std::path::PathBuf;

use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::hash::leaf_hash;
use brick_tlog::note::{Algorithm, KeyName, Note, Vkey};
use brick_tlog::tree::Tree;
use brick_tlog::{Hash, base64};
use ed25519_dalek::SigningKey;

/// A file of published data beside the checkout, or `None` after saying that it is missing.
pub fn vector(path: &str) -> Option<Vec<u8>> {
    let place = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors")).join(path);
    let bytes = fs::read(&place);
    if bytes.is_err() {
        println!("skipped: no published vectors at shared/vectors/{path} beside this checkout");
    }
    bytes.ok()
}

pub fn name(text: &str) -> KeyName {
    KeyName::new(text).expect("tests name keys well")
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The seed 00 01 … 1f of the vectors in the format notes.
pub fn counting_key() -> SigningKey {
    SigningKey::from_bytes(&std::array::from_fn(|at| at as u8))
}

/// `PRIVATE+KEY+NAME+ID+KEY`, as golang.org/x/mod writes signing keys.
pub fn x_mod_signer(text: &str) -> (KeyName, SigningKey) {
    let mut parts = text.strip_prefix("PRIVATE+KEY+").expect("a signer key").splitn(3, '+');
    let name = name(parts.next().expect("a name"));
    let secret = base64::decode(parts.nth(1).expect("a key")).expect("base64");
    assert_eq!(secret[0], 1, "an Ed25519 key");
    (name, SigningKey::from_bytes(secret[1..].try_into().expect("a seed of 32 bytes")))
}

pub const ORIGIN: &str = "northshire.example/log";

pub fn log_key() -> SigningKey {
    key(1)
}

pub fn log_vkey() -> Vkey {
    Vkey::of(name(ORIGIN), Algorithm::Ed25519, &log_key())
}

/// A witness that differs by `seed`, with its name and both its keys.
pub fn witness(seed: u8) -> (KeyName, SigningKey, Vkey) {
    let name = name(&format!("witness{seed}.example/w"));
    let vkey = Vkey::of(name.clone(), Algorithm::CosignatureV1, &key(seed));
    (name, key(seed), vkey)
}

/// The bytes of entry `index` in made-up logs.
pub fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

pub fn tree(size: u64) -> Tree {
    (0..size).map(|index| leaf_hash(&entry(index))).collect()
}

/// The head of the made-up log at `size`, signed by it.
pub fn signed_head(size: u64) -> Note {
    sign_checkpoint(&head(size), &log_key())
}

pub fn head(size: u64) -> Checkpoint {
    Checkpoint { origin: name(ORIGIN), size, root: tree(size).root() }
}

pub fn other_hash() -> Hash {
    Hash::of("something else")
}

/// Breaks `sample` in every small way: cut off, each byte changed, removed, doubled. What is still accepted must be
/// written again as it was read.
///
/// - `rewrite`: parses, and writes what it parsed; `None` if it refuses.
pub fn check_one_spelling(sample: &[u8], rewrite: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    assert_eq!(rewrite(sample).as_deref(), Some(sample), "the sample itself");
    let check = |broken: Vec<u8>| {
        if let Some(written) = rewrite(&broken) {
            assert_eq!(
                String::from_utf8_lossy(&written),
                String::from_utf8_lossy(&broken),
                "accepted, but spelled otherwise"
            );
        }
    };
    for at in 0..sample.len() {
        check(sample[..at].to_vec());
        check([&sample[..at], &sample[at + 1..]].concat());
        check([&sample[..=at], &sample[at..]].concat());
        for byte in [0, b'\n', b' ', b'0', b'1', b'A', b'=', b'+', 0xff, sample[at] ^ 1, sample[at] ^ 0x20] {
            check([&sample[..at], &[byte], &sample[at + 1..]].concat());
        }
    }
    check([sample, b"\n"].concat());
    check([sample, sample].concat());
}

/// Checks a table of inputs named by what is wrong with them.
pub fn check_refused<T: std::fmt::Debug, E: std::fmt::Debug + PartialEq>(
    parse: impl Fn(&[u8]) -> Result<T, E>,
    table: impl IntoIterator<Item = (&'static str, Vec<u8>, E)>,
) {
    for (wrong, input, expected) in table {
        let found = parse(&input).expect_err(wrong);
        assert_eq!(found, expected, "{wrong}: {}", String::from_utf8_lossy(&input));
    }
}
