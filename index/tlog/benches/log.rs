//! What does a log cost: hashing leaves, proving one, and checking who vouches for a head?

use std::hint::black_box;

use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::cosignature::{cosign, verify_cosignatures};
use brick_tlog::hash::leaf_hash;
use brick_tlog::note::{Algorithm, KeyName, Vkey};
use brick_tlog::tree::{Tree, check_inclusion};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::SigningKey;

/// Leaves of the log that is measured.
const LEAVES: u64 = 1 << 16;
/// Bytes of one: an entry with its envelope.
const LEAF_BYTES: usize = 1_500;
/// Heads whose cosignatures are checked in one go: a client that resolves over this many logs.
const HEADS: usize = 30;
/// Witnesses of each.
const WITNESSES: u8 = 9;

fn leaf(index: u64) -> Vec<u8> {
    let mut leaf = vec![b'x'; LEAF_BYTES];
    leaf[..8].copy_from_slice(&index.to_be_bytes());
    leaf
}

fn trees(criterion: &mut Criterion) {
    let leaves: Vec<Vec<u8>> = (0..1_024).map(leaf).collect();
    let mut group = criterion.benchmark_group("tree");
    group.throughput(Throughput::Bytes((leaves.len() * LEAF_BYTES) as u64));
    group.bench_function("hash 1,024 leaves of 1,500 bytes", |bench| {
        bench.iter(|| leaves.iter().for_each(|leaf| _ = black_box(leaf_hash(leaf))));
    });
    group.throughput(Throughput::Elements(LEAVES));
    let hashes: Vec<_> = (0..LEAVES).map(|index| leaf_hash(&index.to_be_bytes())).collect();
    group.sample_size(10).bench_function("grow to 65,536 leaves", |bench| {
        bench.iter_batched(
            Tree::new,
            |mut tree| {
                hashes.iter().for_each(|hash| tree.push(*hash));
                tree.root()
            },
            BatchSize::LargeInput,
        );
    });
    group.throughput(Throughput::Elements(1));
    let mut tree = Tree::new();
    hashes.iter().for_each(|hash| tree.push(*hash));
    let root = tree.root();
    group.bench_function("prove a leaf of 65,536", |bench| {
        bench.iter(|| tree.prove_inclusion(black_box(12_345), LEAVES).expect("it is in the tree"));
    });
    let proof = tree.prove_inclusion(12_345, LEAVES).expect("it is in the tree");
    group.bench_function("check that proof", |bench| {
        bench.iter(|| check_inclusion(12_345, LEAVES, &hashes[12_345], black_box(&proof), &root));
    });
    group.finish();
}

fn heads(criterion: &mut Criterion) {
    let name = |text: String| KeyName::new(text).expect("a key's name");
    let key = |seed: u8| SigningKey::from_bytes(&[seed; 32]);
    let witnesses: Vec<Vkey> = (1..=WITNESSES)
        .map(|at| Vkey::of(name(format!("r{at}.example/witness")), Algorithm::CosignatureV1, &key(at)))
        .collect();
    let notes: Vec<_> = (0..HEADS)
        .map(|log| {
            let origin = name(format!("p{log}.example/log"));
            let checkpoint = Checkpoint { origin, size: LEAVES, root: leaf_hash(b"root") };
            let mut note = sign_checkpoint(&checkpoint, &key(99));
            for at in 1..=WITNESSES {
                let line =
                    cosign(&note.text, &name(format!("r{at}.example/witness")), &key(at), 1_900_000_000);
                note.signatures.push(line);
            }
            note
        })
        .collect();
    let mut group = criterion.benchmark_group("heads");
    group.sample_size(10).throughput(Throughput::Elements(HEADS as u64 * u64::from(WITNESSES)));
    group.bench_function("check 9 cosignatures on each of 30", |bench| {
        bench.iter(|| {
            let counted =
                |note| verify_cosignatures(black_box(note), &witnesses).expect("they are true").len();
            notes.iter().map(counted).sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, trees, heads);
criterion_main!(benches);
